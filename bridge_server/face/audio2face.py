# SPDX-License-Identifier: Apache-2.0
"""Faces by NVIDIA's Audio2Face-3D regression models, for users who have the weights.

A model folder holds ``network.onnx`` (inputs: 8,320 samples at 16 kHz, centred on the frame; 26 emotion values, of
which the first 16 are implicit), ``model_data.npz`` (``shapes_matrix_skin (K, V, 3)``, ``shapes_mean_skin (V, 3)``),
``bs_skin.npz`` (``neutral (V, 3)``, ``poseNames``, ``frontalMask`` and one array of deltas (V, 3) per pose, under
ARKit's names) and ``bs_skin_config.json``. Its output is K skin coefficients, then 10 of the tongue, 15 of the jaw
and 4 of the eyes; the curves are the bounded least-squares fit of the poses to the skin. onnxruntime is optional.
Nothing of NVIDIA's is shipped.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from scipy.ndimage import gaussian_filter1d

from bridge_server.face.acoustics import RATE, mono16
from bridge_server.audio.sound import Audio
from shared.errors import UnderstudyError
from shared.face_curves import ARKIT_INDEX

__all__ = ["EMOTIONS", "Audio2Face", "solve_bounded"]

WINDOW: Final = 8320
RATE_OUT: Final = 30
_BATCH: Final = 32
_IMPLICIT: Final = 16
EMOTIONS: Final = (
    "amazement",
    "anger",
    "cheekiness",
    "disgust",
    "fear",
    "grief",
    "joy",
    "outofbreath",
    "pain",
    "sadness",
)
"""The ten explicit emotions in the order of the model's input."""
_FILES: Final = ("network.onnx", "model_data.npz", "bs_skin.npz")


def solve_bounded(gram: np.ndarray, right: np.ndarray, steps: int = 300) -> np.ndarray:
    """Weights (T, P) in [0, 1] that minimise ``w G w / 2 - r w`` for each row of ``right`` (T, P), by FISTA."""
    step = 1 / max(float(np.linalg.eigvalsh(gram)[-1]), 1e-12)
    w = np.clip(right @ np.linalg.inv(gram), 0, 1)
    y, t = w.copy(), 1.0
    for _ in range(steps):
        new = np.clip(y - step * (y @ gram - right), 0, 1)
        t_new = (1 + np.sqrt(1 + 4 * t * t)) / 2
        y = new + (t - 1) / t_new * (new - w)
        if np.abs(new - w).max(initial=0) < 1e-6:
            return new
        w, t = new, t_new
    return w


def _text(name: Any) -> str:
    return name.decode() if isinstance(name, bytes) else str(name)


