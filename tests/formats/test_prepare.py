# SPDX-License-Identifier: Apache-2.0
"""``understudy prepare`` on small data sets in their published layouts."""

from __future__ import annotations

import json
import wave
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bridge_server.cli.main import main
from bridge_server.training import prepare_sources
from bridge_server.training.clips import read_set
from bridge_server.training.prepare import settle
from bridge_server.training.prepare_humanml3d import captions_of
from bridge_server.training.prepare_sources import path_key, split_of, words_of
from bridge_server.training.prepare_store import read_motions
from shared import rotations as rot
from shared.formats.bvh import write_bvh
from shared.formats.read import read_motion
from shared.motion import Motion

from . import files
from .model_file import write_model
from .test_skeletons import person


def prepare(*arguments: object) -> int:
    return main(["prepare", *map(str, arguments)])


def records(folder: Path) -> dict[str, dict[str, Any]]:
    return {r["name"]: r for r in json.loads((folder / "clips.json").read_text())["clips"]}


def report(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "report.json").read_text())


def amass_tree(root: Path) -> Path:
    for k, name in enumerate(("KIT/3/kick_poses", "KIT/3/wave_poses", "CMU/07/07_01_poses")):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        files.amass_smplh(root / f"{name}.npz", frames=300, fps=100.0, seed=k)
    (root / "KIT/3/broken_poses.npz").write_bytes(b"PK nothing")
    files.amass_smplh(root / "KIT/3/short_poses.npz", frames=20, fps=100.0)
    np.savez(root / "KIT/3/shape.npz", gender="male", betas=np.zeros(16))
    return root


