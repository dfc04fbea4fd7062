# SPDX-License-Identifier: Apache-2.0
"""Hands and faces the whole way: BEAT2's npz and wav to a prepared set, to tokens, to weights, to a performance and its edits."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from bridge_server.audio.sound import Audio
from bridge_server.cli.main import main
from bridge_server.face import jobs, routes
from bridge_server.face.performance import FaceOptions
from bridge_server.motion import versa
from bridge_server.motion.tokenizer import ABSENT
from bridge_server.training.recipe import STAGES, Recipe, _together, load_recipe
from shared.edits import Edit, Lock, Range
from shared.errors import UnderstudyError
from shared.face_requests import FaceRequest
from shared.face_settings import FaceSettings
from shared.motion import Motion
from shared.requests import MotionRequest
from shared.skeleton import JOINT_INDEX, PART_JOINTS
from shared.timeline import Direction
from tests.formats.model_file import write_model

from . import faces
from .test_training import write_set
from .test_versa import Words, quiet

FINGERS, JAW = slice(25, 55), JOINT_INDEX["jaw"]
LEARNT = FaceSettings(route="generator")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recipe]:
    """BEAT2 with fingers and faces, and a set that has neither, prepared and trained for a few steps with every stage's own code."""
    root = tmp_path_factory.mktemp("faces")
    model = write_model(root / "SMPLX_NEUTRAL_2020.npz")
    assert main(["prepare", str(root / "data/beat"), "--beat2", str(faces.write_beat(root / "beat2")), "--body-model", str(model)]) == 0
    write_set(root / "data/plain", clips=4, frames=120)
    config = faces.write_recipe(root / "tiny.toml", ["beat", "plain"], "beat")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Recipe, "text_encoder", lambda self: Words())
        patch.setattr(versa, "load_text_encoder", lambda *_: Words())
        torch.set_num_threads(1)
        recipe = load_recipe(str(config), root / "sets/tiny", root / "data")
        for stage in ("tokenizer", "decoder", "text", "audio"):
            STAGES[stage](recipe)
        (root / "sets/tiny/weights").rename(root / "sets/learnt")
        recipe.run = root / "sets"
        yield recipe


@pytest.fixture(scope="module")
def generator(trained: Recipe) -> versa.VersaGenerator:
    return versa.VersaGenerator(str(trained.run / "learnt"))


@pytest.fixture(scope="module")
def take(generator: versa.VersaGenerator) -> Motion:
    motion = generator.perform(MotionRequest(duration=6.0, directions=STRIPS, seed=4, face_settings=LEARNT), voice(), quiet)
    motion.rotations, motion.translation = motion.rotations.astype(np.float32), motion.translation.astype(np.float32)
    return motion


STRIPS = [Direction(0.0, 2.0, "a person walks"), Direction(2.5, 4.0, "points", "left_arm"), Direction(3.0, 5.0, "explains", "upper")]


def voice(seconds: float = 6.0) -> Audio:
    return Audio(faces.speech_like(seconds, 9))


def moved(a: np.ndarray, b: np.ndarray) -> bool:
    return bool(np.abs(a - b).max() > 1e-3)


def logged(recipe: Recipe, stage: str) -> dict[str, float]:
    lines = [json.loads(line) for line in (recipe.run / "tiny" / stage / "log.jsonl").read_text().splitlines()]
    return {k: v for line in lines for k, v in line.items()}


def test_the_groups_are_those_of_the_data_and_the_log_says_how_well_each_comes_back(trained: Recipe) -> None:
    card = json.loads((trained.run / "learnt/card.json").read_text())
    assert card["groups"] == ["lower", "upper", "hands", "face"] and card["data"] == ["beat", "plain"]
    figures = logged(trained, "tokenizer")
    for name in ("val/mpjpe_mm", "val/hands_mpjpe_mm", "val/jaw_degrees", "val/face_rms", "val/perplexity_hands", "hands_mpjpe_mm"):
        assert np.isfinite(figures[name]) and figures[name] > 0, name
    assert logged(trained, "text")["val/loss"] < 20 and logged(trained, "audio")["val/loss"] < 20


