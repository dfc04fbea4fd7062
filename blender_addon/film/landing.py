# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a film goes when it has been made: to a file, into the sequencer, onto a plane."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import bpy

from .. import compat, speech
from ..shared.errors import UnderstudyError

if TYPE_CHECKING:
    from ..shared.films import Film

__all__ = ["by_uid", "into_sequencer", "name_of", "onto_plane", "write"]

PROVENANCE_KEY = "understudy_film"


def write(film: "Film", folder: Path, name: str) -> Path:
    """Write the film under a name that is not taken; the path. Nothing is left of a film that could not be written whole.

    :raises UnderstudyError: ``file_invalid``.
    """
    import io
    import zipfile

    safe = bpy.path.clean_name(name) or "film"
    number = 1
    suffix = "" if film.format == "png" else f".{film.format}"
    while (path := folder / f"{safe} {number:03d}{suffix}").exists():
        number += 1
    temporary = path.with_name(f"part-{path.name}")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if film.format == "png":
            with zipfile.ZipFile(io.BytesIO(film.content.tobytes())) as archive:
                temporary.mkdir()
                for entry in archive.infolist():
                    # names are the bridge's own; a path in one would lead out of the folder
                    (temporary / Path(entry.filename).name).write_bytes(archive.read(entry))
        else:
            temporary.write_bytes(film.content.tobytes())
        temporary.rename(path)
    except (OSError, zipfile.BadZipFile) as error:
        raise UnderstudyError("file_invalid", f"{path.name} cannot be written ({getattr(error, 'strerror', None) or error}).",
                              "Choose another folder for films; the bridge keeps the film, film again to have it at once.") from error
    return path


def _channels(scene: Any, start: float, end: float, wanted: int) -> int:
    """The lowest channel above everything in the range, with as many free ones from there."""
    taken = [s.channel for s in compat.strips(scene) if compat.strip_range(s)[0] < end and compat.strip_range(s)[1] > start]
    return min(max(taken, default=0) + 1, 129 - wanted)


def _pictures(path: Path) -> list[str]:
    return sorted(p.name for p in path.glob("[0-9]*.png"))


def into_sequencer(context: bpy.types.Context, character: Any, path: Path, start: int, frames: int, has_sound: bool) -> list[str]:
    """Strips with picture and sound on the film's own frames; returns sentences for the artist."""
    scene = compat.sequencer_scene(context)
    strips = compat.strips(scene, create=True)
    notes: list[str] = []
    channel = _channels(scene, start, start + frames, 2)
    if path.is_dir():
        names = _pictures(path)
        strip = strips.new_image(path.name, str(path / names[0]), channel + 1, start)
        for name in names[1:]:
            strip.elements.append(name)
    else:
        strip = strips.new_movie(path.stem, str(path), channel + 1, start)
        if has_sound and compat.has_sound():
            voice = strips.new_sound(f"{path.stem} sound", str(path), channel, start)
            voice[PROVENANCE_KEY] = character.name
            if _heard_already(context, character, voice):
                voice.mute = True
                notes.append("The film's own sound is muted, because the speech is in the sequencer already.")
        elif has_sound:
            notes.append("This Blender was built without sound, so only the film's pictures are in the sequencer.")
    strip[PROVENANCE_KEY] = character.name
    end = start + frames - 1
    if end > scene.frame_end:
        scene.frame_end = end
        notes.append(f"The scene now ends at frame {end}, with the film.")
    return notes


def _heard_already(context: bpy.types.Context, character: Any, voice: Any) -> bool:
    settings = character.understudy
    if settings.sound_source == "SEQUENCER":
        return any(s != voice for s in speech.heard(context, character))
    own = speech.own_strip(context, character) if settings.sound_source == "FILE" else None
    return own is not None and not own.mute


def onto_plane(context: bpy.types.Context, character: Any, path: Path, start: int, frames: int, size: tuple[int, int]) -> Any:
    """A plane of the character's height beside it that shows the film on its frames; the object."""
    if path.is_dir():
        names = _pictures(path)
        image = bpy.data.images.load(str(path / names[0]))
        image.source = "SEQUENCE"
    else:
        image = bpy.data.images.load(str(path))
        image.source = "MOVIE"
    height = max(float(character.dimensions.z), 0.5)
    width = height * size[0] / size[1]
    mesh = bpy.data.meshes.new(path.stem)
    corners = [(-width / 2, 0.0, 0.0), (width / 2, 0.0, 0.0), (width / 2, 0.0, height), (-width / 2, 0.0, height)]
    mesh.from_pydata(corners, [], [(0, 1, 2, 3)])
    layer = mesh.uv_layers.new(name="UVMap")
    for n, uv in enumerate(((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0))):
        layer.data[n].uv = uv
    mesh.materials.append(_material(path.stem, image, start, frames))
    plane: Any = bpy.data.objects.new(path.stem, mesh)
    plane[PROVENANCE_KEY] = character.name
    context.scene.collection.objects.link(plane)
    plane.location = character.matrix_world.translation
    plane.location.x += (float(character.dimensions.x) + width) / 2 + 0.2
    return plane


def _material(name: str, image: Any, start: int, frames: int) -> Any:
    material: Any = bpy.data.materials.new(name)
    if material.node_tree is None:
        material.use_nodes = True
    tree = material.node_tree
    tree.nodes.clear()
    texture, light, output = (tree.nodes.new(f"ShaderNode{kind}") for kind in ("TexImage", "Emission", "OutputMaterial"))
    texture.image = image
    user = texture.image_user
    user.frame_start, user.frame_duration, user.use_auto_refresh = start, frames, True
    texture.location, light.location, output.location = (-300, 0), (0, 0), (200, 0)
    tree.links.new(texture.outputs["Color"], light.inputs["Color"])
    tree.links.new(light.outputs["Emission"], output.inputs["Surface"])
    return material


def by_uid(uid: int) -> Any:
    """The character, or None where it was deleted or another file was loaded."""
    return next((o for o in bpy.data.objects if compat.session_uid(o) == uid and o.type == "ARMATURE"), None)


def name_of(character: Any) -> str:
    """What a film of a character is called."""
    return f"{character.name} film"
