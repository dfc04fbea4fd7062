# SPDX-License-Identifier: GPL-3.0-or-later
"""The keys of a curve as arrays, all attributes of them, out of Blender and back; and which of them an artist has set."""

from typing import Any

import numpy as np

from . import compat
from .core.handwork import marks, pack_marks, unpack_marks
from .keys import ENUM_TYPE, CurveKeys, enum_value

__all__ = ["MARKS_KEY", "Keys", "hand_set", "marks_for", "marks_of", "promote_hand_set"]

MARKS_KEY = "understudy_marks"
_VECTORS = ("co", "handle_left", "handle_right")
_ENUMS = ("handle_left_type", "handle_right_type", "interpolation", "type", "easing")
_FLOATS = ("amplitude", "back", "period")


class Keys:
    """K keys: ``co``, ``handle_left``, ``handle_right`` (K, 2), and every other attribute (K,)."""

    def __init__(self, values: dict[str, np.ndarray]) -> None:
        self.values = values

    @classmethod
    def read(cls, curve: Any) -> "Keys":
        """The keys of a curve."""
        points, count = curve.keyframe_points, len(curve.keyframe_points)
        values: dict[str, np.ndarray] = {}
        for names, width, kind in ((_VECTORS, 2, np.float32), (_ENUMS, 1, ENUM_TYPE), (_FLOATS, 1, np.float32)):
            for name in names:
                array = np.empty(count * width, dtype=kind)
                points.foreach_get(name, array)
                values[name] = array.reshape(count, 2) if width == 2 else array
        return cls(values)

    @classmethod
    def read_kinds(cls, curve: Any) -> "Keys":
        """Only ``co`` and ``type`` of the keys: enough to tell whose they are."""
        points, count = curve.keyframe_points, len(curve.keyframe_points)
        co, kinds = np.empty(2 * count, np.float32), np.empty(count, ENUM_TYPE)
        points.foreach_get("co", co)
        points.foreach_get("type", kinds)
        return cls({"co": co.reshape(count, 2), "type": kinds})

    @classmethod
    def generated(cls, frames: np.ndarray, samples: np.ndarray) -> "Keys":
        """Linear keys of type GENERATED."""
        count = len(frames)
        points = np.stack((frames, samples), axis=1).astype(np.float32)
        values = {name: points.copy() for name in _VECTORS}
        for name, item in (("handle_left_type", "AUTO_CLAMPED"), ("handle_right_type", "AUTO_CLAMPED"),
                           ("interpolation", "LINEAR"), ("type", "GENERATED"), ("easing", "AUTO")):
            values[name] = np.full(count, enum_value(name, item), dtype=ENUM_TYPE)
        values |= {name: np.zeros(count, dtype=np.float32) for name in _FLOATS}
        return cls(values)

    def __len__(self) -> int:
        return len(self.values["co"])

    @property
    def frames(self) -> np.ndarray:
        """(K,) frame numbers."""
        return self.values["co"][:, 0]

    def keep(self, mask: np.ndarray) -> "Keys":
        """Those keys for which the mask (K,) holds."""
        return Keys({name: array[mask] for name, array in self.values.items()})

    def join(self, other: "Keys") -> "Keys":
        """Both together, in the order of time."""
        merged = {name: np.concatenate((array, other.values[name])) for name, array in self.values.items()}
        order = np.argsort(merged["co"][:, 0], kind="stable")
        return Keys({name: array[order] for name, array in merged.items()})

    def write(self, curve: Any) -> None:
        """Put these in the place of all keys of a curve."""
        points = curve.keyframe_points
        points.clear()
        points.add(len(self))
        for name in (*_ENUMS, *_FLOATS, *_VECTORS):
            points.foreach_set(name, self.values[name].ravel())
        curve.update()


def marks_for(rows: list[tuple[str, list[CurveKeys]]]) -> bytes:
    """What is noted on an action of its generated keys, so that a key that is changed later can be told; for any thread.

    Blender leaves a key's type as it is when another value is inserted over it, so that the type alone tells too little.

    :param rows: slot identifier and curves, of all that is in one action.
    """
    return pack_marks({f"{slot}|{k.channel.data_path}|{k.channel.index}": (np.asarray(k.frames, dtype=np.float32), marks(k.values))
                       for slot, curves in rows for k in curves})


def promote_hand_set(curve: Any, noted: tuple[np.ndarray, np.ndarray] | None) -> set[int]:
    """Give generated keys that an artist has changed the type KEYFRAME, for everyone to see; the frames of all hand-set keys."""
    keys = Keys.read_kinds(curve)
    kinds = keys.values["type"]
    mine = hand_set(keys, noted)
    if not mine.any():
        return set()
    changed = mine & (kinds == enum_value("type", "GENERATED"))
    if changed.any():
        curve.keyframe_points.foreach_set("type", np.where(changed, enum_value("type", "KEYFRAME"), kinds).astype(ENUM_TYPE))
        curve.update()
    return {int(f) for f in np.round(keys.frames[mine])}


def marks_of(action: Any) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """What :func:`marks_for` has noted."""
    block = action.get(MARKS_KEY)
    return unpack_marks(block) if isinstance(block, bytes) else {}


def hand_set(keys: Keys, noted: tuple[np.ndarray, np.ndarray] | None) -> np.ndarray:
    """(K,) bool: keys of another type than GENERATED, and generated ones whose value has been changed since."""
    result = keys.values["type"] != enum_value("type", "GENERATED")
    if noted is None or not len(noted[0]):
        return result
    frames, found = noted
    place = np.clip(np.searchsorted(frames, keys.frames), 0, len(frames) - 1)
    same = (frames[place] == keys.frames) & (found[place] == marks(keys.values["co"][:, 1]))
    return result | ~same
