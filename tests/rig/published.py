# SPDX-License-Identifier: Apache-2.0
"""Rigs as their makers publish them, for tests and figures: names and parents from ``hierarchies/*.txt``, places from a body of our own.

A file's lines are bones, indented below their parents: name, place, slot. ``*`` stands for the side (written out for both), ``{a|b}`` for a
name that differs between the sides, ``~`` for a space. A place is a joint (``left_knee``), a share of the way to the next one
(``left_knee:0.5``, ``spine:0.3``), or of a way (``a>b:0.3``); ``^0.1`` lifts it. A bone without a slot must stay unmapped.
``@fingers pattern names`` stands for three bones a finger, ``@tips`` for markers at their ends.

The files know nothing of the add-on's tables: what they say about slots is what the tables are tested against.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).with_name("hierarchies")
KEYS = tuple(sorted(path.stem for path in FOLDER.glob("*.txt")))
FINGERS = {"thumb": "thumb", "index": "index", "middle": "middle", "mid": "middle", "ring": "ring", "pinky": "pinky", "little": "pinky"}
NEXT = {"hip": "knee", "knee": "ankle", "ankle": "foot", "collar": "shoulder", "shoulder": "elbow", "elbow": "wrist", "wrist": "middle1"}


@dataclass
class Published:
    """A rig: its ``preset`` key and ``label``, its ``pose`` at rest as published; B bones, parents first, and slot -> chain."""

    preset: str = ""
    label: str = ""
    pose: str = "T"
    sides: tuple[str, str] = ("", "")
    names: list[str] = field(default_factory=list)
    parents: list[int] = field(default_factory=list)
    places: list[str] = field(default_factory=list)
    slots: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def heads(self, pose: str) -> np.ndarray:
        """(B, 3) in Blender's axes, metres, in a ``T`` or an ``A``."""
        joints = body(pose)
        return np.array([_place(place, joints) for place in self.places])

    def tails(self, heads: np.ndarray) -> np.ndarray:
        """(B, 3): at the first child that lies elsewhere, else on in the parent's direction."""
        tails = heads.copy()
        for bone, parent in enumerate(self.parents):
            if parent >= 0 and np.allclose(tails[parent], heads[parent]) and np.linalg.norm(heads[bone] - heads[parent]) > 5e-3:
                tails[parent] = heads[bone]
        for bone, parent in enumerate(self.parents):
            if np.allclose(tails[bone], heads[bone]):
                way = tails[parent] - heads[parent] if parent >= 0 else np.array([0.0, 0.0, 0.1])
                tails[bone] = heads[bone] + way / max(np.linalg.norm(way), 1e-9) * np.clip(0.6 * np.linalg.norm(way), 0.015, 0.1)
        return tails


def load(key: str) -> Published:
    """One of :data:`KEYS`."""
    rig = Published()
    lines: list[tuple[int, list[str]]] = []
    for line in (FOLDER / f"{key}.txt").read_text(encoding="utf-8").splitlines():
        word, _, rest = line.partition(":")
        if line.startswith("#") or not line.strip():
            continue
        if word == "rig":
            rig.preset, rig.label = (part.strip() for part in rest.split("|"))
        elif word == "sides":
            rig.sides = tuple(rest.split())  # type: ignore[assignment]
        elif word == "rest":
            rig.pose = rest.strip()
        else:
            lines.append((len(line) - len(line.lstrip()), line.split()))
    _emit(rig, _expand(lines), -1, None)
    return rig


def _expand(lines: list[tuple[int, list[str]]]) -> list[tuple[int, list[str]]]:
    """Write out ``@fingers`` and ``@tips``."""
    result: list[tuple[int, list[str]]] = []
    for depth, words in lines:
        if not words[0].startswith("@"):
            result.append((depth, words))
            continue
        for name in words[2:]:
            def written(n: int, name: str = name, pattern: str = words[1]) -> str:
                return pattern.replace("{F}", name).replace("{f}", name).replace("{n}", str(n))

            slot = FINGERS[name.lower()]
            if words[0] == "@fingers":
                result += [(depth + n - 1, [written(n), f"*_{slot}{n}", f"*_{slot}{n}"]) for n in (1, 2, 3)]
            else:
                at = next(i for i, (_, other) in enumerate(result) if other[1] == f"*_{slot}3")
                result.insert(at + 1, (result[at][0] + 1, [written(4), f"*_{slot}_tip"]))
    return result


def _emit(rig: Published, lines: list[tuple[int, list[str]]], parent: int, side: int | None) -> None:
    """Add the bones of a stretch of lines whose first depth is that of the children of ``parent``."""
    at = 0
    while at < len(lines):
        depth, words = lines[at]
        end = next((i for i in range(at + 1, len(lines)) if lines[i][0] <= depth), len(lines))
        paired = side is None and any(mark in words[0] for mark in "*{")
        for this in (0, 1) if paired else (side,):
            place, *slot = (_sided(word, ("left", "right"), this) for word in words[1:])
            name = _sided(words[0], rig.sides, this).replace("~", " ")
            rig.names.append(name)
            rig.parents.append(parent)
            rig.places.append(place)
            if slot:
                rig.slots[slot[0]] = (*rig.slots.get(slot[0], ()), name)
            _emit(rig, lines[at + 1 : end], len(rig.names) - 1, this)
        at = end


