# SPDX-License-Identifier: Apache-2.0
"""The face that the motion generator has learnt: jaw and expression from its ``face`` tokens.

Such tokens come with weights that were trained on recorded faces (BEAT2). In a performance they are drawn together with those of the
body; for a face alone, over a body that stays, they are drawn from the speech by itself. Words, eyes, blinks and nods are those of
the rules. Expression coefficients are numbers of SMPL-X's basis: they reach ARKit curves only by the user's own fit matrix.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from bridge_server.audio.sound import Audio
from bridge_server.face.audio2face import solve_bounded
from bridge_server.face.performance import FaceOptions, FacePerformance, perform
from shared import rotations as rot
from shared.errors import UnderstudyError
from shared.face_curves import ARKIT
from shared.motion import Motion
from shared.skeleton import JOINT_INDEX

if TYPE_CHECKING:
    from bridge_server.motion.versa import VersaGenerator

__all__ = ["ROUTE", "GeneratorRoute", "curves_of", "is_there", "not_learnt", "put_on", "weights_for"]

ROUTE: Final = "generator"
_JAW: Final = JOINT_INDEX["jaw"]
_OF_THE_RULES: Final = ("eyeBlink", "eyeLook")


def not_learnt(weights: str) -> UnderstudyError:
    """What is said where weights without faces are asked for one."""
    return UnderstudyError("unsupported", f"The weights {weights} have not learnt faces.",
                           "Choose weights that were trained on faces (docs/training.md), or another face route.")


def is_there() -> bool:
    """Whether a weights set on this machine has learnt faces."""
    from bridge_server.motion.weights import sets_with

    return bool(sets_with("face"))


def weights_for(metadata: dict[str, Any]) -> str:
    """The weights for the face of a take: those that made it where they have learnt faces, else the first set that has.

    :raises UnderstudyError: ``weights_missing`` where there is none.
    """
    from bridge_server.motion.weights import sets_with

    found = sets_with("face")
    if not found:
        raise UnderstudyError("weights_missing", "No weights on this machine have learnt faces.",
                              "Train weights on faces (docs/training.md) and name their folder with UNDERSTUDY_WEIGHTS, "
                              "or choose another face route.")
    made_by = str(metadata.get("generator", {}).get("weights", ""))
    return made_by if made_by in found else found[0]


@lru_cache(maxsize=1)
def _generator(weights: str) -> VersaGenerator:
    from bridge_server.motion.versa import VersaGenerator

    return VersaGenerator(weights)


class GeneratorRoute:
    """The route ``generator`` for a face alone. :param metadata: of the take whose face it is, see :func:`weights_for`.

    :raises UnderstudyError: ``weights_missing``.
    """

    def __init__(self, metadata: dict[str, Any] | None = None) -> None:
        self._weights = weights_for(metadata or {})

    def perform(
        self, audio: Audio | None, times: np.ndarray, seed: int, transcript: str | None, options: FaceOptions
    ) -> FacePerformance:
        """See :class:`.routes.Route`; without speech the face idles by the rules."""
        made = perform(audio, times, seed, transcript, options)
        if audio is None or made.source == "none" or not len(times):
            return made
        made.jaw, made.expression = _generator(self._weights).speak(audio, np.asarray(times), seed, options.mouth)
        made.source = ROUTE
        return made


def curves_of(expression: np.ndarray, fit: np.ndarray) -> dict[str, np.ndarray]:
    """ARKit curves (T,) float32 in [0, 1] whose expression by ``fit`` (52, E) is nearest to (T, E); without blinks and gaze."""
    width = min(expression.shape[1], fit.shape[1])
    shapes = np.array([not name.startswith(_OF_THE_RULES) for name in ARKIT])
    basis = fit[shapes, :width]
    gram = basis @ basis.T
    # a little towards zero, since shapes whose expressions resemble each other could not be told apart
    gram += 1e-3 * np.trace(gram) / max(len(gram), 1) * np.eye(len(gram)) + 1e-9 * np.eye(len(gram))
    found = solve_bounded(gram, expression[:, :width].astype(np.float64) @ basis.T)
    names = [name for name, wanted in zip(ARKIT, shapes, strict=True) if wanted]
    return {name: column.astype(np.float32) for name, column in zip(names, found.T, strict=True)}


def put_on(motion: Motion, jaw: np.ndarray, expression: np.ndarray, fit: np.ndarray | None) -> None:
    """Give a motion a learnt jaw (T, 4) and expression (T, E), and by ``fit`` (52, E) the curves that show the same.

    Without a fit the curves stay those of the rules, so that a face of shape keys speaks too.
    """
    motion.rotations[:, _JAW] = rot.continuous(jaw[:, None])[:, 0]
    motion.expression = expression.astype(np.float32)
    if fit is not None:
        motion.face.update(curves_of(motion.expression, fit))
