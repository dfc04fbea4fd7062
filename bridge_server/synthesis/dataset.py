# SPDX-License-Identifier: Apache-2.0
"""Make performances one after the other and write them in the ``cmu_text`` layout, with one sound file per clip."""

from __future__ import annotations

import json
import re
import wave
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from shared.errors import UnderstudyError
from shared.skeleton import BODY_JOINT_COUNT, END_POINTS, JOINT_NAMES, NEUTRAL_OFFSETS, PARENTS

from . import espeak
from .body import notation_window, perform
from .corpus import Sentence, monologue
from .gestures import CAPTIONS
from .paths import FPS
from .persona import Persona, make_personas, say
from .planning import Plan, plan
from .sources import NotationClip, Sources, load_sources
from .speech import RATE, Speech, accents, join

__all__ = ["Performance", "SHARE", "make_performance", "synthesise"]

SHARE: Final = {"train": 0.86, "val": 0.06, "test": 0.08}
_SHARD_FRAMES: Final = 54_000
_SPEAKING: Final = (
    "a person is giving a speech", "someone is giving a speech", "a person is talking and gesturing",
    "a person speaks to an audience", "someone talks with their hands", "a person stands and talks",
    "someone is explaining something", "a person is speaking",
)
# which word of a sentence a speech act's gesture goes with; without one, the last accent
_KEY: Final = {
    "deictic you": "you|your|yours|yourself",
    "deictic me": "i|me|my|mine|im",
    "i": "i|im|me|my",
    "deictic there": "there|that",
    "deictic that": "that|thats|those|there",
    "deictic this": "this|these",
    "deictic here": "here|this",
    "hello": "hello|hi|good",
    "goodbye": "goodbye|bye|night|leaving",
    "thanks": "thank|thanks",
    "sorry": "sorry|excuse",
    "please": "please",
    "many": "many|lot|lots|all",
    "big": "big|large|great|huge",
    "small": "small|little|bit",
    "question": "what|where|how|who|why|when",
    "think": "think|wonder|know",
    "come": "come|here",
    "go": "go|going|lets",
    "lets go": "lets|go|going",
    "nod": "yes|yeah|sure|ok",
    "shake head": "no|not|dont|isnt",
    "bad": "bad|sick|boring|not",
    "good": "good|great|nice",
    "youandme": "we|us|together|lets",
}


@dataclass
class Performance:
    """One clip: arrays as they are written, its speech, and its record for ``clips.json``."""

    rotations: np.ndarray
    translation: np.ndarray
    speech: Speech
    record: dict[str, Any]


@dataclass
class _Writer:
    """Clips into shards; a file appears under its name only when complete."""

    out: Path
    records: list[dict[str, Any]] = field(default_factory=list)
    pending: list[Performance] = field(default_factory=list)
    shard: int = 0

    def add(self, performance: Performance) -> None:
        record = performance.record
        record["shard"], record["row"] = self.shard, len(self.pending)
        record["first"] = sum(len(p.rotations) for p in self.pending)
        _write_wave(self.out / record["wav"], performance.speech.samples)
        self.pending.append(performance)
        self.records.append(record)
        if record["first"] + len(performance.rotations) >= _SHARD_FRAMES:
            self.flush()

    def flush(self) -> None:
        if not self.pending:
            return
        path = self.out / f"shard_{self.shard:02d}.npz"
        temporary = path.with_suffix(".part.npz")
        np.savez_compressed(
            temporary, rot=np.concatenate([p.rotations for p in self.pending]).astype(np.float16),
            trans=np.concatenate([p.translation for p in self.pending]).astype(np.float32),
            start=np.cumsum([0, *(len(p.rotations) for p in self.pending)]).astype(np.int32),
            name=np.array([p.record["name"] for p in self.pending]))
        temporary.replace(path)
        self.pending, self.shard = [], self.shard + 1


def _write_wave(path: Path, samples: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())


def _script(sources: Sources, persona: Persona,
            rng: np.random.Generator) -> tuple[list[Sentence], dict[int, NotationClip]]:
    """Two to five sentences, and for some of them a gesture of the notation library that belongs to its words."""
    sentences = monologue(rng, sources.split, int(rng.integers(2, 5)))
    gestures: dict[int, NotationClip] = {}
    for _ in range(int(rng.choice((0, 1, 2), p=(0.45, 0.42, 0.13)))):
        if not sources.utterances or not sources.notation:
            break
        utterance = sources.utterances[rng.integers(len(sources.utterances))]
        fitting = [c for c in sources.notation if c.concept in utterance.concepts]
        if fitting:
            at = int(rng.integers(len(sentences) + 1))
            sentences.insert(at, Sentence(utterance.text))
            gestures = {k + (k >= at): v for k, v in gestures.items()}
            gestures[at] = fitting[rng.integers(len(fitting))]
    return sentences, gestures


