# SPDX-License-Identifier: Apache-2.0
"""The puppet: what moves, what stays, and that nothing tears."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bridge_server.pose_track.layout import INDEX
from bridge_server.pose_track.project import camera_for, track_of
from bridge_server.video import renderers
from bridge_server.video.person import Person
from bridge_server.video.photo import Photo, load_photo
from bridge_server.video.puppet.cutout import fill
from bridge_server.video.puppet.drive import drive, whole_limbs
from bridge_server.video.puppet.face import FaceWarp
from bridge_server.video.puppet.limb import Limb, limb_mask, rasterise
from bridge_server.video.puppet.mouth import find_mouth
from bridge_server.video.puppet.trunk import Trunk
from shared.errors import UnderstudyError
from shared.motion import Motion


def quiet(stage: str, fraction: float) -> None:
    pass


def person_of(astronaut: np.ndarray) -> Person:
    from bridge_server.video.person import find_person

    return find_person(Photo(astronaut))


def test_mouth_and_lids(astronaut: np.ndarray) -> None:
    person = person_of(astronaut)
    mouth = find_mouth(astronaut, person)
    assert mouth.teeth and 0.95 < mouth.y < 1.2 and abs(mouth.x) < 0.1
    warp = FaceWarp(astronaut, person, mouth)
    left, top, right, bottom = warp.box
    still = warp.patch({}).astype(int)
    assert np.abs(still - astronaut[top:bottom, left:right]).max() == 0

    def at(patch: np.ndarray, x: float, y: float) -> np.ndarray:
        across = (person.eyes[1] - person.eyes[0]) / person.unit
        where = person.eyes.mean(0) + person.unit * (x * across + y * person.down) - (left, top)
        return patch[int(where[1]) - 1: int(where[1]) + 2, int(where[0]) - 1: int(where[0]) + 2].mean()

    opened = warp.patch({"jawOpen": 0.8}).astype(int)
    assert at(opened, mouth.x, mouth.y + 0.12) < 0.5 * at(still, mouth.x, mouth.y + 0.12)
    assert np.abs(opened - still)[: int(person.eyes[0, 1]) - top].max() == 0
    assert np.abs(opened - still)[:, 0].max() == 0 and np.abs(opened - still)[:, -1].max() == 0
    closed = warp.patch({"eyeBlinkLeft": 1.0}).astype(int)
    difference = np.abs(closed - still).sum(-1)
    columns = np.nonzero(difference.sum(0))[0] + left
    # the person's left eye is on the right of the picture, and only that one closes
    assert columns.min() > person.eyes.mean(0)[0] and at(closed, 0.5, 0.0) > at(still, 0.5, 0.0)


def test_fill_is_smooth_and_keeps_what_is_known() -> None:
    picture = np.zeros((64, 64, 3), np.uint8)
    picture[:, :32], picture[:, 32:] = (200, 0, 0), (0, 0, 200)
    known = np.ones((64, 64), bool)
    known[20:44, 20:44] = False
    out = fill(np.where(known[..., None], picture, 255), known)
    assert (out[known] == picture[known]).all()
    assert out[32, 21, 0] > 150 and out[32, 42, 2] > 150 and out[..., 1].max() == 0
    assert np.abs(np.diff(out[32, 20:44].astype(int), axis=0)).max() < 60


def test_rasterise_is_exact_for_affine_moves() -> None:
    source = np.array([[0, 0], [40, 0], [40, 40], [0, 40]], float)
    triangles = np.array([[0, 1, 2], [0, 2, 3]])
    left, top, x, y, covered = rasterise(source * 1.5 + (10, 20), source, triangles, (200, 200))
    rows, columns = np.nonzero(covered)
    assert covered.sum() >= 60 * 60
    assert np.abs(x[rows, columns] - (columns + left - 10) / 1.5).max() < 1e-3
    assert np.abs(y[rows, columns] - (rows + top - 20) / 1.5).max() < 1e-3


def test_a_limb_bends_at_its_joints_without_tearing() -> None:
    rgba = np.zeros((200, 200, 4), np.uint8)
    joints = np.array([[100.0, 30], [100, 80], [100, 130]])
    shape = np.zeros((200, 200), bool)
    shape[25:155, 92:108] = True
    mask = limb_mask(shape, joints, (10, 10, 10), 20)
    rgba[mask] = (255, 255, 255, 255)
    limb = Limb(rgba, joints, 8.0)
    canvas = np.zeros((200, 200, 3), np.uint8)
    limb.draw(canvas, joints, 0.0)
    assert np.abs(canvas[..., 0].astype(int) - rgba[..., 3]).max() <= 1
    bent = np.array([[100.0, 30], [100, 80], [150, 80]])
    canvas[:] = 0
    limb.draw(canvas, bent, 0.0)
    assert canvas[50, 100, 0] > 250 and canvas[80, 140, 0] > 250 and canvas[120, 100, 0] == 0
    import cv2

    assert cv2.connectedComponents((canvas[..., 0] > 128).astype(np.uint8))[0] == 2
    # about as much of it is seen as before
    assert (canvas[..., 0] > 128).sum() == pytest.approx((rgba[..., 3] > 0).sum(), rel=0.15)


def test_trunk_map_is_the_inverse_of_its_movement(astronaut: np.ndarray, performance: Motion) -> None:
    person = person_of(astronaut)
    moves = drive(track_of(performance, camera_for(performance, "half", 256, 256)), person, (512, 512))
    assert np.abs(moves.chest).max() > 1 and np.abs(moves.look).max() > 1
    trunk = Trunk(person, (512, 512), moves)
    frame = int(np.argmax(np.abs(moves.chest[:, 0])))
    x, y = trunk.maps(frame)
    points = np.array([[223.0, 110], [223, 160], [100, 300], [300, 320], [200, 420]])
    moved = trunk.at(points, frame)
    index = np.rint(moved).astype(int)
    back = np.stack((x[index[:, 1], index[:, 0]], y[index[:, 1], index[:, 0]]), -1)
    assert np.abs(back - points - (index - moved)).max() < 1.0
    # no folds: neighbours stay in order
    assert np.diff(x, axis=1).min() > 0.2 and np.diff(y, axis=0).min() > 0.2
    # glued to the lower rim
    assert np.abs(trunk.at(np.array([[200.0, 511.0]]), frame) - [[200, 511]]).max() < 1.5


def test_only_whole_limbs_are_free(astronaut: np.ndarray) -> None:
    person = person_of(astronaut)
    assert whole_limbs(person, (512, 512)) == []
    points, confidence = person.points.copy(), person.confidence.copy()
    for name, xy in {"left_shoulder": (300, 200), "left_elbow": (350, 260), "left_wrist": (400, 300)}.items():
        points[INDEX[name]], confidence[INDEX[name]] = xy, 1
    placed = Person(person.eyes, points, confidence, True)
    assert whole_limbs(placed, (512, 512)) == ["left_arm"]
    assert whole_limbs(placed, (415, 512)) == []  # the hand would be cut


def test_frames_do_not_depend_on_their_segments(photo_path: Path, performance: Motion) -> None:
    track = track_of(performance, camera_for(performance, "half", 128, 128))
    renderer = renderers.load("puppet")
    scene = renderers.Scene(track, performance.face, load_photo(photo_path), None, 128, 128)
    notes = renderer.prepare(scene, quiet)
    assert any("arms" in note for note in notes)
    frames = list(renderer.frames(0, 10, quiet))
    assert len(frames) == 10 and frames[0].shape == (128, 128, 3) and frames[0].dtype == np.uint8
    assert (next(renderer.frames(7, 8, quiet)) == frames[7]).all()
    motion = np.abs(np.diff(np.array(frames).astype(int), axis=0)).mean()
    assert 0.1 < motion < 20
    # far from the person nothing moves
    assert np.ptp(np.array(frames)[:, :20, 110:].astype(int), axis=0).max() <= 1


def test_registry() -> None:
    found = {item.name: item for item in renderers.describe_all()}
    assert found["puppet"].runs_here and "timing" in found["puppet"].summary
    with pytest.raises(UnderstudyError) as caught:
        renderers.load("no-such")
    assert caught.value.code == "unsupported" and "puppet" in caught.value.fix
    with pytest.raises(UnderstudyError):
        renderers.load("no_such_module:Thing")


def test_what_sticks_out_of_a_limb_goes_with_the_nearest() -> None:
    from bridge_server.video.puppet.limb import claim

    joints = {"left_arm": np.array([[20.0, 10], [20, 30], [20, 50]]), "left_leg": np.array([[60.0, 10], [60, 30], [60, 50]])}
    masks = {name: np.zeros((80, 80), bool) for name in joints}
    free = np.zeros((80, 80), bool)
    free[40, 25] = free[40, 55] = free[2, 20] = free[70, 79] = True
    claimed = claim(free, masks, joints, 12.0)
    assert claimed["left_arm"][40, 25] and claimed["left_leg"][40, 55] and not claimed["left_arm"][40, 55]
    assert not claimed["left_arm"][2, 20]  # above the shoulder is the trunk
    assert sum(m.sum() for m in claimed.values()) == 2
