# SPDX-License-Identifier: Apache-2.0
"""One face performance from one audio file: mouth, eyes, brows, breath and nods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from scipy.ndimage import gaussian_filter1d

from bridge_server.audio.sound import Audio
from bridge_server.face import acoustics as ac
from bridge_server.face import eyes, listening, phonemes
from bridge_server.face.emotion import emotion_curves
from bridge_server.face.mouth import (
    Segment,
    close_lips,
    coarticulate,
    mouth_from_signal,
    scale_jaw,
)
from bridge_server.face.prosody import Prosody, bumps, find_prosody, noise
from bridge_server.face.words import complete, from_segments, to_segments
from shared import rotations as rot
from shared.face_curves import ARKIT, ARKIT_INDEX
from shared.face_settings import FaceSettings, Sampled
from shared.speech import Word

__all__ = ["FaceOptions", "FacePerformance", "perform", "perform_face"]

_MOUTH: Final = np.array([n.startswith(("mouth", "jaw", "tongue")) for n in ARKIT])


@dataclass
class FaceOptions:
    """What an artist can set.

    :ivar emotions: intensity in [0, 1] by name of :data:`~.emotion.EMOTIONS`, constant or (T,) at the asked times.
    :ivar gaze: where the eyes look, relative to the head: (2,) or (T, 2) yaw to the left and pitch up, radians.
    :ivar lead: seconds by which the mouth runs ahead of the sound (negative: behind).
    :ivar mouth: scales the speech part of the mouth, 0 to 2.
    :ivar brows: scales brow raises, 0 to 2.
    :ivar blinks: scales how often the eyes blink, 0 to 2.
    :ivar nods: scales head movement, 0 to 2.
    :ivar words: words with times that the artist has corrected; nothing is aligned or recognised then. Words without
        phonemes get them from their text.
    :ivar segments: the same as mouth shapes, for those who have no words.
    :ivar language: of the speech, such as ``en``, or None when unknown; helps the recogniser where it is English.
    """

    emotions: Mapping[str, np.ndarray | float] = field(default_factory=dict)
    gaze: np.ndarray | tuple[float, float] = (0.0, 0.0)
    lead: float = 0.01
    mouth: float = 1.0
    brows: float = 1.0
    blinks: float = 1.0
    nods: float = 1.0
    words: Sequence[Word] | None = None
    segments: Sequence[Segment] | None = None
    language: str | None = None

    @classmethod
    def of(
        cls, settings: FaceSettings, times: np.ndarray, emotions: Mapping[str, np.ndarray] | None = None
    ) -> FaceOptions:
        """What a request asks for, at ``times`` (T,); emotions of both count, the stronger of each."""
        found: dict[str, np.ndarray | float] = dict(emotions or {})
        for name, value in settings.emotions.items():
            asked = value.at(times) if isinstance(value, Sampled) else value
            found[name] = np.maximum(found.get(name, 0.0), asked)
        return cls(
            found,
            (0.0, 0.0),
            settings.lead,
            settings.mouth,
            settings.brows,
            settings.blinks,
            settings.nods,
            settings.words,
            language=settings.language or None,
        )


@dataclass
class FacePerformance:
    """What :func:`perform` gives for T times.

    :ivar curves: all 52 ARKit names, each (T,) float32 in [0, 1].
    :ivar head: (T, 2, 4) unit quaternions wxyz to multiply onto the local rotations of neck and head from the right.
    :ivar chest: (T,) breathing, -1 (out) to 1 (in).
    :ivar segments: visemes with times, phonemes and words where known.
    :ivar words: the same as an artist sees it, for :class:`shared.speech`.
    :ivar source: ``transcript``, ``recogniser``, ``signal``, ``artist`` or ``none``: where the segments come from.
    :ivar warnings: sentences for the user.
    :ivar saccades: (T, 2) small turns of the eyes, yaw to the left and pitch up, radians, on top of any gaze.
    :ivar blink: (T,) lid closure by blinks alone.
    :ivar jaw: (T, 4) unit quaternions wxyz of the SMPL-X jaw, where a route gives it itself instead of by the curves.
    :ivar expression: (T, E) SMPL-X expression coefficients, likewise.
    """

    curves: dict[str, np.ndarray]
    head: np.ndarray
    chest: np.ndarray
    segments: list[Segment]
    source: str
    warnings: list[str]
    words: list[Word] = field(default_factory=list)
    saccades: np.ndarray = field(default_factory=lambda: np.zeros((0, 2)))
    blink: np.ndarray = field(default_factory=lambda: np.zeros(0))
    jaw: np.ndarray | None = None
    expression: np.ndarray | None = None

    def looking(self, gaze: np.ndarray) -> dict[str, np.ndarray]:
        """The curves of the first frames with the eyes at ``gaze`` (N, 2), yaw to the left and pitch up, radians."""
        count = len(gaze)
        look = np.clip(gaze, -eyes.EYE_RANGE, eyes.EYE_RANGE) + self.saccades[:count]
        out = {name: curve[:count].copy() for name, curve in self.curves.items()}
        for name, value in eyes.gaze_curves(look[:, 0], look[:, 1]).items():
            out[name] = value.astype(np.float32)
        lids = eyes.lids(self.blink[:count], look[:, 1]).astype(np.float32)
        for side in ("Left", "Right"):
            out[f"eyeBlink{side}"] = np.maximum(out[f"eyeBlink{side}"], lids)
        return out


def _mouth_rows(
    audio: Audio, transcript: str | None, options: FaceOptions, rows: int, a: ac.Acoustics, emotion: np.ndarray
) -> tuple[np.ndarray, phonemes.Phonemes, ac.Acoustics]:
    """(rows, 52) mouth curves at the acoustics' own times, what is behind them, and the acoustics of the speech alone."""
    if options.words is not None:
        words = complete(options.words, ac.mono16(audio))
        found = phonemes.Phonemes(to_segments(words), "artist", [], words, listening.of_words(words, len(a)))
    elif options.segments is not None:
        found = phonemes.Phonemes(list(options.segments), "artist", [], from_segments(options.segments))
    else:
        found = phonemes.find(audio, a, transcript, options.language)
    if found.speaking is not None:
        a = listening.only_speech(a, found.speaking)
    heard = mouth_from_signal(a)
    if found.segments:
        shaped = scale_jaw(coarticulate(found.segments, len(a)), a.level)
        trust = np.zeros(len(a), np.float32)
        for s in found.segments:
            trust[int(round(s.start / ac.HOP)) : int(round(s.end / ac.HOP)) + 1] = s.confidence
        trust = gaussian_filter1d(trust, 0.03 / ac.HOP, mode="nearest")[:, None]
        heard = trust * shaped + (1 - trust) * heard
    heard *= options.mouth
    # while the mouth speaks, an emotion shows mostly in its corners and in the rest of the face
    speaking = gaussian_filter1d(np.clip(a.level * 3, 0, 1), 0.12 / ac.HOP, mode="nearest")[:, None]
    mouth = heard + emotion[: len(a)] * _MOUTH * (1 - 0.45 * speaking)
    mouth = close_lips(mouth, [s for s in found.segments if s.confidence > 0.3])
    out = np.zeros((rows, len(ARKIT)), np.float32)
    out[: len(a)] = mouth[:rows]
    out[len(a) :] = emotion[len(a) :] * _MOUTH
    return out, found, a


