# SPDX-License-Identifier: Apache-2.0
"""The Audio2Face-3D route, with a tiny network of the published signature made here."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from bridge_server.face.audio2face import WINDOW, Audio2Face, solve_bounded
from bridge_server.audio.sound import Audio
from shared.errors import UnderstudyError

pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
onnx = pytest.importorskip("onnx", reason="onnx, which makes the test's network, is not installed")

SKIN, VERTICES = 272, 40
POSES = ("jawOpen", "mouthPucker", "mouthSmileLeft")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Skin coefficient 0 is the mean of the window's middle tenth, moving jawOpen; 1 is joy, moving mouthSmileLeft."""
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(0)
    poses = rng.normal(size=(3, VERTICES, 3)).astype(np.float32)
    skin = np.zeros((SKIN, VERTICES, 3), np.float32)
    skin[0], skin[1] = poses[0], poses[2]
    neutral = rng.normal(size=(VERTICES, 3)).astype(np.float32)
    np.savez(tmp_path / "model_data.npz", shapes_matrix_skin=skin, shapes_mean_skin=neutral)
    np.savez(
        tmp_path / "bs_skin.npz",
        neutral=neutral,
        poseNames=np.array([b"neutral", *(p.encode() for p in POSES)]),
        frontalMask=np.arange(5, VERTICES),
        **dict(zip(POSES, poses, strict=True)),
    )
    hear = np.zeros((WINDOW, SKIN + 29), np.float32)
    hear[WINDOW // 2 - 416 : WINDOW // 2 + 416, 0] = 1 / 832
    feel = np.zeros((26, SKIN + 29), np.float32)
    feel[16 + 6, 1] = 1.0
    nodes = [
        helper.make_node("MatMul", ["input", "hear"], ["a"]),
        helper.make_node("MatMul", ["emotion", "feel"], ["b"]),
        helper.make_node("Add", ["a", "b"], ["result"]),
    ]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "tiny",
        [value("input", TensorProto.FLOAT, ["n", 1, WINDOW]), value("emotion", TensorProto.FLOAT, ["n", 1, 26])],
        [value("result", TensorProto.FLOAT, ["n", 1, SKIN + 29])],
        [numpy_helper.from_array(hear, "hear"), numpy_helper.from_array(feel, "feel")],
    )
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), tmp_path / "network.onnx"
    )
    return tmp_path


def test_the_right_pose_moves_at_the_right_time(folder):
    x = np.zeros(32_000, np.float32)
    x[12_000:20_000] = 0.7
    t = np.arange(60) / 30
    curves = Audio2Face(folder).perform(Audio(x), t, {"joy": 0.4})
    assert set(curves) == set(POSES)
    assert curves["jawOpen"][30] == pytest.approx(0.7, abs=0.02)
    assert curves["jawOpen"][:20].max() < 0.02 and curves["jawOpen"][42:].max() < 0.02
    assert curves["mouthSmileLeft"] == pytest.approx(np.full(60, 0.4), abs=0.02)
    assert curves["mouthPucker"].max() < 0.02
    # half way up at the edge itself: the window is centred on the frame
    at = np.interp(0.35, curves["jawOpen"][18:30], t[18:30])
    assert at == pytest.approx(0.75, abs=0.02)


def test_as_a_route_the_lips_are_the_models_and_the_eyes_the_rules(folder, monkeypatch):
    from bridge_server.face import routes
    from bridge_server.face.performance import FaceOptions, perform

    rng = np.random.default_rng(3)
    t = np.arange(90) / 30
    # a voice of 120 Hz with overtones, by syllables: the rules hear speech in it
    at = np.arange(48_000) / 16_000
    voice = sum(np.sin(2 * np.pi * 120 * k * at) / k for k in range(1, 20)) * (0.5 + 0.5 * np.sin(2 * np.pi * 4 * at))
    sound = Audio((0.1 * voice + 0.001 * rng.normal(size=len(at))).astype(np.float32))
    monkeypatch.setenv(routes.AUDIO2FACE, str(folder))
    assert "audio2face" in routes.available()
    options = FaceOptions(emotions={"happy": np.full(90, 0.5)}, mouth=0.5)
    ours = perform(sound, t, 1, None, options)
    theirs = routes.load("audio2face").perform(sound, t, 1, None, options)
    assert theirs.source == "audio2face" and ours.source != "none" and theirs.words == ours.words
    alone = Audio2Face(folder).perform(sound, t + options.lead, {"joy": np.full(90, 0.5)})
    for name in POSES:
        assert np.allclose(theirs.curves[name], np.clip(0.5 * alone[name], 0, 1), atol=1e-6), name
    assert theirs.curves["mouthSmileLeft"].max() > 0.1, "happiness is the model's joy"
    for name in ("eyeBlinkLeft", "eyeLookInLeft", "eyeLookOutRight", "browInnerUp"):
        assert np.array_equal(theirs.curves[name], ours.curves[name]), f"{name}: the model has no such pose"
    assert np.array_equal(theirs.head, ours.head)
    silent = routes.load("audio2face").perform(None, t, 1, None, options)
    assert silent.source == "none", "without speech there is nothing for the model to hear"
    monkeypatch.delenv(routes.AUDIO2FACE)
    with pytest.raises(UnderstudyError) as error:
        routes.load("audio2face")
    assert error.value.code == "weights_missing" and "audio2face" not in routes.available()


def test_config_multiplies_and_switches_off(folder):
    params = {"bsWeightMultipliers": [0.5, 1, 1], "bsWeightOffsets": [0, 0, 0.1], "bsSolveActivePoses": [1, 0, 1]}
    (folder / "bs_skin_config.json").write_text(json.dumps({"blendshape_params": params}))
    curves = Audio2Face(folder).perform(Audio(np.full(16_000, 0.8, np.float32)), np.arange(20) / 30)
    assert curves["jawOpen"][10] == pytest.approx(0.4, abs=0.02)
    assert curves["mouthPucker"].max() == 0 and curves["mouthSmileLeft"][10] == pytest.approx(0.1, abs=0.02)


def test_missing_and_broken_files_are_named(folder):
    (folder / "bs_skin.npz").rename(folder / "other.npz")
    with pytest.raises(UnderstudyError) as error:
        Audio2Face(folder)
    assert error.value.code == "weights_missing" and "bs_skin.npz" in error.value.message
    np.savez(folder / "bs_skin.npz", neutral=np.zeros((3, 3)), poseNames=np.array([b"neutral"]))
    with pytest.raises(UnderstudyError) as error:
        Audio2Face(folder)
    assert error.value.code == "weights_invalid"


def test_bounded_solution():
    rng = np.random.default_rng(1)
    a = rng.normal(size=(50, 6))
    truth = np.clip(rng.normal(0.4, 0.5, (30, 6)), 0, 1)
    w = solve_bounded(a.T @ a, truth @ a.T @ a)
    assert np.allclose(w, truth, atol=1e-3)
    outside = solve_bounded(a.T @ a, (truth + 3) @ a.T @ a)
    assert outside.min() >= 0 and outside.max() <= 1
