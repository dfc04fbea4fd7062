# SPDX-License-Identifier: Apache-2.0
"""What a pose track makes the photograph's parts do.

Trunk and head move **relative** to the track's usual pose, so that the photograph's own posture is kept; limbs that the
photograph shows whole take the track's own directions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from bridge_server.pose_track.align import proportions
from bridge_server.pose_track.layout import INDEX
from bridge_server.pose_track.track import PoseTrack
from bridge_server.video.person import Person

__all__ = ["CHAINS", "Drive", "drive", "whole_limbs"]

CHAINS: Final = {
    "left_arm": ("left_shoulder", "left_elbow", "left_wrist"), "right_arm": ("right_shoulder", "right_elbow", "right_wrist"),
    "left_leg": ("left_hip", "left_knee", "left_ankle"), "right_leg": ("right_hip", "right_knee", "right_ankle"),
}


@dataclass(frozen=True)
class Drive:
    """Per frame, in the photograph's pixels and radians (clockwise in the picture).

    :ivar chest: (T, 2) how far the neck moves. :ivar lean: (T,) turn of the shoulders. :ivar hips: (T, 2) movement of the hips.
    :ivar head: (T, 2) movement of the head besides the chest's. :ivar tilt: (T,) turn of the head besides the chest's.
    :ivar look: (T, 2) how far the middle of the face slides over the head: to the side and down.
    :ivar swing: upper arms that are not shown whole: side -> (T,) turn about the shoulder.
    :ivar limbs: limbs shown whole: name -> (T, 3, 2) where shoulder, elbow and wrist (hip, knee, ankle) would be relative to the
        first, i.e. row 0 is zero.
    :ivar hand: name of an arm -> (T,) turn of the hand against the forearm.
    :ivar front: name -> (T,) whether the limb is before the trunk.
    """

    chest: np.ndarray
    lean: np.ndarray
    hips: np.ndarray
    head: np.ndarray
    tilt: np.ndarray
    look: np.ndarray
    swing: dict[str, np.ndarray]
    limbs: dict[str, np.ndarray]
    hand: dict[str, np.ndarray]
    front: dict[str, np.ndarray]

    def __len__(self) -> int:
        return len(self.chest)


def whole_limbs(person: Person, size: tuple[int, int], threshold: float = 0.3) -> list[str]:
    """Limbs whose three points were placed and which end well inside of the picture; only these can be moved freely."""
    out = []
    for name, chain in CHAINS.items():
        index = [INDEX[n] for n in chain]
        if (person.confidence[index] < threshold).any():
            continue
        upper, lower = person.points[index[1]] - person.points[index[0]], person.points[index[2]] - person.points[index[1]]
        tip = person.points[index[2]] + (0.45 if "arm" in name else 0.2) * lower
        long_enough = min(np.linalg.norm(upper), np.linalg.norm(lower)) > 0.8 * person.unit
        if long_enough and (tip > 0).all() and (tip < np.array(size)).all():
            out.append(name)
    return out


def _gentle(x: np.ndarray, limit: float) -> np.ndarray:
    """Limited softly."""
    return limit * np.tanh(x / max(limit, 1e-6))


def _smooth(x: np.ndarray, fps: float, seconds: float) -> np.ndarray:
    sigma = max(seconds * fps, 1e-3)
    reach = int(3 * sigma) + 1
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    kernel /= kernel.sum()
    flat = np.pad(x.reshape(len(x), -1), ((reach, reach), (0, 0)), mode="edge")
    return np.stack([np.convolve(flat[:, k], kernel, mode="valid") for k in range(flat.shape[1])], -1).reshape(x.shape)


def _turn(vector: np.ndarray) -> np.ndarray:
    """(T,) angle of (T, 2) against its usual direction, continuous and in radians."""
    angle = np.unwrap(np.arctan2(vector[:, 1], vector[:, 0]))
    return angle - np.median(angle)


def drive(track: PoseTrack, person: Person, size: tuple[int, int]) -> Drive:
    """Movements of the photograph's person, from a track of any size and framing.

    :param size: (width, height) of the photograph.
    """
    points = _smooth(track.points.astype(np.float64), track.fps, 0.04)

    def at(name: str) -> np.ndarray:
        return points[:, INDEX[name]]

    across = at("left_shoulder") - at("right_shoulder")
    # at full width: a performer who turns away has narrow shoulders for a while
    own = float(np.percentile(np.linalg.norm(across, axis=-1), 90))
    photo = max(float(np.linalg.norm(person.points[INDEX["left_shoulder"]] - person.points[INDEX["right_shoulder"]])), 4 * person.unit)
    scale = photo / max(own, 1e-6)

    def moved(path: np.ndarray) -> np.ndarray:
        return (path - np.median(path, axis=0)) * scale

    unit = person.unit
    hips = moved((at("left_hip") + at("right_hip")) / 2)
    chest = moved(at("neck"))
    legs = [limb for limb in whole_limbs(person, size) if "leg" in limb]
    if not legs:
        # without legs in the picture the body sways on the spot, whatever the performer's feet do
        slow = _smooth(hips, track.fps, 0.8)
        chest, hips = chest - slow, hips - slow
    limit = 3.0 if legs else 1.1
    chest = np.stack((_gentle(chest[:, 0], limit * unit), _gentle(chest[:, 1], (0.6 if legs else 0.35) * limit * unit)), -1)
    hips = np.stack((_gentle(hips[:, 0], limit * unit), _gentle(hips[:, 1], limit * unit)), -1)
    lean = _gentle(_turn(across), 0.18)
    ears = (at("left_ear") + at("right_ear")) / 2
    head = moved(ears - at("neck"))
    head = np.stack((_gentle(head[:, 0], 0.6 * unit), _gentle(head[:, 1], 0.35 * unit)), -1)
    eyes = at("left_eye") - at("right_eye")
    tilt = _gentle(_turn(eyes), 0.30) - lean
    # the nose against the ears says where the face looks; the ears' distance is the head's width from the front
    width = float(np.percentile(np.linalg.norm(at("left_ear") - at("right_ear"), axis=-1), 90))
    nose = (at("nose") - ears) / max(width, 1e-6)
    look = nose - np.median(nose, axis=0)
    look = np.stack((_gentle(look[:, 0] * 2.2, 1.0), _gentle(look[:, 1] * 2.2, 0.7)), -1) * 0.30 * unit
    lengths = proportions(track, 0.1)
    whole = whole_limbs(person, size)
    swing, limbs, hand, front = {}, {}, {}, {}
    for name, chain in CHAINS.items():
        index = [INDEX[n] for n in chain]
        bones = [points[:, b] - points[:, a] for a, b in zip(index, index[1:], strict=False)]
        if name in whole:
            joints = np.zeros((len(points), 3, 2))
            for k, bone in enumerate(bones):
                length = float(np.linalg.norm(person.points[index[k + 1]] - person.points[index[k]]))
                seen = np.linalg.norm(bone, axis=-1, keepdims=True)
                # a bone towards the camera is short, but flat paper cannot be shorter than this without looking torn
                share = np.clip(seen / max(lengths[index[k + 1]], 1e-6), 0.45, 1.05)
                joints[:, k + 1] = joints[:, k] + bone / np.maximum(seen, 1e-6) * length * share
            limbs[name] = joints
            front[name] = track.depth[:, index[2]] <= track.depth[:, INDEX["neck"]] + 0.12 if "arm" in name \
                else np.ones(len(points), bool)
            if "arm" in name:
                side = name.split("_")[0]
                palm = points[:, INDEX[f"{side}_middle1"]] - points[:, INDEX[f"{side}_wrist"]]
                forearm = bones[1]
                angle = np.arctan2(forearm[:, 0] * palm[:, 1] - forearm[:, 1] * palm[:, 0], (forearm * palm).sum(-1))
                hand[name] = _gentle(_smooth(angle, track.fps, 0.06) - np.median(angle), 0.6)
        elif "arm" in name:
            # little of a cropped arm can move before the picture's rim shows: the shoulder only hints at the gesture
            rise = (points[:, index[2], 1] - points[:, index[0], 1]) / max(own, 1e-6)
            rise = np.median(rise) - rise
            sign = 1.0 if name.startswith("right") else -1.0
            swing[name.split("_")[0]] = sign * _gentle(_smooth(rise, track.fps, 0.08) * 0.16, 0.16)
    return Drive(chest, lean, hips, head, tilt, look, swing, limbs, hand, front)
