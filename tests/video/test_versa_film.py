# SPDX-License-Identifier: Apache-2.0
"""Films by ``versa`` on tiny weights: windows, memory, speech, refinement, and going on after a stop."""

from __future__ import annotations

import json
import shutil
import wave
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from bridge_server.cli.main import main
from bridge_server.pose_track.layout import INDEX, RIGHT_HAND
from bridge_server.video import device as devices
from bridge_server.video import renderers
from bridge_server.video.renderers import Scene
from bridge_server.video.staging import set_stage
from bridge_server.video.versa import refine, whole_film
from bridge_server.video.versa.conditions import EMOTION_NAMES, audio_windows, blink_ratio, emotion_weights
from bridge_server.video.versa.memory import DECODER, ENCODER, UNET, versa_need
from bridge_server.video.versa.pictures import HEAD_GREY, PosePictures, pose_picture
from bridge_server.video.versa.renderer import VersaRenderer
from bridge_server.video.versa.weights import find_files
from shared.errors import UnderstudyError
from shared.motion import Motion

from .live import Live
from .tiny import UNET as TINY
from .tiny import face_file

SMALL = {"steps": 2, "window": 6, "overlap": 2, "refine": "none"}


def quiet(stage: str, fraction: float) -> None:
    pass


def frames_of(weights: Path, scene: Scene, **options: object) -> np.ndarray:
    renderer = VersaRenderer(weights, **{**SMALL, **options})  # type: ignore[arg-type]
    renderer.prepare(scene, quiet)
    return np.stack(list(renderer.frames(0, len(scene.track), quiet)))


@pytest.fixture(autouse=True)
def _small_canvas(monkeypatch: pytest.MonkeyPatch) -> None:
    """Poses on the published canvas of 2160 pixels would take most of the time."""
    monkeypatch.setattr(whole_film, "PosePictures", partial(PosePictures, short_side=256))


@pytest.fixture()
def speech(tmp_path: Path) -> Path:
    path = tmp_path / "speech.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes((np.sin(np.arange(8000) * 0.2) * 12000).astype("<i2").tobytes())
    return path


def test_a_film_is_the_same_in_any_division(versa_weights: Path, scene: Scene) -> None:
    renderer = VersaRenderer(versa_weights, **SMALL)  # type: ignore[arg-type]
    notes = renderer.prepare(scene, quiet)
    assert any("no face layers" in note for note in notes) and any("GB are free" in note for note in notes)
    told: list[float] = []
    film = np.stack(list(renderer.frames(0, 10, lambda stage, fraction: told.append(fraction))))
    assert film.shape == (10, 64, 64, 3) and film.dtype == np.uint8 and film.std() > 1
    assert told == sorted(told) and 0 <= told[0] and told[-1] <= 1 and len(set(told)) > 6
    for start, stop in ((0, 3), (3, 9), (9, 10)):
        assert (np.stack(list(renderer.frames(start, stop, quiet))) == film[start:stop]).all()
    assert (frames_of(versa_weights, scene) == film).all()
    assert (frames_of(versa_weights, replace(scene, seed=1)) != film).any()


def test_the_pose_reaches_the_picture(versa_weights: Path, scene: Scene) -> None:
    moved = replace(scene.track, points=scene.track.points + np.linspace(0, 30, 10)[:, None, None])
    assert (frames_of(versa_weights, scene) != frames_of(versa_weights, replace(scene, track=moved))).any()


def test_an_interrupted_film_goes_on(versa_weights: Path, scene: Scene, tmp_path: Path) -> None:
    whole = frames_of(versa_weights, scene, steps=3)

    class Stop(Exception):
        pass

    def stop(stage: str, fraction: float) -> None:
        if stage == "denoising" and fraction > 0.5:
            raise Stop

    renderer = VersaRenderer(versa_weights, **{**SMALL, "steps": 3})  # type: ignore[arg-type]
    renderer.keep_in(tmp_path)
    renderer.prepare(scene, quiet)
    with pytest.raises(Stop):
        next(renderer.frames(0, 10, stop))
    assert [p.name for p in tmp_path.iterdir()] == ["versa-film.safetensors"]
    again = VersaRenderer(versa_weights, **{**SMALL, "steps": 3})  # type: ignore[arg-type]
    again.keep_in(tmp_path)
    again.prepare(scene, quiet)
    first: list[float] = []
    film = np.stack(list(again.frames(0, 10, lambda stage, fraction: first.append(fraction) if stage == "denoising" else None)))
    # a step was saved: it is not done again, and the film is the same
    assert first[0] > 0.05 + 0.85 / 3 and np.abs(film.astype(int) - whole).max() <= 1
    # another film does not use the remainder
    other = VersaRenderer(versa_weights, **{**SMALL, "steps": 3})  # type: ignore[arg-type]
    other.keep_in(tmp_path)
    other.prepare(replace(scene, seed=5), quiet)
    assert (np.stack(list(other.frames(0, 10, quiet))) != film).any()


