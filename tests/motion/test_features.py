# SPDX-License-Identifier: Apache-2.0
"""Features say everything about a body motion, and say it in the body's own frame."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge_server.motion import features
from shared import rotations as rot
from shared.kinematics import forward
from shared.skeleton import BODY_JOINT_COUNT


def wandering(seed: int, frames: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """A smooth random motion that walks and turns."""
    rng = np.random.default_rng(seed)
    knots = rng.normal(scale=0.5, size=(6, BODY_JOINT_COUNT, 3))
    t = np.linspace(0, 5, frames)
    vectors = np.stack([[np.interp(t, range(6), knots[:, j, k]) for k in range(3)] for j in range(BODY_JOINT_COUNT)])
    rotations = rot.axis_angle_to_quat(np.moveaxis(vectors, -1, 0))
    rotations[:, 0] = rot.mul(rot.yaw_quat(np.linspace(0, rng.uniform(-9, 9), frames)), rotations[:, 0])
    translation = np.cumsum(rng.normal(scale=0.02, size=(frames, 3)), 0) + [0, 0.95, 0]
    return rot.continuous(rotations), translation


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000))
def test_decoding_gives_back_the_motion(seed: int) -> None:
    rotations, translation = wandering(seed)
    encoded = features.encode(rotations, translation)
    yaw = features.heading_of(rotations[:, 0])[0]
    back, path, _ = features.decode(encoded, yaw, (translation[0, 0], translation[0, 2]))
    assert np.abs(forward(back, path)[0] - forward(rotations, translation)[0]).max() < 1e-4


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.floats(-3, 3), st.floats(-5, 5))
def test_place_and_heading_do_not_change_the_features(seed: int, yaw: float, shift: float) -> None:
    rotations, translation = wandering(seed)
    turned = rotations.copy()
    turn = rot.yaw_quat(yaw)
    turned[:, 0] = rot.mul(np.broadcast_to(turn, turned[:, 0].shape), turned[:, 0])
    moved = rot.rotate(np.broadcast_to(turn, turned[:, 0].shape), translation) + [shift, 0, -shift]
    a, b = features.encode(rotations, translation), features.encode(turned, moved)
    for part in a.parts:
        assert np.abs(a.parts[part] - b.parts[part]).max() < 1e-5


def test_widths_and_contacts_of_a_standing_figure() -> None:
    rotations = rot.identity(12, BODY_JOINT_COUNT)
    translation = np.tile([0.0, 0.96, 0.0], (12, 1))
    encoded = features.encode(rotations, translation)
    assert {p: x.shape for p, x in encoded.parts.items()} == {"lower": (12, 62), "upper": (12, 78)}
    assert features.contacts_of(rotations, translation).all()
    assert not features.contacts_of(rotations, translation + [0, 0.5, 0]).any()
