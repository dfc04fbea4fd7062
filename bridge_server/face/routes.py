# SPDX-License-Identifier: Apache-2.0
"""Who performs a face: the rules of this package, Audio2Face-3D weights that the user has, or another package.

A route is found by name: ``rules`` (the default), ``audio2face`` (the folder of a model is named by
``UNDERSTUDY_AUDIO2FACE``), ``generator`` (weights that have learnt faces, see :mod:`.generated`), or an entry point of the
group ``understudy.faces``, which is a callable without arguments that gives a :class:`Route`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import lru_cache
from importlib.metadata import entry_points
from typing import Any, Final, Protocol

import numpy as np

from bridge_server.audio.sound import Audio
from bridge_server.face import generated
from bridge_server.face.audio2face import Audio2Face
from bridge_server.face.maps import load_fit
from bridge_server.face.performance import FaceOptions, FacePerformance, Performing, perform
from shared.errors import UnderstudyError

__all__ = ["AUDIO2FACE", "ENTRY_POINT_GROUP", "FIT", "Audio2FaceRoute", "Begun", "Route", "available", "begin", "fit_matrix", "load"]

ENTRY_POINT_GROUP: Final = "understudy.faces"
AUDIO2FACE: Final = "UNDERSTUDY_AUDIO2FACE"
"""Environment variable: the folder of an Audio2Face-3D model."""
FIT: Final = "UNDERSTUDY_FACE_FIT"
"""Environment variable: a user's own matrix from ARKit weights to SMPL-X or FLAME expression."""
_FEELINGS: Final = {
    "happy": "joy",
    "sad": "sadness",
    "angry": "anger",
    "surprised": "amazement",
    "disgusted": "disgust",
    "afraid": "fear",
    "contempt": "cheekiness",
}
"""Our emotions by the nearest of Audio2Face's."""


class Route(Protocol):
    """Performs faces; made once and kept."""

    def perform(
        self, audio: Audio | None, times: np.ndarray, seed: int, transcript: str | None, options: FaceOptions
    ) -> FacePerformance:
        """As :func:`.performance.perform`. :raises UnderstudyError: with a sentence for the user."""


class Begun(Protocol):
    """A face that is made as far as it is asked for."""

    def upto(self, count: int) -> FacePerformance:
        """The face, of which at least the first ``count`` frames are made and stay as they are."""


class _AtOnce:
    """The face of a route that makes it as a whole."""

    def __init__(self, make: Callable[[], FacePerformance]) -> None:
        self._make = make
        self._made: FacePerformance | None = None

    def upto(self, count: int) -> FacePerformance:
        if self._made is None:
            self._made = self._make()
        return self._made


class _Rules:
    def perform(
        self, audio: Audio | None, times: np.ndarray, seed: int, transcript: str | None, options: FaceOptions
    ) -> FacePerformance:
        return perform(audio, times, seed, transcript, options)


def begin(
    route: Route, audio: Audio | None, times: np.ndarray, seed: int, transcript: str | None, options: FaceOptions
) -> Begun:
    """What ``route.perform`` gives, little by little where the route can; errors of others come with the first frames."""
    if isinstance(route, _Rules):
        return Performing(audio, times, seed, transcript, options)
    return _AtOnce(lambda: route.perform(audio, times, seed, transcript, options))


class Audio2FaceRoute:
    """Lips, cheeks and brows by an Audio2Face model; words, eyes, blinks and nods by the rules.

    :raises UnderstudyError: what :class:`~.audio2face.Audio2Face` raises.
    """

    def __init__(self, folder: str) -> None:
        self._model = Audio2Face(folder)

    def perform(
        self, audio: Audio | None, times: np.ndarray, seed: int, transcript: str | None, options: FaceOptions
    ) -> FacePerformance:
        """See :class:`Route`."""
        made = perform(audio, times, seed, transcript, options)
        if audio is None or made.source == "none" or len(times) == 0:
            return made
        feelings = {_FEELINGS[name]: value for name, value in options.emotions.items() if name in _FEELINGS}
        for name, curve in self._model.perform(audio, np.asarray(times) + options.lead, feelings).items():
            if name.startswith(("mouth", "jaw", "tongue")):
                made.curves[name] = np.clip(curve * options.mouth, 0, 1).astype(np.float32)
            elif name.startswith("brow"):
                made.curves[name] = np.clip(curve * options.brows, 0, 1).astype(np.float32)
            elif name.startswith(("cheek", "nose", "eyeSquint", "eyeWide")):
                made.curves[name] = curve
        made.source = "audio2face"
        return made


def available() -> list[str]:
    """The routes that can be named on this machine."""
    own = ["rules"] + (["audio2face"] if os.environ.get(AUDIO2FACE) else []) + ([generated.ROUTE] if generated.is_there() else [])
    return own + sorted(e.name for e in entry_points(group=ENTRY_POINT_GROUP))


@lru_cache(maxsize=4)
def _audio2face(folder: str) -> Audio2FaceRoute:
    return Audio2FaceRoute(folder)


def load(name: str = "", metadata: dict[str, Any] | None = None) -> Route:
    """A route by name; "" is the default. :raises UnderstudyError: ``unsupported`` for an unknown one.

    :param metadata: of the take whose face is to be made, by which ``generator`` chooses its weights.
    """
    if name in ("", "rules"):
        return _Rules()
    if name == "audio2face":
        folder = os.environ.get(AUDIO2FACE, "")
        if not folder:
            raise UnderstudyError(
                "weights_missing",
                "No folder with an Audio2Face model is known to the bridge.",
                f"Start the bridge with {AUDIO2FACE} set to the folder of an Audio2Face-3D v2 model.",
            )
        return _audio2face(folder)
    if name == generated.ROUTE:
        return generated.GeneratorRoute(metadata)
    found = {e.name: e for e in entry_points(group=ENTRY_POINT_GROUP)}
    if name not in found:
        raise UnderstudyError(
            "unsupported", f"There is no face route named {name!r}.", f"Choose one of {', '.join(available())}."
        )
    route: Route = found[name].load()()
    return route


def fit_matrix() -> np.ndarray | None:
    """The user's own (52, E) matrix that :data:`FIT` names, or None. :raises UnderstudyError: ``file_missing``, ``file_invalid``."""
    path = os.environ.get(FIT, "")
    return _fit(path, os.path.getmtime(path) if os.path.isfile(path) else 0.0) if path else None


@lru_cache(maxsize=2)
def _fit(path: str, _changed: float) -> np.ndarray:
    return load_fit(path)
