# SPDX-License-Identifier: Apache-2.0
"""What pocketsphinx's acoustic model hears: a second opinion by a model of English that has listened to people.

The recogniser has listened to machines, in many languages. Where pocketsphinx is installed, the Gaussians of its phones
are read from its package (BSD) and evaluated here: the soft probabilities of all phones say more than the one sequence that
its decoder gives, and cost less. No order of phones is taken for granted, so that speech in other languages is heard as the
nearest English sounds. How much the second opinion counts depends on how far the two
agree (a worn recording or an odd voice leads this model astray) and on how sure the recogniser is by itself.

Layout (``model/en-us/en-us``): ``means`` and ``variances`` (phones, 3 streams, 128, 13) float32, ``mdef`` the phones' names,
``sendump`` the weights of the 128 Gaussians per stream and state, ``transition_matrices`` (phones, 3, 4); the streams are
13 cepstra every 10 ms, their differences over 40 ms, and the differences of those.
"""

from __future__ import annotations

import logging
import struct
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np
from scipy.fft import dct

from bridge_server.face.acoustics import HOP, RATE
from bridge_server.face.recogniser import FRAME
from bridge_server.face.visemes import VISEME_INDEX, VISEMES, arpabet_visemes

__all__ = ["Opinion", "Phones", "agreement", "both", "joined", "load", "share"]

log = logging.getLogger(__name__)
_STEP: Final = round(RATE * HOP)
_WINDOW: Final = 410
_FFT: Final = 512
_BANDS: Final = 25
_EDGES: Final = (130.0, 6800.0)
_CEPSTRA: Final = 13
_LIFTER: Final = 22
_DENSITIES: Final = 128
_STATES: Final = 3
_FLOOR: Final = 1e-4
"""Noise, of full scale, that is thought under every sound; digital silence is nothing that the model could measure."""
_BLOCK, _AROUND = 3000, 100
"""Rows that are heard at once, and rows to either side that they are heard with."""
_DOUBT: Final = 1e-4
"""The least probability that this model's word gives to a viseme: it may be sure and wrong."""
_SHUT: Final = VISEME_INDEX["PP"]
_SHARE: Final = 0.35
"""The most that this model has to say, 0 to 1."""
_AGREE: Final = (0.25, 0.45)
"""Agreement under which the second opinion does not count, and from which on it has all of :data:`_SHARE`."""
_SURE, _UNSURE, _LITTLE = -0.40, -0.55, 0.10
"""Mean log probability of what the recogniser hears from which on the second opinion has :data:`_LITTLE` to say at most,
and under which it has all; it is sure of voices like those that it has learnt."""


@dataclass(frozen=True)
class Opinion:
    """What of a clip stays the same throughout.

    :ivar gain: factor that brings its peaks to half of full scale.
    :ivar channel: (13,) its mean cepstra.
    """

    gain: float
    channel: np.ndarray


@lru_cache(maxsize=1)
def _bank() -> np.ndarray:
    """(257, 25) triangles of equal area on the mel scale, with edges on the bins of the spectrum, as pocketsphinx has them."""
    low, high = 2595 * np.log10(1 + np.array(_EDGES) / 700)
    edges = 700 * (10 ** (np.linspace(low, high, _BANDS + 2) / 2595) - 1)
    edges = np.round(edges * _FFT / RATE) * RATE / _FFT
    f = np.fft.rfftfreq(_FFT, 1 / RATE)[:, None]
    rise = (f - edges[:-2]) / (edges[1:-1] - edges[:-2])
    fall = (edges[2:] - f) / (edges[2:] - edges[1:-1])
    bank: np.ndarray = np.maximum(0, np.minimum(rise, fall)) * 2 / (edges[2:] - edges[:-2])
    return bank


