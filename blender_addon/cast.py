# SPDX-License-Identifier: GPL-3.0-or-later
"""The character: which armature performs, what rig it is, and where failures about it are told."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import bpy
from bpy.props import PointerProperty

from . import compat, preferences, session, translations
from .sequence import origin
from .shared.errors import UnderstudyError

if TYPE_CHECKING:
    from .core.rigs.mapping import Mapping

__all__ = [
    "CLASSES", "InObjectMode", "NO_CHARACTER", "OnCharacter", "SceneSettings", "active", "by_uid", "cannot_write", "clear_notice", "draw",
    "fps", "mapping_of", "origin", "refuse",
]

NO_CHARACTER = "No character chosen: pick an armature, or add a character"

_mappings: "dict[int, tuple[int, Mapping]]" = {}
"""Mapping per character (session uid), with a hash of what it was made from."""


def _is_armature(self: Any, candidate: bpy.types.Object) -> bool:
    return candidate.type == "ARMATURE"


def _chosen(self: Any, context: bpy.types.Context) -> None:
    """A character that was never set otherwise begins with what the preferences say."""
    if self.character is None or self.character.library is not None:
        return
    settings, chosen = self.character.understudy, preferences.get()
    for name, wanted in (("key_mode", chosen.default_keys), ("root", chosen.default_root)):
        if not settings.is_property_set(name) and getattr(settings, name) != wanted:
            setattr(settings, name, wanted)


class SceneSettings(bpy.types.PropertyGroup):
    """What the sidebar shows in a scene."""

    character: PointerProperty(
        name="Character", type=bpy.types.Object, poll=_is_armature, update=_chosen, description="The armature that performs")


def active(context: bpy.types.Context) -> Any:
    """The chosen character, or the active armature where none is chosen, or None."""
    scene: Any = context.scene
    chosen = scene.understudy.character if scene is not None else None
    if chosen is not None and chosen.name in bpy.data.objects and chosen.type == "ARMATURE":
        return chosen
    candidate = getattr(context, "object", None)
    return candidate if candidate is not None and candidate.type == "ARMATURE" else None


class OnCharacter:
    """Mix-in for operators that need a character."""

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Whether there is one."""
        if active(context) is None:
            cls.poll_message_set(NO_CHARACTER)  # type: ignore[attr-defined]
            return False
        return True


class InObjectMode:
    """Mix-in for operators that add figures, which is done in Object Mode only."""

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Whether Blender is in it."""
        if context.mode != "OBJECT":
            cls.poll_message_set("Leave the present mode for Object Mode first")  # type: ignore[attr-defined]
            return False
        return True


def by_uid(uid: int) -> Any:
    """The armature with a session uid. :raises UnderstudyError: ``character_missing`` where it is gone."""
    found = next((o for o in bpy.data.objects if compat.session_uid(o) == uid and o.type == "ARMATURE"), None)
    if found is None:
        raise UnderstudyError("character_missing", "The character was deleted while it performed.",
                              "Undo the deletion and press Perform again.")
    return found


def fps(scene: Any) -> float:
    """Frames per second of the scene."""
    return float(scene.render.fps / scene.render.fps_base)


def mapping_of(character: Any) -> "Mapping":
    """How the rig's bones stand for the body's joints; kept until its bones change.

    :raises UnderstudyError: ``rig_unknown`` with the reason.
    """
    bones = character.data.bones
    uid = compat.session_uid(character)
    made_from = hash((character.understudy.bone_map, *(b.name for b in bones)))
    kept = _mappings.get(uid)
    if kept is None or kept[0] != made_from:
        from . import bone_map

        kept = (made_from, bone_map.make_mapping(character))
        _mappings[uid] = kept
    return kept[1]


def forget_mappings() -> None:
    """After another file was loaded, uids name other things."""
    _mappings.clear()


def refuse(operator: bpy.types.Operator, character: Any, error: UnderstudyError) -> set[str]:
    """Tell a failure in the panel and in the operator's report; returns ``{"CANCELLED"}``."""
    session.tell(character, error)
    operator.report({"ERROR"}, translations.sentence(str(error)) if error.log else
                    f"{translations.sentence(error.message)} {translations.sentence(error.fix)}".strip())
    return {"CANCELLED"}


def clear_notice(character: Any) -> None:
    """A success wipes out what the panel said about the last failure."""
    session.tell(character, None)


def cannot_write(path: Path, error: OSError) -> UnderstudyError:
    """The sentence for a file that cannot be written."""
    return UnderstudyError("file_invalid", f"{path.name} cannot be written ({error.strerror or error}).",
                           "Choose another folder, or check its permissions.")


class UNDERSTUDY_OT_add_character(InObjectMode, bpy.types.Operator):
    """Add a neutral figure that can perform at once"""

    bl_idname = "understudy.add_character"
    bl_label = "Add Understudy Character"
    bl_options = {"REGISTER", "UNDO"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Build the figure and choose it."""
        from .character import add_character

        character = add_character(context)
        context.scene.understudy.character = character
        return {"FINISHED"}


def draw(layout: Any, context: bpy.types.Context) -> None:
    """The line with the character and its rig."""
    settings = context.scene.understudy
    row = layout.row(align=True)
    row.prop(settings, "character", text="")
    row.operator("understudy.add_character", text="", icon="ADD")
    character = active(context)
    if character is None:
        layout.label(text="Pick an armature, or add a character", icon="INFO")
        return
    try:
        mapping = mapping_of(character)
    except UnderstudyError as error:
        layout.label(text=error.message, icon="ERROR")
        return
    layout.label(text=mapping.summary, icon="ARMATURE_DATA")


def menu(self: Any, context: bpy.types.Context) -> None:
    """The entry in Add, Armature."""
    self.layout.operator("understudy.add_character", text="Understudy Character", icon="OUTLINER_OB_ARMATURE")


CLASSES = (SceneSettings, UNDERSTUDY_OT_add_character)
