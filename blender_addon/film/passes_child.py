# SPDX-License-Identifier: GPL-3.0-or-later
"""Depth, normals, mask and movement of a scene as Blender renders them; runs in a Blender of its own, and imports nothing of the add-on.

    blender -b copy.blend --python passes_child.py -- '{"folder": …, "frames": [first, last], "character": name, "size": [w, h]}'

Cycles with one sample, since it needs no display and gives all four. Each frame is written as a multilayer EXR without compression,
which is read back here and kept as ``passes_000001.npz``: ``depth`` (H, W) metres, inf where there is nothing; ``normal`` (H, W, 3) in the
camera's axes (+X right, +Y up, +Z towards the camera); ``mask`` (H, W) bool, the character; ``flow`` (H, W, 2) pixels to where the point is
in the next frame, x right and y down.
"""

import json
import os
import struct
import sys
from pathlib import Path

import bpy
import numpy as np

_SIZES = {0: ("<u4", 4), 1: ("<f2", 2), 2: ("<f4", 4)}


def _text(content, place):
    end = content.index(b"\0", place)
    return content[place:end].decode(), end + 1


def _header(content, place):
    """Attributes of one part, raw, and where the next one begins."""
    found = {}
    while content[place]:
        name, place = _text(content, place)
        _, place = _text(content, place)
        (size,) = struct.unpack_from("<i", content, place)
        found[name] = content[place + 4: place + 4 + size]
        place += 4 + size
    return found, place + 1


def _channels(value):
    """Name, element type and size of the channels of a part, in the order in which a row holds them."""
    found, at = [], 0
    while value[at]:
        name, at = _text(value, at)
        found.append((name, *_SIZES[struct.unpack_from("<i", value, at)[0]]))
        at += 16
    return found


def read_exr(path):
    """Channels (H, W) of an uncompressed scanline EXR by name, "part.channel" where it has several parts.

    :raises ValueError: for another kind of file.
    """
    content = Path(path).read_bytes()
    magic, version = struct.unpack_from("<II", content)
    if magic != 20000630 or version & 0x0A00:
        raise ValueError(f"{path} is no scanline EXR")
    several = bool(version & 0x1000)
    place, parts = 8, []
    while True:
        part, place = _header(content, place)
        parts.append(part)
        if not several:
            break
        if not content[place]:
            place += 1
            break
    out: dict[str, np.ndarray] = {}
    for part in parts:
        if part["compression"][0] != 0:
            raise ValueError(f"{path} is compressed")
        window = struct.unpack("<4i", part["dataWindow"])
        width, height = window[2] - window[0] + 1, window[3] - window[1] + 1
        offsets = np.frombuffer(content, "<u8", height, place)
        place += 8 * height
        channels, prefix = _channels(part["channels"]), part["name"].decode() + "." if several else ""
        rows = {name: np.empty((height, width), dtype) for name, dtype, _ in channels}
        for offset in offsets:
            # a row: (the part's number,) its y, the size, the channels one after the other
            at = int(offset) + 4 * several
            row = struct.unpack_from("<i", content, at)[0] - window[1]
            at += 8
            for name, dtype, size in channels:
                rows[name][row] = np.frombuffer(content, dtype, width, at)
                at += width * size
        out |= {prefix + name: values for name, values in rows.items()}
    return out


def _layer(channels, *names):
    """The channel whose name ends so, whatever view layer it is of; releases have called one by several names."""
    found = next((values for key, values in channels.items() if f".{key}".endswith(tuple("." + name for name in names))), None)
    if found is None:
        raise ValueError(f"Blender did not write {names[0]}; there are {', '.join(channels)}")
    return found.astype(np.float32)


def prepare(scene, character, size):
    """Everything that the passes need of the scene."""
    layer = scene.view_layers[0]
    scene.render.engine = "CYCLES"
    scene.cycles.device, scene.cycles.samples, scene.cycles.use_denoising = "CPU", 1, False
    scene.cycles.use_adaptive_sampling = False
    scene.cycles.max_bounces = 0
    # the vector pass is empty under motion blur, and one sample in the middle of the pixel is what a track has
    scene.render.use_motion_blur, scene.cycles.pixel_filter_type, scene.cycles.filter_width = False, "BOX", 0.01
    for name in ("z", "normal", "vector", "object_index"):
        setattr(layer, f"use_pass_{name}", True)
    render = scene.render
    render.resolution_x, render.resolution_y, render.resolution_percentage = *size, 100
    render.use_compositing = render.use_sequencer = render.use_border = False
    image = render.image_settings
    if hasattr(image, "media_type"):
        image.media_type = "MULTI_LAYER_IMAGE"
    image.file_format, image.color_depth, image.exr_codec = "OPEN_EXR_MULTILAYER", "32", "NONE"
    rig = bpy.data.objects[character]
    for one in bpy.data.objects:
        carried = one.parent == rig or any(m.type == "ARMATURE" and getattr(m, "object", None) == rig for m in one.modifiers)
        one.pass_index = 1 if carried else 0


def passes_of(channels, view):
    """The four tracks of one frame. :param view: (3, 3) world to camera."""
    depth = _layer(channels, "Depth.Z")
    depth = np.where(depth > 1e9, np.float32(np.inf), depth)
    normal = np.stack([_layer(channels, f"Normal.{axis}") for axis in "XYZ"], -1) @ view.T
    # X and Y point to the frame before, Z and W to the next one; Blender counts rows from below
    flow = np.stack((-_layer(channels, "Vector.Z"), _layer(channels, "Vector.W")), -1)
    mask = _layer(channels, "IndexOB.X", "Object Index.X") > 0.5
    return {"depth": depth, "normal": normal.astype(np.float32), "mask": mask, "flow": flow}


def main(asked):
    scene = bpy.context.scene
    folder, (first, last) = Path(asked["folder"]), asked["frames"]
    prepare(scene, asked["character"], asked["size"])
    part = folder / "part.exr"
    for number, frame in enumerate(range(first, last + 1), 1):
        scene.frame_set(frame)
        scene.render.filepath = str(part)
        bpy.ops.render.render(write_still=True)
        view = np.array(scene.camera.matrix_world.normalized().inverted())[:3, :3].astype(np.float32)
        temporary = folder / "part.npz"
        with temporary.open("wb") as file:
            np.savez_compressed(file, frame=np.array(frame), **passes_of(read_exr(part), view))
        temporary.replace(folder / f"passes_{number:06d}.npz")
        print(f"@passes {number}", flush=True)
    part.unlink()


if __name__ == "__main__":
    main(json.loads(sys.argv[sys.argv.index("--") + 1]))
    sys.stdout.flush()
    os._exit(0)
