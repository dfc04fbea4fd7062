# SPDX-License-Identifier: GPL-3.0-or-later
"""The Blender side of words and faces. Registered as one: properties first, panels last, then what hangs outside of classes."""

from . import acting, again, hearing, lane, panels, settings, shapes, word_list, words

__all__ = ["CLASSES", "KEYS", "start", "stop"]

CLASSES = (
    *words.CLASSES, *word_list.CLASSES, *shapes.CLASSES, *acting.CLASSES, *lane.CLASSES, *settings.CLASSES, *hearing.CLASSES,
    *again.CLASSES, *panels.CLASSES,
)
KEYS = lane.KEYS


def start() -> None:
    """After the classes: properties and the lane."""
    settings.add_pointers()
    lane.add_handler()


def stop() -> None:
    """Before the classes go; the inverse of :func:`start`."""
    lane.remove_handler()
    settings.remove_pointers()
