# SPDX-License-Identifier: Apache-2.0
"""The demo as a user runs it, at short length: bridge, socket, Blender, film. Nothing on the way is replaced."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from shared.motion import Motion
from shared.skeleton import JOINT_INDEX

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT.parent / "shared/data"
SECONDS, FPS = 3, 30
FRAMES = SECONDS * FPS
FILES = {"demo.blend", "motion.npz", "motion.bvh", "demo.mp4", "contact_sheet.png"}
LIMBS = [("left_hip", "left_knee"), ("left_knee", "left_ankle"), ("right_hip", "right_knee"), ("right_knee", "right_ankle"),
         ("left_shoulder", "left_elbow"), ("left_elbow", "left_wrist"), ("right_shoulder", "right_elbow"),
         ("right_elbow", "right_wrist"), ("neck", "head")]
pytestmark = pytest.mark.timeout(600)


def blender_python() -> str:
    given = os.environ.get("UNDERSTUDY_BLENDER_PYTHON")
    found = [p for p in (ROOT / ".venv-blender/bin/python", ROOT / ".venv-blender/Scripts/python.exe") if p.exists()]
    if not given and not found:
        pytest.skip("there is no .venv-blender; tools/dev.py test makes it")
    return given or str(found[0])


def run_demo(out: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    variables = ("AUDIO", "DIRECTIONS", "CHARACTER", "BLENDER", "OUT", "SEED")
    environment = {k: v for k, v in os.environ.items() if k not in variables}
    environment["UNDERSTUDY_BLENDER_PYTHON"] = blender_python()
    return subprocess.run([sys.executable, "-X", "utf8", str(ROOT / "tools/demo.py"), "--out", str(out), "--preview-size", "192x108",
                           *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=540)


def inspect(blend: Path, *frames: int) -> dict[str, Any]:
    done = subprocess.run([blender_python(), str(Path(__file__).with_name("inspect_blend.py")), str(blend), *map(str, frames)],
                          capture_output=True, text=True, timeout=120)
    line = next(x for x in done.stdout.splitlines() if x.startswith("@inspect "))
    return dict(json.loads(line.removeprefix("@inspect ")))


def direction(points: dict[str, list[float]], a: str, b: str) -> np.ndarray:
    d = np.subtract(points[b], points[a])
    return d / np.linalg.norm(d)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the results of one run."""
    out = tmp_path_factory.mktemp("demo") / "out"
    done = run_demo(out, "--seconds", str(SECONDS))
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert f"{SECONDS}.0 s of motion at 30 fps" in done.stdout
    for name in FILES:
        assert name in done.stdout
    return out


def test_leaves_the_files_and_nothing_else(demo: Path) -> None:
    assert {p.name for p in demo.iterdir()} == FILES
    assert {p.name for p in demo.parent.iterdir()} == {"out"}


def test_motion_is_a_person_on_the_floor(demo: Path) -> None:
    motion = Motion.load(demo / "motion.npz")
    assert len(motion) == FRAMES and motion.fps == FPS
    np.testing.assert_allclose(np.linalg.norm(motion.rotations, axis=-1), 1, atol=1e-3)
    points = motion.positions()
    feet = points[:, [JOINT_INDEX["left_foot"], JOINT_INDEX["right_foot"]], 1].min(1)
    assert -0.1 < np.median(feet) < 0.15, "feet are on the floor"
    assert np.median(points[:, JOINT_INDEX["head"], 1] - points[:, JOINT_INDEX["pelvis"], 1]) > 0.3, "upright"
    assert np.abs(np.diff(points, axis=0)).max() < 0.5, "no jumps"
    assert points.std(0).max() > 0.02, "and it moves"


def test_bvh_has_the_same_frames(demo: Path) -> None:
    text = (demo / "motion.bvh").read_text()
    assert f"Frames: {FRAMES}\n" in text
    rows = text[text.index("Frame Time:"):].splitlines()[1:]
    assert len(rows) == FRAMES and len(rows[0].split()) == 6 + 54 * 3


def test_film_has_picture_and_sound(demo: Path) -> None:
    with av.open(str(demo / "demo.mp4")) as film:
        video, audio = film.streams.video[0], film.streams.audio[0]
        assert video.codec_context.name == "h264" and audio.codec_context.name == "aac"
        pictures = [f.to_ndarray(format="gray") for f in film.decode(video)]
    assert len(pictures) == FRAMES and pictures[0].shape == (108, 192)
    assert np.std(pictures[0]) > 5 and np.abs(pictures[0].astype(int) - pictures[-1]).mean() > 0.2
    with av.open(str(demo / "demo.mp4")) as film:
        samples = np.concatenate([f.to_ndarray().mean(0) for f in film.decode(audio=0)])
        rate = film.streams.audio[0].rate
    assert abs(len(samples) / rate - SECONDS) < 0.15
    assert np.abs(samples).max() > 0.05, "the speech is heard"


