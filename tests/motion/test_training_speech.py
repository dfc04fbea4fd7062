# SPDX-License-Identifier: Apache-2.0
"""Performances with speech that a user names for a run, and sounds among them that cannot be read."""

from __future__ import annotations

import argparse
import json
import wave
from pathlib import Path

import numpy as np
import pytest

from bridge_server.training import command, recipe as recipes
from bridge_server.training.sequences import LENGTH, TextTable
from bridge_server.training.speech_set import build_speech_set
from shared.errors import UnderstudyError

from . import nets
from .test_training import write_set


def spoken_set(folder: Path, clips: int = 4) -> Path:
    """A set with a sound for every clip, as ``prepare`` writes of BEAT2."""
    frames = 4 * LENGTH + 20
    write_set(folder, clips, frames)
    index = json.loads((folder / "clips.json").read_text())
    (folder / "wav").mkdir()
    t = np.arange(frames * 16_000 // 30) / 16_000
    sound = (9000 * np.sin(2 * np.pi * 150 * t) * (np.sin(2 * np.pi * 2 * t) > 0)).astype("<i2")
    for record in index["clips"]:
        record["wav"] = f"wav/{record['name']}.wav"
        with wave.open(str(folder / record["wav"]), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(16_000)
            file.writeframes(sound.tobytes())
    (folder / "clips.json").write_text(json.dumps(index))
    return folder


def test_broken_sounds_are_left_out_and_listed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = spoken_set(tmp_path / "beat")
    whole = build_speech_set(folder, "train", nets.tokenizer(), TextTable())
    (folder / "wav/c1.wav").write_bytes(b"RIFF no sound")
    (folder / "wav/c2.wav").unlink()
    with caplog.at_level("WARNING"):
        rest = build_speech_set(folder, "train", nets.tokenizer(), TextTable())
    assert len(rest) * 3 == len(whole) > 0
    assert "wav/c1.wav of beat" in caplog.text and "wav/c2.wav of beat" in caplog.text
    (folder / "wav/c3.wav").write_bytes(b"")
    with pytest.raises(UnderstudyError, match="has speech"):
        build_speech_set(folder, "train", nets.tokenizer(), TextTable())


def test_train_takes_speech_from_the_folders_that_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    beat, mine = spoken_set(tmp_path / "beat"), spoken_set(tmp_path / "mine")
    ran: list[recipes.Recipe] = []
    monkeypatch.setitem(recipes.STAGES, "audio", ran.append)
    parser = argparse.ArgumentParser()
    command.add_parser(parser.add_subparsers())
    for given in ([], ["--speech", str(beat), str(mine)], ["--speech", str(mine)]):
        arguments = parser.parse_args(["train", "audio", "--data", str(tmp_path / "data"), "--folder", str(tmp_path / "run"), *given])
        assert command.run(arguments) == 0
    assert [r.speech_folders for r in ran] == [[tmp_path / "run" / "speech"], [beat, mine], [mine]]
    # what was cut for one set of folders is not taken for another's
    assert len({r.cache("speech") for r in ran}) == 3 and ran[0].cache("speech").name == "speech.pt"
    assert len({r.cache("text") for r in ran}) == 1


def test_a_named_folder_without_speech_is_refused(tmp_path: Path) -> None:
    run = recipes.load_recipe("starter", tmp_path / "run", tmp_path, speech=(tmp_path / "absent",))
    with pytest.raises(UnderstudyError, match="no performances with speech in"):
        recipes._speech_sets(run)
