# SPDX-License-Identifier: Apache-2.0
"""The training corpus: hours of synthetic speech with a viseme label every 20 ms, made once and kept in a folder."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Final

import numpy as np

from bridge_server.face.acoustics import RATE
from bridge_server.face.recogniser import FRAME
from bridge_server.face.training.speakers import (
    Utterance,
    festival,
    flite,
    from_espeak,
    label_rows,
)
from bridge_server.face.training.texts import (
    SENTENCES,
    SYLLABLES,
    english_words,
    gesture_sentences,
    invent,
)
from shared.errors import UnderstudyError

__all__ = ["HELD_OUT_VOICES", "Corpus", "build"]

log = logging.getLogger(__name__)

HELD_OUT_VOICES: Final = ("espeak:f4", "espeak:m7", "espeak:klatt3", "espeak:Annie", "flite:rms")
"""Never trained on; with the languages of ``TEST_SENTENCES`` other than English they are the test."""
_VARIANTS: Final = (
    "",
    "m1",
    "m2",
    "m3",
    "m4",
    "m5",
    "m6",
    "m8",
    "f1",
    "f2",
    "f3",
    "f5",
    "klatt",
    "klatt2",
    "klatt4",
    "Andy",
    "Lee",
    "adam",
    "Alicia",
    "Andrea",
    "anika",
    "antonio",
    "belinda",
    "benjamin",
    "boris",
    "caleb",
    "david",
    "Denis",
    "ed",
    "edward",
    "Gene",
    "gustave",
    "Henrique",
    "Hugo",
    "iven",
    "Jacky",
    "linda",
    "Marco",
    "Mario",
    "max",
    "Michael",
    "michel",
    "miguel",
    "Mike",
    "norbert",
    "paul",
    "quincy",
    "rob",
    "sandro",
    "shelby",
    "steph",
    "travis",
    "victor",
    "zac",
    "grandma",
    "grandpa",
    "croak",
    "aunty",
    "announcer",
    "Diogo",
    "edward2",
    "iven2",
    "iven3",
    "john",
    "kaukovalta",
    "klatt5",
    "klatt6",
    "marcelo",
    "Nguyen",
    "pablo",
    "pedro",
    "RicishayMax",
    "robert",
    "steph2",
    "steph3",
    "Storm",
    "whisper",
)
_ENGLISH: Final = ("en-us", "en-us", "en-us", "en", "en-gb-x-rp", "en-gb-scotland", "en-029", "en-gb-x-gbcwmd")
_FLITE: Final = ("slt", "awb", "kal16")
_FESTIVAL: Final = ("ked_diphone", "cmu_us_slt_arctic_hts", "msu_ru_nsh_clunits")
_SHARES: Final = {"espeak": 0.35, "flite": 0.35, "festival": 0.30}


def _english(rng: np.random.Generator, words: list[str]) -> str:
    kind = rng.random()
    if kind < 0.2:
        return str(rng.choice(SENTENCES["en"]))
    if kind < 0.5:  # spoken English has the rhythm that lists of words lack
        return str(rng.choice(gesture_sentences()))
    if kind < 0.85 and words:
        return " ".join(rng.choice(words, int(rng.integers(4, 11)))) + "."
    return invent("en", rng, int(rng.integers(4, 9)))


def _text(language: str, rng: np.random.Generator, words: list[str]) -> str:
    if language.startswith("en"):
        return _english(rng, words)
    if language not in SYLLABLES or rng.random() < 0.3:
        return str(rng.choice(SENTENCES[language]))
    return invent(language, rng, int(rng.integers(3, 8)))


class Corpus:
    """Utterances on disk: ``samples.npy`` int16 at 16 kHz, ``labels.npy`` one uint8 per 20 ms, ``index.json``."""

    def __init__(self, folder: Path) -> None:
        """:raises UnderstudyError: ``file_missing`` when the folder holds no finished corpus."""
        if not (folder / "index.json").is_file():
            raise UnderstudyError("file_missing", f"{folder} holds no finished viseme corpus.", "Build it first.")
        index = json.loads((folder / "index.json").read_text(encoding="utf-8"))
        self.samples = np.load(folder / "samples.npy", mmap_mode="r")
        self.labels = np.load(folder / "labels.npy")
        self.starts, self.label_starts, self.groups = index["starts"], index["label_starts"], np.array(index["groups"])

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def hours(self) -> float:
        """Hours of speech."""
        return len(self.samples) / RATE / 3600

    def get(self, n: int) -> tuple[np.ndarray, np.ndarray]:
        """Utterance ``n``: samples (N,) float32 and labels (M,), label ``k`` at time ``k * 0.02``."""
        x = self.samples[self.starts[n] : self.starts[n + 1]].astype(np.float32) / 32768
        return x, self.labels[self.label_starts[n] : self.label_starts[n + 1]]


def _utterances(minutes: float, seed: int) -> list[tuple[str, Utterance]]:
    rng = np.random.default_rng(seed)
    words = english_words()
    made: list[tuple[str, Utterance]] = []
    seconds = {"espeak": 0.0, "flite": 0.0, "festival": 0.0}
    goal = {engine: share * minutes * 60 for engine, share in _SHARES.items()}
    languages = [k for k in SENTENCES if k != "en"]

    def keep(engine: str, utterance: Utterance) -> None:
        if 0.5 * RATE < len(utterance.samples) < 30 * RATE and len(utterance.segments) > 4:
            seconds[engine] += len(utterance.samples) / RATE
            made.append((engine, utterance))

    while seconds["espeak"] < goal["espeak"]:
        language = str(rng.choice(_ENGLISH)) if rng.random() < 0.5 else str(rng.choice(languages))
        variant = str(rng.choice(_VARIANTS))
        try:
            keep(
                "espeak",
                from_espeak(
                    _text(language, rng, words),
                    language + (f"+{variant}" if variant else ""),
                    words_per_minute=int(rng.integers(110, 240)),
                    pitch=int(rng.integers(15, 90)),
                    pitch_range=int(rng.integers(20, 90)),
                ),
            )
        except UnderstudyError as error:
            if language == "en-us":
                raise
            log.info("%s", error)
    misses = 0
    while seconds["flite"] < goal["flite"] and misses < 5:
        said = flite(
            _english(rng, words),
            str(rng.choice(_FLITE)),
            stretch=float(rng.uniform(0.7, 1.3)),
            pitch=float(rng.uniform(80, 230)),
        )
        misses = misses + 1 if said is None else 0
        if said is not None:
            keep("flite", said)
    misses = 0
    while seconds["festival"] < goal["festival"] and misses < 3:
        voice = str(rng.choice(_FESTIVAL))
        texts = [_text("ru" if "_ru_" in voice else "en", rng, words) for _ in range(40)]
        batch = festival(texts, voice, stretch=float(rng.uniform(0.8, 1.25)))
        misses = misses + 1 if not batch else 0
        for said in batch:
            keep("festival", said)
    log.info("minutes by engine: %s", {k: round(v / 60, 1) for k, v in seconds.items()})
    return made


def build(folder: Path, minutes: float, seed: int = 0) -> Corpus:
    """Make the corpus, or take the one that is there.

    :raises UnderstudyError: ``unsupported`` without espeak-ng.
    """
    if (folder / "index.json").is_file():
        return Corpus(folder)
    folder.mkdir(parents=True, exist_ok=True)
    made = _utterances(minutes, seed)
    starts, label_starts, samples, labels = [0], [0], [], []
    for _, u in made:
        x = np.clip(np.round(u.samples * 32768), -32768, 32767).astype(np.int16)
        rows = len(x) // int(RATE * FRAME) + 1
        samples.append(x)
        labels.append(label_rows(u.segments, rows, FRAME))
        starts.append(starts[-1] + len(x))
        label_starts.append(label_starts[-1] + rows)
    np.save(folder / "samples.npy", np.concatenate(samples))
    np.save(folder / "labels.npy", np.concatenate(labels))
    index = {"starts": starts, "label_starts": label_starts, "groups": [g for g, _ in made]}
    (folder / "index.json").write_text(json.dumps(index), encoding="utf-8")
    return Corpus(folder)
