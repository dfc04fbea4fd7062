# SPDX-License-Identifier: GPL-3.0-or-later
"""The bone map: which bone stands for which part of the body, changed by hand, kept with the character or as a preset."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import bpy
from bpy.props import BoolProperty, EnumProperty, StringProperty
from bpy_extras.io_utils import ExportHelper, ImportHelper

from . import cast
from .shared.errors import UnderstudyError
from .sidebar import OfCharacter

if TYPE_CHECKING:
    from .core.rigs.mapping import Mapping
    from .core.rigs.preset import Preset

__all__ = ["CLASSES", "UNDERSTUDY_PT_bone_map", "folder", "make_mapping", "user_maps"]

_bone_items: list[tuple[str, str, str]] = []
"""Kept here because Blender does not keep the strings of an enum callback."""


def folder() -> Path:
    """Where the artist's own bone maps are."""
    try:
        found = bpy.utils.extension_path_user(__package__ or "", path="rigs", create=True)
    except ValueError:  # run from the source tree, not as an extension
        found = bpy.utils.user_resource("CONFIG", path="understudy/rigs", create=True)
    return Path(found)


def user_maps() -> "list[Preset]":
    """The artist's own bone maps; files that cannot be read are left out."""
    from .core.rigs.user_presets import load_all

    return load_all(folder())[0]


def make_mapping(character: Any) -> "Mapping":
    """The bone map of a character: as edited by hand, as a preset of the artist's has it, else as recognised.

    :raises UnderstudyError: ``rig_unknown``.
    """
    from . import rig_reader
    from .core.rigs.mapping import Mapping
    from .core.rigs.reasons import missing_sentences, unmapped_sentences

    names, parents = _bones(character)
    own = _stored(character)
    key = "user"
    for preset in [] if own else user_maps():
        # a preset of one's own is meant for rigs that have all of its bones
        if preset.exact and all(bone in names for chain in preset.exact.values() for bone in chain):
            key, own = preset.key, (preset.label, {slot: tuple(chain) for slot, chain in preset.exact.items()})
            break
    try:
        found = rig_reader.detect_rig(character)
    except UnderstudyError:
        if own is None:
            raise
        found = Mapping("user", "My rig", {}, len(names))
    if own is None:
        return found
    slots = {slot: tuple(b for b in chain if b in names) for slot, chain in own[1].items()}
    slots = {slot: chain for slot, chain in slots.items() if chain}
    return found.with_slots(slots, preset=key, label=own[0], warnings=(), score=1.0, missing=missing_sentences(slots, None, {}),
                            unmapped=unmapped_sentences(names, parents, slots))


def _stored(character: Any) -> tuple[str, dict[str, tuple[str, ...]]] | None:
    """Label and slots of the map that is kept with the character."""
    from .core.rigs.user_presets import from_json

    if not character.understudy.bone_map:
        return None
    try:
        preset = from_json(json.loads(character.understudy.bone_map), "The character's bone map")
    except (ValueError, UnderstudyError):
        return None
    return preset.label, {slot: tuple(names) for slot, names in preset.exact.items()}


def _bones(character: Any) -> tuple[list[str], list[int]]:
    from . import rig_reader

    rig = rig_reader.read_rig(character)
    return list(rig.names), [int(p) for p in rig.parents]


def _present(character: Any) -> "Mapping":
    """The map as it is, empty where nothing was recognised."""
    from .core.rigs.mapping import Mapping

    try:
        return cast.mapping_of(character)
    except UnderstudyError:
        return Mapping("user", "My rig", {}, len(character.data.bones))


def _keep(character: Any, mapping: "Mapping") -> None:
    from .core.rigs.user_presets import to_json

    character.understudy.bone_map = json.dumps(to_json(mapping, mapping.label))


def _choices(self: Any, context: Any) -> list[tuple[str, str, str]]:
    character = cast.active(context)
    _bone_items[:] = [("", "None", "")] + [(b.name, b.name, "") for b in character.data.bones] if character else []
    return _bone_items


