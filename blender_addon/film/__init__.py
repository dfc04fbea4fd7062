# SPDX-License-Identifier: GPL-3.0-or-later
"""The Blender side of films. Registered as one: properties first, panels last, then what hangs outside of classes."""

from . import operators, panel, passes, points, preview, scene_camera, settings

__all__ = ["CLASSES", "start", "stop"]

CLASSES = (*settings.CLASSES, *scene_camera.CLASSES, *operators.CLASSES, *passes.CLASSES, *points.CLASSES, *panel.CLASSES)


def start() -> None:
    """After the classes: properties, the overlay, its keys."""
    settings.add_pointers()
    points.add_handler()
    points.add_keys()


def stop() -> None:
    """Before the classes go; the inverse of :func:`start`."""
    points.remove_keys()
    points.remove_handler()
    preview.clear()
    settings.remove_pointers()
