# SPDX-License-Identifier: Apache-2.0
"""The relation bank: files, choice of segments, and that slow movement stays the performance's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bridge_server.pose_track import bank as banks
from bridge_server.pose_track.bank import FPS, LENGTH, Bank, enliven, normalise
from bridge_server.pose_track.bank_build import _pieces, bank_of
from bridge_server.pose_track.bank_measure import distance, spectra
from bridge_server.pose_track.layout import INDEX
from bridge_server.pose_track.track import PoseTrack
from shared.errors import UnderstudyError


def moving(frames: int, fine: float, seed: int = 0, fps: float = FPS) -> PoseTrack:
    """A body that sways at 0.7 Hz with a tremor of ``fine`` trunk lengths at 9 Hz in the arms."""
    rng = np.random.default_rng(seed)
    points = np.zeros((frames, 66, 2))
    for name, xy in {"nose": (0, -40), "right_shoulder": (-30, 0), "left_shoulder": (30, 0), "right_elbow": (-45, 50),
                     "left_elbow": (45, 50), "right_wrist": (-50, 95), "left_wrist": (50, 95), "right_hip": (-18, 100),
                     "left_hip": (18, 100), "right_knee": (-18, 190), "left_knee": (18, 190), "right_ankle": (-18, 280),
                     "left_ankle": (18, 280)}.items():
        points[:, INDEX[name]] = xy
    points += (256, 120)
    time = np.arange(frames) / fps
    points[:, :14, 0] += 12 * np.sin(2 * np.pi * 0.7 * time)[:, None]
    for name in ("right_elbow", "left_elbow", "right_wrist", "left_wrist"):
        points[:, INDEX[name]] += 100 * fine * np.sin(2 * np.pi * 9 * time[:, None] + rng.uniform(0, 6, 2))
    return PoseTrack(fps, 512, 512, points, np.ones((frames, 66)), np.zeros((frames, 66)), points[:, 0], 30.0)


def bank_from(*tracks: PoseTrack, tokens: int = 4) -> Bank:
    def pieces():  # type: ignore[no-untyped-def]
        for track in tracks:
            body, _ = normalise(track.points)
            yield from _pieces(body, np.arange(len(body) // 4) % tokens)

    return bank_of(pieces(), np.eye(tokens, dtype=np.float32), "digest", 50, 400, np.random.default_rng(0), {"licences": ["CC0"]})


def test_bank_file(tmp_path: Path) -> None:
    bank = bank_from(moving(200, 0.05))
    bank.save(tmp_path / "bank.npz")
    again = Bank.load(tmp_path / "bank.npz")
    assert np.abs(again.segments - bank.segments).max() < 1 / 1900
    assert (again.codes == bank.codes).all() and again.tokenizer == "digest" and again.facts["licences"] == ["CC0"]
    (tmp_path / "bad.npz").write_bytes(b"no")
    for name, code in (("bad.npz", "file_invalid"), ("none.npz", "file_missing")):
        with pytest.raises(UnderstudyError) as caught:
            Bank.load(tmp_path / name)
        assert caught.value.code == code


def test_segments_of_a_token_and_of_its_neighbours() -> None:
    segments = np.zeros((6, LENGTH, 13, 2))
    bank = Bank(segments, np.array([0, 0, 1, 2, 2, 2]), np.array([[0.0, 0], [5, 0], [1, 0]]))
    assert set(bank.of(0, least=1).tolist()) == {0, 1}
    assert set(bank.of(0, least=3).tolist()) == {0, 1, 3, 4, 5}  # token 2 is nearer than token 1
    assert len(bank.of(1, least=100)) == 6


@pytest.mark.parametrize("fps", [30.0, 25.0])
def test_fine_movement_comes_from_the_bank_and_slow_movement_stays(fps: float) -> None:
    bank = bank_from(moving(300, 0.05, 1), moving(300, 0.05, 2))
    stiff = moving(120, 0.0, fps=fps)
    lively = enliven(stiff, bank)
    change = lively.points - stiff.points
    wrist = change[10:-10, INDEX["left_wrist"]]
    assert 1.0 < wrist.std() < 5.0  # the tremor has 3.5 px
    slow = np.stack([np.convolve(wrist[:, k], np.ones(10) / 10, "valid") for k in range(2)])
    assert np.abs(slow).max() < 1.5
    # the bank has no tremor in the hips, and hands go with their wrists
    assert change[10:-10, INDEX["left_hip"]].std() < 0.3
    assert np.allclose(change[:, 24:45], change[:, [INDEX["left_wrist"]]])
    assert np.allclose(lively.face_centre - stiff.face_centre, change[:, INDEX["nose"]])
    assert np.allclose(enliven(stiff, bank, amount=0.0).points, stiff.points)


def test_its_spectrum_is_nearer() -> None:
    real, stiff = moving(240, 0.05, 5), moving(240, 0.0)
    lively = enliven(stiff, bank_from(moving(300, 0.05, 1), moving(300, 0.05, 2)))
    truth, a, b = (spectra([t.points]) for t in (real, stiff, lively))
    for name in ("speed", "acceleration"):
        assert distance(getattr(b, name), getattr(truth, name)) < 0.5 * distance(getattr(a, name), getattr(truth, name))


def test_distance_is_in_decibels() -> None:
    assert distance(np.full(17, 10.0), np.full(17, 1.0)) == pytest.approx(10.0)
    with pytest.raises(ValueError, match="long enough"):
        spectra([moving(20, 0.1).points])


def test_an_empty_bank_is_refused() -> None:
    with pytest.raises(UnderstudyError) as caught:
        bank_of([], np.eye(2), "", 1, 1, np.random.default_rng(0), {})
    assert caught.value.code == "request_invalid"


def test_the_shipped_bank() -> None:
    bank = Bank.load()
    assert banks.DEFAULT_BANK.stat().st_size <= 3_000_000
    assert len(bank.segments) >= 4000 and bank.tokenizer and bank.facts["split"] == "train"
    assert bank.facts["non_commercial"] is False
    assert np.isfinite(bank.segments).all() and np.abs(bank.segments).max() < 8
    assert bank.codes.max() < len(bank.vectors)


def template(folder: Path, layout: str, seed: int) -> tuple[Path, Path]:
    """A template video's two files in published layouts: DWPose key points and the SMPL-X performance fitted to it."""
    from bridge_server.pose_track.files import write_dwpose
    from bridge_server.pose_track.project import camera_for, track_of
    from shared import rotations as rot
    from shared.formats.amass import write_amass
    from shared.motion import Motion
    from shared.skeleton import JOINT_INDEX

    rng = np.random.default_rng(seed)
    motion = Motion.rest(150, 30.0)
    time = motion.times
    for name in ("left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "spine1"):
        swing = np.sin(2 * np.pi * rng.uniform(0.4, 1.2) * time + rng.uniform(0, 6)) * 0.5
        motion.rotations[:, JOINT_INDEX[name]] = rot.axis_angle_to_quat(np.outer(swing, rng.normal(size=3)))
    pose, body = folder / f"{layout}_pose.npz", folder / f"{layout}_body.npz"
    # the video has 25 frames a second, and the detector lost the left wrist for a while
    seen = track_of(motion.resample(25.0), camera_for(motion.resample(25.0), "whole", 512, 512), occlusion=False)
    seen.confidence[40:60, INDEX["left_wrist"]] = 0.1
    write_dwpose(seen, pose)
    if layout == "amass":
        write_amass(motion, body)
    else:
        poses = rot.quat_to_axis_angle(motion.rotations.astype(np.float64)).reshape(len(motion), 165).astype(np.float32)
        np.savez(body, betas=np.zeros(300, np.float32), poses=poses, expressions=np.zeros((len(motion), 100)),
                 trans=motion.translation.astype(np.float64), model="smplx2020", gender="neutral", mocap_frame_rate=np.array(30))
    return pose, body


def test_a_bank_of_template_videos(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from bridge_server.cli.main import main

    files = [template(tmp_path, "amass", 1), template(tmp_path, "beat2", 2)]
    out = tmp_path / "bank.npz"
    line = ["bank", "build", "--out", str(out)]
    for pose, body in files:
        line += ["--template", str(pose), str(body)]
    assert main(line) == 0, capsys.readouterr().err
    bank = Bank.load(out)
    assert bank.facts["sources"] == ["amass_pose.npz", "beat2_pose.npz"] and bank.tokenizer
    # 5 s give 17 segments of half a second; those that the detector did not see whole are left out
    assert 22 <= len(bank.segments) <= 30 and len(set(bank.codes.tolist())) > 1
    from bridge_server.pose_track.files import read_dwpose

    track = read_dwpose(files[0][0])
    lively = enliven(track, bank)
    assert np.isfinite(lively.points).all() and np.linalg.norm(lively.points[:, 1:14] - track.points[:, 1:14], axis=-1).mean() < 5
    # the two files of a template must be of one video
    short = tmp_path / "short.npz"
    from bridge_server.pose_track.files import write_dwpose

    write_dwpose(track.take(slice(0, 50)), short)
    assert main(["bank", "build", "--out", str(out), "--template", str(short), str(files[0][1])]) == 1
    assert "2.0 s long" in capsys.readouterr().err
    assert main(["bank", "build", "--out", str(out)]) == 1
