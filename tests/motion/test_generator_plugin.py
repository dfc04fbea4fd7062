# SPDX-License-Identifier: Apache-2.0
"""The example plug-in, found through its entry point and performing."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from bridge_server.cli.doctor import _generators
from bridge_server.motion import generator as generators
from shared import rotations as rot
from shared.errors import UnderstudyError
from shared.motion import Motion
from shared.requests import MotionRequest
from shared.skeleton import JOINT_INDEX
from shared.timeline import Direction

PLUGIN = Path(__file__).resolve().parents[2] / "examples/generator_plugin"


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What pip leaves behind: the package on the path, and beside it its metadata with the entry point of its pyproject."""
    project = tomllib.loads((PLUGIN / "pyproject.toml").read_text())["project"]
    site = tmp_path / "site"
    info = site / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    group, = project["entry-points"].items()
    (info / "entry_points.txt").write_text(f"[{group[0]}]\n" + "".join(f"{k} = {v}\n" for k, v in group[1].items()))
    monkeypatch.syspath_prepend(str(PLUGIN))
    monkeypatch.syspath_prepend(str(site))
    yield
    sys.modules.pop("clip_player", None)


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    folder = tmp_path / "clips"
    folder.mkdir()
    for name, caption, joint, speed in (("a", "a person walks forward", "left_hip", 1.0),
                                        ("b", "someone is waving a hand", "right_elbow", 0.0),
                                        ("idle", "", "spine1", 0.0)):
        motion = Motion.rest(45, 30.0)
        motion.rotations[:, JOINT_INDEX[joint]] = rot.axis_angle_to_quat(np.outer(np.sin(np.arange(45) / 5), [0.5, 0, 0]))
        motion.translation[:, 2] = speed * motion.times
        motion.save(folder / f"{name}.npz")
        if caption:
            (folder / f"{name}.txt").write_text(caption)
    return folder


def quiet(stage: str, fraction: float) -> None:
    assert 0 <= fraction <= 1


def moves(motion: Motion, joint: str, start: int, stop: int) -> bool:
    return bool(np.ptp(motion.rotations[start:stop, JOINT_INDEX[joint], 1]) > 0.2)


def test_it_is_found_through_its_entry_point_and_listed(installed: None, clips: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CLIP_PLAYER_FOLDER", raising=False)
    assert generators.available()["clip_player"].value == "clip_player:ClipPlayer"
    lines = {f.text.partition(":")[0].partition(" (")[0]: f for f in _generators()}
    found = lines["clip_player"]
    assert found.state == "ok" and "package understudy-clip-player" in found.text and "that of your clips" in found.text
    monkeypatch.setenv("CLIP_PLAYER_FOLDER", str(clips / "nothing"))
    lines = {f.text.partition(" cannot run here")[0]: f for f in _generators()}
    assert lines["clip_player"].state == "note" and "which is no folder" in lines["clip_player"].text
    with pytest.raises(UnderstudyError, match="has no clips"):
        generators.load("clip_player")
    with pytest.raises(UnderstudyError, match="Choose one of clip_player"):
        generators.load("clip_payer")


def test_each_direction_plays_its_clip(installed: None, clips: Path) -> None:
    generator = generators.load("clip_player", str(clips))
    request = MotionRequest(fps=30, duration=7.0, directions=[Direction(0, 3, "he walks"), Direction(4, 6, "wave the hand")])
    motion = generator.perform(request, None, quiet)
    assert len(motion) == 210 and motion.metadata["generator"]["name"] == "clip_player"
    assert moves(motion, "left_hip", 0, 80) and not moves(motion, "left_hip", 100, 210)
    assert moves(motion, "spine1", 95, 115) and moves(motion, "right_elbow", 130, 175)
    # the path goes on where it was, and nothing jumps
    assert np.linalg.norm(np.diff(motion.translation, axis=0), axis=1).max() < 0.06
    assert rot.angle_between(motion.rotations[1:], motion.rotations[:-1]).max() < 0.2
    assert len(generator.perform(MotionRequest(fps=25, duration=1.0), None, quiet)) == 25


def test_what_it_cannot_do_it_says(installed: None, clips: Path) -> None:
    from shared.edits import Edit, Range

    generator = generators.load("clip_player", str(clips))
    with pytest.raises(UnderstudyError, match="neither speech nor a direction"):
        generator.perform(MotionRequest(), None, quiet)
    with pytest.raises(UnderstudyError, match="cannot change a performance"):
        generator.perform(MotionRequest(edit=Edit(Motion.rest(30), [Range(0, 1)])), None, quiet)
