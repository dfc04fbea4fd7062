# SPDX-License-Identifier: Apache-2.0
"""Laws of rotations, on random ones and on the awkward ones."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from shared import rotations as rot

finite = st.floats(-1, 1, allow_nan=False, width=64)
vectors = arrays(np.float64, (5, 3), elements=finite)
angles = st.floats(-3.1, 3.1)
# rotation vectors up to half a turn, among them zero and half turns about the axes
rotation_vectors = st.one_of(
    arrays(np.float64, (5, 3), elements=st.floats(-1.8, 1.8)),
    st.just(np.concatenate((np.zeros((1, 3)), np.eye(3) * np.pi, np.full((1, 3), 1e-9)))),
)


@st.composite
def quaternions(draw: st.DrawFn) -> np.ndarray:
    """(5, 4) unit quaternions."""
    return rot.axis_angle_to_quat(draw(rotation_vectors))


def same(a: np.ndarray, b: np.ndarray, atol: float = 1e-7) -> None:
    """The same rotations; q and -q are one."""
    np.testing.assert_allclose(np.abs(np.sum(a * b, axis=-1)), 1.0, atol=atol)


@given(quaternions())
def test_matrix_round_trip(q: np.ndarray) -> None:
    m = rot.quat_to_matrix(q)
    np.testing.assert_allclose(m @ np.swapaxes(m, -1, -2), np.broadcast_to(np.eye(3), m.shape), atol=1e-12)
    np.testing.assert_allclose(np.linalg.det(m), 1.0, atol=1e-12)
    same(rot.matrix_to_quat(m), q)


@given(quaternions())
def test_six_d_round_trip_is_columns(q: np.ndarray) -> None:
    d = rot.quat_to_six_d(q)
    m = rot.quat_to_matrix(q)
    np.testing.assert_array_equal(d[..., :3], m[..., :, 0])
    np.testing.assert_array_equal(d[..., 3:], m[..., :, 1])
    same(rot.six_d_to_quat(d), q)


@given(arrays(np.float64, (5, 6), elements=finite))
def test_any_six_d_gives_a_rotation(d: np.ndarray) -> None:
    a, b = d[:, :3], d[:, 3:]
    usable = np.linalg.norm(np.cross(a, b), axis=1) > 1e-3
    m = rot.six_d_to_matrix(d)[usable]
    np.testing.assert_allclose(np.swapaxes(m, -1, -2) @ m, np.broadcast_to(np.eye(3), m.shape), atol=1e-9)
    np.testing.assert_allclose(np.linalg.det(m), 1.0, atol=1e-9)


@given(rotation_vectors)
def test_axis_angle_round_trip(v: np.ndarray) -> None:
    back = rot.quat_to_axis_angle(rot.axis_angle_to_quat(v))
    assert (np.linalg.norm(back, axis=-1) <= np.pi + 1e-9).all()
    same(rot.axis_angle_to_quat(back), rot.axis_angle_to_quat(v))
    short = np.linalg.norm(v, axis=-1) < 3.1
    np.testing.assert_allclose(back[short], v[short], atol=1e-7)


@given(quaternions(), quaternions(), vectors)
def test_product_is_one_after_the_other(a: np.ndarray, b: np.ndarray, v: np.ndarray) -> None:
    np.testing.assert_allclose(rot.rotate(rot.mul(a, b), v), rot.rotate(a, rot.rotate(b, v)), atol=1e-9)
    np.testing.assert_allclose(rot.rotate(a, v), (rot.quat_to_matrix(a) @ v[..., None])[..., 0], atol=1e-9)
    np.testing.assert_allclose(rot.rotate(rot.conjugate(a), rot.rotate(a, v)), v, atol=1e-9)


@given(quaternions(), quaternions(), st.floats(0, 1))
def test_slerp_goes_evenly_along_the_shorter_arc(a: np.ndarray, b: np.ndarray, t: float) -> None:
    between = rot.slerp(a, b, t)
    np.testing.assert_allclose(np.linalg.norm(between, axis=-1), 1.0, atol=1e-9)
    whole = rot.angle_between(a, b)
    clear = whole < np.pi - 1e-3  # at half a turn both arcs are as short
    np.testing.assert_allclose(rot.angle_between(a, between)[clear], (t * whole)[clear], atol=2e-6)
    same(rot.slerp(a, b, 0.0), a)
    same(rot.slerp(a, b, 1.0), b)


@given(arrays(np.float64, (20, 3, 4), elements=finite), arrays(np.bool_, (20, 3)))
def test_continuous_changes_signs_only(q: np.ndarray, flips: np.ndarray) -> None:
    q = rot.normalise(q) * np.where(flips, -1, 1)[..., None]
    smooth = rot.continuous(q)
    np.testing.assert_array_equal(np.abs(smooth), np.abs(q))
    assert (np.sum(smooth[1:] * smooth[:-1], axis=-1) >= 0).all()
    np.testing.assert_array_equal(smooth[0], q[0])


@given(angles)
def test_yaw_and_heading(angle: float) -> None:
    q = rot.yaw_quat(angle)
    np.testing.assert_allclose(rot.heading(q), angle, atol=1e-9)
    # positive turns +Z towards +X
    np.testing.assert_allclose(rot.rotate(q, np.array([0.0, 0.0, 1.0])), [np.sin(angle), 0, np.cos(angle)], atol=1e-12)


@given(vectors, vectors)
def test_shortest_rotation_between_directions(a: np.ndarray, b: np.ndarray) -> None:
    usable = (np.linalg.norm(a, axis=1) > 1e-3) & (np.linalg.norm(b, axis=1) > 1e-3)
    a, b = a[usable], b[usable]
    turned = rot.rotate(rot.from_two_vectors(a, b), a)
    np.testing.assert_allclose(
        turned / np.linalg.norm(turned, axis=1, keepdims=True), b / np.linalg.norm(b, axis=1, keepdims=True), atol=2e-4
    )


def test_opposite_directions_turn_by_half_a_turn() -> None:
    a = np.concatenate((np.eye(3), -np.eye(3)))
    q = rot.from_two_vectors(a, -a)
    np.testing.assert_allclose(rot.rotate(q, a), -a, atol=1e-9)


@given(quaternions())
def test_single_precision_stays_single(q: np.ndarray) -> None:
    q32 = q.astype(np.float32)
    for result in (
        rot.mul(q32, q32),
        rot.quat_to_matrix(q32),
        rot.normalise(q32),
        rot.conjugate(q32),
        rot.quat_to_six_d(q32),
    ):
        assert result.dtype == np.float32