def test_a_set_without_hands_gives_no_tokens_of_them(trained: Recipe) -> None:
    text, _ = torch.load(trained.run / "tiny/sequences.pt", weights_only=False)
    speech, _ = torch.load(trained.run / "tiny/speech.pt", weights_only=False)
    for found in (text, speech):
        assert found.tokens.shape[2] == 4 and bool((found.tokens[:, :, :2] != ABSENT).all())
    for g in (2, 3):
        share = float((text.tokens[:, :, g, 0] == ABSENT).float().mean())
        assert 0.02 < share < 0.98, "some stretches of the stitched sequences have them, others not"
    # two recordings of two windows each; mirrored ones have hands and no face, and every face is heard changed as well
    assert bool((speech.tokens[:, :, 2] != ABSENT).all())
    faceless = (speech.tokens[:, :, 3, 0] == ABSENT).all(1)
    assert int(faceless.sum()) * 3 == len(speech) and bool((speech.tokens[~faceless][:, :, 3] != ABSENT).all())
    assert speech.audio is not None and len(speech.audio) == len(speech) and float(speech.audio.float().std()) > 0.1
    both = _together([speech, speech])
    assert len(both) == 2 * len(speech) and both.audio is not None and torch.equal(both.audio[len(speech):], speech.audio)
    # a face is told what is spoken, never what is directed
    said = {text.table.texts[i] for i in text.captions[:, :, 3].unique().tolist() if i >= 0}
    assert said <= {"A person is giving a speech.", "a person is standing around"} and float(text.since[:, :, 3].min()) == 8.0


def test_a_performance_has_fingers_and_a_face_of_its_own(take: Motion) -> None:
    assert take.expression.shape == (180, 100) and take.rotations.shape == (180, 55, 4)
    assert np.isfinite(take.rotations).all() and np.isfinite(take.expression).all()
    assert (np.ptp(take.rotations[:, FINGERS], axis=0).max(-1) > 1e-4).mean() > 0.9 and np.ptp(take.rotations[:, JAW], axis=0).max() > 1e-4
    assert (np.ptp(take.expression, axis=0) > 1e-3).mean() > 0.9
    assert np.abs(np.linalg.norm(take.rotations, axis=-1) - 1).max() < 1e-5
    assert take.metadata["fingers"] == "tokens" and take.metadata["lips"] == "generator"
    assert take.face["eyeBlinkLeft"].max() > 0.5, "blinks stay with the rules"


def test_the_rules_perform_the_face_unless_asked_otherwise(generator: versa.VersaGenerator, take: Motion) -> None:
    plain = generator.perform(MotionRequest(duration=6.0, directions=STRIPS, seed=4), voice(), quiet)
    assert plain.expression.shape == (180, 0) and plain.metadata["lips"] != "generator"
    assert np.array_equal(plain.rotations[:, FINGERS].astype(np.float32), take.rotations[:, FINGERS]), "the same tokens, so the same hands"
    assert moved(plain.rotations[:, JAW], take.rotations[:, JAW])
    softer = FaceSettings(route="generator", mouth=0.5)
    half = generator.perform(MotionRequest(duration=6.0, directions=STRIPS, seed=4, face_settings=softer), voice(), quiet)
    assert np.allclose(half.expression, 0.5 * take.expression, atol=1e-5)
    silent = generator.perform(MotionRequest(duration=2.0, directions=STRIPS[:1], seed=4, face_settings=LEARNT), None, quiet)
    assert silent.expression.shape == (60, 0) and silent.metadata["lips"] == "none"


def test_what_is_streamed_is_the_result(generator: versa.VersaGenerator) -> None:
    parts: list[tuple[int, Motion]] = []
    request = MotionRequest(duration=25.0, fps=24.0, seed=2, tempo=1.1, face_settings=LEARNT)
    motion = generator.perform(request, voice(25.0), quiet, lambda first, m: parts.append((first, m)))
    assert len(parts) >= 2
    for first, part in parts:
        span = slice(first, first + len(part))
        assert np.array_equal(part.rotations, motion.rotations[span]) and np.array_equal(part.expression, motion.expression[span])
    steps = np.abs(np.diff(motion.expression, axis=0)).max(1)
    assert steps.max() < 4 * np.quantile(steps, 0.95), "stretches join without a jump"


@pytest.mark.parametrize(("part", "hands", "face"), [("full", "both", True), ("upper", "both", True), ("left_arm", "left", False),
                                                     ("head", "", True), ("lower", "", False)])
