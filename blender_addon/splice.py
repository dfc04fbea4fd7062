# SPDX-License-Identifier: GPL-3.0-or-later
"""A take with some of it made anew: a copy of the take before, in which only certain stretches get other keys.

All other keys are the former ones, untouched. Inside, the new curves are bent to meet the former ones at the edges and
to go exactly through what the artist has set.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import bpy
import numpy as np

from . import compat, staging, takes
from .core.channels import Channel
from .core.handwork import from_rotation, pin_rotations, pin_values, to_rotation
from .core.rigs.mapping import Mapping
from .core.rigs.slots import TWIST
from .core.simplify import simplify
from .keyframes import Keys, enum_value, hand_set, mark_generated, marks_of, promote_hand_set
from .shared.errors import UnderstudyError
from .shared.motion import Motion
from .shared.skeleton import JOINT_INDEX, PART_JOINTS

__all__ = ["Stretch", "joints_of_bones", "locked_frames", "splice"]

REACH_SECONDS = 0.5
_FACE_PARTS = ("full", "upper", "head")


@dataclass(frozen=True)
class Stretch:
    """Samples ``first`` up to (not with) ``end`` of a take, and the body part that is new there."""

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


def _evaluate(curve: Any, keys: Keys, start: float, count: int) -> np.ndarray:
    """Values (T,) of a curve at the take's frames."""
    wanted = start + np.arange(count)
    place = np.searchsorted(keys.frames, wanted)
    inside = np.minimum(place, len(keys) - 1)
    if len(keys) and np.array_equal(keys.frames[inside], wanted.astype(np.float32)):
        return keys.values["co"][inside, 1].astype(np.float64)
    return np.array([curve.evaluate(float(f)) for f in wanted], dtype=np.float64)


