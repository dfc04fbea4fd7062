# SPDX-License-Identifier: GPL-3.0-or-later
"""Understudy: speech and written directions become a performance on the animator's own rig.

This module imports neither Blender nor numpy, so that everything under ``core`` can be used without Blender.
"""

__all__ = ["register", "unregister"]


def register() -> None:
    """Called by Blender when the add-on is enabled."""
    from . import registration

    registration.register()


def unregister() -> None:
    """Called by Blender when the add-on is disabled; leaves nothing behind."""
    from . import registration

    registration.unregister()
