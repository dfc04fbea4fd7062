# SPDX-License-Identifier: Apache-2.0
"""BVH files of any hierarchy and channel order, and their motion on the SMPL-X joints."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from .. import rotations as rot
from ..errors import UnderstudyError
from ..motion import Motion
from ..skeleton import LEG_LENGTH
from .arrays import invalid
from .conventions import find_roles
from .transfer import RestPose, find_rest, transfer, up_axis

__all__ = ["UNITS", "BvhClip", "bvh_to_motion", "read_bvh"]

UNITS: Final[dict[str, float]] = {"metre": 1.0, "centimetre": 0.01, "millimetre": 0.001, "decimetre": 0.1, "inch": 0.0254,
                                  "foot": 0.3048, "cmu": 0.0254 / 0.45}
"""Metres per unit of the units that BVH files are met in; the format itself states none."""
_AXES: Final = {"x": 0, "y": 1, "z": 2}


@dataclass(frozen=True)
class BvhClip:
    """A BVH file as it is, in its own axes and unit.

    :ivar names: J joint names, parents before children.
    :ivar parents: index of each joint's parent, -1 for the root.
    :ivar offsets: (J, 3) rest offsets from the parent.
    :ivar ends: End Site offsets (3,) by the name of the joint that they hang on.
    :ivar fps: frames per second.
    :ivar rotations: (T, J, 4) local unit quaternions wxyz.
    :ivar places: (T, J, 3) local positions: the offset, or the position channels where a joint has them.
    """

    name: str
    names: tuple[str, ...]
    parents: tuple[int, ...]
    offsets: np.ndarray
    ends: dict[str, np.ndarray]
    fps: float
    rotations: np.ndarray
    places: np.ndarray

    def __len__(self) -> int:
        return len(self.rotations)

    def world(self) -> tuple[np.ndarray, np.ndarray]:
        """World rotations (T, J, 4) and positions (T, J, 3)."""
        return _forward(self.parents, self.rotations, self.places)

    def zero_pose(self) -> tuple[np.ndarray, np.ndarray]:
        """World rotations (J, 4) and positions (J, 3) with every angle at zero."""
        q, p = _forward(self.parents, rot.identity(1, len(self.names)), self.offsets[None])
        return q[0], p[0]


def _forward(parents: tuple[int, ...], local: np.ndarray, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    q, p = local.copy(), places.copy()
    for j, parent in enumerate(parents):
        if parent >= 0:
            q[:, j] = rot.mul(q[:, parent], local[:, j])
            p[:, j] = p[:, parent] + rot.rotate(q[:, parent], places[:, j])
    return q, p


@dataclass
class _Header:
    names: list[str]
    parents: list[int]
    offsets: list[list[float]]
    channels: list[list[str]]
    ends: dict[str, np.ndarray]


def _numbers(words: Iterator[str], count: int) -> list[float]:
    return [float(next(words)) for _ in range(count)]


def _hierarchy(words: Iterator[str], name: str) -> _Header:
    """Read to the word MOTION. :raises ValueError: where the text is no BVH hierarchy."""
    header = _Header([], [], [], [], {})
    stack: list[int] = []
    current, end_of = -1, -1
    if next(words, "").upper() != "HIERARCHY":
        raise invalid(name, "it does not begin with HIERARCHY", "Choose a BVH file.")
    for word in words:
        key = word.upper()
        if key in ("ROOT", "JOINT"):
            if key == "ROOT" and header.names:
                raise ValueError("it holds more than one skeleton")
            label = next(words)
            parts = [label]
            # a name may contain blanks; it ends where the brace begins
            while (part := next(words)) != "{":
                parts.append(part)
            header.names.append(" ".join(parts))
            header.parents.append(stack[-1] if stack else -1)
            header.offsets.append([0.0, 0.0, 0.0])
            header.channels.append([])
            current = len(header.names) - 1
            stack.append(current)
        elif key == "END":
            next(words)  # Site
            if next(words) != "{":
                raise ValueError("an End Site has no brace")
            end_of = stack[-1]
            stack.append(-1)
        elif key == "OFFSET":
            values = _numbers(words, 3)
            if stack and stack[-1] == -1:
                header.ends[header.names[end_of]] = np.array(values)
            else:
                header.offsets[stack[-1]] = values
        elif key == "CHANNELS":
            header.channels[stack[-1]] = [next(words).lower() for _ in range(int(next(words)))]
        elif key == "}":
            stack.pop()
        elif key == "MOTION":
            if stack:
                raise ValueError("a brace is not closed")
            if not header.names:
                raise ValueError("it has no joints")
            return header
        else:
            raise ValueError(f"'{word[:40]}' is not expected in the hierarchy")
    raise ValueError("it has no MOTION part")


def _snap_rate(seconds: float) -> float:
    """Frames per second; a frame time that was written with few digits (.0083333) means the whole number."""
    fps = 1.0 / seconds
    whole = round(fps)
    return float(whole) if whole and abs(fps - whole) < 2e-4 * whole else fps


def read_bvh(path: str | Path) -> BvhClip:
    """Read a BVH file. :raises UnderstudyError: ``file_missing`` or ``file_invalid``, saying what is wrong with it."""
    path = Path(path)
    if not path.is_file():
        raise UnderstudyError("file_missing", f"There is no file {path}.", "Check the path.")
    text = path.read_text(encoding="utf-8-sig", errors="replace")
    begin = re.search(r"^[ \t]*MOTION[ \t]*$", text, re.M | re.I)
    head, tail = (text, "") if begin is None else (text[: begin.end()], text[begin.end():])
    try:
        if begin is None and text.lstrip().upper().startswith("HIERARCHY"):
            raise ValueError("it has no MOTION part")
        header = _hierarchy(iter(head.split()), path.name)
        words = tail.split(maxsplit=5)
        if [w.upper() for w in words[:1]] != ["FRAMES:"] or [w.upper() for w in words[2:4]] != ["FRAME", "TIME:"]:
            raise ValueError("Frames and Frame Time are missing after MOTION")
        frames, seconds = int(words[1]), float(words[4])
        table = np.array(words[5].split() if len(words) > 5 else [], dtype=np.float64)
    except StopIteration as error:
        raise invalid(path.name, "it is cut short", "Fetch or export the file again.") from error
    except (ValueError, IndexError) as error:
        raise invalid(path.name, str(error)) from error
    width = sum(len(c) for c in header.channels)
    if frames < 1 or not width:
        raise invalid(path.name, "it has no frames")
    if not 0 < seconds < 100:
        raise invalid(path.name, f"its frame time is {seconds:g} seconds")
    if table.size < frames * width:
        raise invalid(path.name, f"it promises {frames} frames of {width} numbers and holds {table.size} numbers")
    if not np.isfinite(table).all():
        raise invalid(path.name, "it contains numbers that are NaN or infinite")
    return _assemble(path.name, header, table[: frames * width].reshape(frames, width), _snap_rate(seconds))


def _assemble(name: str, header: _Header, table: np.ndarray, fps: float) -> BvhClip:
    offsets = np.array(header.offsets)
    local = rot.identity(len(table), len(header.names))
    places = np.tile(offsets, (len(table), 1, 1))
    column = 0
    for j, channels in enumerate(header.channels):
        for channel in channels:
            axis = _AXES.get(channel[:1], -1)
            if axis < 0 or channel[1:] not in ("position", "rotation"):
                raise invalid(name, f"the channel {channel} of {header.names[j]} is unknown")
            values = table[:, column]
            column += 1
            if channel.endswith("position"):
                places[:, j, axis] = values
            else:
                # channels apply in the order in which they stand: R = R1 R2 R3
                turn = np.zeros((len(table), 3))
                turn[:, axis] = np.radians(values)
                local[:, j] = rot.mul(local[:, j], rot.axis_angle_to_quat(turn))
    return BvhClip(name, tuple(header.names), tuple(header.parents), offsets, header.ends, fps,
                   rot.continuous(rot.normalise(local)), places)


def _guess_unit(legs: float) -> float:
    """Metres per unit from the length of the legs: the known unit that gives a person, else one that gives the mean adult."""
    best = min(UNITS.values(), key=lambda u: abs(np.log(max(legs * u, 1e-12) / LEG_LENGTH)))
    return best if 0.55 <= legs * best <= 1.1 else LEG_LENGTH / max(legs, 1e-12)


def _starts_with_a_pose(q: np.ndarray) -> bool:
    """Whether frame 0 is a pose put in front of the motion: it leaps to frame 1, and nothing else leaps so."""
    if len(q) < 4:
        return False
    steps = np.degrees(rot.angle_between(q[:-1], q[1:])).mean(1)
    return bool(steps[0] > 3.0 and steps[0] > 8 * np.median(steps[1:]) and steps[0] > 2 * steps[1:].max())


def bvh_to_motion(
    clip: BvhClip, *, up: str | None = None, unit: float | None = None, keep_size: bool = False,
    rest: str | int = "auto", skip_pose: bool | None = None,
) -> Motion:
    """The motion of a recognised skeleton on the SMPL-X joints, at the file's own rate, heading as captured.

    :param up: ``y`` or ``z``; None finds it from where the head is above the hips.
    :param unit: metres per unit of the file; None guesses among :data:`UNITS` from the length of the legs.
    :param keep_size: False scales the path to the neutral skeleton by the legs, so that its feet do not slide; True keeps
        the performer's own metres.
    :param rest: ``auto``, ``zero`` (all angles zero), the number of a frame that is a T- or A-pose, or ``none`` to fit the
        rotations to the joint positions.
    :param skip_pose: whether frame 0 is a pose in front of the motion and is left out; None finds it from the leap.
    :raises UnderstudyError: ``rig_unknown`` where the joints are not recognised, ``file_invalid`` where they have no size.
    """
    roles = find_roles(clip.names, clip.parents)
    rotations, positions = clip.world()
    posed = _starts_with_a_pose(clip.rotations) if skip_pose is None else skip_pose
    axis = up or up_axis(positions, roles)
    zero = RestPose(*clip.zero_pose(), "zero")
    chosen: RestPose | None
    if rest == "auto":
        chosen = find_rest(zero, rotations, positions, roles, posed_first=posed)
    elif rest == "zero":
        chosen = zero
    elif rest == "none":
        chosen = None
    else:
        frame = int(rest)
        if not 0 <= frame < len(clip):
            raise UnderstudyError("request_invalid", f"{clip.name} has no frame {frame}.", "Name a frame that it has.")
        chosen = RestPose(rotations[frame], positions[frame], str(frame))
    j = roles.joints
    legs = float(np.mean([np.linalg.norm(clip.offsets[j[f"{s}_{n}"]]) for s in ("left", "right") for n in ("knee", "ankle")])) * 2
    if legs <= 0:
        raise invalid(clip.name, "its legs have no length")
    metres = unit if unit is not None else _guess_unit(legs)
    moved = transfer(rotations, positions, roles, chosen, up=axis, scale=metres if keep_size else None)
    first = 1 if posed and len(clip) > 1 else 0
    return Motion(
        clip.fps, moved.rotations[first:].astype(np.float32), moved.pelvis[first:].astype(np.float32),
        metadata={"source": clip.name, "format": "bvh", "convention": roles.convention, "up": axis, "unit": metres,
                  "leg_length": round(legs * metres, 4), "rest": "positions" if chosen is None else chosen.label,
                  "skipped_frames": first})
