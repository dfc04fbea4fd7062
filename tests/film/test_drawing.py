# SPDX-License-Identifier: Apache-2.0
"""Pose pictures and files, pixel by pixel against values worked out by hand from the published drawers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from bridge_server.pose_track import files
from bridge_server.pose_track.draw_dwpose import draw_dwpose
from bridge_server.pose_track.draw_wan import draw_wan, wan_points
from bridge_server.pose_track.layout import HAND_EDGES, INDEX, LEFT_HAND, NAMES, hand_colours
from bridge_server.pose_track.track import PoseTrack
from shared.errors import UnderstudyError


def track_with(size: int = 400, **points: tuple[float, float, float]) -> PoseTrack:
    """One frame with the named points as (x, y, confidence)."""
    xy, sure = np.zeros((1, 66, 2)), np.zeros((1, 66))
    for name, (x, y, c) in points.items():
        xy[0, INDEX[name]], sure[0, INDEX[name]] = (x, y), c
    return PoseTrack(25.0, size, size, xy, sure, np.zeros((1, 66)), np.zeros((1, 2)), 0.0)


def test_mimicmotion_limb_colours_confidence_and_channels() -> None:
    track = track_with(neck=(200, 100, 0.9), right_shoulder=(100, 100, 0.8))
    image = draw_dwpose(track, 0, short_side=400)
    # limb 0 is (255, 0, 0) x .9 x .8 = 183, darkened to 109, and the swap puts it into the last channel
    assert image[100, 150].tolist() == [0, 0, 109]
    # 4 px half width: inside at 3 px, outside at 5
    assert image[103, 150].any() and not image[105, 150].any()
    # discs at full brightness: joint 1 is (255, 85, 0) x .9, joint 2 (255, 170, 0) x .8
    assert image[100, 200].tolist() == [0, 76, 229]
    assert image[100, 100].tolist() == [0, 136, 204]
    assert image[96, 200].any() and not image[94, 200].any()
    assert draw_dwpose(track, 0, short_side=400, swap=False)[100, 150].tolist() == [109, 0, 0]


def test_mimicmotion_threshold() -> None:
    just_under = draw_dwpose(track_with(neck=(200, 100, 0.9), right_shoulder=(100, 100, 0.29)), 0, short_side=400)
    assert not just_under[100, 150].any() and not just_under[100, 100].any() and just_under[100, 200].any()
    at_it = draw_dwpose(track_with(neck=(200, 100, 1.0), right_shoulder=(100, 100, 0.3)), 0, short_side=400)
    assert at_it[100, 150].tolist() == [0, 0, 45]  # int(255 x .3) = 76, x .6


def test_mimicmotion_draws_large_and_shrinks() -> None:
    track = track_with(neck=(200, 100, 1.0), right_shoulder=(100, 100, 1.0))
    image = draw_dwpose(track, 0)
    # half width 4 at 2160 is 0.74 px at 400
    assert image[100, 150, 2] > 90 and not image[103, 150].any()


def test_mimicmotion_hand() -> None:
    hand = {f"left_{name}": (100.0 + 10 * i, 300.0, 1.0) for i, name in enumerate(
        ("palm", "thumb1", "thumb2", "thumb3", "thumb4"))}
    hand |= {name: (100.0, 300.0, 1.0) for name in NAMES[LEFT_HAND] if name not in hand}
    image = draw_dwpose(track_with(**hand), 0, short_side=400)
    assert image[300, 140].tolist() == [255, 0, 0]  # joints are (0, 0, 255), swapped
    assert HAND_EDGES[:5] == ((0, 1), (1, 2), (2, 3), (3, 4), (0, 5))
    edge = image[300, 115]  # thumb1 to thumb2, hue 1/20: (255, 76.5, 0) swapped
    assert edge.tolist() in ([0, 76, 255], [0, 77, 255])


def test_hand_hues() -> None:
    colours = hand_colours()
    assert colours[0].tolist() == [1, 0, 0]
    assert colours[5] == pytest.approx([0.5, 1.0, 0.0])
    assert colours[10] == pytest.approx([0.0, 1.0, 1.0])
    assert colours[15] == pytest.approx([0.5, 0.0, 1.0])


def test_wan_colours_toes_and_widths() -> None:
    track = track_with(800, neck=(200, 100, 1), right_shoulder=(100, 100, 1), left_ankle=(400, 600, 1),
                       left_big_toe=(440, 640, 1), left_small_toe=(480, 640, 1), right_ankle=(200, 600, 0.49),
                       right_big_toe=(220, 640, 1), right_small_toe=(220, 640, 1))
    points, confidence = wan_points(track, 0)
    assert points[18].tolist() == [460, 640] and confidence[18:].tolist() == [1, 1]
    image = draw_wan(track, 0)
    assert image[100, 150].tolist() == [153, 0, 0]  # red stays red; 255 x .6
    # min(H, W) / 200 - 1 = 3 px half width
    assert image[102, 150].any() and not image[105, 150].any()
    assert image[620, 430].tolist() == [153, 0, 51]  # the limb to the left toe takes colour 17: (255, 0, 85) x .6
    assert image[640, 460].tolist() == [200, 200, 0]
    assert image[640, 220].tolist() == [100, 100, 0]  # the disc, without a limb: the ankle is under .5
    assert not image[620, 210].any()


def test_wan_leaves_weak_hands_away() -> None:
    hand = {name: (100.0 + i * 5, 200.0, 0.49) for i, name in enumerate(NAMES[LEFT_HAND])}
    assert not draw_wan(track_with(**hand), 0).any()
    hand = {name: (x, y, 0.5) for name, (x, y, _) in hand.items()}
    assert draw_wan(track_with(**hand), 0)[200, 100].tolist() == [0, 0, 255]


def random_track(frames: int = 3) -> PoseTrack:
    rng = np.random.default_rng(1)
    points = rng.uniform(1, 199, (frames, 66, 2))
    return PoseTrack(30.0, 200, 100, points * (1, 0.5), rng.uniform(0.1, 1, (frames, 66)), np.zeros((frames, 66)),
                     points[:, 0] * (1, 0.5), 20.0)


def test_openpose_json(tmp_path: Path) -> None:
    track = random_track()
    track.confidence[1, 3] = 0
    paths = files.write_openpose(track, tmp_path, "clip")
    assert paths[1].name == "clip_000000000001_keypoints.json"
    person = json.loads(paths[1].read_text())["people"][0]
    assert len(person["pose_keypoints_2d"]) == 54 and len(person["hand_left_keypoints_2d"]) == 63
    assert person["pose_keypoints_2d"][9:12] == [0, 0, 0]
    assert person["pose_keypoints_2d"][:2] == pytest.approx(track.points[1, 0].tolist(), abs=1e-3)
    again = files.read_openpose(tmp_path, 30.0)
    shown = track.confidence > 0
    assert np.abs(again.points - track.points)[shown].max() < 1e-3
    assert np.abs(again.confidence - track.confidence).max() < 1e-3
    assert (again.width, again.height) == (200, 100)


def test_dwpose_npz(tmp_path: Path) -> None:
    track = random_track()
    files.write_dwpose(track, tmp_path / "pose.npz")
    with np.load(tmp_path / "pose.npz", allow_pickle=False) as z:
        assert z["keypoints"].shape == (3, 134, 2) and z["hands"].shape == (3, 2, 21, 2) and z["faces"].shape == (3, 68, 2)
        assert z["keypoints"][2, 92] == pytest.approx(track.points[2, 24] / (200, 100), abs=1e-5)
        assert z["keypoints"][2, 18] == pytest.approx(track.points[2, 18] / (200, 100), abs=1e-5)
        assert (z["faces_scores"] == 0).all()
    again = files.read_dwpose(tmp_path / "pose.npz")
    assert np.abs(again.points - track.points).max() < 1e-3 and again.fps == 30


def test_reading_body25(tmp_path: Path) -> None:
    values = [[float(i), float(i) + 0.5, 1.0] for i in range(25)]
    path = tmp_path / "photo_keypoints.json"
    path.write_text(json.dumps({"people": [{"pose_keypoints_2d": sum(values, [])}]}))
    points, confidence, size = files.read_points(path)
    assert size is None and confidence[:24].tolist() == [1.0] * 24
    # BODY_25 has MidHip at 8, so the right hip moves from 9 to 8, the left ankle from 14 to 13
    assert points[8, 0] == 9 and points[13, 0] == 14 and points[17, 0] == 18 and points[INDEX["left_big_toe"], 0] == 19


@pytest.mark.parametrize("content", ["", "[]", '{"people": []}', '{"people": [{"pose_keypoints_2d": [1, 2]}]}',
                                     '{"people": [{"pose_keypoints_2d": [1,1,1]}, {}]}'])
def test_bad_points_files(tmp_path: Path, content: str) -> None:
    path = tmp_path / "photo.json"
    path.write_text(content)
    with pytest.raises(UnderstudyError) as caught:
        files.read_points(path)
    assert caught.value.code == "file_invalid"
