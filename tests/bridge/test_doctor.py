# SPDX-License-Identifier: Apache-2.0
"""What ``understudy doctor`` says of weights and folders, and of what is wrong with them."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest
import tqdm

from bridge_server.cli import doctor
from bridge_server.face import routes
from bridge_server.motion import weights


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the thread that tqdm keeps beside the progress bars of a library."""
    monkeypatch.setattr(tqdm.tqdm, "monitor_interval", 0)


def test_weights_with_their_hashes_and_licences(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("UNDERSTUDY_WEIGHTS", raising=False)
    findings = list(doctor._weights())
    card = weights.read_card(weights.SHIPPED / "starter")
    texts = [f.text for f in findings if f.area == "weights"]
    assert any(t.startswith("starter ") and f"licence {card['licence']}" in t for t in texts)
    for name in card["files"]:
        digest = hashlib.sha256((weights.SHIPPED / "starter" / name).read_bytes()).hexdigest()
        assert any(f"{name} " in t and f"sha256 {digest}" in t for t in texts), name


def test_a_damaged_file_of_weights_is_a_problem_with_a_fix(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    own = tmp_path / "mine"
    shutil.copytree(weights.SHIPPED / "starter", own)
    name = next(iter(json.loads((own / "card.json").read_text())["files"]))
    content = bytearray((own / name).read_bytes())
    content[-1] ^= 1
    (own / name).write_bytes(content)
    monkeypatch.setenv("UNDERSTUDY_WEIGHTS", str(tmp_path))
    bad = [f for f in doctor._weights() if f.state == doctor.BAD and f.area == "weights" and name in f.text]
    assert len(bad) == 1 and bad[0].fix


def test_no_weights_at_all(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("UNDERSTUDY_WEIGHTS", raising=False)
    monkeypatch.setattr(weights, "SHIPPED", tmp_path)
    findings = [f for f in doctor._weights() if f.area == "weights"]
    assert findings[0].state == doctor.BAD and "make weights" in findings[0].fix


def test_folders_that_cannot_be_written(tmp_path: Path) -> None:
    assert all(f.state != doctor.BAD for f in doctor._folders(tmp_path / "state"))
    (tmp_path / "file").write_text("in the way")
    bad = [f for f in doctor._folders(tmp_path / "file") if f.state == doctor.BAD]
    assert bad and all("--state-dir" in f.fix or "UNDERSTUDY_STATE_DIR" in f.fix for f in bad)


def test_optional_packages_are_listed_there_or_not(monkeypatch: pytest.MonkeyPatch) -> None:
    named = ("pocketsphinx", "onnxruntime", "smplx", "c2pa-python", "tensorboard")
    for there in (True, False):
        monkeypatch.setattr(doctor.importlib.util, "find_spec", lambda _, there=there: object() if there else None)
        found = {n: f for f in doctor._packages() for n in named if f.text.startswith(f"{n} ")}
        assert set(found) == set(named)
        assert all((f.state == doctor.GOOD) == there and bool(f.fix) != there for f in found.values())


def test_tools_are_listed_there_or_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.shutil, "which", lambda name: None)
    found = {f.text.split()[0]: f for f in doctor._tools()}
    assert set(found) == {"espeak-ng", "flite", "festival"}
    assert found["festival"].state == doctor.NOTE and "festival" in found["festival"].fix
    monkeypatch.setattr(doctor.shutil, "which", lambda name: f"/usr/bin/{name}")
    assert {f.text.split()[0]: f for f in doctor._tools()}["festival"].state == doctor.GOOD


def test_face_routes_are_listed_with_what_is_wrong(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(routes.AUDIO2FACE, raising=False)
    found = {f.text.split()[0]: f for f in doctor._face_routes()}
    assert found["rules"].state == doctor.GOOD and "default" in found["rules"].text
    assert found["audio2face"].state == doctor.NOTE and routes.AUDIO2FACE in found["audio2face"].fix
    monkeypatch.setenv(routes.AUDIO2FACE, str(tmp_path / "absent"))
    found = {f.text.split()[0]: f for f in doctor._face_routes()}
    assert found["audio2face"].state == doctor.NOTE and "cannot run here" in found["audio2face"].text and found["audio2face"].fix

    class Broken:
        name = "theirs"

        def load(self) -> object:
            raise RuntimeError("out of order")

    monkeypatch.setattr(routes, "entry_points", lambda group: [Broken()])
    found = {f.text.split()[0]: f for f in doctor._face_routes()}
    assert found["theirs"].state == doctor.NOTE and "out of order" in found["theirs"].text
    assert "face routes" in {area for area in (f.area for f in doctor.examine(tmp_path))}
