# SPDX-License-Identifier: Apache-2.0
"""Encoders by name: loaded from folders through the path that real ones take, trained on and performed with."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from bridge_server.audio.activity import speech_activity
from bridge_server.audio.encoder import Mel, Wav2Vec2, load_audio_encoder
from bridge_server.audio.features import mel_features
from bridge_server.audio.sound import Audio
from bridge_server.motion.text_branch import BranchConfig, TextBranch
from bridge_server.motion.tokenizer import Tokenizer, TokenizerConfig
from bridge_server.motion.versa import VersaGenerator
from bridge_server.motion.weights import read_card, save_network
from bridge_server.pretrained import weights_hash
from bridge_server.text.encoder import load_text_encoder
from bridge_server.training.prepare_store import SetWriter
from bridge_server.training.recipe import STAGES, load_recipe
from shared.errors import UnderstudyError
from shared.motion import Motion
from shared.requests import MotionRequest
from shared.timeline import Direction

from .encoders import WIDTH, save_clip, save_wav2vec2
from .test_features import wandering
from .test_training import write_set


ROOT = Path(__file__).resolve().parents[2]


def talk(seconds: float, rate: int = 16_000) -> np.ndarray:
    t = np.arange(int(seconds * rate)) / rate
    return (0.4 * np.sin(2 * np.pi * 140 * t) * (np.sin(2 * np.pi * 2 * t) > 0)).astype(np.float32)


@pytest.fixture(scope="module")
def encoders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as ``$UNDERSTUDY_ENCODERS`` names one."""
    folder = tmp_path_factory.mktemp("encoders")
    save_clip(folder / "clip")
    save_wav2vec2(folder / "wav2vec2")
    return folder


@pytest.fixture(autouse=True)
def nothing_on_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.delenv("UNDERSTUDY_ENCODERS", raising=False)


def test_clip_gives_unit_vectors_that_do_not_depend_on_the_batch(encoders: Path) -> None:
    clip = load_text_encoder("clip", encoders / "clip")
    vectors = clip.encode(["walks", "a long wave of the hand", "walks"])
    assert vectors.shape == (3, WIDTH) and clip.width == WIDTH
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert np.allclose(vectors[0], vectors[2], atol=1e-6) and not np.allclose(vectors[0], vectors[1], atol=1e-3)
    assert np.allclose(clip.encode(["walks"])[0], vectors[0], atol=1e-5)
    assert clip.digest == weights_hash(encoders / "clip")
    with pytest.raises(UnderstudyError, match="not the one"):
        load_text_encoder("clip", encoders / "clip", digest="0" * 64)


def test_wav2vec2_rows_are_the_models_own_at_their_times(encoders: Path) -> None:
    from transformers import Wav2Vec2FeatureExtractor, Wav2Vec2Model

    heard = load_audio_encoder("wav2vec2", encoders / "wav2vec2")
    assert isinstance(heard, Wav2Vec2) and heard.width == WIDTH + 2
    samples = talk(3.0)
    # one row at the middle of every 320 samples, where the model itself has one
    centre = (heard.centre) / 16_000
    rows = heard.features(samples, 16_000, 120, 50.0, centre)
    padded = np.concatenate((samples, np.zeros(16_000, np.float32)))
    inputs = Wav2Vec2FeatureExtractor.from_pretrained(encoders / "wav2vec2")(padded, sampling_rate=16_000, return_tensors="pt")
    with torch.inference_mode():
        own = Wav2Vec2Model.from_pretrained(encoders / "wav2vec2").eval()(inputs.input_values).last_hidden_state[0]
    own = torch.nn.functional.layer_norm(own, own.shape[-1:]).numpy()
    assert np.abs(rows[:, :WIDTH] - own[:120]).max() < 1e-3
    # the last two columns are mel's, so that speech is found in any encoder's rows
    assert np.array_equal(rows[:, WIDTH:], mel_features(samples, 16_000, 120, 50.0, centre)[:, -2:])


def test_wav2vec2_hears_other_rates_long_recordings_and_nothing(encoders: Path) -> None:
    heard = load_audio_encoder("wav2vec2", encoders / "wav2vec2")
    assert isinstance(heard, Wav2Vec2)
    one = heard.features(talk(2.0), 16_000, 120)
    other = heard.features(talk(2.0, 48_000), 48_000, 120)
    assert np.corrcoef(one[:, :WIDTH].ravel(), other[:, :WIDTH].ravel())[0, 1] > 0.97
    whole = heard.features(talk(40.0), 16_000, 2400)
    while heard.shrink():
        pass
    pieces = heard.features(talk(40.0), 16_000, 2400)
    assert heard.stretch <= 5.0
    # stretches are heard with what is around them, so a boundary does not stand out
    assert np.corrcoef(whole[:, :WIDTH].ravel(), pieces[:, :WIDTH].ravel())[0, 1] > 0.97
    for samples in (np.zeros(0, np.float32), np.zeros(10, np.float32)):
        rows = heard.features(samples, 16_000, 16)
        assert rows.shape == (16, WIDTH + 2) and np.isfinite(rows).all() and not speech_activity(rows).any()


def test_layers_are_chosen_by_name_number_or_weights(encoders: Path) -> None:
    folder, samples = encoders / "wav2vec2", talk(1.0)

    def rows(layer: object) -> np.ndarray:
        return load_audio_encoder("wav2vec2", folder, layer=layer).features(samples, 16_000, 60)[:, :WIDTH]

    assert np.allclose(rows("last"), rows(2), atol=1e-6) and np.allclose(rows([0, 0, 5]), rows("last"), atol=1e-6)
    assert np.allclose(rows("mean"), (rows(0) + rows(1) + rows(2)) / 3, atol=1e-5)
    for wrong in ("first", 3, -1, True, [1, 2], [0, 0, 0]):
        with pytest.raises(UnderstudyError, match="no layer"):
            rows(wrong)