def _sided(word: str, sides: tuple[str, str], side: int | None) -> str:
    if side is None:
        return word
    return re.sub(r"\{(.*?)\}", lambda match: match.group(1).split("|")[side], word).replace("*", sides[side])


def _place(place: str, joints: dict[str, np.ndarray]) -> np.ndarray:
    place, _, lift = place.partition("^")
    name, _, share = place.partition(":")
    first, _, second = name.partition(">")
    if share and not second:
        side, _, part = first.partition("_")
        second = {"spine": "neck", "neck": "head"}.get(first) or f"{side}_{NEXT[part]}"
        first = "spine" if first == "spine" else first
    start = joints[first]
    point = start + (joints[second] - start) * float(share) if second else start
    return point + np.array([0.0, 0.0, float(lift or 0)])


def _turned(points: dict[str, np.ndarray], names: list[str], pivot: str, axis: np.ndarray, degrees: float) -> None:
    """Turn joints about an axis (3,) through a pivot, in place."""
    a, k = np.radians(degrees), axis / np.linalg.norm(axis)
    for name in names:
        v = points[name] - points[pivot]
        points[name] = points[pivot] + v * np.cos(a) + np.cross(k, v) * np.sin(a) + k * (k @ v) * (1 - np.cos(a))


def body(pose: str) -> dict[str, np.ndarray]:
    """Joints of a person of 1.78 m who is no copy of the motion's skeleton; Blender's axes, metres, facing -Y.

    In the ``A`` the arms hang by 47 degrees with bent elbows and curled fingers, and the legs stand apart.
    """
    points = {"floor": (0, 0, 0), "pelvis": (0, 0.01, 0.99), "spine": (0, 0.015, 1.05), "neck": (0, 0.035, 1.50), "head": (0, 0.0, 1.60),
              "jaw": (0, -0.02, 1.61)}
    left = {"eye": (0.032, -0.08, 1.68), "hip": (0.098, 0.0, 0.93), "knee": (0.105, -0.005, 0.50), "ankle": (0.105, 0.025, 0.075),
            "foot": (0.115, -0.11, 0.02), "toe_end": (0.12, -0.19, 0.015), "collar": (0.02, 0.01, 1.46), "shoulder": (0.165, 0.03, 1.45),
            "elbow": (0.445, 0.035, 1.45), "wrist": (0.70, 0.025, 1.45)}
    fingers = {"thumb": ((0.725, -0.015, 1.44), (0.757, -0.045, 1.43), (0.785, -0.062, 1.425), (0.81, -0.074, 1.42))}
    for i, name in enumerate(("index", "middle", "ring", "pinky")):
        x, y, z, step = 0.79 - 0.004 * (i - 1) ** 2, -0.005 + 0.021 * i, 1.452 - 0.002 * i, 0.042 - 0.004 * abs(i - 1)
        fingers[name] = tuple((x + step * (1 - 0.12 * n) * n, y, z - 0.001 * n) for n in range(4))  # type: ignore[assignment]
    left |= {f"{name}{n + 1}" if n < 3 else f"{name}_tip": place for name, places in fingers.items() for n, place in enumerate(places)}
    joints = {name: np.array(place, dtype=float) for name, place in points.items()}
    for side, sign in (("left", 1.0), ("right", -1.0)):
        own = {f"{side}_{name}": np.array(place) * [sign, 1, 1] for name, place in left.items()}
        hand = [n for n in own if any(finger in n for finger in fingers)]
        if pose == "A":
            legs = [f"{side}_{n}" for n in ("knee", "ankle", "foot", "toe_end")]
            for finger in fingers:
                curled = [n for n in hand if finger in n and not n.endswith("1")]
                _turned(own, curled, f"{side}_{finger}1", np.array([0, sign, 0]), 14)
                _turned(own, [n for n in curled if not n.endswith("2")], f"{side}_{finger}2", np.array([0, sign, 0]), 18)
            _turned(own, [f"{side}_wrist", *hand], f"{side}_elbow", np.array([0, 0, -sign]), 22)
            _turned(own, [f"{side}_elbow", f"{side}_wrist", *hand], f"{side}_shoulder", np.array([0, sign, 0]), 47)
            _turned(own, legs, f"{side}_hip", np.array([0, -sign, 0]), 7)
            feet = legs[2:]
            _turned(own, feet, f"{side}_ankle", np.array([0, sign, 0]), 7)
            _turned(own, feet, f"{side}_ankle", np.array([0, 0, sign]), 9)
        joints |= own
    return joints
