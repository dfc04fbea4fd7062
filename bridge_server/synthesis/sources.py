# SPDX-License-Identifier: Apache-2.0
"""What lies under a performance: captured idle stretches and the notation's gestures, kept apart by split."""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from shared import rotations as rot
from shared.errors import UnderstudyError
from shared.kinematics import forward
from shared.skeleton import BODY_JOINT_COUNT, JOINT_INDEX, MIRROR

from .corpus import Utterance, load_utterances

__all__ = ["IdleTrial", "NotationClip", "Sources", "chest_points", "load_sources", "mirror"]

_CHEST: Final = JOINT_INDEX["spine3"]
_WRISTS: Final = (JOINT_INDEX["left_wrist"], JOINT_INDEX["right_wrist"])
_ANKLES: Final = [JOINT_INDEX["left_ankle"], JOINT_INDEX["right_ankle"]]
_PLAIN_ARMS: Final = frozenset(("hang", "front", "back"))
_BODY_MIRROR: Final = list(MIRROR[:BODY_JOINT_COUNT])


@dataclass(frozen=True)
class IdleTrial:
    """A person standing idle: the pieces of one trial joined again.

    ``rotations`` (T, 22, 4), ``translation`` (T, 3) metres, ``plain`` (T,): both arms hang or are held low in front,
    so that they can rest as captured. ``feet`` (T, 2, 2): x and z of the ankles, metres.
    """

    name: str
    subject: str
    licence: str
    rotations: np.ndarray
    translation: np.ndarray
    plain: np.ndarray
    feet: np.ndarray


@dataclass(frozen=True)
class NotationClip:
    """A gesture for a speech act. Times in seconds into the clip: ``start``, ``apex`` (the stroke's end), ``end``.

    ``arms`` (left, right) and ``head`` tell what takes part.
    """

    name: str
    concept: str
    subject: str
    licence: str
    rotations: np.ndarray
    start: float
    apex: float
    end: float
    arms: tuple[bool, bool]
    head: bool
    captions: tuple[str, ...]
    utterances: tuple[str, ...]


@dataclass
class Sources:
    """What one split may use, and what could not be read (``skipped``: name and reason)."""

    split: str
    idle: list[IdleTrial]
    notation: list[NotationClip]
    utterances: list[Utterance]
    skipped: list[tuple[str, str]]


