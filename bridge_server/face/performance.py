# SPDX-License-Identifier: Apache-2.0
"""One face performance from one audio file: mouth, eyes, brows, breath and nods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from bridge_server.audio.sound import Audio
from bridge_server.face import acoustics as ac
from bridge_server.face import eyes, phonemes
from bridge_server.face.emotion import emotion_curves
from bridge_server.face.mouth import Segment
from bridge_server.face.prosody import Prosody, bumps, noise
from bridge_server.face.stretches import MOUTH, Speech
from shared import rotations as rot
from shared.face_curves import ARKIT, ARKIT_INDEX
from shared.face_settings import FaceSettings, Sampled
from shared.speech import Word

__all__ = ["FaceOptions", "FacePerformance", "Performing", "perform", "perform_face"]

_BLOCK: Final = 512
"""Frames that are made at once where nobody speaks."""


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
    :ivar language: of the speech, such as ``en``, or None when unknown; only an English transcript is aligned.
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


def _brows(curves: np.ndarray, times: np.ndarray, accents: _Accents, amount: float) -> None:
    draws = accents.brows
    chosen = draws[:, 0] < 0.25 + 0.45 * accents.strengths
    height = amount * (0.14 + 0.26 * accents.strengths * draws[:, 1]) * chosen
    raised = bumps(times, accents.times, height, 0.16, 0.34)
    curves[:, ARKIT_INDEX["browInnerUp"]] += raised
    for side in ("Left", "Right"):
        curves[:, ARKIT_INDEX[f"browOuterUp{side}"]] += 0.7 * raised
        curves[:, ARKIT_INDEX[f"eyeWide{side}"]] += 0.18 * raised


def _head(times: np.ndarray, accents: _Accents, pauses: np.ndarray, seed: int, amount: float) -> np.ndarray:
    """(T, 2, 4) nods on accents over a slow sway; neck and head share the turn."""
    draws = accents.nods
    size = np.radians(1.2 + 2.6 * draws[:, 1]) * accents.strengths * (draws[:, 0] < 0.65)
    speaking = np.ones(len(times))
    for start, end in pauses:
        ramp = np.minimum((times - start) / 0.3, (end - times) / 0.3)
        speaking *= 1 - 0.6 * np.clip(ramp, 0, 1)
    # positive about +X tips the face down
    pitch = bumps(times, accents.times, size, 0.14, 0.30) + np.radians(0.7) * speaking * noise(times, seed, 11, 0.4)
    yaw = np.radians(1.4) * speaking * noise(times, seed, 12, 0.28)
    roll = np.radians(0.9) * speaking * noise(times, seed, 13, 0.22)
    vector = amount * np.stack((pitch, yaw, roll), axis=1)
    return np.stack((rot.axis_angle_to_quat(0.4 * vector), rot.axis_angle_to_quat(0.6 * vector)), axis=1)


def _breath(times: np.ndarray, pauses: np.ndarray, seed: int) -> np.ndarray:
    """(T,) about fourteen breaths a minute at rest, with an inhalation before each phrase."""
    phase = 2 * np.pi * 0.235 * times + 0.6 * noise(times, seed, 31, 0.08)
    starts = pauses[:, 1]
    return np.clip(0.6 * np.sin(phase) + 0.5 * bumps(times, starts, np.ones(len(starts)), 0.35, 0.9), -1, 1)


@dataclass(frozen=True)
class _Accents:
    """Some accents in a row, (K,) each, and what was drawn for them, (K, 2): for brows and for nods."""

    times: np.ndarray
    strengths: np.ndarray
    brows: np.ndarray
    nods: np.ndarray


class _Draws:
    """Numbers for one accent after the other, whenever they become known."""

    def __init__(self, seed: int, stream: int) -> None:
        self._rng = np.random.default_rng((seed & 0xFFFFFFFFFFFFFFFF, stream))
        self._drawn = np.zeros((0, 2))

    def first(self, count: int) -> np.ndarray:
        """(count, 2) in [0, 1)."""
        self._drawn = np.concatenate((self._drawn, self._rng.random((max(0, count - len(self._drawn)), 2))))
        return self._drawn[:count]


class Performing:
    """A face that is made as far as it is asked for: what :func:`perform` gives, and the same however it is asked.

    Takes what :func:`perform` takes.
    """

    def __init__(
        self, audio: Audio | None, times: np.ndarray, seed: int = 0, transcript: str | None = None, options: FaceOptions | None = None
    ) -> None:
        self._times = times = np.asarray(times, dtype=np.float64)
        self._seed, self._options = seed, options or FaceOptions()
        self._given, self._done = audio is not None, 0
        self._duration = float(times[-1]) + ac.HOP if len(times) else 0.0
        self._emotion = emotion_curves(self._options.emotions, times) if self._options.emotions else None
        speech = Speech(audio, transcript, self._options) if audio is not None and len(audio.samples) and len(times) else None
        self._speech = speech if speech is not None and speech.speech else None
        if self._speech is not None and self._emotion is not None:
            rows = max(self._speech.rows, int(np.ceil(self._duration / ac.HOP)) + 2)
            self._speech.emotion = np.zeros((rows, len(ARKIT)), np.float32)
            for i in np.flatnonzero(self._emotion.any(axis=0)):
                self._speech.emotion[:, i] = np.interp(np.arange(rows) * ac.HOP, times, self._emotion[:, i])
        self._blinks = eyes.Blinks(self._duration, seed, self._options.blinks)
        self._saccades = eyes.Saccades(self._duration, seed)
        self._draws = _Draws(seed, 3), _Draws(seed, 4)
        self.made = FacePerformance(
            {n: np.zeros(len(times), np.float32) for n in ARKIT}, rot.identity(len(times), 2), np.zeros(len(times)), [],
            self._speech.source if self._speech is not None else "none", [], [], np.zeros((len(times), 2)), np.zeros(len(times)),
        )

    def upto(self, count: int) -> FacePerformance:
        """The face, of which the first ``count`` frames are made, and their number does not change them; words and warnings are
        those of the whole once all of them are."""
        while self._done < min(count, len(self._times)):
            if self._speech is None:
                end = self._done + _BLOCK
            else:
                self._speech.advance()
                end = int(np.searchsorted(self._times, self._speech.until))
            if end > self._done:
                self._make(self._done, min(end, len(self._times)))
        if self._done == len(self._times):
            self._conclude()
        return self.made

    def _conclude(self) -> None:
        made, found = self.made, phonemes.Phonemes([], "none")
        if self._speech is not None:
            while not np.isinf(self._speech.until):
                self._speech.advance()
            found = self._speech.found()
        silent = self._given and self._speech is None and len(self._times)
        made.segments, made.words = found.segments, found.words
        made.warnings = [*found.warnings, *(["The audio is silent, so the face only idles; check the sound's volume."] if silent else [])]

    def _make(self, first: int, stop: int) -> None:
        """Frames ``first`` to ``stop``, of which all that they depend on is known."""
        times, o, speech = self._times[first:stop], self._options, self._speech
        curves = np.zeros((len(times), len(ARKIT)))
        emotion = np.zeros_like(curves) if self._emotion is None else self._emotion[first:stop]
        prosody = Prosody(np.zeros(0), np.zeros(0), np.array([[0.0, self._duration]]))
        if speech is not None:
            curves += self._mouth(speech, times + o.lead)
            curves += emotion * ~MOUTH
            idle = np.zeros_like(curves)
            _idle(idle, times, self._seed)
            level = ac.sample(np.append(speech.level, np.zeros(1)), times)
            curves += idle * (1 - np.clip(4 * level, 0, 1))[:, None]
            prosody = speech.prosody
        else:
            curves += emotion
            _idle(curves, times, self._seed)
        near = slice(*np.searchsorted(prosody.accents, (times[0] - 1, times[-1] + 1)))
        accents = _Accents(prosody.accents[near], prosody.strengths[near], *(d.first(len(prosody.accents))[near] for d in self._draws))
        pauses = prosody.pauses[(prosody.pauses[:, 0] < times[-1] + 2) & (prosody.pauses[:, 1] > times[0] - 2)]
        _brows(curves, times, accents, o.brows)
        gaze = np.broadcast_to(np.asarray(o.gaze, dtype=np.float64), (len(self._times), 2))[first:stop]
        saccades = self._saccades.at(times)
        look = gaze + saccades
        for name, value in eyes.gaze_curves(look[:, 0], look[:, 1]).items():
            curves[:, ARKIT_INDEX[name]] = np.maximum(value, emotion[:, ARKIT_INDEX[name]])
        # a blink is known a second before the speech is, and begins up to 0.8 s before the time that was drawn for it
        certain = self._duration if speech is None or np.isinf(speech.until) else times[-1] + 1.0
        blink = eyes.blink_curve(times, self._blinks.until(certain, prosody.pauses))
        lids = eyes.lids(blink, look[:, 1])
        for side in ("Left", "Right"):
            i, wide = ARKIT_INDEX[f"eyeBlink{side}"], ARKIT_INDEX[f"eyeWide{side}"]
            curves[:, i] = np.maximum(curves[:, i], lids)
            curves[:, wide] *= 1 - blink
        curves = np.clip(curves, 0, 1).astype(np.float32)
        made = self.made
        for i, n in enumerate(ARKIT):
            made.curves[n][first:stop] = curves[:, i]
        made.head[first:stop] = _head(times, accents, pauses, self._seed, o.nods)
        made.chest[first:stop] = _breath(times, pauses, self._seed)
        made.saccades[first:stop], made.blink[first:stop] = saccades, blink
        self._done = stop

    def _mouth(self, speech: Speech, times: np.ndarray) -> np.ndarray:
        """(T, 52) at ``times`` (T,); after the end of the sound only an emotion is left."""
        low = max(0, int(times[0] / ac.HOP) - 2)
        rows = np.zeros((max(1, int(times[-1] / ac.HOP) + 3 - low), len(ARKIT)), np.float32)
        own = speech.mouth[low : low + len(rows)]
        rows[: len(own)] = own
        if speech.emotion is not None:
            rows[len(own) :] = speech.emotion[low + len(own) : low + len(rows)] * MOUTH
        return ac.sample(rows, times - low * ac.HOP)


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
    return Performing(audio, times, seed, transcript, options).upto(len(times))


def perform_face(
    audio: Audio | None, times: np.ndarray, seed: int = 0, transcript: str | None = None
) -> dict[str, np.ndarray]:
    """The curves of :func:`perform` alone: every ARKit name, (T,) float32 in [0, 1]."""
    return perform(audio, times, seed, transcript).curves
