# SPDX-License-Identifier: Apache-2.0
"""Hands and faces as features, as groups of a tokenizer, in masks, plans and recipes: the pieces, without training anything."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from bridge_server.face import generated, maps
from bridge_server.motion import features
from bridge_server.motion.assembly import Assembler
from bridge_server.motion.conditions import SPEECH_SENTENCE
from bridge_server.motion.editing import insert
from bridge_server.motion.scheduling import NEVER, plan
from bridge_server.motion.tokenizer import ABSENT, Tokenizer, TokenizerConfig
from bridge_server.motion.torch_kinematics import finger_positions
from bridge_server.training import corpus as corpora
from bridge_server.training.clips import Clip, mirrored
from bridge_server.training.masking import asked, corrupt, draw_mask
from bridge_server.training.recipe import load_recipe
from bridge_server.training.sequences import TextTable, build_text_set
from bridge_server.training.text_stage import masked_loss, sums_below
from bridge_server.training.tokenizer_stage import _loss, _windows
from shared import rotations as rot
from shared.edits import Range
from shared.errors import UnderstudyError
from shared.face_curves import ARKIT
from shared.kinematics import forward
from shared.motion import Motion
from shared.skeleton import JOINT_COUNT, MIRROR, NEUTRAL_OFFSETS
from shared.timeline import Direction

from . import faces, nets
from .test_features import wandering
from .test_versa import Words

WHOLE = TokenizerConfig.of_parts(features.PARTS, codes=16, levels=2, width=16, code_width=8)


def clip(seed: int, frames: int = 200, hands: bool = True, face: bool = True) -> Clip:
    """A clip that has what is said."""
    q, t = wandering(seed, frames)
    g = np.random.default_rng(seed)
    phase = g.uniform(0, 6, (33, 3)) + np.arange(frames)[:, None, None] * g.uniform(0.05, 0.3, (33, 3))
    more = rot.axis_angle_to_quat(0.4 * np.sin(phase))
    if not hands:
        more[:, 3:] = more[:1, 3:]  # one frozen hand
    record = {"split": "train", "captions": [{"text": f"thing {seed}", "start": 0.0, "end": frames / 30}]}
    expression = np.sin(np.arange(frames)[:, None] * g.uniform(0.05, 0.3, 100)).astype(np.float32)
    return Clip(f"c{seed}", "set", q.astype(np.float32), t.astype(np.float32), record, more.astype(np.float32),
                expression if face else None)


def test_fingers_and_face_come_back_from_their_features() -> None:
    c = clip(1)
    parts = features.encode(c.joints, c.translation, hands=True, expression=c.expression).parts
    assert {p: x.shape[1] for p, x in parts.items()} == features.PART_WIDTHS
    assert rot.angle_between(features.decode_hands(parts["hands"]), c.joints[:, 25:].astype(float)).max() < 1e-3
    jaw, expression = features.decode_face(parts["face"])
    assert rot.angle_between(jaw, c.joints[:, 22].astype(float)).max() < 1e-3 and np.array_equal(expression, c.expression)
    assert set(features.encode(c.joints, c.translation, expression=np.zeros((200, 0))).parts) == {"lower", "upper"}
    few = features.encode_face(c.joints, c.expression[:, :10])
    assert few.shape == (200, 106) and not few[:, 16:].any()


def test_finger_joints_in_torch_lie_where_kinematics_put_them() -> None:
    c = clip(2, 20)
    hands = torch.from_numpy(features.encode_hands(c.joints)[None])
    full = rot.identity(20, JOINT_COUNT)
    full[:, 25:] = c.joints[:, 25:]
    positions, world = forward(full, np.zeros((20, 3)))
    found = finger_positions(hands)[0].numpy().reshape(20, 10, 3, 3)
    for finger in range(10):
        first = 25 + 3 * finger
        wrist = positions[:, 20 if first < 40 else 21]
        for k in (0, 1):
            assert np.abs(found[:, finger, k] - (positions[:, first + 1 + k] - wrist)).max() < 1e-5
        tip = positions[:, first + 2] + rot.rotate(world[:, first + 2], np.broadcast_to(NEUTRAL_OFFSETS[first + 2], (20, 3)))
        assert np.abs(found[:, finger, 2] - (tip - wrist)).max() < 1e-5


def test_a_mirror_swaps_fingers_and_drops_the_face() -> None:
    c = clip(3, 60)
    q, t = mirrored(c.joints, c.translation)
    there, back = forward(c.joints.astype(float), c.translation)[0], forward(q.astype(float), t)[0]
    assert np.abs(back - there[:, list(MIRROR)] * [-1, 1, 1]).max() < 1e-5
    plain, other = corpora.build([c])
    assert "face" in plain.parts and "face" not in other.parts and "hands" in other.parts
    faster = corpora.build([c], mirror=False, tempi=(1.25,))[0]
    assert {p: len(x) for p, x in faster.parts.items()} == dict.fromkeys(features.PARTS, 48)


def test_frozen_hands_and_still_faces_do_not_count() -> None:
    c = clip(4, hands=False)
    assert not c.has_hands and c.has_face and clip(4).has_hands
    c.expression = np.full_like(c.expression, 0.3)
    assert not c.has_face
    assert set(corpora.build([c], mirror=False)[0].parts) == {"lower", "upper"}
    corpus = corpora.build([clip(n, hands=n == 0, face=n == 1) for n in range(12)], mirror=False)
    assert corpora.parts_in(corpus) == features.PARTS
    assert corpora.parts_in(corpus + corpora.build([clip(n, 400, False, False) for n in range(20, 30)], mirror=False)) == ("lower", "upper")


def test_statistics_and_books_come_from_those_that_have_the_part() -> None:
    having, lacking = corpora.build([clip(5)], mirror=False), corpora.build([clip(6, hands=False, face=False)], mirror=False)
    alone, mixed = corpora.statistics(having), corpora.statistics(having + lacking)
    for part in ("hands", "face"):
        assert all(np.array_equal(a, b) for a, b in zip(alone[part], mixed[part], strict=True))
    parts = {k: torch.from_numpy(np.stack((v[:64], v[64:128]))) for k, v in having[0].parts.items()}
    spoilt = {k: v.clone() for k, v in parts.items()}
    spoilt["hands"][1] = 1e4
    books = []
    for batch, valid in (({k: v if k != "hands" else v[:1].repeat(2, 1, 1) for k, v in parts.items()}, None),
                         (spoilt, {"hands": torch.tensor([True, False])})):
        torch.manual_seed(0)
        model = Tokenizer(WHOLE)
        out, tokens, _ = model(batch, 0.0, valid)
        books.append(model.coders["hands"].quantizer.books[0].codes.abs().max())
        assert torch.isfinite(out["hands"]).all()
    assert bool((tokens[1, :, 2] == ABSENT).all()) and bool((tokens[0, :, 2] != ABSENT).all()) and not out["hands"][1].any()
    assert float(books[1]) < 3 * float(books[0]), "nothing was learnt from what is not there"


def test_absent_rows_take_no_part_in_the_loss() -> None:
    corpus = corpora.build([clip(7), clip(8, hands=False, face=False)], mirror=False)
    torch.manual_seed(0)
    model = Tokenizer(WHOLE)
    model.set_statistics(corpora.statistics(corpus))
    parts, valid = _windows(corpus, np.array([0.5, 0.5]), 32, 8, np.random.default_rng(0), list(features.PARTS))
    assert 0 < int(valid["hands"].sum()) < 8 and not parts["hands"][~valid["hands"]].any()
    model.eval()
    loss = _loss(model, parts, 0.0, valid)[0].item()
    parts["hands"][~valid["hands"]], parts["face"][~valid["face"]] = 50.0, -50.0
    assert _loss(model, parts, 0.0, valid)[0].item() == pytest.approx(loss, rel=1e-6)


def test_without_features_of_a_group_it_has_no_tokens_and_is_not_decoded() -> None:
    model = Tokenizer(WHOLE).eval()
    body = {k: torch.randn(1, 16, features.PART_WIDTHS[k]) for k in ("lower", "upper")}
    tokens = model.encode(body)
    assert tokens.shape == (1, 4, 4, 2) and bool((tokens[:, :, 2:] == ABSENT).all())
    assert set(model.decode(tokens)) == {"lower", "upper"}
    whole = model.decode(tokens.clamp_min(0))
    assert {k: x.shape[-1] for k, x in whole.items()} == features.PART_WIDTHS


def test_stitched_sequences_mark_what_their_clips_lack() -> None:
    corpus = corpora.build([clip(n, 120, hands=n % 2 == 0, face=n % 3 == 0) for n in range(6)], mirror=False)
    found = build_text_set(corpus, Tokenizer(WHOLE).eval(), 8, TextTable(), 1, recombine=0.5)
    there = found.tokens[..., 0] != ABSENT
    # which clip a token is from is known by its caption; only about the seams, which are cross-faded, the next one's may count
    names = [f"thing {n}" for n in range(6)]
    for g, has in ((2, {0, 2, 4}), (3, {0, 3})):
        owner = torch.tensor([names.index(t) if t in names else -1 for t in found.table.texts])[found.captions[:, :, 1, 0].long()]
        should = torch.tensor([[int(o) in has for o in row] for row in owner])
        assert float((there[:, :, g] == should).float().mean()) > 0.85
        assert bool(there[:, :, g].any()) and not bool(there[:, :, g].all())


def test_an_expression_leaves_and_meets_its_neighbours_smoothly() -> None:
    base, new = (Motion.from_body(30.0, rot.identity(90, 22), np.zeros((90, 3)), expression=np.full((90, width), value, np.float32))
                 for width, value in ((100, 0.0), (100, 1.0)))
    out = insert(base, new, [Range(1.0, 2.0)]).expression
    assert not out[:30].any() and not out[60:].any() and np.abs(np.diff(out, axis=0)).max() < 0.2 and out[45].min() > 0.95
    base.expression = base.expression[:, :0]
    assert insert(base, new, [Range(1.0, 2.0, "left_arm")]).expression.shape == (90, 0)


def test_a_stretch_takes_leave_of_the_expression_before_it() -> None:
    made = Assembler(Tokenizer(WHOLE), 30.0, 60, [], [], face=1.0)
    made.done, made.expression[29] = 30, 1.0
    joined = made._expression_joined(np.zeros((40, 100), np.float32), slice(10, 40))
    assert joined[0].min() > 0.6 and not joined[3:].any() and (np.diff(joined[:4, 0]) < 0).all()


def test_one_book_over_the_body_leaves_hands_and_faces_out() -> None:
    corpus = corpora.build([clip(n, 120) for n in range(3)], mirror=False)
    model = Tokenizer(TokenizerConfig.single(codes=16, width=16, code_width=8))
    model.set_statistics(corpora.statistics(corpus))
    parts, valid = _windows(corpus, np.full(3, 1 / 3), 32, 4, np.random.default_rng(0), ["lower", "upper"])
    loss, figures = _loss(model, parts, 0.0, valid)
    loss.backward()
    assert np.isfinite(figures["mpjpe_mm"]) and "hands_mpjpe_mm" not in figures
    found = build_text_set(corpus, model.eval(), 3, TextTable(), 1)
    assert found.tokens.shape == (3, 72, 1, 1) and bool((found.tokens != ABSENT).all())
    assert all(not text.startswith("A person is giving") for text in found.table.texts)


def test_absent_tokens_are_hidden_and_never_asked_for() -> None:
    g = torch.Generator().manual_seed(0)
    tokens = torch.randint(16, (6, 20, 4), generator=g)
    tokens[2:, :, 3] = ABSENT
    mask = draw_mask((6, 20, 4), g)
    hidden = corrupt(tokens, mask, 16, g, 0.3)
    assert bool((hidden[2:, :, 3] == 16).all()) and int(hidden.min()) >= 0 and not asked(tokens, mask)[2:, :, 3].any()
    logits = torch.randn(6, 20, 4, 16, generator=g)
    loss = float(masked_loss(logits, tokens, mask))
    logits[2:, :, 3] += 100 * torch.randn(4, 20, 16, generator=g)
    assert float(masked_loss(logits, tokens, mask)) == loss
    model = Tokenizer(WHOLE).eval()
    sums = sums_below(model, tokens[..., None].repeat(1, 1, 1, 2), 1)
    assert not sums[2:, :, 3].any() and bool(sums[:2, :, 3].any())


def test_masks_of_many_groups_hide_some_of_them_alone() -> None:
    hidden = draw_mask((300, 40, 4), torch.Generator().manual_seed(1))
    apart = [bool(row.any()) and not bool(row.all()) for row in hidden.any(1)]
    assert 0.1 < sum(apart) / 300 < 0.6
    assert bool(hidden.any(1).any(1).all()), "something is always asked for"


def test_strips_of_the_upper_body_direct_the_hands_and_none_directs_the_face() -> None:
    strips = [Direction(0.0, 1.0, "walks"), Direction(1.0, 2.0, "waves", "upper"), Direction(2.0, 3.0, "steps", "lower")]
    given = np.ones(30, bool)
    made = plan(strips, 30, Words(), speech=given, groups=features.PARTS)  # type: ignore[arg-type]
    directed = made.conditions.since[0].numpy() < NEVER
    assert directed[[3, 10, 18]].astype(int).tolist() == [[1, 1, 1, 0], [0, 1, 1, 0], [1, 0, 0, 0]]
    spoken = torch.from_numpy(Words().encode([SPEECH_SENTENCE])[0])
    assert torch.equal(made.conditions.text[0, :, 3], spoken.expand(30, -1))
    assert not made.spoken[:22].any() and made.spoken[23:].all()


def test_a_recipe_names_its_groups(tmp_path: Path) -> None:
    body, whole = corpora.build([clip(1, face=False, hands=False)]), corpora.build([clip(1)])

    def groups(configuration: str, corpus: corpora.Corpus) -> list[str]:
        path = faces.write_recipe(tmp_path / "r.toml", [], "speech", configuration)
        return list(load_recipe(str(path), tmp_path, tmp_path).groups(corpus))

    assert groups("", body) == ["lower", "upper"] and groups("", whole) == list(features.PARTS)
    assert groups('configuration = "single"', whole) == ["body"]
    assert groups('configuration = ["hands", "upper", "lower"]', whole) == ["lower", "upper", "hands"]
    for configuration, corpus, why in (('["upper", "hands"]', whole, "'lower' is missing"),
                                       ('["lower", "upper", "tail"]', whole, "no part 'tail'"),
                                       ('["lower", "upper", "face"]', body, "no training clip has it")):
        with pytest.raises(UnderstudyError, match=why):
            groups(f"configuration = {configuration}", corpus)


def test_weights_without_faces_say_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from bridge_server.motion import versa
    from bridge_server.motion.weights import save_network, write_card
    from shared.face_settings import FaceSettings
    from shared.requests import MotionRequest

    folder = tmp_path / "two"
    save_network(folder, "tokenizer", nets.tokenizer(), nets.tokenizer().config.to_json())
    save_network(folder, "text", nets.text_branch(), nets.CONFIG.to_json())
    write_card(folder, name="two", version="0", licence="CC0-1.0", non_commercial=False, text_encoder={"name": "minilm", "sha256": ""})
    monkeypatch.setattr(versa, "load_text_encoder", lambda *_: Words())
    generator = versa.VersaGenerator(str(folder))
    request = MotionRequest(directions=[Direction(0, 1, "walks")], face_settings=FaceSettings(route="generator"))
    with pytest.raises(UnderstudyError, match="two have not learnt faces"):
        generator.perform(request, None, lambda *_: None)
    request.face_settings = FaceSettings()
    made = generator.perform(request, None, lambda *_: None)
    assert made.metadata["fingers"] == "shapes" and made.expression.shape == (30, 0)
    assert np.ptp(made.rotations[:, 25:], axis=0).max() > 1e-3


def test_a_fit_brings_a_learnt_expression_to_the_curves() -> None:
    g = np.random.default_rng(0)
    fit = g.normal(size=(52, 100))
    curves = {name: g.uniform(0, 1, 20) * (g.uniform() < 0.3) for name in ARKIT if not name.startswith(("eyeBlink", "eyeLook"))}
    found = generated.curves_of(maps.expression(curves, fit), fit)
    assert max(np.abs(found[name] - curve).max() for name, curve in curves.items()) < 0.05
    assert not any(name.startswith(("eyeBlink", "eyeLook")) for name in found)
