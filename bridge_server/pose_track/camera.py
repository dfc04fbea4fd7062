# SPDX-License-Identifier: Apache-2.0
"""Cameras: matrices that take metres to pixels, given by a scene or placed before a performer.

Views and projections are OpenGL's: the camera looks along its own -Z with +Y up, and the clip volume is [-1, 1]. Blender's
``Camera.matrix_world.inverted()`` and ``Object.calc_matrix_camera`` are these matrices once the world is +Y up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from shared.errors import UnderstudyError

__all__ = ["FRAMINGS", "Camera", "Framing", "before", "lens_projection", "look_at"]

Framing = Literal["head", "half", "whole"]
FRAMINGS: Final = ("head", "half", "whole")
"""Talking head, half body, whole body."""
NEAR: Final = 0.05
"""Metres; what is nearer than this to a perspective camera is not visible."""


@dataclass(frozen=True)
class Camera:
    """A camera, still or moving.

    :ivar width: pixels. :ivar height: pixels.
    :ivar view: (1 or T, 4, 4) world (metres, +Y up) to camera.
    :ivar projection: (1 or T, 4, 4) camera to clip space; lens shift, the shape of pixels and orthographic cameras are in it.
    """

    width: int
    height: int
    view: np.ndarray
    projection: np.ndarray

    def __post_init__(self) -> None:
        for name in ("view", "projection"):
            matrix = np.asarray(getattr(self, name), dtype=np.float64)
            matrix = matrix[None] if matrix.ndim == 2 else matrix
            if matrix.ndim != 3 or matrix.shape[1:] != (4, 4) or not np.isfinite(matrix).all():
                raise UnderstudyError("request_invalid", f"The camera's {name} matrices are not finite 4x4 matrices.",
                                      "Check the camera of the scene.")
            object.__setattr__(self, name, matrix)
        if self.width < 16 or self.height < 16:
            raise UnderstudyError("request_invalid", f"A picture of {self.width}x{self.height} is too small.",
                                  "Choose at least 16x16 pixels.")

    @property
    def position(self) -> np.ndarray:
        """(1 or T, 3) world position of the eye; meaningless for an orthographic camera."""
        return -np.einsum("tji,tj->ti", self.view[:, :3, :3], self.view[:, :3, 3])

    @property
    def direction(self) -> np.ndarray:
        """(1 or T, 3) unit vector along which the camera looks."""
        return -self.view[:, 2, :3] / np.linalg.norm(self.view[:, 2, :3], axis=-1, keepdims=True)

    @property
    def orthographic(self) -> bool:
        """Whether rays are parallel."""
        return bool(np.allclose(self.projection[:, 3, :3], 0.0))

    def project(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Pixels and depth.

        :param points: (T, N, 3) world metres; T agrees with the camera's frames, or the camera is still.
        :returns: (T, N, 2) pixels, NaN for points behind a perspective camera; (T, N) metres along the view.
        """
        for name in ("view", "projection"):
            if len(getattr(self, name)) not in (1, len(points)):
                raise UnderstudyError("request_invalid", f"The camera has {len(getattr(self, name))} frames and the "
                                      f"performance {len(points)}.", "Give one matrix for each frame, or one for all.")
        local = points @ np.swapaxes(self.view[:, :3, :3], 1, 2) + self.view[:, None, :3, 3]
        clip = np.concatenate((local, np.ones_like(local[..., :1])), -1) @ np.swapaxes(self.projection, 1, 2)
        w = clip[..., 3:]
        ahead = (w > NEAR) | self.orthographic
        ndc = clip[..., :2] / np.where(ahead, w, np.nan)
        pixels = np.stack(((ndc[..., 0] + 1) / 2 * self.width, (1 - ndc[..., 1]) / 2 * self.height), -1)
        return pixels, -local[..., 2]