def test_speech_emotion_and_blinks_are_heard(versa_weights: Path, scene: Scene, speech: Path, tmp_path: Path) -> None:
    folder = tmp_path / "w"
    shutil.copytree(versa_weights, folder)
    face_file(folder / "versa.safetensors")
    still = frames_of(folder, scene, steps=1)
    spoken = frames_of(folder, replace(scene, audio=speech), steps=1)
    later = frames_of(folder, replace(scene, audio=speech, audio_start=-0.25), steps=1)
    feeling = frames_of(folder, scene, steps=1, emotion="angry")
    assert all((a != b).any() for a, b in ((still, spoken), (spoken, later), (still, feeling)))
    with pytest.raises(UnderstudyError):
        frames_of(folder, scene, emotion="bored")


def test_hands_and_face_are_drawn_twice(versa_weights: Path, scene: Scene) -> None:
    once = frames_of(versa_weights, scene).astype(int)
    renderer = VersaRenderer(versa_weights, **{**SMALL, "refine": "face", "refine_size": 64})  # type: ignore[arg-type]
    renderer.prepare(scene, quiet)
    assert renderer._ready is not None
    (region,) = renderer._ready.regions
    twice = np.stack(list(renderer.frames(0, 10, quiet))).astype(int)
    changed = np.abs(twice - once).sum(-1) > 0
    left, top = region.corner[4]
    inside = np.zeros((64, 64), bool)
    inside[top: top + region.side, left: left + region.side] = True
    assert changed[4][inside].mean() > 0.2 and not changed[4][~inside].any()


def test_regions_follow_what_is_seen(scene: Scene) -> None:
    stage = set_stage(scene, 128, 128)
    track = stage.track
    points, confidence = track.points.copy(), track.confidence.copy()
    points[:, RIGHT_HAND] = np.array([60.0, 90.0]) + np.arange(21)[None, :, None] * 0.5 + np.arange(10)[:, None, None]
    confidence[:, RIGHT_HAND] = 0.9
    confidence[6:, RIGHT_HAND] = 0.0
    track = replace(track, points=points, confidence=confidence)
    found, notes = refine.find_regions(track, stage.reference, ["right_hand"], 64)
    # the portrait shows no hand, so there is nothing to draw one from
    assert found == [] and "right hand" in notes[0]
    own = stage.reference.confidence.copy()
    own[0, INDEX["right_wrist"]] = 1
    (region,), notes = refine.find_regions(track, replace(stage.reference, confidence=own), ["right_hand"], 64)
    assert notes == [] and region.side % 8 == 0 and (region.weight[:5] > 0.5).all() and (region.weight[6:] == 0).all()
    assert (region.corner[4] > region.corner[0]).all()
    assert refine.find_regions(track, replace(stage.reference, confidence=own), ["right_hand"], 16)[0] == []
    picture = np.zeros((128, 128, 3), np.uint8)
    refine.paste(picture, region, 0, np.full((64, 64, 3), 200, np.uint8))
    left, top = region.corner[0]
    middle = region.side // 2
    assert picture[top + middle, left + middle, 0] >= 150 and picture[top, left].max() <= 60
    before = picture.copy()
    refine.paste(picture, region, 8, np.full((64, 64, 3), 90, np.uint8))
    assert (picture == before).all()


def test_pose_pictures_with_a_square_head(scene: Scene) -> None:
    track = set_stage(scene, 128, 128).track
    picture = pose_picture(track, 0, "mask", 128)
    x, y = track.face_centre[0].astype(int)
    corner = int(track.face_size / 2) - 2
    assert (picture[y - corner, x - corner] == HEAD_GREY).all()
    assert (pose_picture(track, 0, "points", 128)[y - corner, x - corner] == 0).all()


