# SPDX-License-Identifier: Apache-2.0
"""A speech listened to stretch by stretch, so that the first frames of a long take need not wait for its end.

What is heard in a stretch depends on the sound in it and on two seconds to either side, and on what the clip as a whole is
measured by: how loud it is, how high and long-throated its speaker. The latter comes from a sample of rows from everywhere
in the clip, at a cost that does not grow with its length. Stretches meet where it is quietest. A short clip is one
stretch, and its own sample. Given words and shapes are taken as they are; a transcript is laid out over all of the speech first.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import replace
from typing import Final, Protocol

import numpy as np
from scipy.ndimage import gaussian_filter1d, uniform_filter1d

from bridge_server.audio.sound import Audio
from bridge_server.face import acoustics as ac
from bridge_server.face import listening, phonemes, phones, recogniser
from bridge_server.face.mouth import Segment, close_lips, coarticulate, mouth_from_signal, scale_jaw
from bridge_server.face.prosody import Prosody, find_prosody
from bridge_server.face.visemes import VISEMES
from bridge_server.face.words import complete, from_segments, to_segments
from shared.face_curves import ARKIT
from shared.speech import Word

__all__ = ["MOUTH", "Asked", "Speech"]

MOUTH: Final = np.array([n.startswith(("mouth", "jaw", "tongue")) for n in ARKIT])
"""(52,) bool, the curves that speaking moves."""
_AROUND: Final = 200
"""Rows to either side of a stretch that it is heard with."""
_WHOLE: Final = 3000
"""Rows up to which a clip is one stretch."""
_SAMPLE: Final = (30, 100)
"""Runs of a longer clip's sample, and rows of a run."""
_JUDGED: Final = 2000
"""Rows by which the speaker's vocal tract is judged."""
_COMPARED: Final = 800
"""Rows by which it is judged how much a second opinion counts; the first frames wait for it."""
_FIRST, _LATER = (950, 1400), (1200, 2400)
"""Rows that the first stretch lasts, and another: at least and at most."""
_UNCERTAIN: Final = 2.0
"""Seconds before a stretch's end that may still change: a blink moves to a pause that begins up to 0.7 s later."""
_PAUSE: Final = 0.18


class Asked(Protocol):
    """What of an artist's options is for the speech; see :class:`.performance.FaceOptions`."""

    @property
    def mouth(self) -> float: ...
    @property
    def words(self) -> Sequence[Word] | None: ...
    @property
    def segments(self) -> Sequence[Segment] | None: ...
    @property
    def language(self) -> str | None: ...


