# SPDX-License-Identifier: GPL-3.0-or-later
"""What Blender is told about, in one order, and taken back in the reverse of it."""

from typing import Any

import bpy
from bpy.app.handlers import persistent

from . import cast, connection, directions, exports, log, panels, performance, preferences
from . import properties, session, speech, takes

__all__ = ["CLASSES", "register", "unregister"]

# property groups before those that hold them, panels before their children
CLASSES: tuple[Any, ...] = (
    *preferences.CLASSES,
    *connection.CLASSES,
    *cast.CLASSES,
    *speech.CLASSES,
    *directions.CLASSES,
    *takes.CLASSES,
    *properties.CLASSES,
    *performance.CLASSES,
    *exports.CLASSES,
    *panels.CLASSES,
)


def _add_menu() -> Any:
    return bpy.types.VIEW3D_MT_armature_add


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
    bpy.app.handlers.load_post.append(_on_load)


def unregister() -> None:
    """Take everything back: timer, jobs, bridge, handlers, menu, properties, classes, log file."""
    session.shutdown()
    if _on_load in bpy.app.handlers.load_post:
        bpy.app.handlers.load_post.remove(_on_load)
    _add_menu().remove(cast.menu)
    properties.remove_pointers()
    for cls in reversed(CLASSES):
        bpy.utils.unregister_class(cls)
    cast.forget_mappings()
    log.close()