def _key_time(part: Speech, concept: str) -> float | None:
    """When the word that a speech act's gesture goes with has its stress; None for speech without an accent."""
    pattern = re.compile(rf"(?:{_KEY.get(concept, '$^')})\Z")
    for s in part.syllables:
        if s.stress and pattern.match(re.sub("[^a-z]", "", part.words[s.word].text.lower())):
            return s.nucleus[0] + 0.33 * (s.nucleus[1] - s.nucleus[0])
    found = accents(part)
    return max(found, key=lambda a: a.strength).time if found else None


def make_performance(name: str, persona: Persona, sources: Sources, seed: list[int]) -> Performance:
    """One clip of a speaker.

    :param seed: together with the arguments decides everything: the same gives the same clip, bit for bit.
    """
    rng = np.random.default_rng(seed)
    sentences, wanted = _script(sources, persona, rng)
    parts = say(persona, sentences, rng)
    pauses = [float(rng.uniform(0.35, 1.3))]
    for _ in parts:
        # now and then a long silence, in which a body only stands
        long = rng.random() < 0.05
        pauses.append(float(rng.uniform(3.0, 6.0) if long else min(rng.lognormal(-0.75, 0.6), 2.6)))
    pauses[-1] = max(pauses[-1], float(rng.uniform(0.9, 2.0)))
    keys: dict[int, tuple[NotationClip, float]] = {}
    for k, clip in wanted.items():
        key = _key_time(parts[k], clip.concept)
        if key is None:
            continue
        time = key - persona.lead
        start, end, *_ = notation_window(clip, time, persona)
        keys[k] = (clip, time)
        # leave room before and after: a gesture longer than its sentence goes on in the pause
        pauses[k] = max(pauses[k], 0.2 - start)
        pauses[k + 1] = min(max(pauses[k + 1], end - parts[k].duration + (0.2 if k + 1 == len(parts) else -0.4)), 6.0)
    level = [float(np.sqrt(np.mean(np.square(p.samples)) + 1e-9)) for p in parts]
    usual = float(rng.uniform(0.05, 0.11))
    gains = [usual / x * 10 ** (float(rng.normal(0, 1.5)) / 20) for x in level]
    speech = join(parts, pauses, gains)
    peak = float(np.abs(speech.samples).max())
    if peak > 0.97:
        speech = Speech(
            speech.samples * (0.97 / peak), speech.words, speech.syllables, speech.phonemes, speech.sentences
        )
    offsets = np.cumsum(
        [0.0, *(round(p * RATE) / RATE + len(s.samples) / RATE for p, s in zip(pauses, parts, strict=False))]
    )
    placements, spans = {}, {}
    for k, (clip, time) in keys.items():
        at = float(offsets[k]) + round(pauses[k] * RATE) / RATE + time
        start, end, *_ = notation_window(clip, at, persona)
        if end < speech.duration:
            placements[k] = (sources.notation.index(clip), at)
            spans[k] = (start, end)
    planned = plan(speech, persona, rng, placements=placements, spans=spans)
    rotations, translation, body = perform(speech, planned, persona, sources, rng)
    record = _record(name, persona, sources, speech, planned, body, len(rotations), rng)
    return Performance(rotations, translation, speech, record)


def _record(name: str, persona: Persona, sources: Sources, speech: Speech, planned: Plan, body: str, frames: int,
            rng: np.random.Generator) -> dict[str, Any]:
    seconds = round((frames - 1) / FPS, 3)
    captions = [{"text": str(t), "start": 0.0, "end": seconds, "source": "authored"}
                for t in (_SPEAKING[0], *rng.choice(_SPEAKING[1:], size=2, replace=False))]
    licences = {next(t.licence for t in sources.idle if t.name == body), persona.voice.licence}
    gestures = []
    for k, gesture in enumerate(planned.gestures):
        phases = sorted(gesture.phases, key=lambda p: p["start"])
        entry: dict[str, Any] = {"kind": gesture.kind, "hands": gesture.hands, "word": gesture.word,
                                 "stress": round(gesture.stress, 3), "scale": round(gesture.scale, 3), "phases": phases}
        texts: tuple[str, ...] = CAPTIONS.get(gesture.kind, ())
        if gesture.kind == "notation":
            clip = sources.notation[next(p.clip for p in planned.placements if p.gesture == k)]
            hands = {(True, True): "both", (True, False): "left", (False, True): "right"}.get(clip.arms, "none")
            entry.update(concept=clip.concept, source=clip.name, hands=hands)
            licences.add(clip.licence)
            texts = clip.captions
        if texts and phases and gesture.kind not in ("beat", "palm"):
            captions.append({"text": str(rng.choice(texts)), "start": round(max(phases[0]["start"], 0), 3),
                             "end": round(min(phases[-1]["end"], seconds), 3), "source": "authored"})
        gestures.append(entry)
    return {
        "name": name,
        "wav": f"wav/{name}.wav",
        "frames": frames,
        "seconds": seconds,
        "split": persona.split,
        "split_from": "speaker, sentence and person of the idle body",
        "synthetic": True,
        "subject": persona.name,
        "body": body,
        "voice": persona.voice.label,
        "text": " ".join(speech.sentences),
        "sentences": list(speech.sentences),
        "words": [
            {
                "text": w.text,
                "start": round(w.start, 3),
                "end": round(w.end, 3),
                "sentence": w.sentence,
                "emphasis": w.emphasis,
            }
            for w in speech.words
        ],
        "syllables": [
            {
                "start": round(s.start, 3),
                "end": round(s.end, 3),
                "vowel": [round(x, 3) for x in s.nucleus],
                "stress": s.stress,
                "word": s.word,
            }
            for s in speech.syllables
        ],
        "accents": [
            {
                "time": round(a.time, 3),
                "strength": round(a.strength, 3),
                "loudness": round(a.loudness, 3),
                "word": a.word,
            }
            for a in planned.accents
        ],
        "phonemes": [{"name": p.name, "start": round(p.start, 3), "end": round(p.end, 3)} for p in speech.phonemes],
        "gestures": gestures,
        "head": [
            {"kind": h.kind, "time": round(h.time, 3), "size": round(h.size, 3), "seconds": round(h.seconds, 3)}
            for h in planned.head
        ],
        "brows": [{"start": round(a, 3), "end": round(b, 3)} for a, b in planned.brows],
        "captions": captions,
        "licence": " + ".join(sorted(licences)),
        "non_commercial": False,
        "in_place": False,
        "needs_objects": False,
        "humanml3d": [],
        "skeleton": "synthesis",
        "source_fps": FPS,
        "description": "speech",
    }