def lens_projection(
    width: int, height: int, *, lens: float = 50.0, sensor: tuple[float, float] = (36.0, 24.0),
    fit: Literal["AUTO", "HORIZONTAL", "VERTICAL"] = "AUTO", shift: tuple[float, float] = (0.0, 0.0),
    pixel_aspect: tuple[float, float] = (1.0, 1.0), ortho_scale: float | None = None, near: float = 0.1, far: float = 100.0,
) -> np.ndarray:
    """The projection of a photographic lens, by the rules of Blender's camera.

    :param lens: focal length, mm. :param sensor: width and height, mm. :param fit: the side that the sensor is fitted to.
    :param shift: of the picture, in units of the fitted side. :param pixel_aspect: width and height of a pixel.
    :param ortho_scale: metres across the fitted side, for an orthographic camera.
    :returns: (4, 4).
    """
    ratio = pixel_aspect[1] / pixel_aspect[0]
    horizontal = fit == "HORIZONTAL" or (fit == "AUTO" and width >= ratio * height)
    across = width if horizontal else ratio * height
    if ortho_scale is None:
        size = (sensor[1] if fit == "VERTICAL" else sensor[0]) * near / lens / across
    else:
        size = ortho_scale / across
    left, right = (-width / 2 + shift[0] * across) * size, (width / 2 + shift[0] * across) * size
    low, high = (-ratio * height / 2 + shift[1] * across) * size, (ratio * height / 2 + shift[1] * across) * size
    m = np.zeros((4, 4))
    if ortho_scale is None:
        m[0, 0], m[0, 2] = 2 * near / (right - left), (right + left) / (right - left)
        m[1, 1], m[1, 2] = 2 * near / (high - low), (high + low) / (high - low)
        m[2, 2], m[2, 3], m[3, 2] = -(far + near) / (far - near), -2 * far * near / (far - near), -1.0
    else:
        m[0, 0], m[0, 3] = 2 / (right - left), -(right + left) / (right - left)
        m[1, 1], m[1, 3] = 2 / (high - low), -(high + low) / (high - low)
        m[2, 2], m[2, 3], m[3, 3] = -2 / (far - near), -(far + near) / (far - near), 1.0
    return m


def look_at(eye: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Views (..., 4, 4) from ``eye`` (..., 3) towards ``target`` (..., 3), +Y up. Not for straight up or down."""
    eye, target = np.asarray(eye, dtype=np.float64), np.asarray(target, dtype=np.float64)
    back = eye - target
    back = back / np.linalg.norm(back, axis=-1, keepdims=True)
    right = np.cross(np.array([0.0, 1.0, 0.0]), back)
    right = right / np.linalg.norm(right, axis=-1, keepdims=True)
    up = np.cross(back, right)
    view = np.zeros((*eye.shape[:-1], 4, 4))
    view[..., :3, :3] = np.stack((right, up, back), axis=-2)
    view[..., :3, 3] = -np.einsum("...ij,...j->...i", view[..., :3, :3], eye)
    view[..., 3, 3] = 1.0
    return view


# bottom and top of the picture as shares of the performer's height, and how wide the picture is at least, likewise
_EXTENT: Final = {"head": (0.68, 1.06, 0.34), "half": (0.44, 1.10, 0.62), "whole": (-0.06, 1.12, 0.75)}


def before(
    pelvis: np.ndarray, heading: float, tall: float, framing: Framing, width: int, height: int, fps: float, *,
    floor: float = 0.0, field_of_view: float = 0.35, azimuth: float = 0.0, elevation: float = 0.0,
) -> Camera:
    """A camera in front of a performer, which follows them calmly.

    :param pelvis: (T, 3) metres. :param heading: radians about +Y, where the performer faces.
    :param tall: height of the performer, metres. :param floor: height of the floor, metres.
    :param field_of_view: of the shorter needed side, radians. :param azimuth: radians off the front.
    :param elevation: radians above the performer.
    :raises UnderstudyError: ``request_invalid`` for an unknown framing.
    """
    if framing not in FRAMINGS:
        raise UnderstudyError("request_invalid", f"There is no framing {framing!r}.", f"Choose one of {', '.join(FRAMINGS)}.")
    low, high, wide = (share * tall for share in _EXTENT[framing])
    across = max(high - low, wide * height / width)
    distance = across / 2 / np.tan(field_of_view / 2)
    path = _calm(pelvis, fps)
    target = np.stack((path[:, 0], np.full(len(path), floor + (low + high) / 2), path[:, 2]), -1)
    angle = heading + azimuth
    away = np.array([np.sin(angle) * np.cos(elevation), np.sin(elevation), np.cos(angle) * np.cos(elevation)])
    focal = 1 / np.tan(field_of_view / 2)
    projection = np.diag([focal * height / width, focal, -1.002, 0.0])
    projection[2, 3], projection[3, 2] = -0.2002, -1.0
    return Camera(width, height, look_at(target + distance * away, target), projection)


def _calm(path: np.ndarray, fps: float, seconds: float = 1.0) -> np.ndarray:
    """(T, 3) smoothed by a Gaussian of ``seconds``; ends are held."""
    sigma = seconds * fps
    reach = int(3 * sigma) + 1
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    kernel /= kernel.sum()
    padded = np.pad(path.astype(np.float64), ((reach, reach), (0, 0)), mode="edge")
    return np.stack([np.convolve(padded[:, k], kernel, mode="valid") for k in range(3)], -1)
