# SPDX-License-Identifier: Apache-2.0
"""The film of the character that some renderers take: all frames, and the scene's settings as they were."""

from pathlib import Path

import bpy
import pytest

from blender_addon.film.driving import film_character
from blender_addon.shared.errors import UnderstudyError


def test_the_character_is_filmed_and_nothing_is_changed(tmp_path: Path) -> None:
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    scene = bpy.context.scene
    rig = bpy.data.objects.new("Ava", bpy.data.armatures.new("Ava"))
    scene.collection.objects.link(rig)
    with pytest.raises(UnderstudyError, match="no camera"):
        film_character(scene, rig, (3, 5), (64, 64))
    camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
    scene.collection.objects.link(camera)
    scene.camera = camera
    scene.frame_set(7)
    render = scene.render
    before = (scene.frame_start, scene.frame_end, render.engine, render.resolution_x, render.filepath, render.image_settings.file_format,
              rig.hide_render, scene.display.shading.light)
    try:
        content = film_character(scene, rig, (3, 5), (64, 64))
    except UnderstudyError as error:
        pytest.skip(str(error))
    finally:
        after = (scene.frame_start, scene.frame_end, render.engine, render.resolution_x, render.filepath,
                 render.image_settings.file_format, rig.hide_render, scene.display.shading.light)
    assert after == before and scene.frame_current == 7
    path = tmp_path / "film.mp4"
    path.write_bytes(content.tobytes())
    clip = bpy.data.movieclips.load(str(path))
    assert tuple(clip.size) == (64, 64) and clip.frame_duration == 3
