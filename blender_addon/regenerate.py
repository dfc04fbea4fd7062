# SPDX-License-Identifier: GPL-3.0-or-later
"""Making a part of a take anew: a range, a direction, the end for a loop, more at the end; and the keys that stay.

The result is always a new take; the one before stays beside it.
"""

from typing import Any

import bpy
from bpy.props import EnumProperty, FloatProperty, StringProperty

from . import cast, directions, session, takes
from .performance import Performing
from .shared.errors import UnderstudyError

__all__ = ["CLASSES", "draw", "reason"]


def reason(context: bpy.types.Context) -> str:
    """Why no part of a take can be performed again, or ""."""
    character = cast.active(context)
    if character is None:
        return cast.NO_CHARACTER
    if session.job_of(character) is not None:
        return f"{character.name} is performing already"
    if takes.current(character) is None:
        return "No take is shown: press Perform first"
    return ""


def _origin(take: Any) -> tuple[float, float]:
    """First frame of a take, and the frame after its last."""
    facts = takes.facts_of(take.action)
    start = float(facts.get("start_frame", take.action.frame_start))
    return start, start + facts["frames"] if "frames" in facts else float(take.action.frame_end) + 1


def chosen_range(context: bpy.types.Context, character: Any) -> tuple[float, float]:
    """Frames from the preview range, else from the selected directions. :raises UnderstudyError: where there is neither."""
    scene: Any = context.scene
    if scene.use_preview_range:
        return float(scene.frame_preview_start), float(scene.frame_preview_end + 1)
    found = [d for d in character.understudy.directions if d.selected]
    if not found:
        raise UnderstudyError("request_invalid", "No range is chosen.",
                              "Set a preview range in the timeline (P), or select a direction.")
    return min(d.start for d in found), max(d.end for d in found)


class _OnTake(Performing):
    @classmethod
    def reason(cls, context: bpy.types.Context) -> str:
        """See :func:`reason`."""
        return reason(context)


def _begin_range(context: bpy.types.Context, character: Any, start: float, end: float, part: str) -> Any:
    from . import editing, jobs
    from .shared.edits import Range

    first, last = _origin(takes.current(character))
    rate = cast.fps(context.scene)
    if end <= start or start >= last or end <= first:
        raise UnderstudyError("request_invalid", f"Frames {start:.0f} to {end:.0f} are not in the take, which has frames "
                              f"{first:.0f} to {last - 1:.0f}.", "Choose a range inside the take, or extend the take.")
    return editing.begin_edit(context, character, [Range((max(start, first) - first) / rate, (min(end, last) - first) / rate, part)],
                              seeds=jobs.seeds_of(character))


class UNDERSTUDY_OT_perform_range(_OnTake, bpy.types.Operator):
    """Perform a range of the shown take again, as a new take; all else stays (preview range, else the selected directions)"""

    bl_idname = "understudy.perform_range"
    bl_label = "Perform Range"

    start: FloatProperty(name="Start", default=-1e6, options={"SKIP_SAVE"}, description="First frame; by default as chosen in the timeline")
    end: FloatProperty(name="End", default=-1e6, options={"SKIP_SAVE"}, description="The frame after the last one")
    part: EnumProperty(name="Part", items=directions.PARTS, options={"SKIP_SAVE"}, description="What may change")

    def begin(self, context: bpy.types.Context, character: Any) -> Any:
        """The given range, or the chosen one."""
        given = self.end > -1e6
        start, end = (self.start, self.end) if given else chosen_range(context, character)
        part = self.part if given or self.properties.is_property_set("part") else character.understudy.edit_part
        return _begin_range(context, character, start, end, part)


class UNDERSTUDY_OT_perform_strip(_OnTake, bpy.types.Operator):
    """Perform only this direction again, as a new take"""

    bl_idname = "understudy.perform_strip"
    bl_label = "Perform This"

    identity: StringProperty(options={"HIDDEN", "SKIP_SAVE"})

    def begin(self, context: bpy.types.Context, character: Any) -> Any:
        """The time and the part of the direction."""
        settings = character.understudy
        item = next((d for d in settings.directions if d.uuid == self.identity), None) if self.identity else None
        if item is None and not self.identity and 0 <= settings.direction_index < len(settings.directions):
            item = settings.directions[settings.direction_index]
        if item is None:
            raise UnderstudyError("direction_invalid", "This direction is gone.", "Choose a direction of the list.")
        if item.use_seed and settings.variations > 1:
            raise UnderstudyError("request_invalid", "This direction has a seed of its own: its variations would all be the same.",
                                  "Let go of its own seed, or set the variations to 1.")
        return _begin_range(context, character, item.start, item.end, item.part)


