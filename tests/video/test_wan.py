# SPDX-License-Identifier: Apache-2.0
"""Films by both Wan-Animate pipelines, saved by diffusers at tiny size and loaded as a user's folder is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bridge_server.pose_track.draw_wan import draw_wan
from bridge_server.video import device as devices
from bridge_server.video import driving, encode, wan
from bridge_server.video.renderers import Scene
from bridge_server.video.staging import set_stage
from bridge_server.video.wan_animate.renderer import WanAnimateRenderer
from bridge_server.video.wan_animate_2.renderer import WanAnimate2Renderer
from shared.errors import UnderstudyError

from .tiny_wan import wan_animate_2_folder, wan_animate_folder


def quiet(stage: str, fraction: float) -> None:
    pass


@pytest.fixture(scope="module")
def animate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return wan_animate_folder(tmp_path_factory.mktemp("wan"))


@pytest.fixture(scope="module")
def animate_2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return wan_animate_2_folder(tmp_path_factory.mktemp("wan2"))


@pytest.fixture()
def small(scene: Scene) -> Scene:
    """48x64 pixels, seven frames."""
    return replace(scene, track=replace(scene.track.take(slice(0, 7)).scaled(48, 64)), width=48, height=64)


@pytest.fixture()
def driver(tmp_path: Path) -> Path:
    """Frame n is a grey of its own, with a bright square that walks to the right."""
    pictures = []
    for n in range(7):
        picture = np.full((64, 48, 3), 40 + 20 * n, np.uint8)
        picture[20:30, 4 * n: 4 * n + 10] = 255
        pictures.append(picture)
    encode.write_segment(tmp_path / "driver.mp4", pictures, 20.0, ".mp4")
    return tmp_path / "driver.mp4"


def test_wan_animate(animate: Path, small: Scene, driver: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    renderer = WanAnimateRenderer(animate, steps=2, segment=5)
    notes = renderer.prepare(small, quiet)
    assert any("face curves" in note for note in notes) and any("30 frames" in note for note in notes) is False
    given: dict[str, object] = {}
    from diffusers import WanAnimatePipeline

    call = WanAnimatePipeline.__call__
    monkeypatch.setattr(WanAnimatePipeline, "__call__", lambda self, **named: (given.update(named), call(self, **named))[1])
    told: list[float] = []
    film = np.stack(list(renderer.frames(0, 7, lambda stage, fraction: told.append(fraction))))
    assert film.shape == (7, 64, 48, 3) and film.std() > 0 and told == sorted(told) and told[-1] <= 1
    # two segments of five frames that share one, two steps each
    assert len({f for f in told if 0.1 < f <= 0.95}) >= 4
    stage = set_stage(small, 48, 64)
    assert (np.asarray(given["pose_video"][3]) == draw_wan(stage.track, 3)).all()  # type: ignore[index]
    assert given["face_video"][0].size == (16, 16)  # type: ignore[index]
    assert given["mode"] == "animate" and given["segment_frame_length"] == 5
    assert np.asarray(given["image"]).shape == (64, 48, 3)
    assert (np.stack(list(renderer.frames(2, 4, quiet))) == film[2:4]).all()
    # the same again from what was kept, without loading a network
    again = WanAnimateRenderer(animate, steps=2, segment=5)
    again.keep_in(tmp_path)
    again.prepare(replace(small, driving=driver), quiet)
    driven = np.stack(list(again.frames(0, 7, quiet)))
    assert (driven != film).any()
    kept = WanAnimateRenderer(animate, steps=2, segment=5)
    kept.keep_in(tmp_path)
    kept.prepare(replace(small, driving=driver), quiet)
    assert (np.stack(list(kept.frames(0, 7, quiet))) == driven).all() and kept._pipe is None


def test_faces(small: Scene, driver: Path, animate: Path) -> None:
    stage = set_stage(small, 48, 64)
    opened = list(driving.face_of_photo(stage, {"jawOpen": np.array([0, 0, 1.0])}, 4, 32))
    assert opened[0].shape == (32, 32, 3) and (opened[0] == opened[1]).all() and (opened[2] == opened[3]).all()
    assert (opened[2] != opened[0]).any()
    track = replace(small.track, face_centre=np.stack((4.0 * np.arange(7) + 5, np.full(7, 25.0)), -1), face_size=16.0)
    crops = np.stack(list(driving.face_of_driving(driver, track, 16)))
    # the square walks with the face, so it stays in the middle of the crop
    assert all(crops[n, 6:10, 6:10].mean() > 200 for n in (2, 3, 4, 5))


def test_wan_animate_2(animate_2: Path, small: Scene, driver: Path) -> None:
    renderer = WanAnimate2Renderer(animate_2, steps=1, segment=5, length=16, pixels=32 * 48)
    with pytest.raises(UnderstudyError) as caught:
        renderer.prepare(small, quiet)
    assert caught.value.code == "request_invalid" and "--driving" in caught.value.fix
    scene = replace(small, track=small.track.take(slice(0, 5)), driving=driver)
    renderer.prepare(scene, quiet)
    told: list[float] = []
    film = np.stack(list(renderer.frames(0, 5, lambda stage, fraction: told.append(fraction))))
    assert film.shape == (5, 64, 48, 3) and film.std() > 0 and told == sorted(told)
    assert type(renderer._pipe).__name__ == "WanAnimate2ModularPipeline"


def test_the_distilled_model_is_known_by_its_index(tmp_path: Path, small: Scene, driver: Path) -> None:
    folder = wan_animate_2_folder(tmp_path / "d", distilled=True)
    renderer = WanAnimate2Renderer(folder)
    renderer.prepare(replace(small, driving=driver, quality="draft"), quiet)
    assert renderer._ready is not None and renderer._ready.steps == 4


@pytest.mark.parametrize("kind", [WanAnimateRenderer, WanAnimate2Renderer])
def test_what_is_missing_is_listed(kind: type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("UNDERSTUDY_FILM_WEIGHTS", raising=False)
    assert not kind.describe().runs_here
    why = kind.describe(tmp_path).why_not  # type: ignore[attr-defined]
    assert "transformer/diffusion_pytorch_model.safetensors" in why and "vae/config.json" in why and "model_index.json" in why


def test_shards_are_counted(tmp_path: Path) -> None:
    from bridge_server.video.model_folders import missing_parts, part_bytes

    import json

    import torch
    from safetensors.torch import save_file

    part = tmp_path / "transformer"
    part.mkdir()
    (part / "config.json").write_text("{}")
    save_file({"a": torch.zeros(100, dtype=torch.bfloat16)}, part / "diffusion_pytorch_model-00001-of-00002.safetensors")
    (part / "diffusion_pytorch_model.safetensors.index.json").write_text(json.dumps({"weight_map": {
        "a": "diffusion_pytorch_model-00001-of-00002.safetensors", "b": "diffusion_pytorch_model-00002-of-00002.safetensors"}}))
    assert missing_parts(tmp_path, {"transformer": "diffusers"}) == ["transformer/diffusion_pytorch_model-00002-of-00002.safetensors"]
    save_file({"b": torch.zeros(50, dtype=torch.bfloat16)}, part / "diffusion_pytorch_model-00002-of-00002.safetensors")
    assert missing_parts(tmp_path, {"transformer": "diffusers"}) == []
    assert 300 <= part_bytes(part, "diffusers", 2) < 700 and part_bytes(part, "diffusers", 4) == 2 * part_bytes(part, "diffusers", 2)


def test_memory_is_checked_first(animate: Path, small: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "free_bytes", lambda device: 1000)
    with pytest.raises(UnderstudyError) as caught:
        WanAnimateRenderer(animate).prepare(small, quiet)
    assert caught.value.code == "out_of_memory"
    need = wan.wan_need(animate, "animate", 77, 77, 720, 1280, 2)
    assert need.bytes("none") > need.bytes("model")


def test_driving_films(driver: Path, tmp_path: Path) -> None:
    same = [int(p[:15].mean()) for p in driving.read_film(driver, 7, 20.0)]
    assert same == pytest.approx([40 + 20 * n for n in range(7)], abs=4)
    half = [int(p[:15].mean()) for p in driving.read_film(driver, 4, 10.0)]
    assert half == pytest.approx([40, 80, 120, 160], abs=4)
    double = [int(p[:15].mean()) for p in driving.read_film(driver, 13, 40.0)]
    assert double[::2] == pytest.approx(same, abs=1)
    with pytest.raises(UnderstudyError) as caught:
        list(driving.read_film(driver, 40, 20.0))
    assert caught.value.code == "request_invalid"
    (tmp_path / "x.mp4").write_bytes(b"no film")
    for path, code in ((tmp_path / "none.mp4", "file_missing"), (tmp_path / "x.mp4", "file_invalid")):
        with pytest.raises(UnderstudyError) as caught:
            list(driving.read_film(path, 2, 20.0))
        assert caught.value.code == code
    assert driving.resampled(np.arange(10), 24.0, 5, 12.0).tolist() == [0, 2, 4, 6, 8]