def test_memory_is_what_the_networks_take(versa_weights: Path) -> None:
    """The constants behind the estimate, against live tensors."""
    from diffusers import AutoencoderKLTemporalDecoder

    from bridge_server.video.versa.unet import VersaUNet

    config = {**TINY, "block_out_channels": [32, 64, 128, 128], "num_attention_heads": [2, 4, 8, 8], "layers_per_block": 2,
              "down_block_types": ["CrossAttnDownBlockSpatioTemporal"] * 3 + ["DownBlockSpatioTemporal"],
              "up_block_types": ["UpBlockSpatioTemporal"] + ["CrossAttnUpBlockSpatioTemporal"] * 3}
    unet = VersaUNet.made(config)
    sample = torch.randn(1, 4, 8, 16, 16)
    with torch.no_grad(), Live() as live:
        unet(sample, torch.tensor(1.0), torch.randn(1, 1, 32), torch.tensor([[6.0, 127.0, 0.0]]))
    assert live.peak / (4 * 16 * 16 * 32 * 4) == pytest.approx(UNET, rel=0.03)
    vae = AutoencoderKLTemporalDecoder(down_block_types=("DownEncoderBlock2D",) * 4, block_out_channels=(32, 64, 64, 64),
                                       layers_per_block=2, latent_channels=4)
    with torch.no_grad(), Live() as live:
        vae.decode(torch.randn(2, 4, 8, 8), num_frames=2)
    assert live.peak / (2 * 64 * 64 * 32 * 4) == pytest.approx(DECODER, rel=0.03)
    with torch.no_grad(), Live() as live:
        vae.encode(torch.randn(1, 3, 64, 64))
    assert live.peak / (64 * 64 * 32 * 4) == pytest.approx(ENCODER, rel=0.05)
    need = versa_need(find_files(versa_weights), 72, 576, 1024, 2)
    assert need.work["unet"] == int(UNET * 32 * 72 * 128 * 72 * 2)
    assert need.bytes("none") > need.bytes("model") > need.bytes("sequential")


