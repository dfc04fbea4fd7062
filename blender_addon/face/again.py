# SPDX-License-Identifier: GPL-3.0-or-later
"""The face of a take made anew, all of it or where words were changed; the body keeps its keys."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import bpy
from bpy.props import FloatProperty

from .. import cast, compat, regenerate, session, takes, translations
from ..performance import Performing
from ..shared.errors import UnderstudyError
from ..sidebar import paragraph
from . import acting, shapes, word_list, words

if TYPE_CHECKING:
    from ..core.desk import Job

__all__ = ["CLASSES", "begin_face", "draw_face", "draw_words"]


def begin_face(context: bpy.types.Context, character: Any, ranges: Sequence[tuple[float, float]] = ()) -> "Job":
    """Ask for the face of the shown take, made anew.

    :param ranges: (start, end) seconds from the take's start; none: all of it.
    :raises UnderstudyError: for anything that is wrong before the bridge is asked.
    """
    from .. import directions, jobs, sound, splice
    from ..shared import timeline
    from ..shared.face_requests import FaceRequest
    from ..terms import makers

    if session.job_of(character) is not None:
        raise UnderstudyError("busy", f"{character.name} is performing already.", "Wait for it, or cancel it first.")
    take = takes.current(character)
    base = takes.motion_of(take.action if take else None)
    known = takes.facts_of(take.action)
    start, rate = words.take_start(character), cast.fps(context.scene)
    if base.fps != rate:
        base = base.resample(rate)
    content, name, _ = sound.read(context, character)
    transcript = acting.transcript_of(character)
    asked = timeline.check(directions.to_seconds(character.understudy.directions, start, rate))
    spans = [(max(0.0, a), min(b, base.duration)) for a, b in ranges] or [(0.0, base.duration)]
    spans = [(a, b) for a, b in spans if b > a]
    if not spans:
        raise UnderstudyError("request_invalid", "No changed word lies inside the take.", "Extend the take, or perform again.")
    seed = int(known.get("seed", take.seed))
    request = FaceRequest(base, spans, content, name, transcript, seed, [d for d in asked if d.start < base.duration],
                          acting.sampled(context, character, start, base.duration, content))
    facts = {**{k: v for k, v in known.items() if k in ("directions", "sound", "loop")}, "seed": seed, "start_frame": start,
             "fps": rate, "base": take.action.name, "face": [list(s) for s in spans],
             "speech": acting.signature(content, transcript), "lane": words.lane_mark(character)}
    session.tell(character, None)
    stretches = tuple(splice.Stretch(max(0, round(a * rate)), min(round(b * rate), len(base)), "face") for a, b in spans)
    owner = jobs.Performance(compat.session_uid(character), start, facts, stretches=stretches,
                             base_uid=compat.session_uid(take.action), keep_hand_set=character.understudy.keep_hand_set,
                             bases=tuple(makers(known)))
    job = session.desk().submit(request, owner)
    session.keep_pumping()
    return job


class _OnFace(Performing):
    @classmethod
    def reason(cls, context: bpy.types.Context) -> str:
        """Why it is greyed, or ""."""
        return regenerate.reason(context)


class UNDERSTUDY_OT_perform_face(_OnFace, bpy.types.Operator):
    """Perform only the face of the shown take again, as a new take: all of it, or the preview range"""

    bl_idname = "understudy.perform_face"
    bl_label = "Perform Face"

    start: FloatProperty(name="Start", default=-1e6, options={"SKIP_SAVE"}, description="First frame; by default as chosen in the timeline")
    end: FloatProperty(name="End", default=-1e6, options={"SKIP_SAVE"}, description="The frame after the last one")

    def begin(self, context: bpy.types.Context, character: Any) -> "Job":
        """The given range, the preview range, or all."""
        scene: Any = context.scene
        first, rate = words.take_start(character), cast.fps(scene)
        start, end = self.start, self.end
        if end <= -1e6 and scene.use_preview_range:
            start, end = float(scene.frame_preview_start), float(scene.frame_preview_end + 1)
        if end <= -1e6:
            return begin_face(context, character)
        if end <= max(start, first):
            raise UnderstudyError("request_invalid", f"Frames {start:.0f} to {end:.0f} are not in the take.",
                                  "Choose a range inside the take.")
        return begin_face(context, character, [((start - first) / rate, (end - first) / rate)])


class UNDERSTUDY_OT_perform_words(_OnFace, bpy.types.Operator):
    """Let the face follow the words as they are now: only where they were changed, as a new take"""

    bl_idname = "understudy.perform_words"
    bl_label = "Update Face"

    @classmethod
    def reason(cls, context: bpy.types.Context) -> str:
        """Why it is greyed, or ""."""
        found = super().reason(context)
        if not found and words.stale_range(context, cast.active(context)) is None:
            return "The face follows the words already"
        return found

    def begin(self, context: bpy.types.Context, character: Any) -> "Job":
        """From the first changed word to the last."""
        stale = words.stale_range(context, character)
        assert stale is not None
        return begin_face(context, character, [stale])


def draw_face(layout: Any, context: bpy.types.Context, character: Any) -> None:
    """Emotion, gaze, strengths, shapes, and the button."""
    acting.draw(layout, context, character)
    layout.operator("understudy.perform_face", icon="FILE_REFRESH")
    shapes.draw(layout, context, character)


def draw_words(layout: Any, context: bpy.types.Context, character: Any) -> None:
    """The list of words, and the button where the face does not follow them."""
    word_list.draw(layout, context, character)
    if words.stale_range(context, character) is not None:
        paragraph(layout, context, translations.sentence("The face does not follow the words yet"), "INFO")
    layout.operator("understudy.perform_words", icon="FILE_REFRESH")


CLASSES = (UNDERSTUDY_OT_perform_face, UNDERSTUDY_OT_perform_words)
