# SPDX-License-Identifier: Apache-2.0
"""One weights set, measured step by step: with directions, with speech, its tokenizer."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from bridge_server.audio.decode import decode
from bridge_server.audio.sound import Audio
from bridge_server.motion.generator import load
from bridge_server.motion.weights import find_set, read_card
from bridge_server.training.clips import Clip, read_set
from bridge_server.training.speech_set import read_wav

from .beats import beat_score, kinematic_beats, onset_times
from .evaluator import local_joints
from .evaluator_training import EvaluatorOptions
from .items import FREE_SETS, Body, Item, cut, thin
from .judging import Judge, Row, reconstruct
from .metrics import frechet_distance, l1_diversity, multimodality
from .takes import Takes, direct, speak

__all__ = ["Measured", "Options", "Speech", "beat_sigmas", "gesture_l1", "read_speech", "rounded"]

_MANY_CAPTIONS: Final = 12
_MANY_SEEDS: Final = 5


@dataclass
class Options:
    """:ivar data: folder of the motion sets. :ivar folder: of this run; rows and the evaluator are kept there.

    :ivar speech: folder of synthesized performances, or None. :ivar recording: real speech for ``beat_sigma``, or None.
    :ivar spare: a recording to keep on where there are no synthesized performances.
    :ivar split: ``test``, or ``val`` while a set is being developed.
    :ivar quick: at most so many items, 0 for all.
    :ivar ablations: folder whose subfolders are weights sets of the ablations, or None.
    :ivar evaluator: how the judge is trained, or None for the usual way.
    """

    data: Path
    folder: Path
    weights: list[str] = field(default_factory=lambda: ["starter"])
    sets: list[str] = field(default_factory=lambda: list(FREE_SETS))
    speech: Path | None = None
    recording: Path | None = None
    spare: Path | None = None
    split: str = "test"
    quick: int = 0
    repeats: int = 3
    takes: int = 8
    device: str = "cpu"
    ablations: Path | None = None
    evaluator: EvaluatorOptions | None = None

    @property
    def judge(self) -> EvaluatorOptions:
        """A quick run makes do with a judge that is hardly trained."""
        return self.evaluator or (
            EvaluatorOptions(limit=200, steps=30, gesture_steps=30) if self.quick else EvaluatorOptions()
        )


@dataclass
class Speech:
    """Speech to perform to: (name, audio, its own motion where there is one)."""

    clips: list[tuple[str, Audio, Body | None]]
    training: list[Body] = field(default_factory=list)

    @property
    def moving(self) -> list[Body]:
        """The performances that belong to the clips."""
        return [b for _, _, b in self.clips if b is not None]

    def piece(self, k: int, seconds: float) -> Audio:
        """The first seconds of the k-th clip, said again where it is too short."""
        audio = self.clips[k % len(self.clips)][1]
        count = math.ceil(seconds * audio.rate)
        return Audio(np.tile(audio.samples, math.ceil(count / len(audio.samples)))[:count], audio.rate)


def _recorded(path: Path) -> Audio:
    return decode(path.read_bytes(), path.name)[0]


def _audio_of(folder: Path, clip: Clip) -> Audio:
    samples, rate = read_wav(folder / clip.record["wav"])
    return Audio(samples, rate)


def read_speech(options: Options) -> Speech | None:
    """The synthesized test split, else the spare recording, else None."""
    if options.speech is not None and (options.speech / "clips.json").is_file():
        test = read_set(options.speech, (options.split,))
        limit = 4 if options.quick else 24
        chosen = (
            [test[k] for k in np.linspace(0, len(test) - 1, min(limit, len(test))).round().astype(int)] if test else []
        )
        training = [item.body for clip in read_set(options.speech, ("train",)) for item in cut(clip)]
        if chosen:
            return Speech(
                [(c.name, _audio_of(options.speech, c), (c.rotations, c.translation)) for c in chosen], training
            )
    if options.spare is not None and options.spare.is_file():
        return Speech([(options.spare.name, _recorded(options.spare), None)])
    return None


def gesture_l1(bodies: list[Body]) -> float:
    values = []
    for body in bodies:
        local, _ = local_joints(*body)
        values.append(l1_diversity(local - local[:, :1]))
    return float(np.mean(values))


def beat_sigmas(bodies: list[Body], audios: list[Audio], seed: int = 5) -> list[float]:
    g = np.random.default_rng(seed)
    return [
        beat_score(kinematic_beats(*body), onset_times(a.samples, a.rate), a.duration, g).sigmas
        for body, a in zip(bodies, audios, strict=True)
    ]


class Measured:
    """One weights set, measured step by step."""

    def __init__(self, options: Options, weights: str, judge: Judge, speech: Speech | None, repeats: int) -> None:
        self.options, self.judge, self.speech, self.repeats = options, judge, speech, repeats
        card = read_card(find_set(weights))
        self.hears = "audio.safetensors" in card["files"]
        self.takes = Takes(
            options.folder / "takes" / card["name"], weights, lambda: load("versa", weights, options.device)
        )
        self.rows: dict[str, Row] = {}
        self.figures: dict[str, float] = {}
        self.other: dict[str, Any] = {}
        self.missing: dict[str, str] = {}

    def _asked(self, repeat: int, audio: bool) -> list[Body]:
        wishes = []
        for k, item in enumerate(self.judge.items):
            sound = self.speech.piece(k + repeat, item.seconds) if audio and self.speech else None
            wishes.append(direct(item, self.judge.texts[repeat][k], 1000 * repeat + k, sound))
        return self.takes.row(f"{'speech' if audio else 'text'}-{repeat}", wishes)

    def directions(self) -> None:
        """Captions without sound: obedience, distribution, feet, smoothness."""
        self.rows["directed"] = self.judge.row("directed", [self._asked(r, False) for r in range(self.repeats)])

    def variety(self) -> None:
        """The same caption several times."""
        items = thin(self.judge.items, min(_MANY_CAPTIONS, len(self.judge.items)))
        wishes = [direct(i, i.caption(0), 500_000 + s) for i in items for s in range(_MANY_SEEDS)]
        vectors = self.judge.trained.net.embed(self.takes.row("many", wishes))
        self.other["multimodality"] = multimodality(vectors.reshape(len(items), _MANY_SEEDS, -1))

    def directed_with_speech(self) -> None:
        """The same captions with speech kept on."""
        if self._deaf("r3_drop_with_audio"):
            return
        self.rows["directed, speech on"] = self.judge.row(
            "directed, speech on", [self._asked(r, True) for r in range(self.repeats)]
        )

    def _deaf(self, figure: str) -> bool:
        if not self.hears:
            self.missing[figure] = "the weights set has no audio branch"
        elif self.speech is None:
            self.missing[figure] = "there is no speech to keep on (no synthesized performances, no recording)"
        return figure in self.missing

    def gestures(self) -> None:
        """Speech alone, beside the synthesized performances of the same speech."""
        if self.speech is None or not self.hears or not self.speech.moving:
            self.missing["fgd"] = "it needs an audio branch and synthesized performances"
            return
        audios = [a for _, a, b in self.speech.clips if b is not None]
        bodies = self.takes.row(
            "gestures", [speak(n, a, k) for k, (n, a, b) in enumerate(self.speech.clips) if b is not None]
        )
        embed = self.judge.trained.gestures.embed
        real = embed(self.speech.moving)
        self.other["fgd"] = frechet_distance(embed(bodies), real)
        self.other["gesture_l1_diversity"] = gesture_l1(bodies)
        self.other["beat_sigma_synthetic"] = float(np.mean(beat_sigmas(bodies, audios)))

    def rhythm(self) -> None:
        """Real speech: consistency beside the performance's own shifts, several takes."""
        path = self.options.recording
        if not self.hears:
            self.missing["beat_sigma"] = "the weights set has no audio branch"
            return
        if path is None or not path.is_file():
            self.missing["beat_sigma"] = "there is no recording of real speech"
            return
        audio = _recorded(path)
        bodies = self.takes.row("beats", [speak(path.name, audio, seed) for seed in range(self.options.takes)])
        onsets, g = onset_times(audio.samples, audio.rate), np.random.default_rng(7)
        scores = [beat_score(kinematic_beats(*b), onsets, audio.duration, g) for b in bodies]
        drawn = self.takes.row("beats as drawn", [speak(path.name, audio, seed, False) for seed in range(self.options.takes)])
        sigmas = [s.sigmas for s in scores]
        self.figures["beat_sigma"] = float(np.mean(sigmas))
        self.other["beats"] = {
            "sigma_of_each_take": [round(s, 3) for s in sigmas],
            "consistency": float(np.mean([s.consistency for s in scores])),
            "shifted_mean": float(np.mean([s.mean for s in scores])),
            "shifted_std": float(np.mean([s.std for s in scores])),
            "recall": float(np.mean([s.recall for s in scores])),
            "as_drawn": float(np.mean([beat_score(kinematic_beats(*b), onsets, audio.duration, g).sigmas for b in drawn])),
            "onsets": int(len(onsets)),
            "beats_of_motion": float(np.mean([s.beats for s in scores])),
        }

    def tokenizer(self, everything: list[Item]) -> None:
        """Reconstruction of the held-out clips."""
        net = self.takes.generator.networks.tokenizer  # type: ignore[attr-defined]
        bodies, found = reconstruct(net, self.judge.items)
        self.rows["tokenizer alone"] = self.judge.row("tokenizer alone", [bodies] * self.repeats)
        self.figures["tokenizer_mpjpe_mm"] = found["mpjpe_mm"]
        found["mpjpe_with_objects_mm"] = reconstruct(net, everything)[1]["mpjpe_mm"]
        self.other["tokenizer"] = found

    def ratios(self, real: Row, random: Row) -> None:
        """The figures that have targets."""
        mine = self.rows["directed"].mean
        self.figures["r3_ratio_to_real"] = mine["r_precision_3"] / max(real.mean["r_precision_3"], 1e-9)
        self.figures["fid_ratio_to_baseline"] = mine["fid"] / max(random.mean["fid"], 1e-9)
        self.other["fid_infinite_ratio_to_baseline"] = mine["fid_infinite"] / max(random.mean["fid_infinite"], 1e-9)
        self.figures["foot_slide_ratio"] = mine["foot_slide_mm"] / max(real.mean["foot_slide_mm"], 1e-9)
        self.figures["jitter_ratio"] = mine["jitter"] / max(real.mean["jitter"], 1e-9)
        if "directed, speech on" in self.rows:
            heard = self.rows["directed, speech on"].mean["r_precision_3"]
            self.figures["r3_drop_with_audio"] = 1 - heard / max(mine["r_precision_3"], 1e-9)

    def to_json(self) -> dict[str, Any]:
        """Everything, as plain data."""
        card = self.takes.card
        return {
            "card": {k: card.get(k) for k in ("name", "version", "licence", "non_commercial", "data", "files")},
            "figures": {k: round(v, 5) for k, v in self.figures.items()},
            "not_measured": self.missing,
            "rows": {k: r.to_json() for k, r in self.rows.items()},
            "other": rounded(self.other),
        }


def rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: rounded(v) for k, v in value.items()}
    return round(value, 5) if isinstance(value, float) else value
