# SPDX-License-Identifier: Apache-2.0
"""How good the lip sync is, in figures: ``python -m bridge_server.face.evaluate --real speech.wav --transcript "…"``.

Synthetic speech with exactly known times, from voices and sentences that nothing was trained on (Italian and Swedish
not at all), and one real recording, whose reference is its forced alignment.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Sequence
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any, Final

import numpy as np
from scipy.ndimage import gaussian_filter1d

from bridge_server.evaluation.report import merge_figures
from bridge_server.face import acoustics as ac
from bridge_server.face import align, espeak, perform, phones, recogniser
from bridge_server.face.mouth import Segment
from bridge_server.face.phonemes import decode
from bridge_server.face.shapes_in_time import split_shapes
from bridge_server.face.training.speakers import (
    Utterance,
    flite,
    from_espeak,
    label_rows,
)
from bridge_server.face.training.texts import TEST_SENTENCES
from bridge_server.face.visemes import (
    BILABIALS,
    CLOSED_OPENING,
    VISEME_INDEX,
    arpabet_visemes,
    opening,
)
from bridge_server.audio.sound import Audio
from shared.errors import UnderstudyError

__all__ = ["alignment_errors", "evaluate", "frame_accuracy", "test_utterances"]

_VOICES: Final = {"en": ("flite:rms", "en-us+f4"), "it": ("it+m7", "it+klatt3"), "sv": ("sv+f4", "sv+Annie")}
FPS: Final = 30.0
NAMED: Final = (
    "align_median_ms",
    "align_within_40ms",
    "viseme_accuracy",
    "viseme_accuracy_real",
    "lip_closure_rate",
    "mouth_energy_correlation",
)
"""Figures that stand at the top of ``evaluation.json``; all others stand under ``face``."""


def test_utterances(per_language: int = 20) -> list[tuple[str, Utterance]]:
    """(language, utterance): every test sentence by two held-out voices.

    :raises UnderstudyError: ``unsupported`` without espeak-ng.
    """
    made = []
    for language, voices in _VOICES.items():
        for n, text in enumerate(TEST_SENTENCES[language][:per_language]):
            for voice in voices:
                said = (
                    flite(text, voice.split(":")[1])
                    if voice.startswith("flite:")
                    else from_espeak(text, voice, words_per_minute=140 + 7 * (n % 9), pitch=30 + 5 * (n % 8))
                )
                if said is not None:
                    made.append((language, said))
    return made


def alignment_errors(utterance: Utterance) -> np.ndarray | None:
    """Absolute errors (K,), seconds, of the starts of phones both truth and alignment have; None where it failed."""
    found = align.align(utterance.samples, utterance.text)
    if found is None:
        return None
    truth: list[tuple[str, float]] = []
    for start, _, names in utterance.phones:
        # only the first of several phones under one time has a known start
        truth += [(name, start if k == 0 else np.nan) for k, name in enumerate(names)]
    ours = [(p.name, p.start) for p in found.phones if p.name != "SIL"]
    errors = []
    for a, b, size in SequenceMatcher(
        None, [n for n, _ in truth], [n for n, _ in ours], autojunk=False
    ).get_matching_blocks():
        errors += [abs(truth[a + k][1] - ours[b + k][1]) for k in range(size)]
    array = np.array(errors)
    return array[np.isfinite(array)]


def _rows(segments: Sequence[Segment], rows: int) -> np.ndarray:
    return label_rows([(s.start, s.end, s.viseme, s.phone) for s in segments], rows, recogniser.FRAME)


def frame_accuracy(truth: np.ndarray, guess: np.ndarray) -> tuple[int, int]:
    """(right, all) over the rows where the truth is one of the fourteen visemes that are not silence."""
    spoken = truth != 0
    return int((truth[spoken] == guess[spoken]).sum()), int(spoken.sum())


def phone_loop(samples: np.ndarray) -> list[Segment]:
    """What pocketsphinx's own decoder recognises without a transcript, as visemes: the baseline.

    :param samples: (N,) mono float at 16 kHz.
    """
    from pocketsphinx import Decoder, get_model_path

    options = {"lm": None, "dict": None, "lw": 2.0, "beam": 1e-20, "pbeam": 1e-20, "loglevel": "FATAL"}
    decoder = Decoder(allphone=get_model_path("en-us/en-us-phone.lm.bin"), **options)
    peak = max(float(np.abs(samples).max(initial=0)), 1e-4)
    decoder.start_utt()
    decoder.process_raw((np.clip(samples * (0.5 / peak), -1, 1) * 32767).astype("<i2").tobytes(), full_utt=True)
    decoder.end_utt()
    heard = decoder.seg() or ()
    found = [(s.start_frame * ac.HOP, (s.end_frame + 1) * ac.HOP, s.word, arpabet_visemes(s.word)) for s in heard]
    return [Segment(a, b, v, n) for a, b, v, n in split_shapes(found)]


def _needless(segments: Sequence[Segment], bilabials: Sequence[tuple[float, float]]) -> np.ndarray:
    """(2,): lip closures with no bilabial within 50 ms, and all lip closures."""
    shut = [(s.start, s.end) for s in segments if s.viseme in BILABIALS]
    needless = sum(not any(a <= end + 0.05 and b >= start - 0.05 for start, end in bilabials) for a, b in shut)
    return np.array([needless, len(shut)])


def _closures(audio: Audio, phones: Sequence[tuple[float, float]], transcript: str | None) -> tuple[int, int]:
    """(closed, all): bilabials whose least mouth opening at 30 frames a second is at most 10 %."""
    times = np.arange(int(audio.duration * FPS) + 1) / FPS
    wide = opening(perform(audio, times, 0, transcript).curves)
    closed = 0
    for start, end in phones:
        near = (times >= start - 0.02) & (times <= max(end, start + 0.03) + 0.02)
        closed += bool(near.any() and wide[near].min() <= CLOSED_OPENING)
    return closed, len(phones)


def _energy(audio: Audio) -> tuple[float, float]:
    """Correlation of mouth opening with the sound's RMS at 30 frames a second, and the lag of the best one in ms
    (positive: the mouth is late)."""
    x = ac.mono16(audio)
    times = np.arange(int(audio.duration * 100)) / 100
    wide = opening(perform(audio, times, 0).curves)
    power = gaussian_filter1d(x.astype(np.float64) ** 2, 0.03 * ac.RATE, mode="constant")
    rms = np.sqrt(np.interp(times * ac.RATE, np.arange(len(x)), power))
    at_30 = np.round(np.arange(int(audio.duration * FPS)) / FPS * 100).astype(int)
    at_30 = at_30[at_30 < len(times)]
    scores = [np.corrcoef(np.roll(wide, -k), rms)[0, 1] for k in range(-20, 21)]
    return float(np.corrcoef(wide[at_30], rms[at_30])[0, 1]), 10.0 * (int(np.argmax(scores)) - 20)


def _blinks(minutes: float) -> float:
    times = np.arange(int(minutes * 60 * FPS)) / FPS
    shut = perform(None, times, 7).curves["eyeBlinkLeft"] > 0.6
    return float((np.diff(shut.astype(int)) == 1).sum() / minutes)


def _real(path: Path, transcript: str) -> dict[str, Any]:
    from bridge_server.audio.decode import decode as decode_audio

    audio, _ = decode_audio(path.read_bytes(), path.name)
    a = ac.analyse(audio)
    net = recogniser.load()
    found = align.align(ac.mono16(audio), transcript)
    out: dict[str, Any] = {}
    if found is not None and net is not None:
        rows = len(a) // 2 + 1
        truth = _rows(
            [
                Segment(s, e, v, n)
                for s, e, v, n in split_shapes((p.start, p.end, p.name, arpabet_visemes(p.name)) for p in found.phones)
            ],
            rows,
        )
        heard = net(a.mel)
        recognised = decode(phones.both(heard, ac.mono16(audio)), net.follow)
        figures = {
            "viseme_accuracy_real": recognised,
            "viseme_accuracy_real_network_alone": decode(heard, net.follow),
            "phone_loop_accuracy_real": phone_loop(ac.mono16(audio)),
        }
        for name, segments in figures.items():
            right, count = frame_accuracy(truth, _rows(segments, rows))
            out[name] = right / max(count, 1)
        spoken = truth[truth != 0]
        out["majority_accuracy_real"] = float(np.bincount(spoken).max() / len(spoken))
        bilabials = [(p.start, p.end) for p in found.phones if p.name in ("P", "B", "M")]
        closed, count = _closures(audio, bilabials, transcript)
        without, _ = _closures(audio, bilabials, None)
        needless = _needless(recognised, bilabials)
        out |= {
            "lip_closure_rate_real": closed / count,
            "lip_closure_rate_real_recognised": without / count,
            "needless_closures_real": needless[0] / max(needless[1], 1),
        }
    out["mouth_energy_correlation_real"], out["mouth_energy_lag_real_ms"] = _energy(audio)
    return out


def evaluate(real: Path | None = None, transcript: str = "", per_language: int = 20) -> dict[str, Any]:
    """All figures by name.

    :param real: a recording whose ``transcript`` is known, or None to leave real speech out.
    :raises UnderstudyError: ``unsupported`` without espeak-ng or pocketsphinx, ``weights_missing`` without the
        recogniser.
    """
    if not (espeak.available() and align.available()):
        raise UnderstudyError(
            "unsupported",
            "The lip sync is measured with espeak-ng and pocketsphinx, and one is missing.",
            "Install both and run again.",
        )
    net = recogniser.load()
    if net is None:
        raise UnderstudyError(
            "weights_missing", "The viseme recogniser has no weights.", "Train it, or restore the starter weights."
        )
    utterances = test_utterances(per_language)
    errors, failed = [], 0
    right: dict[str, np.ndarray] = defaultdict(lambda: np.zeros(2))
    counts = np.zeros(len(VISEME_INDEX), int)
    closed, heard, needless, sounding, spent = np.zeros(2), np.zeros(2), np.zeros(2), 0.0, 0.0
    correlations, lags = [], []
    for language, u in utterances:
        audio = Audio(u.samples)
        a = ac.analyse(audio)
        rows = len(a) // 2 + 1
        truth = label_rows(u.segments, rows, recogniser.FRAME)
        counts += np.bincount(truth, minlength=len(counts))
        heard_rows = net(a.mel)
        recognised = decode(phones.both(heard_rows, u.samples), net.follow)
        guess = _rows(recognised, rows)
        for key in ("all", language, f"{language} {u.voice}"):
            right[key] += frame_accuracy(truth, guess)
        right["with silence"] += ((truth == guess).sum(), rows)
        right["network alone"] += frame_accuracy(truth, _rows(decode(heard_rows, net.follow), rows))
        right["phone loop"] += frame_accuracy(truth, _rows(phone_loop(u.samples), rows))
        bilabials = [(s, e) for s, e, v, _ in u.segments if v == "PP"]
        needless += _needless(recognised, bilabials)
        began = time.process_time()
        heard += _closures(audio, bilabials, None)
        spent, sounding = spent + time.process_time() - began, sounding + audio.duration
        correlation, lag = _energy(audio)
        correlations.append(correlation)
        lags.append(lag)
        if language == "en":
            found = alignment_errors(u)
            failed += found is None
            errors += [] if found is None else [found]
            closed += _closures(audio, bilabials, u.text)
    all_errors = np.concatenate(errors) if errors else np.array([np.inf])
    share = {k: float(v[0] / max(v[1], 1)) for k, v in right.items()}
    out: dict[str, Any] = {
        "utterances": len(utterances),
        "languages": len(_VOICES),
        "voices": len({u.voice for _, u in utterances}),
        "align_median_ms": float(1000 * np.median(all_errors)),
        "align_within_40ms": float((all_errors <= 0.04).mean()),
        "align_phones": len(all_errors),
        "align_failed": failed,
        "viseme_accuracy": share["all"],
        "viseme_accuracy_with_silence": share["with silence"],
        "viseme_accuracy_by_voice": {k: v for k, v in share.items() if " " in k and ":" in k},
        "viseme_accuracy_by_language": {k: share[k] for k in _VOICES},
        "viseme_accuracy_network_alone": share["network alone"],
        "phone_loop_accuracy": share["phone loop"],
        "majority_accuracy": float(counts[1:].max() / counts[1:].sum()),
        "lip_closure_rate": float(closed[0] / max(closed[1], 1)),
        "lip_closure_rate_recognised": float(heard[0] / max(heard[1], 1)),
        "needless_closures": float(needless[0] / max(needless[1], 1)),
        "mouth_energy_correlation": float(np.mean(correlations)),
        "mouth_energy_lag_ms": float(np.median(lags)),
        "blinks_per_minute": _blinks(10),
        "face_realtime_factor": sounding / spent,
    }
    return out | (_real(real, transcript) if real is not None else {})


def main(arguments: list[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m bridge_server.face.evaluate", description=__doc__)
    parser.add_argument("--real", type=Path, help="a recording of real speech")
    parser.add_argument("--transcript", default="", help="what is said in it")
    parser.add_argument("--sentences", type=int, default=20, help="test sentences per language")
    parser.add_argument("--write", type=Path, help="folder whose evaluation.json takes the figures")
    a = parser.parse_args(arguments)
    figures = evaluate(a.real, a.transcript, a.sentences)
    print(json.dumps(figures, indent=2))
    if a.write is not None:
        merge_figures(a.write / "evaluation.json", {**{k: figures.get(k) for k in NAMED}, "face": figures})
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
