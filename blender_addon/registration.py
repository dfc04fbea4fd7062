# SPDX-License-Identifier: GPL-3.0-or-later
"""What Blender is told about, in one order, and taken back in the reverse of it."""

from typing import Any

import bpy
from bpy.app.handlers import persistent

from . import bone_map, cast, commands, connection, direction_io, direction_presets, directions, exports, imports, lock_ops, locks, log
from . import overlay, overlay_mouse, overlay_ops, overlay_type, panels, performance, preferences, properties, regenerate, session
from . import smplx_bodies, sound_energy, speech, takes, translations, unfinished
from . import face, film

__all__ = ["CLASSES", "register", "unregister"]

# property groups before those that hold them, panels before their children
CLASSES: tuple[Any, ...] = (
    *preferences.CLASSES,
    *connection.CLASSES,
    *cast.CLASSES,
    *bone_map.CLASSES,
    *speech.CLASSES,
    *directions.CLASSES,
    *direction_io.CLASSES,
    *direction_presets.CLASSES,
    *takes.CLASSES,
    *properties.CLASSES,
    *performance.CLASSES,
    *regenerate.CLASSES,
    *lock_ops.CLASSES,
    *exports.CLASSES,
    *imports.CLASSES,
    *smplx_bodies.CLASSES,
    *overlay_mouse.CLASSES,
    *overlay_ops.CLASSES,
    *overlay_type.CLASSES,
    *panels.CLASSES,
    *face.CLASSES,
    *film.CLASSES,
)


def _add_menu() -> Any:
    return bpy.types.VIEW3D_MT_armature_add


_keys: list[tuple[Any, Any]] = []


def _add_keys() -> None:
    """Keys of the board, in the add-ons' own key configuration, which users can change."""
    config: Any = bpy.context.window_manager.keyconfigs.addon
    if config is None:  # in the background
        return
    keymap = config.keymaps.new(name="Dopesheet", space_type="DOPESHEET_EDITOR")
    # at the lower end of these editors Blender's key map of markers takes double clicks, even where there is no marker
    markers = config.keymaps.new(name="Markers", space_type="EMPTY")
    for operator, key, value, modifiers, values in (*overlay_ops.KEYS, *face.KEYS):
        for place in (keymap, markers) if value == "DOUBLE_CLICK" else (keymap,):
            item = place.keymap_items.new(operator, key, value, **modifiers)
            for name, content in values.items():
                setattr(item.properties, name, content)
            _keys.append((place, item))


def _remove_keys() -> None:
    for keymap, item in _keys:
        keymap.keymap_items.remove(item)
    config: Any = bpy.context.window_manager.keyconfigs.addon
    # the key map may be shared with another add-on
    for name in {keymap.name for keymap, _ in _keys}:
        keymap = config.keymaps.get(name)
        if keymap is not None and not keymap.keymap_items:
            config.keymaps.remove(keymap)
    _keys.clear()


@persistent
def _on_load(_path: str) -> None:
    """Uids name other things in another file: what was told about them is void."""
    session.notices.clear()
    cast.forget_mappings()


def register() -> None:
    """Register everything; a failure on the way leaves nothing registered."""
    done: list[Any] = []
    try:
        for cls in CLASSES:
            bpy.utils.register_class(cls)
            done.append(cls)
    except BaseException:
        for cls in reversed(done):
            bpy.utils.unregister_class(cls)
        raise
    properties.add_pointers()
    _add_menu().append(cast.menu)
    _add_menu().append(smplx_bodies.menu)
    bpy.app.handlers.load_post.append(_on_load)
    unfinished.add_handlers()
    locks.add_handlers()
    translations.register()
    _add_keys()
    overlay.add_handler()
    face.start()
    film.start()
    commands.register_command()


def unregister() -> None:
    """Take everything back: timer, jobs, bridge, handlers, menu, properties, classes, log file."""
    session.shutdown()
    commands.unregister_command()
    film.stop()
    face.stop()
    overlay.remove_handler()
    sound_energy.forget()
    translations.unregister()
    locks.remove_handlers()
    unfinished.remove_handlers()
    _remove_keys()
    if _on_load in bpy.app.handlers.load_post:
        bpy.app.handlers.load_post.remove(_on_load)
    _add_menu().remove(smplx_bodies.menu)
    _add_menu().remove(cast.menu)
    properties.remove_pointers()
    for cls in reversed(CLASSES):
        bpy.utils.unregister_class(cls)
    cast.forget_mappings()
    log.close()