def _quiet_cuts(x: np.ndarray, rows: int) -> list[int]:
    """Rows at which stretches end: where it is quietest, the last one at the end of samples (N,)."""
    step = round(ac.RATE * ac.HOP)
    loud = uniform_filter1d(np.square(x[: len(x) // step * step].reshape(-1, step)).mean(axis=1), 15)
    cuts, at, (least, most) = [], 0, _FIRST
    while rows - at > most + least:
        at += least + int(np.argmin(loud[at + least : at + most]))
        cuts.append(at)
        least, most = _LATER
    return [*cuts, rows]


def _loudest(x: np.ndarray) -> np.ndarray:
    """The samples, of (N,), of the loudest stretch that is long enough to judge a speaker by."""
    step = round(ac.RATE * ac.HOP)
    rows = np.log(np.square(x[: len(x) // step * step].reshape(-1, step)).mean(axis=1) + 1e-8)
    total = np.cumsum(np.concatenate(([0.0], rows)))
    first = int(np.argmax(total[_JUDGED:] - total[:-_JUDGED])) if len(rows) > _JUDGED else 0
    return x[first * step : (first + _JUDGED) * step]


class Speech:
    """What is heard of a speech so far.

    :ivar speech: whether it is loud enough to be one; nothing else holds where it is not. :ivar rows: how many it has.
    :ivar emotion: (rows or more, 52) curves that an emotion asks for, or None; set before the first :meth:`advance`.
    :ivar until: seconds up to which everything is known that a frame depends on; infinite at the end.
    :ivar mouth: (rows, 52) float32 and :ivar level: (rows,) so far. :ivar source: as :class:`.performance.FacePerformance` has it.
    """

    def __init__(self, audio: Audio, transcript: str | None, asked: Asked) -> None:
        x = ac.mono16(audio)
        x = x - (x.mean() if len(x) else 0.0)
        self._x, self._asked, self.rows = x, asked, ac.row_count(x)
        whole = self.rows <= _WHOLE
        if whole:
            sample = self._measured = ac.Measured.of(x)
        else:
            runs, length = _SAMPLE
            sample = ac.Measured.joined([ac.Measured.of(x, k, k + length)
                                         for k in np.linspace(0, self.rows - length, runs).astype(int).tolist()])
            self._measured = sample.slice(0, 0)
        self._measured_from = 0
        self._scale = ac.Scale.of(sample)
        usual = self._scale.applied(sample)
        self.speech = usual.speech and len(x) >= round(ac.RATE * ac.HOP)
        self.until, self.emotion, self.source = 0.0, None, "none"
        self.emotion: np.ndarray | None
        if not self.speech:
            self.until = np.inf
            return
        self._reference = None if whole else usual
        self._cuts = [self.rows] if whole else _quiet_cuts(x, self.rows)
        self._found = self._at_once(audio, transcript, whole)
        self._net = recogniser.load() if self._found is None else None
        self._model = phones.load() if self._net is not None else None
        self.source = self._found.source if self._found else "recogniser" if self._net else "signal"
        if self._net is not None:
            loud = _loudest(x)
            mel = ac.log_mel(loud)
            self._voice = self._net.voice(mel, sample.mel)
            if self._model is not None:
                self._opinion = self._model.voice(loud)
                part = self._net.hear(mel[:_COMPARED], self._voice)
                other = self._model.hear(loud[: _COMPARED * round(ac.RATE * ac.HOP)], self._opinion)
                self._share = phones.share(part, other[: len(part)])
            self._heard = np.zeros((0, len(VISEMES)), np.float32)
        self._segments: list[Segment] = []
        self._starts = [s.start for s in self._found.segments] if self._found else []
        self._kept: list[tuple[np.ndarray, ...]] = []
        self.mouth = np.zeros((self.rows, len(ARKIT)), np.float32)
        self.level = np.zeros(self.rows)
        self._done = 0
        self._accents: list[np.ndarray] = []
        self._strengths: list[np.ndarray] = []
        self._pauses: list[tuple[float, float]] = []
        self._quiet_since: int | None = None

    def _at_once(self, audio: Audio, transcript: str | None, whole: bool) -> phonemes.Phonemes | None:
        """What is known of all of the speech before any stretch of it, or None."""
        asked = self._asked
        if asked.words is not None:
            words = complete(asked.words, self._x)
            return phonemes.Phonemes(to_segments(words), "artist", [], words, listening.of_words(words, self.rows))
        if asked.segments is not None:
            return phonemes.Phonemes(list(asked.segments), "artist", [], from_segments(asked.segments))
        if not whole and not (transcript and transcript.strip()):
            return None
        if not whole:
            self._measured = ac.Measured.of(self._x)
        return phonemes.find(audio, self._scale.applied(self._measured), transcript, asked.language)

    @property
    def prosody(self) -> Prosody:
        """Accents and pauses so far; a pause that has not ended yet ends never."""
        quiet = [] if self._quiet_since is None else [(self._quiet_since * ac.HOP, np.inf)]
        join = np.concatenate
        return Prosody(join(self._accents), join(self._strengths), np.array([*self._pauses, *quiet]).reshape(-1, 2))

    def found(self) -> phonemes.Phonemes:
        """Segments, words and what is to be said about them, at the end."""
        if self._found is not None or not self.speech:
            return self._found or phonemes.Phonemes([], "none")
        level, voiced, pitch, *speaking = (np.concatenate(x) for x in zip(*self._kept, strict=True))
        nothing = np.zeros(len(level))
        all_of_it = ac.Acoustics(level, voiced, pitch, nothing, nothing, nothing, nothing[:, None], True)
        notes = phonemes.noticed(all_of_it, speaking[0] if speaking else None)
        if self._net is None:
            return phonemes.Phonemes([], "signal", [phonemes.NO_WEIGHTS, *notes])
        return phonemes.Phonemes(self._segments, "recogniser", notes, from_segments(self._segments))

    def advance(self) -> None:
        """Hear one stretch more."""
        first, stop = self._done, self._cuts[bisect_left(self._cuts, self._done + 1)]
        low, high = max(0, first - _AROUND) // 2 * 2, min(self.rows, stop + _AROUND)
        reach = self._net.reach if self._net is not None else 0
        self._measure(low, min(self.rows, high + reach))
        a = self._scale.applied(self._measured.slice(low - self._measured_from, high - self._measured_from))
        segments, speaking = self._sounds(a, low, high)
        inside = slice(first - low, stop - low)
        if self._found is None:
            self._keep(segments, low, first, stop)
            own = (a.level, a.voiced, a.pitch) if speaking is None else (a.level, a.voiced, a.pitch, speaking)
            self._kept.append(tuple(x[inside].copy() for x in own))
        if speaking is not None:
            a = listening.only_speech(a, speaking)
        self.mouth[first:stop] = self._mouth(a, segments, None if self.emotion is None else self.emotion[low:high])[inside]
        self.level[first:stop] = a.level[inside]
        found = find_prosody(a, (high - low) * ac.HOP, self._reference)
        at = found.accents + low * ac.HOP
        mine = (at >= first * ac.HOP - 1e-9) & (at < stop * ac.HOP - 1e-9)
        self._accents.append(at[mine])
        self._strengths.append(found.strengths[mine])
        self._pause(a.level[inside] < 0.10, first, stop == self.rows)
        self._done = stop
        self.until = np.inf if stop == self.rows else stop * ac.HOP - _UNCERTAIN

    def _measure(self, low: int, stop: int) -> None:
        """Have rows ``low`` to ``stop`` measured; what lies before is let go."""
        known = self._measured_from + len(self._measured)
        parts = [self._measured.slice(low - self._measured_from, len(self._measured))]
        if self._net is not None:
            # the recogniser looks further back than the rest
            parts = [self._measured.slice(max(0, low - self._net.reach - self._measured_from), len(self._measured))]
        if stop > known:
            parts.append(ac.Measured.of(self._x, known, stop))
        self._measured_from = known - len(parts[0])
        self._measured = ac.Measured.joined(parts)

    def _sounds(self, a: ac.Acoustics, low: int, high: int) -> tuple[list[Segment], np.ndarray | None]:
        """Segments of a stretch, timed from row ``low``, and where in it somebody speaks."""
        if self._found is not None:
            known, start = self._found, low * ac.HOP
            at = max(0, bisect_left(self._starts, start) - 1)
            end = bisect_left(self._starts, high * ac.HOP)
            near = [replace(s, start=s.start - start, end=s.end - start) for s in known.segments[at:end]] if low else known.segments[:end]
            return near, None if known.speaking is None else known.speaking[low:high]
        if self._net is None:
            return [], None
        done, reach = len(self._heard), self._net.reach
        begin = max(0, 2 * done - reach) // 2 * 2
        mel = self._measured.mel[begin - self._measured_from : min(self.rows, high + reach) - self._measured_from]
        fresh = self._net.hear(mel, self._voice)[done - begin // 2 : (high + 1) // 2 - begin // 2]
        self._heard = np.concatenate((self._heard, fresh))
        heard = self._heard[low // 2 :]
        speaking = listening.speaking(a, heard)
        if self._model is not None:
            step = round(ac.RATE * ac.HOP)
            other = self._model.hear(self._x[low * step : high * step], self._opinion)[: len(heard)]
            heard = phones.joined(heard, other, self._share)
        return phonemes.decode(heard, self._net.follow), speaking

    def _keep(self, segments: list[Segment], low: int, first: int, stop: int) -> None:
        """Note the segments of rows ``first`` to ``stop``; one that lies across the border of two stretches stays one."""
        begin, end = first * ac.HOP if first else -np.inf, stop * ac.HOP if stop < self.rows else np.inf
        for s in segments:
            own = replace(s, start=max(s.start + low * ac.HOP, begin), end=min(s.end + low * ac.HOP, end))
            if own.end - own.start < 1e-6:
                continue
            if self._segments and self._segments[-1].viseme == own.viseme and own.start - self._segments[-1].end < 1e-6:
                self._segments[-1] = replace(self._segments[-1], end=own.end)
            else:
                self._segments.append(own)

    def _mouth(self, a: ac.Acoustics, segments: list[Segment], emotion: np.ndarray | None) -> np.ndarray:
        """(N, 52) mouth curves of a stretch."""
        heard = mouth_from_signal(a, self._reference)
        if segments:
            shaped = scale_jaw(coarticulate(segments, len(a)), a.level)
            trust = np.zeros(len(a), np.float32)
            for s in segments:
                trust[max(0, int(round(s.start / ac.HOP))) : max(0, int(round(s.end / ac.HOP)) + 1)] = s.confidence
            trust = gaussian_filter1d(trust, 0.03 / ac.HOP, mode="nearest")[:, None]
            heard = trust * shaped + (1 - trust) * heard
        heard *= self._asked.mouth
        if emotion is not None:
            # while the mouth speaks, an emotion shows mostly in its corners and in the rest of the face
            speaking = gaussian_filter1d(np.clip(a.level * 3, 0, 1), 0.12 / ac.HOP, mode="nearest")[:, None]
            heard = heard + emotion * MOUTH * (1 - 0.45 * speaking)
        return close_lips(heard, [s for s in segments if s.confidence > 0.3])

    def _pause(self, quiet: np.ndarray, first: int, last: bool) -> None:
        """Note the pauses of rows from ``first`` on, ``quiet`` (N,) bool."""
        before = self._quiet_since is not None
        edges = np.flatnonzero(np.diff(np.concatenate(([before], quiet)).astype(int)))
        ends = [*(first + edges).tolist(), *([first + len(quiet)] if last and (quiet[-1] if len(quiet) else before) else [])]
        for row in ends:
            if self._quiet_since is None:
                self._quiet_since = row
            else:
                if (row - self._quiet_since) * ac.HOP >= _PAUSE:
                    self._pauses.append((self._quiet_since * ac.HOP, row * ac.HOP))
                self._quiet_since = None
