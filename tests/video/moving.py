# SPDX-License-Identifier: Apache-2.0
"""A tiny set of videos: a figure that stands, and points, where its pose says."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np

from bridge_server.pose_track.layout import INDEX, POINT_COUNT
from bridge_server.pose_track.track import PoseTrack

__all__ = ["SIDE", "figure", "pose", "write_set"]

SIDE = 64


def pose(shift: np.ndarray) -> PoseTrack:
    """A standing figure, moved aside by (T,) pixels, whose right hand is up where it stands to the right and down to the left."""
    shift = np.asarray(shift, float)
    frames = len(shift)
    points, confidence = np.zeros((frames, POINT_COUNT, 2)), np.zeros((frames, POINT_COUNT))
    for name, xy in {"nose": (32, 14), "right_eye": (30, 12), "left_eye": (34, 12), "right_ear": (27, 13), "left_ear": (37, 13),
                     "neck": (32, 24), "right_shoulder": (26, 25), "left_shoulder": (38, 25), "right_hip": (28, 50),
                     "left_hip": (36, 50)}.items():
        points[:, INDEX[name]], confidence[:, INDEX[name]] = np.stack((xy[0] + shift, np.full(frames, xy[1])), -1), 1
    points[:, INDEX["right_wrist"]] = np.stack((18 + shift, 36 - shift), -1)
    points[:, INDEX["right_elbow"]] = (points[:, INDEX["right_wrist"]] + points[:, INDEX["right_shoulder"]]) / 2
    confidence[:, [INDEX["right_wrist"], INDEX["right_elbow"]]] = 1
    return PoseTrack(20.0, SIDE, SIDE, points, confidence, np.zeros((frames, POINT_COUNT)), points[:, INDEX["nose"]].copy(), 14.0)


def figure(track: PoseTrack, frame: int, colour: tuple[int, int, int], mouth: float = 0.0) -> np.ndarray:
    """(64, 64, 3) uint8 RGB: grey room, body, head with a mouth that opens, and a thick arm with a bright hand."""
    out = np.full((SIDE, SIDE, 3), 60, np.uint8)
    p = np.rint(track.points[frame]).astype(int)
    cv2.rectangle(out, p[INDEX["right_shoulder"]].tolist(), p[INDEX["left_hip"]].tolist(), colour, -1)
    x, y = p[INDEX["nose"]].tolist()
    cv2.circle(out, (x, y), 8, (200, 160, 130), -1)
    cv2.ellipse(out, (x, y + 4), (4, max(int(4 * mouth), 1)), 0, 0, 360, (60, 0, 0), -1)
    cv2.line(out, p[INDEX["right_shoulder"]].tolist(), p[INDEX["right_wrist"]].tolist(), colour, 5)
    cv2.circle(out, p[INDEX["right_wrist"]].tolist(), 7, (255, 240, 120), -1)
    return out


def write_set(folder: Path, clips: int = 6, frames: int = 12, seed: int = 0) -> None:
    """``clips`` films with points, sound and labels; the last one is held out."""
    import wave

    from bridge_server.pose_track.files import write_dwpose
    from bridge_server.video import encode

    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    for n in range(clips):
        phase, speed = rng.uniform(0, 6.28), rng.uniform(0.3, 0.6)
        t = np.arange(frames)
        track = pose(16 * np.sin(phase + speed * t))
        loud = (np.sin(np.arange(frames) * 1.3 + n) > 0).astype(float)
        colour = tuple(int(c) for c in rng.integers(80, 200, 3))
        encode.write_segment(folder / f"clip{n}.mp4", [figure(track, k, colour, loud[k]) for k in range(frames)], 20.0, ".mp4")
        write_dwpose(track, folder / f"clip{n}.npz")
        facts = {"split": "val" if n == clips - 1 else "train", "emotion": "happy", "licence": "CC0-1.0"}
        (folder / f"clip{n}.json").write_text(json.dumps(facts))
        with wave.open(str(folder / f"clip{n}.wav"), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(16000)
            tone = np.sin(np.arange(frames * 800) * 0.3) * np.repeat(loud, 800) * 12000
            file.writeframes(tone.astype("<i2").tobytes())
