# SPDX-License-Identifier: Apache-2.0
"""Synthetic performances: the same seed gives the same set, splits do not mix, strokes meet stresses."""

from __future__ import annotations

import json
import shutil
import wave
from pathlib import Path

import numpy as np
import pytest

from bridge_server.synthesis import espeak
from bridge_server.synthesis.command import run
from bridge_server.synthesis.dataset import make_performance, synthesise
from bridge_server.synthesis.measure import feet, in_trunk, read, stroke_offsets
from bridge_server.synthesis.persona import make_personas
from bridge_server.synthesis.sources import Sources, load_sources
from shared.errors import UnderstudyError

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
pytestmark = [
    pytest.mark.skipif(not (DATA / "free_extra").is_dir() or not (DATA / "gesture_notation").is_dir(),
                       reason="the data sets free_extra and gesture_notation are not at hand"),
    pytest.mark.skipif(not espeak.available(), reason="eSpeak NG is not installed"),
]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("synthesis")
    synthesise(DATA, out, 2.5, seed=4)
    return out


@pytest.fixture(scope="module")
def train() -> Sources:
    return load_sources(DATA, "train")


def test_the_same_seed_gives_the_same_clip(train: Sources) -> None:
    persona = make_personas(4, "train")[0]
    one = make_performance("a", persona, train, [4, 0, 1])
    two = make_performance("a", make_personas(4, "train")[0], train, [4, 0, 1])
    other = make_performance("a", persona, train, [4, 0, 2])
    assert np.array_equal(one.rotations, two.rotations) and np.array_equal(one.speech.samples, two.speech.samples)
    assert one.record == two.record
    assert one.record["text"] != other.record["text"]


def test_layout(made: Path) -> None:
    content = json.loads((made / "clips.json").read_text("utf-8"))
    assert content["fps"] == 30 and len(content["joints"]) == 22 and content["skipped"] == []
    by_split = {c["split"] for c in content["clips"]}
    assert by_split == {"train", "val", "test"}
    for clip in content["clips"]:
        with np.load(made / f"shard_{clip['shard']:02d}.npz", allow_pickle=False) as z:
            assert z["rot"].dtype == np.float16 and z["rot"].shape[1:] == (22, 4)
            assert z["trans"].dtype == np.float32 and len(z["trans"]) == len(z["rot"]) == z["start"][-1]
            assert z["name"][clip["row"]] == clip["name"]
            assert z["start"][clip["row"]] == clip["first"]
            assert z["start"][clip["row"] + 1] - z["start"][clip["row"]] == clip["frames"]
            a = clip["first"]
            assert np.allclose(z["trans"][a, [0, 2]], 0, atol=1e-6)
            assert np.allclose(np.linalg.norm(z["rot"][a:a + clip["frames"]].astype(float), axis=-1), 1, atol=2e-3)
        with wave.open(str(made / clip["wav"])) as file:
            assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (16000, 1, 2)
            sound = file.getnframes() / 16000
        # the last frame still has sound, and there is no sound for a further one
        assert clip["frames"] / 30 <= sound < (clip["frames"] + 1) / 30
        assert clip["synthetic"] is True and clip["non_commercial"] is False and clip["licence"] and clip["voice"]
        assert clip["captions"][0]["text"] == "a person is giving a speech"
        assert all(0 <= c["start"] < c["end"] <= clip["seconds"] + 1e-6 for c in clip["captions"])
        assert all(0 <= w["start"] < w["end"] <= sound + 0.01 for w in clip["words"])
        for gesture in clip["gestures"]:
            phases = [p["phase"] for p in gesture["phases"]]
            assert "stroke" in phases
            assert all(p["start"] < p["end"] for p in gesture["phases"])