class UNDERSTUDY_OT_bone_set(cast.OnCharacter, bpy.types.Operator):
    """Choose the bone for a part of the body; the other side goes along where names tell it"""

    bl_idname = "understudy.bone_set"
    bl_label = "Choose Bone"
    bl_options = {"REGISTER", "UNDO"}
    bl_property = "choice"

    slot: StringProperty(name="Part of the Body")
    bones: StringProperty(name="Bones", options={"SKIP_SAVE"},
                          description="One bone, or a chain from the hips outwards with commas between; empty: none")
    mirror: BoolProperty(name="Mirror", default=True, description="Choose the bone of the other side as well")
    choice: EnumProperty(name="Bone", items=_choices, options={"HIDDEN", "SKIP_SAVE"})

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        """Search among the bones."""
        self.mirror = not event.alt
        context.window_manager.invoke_search_popup(self)
        return {"RUNNING_MODAL"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Put it into the map, which is kept with the character."""
        from .core.rigs.edit import set_slot

        character = cast.active(context)
        text = self.bones or (self.choice if self.properties.is_property_set("choice") else "")
        chain = [name.strip() for name in text.split(",") if name.strip()]
        try:
            names, parents = _bones(character)
            _keep(character, set_slot(_present(character), self.slot, chain, names, parents, mirror=self.mirror))
        except UnderstudyError as error:
            return cast.refuse(self, character, error)
        cast.clear_notice(character)
        return {"FINISHED"}


class UNDERSTUDY_OT_bone_map_reset(cast.OnCharacter, bpy.types.Operator):
    """Forget what was changed by hand and recognise the rig anew"""

    bl_idname = "understudy.bone_map_reset"
    bl_label = "Recognise Anew"
    bl_options = {"REGISTER", "UNDO"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Drop the kept map."""
        character = cast.active(context)
        character.understudy.bone_map = ""
        cast.forget_mappings()
        cast.clear_notice(character)
        return {"FINISHED"}


class UNDERSTUDY_OT_bone_map_save(cast.OnCharacter, bpy.types.Operator):
    """Keep this bone map as a preset: rigs with these bones are then recognised in every file"""

    bl_idname = "understudy.bone_map_save"
    bl_label = "Save Bone Map"
    bl_options = {"REGISTER"}

    label: StringProperty(name="Name", default="My rig")

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> Any:
        """Ask for the name."""
        return context.window_manager.invoke_props_dialog(self)

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Write it into the folder of presets."""
        from .core.rigs.user_presets import save

        character = cast.active(context)
        try:
            path = save(cast.mapping_of(character), self.label, folder())
        except UnderstudyError as error:
            return cast.refuse(self, character, error)
        cast.forget_mappings()
        self.report({"INFO"}, f"Saved {path.name}")
        return {"FINISHED"}


class UNDERSTUDY_OT_bone_map_export(cast.OnCharacter, bpy.types.Operator, ExportHelper):
    """Write the bone map to a file, to give it to others"""

    bl_idname = "understudy.bone_map_export"
    bl_label = "Export Bone Map"

    filename_ext = ".json"
    filepath: StringProperty(subtype="FILE_PATH")

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Write the file."""
        from .core.rigs.user_presets import save

        character = cast.active(context)
        try:
            mapping = cast.mapping_of(character)
            save(mapping, mapping.label, Path(bpy.path.abspath(self.filepath)))
        except UnderstudyError as error:
            return cast.refuse(self, character, error)
        return {"FINISHED"}


class UNDERSTUDY_OT_bone_map_import(cast.OnCharacter, bpy.types.Operator, ImportHelper):
    """Use a bone map from a file for this character"""

    bl_idname = "understudy.bone_map_import"
    bl_label = "Import Bone Map"
    bl_options = {"REGISTER", "UNDO"}

    filepath: StringProperty(subtype="FILE_PATH")
    filter_glob: StringProperty(default="*.json", options={"HIDDEN"})

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Read it; a map that does not fit this rig is refused."""
        from .core.rigs.detect import apply_preset
        from .core.rigs.user_presets import load

        character = cast.active(context)
        try:
            mapping = apply_preset(load(Path(bpy.path.abspath(self.filepath))), *_bones(character))
            mapping.check()
        except UnderstudyError as error:
            return cast.refuse(self, character, error)
        _keep(character, mapping)
        cast.clear_notice(character)
        return {"FINISHED"}


class UNDERSTUDY_PT_bone_map(OfCharacter, bpy.types.Panel):
    """Part of the body and bone, line by line, and why a bone is left out."""

    bl_label = "Bone Map"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        """The lines, then the sentences."""
        from .core.rigs.slots import FINGERS, LABELS, SLOTS, TWIST

        layout: Any = self.layout
        windows: Any = context.window_manager
        options = windows.understudy
        mapping = _present(cast.active(context))
        row = layout.row(align=True)
        for name, icon in (("bone_map_save", "FILE_TICK"), ("bone_map_import", "IMPORT"), ("bone_map_export", "EXPORT"),
                           ("bone_map_reset", "LOOP_BACK")):
            row.operator(f"understudy.{name}", text="", icon=icon)
        row.prop(options, "show_fingers", toggle=True)
        column = layout.column(align=True)
        for slot in SLOTS:
            if slot in TWIST and not mapping.bones(slot):
                continue
            if not options.show_fingers and any(f"_{finger}" in slot for finger in FINGERS):
                continue
            line = column.split(factor=0.4, align=True)
            line.label(text=LABELS[slot].capitalize())
            chain = mapping.bones(slot)
            pair = line.row(align=True)
            pair.operator("understudy.bone_set", text=", ".join(chain) or "…", icon="BONE_DATA" if chain else "ERROR").slot = slot
        for title, sentences in (("Doubtful", mapping.warnings), ("Empty", tuple(mapping.missing.values())),
                                 ("Left Out", tuple(mapping.unmapped.values()))):
            if sentences:
                box = layout.box()
                box.label(text=f"{title}: {len(sentences)}")
                for sentence in sentences[:30]:
                    box.label(text=sentence)


CLASSES = (
    UNDERSTUDY_OT_bone_set, UNDERSTUDY_OT_bone_map_reset, UNDERSTUDY_OT_bone_map_save, UNDERSTUDY_OT_bone_map_export,
    UNDERSTUDY_OT_bone_map_import,
)
