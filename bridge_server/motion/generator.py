# SPDX-License-Identifier: Apache-2.0
"""What a motion generator is to the bridge, and how one is found by name (docs/generators.md)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final, Protocol

from bridge_server.audio.sound import Audio
from shared.errors import UnderstudyError
from shared.motion import Motion
from shared.requests import MotionRequest

__all__ = ["DEFAULT", "ENTRY_POINT_GROUP", "Chunk", "Description", "Generator", "Report", "available", "describe_all", "load"]

ENTRY_POINT_GROUP: Final = "understudy.generators"
DEFAULT: Final = "versa"
PROCESS: Final = "process:"


class Report(Protocol):
    """Takes progress and gives the cancel: called often, at least every 100 ms of work."""

    def __call__(self, stage: str, fraction: float) -> None:
        """``fraction`` of the whole job in [0, 1]. :raises UnderstudyError: ``cancelled``, to be let through."""


Chunk = Callable[[int, Motion], None]
"""Receives (first frame, frames that are final) while the rest is still being made."""


class Generator(Protocol):
    """Performs requests; made once per worker and kept.

    It may also have ``shrink() -> bool``, called after it ran out of memory: arrange to need less, False when nothing is left to
    reduce; ``memory_needed(seconds) -> int``: bytes above the loaded model that a performance of that length takes at the least (must
    not fall as the seconds grow), from which the user is told what would fit; and ``close()``, called before another takes its place.
    """

    def perform(self, request: MotionRequest, audio: Audio | None, report: Report, chunk: Chunk | None = None) -> Motion:
        """The performance, at ``request.fps``, of the request's duration.

        :raises UnderstudyError: with a sentence for the user.
        """

    def describe(self) -> dict[str, Any]:
        """``{"name", "weights", "licence", "device", "non_commercial"}``, for ``welcome`` and ``doctor``."""


@dataclass(frozen=True)
class Description:
    """A generator for people, without loading it.

    :ivar needs: what it needs, in a sentence. :ivar runs_here: whether it can run on this machine. :ivar why_not: what is
        missing here, else empty. :ivar licence: of what it makes. :ivar source: where it comes from.
    """

    name: str
    summary: str
    needs: str = ""
    runs_here: bool = True
    why_not: str = ""
    licence: str = ""
    non_commercial: bool = False
    source: str = ""


def available() -> dict[str, EntryPoint]:
    """Entry points by name: those of installed packages, among them the built-in one where the bridge is installed."""
    return {e.name: e for e in entry_points(group=ENTRY_POINT_GROUP)}


def _factory(name: str) -> Any:
    """The callable that makes a generator. :raises UnderstudyError: ``unsupported``."""
    from .process_spec import configured, read_spec

    if name == DEFAULT:
        # the built-in one must also work from a source tree that is not installed
        from bridge_server.motion.versa import VersaGenerator

        return VersaGenerator
    if name.startswith(PROCESS):
        from .process import ProcessFactory

        return ProcessFactory(read_spec(name.removeprefix(PROCESS)))
    found, files = available(), configured()
    try:
        if ":" in name:
            module, _, attribute = name.partition(":")
            return getattr(import_module(module), attribute)
        if name in found:
            return found[name].load()
    except (ImportError, AttributeError) as error:
        raise UnderstudyError("unsupported", f"The motion generator {name!r} cannot be imported ({error}).",
                              "Check the name, and install or repair the package that brings it.") from error
    if name in files:
        from .process import ProcessFactory

        return ProcessFactory(read_spec(files[name]))
    raise UnderstudyError("unsupported", f"There is no motion generator named {name!r}.",
                          f"Choose one of {', '.join(sorted({DEFAULT, *found, *files}))}, or write module:attribute or "
                          f"{PROCESS}FILE.toml.")


def load(name: str = DEFAULT, weights: str = "starter", device: str = "cpu") -> Generator:
    """Make a generator: it comes from a callable ``(weights, device) -> Generator``.

    :param name: the built-in one; an entry point; a generator of the user's configuration folder; ``module:attribute`` for
        one that is not packaged; ``process:FILE.toml`` for one in an environment of its own.
    :raises UnderstudyError: ``unsupported`` for an unknown name, or what the generator raises about its weights.
    """
    made: Generator = _factory(name)(weights, device)
    return made


def describe(name: str) -> Description:
    """A generator without loading its model; one that cannot be imported is described by the reason.

    A factory may have ``about() -> Description``, cheap and never raising; without it only the name and package are known.
    """
    entry = available().get(name)
    source = "built in" if name == DEFAULT else f"package {entry.dist.name}" if entry is not None and entry.dist is not None else ""
    try:
        factory = _factory(name)
        about = getattr(factory, "about", None)
        facts = about() if callable(about) else Description(name, (factory.__doc__ or "").strip().partition("\n")[0])
    except UnderstudyError as error:
        return Description(name, "", error.fix, False, error.message, source=source)
    return Description(name, facts.summary, facts.needs, facts.runs_here, facts.why_not, facts.licence, facts.non_commercial,
                       source or facts.source)


def describe_all() -> list[Description]:
    """Every generator that is found, the default first, then by name."""
    from .process_spec import configured

    names = {*available(), *configured()} - {DEFAULT}
    return [describe(name) for name in (DEFAULT, *sorted(names))]
