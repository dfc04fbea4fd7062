# SPDX-License-Identifier: GPL-3.0-or-later
"""Actions that are still being written: marked, never saved, and put away where an undo brings one back."""

from typing import Any

import bpy
from bpy.app.handlers import persistent

from . import compat, takes

__all__ = ["MARK", "Holder", "add_handlers", "finish", "hold", "release", "remove", "remove_handlers", "start"]

MARK = takes.UNFINISHED


class Holder:
    """What writes unfinished actions."""

    def live(self) -> set[int]:
        """Session uids of the unfinished actions that are to stay."""
        return set()

    def before_save(self) -> None:
        """Take them out of the file."""

    def after_undo(self) -> None:
        """Blender's data may be other data now."""


_holders: list[Holder] = []


def hold(holder: Holder) -> None:
    """Tell this one of saving, undo and loading from now on."""
    _holders.append(holder)


def release(holder: Holder) -> None:
    """The inverse of :func:`hold`."""
    if holder in _holders:
        _holders.remove(holder)


def start(action: Any) -> None:
    """Mark an action as unfinished."""
    action[MARK] = True
    action.use_fake_user = False


def finish(action: Any) -> None:
    """The action is complete and stays, whatever uses it."""
    if MARK in action:
        del action[MARK]
    action.use_fake_user = True


def remove(uids: set[int]) -> None:
    """Delete those of some actions that are still unfinished."""
    actions: Any = bpy.data.actions
    for action in [a for a in actions if compat.session_uid(a) in uids and MARK in a]:
        actions.remove(action)


@persistent
def _before_save(*_arguments: Any) -> None:
    """An unfinished action does not go into a file."""
    for holder in list(_holders):
        holder.before_save()


@persistent
def _put_away(*_arguments: Any) -> None:
    """After an undo or loading: an unfinished action that belongs to no job is put away."""
    for holder in list(_holders):
        holder.after_undo()
    live = {uid for holder in _holders for uid in holder.live()}
    actions: Any = bpy.data.actions
    objects: Any = bpy.data.objects
    lost = [a for a in actions if MARK in a and compat.session_uid(a) not in live]
    if not lost:
        return
    for owner in objects:
        if owner.type == "ARMATURE" and owner.animation_data is not None and owner.animation_data.action in lost:
            takes.show(owner, owner.understudy.take_index)
            takes.forget_own(owner)
    for action in lost:
        actions.remove(action)


_HANDLERS = (("save_pre", _before_save), ("undo_post", _put_away), ("redo_post", _put_away), ("load_post", _put_away))


def add_handlers() -> None:
    """Hear of saving, undo and loading."""
    for name, function in _HANDLERS:
        getattr(bpy.app.handlers, name).append(function)


def remove_handlers() -> None:
    """The inverse of :func:`add_handlers`."""
    for name, function in _HANDLERS:
        found = getattr(bpy.app.handlers, name)
        if function in found:
            found.remove(function)
