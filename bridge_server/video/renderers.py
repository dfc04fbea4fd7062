# SPDX-License-Identifier: Apache-2.0
"""What a renderer of films is, and how one is found by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from importlib import import_module
from importlib.metadata import entry_points
from inspect import signature
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np

from bridge_server.motion.generator import Report
from bridge_server.pose_track.track import PoseTrack
from bridge_server.video.photo import Photo
from shared.errors import UnderstudyError

__all__ = [
    "BUILT_IN", "DEFAULT", "ENTRY_POINT_GROUP", "QUALITIES", "Cost", "Description", "Renderer", "Scene", "available",
    "describe_all", "load",
]

ENTRY_POINT_GROUP: Final = "understudy.renderers"
DEFAULT: Final = "puppet"
QUALITIES: Final = ("draft", "normal", "best")
"""How much time a renderer may take; one that has no such choice draws all three alike."""
BUILT_IN: Final = {
    "puppet": "bridge_server.video.puppet.renderer:PuppetRenderer",
    "versa": "bridge_server.video.versa.renderer:VersaRenderer",
    "wan-animate": "bridge_server.video.wan_animate.renderer:WanAnimateRenderer",
    "wan-animate-2": "bridge_server.video.wan_animate_2.renderer:WanAnimate2Renderer",
}


@dataclass(frozen=True)
class Scene:
    """Everything that a renderer is given.

    :ivar track: the performance as key points; its fps is the film's.
    :ivar face: ARKit curves (T,) at the track's rate, weights in [0, 1].
    :ivar photo: the picture of the person.
    :ivar points: (66, 2) in the photograph's pixels and (66,) confidence, placed by the user or a detector; None to look for them.
    :ivar width: of the film, pixels; even. :ivar height: likewise.
    :ivar seed: for renderers that draw at random.
    :ivar quality: one of :data:`QUALITIES`.
    :ivar audio: file with the speech, or None. :ivar audio_start: seconds into it at the film's first frame; may be negative.
    :ivar driving: film of the performing character from the same camera, at the track's rate, for renderers that take one; or None.
    """

    track: PoseTrack
    face: Mapping[str, np.ndarray]
    photo: Photo
    points: tuple[np.ndarray, np.ndarray] | None
    width: int
    height: int
    seed: int = 0
    quality: str = "normal"
    audio: Path | None = None
    audio_start: float = 0.0
    driving: Path | None = None


@dataclass(frozen=True)
class Cost:
    """What a film takes on this machine, for an estimate before it is begun; normal quality.

    :ivar start_seconds: before the first frame. :ivar frame_seconds: for a frame, whatever its size.
    :ivar megapixel_seconds: more for each megapixel of a frame.
    :ivar memory_gb: of the device that draws. :ivar memory_gb_per_megapixel: more for each megapixel of a frame.
    :ivar draft: share of the time at draft quality. :ivar best: likewise.
    """

    start_seconds: float = 0.0
    frame_seconds: float = 0.0
    megapixel_seconds: float = 0.0
    memory_gb: float = 0.0
    memory_gb_per_megapixel: float = 0.0
    draft: float = 1.0
    best: float = 1.0

    def seconds(self, width: int, height: int, frames: int, quality: str = "normal") -> float:
        """For a whole film."""
        share = {"draft": self.draft, "best": self.best}.get(quality, 1.0)
        return self.start_seconds + share * frames * (self.frame_seconds + width * height / 1e6 * self.megapixel_seconds)

    def memory(self, width: int, height: int) -> float:
        """Gigabytes."""
        return self.memory_gb + width * height / 1e6 * self.memory_gb_per_megapixel


@dataclass(frozen=True)
class Description:
    """A renderer for people: :ivar needs: what it needs, in a sentence. :ivar runs_here: whether it can run on this machine.
    :ivar why_not: what is missing here, else empty. :ivar notes: of the prepared scene, such as fallbacks taken.
    :ivar cost: what a film takes here, where that is known. :ivar device: that draws. :ivar takes_driving: whether it takes
    a film of the performing character."""

    name: str
    summary: str
    needs: str
    runs_here: bool
    why_not: str = ""
    licence: str = ""
    notes: list[str] = field(default_factory=list)
    cost: Cost | None = None
    device: str = "cpu"
    takes_driving: bool = False

    def to_json(self) -> dict[str, Any]:
        """For ``welcome`` and ``doctor``."""
        return asdict(self)


class Renderer(Protocol):
    """Draws films. Made once; a scene is prepared before its frames are drawn, in any order of segments.

    Two more methods are used where a renderer has them: ``key() -> str``, which changes with every option that changes a picture,
    and ``keep_in(folder)``, a folder for what took long, so that an interrupted film goes on there; it goes with the finished film.
    A renderer that draws with the user's weights takes ``weights`` in its constructor and in ``describe``.
    """

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
    """A renderer.

    :param options: of its constructor; text is taken as a number where the default is one.
    :raises UnderstudyError: ``unsupported`` for an unknown name or one that cannot run here, ``request_invalid`` for a wrong option.
    """
    cls = _class(name)
    takes_weights = "weights" in signature(cls.describe).parameters and options.get("weights")
    facts = cls.describe(weights=options["weights"]) if takes_weights else cls.describe()
    if not facts.runs_here:
        raise UnderstudyError("unsupported", f"The film renderer {name!r} cannot run here: {facts.why_not}", facts.needs)
    known = signature(cls).parameters
    for option, value in options.items():
        if option not in known:
            raise UnderstudyError("request_invalid", f"The film renderer {name!r} has no option {option!r}.",
                                  f"It has {', '.join(known)}." if known else "It has none.")
        kind = type(known[option].default)
        if kind in (int, float) and isinstance(value, str):
            try:
                options[option] = kind(value)
            except ValueError as error:
                raise UnderstudyError("request_invalid", f"The option {option!r} of {name!r} cannot be {value!r}.",
                                      "Write a number.") from error
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