def test_an_edit_changes_its_own_part_and_keeps_every_other_bit(
    generator: versa.VersaGenerator, take: Motion, part: str, hands: str, face: bool
) -> None:
    edit = Edit(take, [Range(2.0, 4.0, part)], [Lock(3.0, part)])
    new = generator.perform(MotionRequest(duration=6.0, directions=STRIPS, seed=77, face_settings=LEARNT, edit=edit), voice(), quiet)
    outside = np.r_[0:60, 90, 120:180]
    assert np.array_equal(new.rotations[outside].astype(np.float32), take.rotations[outside])
    assert np.array_equal(new.expression[outside], take.expression[outside])
    others = [j for j in range(25, 55) if j not in PART_JOINTS[part]] + ([] if face else [JAW])
    assert np.array_equal(new.rotations[:, others].astype(np.float32), take.rotations[:, others])
    inside = slice(65, 85)
    for side in ("left", "right"):
        joints = [j for j in PART_JOINTS[f"{side}_arm"] if j >= 25]
        assert moved(new.rotations[inside][:, joints], take.rotations[inside][:, joints]) == (hands in (side, "both"))
    assert moved(new.expression[inside], take.expression[inside]) == face == moved(new.rotations[inside, JAW], take.rotations[inside, JAW])
    # neither its edges nor the locked pose are reached by a jump
    own = np.abs(np.diff(take.expression, axis=0)).max()
    assert np.abs(np.diff(new.expression, axis=0)).max() < 2.5 * own + 0.05


def test_rules_take_a_learnt_face_over_where_they_are_asked(
    generator: versa.VersaGenerator, take: Motion, monkeypatch: pytest.MonkeyPatch
) -> None:
    edit = Edit(take, [Range(2.0, 4.0, "head")])
    new = generator.perform(MotionRequest(duration=6.0, seed=3, edit=edit), voice(), quiet)
    assert np.array_equal(new.expression[np.r_[0:60, 120:180]], take.expression[np.r_[0:60, 120:180]])
    assert np.abs(new.expression[85:95]).max() == 0
    # with a fit the rules give coefficients too, and only there
    monkeypatch.setattr(routes, "fit_matrix", lambda: np.random.default_rng(0).normal(size=(52, 100)))
    new = generator.perform(MotionRequest(duration=6.0, seed=3, edit=edit), voice(), quiet)
    assert np.array_equal(new.expression[np.r_[0:60, 120:180]], take.expression[np.r_[0:60, 120:180]])
    assert moved(new.expression[85:95], np.zeros((10, 100)))


def test_a_face_alone_by_the_same_weights(trained: Recipe, take: Motion, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "generator" not in routes.available()
    with pytest.raises(UnderstudyError, match="have learnt faces"):
        routes.load("generator")
    monkeypatch.setenv("UNDERSTUDY_WEIGHTS", str(trained.run))
    assert "generator" in routes.available()

    def remade(settings: FaceSettings, base: Motion) -> Motion:
        request = FaceRequest(base=base, ranges=[(2.0, 4.0)], seed=1, face_settings=settings)
        return jobs.make_face(request, voice(), lambda *_: None)

    new = remade(LEARNT, take)
    outside, inside = np.r_[0:60, 120:180], slice(70, 110)
    assert np.array_equal(new.expression[outside], take.expression[outside]) and moved(new.expression[inside], take.expression[inside])
    assert np.array_equal(new.rotations[outside], take.rotations[outside])
    assert moved(new.rotations[inside, JAW], take.rotations[inside, JAW])
    drawn = routes.load("generator", take.metadata).perform(voice(), take.times, 1, None, FaceOptions())
    assert drawn.jaw is not None and np.abs(new.rotations[80:100, JAW] - drawn.jaw[80:100]).max() < 1e-5, "not the jaw of the curves"
    assert np.array_equal(new.rotations[:, FINGERS], take.rotations[:, FINGERS]) and new.metadata["lips"] == "generator"
    ruled = remade(FaceSettings(), take)
    assert np.abs(ruled.expression[inside]).max() == 0 and np.array_equal(ruled.expression[outside], take.expression[outside])


def test_speech_sets_are_asked_for_their_terms_and_named_on_the_card(trained: Recipe, tmp_path: Path) -> None:
    recipe = load_recipe(str(faces.write_recipe(tmp_path / "r.toml", ["plain"], ["beat", "more"])), tmp_path, trained.data)
    assert [f.parent for f in recipe.speech_folders] == [trained.data, tmp_path]
    with pytest.raises(UnderstudyError, match="no performances with speech"):
        STAGES["audio"](_with_sequences(recipe))
    recipe.settings |= {"speech": "beat", "non_commercial": False}
    with pytest.raises(UnderstudyError, match="beat is for non-commercial use"):
        STAGES["audio"](recipe)


def _with_sequences(recipe: Recipe) -> Recipe:
    recipe.run.mkdir(exist_ok=True)
    torch.save((None, None), recipe.cache("sequences"))
    return recipe