def mirror(rotations: np.ndarray, translation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Left and right exchanged: (T, 22, 4) and (T, 3)."""
    q = rotations[:, _BODY_MIRROR] * np.array([1.0, 1.0, -1.0, -1.0])
    return q, translation * np.array([-1.0, 1.0, 1.0])


def chest_points(rotations: np.ndarray, joints: tuple[int, ...]) -> np.ndarray:
    """Positions (T, len(joints), 3) of joints in the frame of spine3, metres."""
    positions, world = forward(rotations, np.zeros((len(rotations), 3)))
    inverse = rot.conjugate(world[:, _CHEST])
    return np.stack([rot.rotate(inverse, positions[:, j] - positions[:, _CHEST]) for j in joints], 1)


class _Set:
    """A folder in the ``cmu_text`` layout."""

    def __init__(self, folder: Path, skipped: list[tuple[str, str]]) -> None:
        self.folder, self.skipped = folder, skipped
        self.shards: dict[int, dict[str, np.ndarray] | None] = {}
        try:
            self.clips: list[dict[str, Any]] = json.loads((folder / "clips.json").read_text("utf-8"))["clips"]
        except OSError as error:
            raise UnderstudyError("file_missing", f"There is no data set in the folder {folder.name}.",
                                  "Give the data folder that holds free_extra and gesture_notation.") from error
        except (ValueError, KeyError) as error:
            raise UnderstudyError("file_invalid", f"{folder.name}/clips.json cannot be read ({error}).",
                                  "Fetch the data again.") from error

    def arrays(self, clip: dict[str, Any]) -> tuple[np.ndarray, np.ndarray] | None:
        """Rotations and translation of a clip, or None (noted in ``skipped``) when its file or record is broken."""
        name = f"{self.folder.name}/{clip.get('name', '?')}"
        try:
            number = int(clip["shard"])
            if number not in self.shards:
                self.shards[number] = None
                with np.load(self.folder / f"shard_{number:02d}.npz", allow_pickle=False) as z:
                    self.shards[number] = {"rot": z["rot"], "trans": z["trans"]}
            shard = self.shards[number]
            if shard is None:
                raise ValueError("its shard cannot be read")
            a, n = int(clip["first"]), int(clip["frames"])
            q, t = shard["rot"][a:a + n].astype(np.float64), shard["trans"][a:a + n].astype(np.float64)
            if q.shape != (n, BODY_JOINT_COUNT, 4) or t.shape != (n, 3) or n < 30:
                raise ValueError(f"shape {q.shape}")
            if not (
                np.isfinite(q).all() and np.isfinite(t).all() and np.abs(np.linalg.norm(q, axis=-1) - 1).max() < 0.05
            ):
                raise ValueError("its values are no rotations")
            return rot.normalise(q), t
        except (OSError, KeyError, ValueError, TypeError, zipfile.BadZipFile) as error:
            self.skipped.append((name, str(error)))
            return None


def _idle_trials(data: _Set, split: str) -> list[IdleTrial]:
    groups: dict[str, list[dict[str, Any]]] = {}
    for clip in data.clips:
        if clip.get("subject") and clip.get("split") == split and "arms" in clip:
            groups.setdefault(str(clip["trial"]), []).append(clip)
    trials = []
    for name, pieces in sorted(groups.items()):
        pieces.sort(key=lambda c: float(c["trial_start"]))
        run: list[tuple[dict[str, Any], np.ndarray, np.ndarray]] = []
        runs = [run]
        for piece in pieces:
            arrays = data.arrays(piece)
            if run and (arrays is None or abs(run[-1][0]["trial_start"] + run[-1][0]["frames"] / 30
                                              - piece["trial_start"]) > 0.02):
                run = []
                runs.append(run)
            if arrays is not None:
                run.append((piece, *arrays))
        for k, run in enumerate(r for r in runs if r):
            shifted: list[np.ndarray] = []
            turned: list[np.ndarray] = []
            for _, q, t in run:
                if not shifted:
                    shifted, turned = [t], [q]
                    continue
                # the cuts lie at the stillest moments: the step over one frame is about the last one of the piece;
                # what is left (some trials were cleaned piece by piece) fades within half a second
                fade = np.clip(1 - np.arange(len(q)) / 15, 0, 1) ** 2 * (1 + 2 * np.arange(len(q)) / 15)
                corner = 2 * shifted[-1][-1] - shifted[-1][-2]
                level = np.array((1.0, 0.0, 1.0))
                shifted.append(t + (corner - t[0]) * np.where(level > 0, 1.0, fade[:, None]))
                before = rot.mul(turned[-1][-1], rot.mul(rot.conjugate(turned[-1][-2]), turned[-1][-1]))
                step = rot.quat_to_axis_angle(rot.mul(rot.conjugate(q[0]), before))
                turned.append(rot.mul(q, rot.axis_angle_to_quat(step[None] * fade[:, None, None])))
            plain = np.concatenate([
                np.full(len(q), set(c["arms"].values()) <= _PLAIN_ARMS) for c, q, _ in run])
            q, t = rot.continuous(np.concatenate(turned)), np.concatenate(shifted)
            feet = forward(q, t)[0][:, _ANKLES][..., [0, 2]]
            trials.append(
                IdleTrial(f"{name}.{k}", str(run[0][0]["subject"]), str(run[0][0]["licence"]), q, t, plain, feet)
            )
    return trials


def _notation_clip(clip: dict[str, Any], q: np.ndarray) -> NotationClip | None:
    """Find the gesture in a clip: from rest, to the first time that it is nearly at its farthest, to rest."""
    wrists = chest_points(q, _WRISTS)
    away = np.linalg.norm(wrists - np.median(wrists[:6], axis=0), axis=-1)  # (T, 2)
    head = rot.mul(q[:, JOINT_INDEX["neck"]], q[:, JOINT_INDEX["head"]])
    turned = rot.angle_between(head, np.broadcast_to(head[2], head.shape))
    arms = (bool(away[:, 0].max() > 0.10), bool(away[:, 1].max() > 0.10))
    nods = bool(turned.max() > np.radians(9))
    signal = away.max(1) if any(arms) else turned
    if not (any(arms) or nods):
        return None
    top = signal.max()
    moving = np.flatnonzero(signal > 0.12 * top)
    apex = int(np.argmax(signal > 0.9 * top))
    start, end = int(moving[0]), int(moving[-1])
    if apex - start < 4 or end - apex < 8:
        return None
    return NotationClip(
        str(clip["name"]), str(clip["concept"]), str(clip["subject"]), str(clip["licence"]), q, start / 30, apex / 30,
        min(end + 8, len(q) - 1) / 30, arms, nods, tuple(c["text"] for c in clip["captions"]),
        tuple(clip.get("utterances", ())))


def load_sources(data: Path, split: str, skipped: list[tuple[str, str]] | None = None) -> Sources:
    """Everything of ``free_extra`` and ``gesture_notation`` that belongs to a split.

    :param data: the folder that holds both sets.
    :raises UnderstudyError: ``file_missing`` or ``file_invalid`` when a set as a whole is missing or unreadable, or has
        nothing for this split; a broken shard or clip is skipped and listed.
    """
    lost = skipped if skipped is not None else []
    idle = _idle_trials(_Set(data / "free_extra", lost), split)
    notation_set = _Set(data / "gesture_notation", lost)
    notation = []
    for clip in notation_set.clips:
        if clip.get("split") != split:
            continue
        arrays = notation_set.arrays(clip)
        try:
            found = _notation_clip(clip, arrays[0]) if arrays else None
        except (KeyError, TypeError) as error:
            lost.append((f"gesture_notation/{clip.get('name', '?')}", f"its record lacks {error}"))
            continue
        if found is not None:
            notation.append(found)
    utterances = load_utterances(data / "gesture_notation" / "utterances.json", split)
    if not idle:
        raise UnderstudyError("file_invalid", f"free_extra has no readable idle motion for the split {split}.",
                              "Fetch the data again.")
    return Sources(split, idle, notation, utterances, lost)
