# SPDX-License-Identifier: Apache-2.0
"""Hundreds of strips on all parts of the body, and strips of one part that overlap."""

from __future__ import annotations

import time

import numpy as np
import pytest

from bridge_server.motion import decoding, versa
from bridge_server.motion.assembly import FineLayer
from bridge_server.motion.layering import ease_window, lay_over
from shared import rotations as rot
from shared.requests import MotionRequest
from shared.skeleton import BODY_JOINT_COUNT, BODY_PARTS, JOINT_INDEX
from shared.timeline import Direction

from .test_versa import generator, quiet, weights  # noqa: F401  (fixtures)

TEXTS = ("waves", "points ahead", "nods", "walks", "looks up", "turns around")
ARM = JOINT_INDEX["left_elbow"]


def strips(count: int) -> list[Direction]:
    """One every quarter of a second, each longer than that: neighbours overlap, on the same part and on others."""
    lengths = (0.6, 1.0, 1.5, 2.2, 3.0)
    return [Direction(0.25 * n, 0.25 * n + lengths[n % 5], TEXTS[n % len(TEXTS)], BODY_PARTS[n % len(BODY_PARTS)]) for n in range(count)]


def test_five_hundred_strips_cost_little_more_than_their_seconds(
    generator: versa.VersaGenerator, monkeypatch: pytest.MonkeyPatch,  # noqa: F811
) -> None:
    steps: list[int] = []
    fill = decoding.fill

    def counted(nets, windows, *rest, **more):  # type: ignore[no-untyped-def]
        steps.append(len(windows))
        return fill(nets, windows, *rest, **more)

    monkeypatch.setattr("bridge_server.motion.sampler.fill", counted)
    asked = strips(500)
    began = time.process_time()
    motion = generator.perform(MotionRequest(duration=126.0, directions=asked, seed=3, face=False), None, quiet)
    assert time.process_time() - began < 60
    assert len(motion) == 126 * 30 and np.isfinite(motion.rotations).all()
    fine = sum(d.part in versa.FINE_PARTS for d in asked)
    windows = -(-126 * 30 // 4 // 52)
    assert sum(steps) >= fine and len(steps) <= 40 + windows, "strips of arms and head are drawn side by side, not one after the other"
    assert motion.metadata["directions"] and len(motion.metadata["directions"]) == 500


def test_a_strip_is_the_same_beside_others(generator: versa.VersaGenerator) -> None:  # noqa: F811
    options = versa.SampleOptions(seed=3)
    asked = [d for d in strips(24) if d.part in versa.FINE_PARTS]
    together = generator._fine_layers(asked, options, 600, quiet)
    alone = generator._fine_layers(asked[:1], options, 600, quiet)
    assert [x.part for x in together] == [d.part for d in asked]
    assert np.abs(together[0].rotations - alone[0].rotations).max() < 1e-4
    assert not np.allclose(together[0].rotations[:15], together[3].rotations[:15], atol=1e-2)


def test_overlapping_strips_of_one_arm_go_over_into_each_other(
    generator: versa.VersaGenerator, monkeypatch: pytest.MonkeyPatch,  # noqa: F811
) -> None:
    """The arm goes from the first strip's pose to the second's in the overlap, without a jump or a way back to what lies below."""
    vectors = np.zeros((2, BODY_JOINT_COUNT, 3))
    vectors[0, ARM, 1], vectors[1, ARM, 1] = 0.8, 1.6
    poses = rot.axis_angle_to_quat(vectors)
    layers = [FineLayer("left_arm", first, np.repeat(poses[k:k + 1], 90, 0), ease_window(90, 0, 89)) for k, first in ((0, 30), (1, 90))]
    body = rot.identity(210, BODY_JOINT_COUNT)
    for x in layers:
        span = slice(x.first, x.first + len(x.weight))
        body[span] = lay_over(body[span], x.rotations, x.part, x.weight)
    bend = rot.quat_to_axis_angle(body[:, ARM])[:, 1]
    assert np.allclose(bend[45:90], 0.8, atol=1e-6) and np.allclose(bend[102:165], 1.6, atol=1e-6)
    assert (np.diff(bend[90:120]) >= -1e-9).all() and np.abs(np.diff(bend[85:125])).max() < 0.16
    # and so it is with what a generator draws: both strips at their middle are what each is alone
    first, second = Direction(1.0, 4.0, "waves", "left_arm"), Direction(3.0, 6.0, "points ahead", "left_arm")
    options = versa.SampleOptions(seed=1)
    drawn = generator._fine_layers([first, second], options, 210, quiet)
    assert [(x.first, len(x.weight)) for x in drawn] == [(30, 90), (90, 90)]
    monkeypatch.setattr(versa.VersaGenerator, "_fine_layers", lambda self, *rest: layers)
    motion = generator.perform(MotionRequest(duration=7.0, directions=[first, second], seed=1, face=False), None, quiet)
    bend = rot.quat_to_axis_angle(motion.rotations[:, ARM])[:, 1]
    assert np.allclose(bend[50:85], 0.8, atol=1e-3) and np.allclose(bend[108:160], 1.6, atol=1e-3)
    assert (bend[90:120] > 0.79).all()


def test_a_strip_inside_another_gives_way_back_to_it() -> None:
    low, high = rot.identity(120, BODY_JOINT_COUNT), rot.identity(40, BODY_JOINT_COUNT)
    high[:, ARM] = rot.axis_angle_to_quat(np.array([0.0, 1.0, 0.0]))
    body = lay_over(rot.identity(120, BODY_JOINT_COUNT), low, "left_arm", ease_window(120, 0, 119))
    body[40:80] = lay_over(body[40:80], high, "left_arm", ease_window(40, 0, 39))
    bend = rot.quat_to_axis_angle(body[:, ARM])[:, 1]
    assert bend[60] == pytest.approx(1.0) and abs(bend[39]) < 1e-6 and abs(bend[80]) < 1e-6 and np.abs(np.diff(bend)).max() < 0.2