def test_contact_sheet(demo: Path) -> None:
    with Image.open(demo / "contact_sheet.png") as sheet:
        assert sheet.width > 1600 and sheet.height > 700


def test_blend_shows_the_take_with_its_sound(demo: Path) -> None:
    frames = (1, 45, 70, 20, FRAMES)  # out of order: a pose must not depend on the one before
    seen = inspect(demo / "demo.blend", *frames)
    assert seen["frames"] == [1, FRAMES] and seen["fps"] == FPS
    assert seen["action"] and seen["slot"] and seen["action_range"] == [1.0, float(FRAMES)]
    assert seen["camera"] and seen["face_actions"]
    (start, length, packed), = seen["sounds"]
    assert start == 1 and abs(length - FRAMES) <= 1 and packed

    # the rig does what the motion says: limb directions against a forward solve of the exported file
    motion = Motion.load(demo / "motion.npz")
    positions = motion.positions()
    for frame in frames:
        y_up = positions[frame - 1]
        expected = {name: [y_up[i, 0], -y_up[i, 2], y_up[i, 1]] for name, i in JOINT_INDEX.items()}
        rig = seen["poses"][str(frame)]
        for a, b in LIMBS:
            cosine = float(direction(expected, a, b) @ direction(rig, a, b))
            # feet are planted by the rig's own legs, which may turn them a little
            limit = 15 if "hip" in a or "knee" in a else 3
            assert cosine > np.cos(np.radians(limit)), f"{a} to {b} at frame {frame} is off by {np.degrees(np.arccos(cosine)):.1f} degrees"


def test_a_failed_run_leaves_earlier_results(demo: Path, tmp_path: Path) -> None:
    before = {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in demo.iterdir()}
    noise = tmp_path / "not_sound.wav"
    noise.write_bytes(b"this is no sound at all" * 100)
    done = run_demo(demo, "--audio", str(noise))
    assert done.returncode == 1
    message = done.stderr.strip()
    assert "not_sound.wav" in message and "Traceback" not in message and message.count("\n") == 0
    assert {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in demo.iterdir()} == before
    assert {p.name for p in demo.parent.iterdir()} == {"out"}


@pytest.mark.parametrize(("arguments", "words"), [
    (["--audio", "nowhere.wav"], "There is no file nowhere.wav."),
    (["--character", "nowhere.blend"], "There is no file nowhere.blend."),
    (["--character", "README.md"], "is not a .blend file"),
    (["--preview-size", "big"], "is not a picture size"),
    (["--blender", "no-such-blender"], "no-such-blender cannot be run"),
])
def test_bad_arguments_in_one_sentence(arguments: list[str], words: str, tmp_path: Path) -> None:
    done = run_demo(tmp_path / "out", *arguments)
    assert done.returncode == 1
    assert words in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("strip", "words"), [
    ({"start": 2, "end": 1, "text": "waves"}, "not after its start"),
    ({"start": 0, "end": 1, "text": " "}, "has no text"),
    ({"start": 0, "end": 1, "text": "махает рукой"}, "no Latin letters"),
    ({"start": 0, "end": 1, "text": "walks " * 200}, "at most 500"),
    ({"start": 0, "end": 1, "text": "waves", "part": "tail"}, "unknown body part"),
])
def test_bad_directions_in_one_sentence(strip: dict[str, Any], words: str, tmp_path: Path) -> None:
    file = tmp_path / "bad.json"
    file.write_text(json.dumps({"version": 1, "directions": [strip]}))
    done = run_demo(tmp_path / "out", "--directions", str(file))
    assert done.returncode == 1 and words in done.stderr and "Traceback" not in done.stderr


def test_own_speech_and_character(tmp_path: Path) -> None:
    speech, character = DATA / "speech/jfk.wav", DATA / "characters/mixamo_arkit.blend"
    if not (speech.is_file() and character.is_file()):
        pytest.skip("the shared data folder is not here")
    out = tmp_path / "out"
    done = run_demo(out, "--audio", str(speech), "--character", str(character), "--seconds", "2")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert {p.name for p in out.iterdir()} == FILES
    assert "0 directions" in done.stdout
    seen = inspect(out / "demo.blend", 1, 40)
    assert seen["action_range"] == [1.0, 60.0] and seen["face_actions"]
    names = [n for n in seen["poses"]["1"] if n.endswith("Head")]
    head = [seen["poses"][f][names[0]] for f in ("1", "40")]
    assert min(h[2] for h in head) > 1.2, "it stands"
