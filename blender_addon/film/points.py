# SPDX-License-Identifier: GPL-3.0-or-later
"""The body's points over the reference picture in the Image Editor: drawn, dragged, and the performance fitted to them."""

import logging
from typing import TYPE_CHECKING, Any

import bpy
import numpy as np

from .. import cast, compat
from . import picture
from .settings import film_of

if TYPE_CHECKING:
    from ..core.film_points import Point
    from ..core.film_rig import Observer

__all__ = ["CLASSES", "add_handler", "add_keys", "remove_handler", "remove_keys"]

_log = logging.getLogger("understudy.film")

REACH_PIXELS = 14.0
_HANDLER = "understudy_film_points"
_LEFT, _RIGHT, _MIDDLE = (0.25, 0.75, 1.0), (1.0, 0.55, 0.2), (0.95, 0.95, 0.4)

_keys: list[tuple[Any, Any]] = []
_observers: "dict[int, tuple[Any, Observer]]" = {}


def _shown(context: bpy.types.Context) -> tuple[Any, Any] | None:
    """Character and picture, where points are shown in the context's editor."""
    space: Any = context.space_data
    if space is None or space.type != "IMAGE_EDITOR" or space.image is None:
        return None
    character = cast.active(context)
    if character is None or film_of(character).photo != space.image or not film_of(character).show_points:
        return None
    return (character, space.image) if picture.points_of(space.image) else None


def _to_region(context: bpy.types.Context, image: Any, x: float, y: float) -> tuple[float, float]:
    view: Any = context.region.view2d
    place = view.view_to_region(x / image.size[0], 1 - y / image.size[1], clip=False)
    return float(place[0]), float(place[1])


def _from_region(context: bpy.types.Context, image: Any, x: float, y: float) -> tuple[float, float]:
    view: Any = context.region.view2d
    place = view.region_to_view(x, y)
    return float(place[0]) * image.size[0], (1 - float(place[1])) * image.size[1]


def _under_mouse(context: bpy.types.Context, event: bpy.types.Event, image: Any) -> int | None:
    from ..core.film_points import nearest

    x, y = _from_region(context, image, event.mouse_region_x, event.mouse_region_y)
    scale = context.preferences.system.ui_scale
    beside, _ = _from_region(context, image, event.mouse_region_x + REACH_PIXELS * scale, event.mouse_region_y)
    return nearest(picture.points_of(image), x, y, abs(beside - x))


