# SPDX-License-Identifier: GPL-3.0-or-later
"""What of a take is locked: keys that the artist has set or changed, told by their type; setting and releasing them.

Reading all curves of a long take takes longer than a redraw may, so that what is shown is read a little at a time when
something has changed.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import bpy
import numpy as np
from bpy.app.handlers import persistent

from . import cast, compat, takes
from .shared.errors import UnderstudyError

__all__ = ["Locked", "add_handlers", "of", "part_of", "remove_handlers", "runs", "set_locked"]

TURN_SECONDS = 0.004
PAUSE_SECONDS = 0.05


@dataclass(frozen=True)
class Locked:
    """Frames ``first`` to ``last``, both locked, and the smallest body part that holds what is locked there ("face" for shapes)."""

    first: int
    last: int
    part: str


_found: dict[int, list[Locked]] = {}
"""By session uid of the take's action."""
_stale: set[int] = set()
_scans: "dict[int, _Scan]" = {}


def part_of(joints: Iterable[int]) -> str:
    """The smallest body part that has all these joints."""
    from .shared.skeleton import BODY_PARTS, PART_JOINTS

    wanted = set(joints)
    return min((p for p in BODY_PARTS if wanted <= set(PART_JOINTS[p])), key=lambda p: len(PART_JOINTS[p]))


def runs(frames: dict[int, str]) -> list[Locked]:
    """Frames with their parts, drawn together where they follow each other with the same part."""
    result: list[Locked] = []
    for frame, part in sorted(frames.items()):
        if result and result[-1].last == frame - 1 and result[-1].part == part:
            result[-1] = Locked(result[-1].first, frame, part)
        else:
            result.append(Locked(frame, frame, part))
    return result


class _Scan:
    """Reading all curves of a take; nothing of Blender's is kept over a pause."""

    def __init__(self, character: Any, take: Any) -> None:
        from . import splice

        self.joints = splice.joints_of_bones(cast.mapping_of(character))
        actions = dict.fromkeys((take.action, *(part.action for part in take.parts if part.action is not None)))
        self.rest = [(compat.session_uid(action), 0) for action in actions]
        self.noted: dict[int, dict[str, tuple[np.ndarray, np.ndarray]]] = {}
        self.body: dict[int, set[int]] = {}
        self.face: set[int] = set()

    def go_on(self, until: float) -> bool:
        """Read until a time of ``time.perf_counter``; True when all is read. :raises LookupError: where an action is gone."""
        from .keyframes import marks_of

        while self.rest:
            uid, first = self.rest[0]
            action = compat.action_of(uid)
            if uid not in self.noted:
                self.noted[uid] = marks_of(action)
            for n, (slot, curve) in enumerate(compat.curves_with_slots(action)[first:], start=first):
                self._read(slot, curve, self.noted[uid])
                if time.perf_counter() > until:
                    self.rest[0] = (uid, n + 1)
                    return False
            del self.rest[0]
        return True

    def _read(self, slot: str, curve: Any, noted: dict[str, tuple[np.ndarray, np.ndarray]]) -> None:
        from .keyframes import Keys, hand_set

        keys = Keys.read_kinds(curve)
        mine = hand_set(keys, noted.get(f"{slot}|{curve.data_path}|{curve.array_index}"))
        if not mine.any():
            return
        frames = np.round(keys.frames[mine]).astype(int).tolist()
        if curve.data_path.startswith("key_blocks"):
            self.face.update(frames)
            return
        bone = curve.data_path.split('"')[1] if curve.data_path.startswith("pose.bones") else ""
        for frame in frames:
            self.body.setdefault(frame, set()).update(self.joints.get(bone, ()))

    def result(self) -> list[Locked]:
        """What was found."""
        parts = {frame: part_of(moved) if moved else "full" for frame, moved in self.body.items()}
        return sorted(runs(parts) + runs({f: "face" for f in self.face if f not in parts}), key=lambda x: x.first)


def of(character: Any, *, fresh: bool = False) -> list[Locked]:
    """What is locked of the shown take, as far as it has been read; with a window it follows changes after a moment.

    :param fresh: read it now.
    """
    take = takes.current(character)
    if take is None or take.action is None:
        return []
    uid = compat.session_uid(take.action)
    if fresh or uid not in _found or uid in _stale:
        if fresh or bpy.app.background:
            _stale.discard(uid)
            scan = _Scan(character, take)
            scan.go_on(float("inf"))
            _found[uid] = scan.result()
        else:
            _found.setdefault(uid, [])
            _stale.add(uid)
            if not bpy.app.timers.is_registered(_turn):
                bpy.app.timers.register(_turn, first_interval=PAUSE_SECONDS)
    return _found[uid]