def test_what_is_missing_is_named(encoders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnderstudyError, match="hf download facebook/wav2vec2") as found:
        load_audio_encoder("wav2vec2")
    assert found.value.code == "audio_encoder_missing"
    with pytest.raises(UnderstudyError, match="config.json is missing"):
        load_audio_encoder("wav2vec2", tmp_path)
    with pytest.raises(UnderstudyError, match="no audio encoder named"):
        load_audio_encoder("hubert")
    with pytest.raises(UnderstudyError, match="not the one that these weights"):
        load_audio_encoder("wav2vec2", encoders / "wav2vec2", sha256="0" * 64)
    broken = save_wav2vec2(tmp_path / "broken")
    (broken / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(UnderstudyError, match="cannot be read") as found:
        load_audio_encoder("wav2vec2", broken)
    assert found.value.code == "weights_invalid"
    monkeypatch.setenv("UNDERSTUDY_ENCODERS", str(encoders))
    assert load_audio_encoder("wav2vec2").width == WIDTH + 2 and load_text_encoder("clip").width == WIDTH
    assert isinstance(load_audio_encoder(), Mel)


def test_offline_nothing_is_fetched_and_the_way_out_is_said(tmp_path: Path) -> None:
    """As in a bridge that Blender starts while its online access is off: the model hub is not asked, not even for a name."""
    code = ("import socket\n"
            "def refuse(*_, **__): raise SystemExit('it went online')\n"
            "socket.getaddrinfo = socket.create_connection = refuse\n"
            "from bridge_server.text import encoder\n"
            "try:\n    encoder._find('clip', None, None)\n"
            "except Exception as error:\n    print(error)\n")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "UNDERSTUDY_"))}
    environment |= {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True)
    said = done.stdout
    assert done.returncode == 0 and "could not be fetched" in said and "allow online access" in said, said + done.stderr


def test_an_audio_stage_is_trained_and_performed_with_wav2vec2(encoders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNDERSTUDY_ENCODERS", str(encoders))
    write_set(tmp_path / "data" / "little", clips=4, frames=120)
    run = tmp_path / "run"
    writer = SetWriter(run / "speech")
    for n, split in enumerate(("train", "val")):
        q, t = wandering(n, 300)
        writer.add(f"s{n}", Motion.from_body(30.0, q, t), {"split": split, "captions": [], "licence": "CC0-1.0"}, talk(10.0))
    writer.finish({})
    (tmp_path / "recipe.toml").write_text("""
name = "heard"
version = "0"
licence = "CC0-1.0"
data = ["little"]
speech = "speech"
tempi = [1.0]
seed = 0
text_encoder = "clip"
audio_encoder = { name = "wav2vec2", layer = "mean" }
[tokenizer]
codes = 32
[branches]
width = 32
layers = 3
heads = 2
[text]
sequences = 8
[audio]
steps = 3
rate = 1e-3
""")
    recipe = load_recipe(str(tmp_path / "recipe.toml"), run, tmp_path / "data")
    torch.manual_seed(0)
    config = TokenizerConfig(codes=32, levels=1, width=32, code_width=16)
    save_network(recipe.weights, "tokenizer", Tokenizer(config), config.to_json())
    text = BranchConfig(codes=32, width=32, layers=3, heads=2, text_width=WIDTH)
    save_network(recipe.weights, "text", TextBranch(text), text.to_json())
    STAGES["audio"](recipe)

    card = read_card(recipe.weights)
    assert card["audio_encoder"] == {"name": "wav2vec2", "sha256": weights_hash(encoders / "wav2vec2"), "layer": "mean"}
    assert card["text_encoder"]["name"] == "clip"
    generator = VersaGenerator(str(recipe.weights))
    assert isinstance(generator.hearing, Wav2Vec2) and generator.hearing.layer == "mean"
    assert generator.networks.audio is not None and generator.networks.audio.config.audio_width == WIDTH + 2

    def perform(audio: Audio) -> Motion:
        request = MotionRequest(directions=[Direction(0, 1, "walks")], face=False, audio_guidance=20)
        return generator.perform(request, audio, lambda *_: None)

    motion = perform(Audio(talk(3.0)))
    assert len(motion) == 90 and np.isfinite(motion.rotations).all()
    noise = np.random.default_rng(0).normal(0, 0.2, 48_000).astype(np.float32) * (talk(3.0) != 0)
    assert not np.array_equal(motion.rotations, perform(Audio(noise)).rotations)

    # other encoders than those of the training are refused, not used in silence
    monkeypatch.setenv("UNDERSTUDY_ENCODERS", str(tmp_path / "other"))
    save_clip(tmp_path / "other" / "clip")
    save_wav2vec2(tmp_path / "other" / "wav2vec2", layer_norm_eps=1e-3)
    torch.manual_seed(7)
    other = Wav2Vec2(tmp_path / "other" / "wav2vec2").model
    other.masked_spec_embed.data.uniform_()
    other.save_pretrained(tmp_path / "other" / "wav2vec2")
    with pytest.raises(UnderstudyError, match="audio encoder wav2vec2 is not the one"):
        VersaGenerator(str(recipe.weights))