class _Property:
    """The curves of one property in the copied action, and how they get new keys."""

    def __init__(self, curves: list[Any], keys: list[Keys], start: float, old: int, locks: set[int], mode: str) -> None:
        self.curves, self.keys, self.start, self.mode = curves, keys, start, mode
        self.kind = curves[0].data_path.rpartition(".")[2]
        self.samples = np.stack([_evaluate(c, k, start, old) for c, k in zip(curves, keys, strict=True)], axis=1)
        self.locks = sorted(int(n) for f in locks if 0 <= (n := round(f - start)) < old)

    def renew(self, new: np.ndarray, stretch: Stretch, reach: int) -> None:
        """Take ``new`` (T, D) inside the stretch, bent to the edges and the locked frames."""
        old, total = len(self.samples), len(new)
        first, end = max(stretch.first, 0), min(stretch.end, total)
        if total > old:
            # what was not there yet needs no edge
            self.samples = np.concatenate((self.samples, new[old:]))
        low, high = max(first - 1, 0), min(end + 1, total)
        pins = [n for n in (*self.locks, *([first - 1] if first else ()), *([end] if end < old else ())) if low <= n < high]
        pins = sorted(set(pins))
        wanted = self.samples[pins]
        local = [n - low for n in pins]
        if self.kind.startswith("rotation"):
            q = to_rotation(self.kind, self.mode, new[low:high])
            if pins:
                q = pin_rotations(q, local, to_rotation(self.kind, self.mode, wanted), reach)
            bent = from_rotation(self.kind, self.mode, q, wanted[0] if pins else None)
        else:
            bent = pin_values(new[low:high], local, wanted, reach) if pins else new[low:high].copy()
        bent[local] = wanted
        self.samples[first:end] = bent[first - low:end - low]

    def write(self, stretches: Sequence[Stretch], limit: float | None) -> None:
        """Replace the keys inside the stretches; with a limit by few, else by one per frame."""
        start, total = self.start, len(self.samples)
        for stretch in stretches:
            first, end = max(stretch.first, 0), min(stretch.end, total)
            # keys of all components stand together, so the first one tells where the neighbours are
            at = np.unique(np.concatenate([k.frames for k in self.keys])) - start
            before, after = at[at <= first - 1], at[at >= end]
            low = int(np.floor(before[-1])) if len(before) else first - 1
            high = int(np.ceil(after[0])) if len(after) else max(end, total)
            locks = [n for n in self.locks if low < n < high]
            inner = np.arange(low + 1, high)
            inner = inner[(inner >= 0) & (inner < total)]
            if limit is None:
                self._dense(inner, locks, start + low, start + high)
            else:
                self._sparse(low, high, (first - 1, *locks, end), limit)
        for curve, keys in zip(self.curves, self.keys, strict=True):
            keys.write(curve)

    def _dense(self, inner: np.ndarray, locks: list[int], low: float, high: float) -> None:
        for d, keys in enumerate(self.keys):
            kept = keys.keep((keys.frames <= low) | (keys.frames >= high) | np.isin(np.round(keys.frames - self.start), locks))
            there = np.isin(inner, np.round(kept.frames - self.start))
            frames = inner[~there]
            self.keys[d] = kept.join(Keys.generated(self.start + frames, self.samples[frames, d]))

    def _sparse(self, low: int, high: int, knots: Sequence[int], limit: float) -> None:
        total = len(self.samples)
        places = sorted({min(max(n, 0), total - 1) for n in (low, *knots, high)})
        index: list[int] = []
        parts: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        for a, b in zip(places, places[1:], strict=False):
            fit = simplify(self.samples[None, a:b + 1], np.array([limit]))[0]
            index += [a + int(n) for n in fit.index]
            parts.append((fit.values, fit.left, fit.right))
        if not parts:
            return
        values, left, right = (np.concatenate(p) for p in zip(*parts, strict=True))
        at = np.array(index)
        # where two fits meet, the left handle is the former's and the right handle the latter's
        ends = np.flatnonzero(np.diff(at) == 0)
        right[ends] = right[ends + 1]
        keep = np.ones(len(at), bool)
        keep[ends + 1] = False
        at, values, left, right = at[keep], values[keep], left[keep], right[keep]
        span = np.diff(at) / 3
        back, forth = np.concatenate(([1.0], span)), np.concatenate((span, [1.0]))
        for d, keys in enumerate(self.keys):
            fresh = Keys.generated(self.start + at, values[:, d])
            fresh.values["handle_left"] = np.stack((self.start + at - back, left[:, d]), 1).astype(np.float32)
            fresh.values["handle_right"] = np.stack((self.start + at + forth, right[:, d]), 1).astype(np.float32)
            fresh.values["interpolation"][:] = enum_value("interpolation", "BEZIER")
            numbers = np.round(keys.frames - self.start)
            stays = (numbers <= low) | (numbers >= high) | np.isin(numbers, self.locks)
            kept = keys.keep(stays)
            # former keys that the new curve begins at, ends at or goes through keep their place and get its handles
            for n, number in enumerate(np.round(kept.frames - self.start)):
                match = np.flatnonzero(at == number)
                if not len(match):
                    continue
                m = int(match[0])
                if number > low and m > 0:
                    kept.values["handle_left"][n] = fresh.values["handle_left"][m]
                    kept.values["handle_left_type"][n] = enum_value("handle_left_type", "FREE")
                if number < high and m < len(at) - 1:
                    kept.values["handle_right"][n] = fresh.values["handle_right"][m]
                    kept.values["handle_right_type"][n] = enum_value("handle_right_type", "FREE")
                    kept.values["interpolation"][n] = enum_value("interpolation", "BEZIER")
            self.keys[d] = kept.join(fresh.keep(~np.isin(at, np.round(kept.frames - self.start))))


