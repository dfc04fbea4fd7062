# SPDX-License-Identifier: GPL-3.0-or-later
"""What is saved of films: with the character how to film it, with the picture who may use it and where the body is."""

from typing import Any

import bpy
from bpy.props import (
    BoolProperty, CollectionProperty, EnumProperty, FloatProperty, IntProperty, PointerProperty, StringProperty,
)

__all__ = ["CLASSES", "add_pointers", "film_of", "picture_of", "remove_pointers"]

FRAMINGS = [
    ("scene", "Scene Camera", "Through the scene's own camera"),
    ("head", "Talking Head", "Head and shoulders, from a calm camera before the performer"),
    ("half", "Half Body", "Down to the hips, from a calm camera before the performer"),
    ("whole", "Whole Body", "From head to feet, from a calm camera before the performer"),
]
QUALITIES = [
    ("draft", "Draft", "As fast as the renderer can"), ("normal", "Normal", "As the renderer is meant to be used"),
    ("best", "Best", "More steps where the renderer has them"),
]
FORMATS = [
    ("mp4", "MP4", "H.264 with AAC sound"), ("mov", "ProRes", "ProRes with uncompressed sound, for editing"),
    ("png", "PNG Pictures", "A folder of numbered pictures"),
]
SHAPES = [("PHOTO", "Picture", "The proportions of the reference picture"), ("SCENE", "Scene", "The proportions of the scene's render")]
SPANS = [
    ("TAKE", "Take", "The frames of the shown take; without one, the scene's"), ("SCENE", "Scene", "The scene's frames"),
    ("FRAMES", "Frames", "From one frame to another"),
]
# from 4.5 on a path that may begin with // has to say so
_RELATIVE = {"PATH_SUPPORTS_BLEND_RELATIVE"} if "is_path_supports_blend_relative" in bpy.types.Property.bl_rna.properties else set()
LANDINGS = [
    ("SEQUENCER", "Sequencer", "Lay the film into the sequencer on its frames, with the sound"),
    ("PLANE", "Plane", "Show the film on a plane beside the character"),
    ("FILE", "File Only", "Write the file, and leave the scene as it is"),
]


class FilmPoint(bpy.types.PropertyGroup):
    """A point of the body, in pixels of the picture from its upper left corner."""

    x: FloatProperty()
    y: FloatProperty()
    shown: BoolProperty(default=True)


class PictureSettings(bpy.types.PropertyGroup):
    """What is kept with a reference picture."""

    permission: StringProperty(name="Permission", description="Who allows the use of this picture, and for what")
    permission_digest: StringProperty(options={"HIDDEN"}, description="Of the picture that was permitted; another one is asked for again")
    points: CollectionProperty(type=FilmPoint)
    placed_by: StringProperty(options={"HIDDEN"})
    notes: StringProperty(options={"HIDDEN"}, description="What was seen when the picture was looked at, one sentence a line")


class FilmSettings(bpy.types.PropertyGroup):
    """How a character is filmed."""

    photo: PointerProperty(name="Picture", type=bpy.types.Image, description="Photograph of the person who is to perform: one, frontal")
    framing: EnumProperty(name="Framing", items=FRAMINGS, default="half")
    renderer: StringProperty(name="Renderer", default="puppet", description="What draws the film")
    quality: EnumProperty(name="Quality", items=QUALITIES, default="normal")
    file_format: EnumProperty(name="Format", items=FORMATS, default="mp4")
    shape: EnumProperty(name="Shape", items=SHAPES)
    short_side: IntProperty(name="Short Side", default=512, min=64, max=2160, subtype="PIXEL",
                            description="Pixels of the film's shorter side")
    span: EnumProperty(name="Length", items=SPANS)
    first: IntProperty(name="From", default=1, description="First frame that is filmed")
    last: IntProperty(name="To", default=250, description="Last frame that is filmed")
    seed: IntProperty(name="Seed", min=0, description="The same seed gives the same film, with renderers that draw at random")
    mark: BoolProperty(name="Visible Mark", description="Write into the picture that it was generated")
    landing: EnumProperty(name="Result", items=LANDINGS)
    folder: StringProperty(
        name="Folder", subtype="DIR_PATH", default="//films/", options=_RELATIVE,
        description="Where films are written; // is beside the .blend file")
    again_first: IntProperty(name="From", default=1, description="First frame of the stretch that is filmed again")
    again_last: IntProperty(name="To", default=50, description="Last frame of the stretch that is filmed again")
    made_path: StringProperty(options={"HIDDEN"})
    made_first: FloatProperty(options={"HIDDEN"})
    made_last: FloatProperty(options={"HIDDEN"})
    show_points: BoolProperty(name="Show Points", default=True, description="Draw the body's points over the picture in the Image Editor")
    show_performance: BoolProperty(
        name="Show Performance", default=True, description="Draw the character's pose at this frame over the picture, fitted to its points")


_POINTERS = ((bpy.types.Object, "understudy_film", FilmSettings), (bpy.types.Image, "understudy_picture", PictureSettings))


def film_of(character: Any) -> Any:
    """The film settings of a character."""
    return character.understudy_film


def picture_of(image: Any) -> Any:
    """What is kept with a reference picture."""
    return image.understudy_picture


def add_pointers() -> None:
    """Hang the properties onto Blender's types."""
    for owner, name, kind in _POINTERS:
        setattr(owner, name, PointerProperty(type=kind))


def remove_pointers() -> None:
    """The inverse of :func:`add_pointers`."""
    for owner, name, _ in reversed(_POINTERS):
        delattr(owner, name)


CLASSES = (FilmPoint, PictureSettings, FilmSettings)