def test_published_size_fits_a_gpu_of_20_gb() -> None:
    """Weights and work of the published networks, computed as for a folder of them."""
    unet_numbers, clip, vae = 1_575_000_362 + 250_000, 632_000_000, 98_000_000
    work = UNET * 320 * (576 // 8) * (1024 // 8) * 72 * 2
    need = devices.Need({"unet": 2 * unet_numbers, "image_encoder": 2 * clip, "vae": 2 * vae},
                        {"unet": int(work), "vae": int(DECODER * 6 * 2 * 128 * 576 * 1024), "image_encoder": 50_000_000})
    offload, sentence = devices.choose_offload(need, "none", "cuda", free=20 * 2**30)
    assert offload == "none" and "GB" in sentence
    assert devices.choose_offload(need, "auto", "cuda", free=15 * 2**30)[0] == "model"


def test_too_little_memory_is_said_before_any_work(versa_weights: Path, scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "free_bytes", lambda device: 1000)
    monkeypatch.setattr("bridge_server.video.versa.drawing.Drawing.__init__", lambda *a: pytest.fail("something was loaded"))
    renderer = VersaRenderer(versa_weights, **SMALL)  # type: ignore[arg-type]
    with pytest.raises(UnderstudyError) as caught:
        renderer.prepare(scene, quiet)
    assert caught.value.code == "out_of_memory" and "too little memory" in caught.value.message


@pytest.mark.parametrize(("options", "code"), [
    ({"window": 4, "overlap": 3}, "request_invalid"), ({"refine": "feet"}, "request_invalid"), ({"device": "cuda:9"}, "unsupported"),
    ({"precision": "int8"}, "request_invalid"), ({"steps": "many"}, "request_invalid"), ({"colour": 1}, "request_invalid"),
])
def test_bad_options(options: dict[str, object], code: str, versa_weights: Path) -> None:
    with pytest.raises(UnderstudyError) as caught:
        renderers.load("versa", weights=versa_weights, **options)
    assert caught.value.code == code


def test_described(versa_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("UNDERSTUDY_FILM_WEIGHTS", raising=False)
    found = {item.name: item for item in renderers.describe_all()}
    assert {"puppet", "versa", "wan-animate", "wan-animate-2"} <= set(found)
    assert not found["versa"].runs_here and "UNDERSTUDY_FILM_WEIGHTS" in found["versa"].why_not
    with pytest.raises(UnderstudyError) as caught:
        renderers.load("versa")
    assert caught.value.code == "unsupported"
    (tmp_path / "versa").mkdir()
    monkeypatch.setenv("UNDERSTUDY_FILM_WEIGHTS", str(tmp_path))
    assert "MimicMotion" in VersaRenderer.describe().why_not
    assert main(["film", "--list"]) == 0
    assert "versa:" in capsys.readouterr().out
    shutil.rmtree(tmp_path / "versa")
    shutil.copytree(versa_weights, tmp_path / "versa")
    assert VersaRenderer.describe().runs_here


def test_command(versa_weights: Path, performance: Motion, photo_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    performance.save(tmp_path / "m.npz")
    out = tmp_path / "film.mp4"
    assert main(["film", "--motion", str(tmp_path / "m.npz"), "--photo", str(photo_path), "--out", str(out), "--size", "96x96",
                 "--fps", "10", "--renderer", "versa", "--weights", str(versa_weights), "--option", "steps=1",
                 "--option", "refine=none"]) == 0
    said = capsys.readouterr()
    assert "5 frames at 10 fps" in said.out and "drawn at 128x128" in said.err and out.stat().st_size > 500
    assert json.loads((tmp_path / "film.mp4.json").read_text())["renderer"] == "versa"
    assert not (tmp_path / "film.mp4.parts").exists()
    assert main(["film", "--motion", str(tmp_path / "m.npz"), "--photo", str(photo_path), "--out", str(out),
                 "--renderer", "versa", "--weights", str(tmp_path)]) == 1
    assert "MimicMotion_1-1.pth" in capsys.readouterr().err


def test_what_the_face_is_told() -> None:
    curves = {"eyeBlinkLeft": np.array([0, 1.0, 0]), "eyeBlinkRight": np.array([0, 0.5, 0])}
    assert blink_ratio(curves, 4).tolist() == [0, 0.75, 0, 0] and blink_ratio({}, 2).tolist() == [0, 0]
    features = np.arange(100)[:, None]
    heard = audio_windows(features, 5, 10.0, 3)
    assert heard[2, :, 0].tolist() == [9, 10, 11] and heard[0, :, 0].tolist() == [0, 0, 1]
    from bridge_server.face.emotion import emotion_curves
    from shared.face_curves import ARKIT

    times = np.arange(40) / 20
    for emotion in ("happy", "sad", "angry", "surprised"):
        made = emotion_curves({emotion: 1.0}, times)
        weights = emotion_weights({name: made[:, n] for n, name in enumerate(ARKIT)}, 40, 20.0)
        assert EMOTION_NAMES[int(weights[20].argmax())] == emotion and weights.sum(-1) == pytest.approx(1)
    still = emotion_weights({"jawOpen": np.linspace(0, 1, 40)}, 40, 20.0)
    assert still[:, EMOTION_NAMES.index("neutral")] == pytest.approx(1)


def test_the_track_is_moved_onto_the_person(scene: Scene) -> None:
    stage = set_stage(scene, 192, 192)
    names = ("neck", "nose", "left_shoulder", "right_shoulder")
    own = stage.person.points[[INDEX[n] for n in names]]
    track = np.median(stage.track.points[:, [INDEX[n] for n in names]], axis=0)
    # neck on neck, shoulders as wide as the person's, in spite of another camera
    assert np.abs(track[0] - own[0]).max() < 2
    width = np.linalg.norm(stage.track.points[:, INDEX["left_shoulder"]] - stage.track.points[:, INDEX["right_shoulder"]], axis=-1)
    assert width.max() == pytest.approx(np.linalg.norm(own[2] - own[3]), rel=0.1)
    assert stage.track.face_size == pytest.approx(3.8 * stage.person.unit, rel=0.02)
    assert (stage.reference.points[0] == stage.person.points).all() and stage.reference.confidence[0, INDEX["neck"]] >= 0.85
    # nobody was asked where the arms are
    assert stage.reference.confidence[0, INDEX["left_wrist"]] == 0
    guessed = set_stage(replace(scene, points=None), 192, 192)
    assert guessed.reference.confidence[0, INDEX["left_hip"]] == 0
    # a camera of another shape covers the picture as the photograph does
    assert np.abs(set_stage(replace(scene, track=scene.track.scaled(128, 64)), 192, 192).track.points[0, INDEX["neck"]] - own[0]).max() < 12


@pytest.mark.parametrize(("precision", "offload"), [("bf16", "model"), ("fp16", "sequential")])
def test_half_precision_and_offload(precision: str, offload: str, versa_weights: Path, scene: Scene, speech: Path, tmp_path: Path,
                                    monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "w"
    shutil.copytree(versa_weights, folder)
    face_file(folder / "versa.safetensors")
    # a processor needs no offload, so it is asked for as a GPU would
    monkeypatch.setattr(devices, "choose_offload", lambda *a: (offload, "memory"))
    film = frames_of(folder, replace(scene, audio=speech), steps=1, precision=precision, refine="face", refine_size=64)
    assert film.shape == (10, 64, 64, 3) and film.std() > 1
    assert np.abs(film.astype(int) - frames_of(folder, replace(scene, audio=speech), steps=1, refine="face", refine_size=64)).mean() < 6


def test_the_picture_coder_is_upcast_for_encoding(versa_weights: Path) -> None:
    """As fp16 needs it on a GPU; decoding stays in half precision."""
    from bridge_server.video.versa.drawing import Drawing

    drawing = Drawing(find_files(versa_weights), "cpu", "fp16", "model")
    seen: list[torch.dtype] = []
    encoder = drawing.pipe.vae.encoder
    encoder.register_forward_pre_hook(lambda module, given: seen.append(given[0].dtype))
    assert drawing.encode(torch.rand(1, 3, 16, 16)).dtype == torch.float32
    assert seen == [torch.float32] and drawing.pipe.vae.dtype == torch.float16
