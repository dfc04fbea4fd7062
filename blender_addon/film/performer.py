# SPDX-License-Identifier: GPL-3.0-or-later
"""The character as the scene shows it, frame by frame: after the artist's edits, constraints, drivers and shape keys."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import bpy
import numpy as np

if TYPE_CHECKING:
    from ..core.film_rig import Observed

__all__ = ["Seen", "read_performer"]


class Seen:
    """What was read.

    :ivar joints: places and turns. :ivar face: ARKit curves (T,).
    :ivar views: (T, 4, 4) and :ivar projections: (T, 4, 4) of the scene's camera, or None without one.
    :ivar size: the camera's picture in pixels.
    """

    def __init__(self, joints: "Observed", face: dict[str, np.ndarray], views: np.ndarray | None, projections: np.ndarray | None,
                 size: tuple[int, int]) -> None:
        self.joints, self.face, self.views, self.projections, self.size = joints, face, views, projections, size


def read_performer(scene: Any, character: Any, frames: Sequence[float], *, camera: bool,
                   tick: Callable[[float], None] | None = None) -> Seen:
    """Read a character at scene frames; the scene's present frame comes back afterwards.

    :param camera: read the scene's camera as well. :param tick: told the share that is done.
    :raises UnderstudyError: ``rig_unknown``, or what is wrong with the camera.
    """
    from .. import cast, faces, rig_reader
    from ..core.film_face import curves_of_joints, curves_of_shapes
    from ..core.film_rig import observer_of
    from .scene_camera import camera_at, check_camera, picture_size

    observer = observer_of(rig_reader.read_rig(character), cast.mapping_of(character))
    size = picture_size(scene)
    if camera:
        check_camera(scene)
    keys = faces.driven_keys(character)
    posed = np.empty((len(frames), len(observer.bones), 4, 4))
    objects = np.empty((len(frames), 4, 4))
    views, projections = np.empty((len(frames), 4, 4)), np.empty((len(frames), 4, 4))
    shapes = [{name: np.zeros(len(frames), np.float32) for name in (*face.drivers, *face.visemes)} for _, face in keys]
    before, part = scene.frame_current, scene.frame_subframe
    try:
        for n, at in enumerate(frames):
            scene.frame_set(int(np.floor(at)), subframe=float(at - np.floor(at)))
            graph = bpy.context.evaluated_depsgraph_get()
            seen = character.evaluated_get(graph)
            bones = seen.pose.bones
            for k, name in enumerate(observer.bones):
                posed[n, k] = bones[name].matrix
            objects[n] = seen.matrix_world
            if camera:
                views[n], projections[n] = camera_at(scene, graph, size)
            for (key, _), values in zip(keys, shapes, strict=True):
                blocks = key.evaluated_get(graph).key_blocks
                for name, store in values.items():
                    store[n] = blocks[name].value
            if tick is not None:
                tick((n + 1) / len(frames))
    finally:
        scene.frame_set(before, subframe=part)
    joints = observer.observe(posed, objects)
    face = curves_of_joints(joints.turns, joints.known)
    for (_, found), values in zip(keys, shapes, strict=True):
        face |= {name: np.maximum(face[name], curve) if name in face else curve
                 for name, curve in curves_of_shapes(found, values).items()}
    return Seen(joints, face, views if camera else None, projections if camera else None, size)
