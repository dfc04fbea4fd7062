# SPDX-License-Identifier: Apache-2.0
"""What the options of ``understudy generate`` become in the request, and what it writes."""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np
import pytest

from bridge_server.cli import generate
from bridge_server.face import maps, perform_face
from shared.errors import UnderstudyError
from shared.face_curves import ARKIT
from shared.formats.face_curves import OCULUS, write_face_curves
from shared.motion import Motion
from shared.requests import MotionRequest
from shared.skeleton import JOINT_INDEX

from .conftest import RunningBridge, understudy


def arguments(*given: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    generate.add_parser(parser.add_subparsers())
    return parser.parse_args(["generate", "--out", "m.npz", *given])


def request(*given: str) -> MotionRequest:
    made = generate.make_request(arguments("--say", "0-2:walks", *given))
    return MotionRequest.from_message(made.to_message())


def test_every_option_reaches_the_request(tmp_path: Path) -> None:
    plain = request()
    assert plain.keep_time and plain.face and not plain.transcript and not plain.face_settings.emotions
    assert not request("--no-keep-time").keep_time and not request("--no-face").face
    asked = request("--text-guidance", "4", "--audio-guidance", "2", "--temperature", "0.8", "--transcript", "Hello there", "--language",
                    "de", "--emotion", "happy=0.4", "--emotion", "sad", "--gaze=-0.5,1.6,2", "--face-route", "audio2face")
    assert (asked.text_guidance, asked.audio_guidance, asked.temperature) == (4, 2, 0.8)
    settings = asked.face_settings
    assert asked.transcript == "Hello there" and settings.language == "de" and settings.route == "audio2face"
    assert settings.emotions == {"happy": 0.4, "sad": 1.0}
    assert settings.gaze is not None and np.allclose(settings.gaze.at(np.array([0.0, 9.0])), [[-0.5, 1.6, 2]] * 2)
    script = tmp_path / "line.txt"
    script.write_text("\ufeffGood morning, everybody.\n", encoding="utf-8")
    assert request("--transcript", str(script)).transcript == "Good morning, everybody."
    assert request("--transcript", "word " * 2000).transcript.startswith("word word")


@pytest.mark.parametrize(("given", "said"), [
    (("--emotion", "giddy"), "no emotion"), (("--emotion", "sad=2"), "intensity"), (("--emotion", "sad=very"), "cannot be read"),
    (("--gaze", "1,2"), "cannot be read"), (("--gaze", "1,2,inf"), "cannot be read"), (("--transcript", "absent.txt"), "no file"),
    (("--directions", "absent.srt"), "no file"),
])
def test_a_wrong_option_is_one_sentence(given: tuple[str, ...], said: str) -> None:
    with pytest.raises(UnderstudyError, match=said):
        request(*given)


@pytest.mark.parametrize(("name", "text"), [
    ("d.csv", "start,end,text,part\n1,3,waves,right_arm\n"), ("d.vtt", "WEBVTT\n\n00:01.000 --> 00:03.000\n[right arm] waves\n"),
    ("d.srt", "1\n00:00:01,000 --> 00:00:03,000\n[right arm] waves\n"),
    ("d.json", '{"version": 1, "directions": [{"start": 1, "end": 3, "text": "waves", "part": "right_arm"}]}'),
])
def test_directions_are_read_by_the_names_ending(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    (found,) = [d for d in request("--directions", str(tmp_path / name)).directions if d.text == "waves"]
    assert (found.start, found.end, found.part) == (1.0, 3.0, "right_arm")


def test_a_take_is_extended_by_seconds_alone(tmp_path: Path) -> None:
    take = tmp_path / "take.npz"
    Motion.rest(90).save(take)
    made = generate.make_request(arguments("--edit", str(take), "--seconds", "10"))
    made = MotionRequest.from_message(made.to_message())
    assert made.duration == 10 and made.edit is not None and not made.edit.ranges and len(made.edit.base) == 90
    for seconds in ("3", "2"):
        with pytest.raises(UnderstudyError, match="names nothing"):
            generate.make_request(arguments("--edit", str(take), "--seconds", seconds))
    with pytest.raises(UnderstudyError, match="names nothing"):
        generate.make_request(arguments("--edit", str(take)))


def faced(frames: int = 60, expression: int = 0) -> Motion:
    motion = Motion.rest(frames)
    motion.face = perform_face(None, motion.times, 1)
    motion.face["jawOpen"] = np.linspace(0, 0.6, frames, dtype=np.float32)
    motion.rotations[:, JOINT_INDEX["jaw"]] = maps.to_smplx_joints(motion.face)[:, 0]
    motion.expression = np.full((frames, expression), 0.25, np.float32)
    return motion


def test_face_curves_hold_every_set(tmp_path: Path) -> None:
    motion = faced(expression=3)
    table, arrays = tmp_path / "f.csv", tmp_path / "f.npz"
    for path in (table, arrays):
        write_face_curves(motion, path, maps.viseme_map())
    with np.load(arrays) as file:
        assert tuple(file["arkit_names"]) == ARKIT and tuple(file["viseme_names"]) == OCULUS and file["fps"] == 30
        assert np.allclose(file["arkit"][:, ARKIT.index("jawOpen")], motion.face["jawOpen"]) and file["visemes"].shape == (60, 15)
        assert np.allclose(file["visemes"].sum(1), 1, atol=1e-5) and file["visemes"][-1, OCULUS.index("aa")] > 0.2
        assert file["visemes"][0, 0] > 0.7, "a closed mouth is silence"
        assert np.allclose(file["jaw"][-1], [0.6 * maps.JAW_OPEN, 0, 0], atol=1e-4) and (file["expression"] == 0.25).all()
        visemes = file["visemes"]
    rows = list(csv.DictReader(table.open()))
    assert len(rows) == 60 and float(rows[30]["time"]) == 1.0 and float(rows[-1]["jawOpen"]) == pytest.approx(0.6, abs=1e-4)
    assert float(rows[-1]["viseme_aa"]) == pytest.approx(visemes[-1, OCULUS.index("aa")], abs=1e-4)
    assert float(rows[-1]["jaw_x"]) == pytest.approx(0.6 * maps.JAW_OPEN, abs=1e-4) and rows[0]["expression_2"] == "0.25"
    assert not list(tmp_path.glob("*.part"))
    assert tuple(maps.to_visemes(motion.face)) == OCULUS and maps.to_visemes(motion.face)["aa"][-1] == pytest.approx(
        visemes[-1, OCULUS.index("aa")], abs=1e-5)


def test_face_curves_that_cannot_be_written_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UnderstudyError, match="no face"):
        write_face_curves(Motion.rest(3), tmp_path / "f.csv", maps.viseme_map())
    with pytest.raises(UnderstudyError, match="cannot be written as"):
        write_face_curves(faced(), tmp_path / "f.xml", maps.viseme_map())


def test_generate_writes_face_curves_or_says_why_not(bridge: RunningBridge, tmp_path: Path) -> None:
    def run(*more: str) -> tuple[int, str]:
        done = understudy("generate", "--say", "0-2:walks", "--out", str(tmp_path / "m.npz"), "--no-start", *more,
                          state_dir=bridge.state_dir)
        return done.returncode, done.stdout + done.stderr

    code, said = run("--face-curves", str(tmp_path / "face.txt"))
    assert code == 1 and "cannot be written as .txt" in said and not (tmp_path / "m.npz").exists()
    code, said = run("--face-curves", str(tmp_path / "face.csv"), "--no-face")
    assert code == 1 and "without its face" in said
    code, said = run("--face-curves", str(tmp_path / "face.csv"))
    assert code == 0 and "face.csv" in said
    assert (tmp_path / "face.csv").read_text().startswith("time,eyeBlinkLeft")
