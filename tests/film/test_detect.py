# SPDX-License-Identifier: Apache-2.0
"""DWPose's two networks: their preparation and decoding, on tiny networks with the published inputs and outputs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bridge_server.pose_track.detect import PEOPLE_FILE, POSE_FILE, detect_track, find_detector, points_of_wholebody
from bridge_server.pose_track.layout import INDEX
from bridge_server.video.photo import Photo
from bridge_server.video.place import place
from shared.errors import UnderstudyError

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
BOXES = {0: (100.0, 60.0, 80.0, 200.0, 0.9), 1: (102.0, 62.0, 80.0, 200.0, 0.8)}
"""Cell of the finest grid (8 pixels) -> centre, size, score, in the detector's 640 pixels."""


def write(folder: Path, boxes: dict[int, tuple[float, ...]]) -> None:
    """Networks with constant answers: the boxes, and points on a diagonal with score 0.7."""
    helper, numpy_helper = onnx.helper, onnx.numpy_helper
    raw = np.zeros((1, 8400, 85), np.float32)
    for n, (x, y, w, h, score) in boxes.items():
        row, column = divmod(n, 80)
        raw[0, n, :6] = x / 8 - column, y / 8 - row, np.log(w / 8), np.log(h / 8), score, 1.0
    across, down = np.zeros((1, 133, 576), np.float32), np.zeros((1, 133, 768), np.float32)
    for k in range(133):
        across[0, k, 4 * k], down[0, k, 5 * k] = 0.7, 0.8

    def save(path: Path, size: tuple[int, int], outputs: dict[str, np.ndarray]) -> None:
        # every answer depends on the input by nothing, as a network's must in name
        nodes = [helper.make_node("ReduceSum", ["input"], ["sum"], keepdims=0), helper.make_node("Mul", ["sum", "zero"], ["none"])]
        constants = [numpy_helper.from_array(np.zeros((), np.float32), "zero")]
        for name, value in outputs.items():
            constants.append(numpy_helper.from_array(value, f"c_{name}"))
            nodes.append(helper.make_node("Add", [f"c_{name}", "none"], [name]))
        graph = helper.make_graph(
            nodes, "g", [helper.make_tensor_value_info("input", onnx.TensorProto.FLOAT, [1, 3, *size])],
            [helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, list(v.shape)) for n, v in outputs.items()], constants)
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), str(path))

    save(folder / PEOPLE_FILE, (640, 640), {"output": raw})
    save(folder / POSE_FILE, (384, 288), {"simcc_x": across, "simcc_y": down})


@pytest.fixture()
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("UNDERSTUDY_STATE_DIR", str(tmp_path))
    monkeypatch.setenv("UNDERSTUDY_DWPOSE", str(tmp_path / "dwpose"))
    (tmp_path / "dwpose").mkdir()
    return tmp_path / "dwpose"


def test_points_in_the_picture_s_pixels(folder: Path) -> None:
    assert find_detector() is None
    write(folder, BOXES)
    detector = find_detector()
    assert detector is not None
    people = detector.people(np.zeros((320, 320, 3), np.uint8))
    # two boxes of one person are one; the picture is half of the detector's size
    assert len(people) == 1
    # box (50, 30) of 40 by 100, a quarter wider, in the shape 3:4: 93.75 by 125 pixels, seen as 288 by 384
    scale = 288 / 93.75
    left_eye = np.array([4 * 1 / 2, 5 * 1 / 2])
    expected = (left_eye - (144, 192)) / scale + (50, 30)
    assert people[0][INDEX["left_eye"], :2] == pytest.approx(expected, abs=1e-6)
    assert people[0][INDEX["left_eye"], 2] == pytest.approx(0.7)
    neck = np.array([4 * 5.5 / 2, 5 * 5.5 / 2])
    assert people[0][INDEX["neck"], :2] == pytest.approx((neck - (144, 192)) / scale + (50, 30), abs=1e-6)
    track = detect_track([np.zeros((320, 320, 3), np.uint8)] * 2, 25.0, detector)
    assert len(track) == 2 and track.confidence.min() == pytest.approx(0.7)


def test_order_of_coco_wholebody() -> None:
    points = np.stack((np.arange(133.0), np.zeros(133)), 1)
    out = points_of_wholebody(points, np.ones(133))
    for name, theirs in {"nose": 0, "right_shoulder": 6, "left_wrist": 9, "right_ankle": 16, "left_eye": 1, "right_ear": 4,
                         "left_big_toe": 17,
                         "right_heel": 22, "left_palm": 91, "right_palm": 112, "right_pinky4": 132}.items():
        assert out[INDEX[name], 0] == theirs, name
    assert out[INDEX["neck"], 0] == 5.5
    assert points_of_wholebody(points, np.where(np.arange(133) == 5, 0.2, 1.0))[INDEX["neck"], 2] == 0


def test_the_detector_places_the_points(folder: Path) -> None:
    write(folder, BOXES)
    look = place(Photo(np.zeros((320, 320, 3), np.uint8), scale=0.5))
    assert look.placed_by == "dwpose" and (look.width, look.height) == (640, 640)
    assert look.points[INDEX["left_eye"], 0] == pytest.approx(2 * ((2 - 144) / (288 / 93.75) + 50))
    far = {0: BOXES[0], 3: (500.0, 400.0, 80.0, 100.0, 0.9)}
    write(folder, far)
    assert any("2 people" in note for note in place(Photo(np.zeros((320, 320, 3), np.uint8))).notes)
    write(folder, {})
    look = place(Photo(np.zeros((320, 320, 3), np.uint8)))
    assert look.placed_by == "" and any("No person" in note for note in look.notes)
    (folder / PEOPLE_FILE).write_bytes(b"no network")
    with pytest.raises(UnderstudyError, match="cannot be loaded"):
        find_detector()