def test_amass(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "set"
    assert prepare(out, "--amass", amass_tree(tmp_path / "amass")) == 0
    printed = capsys.readouterr().out
    assert "3 of 5 clips" in printed and "broken_poses.npz" in printed and "non-commercial" in printed
    skipped = {Path(row["file"]).name: row["why"] for row in report(out)["skipped"]}
    assert set(skipped) == {"broken_poses.npz", "short_poses.npz"} and "shorter than 1 s" in skipped["short_poses.npz"]
    rows = records(out)
    assert set(rows) == {"KIT_3_kick_poses", "KIT_3_wave_poses", "CMU_07_07_01_poses"}
    assert len({rows["KIT_3_kick_poses"]["split"], rows["KIT_3_wave_poses"]["split"]}) == 1, "a person is on one side"
    row = rows["KIT_3_kick_poses"]
    assert row["frames"] == 90 and row["source_fps"] == 100 and row["joints"] == 55 and row["non_commercial"] is True
    # the trainer's reader takes it as it is
    clips = {c.name: c for c in read_set(out, ("train", "val", "test"))}
    source = read_motion(tmp_path / "amass/KIT/3/kick_poses.npz", fps=30)
    apart = rot.angle_between(clips["KIT_3_kick_poses"].rotations, source.rotations[:, :22])
    assert np.degrees(apart).max() < 0.1
    start = clips["KIT_3_kick_poses"].translation[0]
    assert start[0] == 0 and start[2] == 0
    # and the whole of it comes back, hands included
    full = dict((r["name"], m) for r, m in read_motions(out))["KIT_3_kick_poses"]
    assert np.degrees(rot.angle_between(full.rotations, source.rotations)).max() < 0.1
    assert abs(settle(full)[1]) < 1e-3, "it already stands on the floor"
    assert not list(tmp_path.glob("set.*"))


def test_frame_rates_of_the_smplh_twin(tmp_path: Path) -> None:
    for fps, folder, write in ((60.0, "smplh/BioMotionLab_NTroje/s 1/walk_poses.npz", files.amass_smplh),
                               (120.0, "smplx/BMLrub/s_1/walk_stageii.npz", files.amass_smplx)):
        (tmp_path / folder).parent.mkdir(parents=True)
        write(tmp_path / folder, frames=120, fps=fps)
    assert prepare(tmp_path / "a", "--amass", tmp_path / "smplx", "--min-seconds", 0.5) == 0
    assert prepare(tmp_path / "b", "--amass", tmp_path / "smplx", "--amass-rates", tmp_path / "smplh") == 0
    assert [r["seconds"] for f in "ab" for r in records(tmp_path / f).values()] == [1.0, 2.0]


def humanml3d_tree(root: Path, zipped: bool) -> Path:
    home = root / "HumanML3D"
    home.mkdir(parents=True)
    rows = [("./pose_data/KIT/3/kick_poses.npy", 20, 50, "000001"), ("./pose_data/MPI_HDM05/bk/jump_poses.npy", 10, 60, "000002"),
            ("./pose_data/humanact12/humanact12/P01.npy", 0, -1, "000003"), ("./pose_data/KIT/9/gone_poses.npy", 0, 40, "000004")]
    (root / "index.csv").write_text("source_path,start_frame,end_frame,new_name\n" + "".join(
        f"{p},{a},{b},{n}.npy\n" for p, a, b, n in rows))
    (home / "train.txt").write_text("000001\nM000001\n000003\n000004\n")
    (home / "test.txt").write_text("000002\n")
    texts = {"000001": "a man kicks.#a/DET man/NOUN kick/VERB#0.0#0.0\nhe stands#he/PRON stand/VERB#0.5#1.25\n",
             "000002": "someone jumps#someone/PRON jump/VERB#nan#nan\n",
             "000003": "a person waves#x#0.0#0.0\n", "000004": "gone#x#0#0\n"}
    if zipped:
        with zipfile.ZipFile(home / "texts.zip", "w") as z:
            for name, text in texts.items():
                z.writestr(f"texts/{name}.txt", text)
    else:
        (home / "texts").mkdir()
        for name, text in texts.items():
            (home / "texts" / f"{name}.txt").write_text(text)
    positions = root / "pose_data/humanact12/humanact12/P01.npy"
    positions.parent.mkdir(parents=True)
    np.save(positions, np.concatenate((person(40).positions()[:, :22], np.zeros((40, 2, 3))), 1))
    return root


@pytest.mark.parametrize("zipped", [False, True])
def test_humanml3d(zipped: bool, tmp_path: Path) -> None:
    amass = amass_tree(tmp_path / "amass")
    (amass / "HDM05/bk").mkdir(parents=True)
    files.amass_smplh(amass / "HDM05/bk/jump_poses.npz", frames=800, fps=120.0, seed=9)
    root = humanml3d_tree(tmp_path / "h", zipped)
    assert prepare(tmp_path / "set", "--humanml3d", root, "--amass-poses", amass) == 0
    rows = records(tmp_path / "set")
    assert set(rows) == {"h000001", "h000002", "h000003"}
    assert [row["file"].split()[0] for row in report(tmp_path / "set")["skipped"]] == ["000004"]
    assert (rows["h000001"]["split"], rows["h000002"]["split"]) == ("train", "test")
    texts = [(c["text"], c["start"], c["end"]) for c in rows["h000001"]["captions"]]
    assert texts == [("a man kicks.", 0.0, rows["h000001"]["seconds"]), ("he stands", 0.5, 1.25)]
    assert rows["h000002"]["captions"][0]["start"] == 0
    # frames 20 to 50 at 20 fps of a 100-fps file are its frames 100 to 250, at full rate
    source = read_motion(amass / "KIT/3/kick_poses.npz").slice(100, 250).resample(30.0)
    clips = {c.name: c for c in read_set(tmp_path / "set", ("train", "test"))}
    assert len(clips["h000001"]) == len(source) == 45
    assert np.degrees(rot.angle_between(clips["h000001"].rotations, source.rotations[:, :22])).max() < 0.1
    # HDM05 lost its first three seconds before the index counted; 120 fps is thinned by 6
    source = read_motion(amass / "HDM05/bk/jump_poses.npz").slice((60 + 10) * 6, (60 + 60) * 6).resample(30.0)
    assert np.degrees(rot.angle_between(clips["h000002"].rotations, source.rotations[:, :22])).max() < 0.1
    assert rows["h000003"]["joints"] == 22 and rows["h000003"]["frames"] == 59, "40 frames at 20 fps, all of them"


def test_captions_of_odd_lines() -> None:
    assert [c["text"] for c in captions_of(["", "a#b#0.0#0.0", "just text", "#x#0#0"])] == ["a", "just text"]
    assert captions_of(["a#b#2.0#1.0"])[0]["end"] is None


def beat_tree(root: Path) -> Path:
    home = root / "beat_english_v2.0.0"
    (home / "smplxflame_30").mkdir(parents=True)
    for k, name in enumerate(("2_scott_0_1_1", "2_scott_0_2_2", "4_lawrence_0_1_1")):
        files.beat2(home / f"smplxflame_30/{name}.npz", frames=75, seed=k)
        if name != "4_lawrence_0_1_1":
            files.wav(home / f"wave16k/{name}.wav", 2.0 if k == 0 else 8.0)
    (home / "train_test_split.csv").write_text("id,type\n2_scott_0_1_1,test\n2_scott_0_2_2,additional\n4_lawrence_0_1_1,val\n")
    (home / "textgrid").mkdir()
    (home / "textgrid/2_scott_0_1_1.TextGrid").write_text(
        'item []:\n item [1]:\n  class = "IntervalTier"\n  name = "words"\n'
        '  intervals [1]:\n   xmin = 0.1\n   xmax = 0.5\n   text = "hello"\n'
        '  intervals [2]:\n   xmin = 0.5\n   xmax = 0.7\n   text = ""\n item [2]:\n  name = "phones"\n  intervals [1]:\n'
        '   xmin = 0.1\n   xmax = 0.2\n   text = "HH"\n')
    return root


def test_beat2(tmp_path: Path) -> None:
    root = beat_tree(tmp_path / "beat")
    assert prepare(tmp_path / "bare", "--beat2", root) == 0
    rows = records(tmp_path / "bare")
    assert {n: r["split"] for n, r in rows.items()} == {"2_scott_0_1_1": "test", "2_scott_0_2_2": "train"}
    told = report(tmp_path / "bare")
    assert "wave16k/4_lawrence_0_1_1.wav is missing" in told["skipped"][0]["why"]
    notes = [n["note"] for n in told["notes"]]
    assert sum("hands left out" in n for n in notes) == 2 and any("cut to the shorter" in n for n in notes)
    row = rows["2_scott_0_1_1"]
    assert row["frames"] == 60 and row["hands"] is False and row["expression"] == 100, "as long as its speech"
    assert row["words"] == [{"text": "hello", "start": 0.1, "end": 0.5}] and row["text"] == "hello"
    assert row["captions"][0]["text"] == "A person is giving a speech."
    with wave.open(str(tmp_path / "bare" / row["wav"])) as sound:
        assert (sound.getframerate(), sound.getnchannels(), sound.getsampwidth(), sound.getnframes()) == (16000, 1, 2, 32000)
    model = write_model(tmp_path / "SMPLX_NEUTRAL.npz")
    assert prepare(tmp_path / "whole", "--beat2", root, "--body-model", model, "--no-non-commercial", "--licence", "mine") == 0
    row = records(tmp_path / "whole")["2_scott_0_1_1"]
    assert row["hands"] is True and row["non_commercial"] is False and row["licence"] == "mine"
    full = next(m for r, m in read_motions(tmp_path / "whole", ["test"]))
    truth = read_motion(root / "beat_english_v2.0.0/smplxflame_30/2_scott_0_1_1.npz", mean_hands=model)
    assert np.degrees(rot.angle_between(full.rotations, truth.rotations[:60])).max() < 0.1
    assert np.abs(full.expression - truth.expression[:60]).max() < 3e-3


def test_bvh_folder_and_sets(tmp_path: Path) -> None:
    folder = tmp_path / "bvh"
    folder.mkdir()
    write_bvh(person(60), folder / "walk.BVH")
    (folder / "walk.txt").write_text("a person walks\nsomeone goes ahead\n")
    (folder / "bad.bvh").write_text("HIERARCHY\n")
    assert prepare(tmp_path / "one", "--bvh", folder) == 0
    row = records(tmp_path / "one")["walk"]
    assert [c["text"] for c in row["captions"]] == ["a person walks", "someone goes ahead"] and row["non_commercial"] is False
    assert len(report(tmp_path / "one")["skipped"]) == 1
    # a set goes through unchanged, and two of them are joined; equal names are told apart
    assert prepare(tmp_path / "two", "--set", tmp_path / "one", "--set", tmp_path / "one", "--non-commercial") == 0
    again = records(tmp_path / "two")
    assert set(again) == {"walk", "walk-2"} and again["walk"]["split"] == row["split"] and again["walk"]["non_commercial"] is True
    a, b = (read_set(tmp_path / n, ("train", "val", "test"))[0] for n in ("one", "two"))
    assert np.allclose(a.rotations, b.rotations, atol=1e-3) and np.array_equal(a.translation, b.translation)


def test_nothing_is_half_written(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    tree = amass_tree(tmp_path / "amass")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad/x.bvh").write_text("no")
    out = tmp_path / "set"

    def stopped(*_: object, **__: object) -> Motion:
        raise KeyboardInterrupt

    for arguments, code, words in (
        ((out, "--bvh", tmp_path / "bad"), 1, "None of 1 clips could be read"), ((out,), 1, "No data was named"),
        ((out, "--amass", tmp_path / "absent"), 1, "There is no folder"), ((out, "--humanml3d", tmp_path), 1, "index.csv"),
        ((out, "--beat2", tmp_path), 1, "smplxflame_30"), ((out, "--set", tmp_path), 1, "clips.json"),
        ((tmp_path, "--bvh", tmp_path / "bad"), 1, "no motion set"),
    ):
        assert prepare(*arguments) == code
        assert words in capsys.readouterr().err
        assert not out.exists() and not list(tmp_path.glob("*.part"))
    assert prepare(out, "--amass", tree) == 0
    before = {p.name: p.read_bytes() for p in out.iterdir()}
    assert prepare(out, "--amass", tree) == 1 and "--replace" in capsys.readouterr().err
    monkeypatch.setattr(prepare_sources, "read_smpl_file", stopped)
    assert prepare(out, "--amass", tree, "--replace") == 130
    assert {p.name: p.read_bytes() for p in out.iterdir()} == before and not list(tmp_path.glob("*.part"))
    monkeypatch.undo()
    assert prepare(out, "--amass", tree, "--replace", "--limit", 1, "--min-seconds", 0.1) == 0
    assert report(out)["found"] == 1 and not list(tmp_path.glob("set.*"))


def test_names_splits_and_words() -> None:
    assert path_key(Path("BioMotionLab_NTroje/rub001/0005_treadmill fast_poses.npz")) == path_key(
        Path("BMLrub/rub001/0005_treadmill_fast_stageii.npz"))
    drawn = [split_of(str(k)) for k in range(2000)]
    assert 0.82 < drawn.count("train") / 2000 < 0.88 and 0.035 < drawn.count("val") / 2000 < 0.065
    assert words_of(Path("absent.TextGrid")) == []


def test_settle_shifts_only() -> None:
    m = person(30)
    m.translation = m.translation + [3, 0.4, -2]
    still, shift = settle(m)
    assert shift == pytest.approx(settle(person(30))[1] - 0.4, abs=1e-6)
    assert np.allclose(np.diff(still.translation, axis=0), np.diff(m.translation, axis=0), atol=1e-5)
    assert np.array_equal(still.rotations, m.rotations)