def _idle(curves: np.ndarray, times: np.ndarray, seed: int) -> None:
    """Small movement that keeps a silent face alive; the lips stay closed."""
    for stream, (name, size) in enumerate(
        (
            ("mouthPress", 0.035),
            ("mouthSmile", 0.035),
            ("browInnerUp", 0.04),
            ("eyeSquint", 0.05),
            ("mouthShrugLower", 0.03),
            ("browOuterUp", 0.02),
        )
    ):
        value = size * np.clip(0.5 + 0.5 * noise(times, seed, 40 + stream, 0.25), 0, 1.5)
        for full in (name,) if name in ARKIT_INDEX else (f"{name}Left", f"{name}Right"):
            curves[:, ARKIT_INDEX[full]] += value
    curves[:, ARKIT_INDEX["jawOpen"]] += 0.006 * np.clip(1 + noise(times, seed, 47, 0.3), 0, 2)


def _brows(curves: np.ndarray, times: np.ndarray, prosody: Prosody, seed: int, amount: float) -> None:
    rng = np.random.default_rng((seed & 0xFFFFFFFFFFFFFFFF, 3))
    draws = rng.random((len(prosody.accents), 2))
    chosen = draws[:, 0] < 0.25 + 0.45 * prosody.strengths
    height = amount * (0.14 + 0.26 * prosody.strengths * draws[:, 1]) * chosen
    raised = bumps(times, prosody.accents, height, 0.16, 0.34)
    curves[:, ARKIT_INDEX["browInnerUp"]] += raised
    for side in ("Left", "Right"):
        curves[:, ARKIT_INDEX[f"browOuterUp{side}"]] += 0.7 * raised
        curves[:, ARKIT_INDEX[f"eyeWide{side}"]] += 0.18 * raised


def _head(times: np.ndarray, prosody: Prosody, seed: int, amount: float) -> np.ndarray:
    """(T, 2, 4) nods on accents over a slow sway; neck and head share the turn."""
    rng = np.random.default_rng((seed & 0xFFFFFFFFFFFFFFFF, 4))
    draws = rng.random((len(prosody.accents), 2))
    size = np.radians(1.2 + 2.6 * draws[:, 1]) * prosody.strengths * (draws[:, 0] < 0.65)
    speaking = np.ones(len(times))
    for start, end in prosody.pauses:
        ramp = np.minimum((times - start) / 0.3, (end - times) / 0.3)
        speaking *= 1 - 0.6 * np.clip(ramp, 0, 1)
    # positive about +X tips the face down
    pitch = bumps(times, prosody.accents, size, 0.14, 0.30) + np.radians(0.7) * speaking * noise(times, seed, 11, 0.4)
    yaw = np.radians(1.4) * speaking * noise(times, seed, 12, 0.28)
    roll = np.radians(0.9) * speaking * noise(times, seed, 13, 0.22)
    vector = amount * np.stack((pitch, yaw, roll), axis=1)
    return np.stack((rot.axis_angle_to_quat(0.4 * vector), rot.axis_angle_to_quat(0.6 * vector)), axis=1)