class _OverPoints:
    """For operators that act on the point under the mouse."""

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Whether points are shown in this editor."""
        if _shown(context) is None:
            cls.poll_message_set("No points of a film's picture are shown in this editor")  # type: ignore[attr-defined]
            return False
        return True


class UNDERSTUDY_OT_film_point_drag(_OverPoints, bpy.types.Operator):
    """Drag a point of the body to where it is in the picture"""

    bl_idname = "understudy.film_point_drag"
    bl_label = "Move Body Point"
    bl_options = {"UNDO", "BLOCKING"}

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        """Take hold of the point under the mouse; anything else is left to the editor."""
        found = _shown(context)
        index = _under_mouse(context, event, found[1]) if found else None
        if found is None or index is None:
            return {"PASS_THROUGH"}
        self._index = index
        self._before = picture.points_of(found[1])
        self._image = compat.session_uid(found[1])
        context.window_manager.modal_handler_add(self)
        return {"RUNNING_MODAL"}

    def modal(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        """Follow the mouse; Esc and the right button put the point back."""
        from ..core.film_points import LABELS, moved

        found = _shown(context)
        if found is None or compat.session_uid(found[1]) != self._image:
            context.area.header_text_set(None)
            return {"CANCELLED"}
        image = found[1]
        if event.type == "MOUSEMOVE":
            x, y = _from_region(context, image, event.mouse_region_x, event.mouse_region_y)
            picture.set_points(image, moved(picture.points_of(image), self._index, x, y, tuple(image.size)))
            context.area.header_text_set(LABELS[self._index])
            context.area.tag_redraw()
        elif event.type in ("RIGHTMOUSE", "ESC"):
            picture.set_points(image, self._before)
            context.area.header_text_set(None)
            context.area.tag_redraw()
            return {"CANCELLED"}
        elif event.type == "LEFTMOUSE" and event.value == "RELEASE":
            context.area.header_text_set(None)
            context.area.tag_redraw()
            return {"FINISHED"} if picture.points_of(image) != self._before else {"CANCELLED"}
        return {"RUNNING_MODAL"}


class UNDERSTUDY_OT_film_point_toggle(_OverPoints, bpy.types.Operator):
    """Say that the picture does not show this point of the body, or that it does"""

    bl_idname = "understudy.film_point_toggle"
    bl_label = "Body Point Not in the Picture"
    bl_options = {"UNDO"}

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        """The point under the mouse; anything else is left to the editor."""
        from ..core.film_points import shown_at

        found = _shown(context)
        index = _under_mouse(context, event, found[1]) if found else None
        if found is None or index is None:
            return {"PASS_THROUGH"}
        points = picture.points_of(found[1])
        picture.set_points(found[1], shown_at(points, index, not points[index].shown))
        context.area.tag_redraw()
        return {"FINISHED"}


def _observer(character: Any) -> "Observer":
    from .. import rig_reader
    from ..core.film_rig import observer_of

    mapping, uid = cast.mapping_of(character), compat.session_uid(character)
    kept = _observers.get(uid)
    if kept is None or kept[0] is not mapping:
        kept = (mapping, observer_of(rig_reader.read_rig(character), mapping))
        _observers.clear()
        _observers[uid] = kept
    return kept[1]


def performance_on(context: bpy.types.Context, character: Any, image: Any) -> np.ndarray | None:
    """(18, 2) pixels of the picture: the character's pose at this frame, fitted to the picture's points; None where it cannot be."""
    from ..core.film_points import fitted, of_joints
    from .scene_camera import camera_at, picture_size

    observer = _observer(character)
    posed = np.array([[np.array(character.pose.bones[name].matrix) for name in observer.bones]])
    seen = observer.observe(posed, np.array(character.matrix_world)[None])
    projection, aspect, scene = None, 1.0, context.scene
    camera = scene.camera
    if film_of(character).framing == "scene" and camera is not None and camera.type == "CAMERA" and camera.data.type in ("PERSP", "ORTHO"):
        size = picture_size(scene)
        view, lens = camera_at(scene, context.evaluated_depsgraph_get(), size)
        projection, aspect = lens @ view, size[0] / size[1]
    return fitted(of_joints(seen.positions[0], seen.turns[0], projection), picture.points_of(image), aspect)


def _colour(name: str) -> tuple[float, float, float]:
    return _LEFT if name.startswith("left") else _RIGHT if name.startswith("right") else _MIDDLE


def _draw() -> None:
    """Called by Blender for every redraw of an Image Editor."""
    context = bpy.context
    found = _shown(context)
    if found is None:
        return
    character, image = found
    if film_of(character).show_performance:
        try:
            pose = performance_on(context, character, image)
        except Exception:  # an overlay must never stop an editor from being drawn
            _log.debug("the performance cannot be fitted", exc_info=True)
            pose = None
        if pose is not None:
            _paint_pose(context, image, pose)
    _paint_points(context, image, picture.points_of(image))


def _lines(pairs: list[tuple[tuple[float, float], tuple[float, float]]], colour: tuple[float, ...], width: float) -> None:
    import gpu
    from gpu_extras.batch import batch_for_shader

    if not pairs:
        return
    shader = gpu.shader.from_builtin("POLYLINE_UNIFORM_COLOR")
    shader.uniform_float("viewportSize", gpu.state.viewport_get()[2:])
    shader.uniform_float("lineWidth", width)
    shader.uniform_float("color", colour)
    gpu.state.blend_set("ALPHA")
    batch_for_shader(shader, "LINES", {"pos": [(*p, 0.0) for pair in pairs for p in pair]}).draw(shader)


def _disc(x: float, y: float, radius: float, colour: tuple[float, ...], filled: bool) -> None:
    import gpu
    from gpu_extras.batch import batch_for_shader

    ring = [(x + radius * np.cos(a), y + radius * np.sin(a)) for a in np.linspace(0, 2 * np.pi, 17)]
    if filled:
        shader = gpu.shader.from_builtin("UNIFORM_COLOR")
        shader.uniform_float("color", colour)
        fan = [p for a, b in zip(ring, ring[1:], strict=False) for p in ((x, y), a, b)]
        batch_for_shader(shader, "TRIS", {"pos": fan}).draw(shader)
    # a rim keeps it visible on any picture
    _lines(list(zip(ring, ring[1:], strict=False)), (0.0, 0.0, 0.0, 0.9) if filled else colour, 1.5)


def _paint_pose(context: bpy.types.Context, image: Any, pose: np.ndarray) -> None:
    from ..core.film_points import LIMBS

    places = {n: _to_region(context, image, float(x), float(y)) for n, (x, y) in enumerate(pose) if np.isfinite(x + y)}
    _lines([(places[a], places[b]) for a, b in LIMBS if a in places and b in places], (1.0, 1.0, 1.0, 0.55), 2.0)


def _paint_points(context: bpy.types.Context, image: Any, points: "list[Point]") -> None:
    from ..core.film_points import LIMBS, NAMES

    places = [_to_region(context, image, p.x, p.y) for p in points]
    for a, b in LIMBS:
        if points[a].shown and points[b].shown:
            _lines([(places[a], places[b])], (*_colour(NAMES[b]), 0.8), 3.0)
    radius = 5.0 * context.preferences.system.ui_scale
    for n, (place, point) in enumerate(zip(places, points, strict=True)):
        # not by colour alone: what the picture does not show is hollow
        _disc(*place, radius, (*_colour(NAMES[n]), 1.0), point.shown)


def add_handler() -> None:
    """Draw from now on. The handle is parked where a reload of this module finds it."""
    remove_handler()
    if not bpy.app.background:
        bpy.app.driver_namespace[_HANDLER] = bpy.types.SpaceImageEditor.draw_handler_add(_draw, (), "WINDOW", "POST_PIXEL")


def remove_handler() -> None:
    """Draw no more."""
    _observers.clear()
    handle = bpy.app.driver_namespace.pop(_HANDLER, None)
    if handle is not None:
        bpy.types.SpaceImageEditor.draw_handler_remove(handle, "WINDOW")


def add_keys() -> None:
    """Drag with the left button, X for what the picture does not show; both let through what is over no point."""
    config: Any = bpy.context.window_manager.keyconfigs.addon
    if config is None:  # in the background
        return
    keymap = config.keymaps.new(name="Image", space_type="IMAGE_EDITOR")
    for operator, key in (("understudy.film_point_drag", "LEFTMOUSE"), ("understudy.film_point_toggle", "X")):
        _keys.append((keymap, keymap.keymap_items.new(operator, key, "PRESS")))


def remove_keys() -> None:
    """The inverse of :func:`add_keys`."""
    for keymap, item in _keys:
        keymap.keymap_items.remove(item)
    # the key map may be shared with another add-on
    if _keys and not _keys[0][0].keymap_items:
        bpy.context.window_manager.keyconfigs.addon.keymaps.remove(_keys[0][0])
    _keys.clear()


CLASSES = (UNDERSTUDY_OT_film_point_drag, UNDERSTUDY_OT_film_point_toggle)