class UNDERSTUDY_OT_loop_take(_OnTake, bpy.types.Operator):
    """Make the end of the shown take flow into its beginning, as a new take"""

    bl_idname = "understudy.loop_take"
    bl_label = "Make Loop"

    def begin(self, context: bpy.types.Context, character: Any) -> Any:
        """No range but the end."""
        from . import editing, jobs

        return editing.begin_edit(context, character, [], loop=True, seeds=jobs.seeds_of(character))


class UNDERSTUDY_OT_perform_between(Performing, bpy.types.Operator):
    """Perform the way from one key pose to the next, as a new take (the preview range's ends, else the keys around the current frame)"""

    bl_idname = "understudy.perform_between"
    bl_label = "In-Between"

    first: FloatProperty(name="First Pose", default=-1e6, options={"SKIP_SAVE"},
                         description="Frame of the pose before; by default as found")
    last: FloatProperty(name="Second Pose", default=-1e6, options={"SKIP_SAVE"}, description="Frame of the pose after")

    @classmethod
    def reason(cls, context: bpy.types.Context) -> str:
        """A take, or an action of the artist's own."""
        character = cast.active(context)
        if character is None:
            return cast.NO_CHARACTER
        if session.job_of(character) is not None:
            return f"{character.name} is performing already"
        data = character.animation_data
        if takes.current(character) is None and (data is None or data.action is None):
            return "There are no key poses: key two, or press Perform first"
        return ""

    def begin(self, context: bpy.types.Context, character: Any) -> Any:
        """Inside the shown take, or over the artist's own keys."""
        from . import editing, jobs
        from .shared.edits import Range

        given = self.first > -1e6 and self.last > -1e6
        first, last = (round(self.first), round(self.last)) if given else editing.neighbours(context, character)
        if last - first < 2:
            raise UnderstudyError("request_invalid", f"No frame lies between frames {first} and {last}.", "Move the poses further apart.")
        take = takes.current(character)
        if take is None:
            return editing.begin_between(context, character, first, last, seeds=jobs.seeds_of(character))
        start, end = _origin(take)
        rate = cast.fps(context.scene)
        if first < start or last >= end:
            raise UnderstudyError("request_invalid", f"Frames {first} to {last} are not in the take, which has frames {start:.0f} to "
                                  f"{end - 1:.0f}.", "Choose poses inside the take, or extend the take.")
        part = character.understudy.edit_part
        return editing.begin_edit(context, character, [Range((first + 1 - start) / rate, (last - start) / rate, part)], kind="between",
                                  seeds=jobs.seeds_of(character))


class UNDERSTUDY_OT_extend_take(_OnTake, bpy.types.Operator):
    """Perform on where the shown take ends, as a new take: up to the end of directions and speech"""

    bl_idname = "understudy.extend_take"
    bl_label = "Extend Take"

    end: FloatProperty(name="End", default=-1e6, options={"SKIP_SAVE"}, description="The frame after the last one; by default where "
                       "directions or speech end")

    def begin(self, context: bpy.types.Context, character: Any) -> Any:
        """What comes after the take's last frame."""
        from . import editing, jobs, sound
        from .shared.edits import Range

        first, last = _origin(takes.current(character))
        rate = cast.fps(context.scene)
        end = self.end
        if end <= -1e6:
            end = max((d.end for d in character.understudy.directions if d.enabled), default=first)
            seconds = sound.read(context, character)[2]
            end = max(end, first + (seconds or 0.0) * rate)
        if end <= last:
            raise UnderstudyError("request_invalid", "Neither directions nor speech go on after the take's end.",
                                  "Lengthen a direction, or give the frame to which the take is to go.")
        length = (last - first) / rate
        # the last moments are made anew as well, so that the take does not stand still where it ended
        begin = Range(max(0.0, length - editing.JOIN_SECONDS), length)
        return editing.begin_edit(context, character, [begin], duration=(end - first) / rate, seeds=jobs.seeds_of(character))


def draw(layout: Any, context: bpy.types.Context, character: Any) -> None:
    """The rows under the takes."""
    settings = character.understudy
    if not settings.takes:
        if character.animation_data is not None and character.animation_data.action is not None:
            layout.operator("understudy.perform_between", icon="IPO_EASE_IN_OUT")
        return
    row = layout.row(align=True)
    row.operator("understudy.perform_range", icon="FILE_REFRESH")
    row.prop(settings, "edit_part", text="")
    row = layout.row(align=True)
    row.operator("understudy.perform_strip", text="Direction")
    row.operator("understudy.perform_between", text="Between")
    row.operator("understudy.extend_take", text="Extend")
    row.operator("understudy.loop_take", text="Loop")


CLASSES = (
    UNDERSTUDY_OT_perform_range, UNDERSTUDY_OT_perform_strip, UNDERSTUDY_OT_perform_between, UNDERSTUDY_OT_loop_take,
    UNDERSTUDY_OT_extend_take,
)