def _cepstra(samples: np.ndarray, gain: float) -> np.ndarray:
    """(N // 160 + 1, 13) mel cepstra of samples (N,); row ``k`` is of the 26 ms from ``k * HOP`` on."""
    x = np.pad(samples.astype(np.float64) * gain * 32768, (1, _WINDOW))
    x = x[1:] - 0.97 * x[:-1]
    window = np.hamming(_WINDOW)
    frames = np.lib.stride_tricks.sliding_window_view(x, _WINDOW)[::_STEP][: len(samples) // _STEP + 1]
    power = np.abs(np.fft.rfft(frames * window, _FFT, axis=1)) ** 2
    emphasis = np.abs(1 - 0.97 * np.exp(-2j * np.pi * np.arange(_FFT // 2 + 1) / _FFT)) ** 2
    noise = (_FLOOR * 32768) ** 2 * np.sum(window**2) * emphasis
    found: np.ndarray = dct(np.log((power + noise) @ _bank()), type=2, norm="ortho", axis=1)[:, :_CEPSTRA]
    return found * (1 + _LIFTER / 2 * np.sin(np.pi * np.arange(_CEPSTRA) / _LIFTER))


def _streams(cepstra: np.ndarray) -> list[np.ndarray]:
    """The three streams (N, 13) of cepstra (N, 13)."""
    padded, rows = np.pad(cepstra, ((3, 3), (0, 0)), mode="edge"), len(cepstra)
    at = [padded[k : k + rows] for k in range(7)]
    return [cepstra, at[5] - at[1], (at[6] - at[2]) - (at[4] - at[0])]


class Phones:
    """The model in a folder.

    :raises OSError: when a file is missing. :raises ValueError: when one is of another layout. :raises IndexError: likewise.
    """

    def __init__(self, folder: Path) -> None:
        definition = (folder / "mdef").read_bytes()
        at = 12 + struct.unpack_from("<i", definition, 8)[0]
        count, _, states, senones_of_phones, senones = struct.unpack_from("<5i", definition, at)
        names = [n.decode("ascii") for n in definition[at + 40 :].split(b"\0", count)[:count]]
        if definition[:4] != b"BMDF" or states != _STATES or senones_of_phones != count * states:
            raise ValueError("mdef is of another layout")
        shape = (count, 3, _DENSITIES, _CEPSTRA)
        means, variances = (self._body(folder / name, shape) for name in ("means", "variances"))
        precision = 1 / np.maximum(variances, 1e-4)
        constant = -0.5 * (np.log(2 * np.pi / precision).sum(-1) + (means**2 * precision).sum(-1))
        factors = np.concatenate((-0.5 * precision, means * precision), axis=-1)
        # per stream: (26, phones * 128) to multiply squares and values by, and what is added
        self._factors = [np.ascontiguousarray(factors[:, k].reshape(-1, 2 * _CEPSTRA).T) for k in range(3)]
        self._constants = [constant[:, k].reshape(-1) for k in range(3)]
        # weights are bytes, negative logarithms to the base 1.0001 over 1024; the phones' own states stand first
        weights = np.frombuffer((folder / "sendump").read_bytes()[-3 * _DENSITIES * senones :], np.uint8)
        weights = weights.reshape(3, _DENSITIES, senones)[:, :, : count * states].astype(np.float32)
        weights = np.exp(-weights * 1024 * np.log(1.0001))
        self._weights = weights.reshape(3, _DENSITIES, count, states).transpose(0, 2, 1, 3).astype(np.float32)
        self._steps = self._transitions(self._body(folder / "transition_matrices", (count, states, states + 1)))
        self._visemes = _of_states(names)

    @staticmethod
    def _body(path: Path, shape: tuple[int, ...]) -> np.ndarray:
        """The values of a file of Sphinx's that has a checksum after them."""
        data = path.read_bytes()
        at = data.index(b"endhdr\n") + 7
        size = int(np.prod(shape))
        end = len(data) - (4 if b"chksum0 yes" in data[:at] else 0)
        if data[at : at + 4] != struct.pack("<I", 0x11223344) or end - 4 * size < at:
            raise ValueError(f"{path.name} is of another layout")
        return np.frombuffer(data[end - 4 * size : end], "<f4").reshape(shape)

    @staticmethod
    def _transitions(own: np.ndarray) -> np.ndarray:
        """(S, S) probabilities of going from one state to another; after a phone any phone may come."""
        count = len(own)
        steps = np.zeros((count, _STATES, count, _STATES))
        each = np.arange(count)
        steps[each, :, each, :] = own[:, :, :_STATES]
        steps[:, :, :, 0] += own[:, :, _STATES, None] / count
        return steps.reshape(count * _STATES, count * _STATES)

    def voice(self, samples: np.ndarray) -> Opinion:
        """What is the same throughout a clip, by samples (N,) at 16 kHz of it or of a loud stretch of it."""
        gain = 0.5 / max(float(np.abs(samples).max(initial=0)), 1e-4)
        return Opinion(gain, _cepstra(samples, gain).mean(axis=0))

    def hear(self, samples: np.ndarray, opinion: Opinion) -> np.ndarray:
        """Probabilities (M, 15) of the visemes every :data:`~.recogniser.FRAME` of samples (N,) at 16 kHz, M = N // 320 + 1."""
        rows = len(samples) // _STEP + 1
        out = []
        for first in range(0, rows, _BLOCK):
            low, high = max(0, first - _AROUND), min(rows, first + _BLOCK + _AROUND)
            part = _cepstra(samples[low * _STEP : (high - 1) * _STEP + _WINDOW], opinion.gain)[: high - low]
            found = self._sounding(self._likelihoods(_streams(part - opinion.channel)))
            out.append(found[first - low : min(first + _BLOCK, rows) - low])
        return np.concatenate(out)[:: round(FRAME / HOP)]

    def _likelihoods(self, streams: list[np.ndarray]) -> np.ndarray:
        """(N, S) log likelihoods of the states."""
        total = 0.0
        for x, factors, constants, weights in zip(streams, self._factors, self._constants, self._weights, strict=True):
            densities = np.concatenate((x * x, x), axis=1).astype(np.float32) @ factors + constants
            densities = densities.reshape(len(x), -1, _DENSITIES).transpose(1, 0, 2)
            best = densities.max(axis=2, keepdims=True)
            mixed = np.log(np.exp(densities - best) @ weights + 1e-30) + best
            total = total + mixed.transpose(1, 0, 2).reshape(len(x), -1)
        return np.asarray(total)

    def _sounding(self, likelihoods: np.ndarray) -> np.ndarray:
        """(N, 15) probabilities of the visemes, given all that is heard before and after (forward-backward)."""
        heard = np.exp((likelihoods - likelihoods.max(axis=1, keepdims=True)).astype(np.float64))
        rows, states = heard.shape
        before, after = np.empty((rows, states)), np.empty((rows, states))
        reached = np.zeros(states)
        reached[::_STATES] = 1.0
        for k in range(rows):
            reached = (reached @ self._steps if k else reached) * heard[k]
            reached /= reached.sum() + 1e-300
            before[k] = reached
        ahead = np.ones(states)
        for k in range(rows - 1, -1, -1):
            after[k] = ahead
            ahead = self._steps @ (heard[k] * ahead)
            ahead /= ahead.sum() + 1e-300
        both = before * after
        return (both / (both.sum(axis=1, keepdims=True) + 1e-300)) @ self._visemes


def _of_states(names: list[str]) -> np.ndarray:
    """(S, 15) visemes of the states of phones; /h/ says nothing, a diphthong goes over in its middle."""
    out = np.zeros((len(names), _STATES, len(VISEMES)))
    for row, name in zip(out, names, strict=True):
        shapes = [VISEME_INDEX[v] for v in arpabet_visemes(name)]
        if not shapes:
            row[:] = 1 / len(VISEMES)
        else:
            row[:, shapes[0]] += (1.0, 0.5, 0.0)
            row[:, shapes[-1]] += (0.0, 0.5, 1.0)
    return out.reshape(-1, len(VISEMES))


def agreement(heard: np.ndarray, other: np.ndarray) -> float:
    """How far two opinions (M, 15) agree on what sounds, 0 to 1, where the first hears somebody speak."""
    speaking = heard[:, 0] < 0.5
    return float((heard[speaking, 1:] * other[speaking, 1:]).sum(axis=1).mean()) if speaking.any() else 0.0


def share(heard: np.ndarray, other: np.ndarray) -> float:
    """How much a second opinion (M, 15) on a clip has to say beside the recogniser's (M, 15), 0 to :data:`_SHARE`."""
    speaking = heard[:, 0] < 0.5
    if not speaking.any():
        return 0.0
    sure = float(np.log(heard[speaking].max(axis=1)).mean())
    agreed = _SHARE * np.clip((agreement(heard, other) - _AGREE[0]) / (_AGREE[1] - _AGREE[0]), 0, 1)
    needed = _LITTLE + (_SHARE - _LITTLE) * np.clip((sure - _SURE) / (_UNSURE - _SURE), 0, 1)
    return float(min(agreed, needed))


def joined(heard: np.ndarray, other: np.ndarray, share: float) -> np.ndarray:
    """Probabilities (M, 15) that are the geometric mean of two, the second with ``share``; on silence the first decides.

    Lips that the first would close stay at least half as likely to close: a closure that is missed is what eyes notice first.
    """
    both = np.maximum(heard, 1e-5) ** (1 - share) * np.maximum(other, _DOUBT) ** share
    both[:, 0] = 0
    both *= (1 - heard[:, :1]) / both.sum(axis=1, keepdims=True)
    shut = np.maximum(both[:, _SHUT], (both[:, _SHUT] + heard[:, _SHUT]) / 2)
    rest = 1 - heard[:, 0] - both[:, _SHUT]
    both *= (np.maximum(1 - heard[:, 0] - shut, 0) / np.maximum(rest, 1e-9))[:, None]
    both[:, 0], both[:, _SHUT] = heard[:, 0], shut
    return both


def both(heard: np.ndarray, samples: np.ndarray) -> np.ndarray:
    """The recogniser's probabilities (M, 15) of a clip with this model's of its samples (N,) at 16 kHz, where it is installed."""
    model = load()
    if model is None:
        return heard
    other = model.hear(samples, model.voice(samples))[: len(heard)]
    return joined(heard, other, share(heard, other))


@lru_cache(maxsize=1)
def load() -> Phones | None:
    """The model of the installed pocketsphinx, or None where there is none, or one of another layout."""
    try:
        from pocketsphinx import get_model_path

        return Phones(Path(get_model_path("en-us/en-us")))
    except ImportError:
        return None
    except (OSError, ValueError, IndexError, struct.error) as error:
        log.warning("pocketsphinx's acoustic model is of another layout and is not listened to: %s", error)
        return None