def test_no_speaker_sentence_or_body_is_in_two_splits(made: Path) -> None:
    clips = json.loads((made / "clips.json").read_text("utf-8"))["clips"]
    for key in ("subject", "voice"):
        kinds = {s: {c[key] for c in clips if c["split"] == s} for s in ("train", "val", "test")}
        assert (
            not kinds["train"] & kinds["test"]
            and not kinds["train"] & kinds["val"]
            and not kinds["val"] & kinds["test"]
        )
    said = {s: {t.lower() for c in clips if c["split"] == s for t in c["sentences"]} for s in ("train", "val", "test")}
    assert not said["train"] & (said["val"] | said["test"])
    # persons 001 and 015 are the test split of the captured set, 013 its validation split
    person = {s: {c["body"][:3] for c in clips if c["split"] == s} for s in ("train", "val", "test")}
    assert not person["train"] & {"001", "015", "013"}
    assert person["test"] <= {"001", "015"} and person["val"] <= {"013"}


def test_the_sources_of_a_split_are_its_own(train: Sources) -> None:
    assert not {t.subject for t in train.idle} & {"001", "013", "015"}
    assert not {c.subject for c in train.notation} & {"001", "013", "015"}
    assert train.notation and train.utterances and not train.skipped
    voices = {s: {p.voice.name.split("+")[-1] for p in make_personas(0, s)} for s in ("train", "val", "test")}
    assert not voices["train"] & voices["test"] and not voices["train"] & voices["val"]


def test_hands_are_fastest_just_before_the_stress(made: Path) -> None:
    clips = read(made)
    offsets = np.concatenate([stroke_offsets(c) for c in clips])
    assert len(offsets) > 40
    assert -0.2 < np.median(offsets) < 0.0
    assert np.mean(offsets <= 0.034) > 0.85
    # a chance level: the same motion against stresses moved by random amounts
    rng = np.random.default_rng(0)
    for clip in clips:
        for gesture in clip["gestures"]:
            gesture["stress"] += float(rng.uniform(0.5, 1.5))
    moved = np.concatenate([stroke_offsets(c) for c in clips])
    spread = np.percentile(offsets, 75) - np.percentile(offsets, 25)
    assert spread < 0.6 * (np.percentile(moved, 75) - np.percentile(moved, 25))


def test_bodies_are_possible(made: Path) -> None:
    clips = read(made)
    for clip in clips:
        where = feet(clip)
        assert where["low"] > -0.02 and where["slide"] < 2.0, clip["name"]
        assert np.isfinite(clip["q"]).all()
        assert np.all(np.sum(clip["q"][1:] * clip["q"][:-1], -1) > 0), "signs are continuous"
    assert np.mean([in_trunk(c) for c in clips]) < 0.03


def test_a_broken_shard_is_listed_and_the_rest_is_used(tmp_path: Path) -> None:
    shutil.copytree(DATA / "free_extra", tmp_path / "free_extra")
    (tmp_path / "gesture_notation").symlink_to(DATA / "gesture_notation")
    (tmp_path / "free_extra" / "shard_01.npz").write_bytes(b"not a shard")
    sources = load_sources(tmp_path, "train")
    assert sources.idle and sources.skipped
    assert all(name.startswith("free_extra/") and reason for name, reason in sources.skipped)


def test_missing_data_and_wrong_requests_are_told_in_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(UnderstudyError) as caught:
        synthesise(tmp_path / "nothing", tmp_path / "out", 1.0)
    assert caught.value.code == "file_missing"
    assert not (tmp_path / "out").exists()
    with pytest.raises(UnderstudyError) as caught:
        synthesise(DATA, tmp_path / "out", 0.0)
    assert caught.value.code == "request_invalid"
    other = tmp_path / "other"
    other.mkdir()
    (other / "clips.json").write_text(json.dumps({"fps": 30, "clips": []}))
    with pytest.raises(UnderstudyError) as caught:
        synthesise(DATA, other, 1.0)
    assert caught.value.code == "request_invalid"
    import argparse

    arguments = argparse.Namespace(data=tmp_path / "nothing", out=tmp_path / "out", minutes=1.0, seed=0)
    assert run(arguments) == 2
    assert "data set" in capsys.readouterr().err
