# SPDX-License-Identifier: Apache-2.0
"""Photographs of every kind, and whom they show."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bridge_server.pose_track.layout import INDEX
from bridge_server.video.person import find_person, person_from_points
from bridge_server.video.photo import WORKING_PIXELS, Photo, load_photo
from shared.errors import UnderstudyError


def test_alpha_grey_depth_and_orientation(tmp_path: Path, astronaut: np.ndarray) -> None:
    alpha = np.zeros((512, 512), np.uint8)
    alpha[:, 100:400] = 255
    Image.fromarray(np.dstack((astronaut, alpha))).save(tmp_path / "alpha.png")
    photo = load_photo(tmp_path / "alpha.png")
    assert photo.alpha is not None and (photo.alpha == alpha).all() and photo.pixels.shape == (512, 512, 3)
    Image.fromarray(np.dstack((astronaut, alpha | 255))).save(tmp_path / "opaque.png")
    assert load_photo(tmp_path / "opaque.png").alpha is None
    Image.fromarray(astronaut).convert("L").save(tmp_path / "grey.png")
    grey = load_photo(tmp_path / "grey.png")
    assert grey.grey and any("grey" in note for note in grey.notes)
    deep = (astronaut[..., 0].astype(np.uint16) * 257)
    Image.fromarray(deep).save(tmp_path / "deep.png")
    assert np.abs(load_photo(tmp_path / "deep.png").pixels[..., 0].astype(int) - astronaut[..., 0]).max() <= 1
    tall = Image.fromarray(astronaut[:, :300])
    exif = tall.getexif()
    exif[0x0112] = 6
    tall.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "turned.png", exif=exif)
    assert np.abs(load_photo(tmp_path / "turned.png").pixels.astype(int) - astronaut[:, :300]).max() == 0


def test_forty_megapixels_are_reduced(tmp_path: Path, astronaut: np.ndarray) -> None:
    Image.fromarray(astronaut).resize((6400, 6400), Image.Resampling.NEAREST).save(tmp_path / "large.jpg", quality=60)
    photo = load_photo(tmp_path / "large.jpg")
    assert photo.pixels.shape[0] * photo.pixels.shape[1] <= WORKING_PIXELS * 1.01
    assert photo.notes and "megapixels" in photo.notes[0]


def test_pictures_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("no picture")
    Image.new("RGB", (400, 20)).save(tmp_path / "narrow.png")
    broken = tmp_path / "broken.png"
    Image.new("RGB", (200, 200), "red").save(broken)
    broken.write_bytes(broken.read_bytes()[:150])
    for name, code in (("none.png", "file_missing"), ("text.jpg", "file_invalid"), ("narrow.png", "file_invalid"),
                       ("broken.png", "file_invalid")):
        with pytest.raises(UnderstudyError) as caught:
            load_photo(tmp_path / name)
        assert caught.value.code == code and caught.value.fix


def test_the_person_is_found(astronaut: np.ndarray) -> None:
    person = find_person(Photo(astronaut))
    assert np.abs(person.eyes - [[203, 100], [246, 103]]).max() < 6
    assert not person.placed
    # cropped below the hips: no legs, and arms are never guessed
    for name in ("left_hip", "right_knee", "left_ankle", "left_wrist", "right_elbow"):
        assert person.confidence[INDEX[name]] == 0
    grey = np.repeat(astronaut.mean(-1, keepdims=True).astype(np.uint8), 3, 2)
    assert np.abs(find_person(Photo(grey)).eyes - person.eyes).max() < 6


def test_nobody_and_several(astronaut: np.ndarray) -> None:
    from skimage import data

    for picture in (data.coffee(), np.full((300, 300, 3), 120, np.uint8)):
        with pytest.raises(UnderstudyError) as caught:
            find_person(Photo(picture))
        assert "No face" in caught.value.message
    with pytest.raises(UnderstudyError) as caught:
        find_person(Photo(np.hstack((astronaut, astronaut))))
    assert caught.value.message.startswith("2 people")


def test_placed_points(astronaut: np.ndarray) -> None:
    points, confidence = np.zeros((66, 2)), np.zeros(66)
    for name, xy in {"right_eye": (203, 100), "left_eye": (246, 103), "neck": (220, 250), "right_shoulder": (70, 290),
                     "left_shoulder": (340, 280), "left_wrist": (600, 300)}.items():
        points[INDEX[name]], confidence[INDEX[name]] = xy, 1
    person = person_from_points(Photo(astronaut), points, confidence)
    assert person.unit == pytest.approx(43.1, abs=0.1) and person.placed
    assert person.confidence[INDEX["left_wrist"]] == 0  # outside of the picture
    confidence[INDEX["neck"]] = 0
    with pytest.raises(UnderstudyError) as caught:
        person_from_points(Photo(astronaut), points, confidence)
    assert "neck" in caught.value.message
