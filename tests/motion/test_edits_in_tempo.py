# SPDX-License-Identifier: Apache-2.0
"""Editing takes as users ask for it: on from the end by a duration alone, and ranges at a tempo."""

from __future__ import annotations

import numpy as np

from bridge_server.motion import versa
from bridge_server.motion.asked import Held
from shared import rotations as rot
from shared.edits import Edit, Lock, Range
from shared.motion import Motion
from shared.requests import MotionRequest
from shared.timeline import Direction

from .test_versa import WALK, generator, quiet, weights  # noqa: F401  (fixtures)


def take(g: versa.VersaGenerator, seconds: float = 6.0, **more: float) -> Motion:
    base = g.perform(MotionRequest(duration=seconds, directions=WALK, seed=1, **more), None, quiet)  # type: ignore[arg-type]
    base.rotations, base.translation = base.rotations.astype(np.float32), base.translation.astype(np.float32)
    return base


def test_a_longer_duration_alone_extends(generator: versa.VersaGenerator) -> None:  # noqa: F811
    base = take(generator, 3.0)
    made = MotionRequest.from_message(MotionRequest(duration=6.0, directions=WALK, seed=4, edit=Edit(base)).to_message())
    motion = generator.perform(made, None, quiet)
    assert len(motion) == 180
    assert np.array_equal(motion.rotations[:80].astype(np.float32), base.rotations[:80])
    assert rot.angle_between(motion.rotations[100:], motion.rotations[99:-1])[:, :22].max() > 1e-3, "it goes on"


def test_a_range_is_performed_at_its_tempo(generator: versa.VersaGenerator) -> None:  # noqa: F811
    base = take(generator, 8.0)

    def again(tempo: float) -> Motion:
        edit = Edit(base, [Range(2.0, 6.0)], [Lock(3.0)])
        return generator.perform(MotionRequest(duration=8.0, directions=[Direction(2, 6, "waves")], seed=9, tempo=tempo, edit=edit),
                                 None, quiet)

    def pace(motion: Motion) -> float:
        """Degrees a second that a joint turns on average, away from the range's edges and its locked pose."""
        turns = rot.angle_between(motion.rotations[1:, :22], motion.rotations[:-1, :22])[110:165]
        return float(np.degrees(turns.mean()) * motion.fps)

    slow, normal, fast = again(0.5), again(1.0), again(2.0)
    for motion in (slow, normal, fast):
        kept = np.r_[0:60, 90, 180:240]
        assert np.array_equal(motion.rotations[kept].astype(np.float32), base.rotations[kept])
        assert np.array_equal(motion.translation[kept].astype(np.float32), base.translation[kept])
    assert pace(slow) < 0.8 * pace(normal) and pace(normal) < 0.8 * pace(fast)


def test_what_is_held_is_stretched_as_the_take_was_performed(generator: versa.VersaGenerator) -> None:  # noqa: F811
    base = take(generator, 4.0, tempo=2.0)
    motion, ranges, tokens, locks = Held(base, [Range(1, 2)], [Lock(1.5)]).stretched(2.0, 60)
    assert motion.duration == 2 * base.duration and ranges == [Range(2, 4)] and locks == [Lock(3.0)] and tokens == 60
    assert motion.resample(30.0).duration >= 7.9


def test_between_two_poses_the_tempo_is_said_not_to_count(generator: versa.VersaGenerator) -> None:  # noqa: F811
    base = take(generator, 3.0)
    edit = Edit.between(base.slice(0, 1), base.slice(60, 61), 1.0)
    ways = [generator.perform(MotionRequest(duration=edit.base.duration, seed=2, tempo=t, edit=edit), None, quiet) for t in (1.0, 1.7)]
    assert np.array_equal(ways[0].rotations, ways[1].rotations)
    assert not any("tempo" in w for w in ways[0].metadata.get("warnings", []))
    assert any("tempo" in w for w in ways[1].metadata["warnings"])