def synthesise(data: Path, out: Path, minutes: float, seed: int = 0,
               report: Callable[[str, float], None] | None = None) -> dict[str, Any]:
    """Write a training set.

    Layout: ``shard_NN.npz`` (``rot`` float16 (N, 22, 4), ``trans`` float32 (N, 3), ``start``, ``name``),
    ``clips.json``, ``skeleton.json``, ``wav/NAME.wav`` (16 kHz, mono, 16 bit). Clip frame ``f`` is at second ``f /
    30`` of its sound.

    :param data: folder with ``free_extra`` and ``gesture_notation``.
    :param minutes: of all splits together, shared out as :data:`SHARE` says.
    :param report: called with (what is being done, fraction).
    :returns: the head of ``clips.json``: minutes and clips per split, and what was skipped.
    :raises UnderstudyError: ``unsupported`` without eSpeak NG, ``file_missing`` / ``file_invalid`` for the data,
        ``request_invalid`` for a time that is not positive or a folder that holds another set.
    """
    if not minutes > 0:
        raise UnderstudyError("request_invalid", f"Cannot write {minutes} minutes.", "Ask for more than 0 minutes.")
    if not espeak.available():
        raise UnderstudyError("unsupported", "The speech synthesiser eSpeak NG is not installed.",
                              "Install the package espeak-ng.")
    if (out / "clips.json").exists() and "synthesis" not in (out / "clips.json").read_text("utf-8")[:400]:
        raise UnderstudyError("request_invalid", f"The folder {out} holds another data set.", "Choose an empty folder.")
    skipped: list[tuple[str, str]] = []
    everything = {split: load_sources(data, split, skipped) for split in SHARE}
    out.mkdir(parents=True, exist_ok=True)
    for old in out.glob("shard_*.npz"):
        old.unlink()
    writer, done = _Writer(out), 0.0
    summary: dict[str, dict[str, float]] = {}
    for number, (split, share) in enumerate(SHARE.items()):
        personas = make_personas(seed, split)
        seconds, index, failures = 0.0, 0, 0
        while seconds < minutes * share * 60:
            name = f"talk_{split}_{index:05d}"
            persona = personas[index % len(personas)]
            index += 1
            try:
                performance = make_performance(name, persona, everything[split], [seed, number, index])
            except UnderstudyError as error:
                skipped.append((name, error.message))
                failures += 1
                if failures > 20 and failures > index / 4:
                    raise
                continue
            writer.add(performance)
            seconds += len(performance.rotations) / FPS
            done += len(performance.rotations) / FPS
            if report is not None:
                report(f"performing ({split})", min(done / (minutes * 60), 1.0))
        summary[split] = {"clips": index - failures, "minutes": round(seconds / 60, 2)}
    writer.flush()
    head: dict[str, Any] = {
        "made_by": "synthesis",
        "seed": seed,
        "fps": FPS,
        "joints": list(JOINT_NAMES[:BODY_JOINT_COUNT]),
        "splits": summary,
        "skipped": [{"name": n, "reason": r} for n, r in skipped],
    }
    _write_json(out / "skeleton.json", {
        "joints": list(JOINT_NAMES[:BODY_JOINT_COUNT]), "parents": list(PARENTS[:BODY_JOINT_COUNT]),
        "offsets": NEUTRAL_OFFSETS[:BODY_JOINT_COUNT].tolist(),
        "end_points": {k: {"joint": j, "offset": list(o)} for k, (j, o) in END_POINTS.items()}})
    _write_json(out / "clips.json", {**head, "clips": writer.records})
    return head


def _write_json(path: Path, content: dict[str, Any]) -> None:
    temporary = path.with_name(path.name + ".part")
    temporary.write_text(json.dumps(content, ensure_ascii=False), "utf-8")
    temporary.replace(path)
