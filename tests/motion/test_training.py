# SPDX-License-Identifier: Apache-2.0
"""The training stages run end to end on a motion set that the test writes, and resume."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from bridge_server.motion.tokenizer import TokenizerConfig
from bridge_server.training import corpus as corpora
from bridge_server.training.captions import paraphrases
from bridge_server.training.clips import mirror_text, mirrored, read_set
from bridge_server.training.loop import RunOptions
from bridge_server.training.masking import corrupt, draw_mask
from bridge_server.training.recipe import load_recipe
from bridge_server.training.sequences import TextTable, content_weights, stitch
from bridge_server.training.tokenizer_stage import train_tokenizer
from shared.errors import UnderstudyError
from shared.kinematics import forward
from shared.skeleton import BODY_JOINT_COUNT, MIRROR

from .test_features import wandering


def write_set(folder: Path, clips: int = 6, frames: int = 90, **extra: object) -> Path:
    folder.mkdir(parents=True)
    motions = [wandering(n, frames) for n in range(clips)]
    np.savez(folder / "shard_00.npz", rot=np.concatenate([q for q, _ in motions]).astype(np.float16),
             trans=np.concatenate([t for _, t in motions]).astype(np.float32))
    records = [{"name": f"c{n}", "split": "val" if n == 0 else "train", "shard": 0, "first": n * frames, "frames": frames,
                "captions": [{"text": f"a person does thing {n}", "start": 0, "end": frames / 30}], **extra} for n in range(clips)]
    (folder / "clips.json").write_text(json.dumps({"fps": 30, "clips": records}))
    return folder


def test_reading_keeps_splits_apart_and_names_what_is_wrong(tmp_path: Path) -> None:
    folder = write_set(tmp_path / "set")
    assert [c.name for c in read_set(folder, ("val",))] == ["c0"] and len(read_set(folder)) == 5
    with pytest.raises(UnderstudyError, match="clips.json"):
        read_set(tmp_path)
    (folder / "shard_00.npz").write_bytes(b"broken")
    with pytest.raises(UnderstudyError, match="cannot be read"):
        read_set(folder)


@pytest.mark.parametrize("harm", ["text", "cut", "hole", "absent", "short", "inside"])
def test_a_broken_shard_is_left_out_and_listed(tmp_path: Path, caplog: pytest.LogCaptureFixture, harm: str) -> None:
    folder, other = write_set(tmp_path / "set"), write_set(tmp_path / "other")
    index = json.loads((folder / "clips.json").read_text())
    index["clips"] += [{**r, "name": f"more {r['name']}", "shard": 1, "split": "train"} for r in index["clips"]]
    (folder / "clips.json").write_text(json.dumps(index))
    second = folder / "shard_01.npz"
    if harm != "absent":
        second.write_bytes((other / "shard_00.npz").read_bytes())
        content = bytearray(second.read_bytes())
        if harm == "text":
            second.write_bytes(b"broken")
        elif harm == "cut":
            second.write_bytes(content[: len(content) // 2])
        elif harm == "inside":
            content[len(content) // 2] ^= 255
            second.write_bytes(content)
        elif harm == "hole":
            np.savez(second, trans=np.zeros((540, 3), np.float32))
        else:
            with np.load(other / "shard_00.npz") as z:
                np.savez(second, rot=z["rot"][:100], trans=z["trans"][:100])
    with caplog.at_level("WARNING"):
        clips = read_set(folder)
    kept = [c.name for c in clips]
    assert kept[:5] == [f"c{n}" for n in range(1, 6)]
    assert kept[5:] == (["more c0"] if harm == "short" else [])
    assert "shard_01.npz of set" in caplog.text and "more c5" in caplog.text and "more c1" in caplog.text
    (folder / "shard_00.npz").write_bytes(b"broken")
    if harm != "short":
        with pytest.raises(UnderstudyError, match="cannot be read"):
            read_set(folder)


def test_a_mirror_swaps_sides_in_motion_and_words() -> None:
    rotations, translation = wandering(3)
    p = forward(rotations, translation)[0]
    q, t = mirrored(rotations, translation)
    m = forward(q, t)[0]
    assert np.allclose(m, p[:, list(MIRROR[:BODY_JOINT_COUNT])] * [-1, 1, 1], atol=1e-9)
    assert mirror_text("turns left, then right") == "turns right, then left"


def test_paraphrases_read_like_directions() -> None:
    found = paraphrases("a person walks forward")
    assert {"a person walks forward", "walks forward", "walk forward", "she walks forward"} <= set(found)
    assert "push something" in paraphrases("someone pushes something")


def test_stitched_sequences_are_labelled_throughout(tmp_path: Path) -> None:
    corpus = corpora.build(read_set(write_set(tmp_path / "set")), mirror=False)
    table = TextTable()
    sequence = stitch(corpus, content_weights(corpus), 288, table, np.random.default_rng(0))
    assert all(len(x) == 288 for x in sequence.parts.values())
    assert (sequence.captions[:, 0] >= 0).all() and len(set(sequence.captions[:, 0].tolist())) > 1
    assert (sequence.until > 0).all() and (sequence.since >= 0).all()
    # no jump at the seams: no frame differs from the next by more than the clips' own frames do
    own = max(np.abs(np.diff(v.parts["upper"], axis=0)).max() for v in corpus)
    assert np.abs(np.diff(sequence.parts["upper"], axis=0)).max() < own + 0.35


def test_masks_hide_something_everywhere_and_keep_what_is_visible_mostly_right() -> None:
    g = torch.Generator().manual_seed(0)
    mask = draw_mask((200, 40, 2), g)
    share = mask.float().mean((1, 2))
    assert bool(mask.any(1).any(1).all()) and float(share.min()) < 0.2 and float(share.max()) > 0.95
    tokens = torch.randint(32, (200, 40, 2), generator=g)
    hidden = corrupt(tokens, mask, 32, g)
    assert bool((hidden[mask] == 32).all()) and 0.9 < float((hidden == tokens)[~mask].float().mean()) < 0.96


def test_training_resumes_where_it_stopped(tmp_path: Path) -> None:
    clips = read_set(write_set(tmp_path / "set"))
    corpus = corpora.build(clips, mirror=False)
    config = TokenizerConfig(width=16, codes=32, code_width=8, levels=2)
    options = RunOptions(tmp_path / "run", steps=3, validate_every=2)
    train_tokenizer(corpus, corpus[:1], config, options, frames=32, batch=4)
    assert torch.load(tmp_path / "run" / "last.pt", weights_only=True)["step"] == 3
    options.steps = 5
    train_tokenizer(corpus, corpus[:1], config, options, frames=32, batch=4)
    logged = [json.loads(line)["step"] for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert torch.load(tmp_path / "run" / "last.pt", weights_only=True)["step"] == 5 and logged.count(0) == 1


def test_non_commercial_data_is_refused_by_a_free_recipe(tmp_path: Path) -> None:
    write_set(tmp_path / "nc", non_commercial=True)
    recipe = load_recipe("starter", tmp_path / "run", tmp_path)
    recipe.settings["data"] = ["nc"]
    with pytest.raises(UnderstudyError, match="non-commercial"):
        recipe.clips("train")
    with pytest.raises(UnderstudyError, match="no recipe"):
        load_recipe("nothing", tmp_path, tmp_path)


def test_half_precision_trains_the_books_in_single(tmp_path: Path) -> None:
    corpus = corpora.build(read_set(write_set(tmp_path / "set")), mirror=False)
    config = TokenizerConfig(width=16, codes=32, code_width=8, levels=2)
    model = train_tokenizer(corpus, corpus[:1], config, RunOptions(tmp_path / "run", steps=3, bf16=True), frames=32, batch=4)
    assert {v.dtype for v in model.state_dict().values() if v.dtype.is_floating_point} == {torch.float32}
    losses = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert all(np.isfinite(row["loss"]) and row["slip_mm"] >= 0 for row in losses if "loss" in row)


def test_both_shipped_recipes_say_what_they_may_be_used_for(tmp_path: Path) -> None:
    free, restricted = (load_recipe(name, tmp_path, tmp_path).settings for name in ("starter", "starter-nc"))
    assert "bandai_nc" not in free["data"] and not free.get("non_commercial") and free["licence"] == "CC0-1.0"
    assert restricted["non_commercial"] and restricted["licence"] == "CC-BY-NC-4.0"
    # the same recipe otherwise: sizes and rates
    assert all(free[k] == restricted[k] for k in ("tokenizer", "branches", "decoder", "audio", "tempi"))
