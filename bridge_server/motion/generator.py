# SPDX-License-Identifier: Apache-2.0
"""What a motion generator is to the bridge, and how one is found by name."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, Final, Protocol

from bridge_server.audio.sound import Audio
from shared.errors import UnderstudyError
from shared.motion import Motion
from shared.requests import MotionRequest

__all__ = ["DEFAULT", "ENTRY_POINT_GROUP", "Chunk", "Generator", "Report", "available", "load"]

ENTRY_POINT_GROUP: Final = "understudy.generators"
DEFAULT: Final = "versa"


class Report(Protocol):
    """Takes progress and gives the cancel: called often, at least every 100 ms of work."""

    def __call__(self, stage: str, fraction: float) -> None:
        """``fraction`` of the whole job in [0, 1]. :raises UnderstudyError: ``cancelled``, to be let through."""


Chunk = Callable[[int, Motion], None]
"""Receives (first frame, frames that are final) while the rest is still being made."""


class Generator(Protocol):
    """Performs requests; made once per worker and kept."""

    def perform(self, request: MotionRequest, audio: Audio | None, report: Report, chunk: Chunk | None = None) -> Motion:
        """The performance, at ``request.fps``, of the request's duration.

        :raises UnderstudyError: with a sentence for the user.
        """

    def describe(self) -> dict[str, Any]:
        """``{"name", "weights", "licence", "device", "non_commercial"}``, for ``welcome`` and ``doctor``."""


def available() -> dict[str, Any]:
    """Entry points by name: the built-in generator and those of installed packages."""
    return {e.name: e for e in entry_points(group=ENTRY_POINT_GROUP)}


def load(name: str = DEFAULT, weights: str = "starter", device: str = "cpu") -> Generator:
    """Make a generator: its entry point is a callable ``(weights, device) -> Generator``.

    :param name: the built-in one, an entry point, or ``module:attribute`` for one that is not packaged.

    :raises UnderstudyError: ``unsupported`` for an unknown name, or what the generator raises about its weights.
    """
    if name == DEFAULT:
        # the built-in one must also work from a source tree that is not installed
        from bridge_server.motion.versa import VersaGenerator

        return VersaGenerator(weights, device)
    if ":" in name:
        module, _, attribute = name.partition(":")
        try:
            factory = getattr(import_module(module), attribute)
        except (ImportError, AttributeError) as error:
            raise UnderstudyError("unsupported", f"There is no motion generator {name!r} ({error}).",
                                  "Check the name, and that its package is installed.") from error
        return factory(weights, device)
    found = available()
    if name not in found:
        raise UnderstudyError("unsupported", f"There is no motion generator named {name!r}.",
                              f"Choose one of {', '.join(sorted({DEFAULT, *found}))}.")
    return found[name].load()(weights, device)