def splice(character: Any, base: Any, motion: Motion, start: float, stretches: Sequence[Stretch], facts: dict[str, Any], *,
           keep_hand_set: bool = True) -> Any:
    """Write a new take that is the take ``base`` but for the stretches, and show it. Returns its action.

    :param motion: the whole performance; :param start: frame of its first sample.
    :param keep_hand_set: frames with keys that the artist has set stay exactly as they are.
    :raises UnderstudyError: ``not_found`` where the take is gone, and what the retargeting finds; nothing is changed then.
    """
    settings = character.understudy
    if base is None or base.action is None:
        raise UnderstudyError("not_found", "The take that was to be changed is gone.", "Press Perform again.")
    setup = staging.Setup.of(character)
    performed = setup.perform(motion)
    bones = joints_of_bones(setup.mapping)
    limit_of = staging.limits(settings, setup.mapping, performed.result.scale)
    reach = max(2, round(REACH_SECONDS * motion.fps))
    rows = [(character, base.action, base.slot, performed.body, limit_of)]
    for part in base.parts:
        channels = next((f for uid, f in performed.faces if part.key is not None and uid == compat.session_uid(part.key)), [])
        rows.append((part.key, part.action, part.slot, channels, lambda _: settings.face_error))
    copies: dict[Any, Any] = {}
    own_keys: dict[Any, dict[str, dict[str, set[int]]]] = {}
    previous = motion_length(base.action)
    try:
        for _block, action, slot, channels, limit in rows:
            if action is None:
                continue
            if action not in copies:
                copies[action] = action.copy()
                copies[action].use_fake_user = True
                own_keys[action] = promote_hand_set(copies[action])
            locks = own_keys[action].get(slot, {}) if keep_hand_set else {}
            _renew(character, copies[action], slot, channels, locks, start, previous, stretches, bones, reach,
                   limit if settings.key_mode == "SIMPLIFIED" else None)
        own = copies[base.action]
        own.name = f"{character.name} take {len(settings.takes) + 1}"
        for copy in copies.values():
            copy.use_frame_range = True
            copy.frame_start, copy.frame_end = float(start), float(start + len(motion) - 1)
            if facts.get("loop"):
                copy.use_cyclic = True
            mark_generated(copy)
        body = compat.slot_of(own, base.slot)
        targets = [(p.key, compat.slot_of(copies[p.action], p.slot)) for p in base.parts if p.key is not None and p.action in copies]
        takes.add_take(character, body, targets, motion, {**facts, **staging.generator_facts(motion.metadata)})
    except BaseException:
        for copy in copies.values():
            bpy.data.actions.remove(copy)
        raise
    takes.show(character, len(settings.takes) - 1)
    if not settings.seed_locked:
        settings.seed = (settings.seed + 1) % 2**31
    return own


def motion_length(action: Any) -> int:
    """Samples of a take's motion."""
    return len(takes.motion_of(action))


def _renew(character: Any, action: Any, slot: str, channels: list[Channel], locks: dict[str, set[int]], start: float, old: int,
           stretches: Sequence[Stretch], bones: dict[str, frozenset[int]], reach: int, limit: Any) -> None:
    curves = {(c.data_path, c.array_index): c for owner, c in compat.curves_with_slots(action) if not slot or owner == slot}
    kinds: dict[str, list[Channel]] = {}
    for channel in channels:
        kinds.setdefault(channel.data_path, []).append(channel)
    for path, parts in kinds.items():
        parts = sorted(parts, key=lambda c: c.index)
        mine = [curves.get((path, c.index)) for c in parts]
        longer = len(parts[0].values) > old
        new_here = [s for s in stretches if _shows(parts[0], bones, s)]
        # a curve that the artist has deleted stays deleted
        if not new_here or any(curve is None or not len(curve.keyframe_points) for curve in mine):
            continue
        keys = [Keys.read(curve) for curve in mine]
        mode = _rotation_mode(character, parts[0])
        prop = _Property(mine, keys, start, old, locks.get(path, set()), mode)
        new = np.stack([c.values for c in parts], axis=1).astype(np.float64)
        for stretch in new_here:
            prop.renew(new, stretch, reach)
        if longer and len(prop.samples) < len(new):
            prop.samples = np.concatenate((prop.samples, new[len(prop.samples):]))
        prop.write(new_here, limit(parts[0]) if limit else None)


def _rotation_mode(character: Any, channel: Channel) -> str:
    if channel.data_path.startswith("pose.bones"):
        return str(character.pose.bones[channel.group].rotation_mode)
    return str(getattr(character, "rotation_mode", "QUATERNION"))