def _breath(times: np.ndarray, prosody: Prosody, seed: int) -> np.ndarray:
    """(T,) about fourteen breaths a minute at rest, with an inhalation before each phrase."""
    phase = 2 * np.pi * 0.235 * times + 0.6 * noise(times, seed, 31, 0.08)
    starts = prosody.pauses[:, 1] if len(prosody.pauses) else np.zeros(0)
    return np.clip(0.6 * np.sin(phase) + 0.5 * bumps(times, starts, np.ones(len(starts)), 0.35, 0.9), -1, 1)


def perform(
    audio: Audio | None,
    times: np.ndarray,
    seed: int = 0,
    transcript: str | None = None,
    options: FaceOptions | None = None,
) -> FacePerformance:
    """Perform a face.

    :param audio: the speech, any rate; None, silence or noise without speech give an idle face.
    :param times: (T,) seconds, ascending; the audio is read at exactly these times.
    :param seed: same seed, same input: same face.
    :param transcript: what is said, if known; where it does not fit the audio a warning says so and the
        recogniser is used.
    """
    times = np.asarray(times, dtype=np.float64)
    options = options or FaceOptions()
    curves = np.zeros((len(times), len(ARKIT)))
    if len(times) == 0:
        return FacePerformance(
            {n: np.zeros(0, np.float32) for n in ARKIT}, rot.identity(0, 2), np.zeros(0), [], "none", []
        )
    duration = float(times[-1]) + ac.HOP
    a = ac.analyse(audio) if audio is not None and len(audio.samples) else None
    emotion = emotion_curves(options.emotions, times)
    found = phonemes.Phonemes([], "none")
    warnings: list[str] = []
    if a is not None and a.speech and audio is not None:
        rows = max(len(a), int(np.ceil(duration / ac.HOP)) + 2)
        at_rows = np.arange(rows) * ac.HOP
        emotion_rows = np.zeros((rows, len(ARKIT)), np.float32)
        for i in np.flatnonzero(emotion.any(axis=0)):
            emotion_rows[:, i] = np.interp(at_rows, times, emotion[:, i])
        mouth, found, a = _mouth_rows(audio, transcript, options, rows, a, emotion_rows)
        curves += ac.sample(mouth, times + options.lead)
        curves += emotion * ~_MOUTH
        idle = np.zeros_like(curves)
        _idle(idle, times, seed)
        level = ac.sample(np.pad(a.level, (0, max(0, rows - len(a)))), times)
        curves += idle * (1 - np.clip(4 * level, 0, 1))[:, None]
    else:
        if audio is not None:
            warnings.append("The audio is silent, so the face only idles; check the sound's volume.")
        curves += emotion
        _idle(curves, times, seed)
    prosody = find_prosody(a, duration)
    _brows(curves, times, prosody, seed, options.brows)
    gaze = np.broadcast_to(np.asarray(options.gaze, dtype=np.float64), (len(times), 2))
    saccades = eyes.saccades(times, duration, seed)
    look = gaze + saccades
    for name, value in eyes.gaze_curves(look[:, 0], look[:, 1]).items():
        curves[:, ARKIT_INDEX[name]] = np.maximum(value, emotion[:, ARKIT_INDEX[name]])
    blink = eyes.blink_curve(times, eyes.blink_times(prosody, duration, seed, options.blinks))
    lids = eyes.lids(blink, look[:, 1])
    for side in ("Left", "Right"):
        i, wide = ARKIT_INDEX[f"eyeBlink{side}"], ARKIT_INDEX[f"eyeWide{side}"]
        curves[:, i] = np.maximum(curves[:, i], lids)
        curves[:, wide] *= 1 - blink
    curves = np.clip(curves, 0, 1).astype(np.float32)
    return FacePerformance(
        {n: curves[:, i].copy() for i, n in enumerate(ARKIT)},
        _head(times, prosody, seed, options.nods),
        _breath(times, prosody, seed),
        found.segments,
        found.source,
        [*found.warnings, *warnings],
        found.words,
        saccades,
        blink,
    )


def perform_face(
    audio: Audio | None, times: np.ndarray, seed: int = 0, transcript: str | None = None
) -> dict[str, np.ndarray]:
    """The curves of :func:`perform` alone: every ARKit name, (T,) float32 in [0, 1]."""
    return perform(audio, times, seed, transcript).curves
