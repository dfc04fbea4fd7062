# SPDX-License-Identifier: GPL-3.0-or-later
"""What is saved with a character, and where it hangs in the file."""

import math
from typing import Any

import bpy
from bpy.props import (
    BoolProperty, CollectionProperty, EnumProperty, FloatProperty, IntProperty, PointerProperty, StringProperty,
)

from . import terms
from .cast import SceneSettings
from .choices import KEY_MODES, ROOTS
from .directions import PARTS, DirectionItem, activated
from .speech import SOURCES
from .takes import PLACES, Take, show_again

__all__ = ["CLASSES", "add_pointers", "remove_pointers"]


class CharacterSettings(bpy.types.PropertyGroup):
    """Everything that Understudy keeps with an armature."""

    directions: CollectionProperty(type=DirectionItem)
    direction_index: IntProperty(name="Active Direction", options={"HIDDEN"}, update=activated)
    sound_source: EnumProperty(name="Speech", items=SOURCES)
    sound_path: StringProperty(name="Sound", subtype="FILE_PATH", description="Sound file with the speech")
    sequencer_channel: IntProperty(
        name="Channel", min=0, max=128, description="Sequencer channel with this character's speech; 0: all channels")
    weights: StringProperty(
        name="Weights", default=terms.DEFAULT, search=terms.names, search_options={"SUGGESTION"},
        description="The trained motion that performs; the bridge says which there are")
    seed: IntProperty(name="Seed", min=0, description="The same seed with the same directions gives the same take")
    seed_locked: BoolProperty(name="Lock Seed", description="Perform again with the same seed instead of the next one")
    text_guidance: FloatProperty(
        name="Follow Words", default=0.0, min=0.0, max=10.0,
        description="How strictly directions are followed; 0: as the weights do it best")
    audio_guidance: FloatProperty(
        name="Follow Speech", default=0.0, min=0.0, max=10.0,
        description="How strictly the speech is followed; 0: as the weights do it best")
    temperature: FloatProperty(
        name="Variety", default=0.0, min=0.0, soft_max=2.0, max=5.0,
        description="How far from the likeliest movement a performance may go, more varied and less sure; 0: as the weights do it best")
    amplitude: FloatProperty(name="Size", default=1.0, min=0.0, max=2.0, description="How large gestures are")
    tempo: FloatProperty(name="Tempo", default=1.0, min=0.0, max=2.0, description="How fast gestures are")
    energy: FloatProperty(name="Energy", default=1.0, min=0.0, max=2.0, description="How forceful gestures are")
    keep_time: BoolProperty(
        name="Keep Time", default=True, description="Gestures end on syllables where nothing is directed and speech alone drives the body")
    root: EnumProperty(name="Root", items=ROOTS, description="Where the way through the room goes")
    key_mode: EnumProperty(name="Keys", items=KEY_MODES, description="How many keys a take gets")
    key_angle: FloatProperty(
        name="Angle Error", default=math.radians(0.5), min=math.radians(0.01), max=math.radians(10), subtype="ANGLE",
        description="How far a simplified rotation may stray; a fifth of it for the legs")
    key_distance: FloatProperty(
        name="Distance Error", default=0.002, min=0.0001, max=0.1, subtype="DISTANCE", precision=4,
        description="How far a simplified location may stray")
    face_error: FloatProperty(
        name="Face Error", default=0.01, min=0.001, max=0.2, description="How far a simplified face shape may stray")
    bone_map: StringProperty(options={"HIDDEN"}, description="The bone map as edited by hand, in the form of its file; empty: recognised")
    transcript: StringProperty(
        name="Transcript", description="What is said, if you have it: the lips then follow the words")
    keep_hand_set: BoolProperty(
        name="Keep Hand-Set Keys", default=True,
        description="Keys that you have set or changed stay exactly as they are when a part of the take is performed again")
    edit_part: EnumProperty(name="Part", items=PARTS, description="What may change in a range that is performed again")
    variations: IntProperty(
        name="Variations", default=1, min=1, max=20, 
        description="How many takes to perform one after the other, with seeds that follow; also of a range, a direction or an in-between")
    take_place: EnumProperty(name="Takes As", items=PLACES, update=show_again, description="Where takes lie")
    takes: CollectionProperty(type=Take)
    take_index: IntProperty(default=-1, min=-1, options={"HIDDEN"})
    own: PointerProperty(type=Take)
    own_stored: BoolProperty(options={"HIDDEN"})


class WindowSettings(bpy.types.PropertyGroup):
    """What belongs to the session's windows."""

    show_strips: BoolProperty(
        name="Show Directions", default=True, description="Draw the directions over the Timeline and the Dope Sheet")
    show_fingers: BoolProperty(name="Fingers", description="Show the fingers in the bone map")


_OWNERS: tuple[tuple[Any, Any], ...] = (
    (bpy.types.Object, CharacterSettings), (bpy.types.Scene, SceneSettings), (bpy.types.WindowManager, WindowSettings),
)


def add_pointers() -> None:
    """Hang the properties onto Blender's types."""
    for owner, settings in _OWNERS:
        owner.understudy = PointerProperty(type=settings)


def remove_pointers() -> None:
    """The inverse of :func:`add_pointers`."""
    for owner, _ in reversed(_OWNERS):
        del owner.understudy


CLASSES = (CharacterSettings, WindowSettings)
