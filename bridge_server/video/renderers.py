# SPDX-License-Identifier: Apache-2.0
"""What a renderer of films is, and how one is found by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, Final, Protocol

import numpy as np

from bridge_server.motion.generator import Report
from bridge_server.pose_track.track import PoseTrack
from bridge_server.video.photo import Photo
from shared.errors import UnderstudyError

__all__ = ["BUILT_IN", "DEFAULT", "ENTRY_POINT_GROUP", "Description", "Renderer", "Scene", "available", "describe_all", "load"]

ENTRY_POINT_GROUP: Final = "understudy.renderers"
DEFAULT: Final = "puppet"
BUILT_IN: Final = {"puppet": "bridge_server.video.puppet.renderer:PuppetRenderer"}


@dataclass(frozen=True)
class Scene:
    """Everything that a renderer is given.

    :ivar track: the performance as key points; its fps is the film's.
    :ivar face: ARKit curves (T,) at the track's rate, weights in [0, 1].
    :ivar photo: the picture of the person.
    :ivar points: (66, 2) in the photograph's pixels and (66,) confidence, placed by the user or a detector; None to look for them.
    :ivar width: of the film, pixels; even. :ivar height: likewise.
    :ivar seed: for renderers that draw at random.
    """

    track: PoseTrack
    face: Mapping[str, np.ndarray]
    photo: Photo
    points: tuple[np.ndarray, np.ndarray] | None
    width: int
    height: int
    seed: int = 0


@dataclass(frozen=True)
class Description:
    """A renderer for people: :ivar needs: what it needs, in a sentence. :ivar runs_here: whether it can run on this machine.
    :ivar why_not: what is missing here, else empty. :ivar notes: of the prepared scene, such as fallbacks taken."""

    name: str
    summary: str
    needs: str
    runs_here: bool
    why_not: str = ""
    licence: str = ""
    notes: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """For ``welcome`` and ``doctor``."""
        return dict(vars(self))


class Renderer(Protocol):
    """Draws films. Made once; a scene is prepared before its frames are drawn, in any order of segments."""

    @classmethod
    def describe(cls) -> Description:
        """Cheap, and never raises: without loading a model."""

    def prepare(self, scene: Scene, report: Report) -> list[str]:
        """Look at the photograph and load what is needed; returns sentences about fallbacks.

        :raises UnderstudyError: everything that can go wrong with this scene, before any long work.
        """

    def frames(self, start: int, stop: int, report: Report) -> Iterator[np.ndarray]:
        """Frames ``start`` to ``stop`` (excluded) of the prepared scene, (H, W, 3) uint8 RGB; the same for any division."""


def available() -> dict[str, str]:
    """``module:attribute`` by name: the built-in renderers and those of installed packages."""
    return {**{e.name: e.value for e in entry_points(group=ENTRY_POINT_GROUP)}, **BUILT_IN}


def _class(name: str) -> Any:
    target = available().get(name, name if ":" in name else "")
    if not target:
        raise UnderstudyError("unsupported", f"There is no film renderer named {name!r}.",
                              f"Choose one of {', '.join(sorted(available()))}.")
    module, _, attribute = target.partition(":")
    try:
        return getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise UnderstudyError("unsupported", f"The film renderer {name!r} cannot be loaded ({error}).",
                              "Install the film packages: pip install 'understudy[film]'.") from error


def load(name: str = DEFAULT, **options: Any) -> Renderer:
    """A renderer. :raises UnderstudyError: ``unsupported`` for an unknown name or one that cannot run here."""
    cls = _class(name)
    facts = cls.describe()
    if not facts.runs_here:
        raise UnderstudyError("unsupported", f"The film renderer {name!r} cannot run here: {facts.why_not}", facts.needs)
    renderer: Renderer = cls(**options)
    return renderer


def describe_all() -> list[Description]:
    """Every renderer that is installed, in the order of names; one that fails to load is listed with the reason."""
    out = []
    for name in sorted(available()):
        try:
            out.append(_class(name).describe())
        except UnderstudyError as error:
            out.append(Description(name, "", error.fix, False, error.message))
    return out
