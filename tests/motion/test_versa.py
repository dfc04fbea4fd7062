# SPDX-License-Identifier: Apache-2.0
"""The built-in generator over a weights set of tiny random networks: what holds for any weights."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from bridge_server.motion import versa
from bridge_server.audio.sound import Audio
from bridge_server.motion.weights import save_network, write_card
from shared import rotations as rot
from shared.edits import Edit, Lock, Range
from shared.errors import UnderstudyError
from shared.motion import Motion
from shared.requests import MotionRequest
from shared.skeleton import JOINT_INDEX, PART_JOINTS
from shared.timeline import Direction

from . import nets


class Words:
    """Sentences to vectors that depend on their letters alone."""

    width = 16
    digest = "none"

    def encode(self, texts: list[str]) -> np.ndarray:
        return np.stack([np.random.default_rng(sum(map(ord, t))).normal(size=16) for t in texts]).astype(np.float32)


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / "tiny"
    save_network(folder, "tokenizer", nets.tokenizer(), nets.tokenizer().config.to_json())
    save_network(folder, "text", nets.text_branch(), nets.CONFIG.to_json())
    save_network(folder, "residual", nets.ResidualBranch(nets.CONFIG, 3, 16), nets.CONFIG.to_json())
    save_network(folder, "audio", nets.audio_branch(), nets.CONFIG.to_json())
    write_card(folder, name="tiny", version="0", licence="CC0-1.0", non_commercial=False,
               text_encoder={"name": "minilm", "sha256": ""})
    monkeypatch.setattr(versa, "load_text_encoder", lambda *_: Words())
    yield folder


@pytest.fixture
def generator(weights: Path) -> versa.VersaGenerator:
    return versa.VersaGenerator(str(weights))


def quiet(stage: str, fraction: float) -> None:
    assert 0 <= fraction <= 1


def speech(seconds: float) -> Audio:
    t = np.arange(int(16000 * seconds)) / 16000
    return Audio((0.4 * np.sin(2 * np.pi * 140 * t) * (np.sin(2 * np.pi * 2 * t) > 0) * (t % 3 < 2)).astype(np.float32))


WALK = [Direction(0.0, 2.0, "walks"), Direction(1.0, 2.5, "waves", "left_arm")]


@pytest.mark.parametrize("fps", [24.0, 30.0, 60.0])
def test_length_rate_and_metadata(generator: versa.VersaGenerator, fps: float) -> None:
    motion = generator.perform(MotionRequest(fps=fps, directions=WALK, seed=5), speech(3.0), quiet)
    assert len(motion) == round(3 * fps) and motion.fps == fps
    assert motion.metadata["seed"] == 5 and motion.metadata["generator"]["licence"] == "CC0-1.0"
    assert np.abs(np.linalg.norm(motion.rotations, axis=-1) - 1).max() < 1e-5
    assert (np.sum(motion.rotations[1:] * motion.rotations[:-1], -1) >= 0).all()
    assert "jawOpen" in motion.face and len(motion.face["jawOpen"]) == len(motion)


def test_same_seed_same_motion_and_the_length_of_the_last_direction(generator: versa.VersaGenerator) -> None:
    a = generator.perform(MotionRequest(directions=WALK, seed=1), None, quiet)
    b = generator.perform(MotionRequest(directions=WALK, seed=1), None, quiet)
    c = generator.perform(MotionRequest(directions=WALK, seed=2), None, quiet)
    assert len(a) == 75 and np.array_equal(a.rotations, b.rotations) and not np.array_equal(a.rotations, c.rotations)


def test_chunks_are_final_and_together_are_the_result(generator: versa.VersaGenerator) -> None:
    parts: list[tuple[int, Motion]] = []
    request = MotionRequest(duration=30.0, fps=25.0, directions=[Direction(0, 12, "walks")], tempo=1.2)
    motion = generator.perform(request, speech(30.0), quiet, lambda first, m: parts.append((first, m)))
    assert len(parts) >= 2 and parts[0][0] == 0
    for first, part in parts:
        span = slice(first, first + len(part))
        assert np.array_equal(part.rotations, motion.rotations[span])
        assert np.array_equal(part.translation, motion.translation[span])
        assert np.array_equal(part.face["jawOpen"], motion.face["jawOpen"][span])
    assert all(b[0] == a[0] + len(a[1]) for a, b in zip(parts, parts[1:], strict=False))


def test_stretches_join_without_a_jump(generator: versa.VersaGenerator) -> None:
    motion = generator.perform(MotionRequest(duration=30.0, directions=[Direction(0, 12, "walks")]), None, quiet)
    turns = rot.angle_between(motion.rotations[1:, :22], motion.rotations[:-1, :22]).max(1)
    # a stretch ends 8 tokens before its window does
    joints = [4 * (72 - 8), 4 * (72 + 52 - 8), 4 * (72 + 104 - 8)]
    for f in joints:
        assert turns[f - 1] <= np.quantile(turns, 0.99) * 1.5 + 0.02


def test_an_edit_keeps_what_is_outside_bit_for_bit(generator: versa.VersaGenerator) -> None:
    base = generator.perform(MotionRequest(duration=6.0, directions=WALK, seed=1), None, quiet)
    base.rotations, base.translation = base.rotations.astype(np.float32), base.translation.astype(np.float32)
    edit = Edit(base, [Range(2.0, 4.0)], [Lock(3.0)])
    motion = generator.perform(MotionRequest(duration=6.0, directions=WALK, seed=9, edit=edit), None, quiet)
    outside = np.r_[0:60, 90, 120:180]
    assert np.array_equal(motion.rotations[outside].astype(np.float32), base.rotations[outside])
    assert np.array_equal(motion.translation[outside].astype(np.float32), base.translation[outside])
    assert not np.allclose(motion.rotations[70:80], base.rotations[70:80], atol=1e-3)
    assert np.array_equal(motion.face["jawOpen"][:60], base.face["jawOpen"][:60])


def test_extension_goes_on_from_the_end_and_a_loop_comes_back(generator: versa.VersaGenerator) -> None:
    base = generator.perform(MotionRequest(duration=3.0, directions=WALK, seed=1, face=False), None, quiet)
    base.rotations, base.translation = base.rotations.astype(np.float32), base.translation.astype(np.float32)
    longer = generator.perform(MotionRequest(duration=5.0, seed=3, face=False, edit=Edit(base, [Range(2.9, 3.0)])), None, quiet)
    assert len(longer) == 150 and np.array_equal(longer.rotations[:80].astype(np.float32), base.rotations[:80])
    loop = generator.perform(MotionRequest(seed=3, face=False, edit=Edit(base, loop=True)), None, quiet)
    assert len(loop) == 90
    # random networks jerk; the seam may not be worse than what they do anyway, and without the loop it is
    own = rot.angle_between(loop.rotations[1:], loop.rotations[:-1])
    seam = rot.angle_between(loop.rotations[-1], loop.rotations[0])
    assert seam.mean() <= 1.5 * own.mean(1).max() < rot.angle_between(base.rotations[-1], base.rotations[0]).mean() * 3
    assert np.array_equal(loop.rotations[:40].astype(np.float32), base.rotations[:40])


def test_a_strip_for_an_arm_moves_only_that_arm(generator: versa.VersaGenerator) -> None:
    with_arm = generator.perform(MotionRequest(duration=3.0, directions=WALK, seed=1, face=False), None, quiet)
    without = generator.perform(MotionRequest(duration=3.0, directions=WALK[:1], seed=1, face=False), None, quiet)
    differs = rot.angle_between(with_arm.rotations, without.rotations).max(0) > 1e-4
    moved = {j for j in range(22) if differs[j]}
    assert moved and moved <= set(PART_JOINTS["left_arm"])


def test_sliders(generator: versa.VersaGenerator) -> None:
    def arm_travel(**sliders: float) -> float:
        m = generator.perform(MotionRequest(duration=4.0, seed=2, face=False, **sliders), speech(4.0), quiet)  # type: ignore[arg-type]
        return float(rot.angle_between(m.rotations[1:], m.rotations[:-1])[:, JOINT_INDEX["left_elbow"]].sum())

    assert arm_travel(amplitude=0.4) < 0.75 * arm_travel() < 0.75 * arm_travel(amplitude=1.8)
    assert arm_travel(energy=0.3) < arm_travel() < arm_travel(energy=1.8)
    still = generator.perform(MotionRequest(duration=2.0, directions=[Direction(0, 2, "walks")], in_place=True), None, quiet)
    assert np.ptp(still.translation[:, [0, 2]], axis=0).max() == 0


def test_what_the_request_leaves_open_is_as_the_weights_card_says(generator: versa.VersaGenerator, weights: Path) -> None:
    request = MotionRequest(directions=WALK, seed=4, face=False)
    plain = generator.perform(request, None, quiet)
    write_card(weights, name="tiny", version="0", licence="CC0-1.0", non_commercial=False,
               text_encoder={"name": "minilm", "sha256": ""}, sampling={"temperature": 0.0, "text_guidance": 9.0})
    other = versa.VersaGenerator(str(weights))
    sure = other.perform(request, None, quiet)
    assert not np.array_equal(sure.rotations, plain.rotations)
    request.temperature, request.text_guidance = 1.0, 3.0
    assert np.array_equal(other.perform(request, None, quiet).rotations, plain.rotations)


def test_a_cancel_leaves_at_once_and_the_generator_goes_on(generator: versa.VersaGenerator) -> None:
    def stop(stage: str, fraction: float) -> None:
        if stage == "body":
            raise UnderstudyError("cancelled", "The job was cancelled.")

    with pytest.raises(UnderstudyError, match="cancelled"):
        generator.perform(MotionRequest(directions=WALK), None, stop)
    assert len(generator.perform(MotionRequest(directions=WALK), None, quiet)) == 75


def test_nothing_to_perform_and_damaged_weights_are_refused(generator: versa.VersaGenerator, weights: Path) -> None:
    with pytest.raises(UnderstudyError, match="neither speech nor a direction"):
        generator.perform(MotionRequest(), None, quiet)
    with pytest.raises(UnderstudyError, match="no weights named"):
        versa.VersaGenerator("nothing")
    file = weights / "text.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(UnderstudyError, match="damaged"):
        versa.VersaGenerator(str(weights))
    card = weights / "card.json"
    card.write_text(card.read_text().replace("understudy-weights-1", "understudy-weights-9"))
    with pytest.raises(UnderstudyError, match="format"):
        versa.VersaGenerator(str(weights))
