# SPDX-License-Identifier: GPL-3.0-or-later
"""The curves of one property of a take, and how they get other keys in some stretches of time.

Only what lies between the keys around a stretch is looked at and written; all other keys are not touched.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from .core.handwork import from_rotation, marks, pin_rotations, pin_values, to_rotation
from .core.simplify import simplify
from .keyframes import Keys
from .keys import ENUM_TYPE, enum_value

__all__ = ["Renewal", "Span"]

Span = tuple[int, int]
"""Samples from the first up to (not with) the second."""


class Renewal:
    """D curves that animate one property together.

    :param start: frame of the first sample; :param old: samples of the take before, :param total: of the new one.
    :param locks: frames whose keys stay exactly; :param mode: the rotation mode of what is animated.
    """

    def __init__(self, curves: Sequence[Any], start: float, old: int, total: int, locks: set[int], mode: str) -> None:
        self.curves, self.start, self.old, self.total, self.mode = curves, start, old, total, mode
        self.kind = str(curves[0].data_path).rpartition(".")[2]
        self.keys = [Keys.read_kinds(curve) for curve in curves]
        self.locks = sorted(int(n) for f in locks if 0 <= (n := round(f - start)) < old)
        # keys of all components stand together, but an artist may have keyed one alone
        self.numbers = np.unique(np.concatenate([k.frames for k in self.keys])) - start
        self.samples = np.zeros((total, len(curves)))

    def renew(self, new: np.ndarray, spans: Sequence[Span], reach: int, limit: float | None) -> None:
        """Take ``new`` (T, D) inside the spans, bent to the edges and the locked frames, and write it.

        :param reach: samples over which a difference fades; :param limit: with few keys, the error allowed.
        """
        spans = [(max(first, 0), min(end, self.total)) for first, end in spans]
        windows = [self._window(span) for span in spans]
        for low, high in windows:
            self._evaluate(max(low, 0), min(high + 1, self.old))
        if self.total > self.old:
            self.samples[self.old:] = new[self.old:]
        for span in spans:
            self._bend(new, span, reach)
        if limit is None and self._dense_everywhere(windows):
            self._write_values(spans)
            return
        self.keys = [Keys.read(curve) for curve in self.curves]
        for span, (low, high) in zip(spans, windows, strict=True):
            locks = [n for n in self.locks if low < n < high]
            if limit is None:
                self._dense(low, high, locks)
            else:
                self._sparse(low, high, (span[0] - 1, *locks, span[1]), limit)
        for curve, keys in zip(self.curves, self.keys, strict=True):
            keys.write(curve)

    def noted(self) -> list[tuple[int, np.ndarray, np.ndarray]]:
        """Component's array index, frames and marks of the generated keys as they are now."""
        generated = enum_value("type", "GENERATED")
        found = []
        for curve, keys in zip(self.curves, self.keys, strict=True):
            co = keys.values["co"][keys.values["type"] == generated]
            found.append((int(curve.array_index), co[:, 0].copy(), marks(co[:, 1])))
        return found

    def _window(self, span: Span) -> Span:
        """The samples of the keys around a span."""
        before, after = self.numbers[self.numbers <= span[0] - 1], self.numbers[self.numbers >= span[1]]
        low = int(np.floor(before[-1])) if len(before) else span[0] - 1
        return low, int(np.ceil(after[0])) if len(after) else max(span[1], self.total)

    def _evaluate(self, first: int, end: int) -> None:
        """Know the former values of samples ``first`` up to ``end``."""
        wanted = self.start + np.arange(first, end)
        for d, (curve, keys) in enumerate(zip(self.curves, self.keys, strict=True)):
            place = np.minimum(np.searchsorted(keys.frames, wanted.astype(np.float32)), len(keys) - 1)
            if np.array_equal(keys.frames[place], wanted.astype(np.float32)):
                self.samples[first:end, d] = keys.values["co"][place, 1]
            else:
                self.samples[first:end, d] = [curve.evaluate(float(f)) for f in wanted]

    def _bend(self, new: np.ndarray, span: Span, reach: int) -> None:
        first, end = span
        low, high = max(first - 1, 0), min(end + 1, self.total)
        edges = (*([first - 1] if first else ()), *([end] if end < self.old else ()))
        pins = sorted({n for n in (*self.locks, *edges) if low <= n < high})
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

    def _dense_everywhere(self, windows: Sequence[Span]) -> bool:
        """Whether every sample of the windows has its key already, and nothing lies between samples."""
        if self.total > self.old:
            return False
        for low, high in windows:
            wanted = (self.start + np.arange(low + 1, min(high, self.total))).astype(np.float32)
            for keys in self.keys:
                inside = keys.frames[(keys.frames > self.start + low) & (keys.frames < self.start + high)]
                if not np.array_equal(inside, wanted):
                    return False
        return True

    def _write_values(self, spans: Sequence[Span]) -> None:
        """Give the keys inside the spans other values where they are."""
        linear, generated = enum_value("interpolation", "LINEAR"), enum_value("type", "GENERATED")
        for d, (curve, keys) in enumerate(zip(self.curves, self.keys, strict=True)):
            co, kinds = keys.values["co"], keys.values["type"]
            points = curve.keyframe_points
            for first, end in spans:
                at = np.arange(first, end)
                at = at[~np.isin(at, self.locks)]
                place = np.searchsorted(co[:, 0], (self.start + at).astype(np.float32))
                co[place, 1] = self.samples[at, d]
                if (kinds[place] != generated).any():
                    kinds[place] = generated
                    points.foreach_set("type", kinds)
                    ways = np.empty(len(co), ENUM_TYPE)
                    points.foreach_get("interpolation", ways)
                    ways[place] = linear
                    points.foreach_set("interpolation", ways)
            points.foreach_set("co", co.ravel())
            curve.update()

    def _dense(self, low: int, high: int, locks: Sequence[int]) -> None:
        inner = np.arange(max(low + 1, 0), min(high, self.total))
        for d, keys in enumerate(self.keys):
            numbers = np.round(keys.frames - self.start)
            kept = keys.keep((keys.frames <= self.start + low) | (keys.frames >= self.start + high) | np.isin(numbers, locks))
            frames = inner[~np.isin(inner, np.round(kept.frames - self.start))]
            self.keys[d] = kept.join(Keys.generated(self.start + frames, self.samples[frames, d]))

    def _sparse(self, low: int, high: int, knots: Sequence[int], limit: float) -> None:
        last = self.total - 1
        places = sorted({min(max(n, 0), last) for n in (low, *knots, high)})
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
            for name, item in (("handle_left_type", "FREE"), ("handle_right_type", "FREE"), ("interpolation", "BEZIER")):
                fresh.values[name][:] = enum_value(name, item)
            numbers = np.round(keys.frames - self.start)
            kept = keys.keep((numbers <= low) | (numbers >= high) | np.isin(numbers, self.locks))
            _join_handles(kept, fresh, np.round(kept.frames - self.start), at, low, high)
            self.keys[d] = kept.join(fresh.keep(~np.isin(at, np.round(kept.frames - self.start))))


def _join_handles(kept: Keys, fresh: Keys, numbers: np.ndarray, at: np.ndarray, low: int, high: int) -> None:
    """Former keys that the new curve begins at, ends at or goes through keep their place and get its handles."""
    for n in np.flatnonzero((numbers >= low) & (numbers <= high)):
        m = int(np.searchsorted(at, numbers[n]))
        if m == len(at) or at[m] != numbers[n]:
            continue
        if numbers[n] > low and m > 0:
            kept.values["handle_left"][n] = fresh.values["handle_left"][m]
            kept.values["handle_left_type"][n] = enum_value("handle_left_type", "FREE")
        if numbers[n] < high and m < len(at) - 1:
            kept.values["handle_right"][n] = fresh.values["handle_right"][m]
            kept.values["handle_right_type"][n] = enum_value("handle_right_type", "FREE")
            kept.values["interpolation"][n] = enum_value("interpolation", "BEZIER")
