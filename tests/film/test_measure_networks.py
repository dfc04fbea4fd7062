# SPDX-License-Identifier: Apache-2.0
"""Measures by networks: files of the published layouts with random content, and formulas by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from bridge_server.cli.main import main
from bridge_server.video import encode, measure, measure_encoders
from bridge_server.video.measure_encoders import MEASURES, clips_of, measure_film
from shared.errors import UnderstudyError

torch = pytest.importorskip("torch")


@pytest.fixture()
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = tmp_path / "metrics"
    place.mkdir()
    monkeypatch.setenv("UNDERSTUDY_METRICS", str(place))
    monkeypatch.setenv("UNDERSTUDY_STATE_DIR", str(tmp_path / "state"))
    return place


def noise(count: int, seed: int, side: int = 64) -> list[np.ndarray]:
    return list(np.random.default_rng(seed).integers(0, 255, (count, side, side, 3), dtype=np.uint8))


def test_ssim_and_psnr_agree_with_scikit_image() -> None:
    from skimage.metrics import peak_signal_noise_ratio, structural_similarity

    a, b = noise(2, 0)
    b = ((a.astype(float) + b) / 2).astype(np.uint8)
    assert measure.psnr(a, b) == pytest.approx(peak_signal_noise_ratio(a, b, data_range=255))
    theirs = structural_similarity(a, b, channel_axis=2, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255)
    assert measure.ssim(a, b) == pytest.approx(theirs, abs=1e-6)


def test_lpips_by_hand(folder: Path) -> None:
    from bridge_server.video.measure_networks import AlexFeatures, lpips_distance

    blank = {f"features.{n}.{part}": torch.zeros(shape if part == "weight" else shape[:1]) for n, shape in (
        (0, (64, 3, 11, 11)), (3, (192, 64, 5, 5)), (6, (384, 192, 3, 3)), (8, (256, 384, 3, 3)), (10, (256, 256, 3, 3)))
        for part in ("weight", "bias")}
    # the first layer's channels 0 and 1 tell bright from dark; later layers are dead and add nothing
    blank["features.0.weight"][0, :, 5, 5], blank["features.0.weight"][1, :, 5, 5] = 1.0, -1.0
    torch.save(blank, folder / MEASURES[0].file)
    linear = folder / "alex.pth"
    torch.save({f"lin{n}.model.1.weight": torch.full((1, c, 1, 1), 0.5) for n, c in enumerate((64, 192, 384, 256, 256))}, linear)
    network = AlexFeatures(folder / MEASURES[0].file, linear)
    white, black = np.full((64, 64, 3), 255, np.uint8), np.zeros((64, 64, 3), np.uint8)
    assert lpips_distance(network, white, white) == 0.0
    # unit vectors along two channels: squared difference 1 + 1, each weighted by one half
    assert lpips_distance(network, white, black) == pytest.approx(1.0, abs=1e-5)
    found, notes = measure_film(["lpips"], [white, black], reference=[white, white])
    assert found["lpips"] > 0 and not notes
    del blank["features.8.bias"]
    torch.save(blank, folder / MEASURES[0].file)
    with pytest.raises(UnderstudyError, match="lacks features.8.bias"):
        measure_film(["lpips"], [white], reference=[white])


class Means(torch.nn.Module):
    """Stands for Inception and for I3D: mean and spread of each channel."""

    def forward(self, x: torch.Tensor, rescale: bool = False, resize: bool = False, return_features: bool = False) -> torch.Tensor:
        assert return_features
        flat = x.float().flatten(2)
        return torch.cat((flat.mean(2), flat.std(2)), 1)


def test_fid_and_fvd_with_torchscript_files(folder: Path) -> None:
    for name in ("inception-2015-12-05.pt", "i3d_torchscript.pt"):
        torch.jit.script(Means()).save(str(folder / name))
    a, b = noise(40, 1, 16), noise(40, 2, 16)
    darker = [(x // 2).astype(np.uint8) for x in b]
    found, notes = measure_film(["fid", "fvd"], a, reference=a)
    assert found["fid"] == pytest.approx(0, abs=1e-6) and found["fvd"] == pytest.approx(0, abs=1e-6) and not notes
    far, _ = measure_film(["fid", "fvd"], a, reference=darker)
    expected = measure.frechet(*(np.stack([np.concatenate((x.reshape(-1, 3).mean(0), x.reshape(-1, 3).astype(float).std(0, ddof=1)))
                                           for x in frames]) for frames in (a, darker)))
    assert far["fid"] == pytest.approx(expected, rel=1e-4) and far["fvd"] > 1000
    assert clips_of(a).shape == (4, 16, 16, 16, 3)
    with pytest.raises(UnderstudyError, match="more than 16"):
        clips_of(a[:16])
    (folder / "i3d_torchscript.pt").write_bytes(b"no network")
    with pytest.raises(UnderstudyError, match="not a TorchScript file"):
        measure_film(["fvd"], a, reference=a)


def test_csim_with_an_arcface_file(folder: Path, astronaut: np.ndarray) -> None:
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    helper = onnx.helper
    graph = helper.make_graph(
        [helper.make_node("GlobalAveragePool", ["x"], ["mean"]), helper.make_node("Flatten", ["mean"], ["y"])], "face",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [None, 3, 112, 112])],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [None, 3])])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), str(folder / "w600k_r50.onnx"))
    small = np.ascontiguousarray(astronaut[20:220, 120:320])
    face = measure_encoders._aligned(small)
    # the eyes are where ArcFace wants them: dark in a face that is not
    assert face is not None and face.shape == (112, 112, 3)
    assert face[49:54, 36:41].mean() < face[68:73, 36:41].mean() - 20
    found, _ = measure_film(["csim"], [small] * 3, photo=small)
    assert found["csim"] == pytest.approx(1.0, abs=1e-5) and found["faces_found"] == 1.0
    _, notes = measure_film(["csim"], noise(2, 0), photo=small)
    assert notes == ["csim: No face was found in the film."]


def test_cepstra_by_hand() -> None:
    from bridge_server.video.measure_networks import mfcc

    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000)
    found = mfcc(tone)
    assert found.shape == (99, 13)
    # the energy of the first window, after pre-emphasis, by Parseval over the half spectrum
    samples = tone * 32767
    window = np.append(samples[0], samples[1:] - 0.97 * samples[:-1])[:400]
    power = np.abs(np.fft.rfft(window, 512)) ** 2 / 512
    assert found[0, 0] == pytest.approx(np.log(power.sum()), rel=1e-9)
    assert np.abs(found[20] - found[60]).max() < 0.5, "a steady tone has steady cepstra"
    assert np.abs(mfcc(np.random.default_rng(0).normal(0, 0.1, 16_000))[20] - found[20]).max() > 5


def test_sync_with_a_file_of_syncnet_s_names(folder: Path, astronaut: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    from bridge_server.video.measure_networks import SyncNet

    torch.manual_seed(0)
    state = SyncNet().state_dict()
    # names and shapes as in the published file
    assert state["netcnnaud.0.weight"].shape == (64, 1, 3, 3) and state["netcnnaud.18.weight"].shape == (512, 256, 5, 4)
    assert state["netcnnlip.0.weight"].shape == (96, 3, 5, 7, 7) and state["netcnnlip.18.weight"].shape == (512, 256, 1, 6, 6)
    assert state["netfcaud.0.weight"].shape == (512, 512) and state["netfclip.3.weight"].shape == (1024, 512)
    assert state["netcnnlip.1.running_mean"].shape == (96,) and state["netfcaud.1.running_var"].shape == (512,)
    torch.save(state, folder / "syncnet_v2.model")
    monkeypatch.setattr(measure_encoders, "mouth_box", lambda frames: (120, -20, 200))
    sound = np.random.default_rng(0).normal(0, 0.1, 16_000)
    _, notes = measure_film(["sync"], [astronaut] * 25, sound=sound)
    assert notes and "1.6 seconds" in notes[0]
    calls = []
    monkeypatch.setattr(SyncNet, "lips", lambda self, x: calls.append(tuple(x.shape)) or torch.full((1, 4), float(len(calls))))
    monkeypatch.setattr(SyncNet, "speech", lambda self, x: torch.arange(1.0, len(x) + 1)[:, None].expand(-1, 4).roll(-2, 0))
    found, _ = measure_film(["sync"], [astronaut] * 50, sound=np.tile(sound, 2))
    # the speech is two frames early: moved by two back it fits exactly, and C is the median of the other distances, 2 a frame
    assert set(calls) == {(1, 3, 5, 224, 224)}
    assert found["sync_d"] == pytest.approx(0.0, abs=1e-4) and found["sync_shift_frames"] == -2
    assert found["sync_c"] == pytest.approx(16, abs=2)


def test_missing_files_are_named(folder: Path, tmp_path: Path, astronaut: np.ndarray, capsys: pytest.CaptureFixture[str]) -> None:
    frames = [np.ascontiguousarray(astronaut[:96, :96])] * 4
    found, notes = measure_film([m.name for m in MEASURES], frames, reference=frames, photo=astronaut)
    assert not found and len(notes) == 5
    for one, note in zip(MEASURES[:4], notes, strict=False):
        assert one.file in note and one.published in note and str(folder) in note
    assert notes[4] == "sync needs --audio."
    film = tmp_path / "film.mp4"
    encode.write_segment(film, frames, 25.0, ".mp4")
    assert main(["evaluate", "video", str(film), "--reference", str(film)]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["ssim"] == 1.0 and "i3d_torchscript.pt" in said.err
    assert main(["evaluate", "video", str(film), "--reference", str(film), "--measures", ""]) == 0
    assert "note" not in capsys.readouterr().err
    assert main(["evaluate", "video", str(film), "--measures", "beauty"]) == 1
    assert main(["evaluate", "video", str(film), "--track", str(film)]) == 1