def _turn() -> float | None:
    """The timer: go on with reading for a few milliseconds."""
    character = cast.active(bpy.context)
    take = takes.current(character) if character is not None else None
    if take is None or take.action is None:
        _scans.clear()
        return None
    uid = compat.session_uid(take.action)
    try:
        if uid in _stale or uid not in _scans:
            _stale.discard(uid)
            _scans.clear()
            _scans[uid] = _Scan(character, take)
        if not _scans[uid].go_on(time.perf_counter() + TURN_SECONDS):
            return PAUSE_SECONDS
        _found[uid] = _scans[uid].result()
    except (LookupError, UnderstudyError):
        _found.pop(uid, None)
    _scans.clear()
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            if area.type in ("DOPESHEET_EDITOR", "VIEW_3D"):
                area.tag_redraw()
    return None


def changed(action: Any) -> None:
    """The keys of an action may be other ones now."""
    uid = compat.session_uid(action)
    if uid in _found:
        _stale.add(uid)
        _scans.clear()


def set_locked(action: Any, slot_identifier: str, first: int, last: int, bones: set[str] | None, locked: bool) -> int:
    """Lock or release frames ``first`` to ``last`` of some bones (None: of all), the keys of the body's slot.

    Locked frames get keys of the type KEYFRAME with the values that are there; released ones count as generated, with
    the values that they have now. Returns how many curves had something to do.
    """
    from .core.handwork import marks, pack_marks
    from .keyframes import MARKS_KEY, Keys, marks_of
    from .keys import ENUM_TYPE, enum_value

    noted = marks_of(action)
    mine, theirs = enum_value("type", "KEYFRAME"), enum_value("type", "GENERATED")
    count = 0
    for slot, curve in compat.curves_with_slots(action):
        if slot_identifier and slot != slot_identifier or not len(curve.keyframe_points):
            continue
        bone = curve.data_path.split('"')[1] if curve.data_path.startswith("pose.bones") else ""
        if bones is not None and bone not in bones:
            continue
        keys = Keys.read_kinds(curve)
        numbers = np.round(keys.frames).astype(int)
        inside = (numbers >= first) & (numbers <= last)
        missing = np.setdiff1d(np.arange(first, last + 1), numbers) if locked else np.zeros(0, int)
        if len(missing):
            values = np.array([curve.evaluate(float(f)) for f in missing])
            keys = Keys.read(curve).join(Keys.generated(missing.astype(float), values))
            numbers = np.round(keys.frames).astype(int)
            inside = (numbers >= first) & (numbers <= last)
            keys.values["type"][inside] = mine
            keys.write(curve)
        elif inside.any():
            kinds = np.where(inside, mine if locked else theirs, keys.values["type"]).astype(ENUM_TYPE)
            curve.keyframe_points.foreach_set("type", kinds)
            curve.update()
        count += bool(inside.any())
        name = f"{slot}|{curve.data_path}|{curve.array_index}"
        if not locked and name in noted:
            frames, found = noted[name]
            outside = (np.round(frames) < first) | (np.round(frames) > last)
            joined = np.concatenate((frames[outside], keys.frames[inside]))
            order = np.argsort(joined, kind="stable")
            noted[name] = (joined[order], np.concatenate((found[outside], marks(keys.values["co"][inside, 1])))[order])
    if not locked:
        compat.store_bytes(action, MARKS_KEY, pack_marks(noted))
    changed(action)
    return count


@persistent
def _on_update(_scene: Any, depsgraph: Any) -> None:
    """Keys were changed in some editor."""
    if not _found or not depsgraph.id_type_updated("ACTION"):
        return
    for update in depsgraph.updates:
        if isinstance(update.id, bpy.types.Action):
            changed(update.id.original)


@persistent
def _on_other_data(*_arguments: Any) -> None:
    """After undo and loading everything may be different."""
    _found.clear()
    _stale.clear()
    _scans.clear()


_HANDLERS = (("depsgraph_update_post", _on_update), ("undo_post", _on_other_data), ("redo_post", _on_other_data),
             ("load_post", _on_other_data))


def add_handlers() -> None:
    """Hear of changes."""
    for name, function in _HANDLERS:
        getattr(bpy.app.handlers, name).append(function)


def remove_handlers() -> None:
    """The inverse of :func:`add_handlers`."""
    if bpy.app.timers.is_registered(_turn):
        bpy.app.timers.unregister(_turn)
    for name, function in _HANDLERS:
        found = getattr(bpy.app.handlers, name)
        if function in found:
            found.remove(function)
    _on_other_data()