class Audio2Face:
    """One loaded model.

    :param folder: where its files lie.
    :raises UnderstudyError: ``unsupported`` without onnxruntime, ``weights_missing`` naming the missing files,
        ``weights_invalid`` when they do not fit together.
    """

    def __init__(self, folder: str | Path) -> None:
        folder = Path(folder)
        missing = [name for name in _FILES if not (folder / name).is_file()]
        if missing:
            raise UnderstudyError(
                "weights_missing",
                f"The Audio2Face folder lacks {', '.join(missing)}.",
                "Point to the folder of an Audio2Face-3D v2 model with all its files.",
            )
        try:
            import onnxruntime
        except ImportError as error:
            raise UnderstudyError(
                "unsupported",
                "Audio2Face models need onnxruntime, which is not installed.",
                "Install it with pip install onnxruntime.",
            ) from error
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(
                str(folder / "network.onnx"), options, providers=["CPUExecutionProvider"]
            )
            with np.load(folder / "model_data.npz") as data, np.load(folder / "bs_skin.npz") as poses:
                names = [_text(n) for n in poses["poseNames"] if _text(n) != "neutral" and _text(n) in poses.files]
                mask = poses["frontalMask"].astype(int).ravel()
                shapes = np.stack([poses[n][mask].ravel() for n in names], axis=1).astype(np.float64)
                skin = data["shapes_matrix_skin"]
                self._skin = int(skin.shape[0])
                basis = skin.reshape(self._skin, -1, 3)[:, mask].reshape(self._skin, -1).astype(np.float64)
                offset = (
                    (data["shapes_mean_skin"].reshape(-1, 3)[mask] - poses["neutral"][mask]).ravel().astype(np.float64)
                )
        except (KeyError, ValueError, IndexError, OSError, RuntimeError) as error:
            raise UnderstudyError(
                "weights_invalid",
                f"The Audio2Face files do not fit together ({error}).",
                "Take all files of one model from one release.",
            ) from error
        config = self._config(folder)
        scale = float(np.trace(shapes.T @ shapes)) / max(len(names), 1)
        self._gram = shapes.T @ shapes + np.eye(len(names)) * scale * 0.002 * (1 + config["l2"])
        self._project, self._offset = shapes.T @ basis.T, shapes.T @ offset
        # a small pull to zero keeps poses that hardly help from flickering
        self._pull = scale * 0.002 * config["l1"]
        self._multiply = np.array([config["multipliers"].get(n, 1.0) for n in names])
        self._add = np.array([config["offsets"].get(n, 0.0) for n in names])
        active = np.array([config["active"].get(n, 1) for n in names], dtype=bool)
        self._gram[~active] = 0
        self._gram[:, ~active] = 0
        self._gram[~active, ~active] = scale
        self._active, self._names = active, names

    @staticmethod
    def _config(folder: Path) -> dict[str, Any]:
        path = folder / "bs_skin_config.json"
        out: dict[str, Any] = {"l1": 0.0, "l2": 0.0, "multipliers": {}, "offsets": {}, "active": {}}
        if not path.is_file():
            return out
        with np.load(folder / "bs_skin.npz") as poses:
            names = [n for n in (_text(n) for n in poses["poseNames"]) if n != "neutral"]
        params = json.loads(path.read_text(encoding="utf-8")).get("blendshape_params", {})
        out["l1"], out["l2"] = (
            float(params.get("strengthL1regularization", 0)),
            float(params.get("strengthL2regularization", 0)),
        )
        for key, field in (
            ("multipliers", "bsWeightMultipliers"),
            ("offsets", "bsWeightOffsets"),
            ("active", "bsSolveActivePoses"),
        ):
            values = params.get(field, [])
            if len(values) == len(names):
                out[key] = dict(zip(names, values, strict=True))
        return out

    def perform(
        self, audio: Audio, times: np.ndarray, emotion: Mapping[str, np.ndarray | float] | None = None
    ) -> dict[str, np.ndarray]:
        """ARKit curves at ``times`` (T,) seconds; each (T,) float32 in [0, 1], only the shapes that the model has.

        :param emotion: strength in [0, 1] by name of :data:`EMOTIONS`, constant or (T,) at ``times``.
        :raises UnderstudyError: ``weights_invalid`` when the network's signature is another.
        """
        x = mono16(audio)
        frames = max(1, int(np.ceil(max(len(x) / RATE, float(np.max(times, initial=0))) * RATE_OUT)) + 1)
        centres = np.round(np.arange(frames) * RATE / RATE_OUT).astype(int)
        padded = np.pad(x, (WINDOW // 2, WINDOW // 2 + max(0, int(centres[-1]) + 1 - len(x))))
        windows = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[centres]
        feeling = np.zeros((frames, _IMPLICIT + len(EMOTIONS)), np.float32)
        for name, strength in (emotion or {}).items():
            asked = np.asarray(strength, dtype=np.float64)
            over = np.interp(np.arange(frames) / RATE_OUT, times, asked) if asked.ndim else asked
            feeling[:, _IMPLICIT + EMOTIONS.index(name)] = over
        inputs = self._session.get_inputs()
        sound = next((i.name for i in inputs if i.shape and i.shape[-1] == WINDOW), None)
        mood = next((i.name for i in inputs if i.shape and i.shape[-1] == feeling.shape[1]), None)
        if sound is None:
            raise UnderstudyError(
                "weights_invalid",
                f"The network has no input of {WINDOW} samples.",
                "Use an Audio2Face-3D v2 regression model.",
            )
        parts = []
        for first in range(0, frames, _BATCH):
            block = windows[first : first + _BATCH, None].astype(np.float32)
            feed = {sound: block}
            if mood is not None:
                shape = next(i.shape for i in inputs if i.name == mood)
                part = feeling[first : first + _BATCH]
                feed[mood] = part.reshape(len(block), *([1] * (len(shape) - 2)), part.shape[1])
            parts.append(np.asarray(self._session.run(None, feed)[0]).reshape(len(block), -1))
        result = np.concatenate(parts)
        if result.shape[1] < self._skin:
            raise UnderstudyError(
                "weights_invalid",
                f"The network gives {result.shape[1]} values, but the skin has {self._skin}.",
                "Take all files of one model from one release.",
            )
        right = (result[:, : self._skin] @ self._project.T + self._offset - self._pull) * self._active
        weights = gaussian_filter1d(solve_bounded(self._gram, right), 0.6, axis=0, mode="nearest")
        weights = np.clip(weights * self._multiply + self._add, 0, 1)
        at = np.arange(frames) / RATE_OUT
        return {
            n: np.interp(times, at, weights[:, k]).astype(np.float32)
            for k, n in enumerate(self._names)
            if n in ARKIT_INDEX
        }
