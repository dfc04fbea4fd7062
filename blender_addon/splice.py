# SPDX-License-Identifier: GPL-3.0-or-later
"""A take with some of it made anew: a copy of the take before, in which only certain stretches get other keys.

All other keys are the former ones, untouched. Inside, the new curves are bent to meet the former ones at the edges and
to go exactly through what the artist has set.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import cast, compat, loops, staging, takes, unfinished
from .core.channels import Channel
from .core.handwork import marks, pack_marks
from .core.rigs.mapping import Mapping
from .core.rigs.slots import TWIST
from .gradual import Run, Steps, at_once, drain, result_of
from .keyframes import MARKS_KEY, Keys, hand_set, marks_of, promote_hand_set
from .renewal import Renewal
from .shared.errors import UnderstudyError
from .shared.motion import Motion
from .shared.skeleton import JOINT_INDEX, PART_JOINTS

__all__ = ["Stretch", "joints_of_bones", "locked_frames", "splice", "splice_steps"]

REACH_SECONDS = 0.5
_FACE_PARTS = ("full", "upper", "head", "face")
_FACE_JOINTS = frozenset(JOINT_INDEX[name] for name in ("jaw", "left_eye", "right_eye"))


@dataclass(frozen=True)
class Stretch:
    """Samples ``first`` up to (not with) ``end`` of a take, and the body part that is new there; ``face`` is the face alone."""

    first: int
    end: int
    part: str = "full"


def joints_of_bones(mapping: Mapping) -> dict[str, frozenset[int]]:
    """The joints that each mapped bone, and each control that stands for one, shows."""
    found: dict[str, frozenset[int]] = {}
    for slot, chain in mapping.slots.items():
        slot = TWIST.get(slot, slot)
        names = {"spine": ["spine1", "spine2", "spine3"], "root": ["pelvis"]}.get(slot, [slot])
        for bone in chain:
            found[bone] = frozenset(JOINT_INDEX[name] for name in names)
    for control, bone in mapping.copies.items():
        if bone in found:
            found.setdefault(control, found[bone])
    return found


def _shows(channel: Channel, bones: dict[str, frozenset[int]], stretch: Stretch) -> bool:
    """Whether a channel is new in a stretch."""
    if channel.data_path.startswith("key_blocks"):
        return stretch.part in _FACE_PARTS
    if stretch.part == "face":
        return bool(bones.get(channel.group, frozenset()) & _FACE_JOINTS)
    if stretch.part == "full":
        return channel.group != "Rig Settings"
    if not channel.data_path.startswith("pose.bones"):
        return stretch.part == "lower"
    return bool(bones.get(channel.group, frozenset()) & set(PART_JOINTS[stretch.part]))


def locked_frames(action: Any, slot: str) -> dict[str, set[int]]:
    """Frames with hand-set keys per data path, of one slot."""
    noted = marks_of(action)
    found: dict[str, set[int]] = {}
    for owner, curve in compat.curves_with_slots(action):
        if slot and owner != slot:
            continue
        keys = Keys.read_kinds(curve)
        mine = hand_set(keys, noted.get(f"{owner}|{curve.data_path}|{curve.array_index}"))
        if mine.any():
            found.setdefault(curve.data_path, set()).update(int(f) for f in np.round(keys.frames[mine]))
    return found


@dataclass(frozen=True)
class _Row:
    """What animates one data-block of a take: session uids of block and action, slot, new channels."""

    block: int
    action: int
    slot: str
    channels: list[Channel]


class _Copies:
    """Copies of the actions of a take while they are being changed, found again after every pause."""

    def __init__(self) -> None:
        self.uids: dict[int, int] = {}
        """Session uid of a former action -> of its copy."""
        self.noted: dict[int, dict[str, tuple[np.ndarray, np.ndarray]]] = {}

    def make(self, action: Any) -> None:
        """Copy an action, once."""
        uid = compat.session_uid(action)
        if uid not in self.uids:
            copy = action.copy()
            unfinished.start(copy)
            self.uids[uid] = compat.session_uid(copy)
            self.noted[uid] = dict(marks_of(action))

    def of(self, former: int) -> Any:
        """The copy of a former action. :raises LookupError: where it is gone."""
        return compat.action_of(self.uids[former])

    def curves(self, row: _Row) -> dict[tuple[str, int], Any]:
        """Curves of a copy by path and index."""
        return {(c.data_path, c.array_index): c for owner, c in compat.curves_with_slots(self.of(row.action))
                if not row.slot or owner == row.slot}


def splice(character: Any, base: Any, motion: Motion, start: float, stretches: Sequence[Stretch], facts: dict[str, Any], *,
           keep_hand_set: bool = True) -> Any:
    """Write a new take that is the take ``base`` but for the stretches, and show it. Returns its action.

    :param motion: the whole performance; :param start: frame of its first sample.
    :param keep_hand_set: frames with keys that the artist has set stay exactly as they are.
    :raises UnderstudyError: ``not_found`` where the take is gone, and what the retargeting finds; nothing is changed then.
    """
    return drain(splice_steps(character, base, motion, start, stretches, facts, keep_hand_set=keep_hand_set))


def splice_steps(character: Any, base: Any, motion: Motion, start: float, stretches: Sequence[Stretch], facts: dict[str, Any], *,
                 keep_hand_set: bool = True, run: Run[Any] = at_once) -> Steps[Any]:
    """:func:`splice` as work that can be done a little at a time; see :mod:`.gradual`."""
    if base is None or base.action is None:
        raise _gone()
    uid, base_uid = compat.session_uid(character), compat.session_uid(base.action)
    tolerance = staging.Tolerance.of(character.understudy) if character.understudy.key_mode == "SIMPLIFIED" else None
    setup, former = staging.Setup.of(character), takes.motion_bytes(base.action)
    facts = {**facts, **setup.facts()}
    whole = loops.closed(motion) if facts.get("loop") else motion
    performed, content, old = yield from result_of(run(
        lambda: (setup.perform(whole), motion.to_bytes(compressed=False), len(Motion.from_bytes(former, "The take")))))
    limit = tolerance.limit(setup.mapping, performed.result.scale) if tolerance else None
    rows = _rows(uid, _take_of(cast.by_uid(uid), base_uid), performed)
    bones = joints_of_bones(setup.mapping)
    reach = max(2, round(REACH_SECONDS * motion.fps))
    copies = _Copies()
    try:
        for row in rows:
            copies.make(compat.action_of(row.action))
            yield False
        for row in rows:
            locks = yield from _promote(copies, row)
            yield from _renew(copies, row, locks if keep_hand_set else {}, start, old, len(motion), stretches, bones, reach,
                              setup, limit)
            yield from _loop(copies, row, start, len(motion), setup, bool(facts.get("loop")))
        noted = yield from result_of(run(lambda: {f: pack_marks(found) for f, found in copies.noted.items()}))
        return _complete(cast.by_uid(uid), base_uid, copies, noted, motion, content, start, facts)
    except BaseException:
        unfinished.remove(set(copies.uids.values()))
        raise


def _gone() -> UnderstudyError:
    return UnderstudyError("not_found", "The take that was to be changed is gone.", "Press Perform again.")


def _take_of(character: Any, action_uid: int) -> Any:
    found = next((t for t in character.understudy.takes if t.action is not None and compat.session_uid(t.action) == action_uid), None)
    if found is None:
        raise _gone()
    return found


def _rows(uid: int, base: Any, performed: staging.Performed) -> list[_Row]:
    rows = [_Row(uid, compat.session_uid(base.action), base.slot, performed.body)]
    faces = dict(performed.faces)
    for part in base.parts:
        if part.key is not None and part.action is not None:
            block = compat.session_uid(part.key)
            rows.append(_Row(block, compat.session_uid(part.action), part.slot, faces.get(block, [])))
    return rows


def _promote(copies: _Copies, row: _Row) -> Steps[dict[str, set[int]]]:
    """Make hand-set keys known by their type; their frames by data path."""
    noted = copies.noted[row.action]
    locks: dict[str, set[int]] = {}
    curves = copies.curves(row)
    for path, index in list(curves):
        frames = promote_hand_set(curves[path, index], noted.get(f"{row.slot}|{path}|{index}"))
        if frames:
            locks.setdefault(path, set()).update(frames)
        if (yield False):
            curves = copies.curves(row)
    return locks


def _renew(copies: _Copies, row: _Row, locks: dict[str, set[int]], start: float, old: int, total: int,
           stretches: Sequence[Stretch], bones: dict[str, frozenset[int]], reach: int, setup: staging.Setup,
           limit: Callable[[Channel], float] | None) -> Steps[None]:
    """Give the curves of one data-block their new keys."""
    kinds: dict[str, list[Channel]] = {}
    for channel in row.channels:
        kinds.setdefault(channel.data_path, []).append(channel)
    curves = copies.curves(row)
    for path, parts in kinds.items():
        parts = sorted(parts, key=lambda c: c.index)
        spans = [(s.first, s.end) for s in stretches if _shows(parts[0], bones, s)]
        mine = [curves.get((path, c.index)) for c in parts]
        # a curve that the artist has deleted stays deleted
        if not spans or any(curve is None or not len(curve.keyframe_points) for curve in mine):
            continue
        renewal = Renewal(mine, start, old, total, locks.get(path, set()), setup.mode_of(parts[0]))
        new = np.stack([c.values[:total] for c in parts], axis=1).astype(np.float64)
        renewal.renew(new, spans, reach, limit(parts[0]) if limit else None)
        for index, frames, found in renewal.noted():
            copies.noted[row.action][f"{row.slot}|{path}|{index}"] = (frames, found)
        if (yield False):
            curves = copies.curves(row)


def _loop(copies: _Copies, row: _Row, start: float, total: int, setup: staging.Setup, wanted: bool) -> Steps[None]:
    """Let the curves of one data-block repeat, or no longer."""
    kinds: dict[str, list[Channel]] = {}
    for channel in row.channels:
        kinds.setdefault(channel.data_path, []).append(channel)
    curves, noted = copies.curves(row), copies.noted[row.action]
    for path, parts in kinds.items():
        parts = sorted(parts, key=lambda c: c.index)
        mine = [curve for c in parts if (curve := curves.get((path, c.index))) is not None and len(curve.keyframe_points)]
        if wanted and len(mine) == len(parts):
            new = np.stack([c.values for c in parts], axis=1)
            values = loops.close(mine, new, start, setup.mode_of(parts[0]))
            for part, value in zip(parts, values, strict=True):
                frames, found = noted.get(f"{row.slot}|{path}|{part.index}", (np.zeros(0, np.float32), np.zeros(0, np.uint16)))
                inside = frames < start + total - 0.01
                noted[f"{row.slot}|{path}|{part.index}"] = (
                    np.append(frames[inside], np.float32(start + total)), np.append(found[inside], marks(np.array([value]))))
        elif not wanted:
            for curve in mine:
                if loops.is_closed(curve):
                    loops.reopen(curve, start + total)
                    curve.update()
        if (yield False):
            curves = copies.curves(row)


def _complete(character: Any, base_uid: int, copies: _Copies, noted: dict[int, bytes], motion: Motion, content: bytes,
              start: float, facts: dict[str, Any]) -> Any:
    """Make finished copies a take."""
    settings, base = character.understudy, _take_of(character, base_uid)
    own = copies.of(base_uid)
    own.name = takes.name_of_next(character)
    for former in copies.uids:
        copy = copies.of(former)
        copy.use_frame_range = True
        copy.frame_start, copy.frame_end = float(start), float(start + len(motion) - (0 if facts.get("loop") else 1))
        copy.use_cyclic = bool(facts.get("loop"))
        compat.store_bytes(copy, MARKS_KEY, noted[former])
    body = compat.slot_of(own, base.slot)
    targets = [(p.key, compat.slot_of(copies.of(compat.session_uid(p.action)), p.slot)) for p in base.parts
               if p.key is not None and p.action is not None]
    takes.remember_own(character)
    takes.add_take(character, body, targets, motion, {**facts, **staging.generator_facts(motion.metadata)}, content)
    for former in copies.uids:
        unfinished.finish(copies.of(former))
    takes.show(character, len(settings.takes) - 1)
    if not settings.seed_locked:
        settings.seed = (settings.seed + 1) % 2**31
    return own
