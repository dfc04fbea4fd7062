# SPDX-License-Identifier: Apache-2.0
"""Weights that are missing, torn, of another version or not what their card says: refused with what is wrong, at once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from bridge_server.motion import versa
from bridge_server.motion.weights import load_networks
from shared.errors import UnderstudyError
from shared.requests import MotionRequest
from shared.timeline import Direction

from .test_versa import generator, quiet, speech, weights  # noqa: F401 (fixtures)


def rewrite(folder: Path, **changes: Any) -> None:
    """Change the card and bring its hashes up to date, so that nothing but the change is wrong."""
    card = json.loads((folder / "card.json").read_text())
    card |= changes
    card["files"] = {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.glob("*.safetensors")}
    (folder / "card.json").write_text(json.dumps(card))


def with_config(folder: Path, **changes: Any) -> None:
    from safetensors import safe_open

    path = folder / "text.safetensors"
    with safe_open(path, "pt") as file:
        config = json.loads(file.metadata()["config"])
    save_file(load_file(path), path, metadata={"config": json.dumps({**config, **changes})})
    rewrite(folder)


def truncated(folder: Path) -> None:
    path = folder / "text.safetensors"
    path.write_bytes(path.read_bytes()[:-1000])


def truncated_with_its_hash(folder: Path) -> None:
    truncated(folder)
    rewrite(folder)


def without_a_tensor(folder: Path) -> None:
    from safetensors import safe_open

    path = folder / "text.safetensors"
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    tensors = load_file(path)
    tensors.pop(sorted(tensors)[0])
    save_file(tensors, path, metadata=metadata)
    rewrite(folder)


CASES: list[tuple[Callable[[Path], object], str, str]] = [
    (lambda f: (f / "card.json").unlink(), "no weights named", "weights_missing"),
    (lambda f: (f / "card.json").write_text("{"), "no readable card", "weights_invalid"),
    (lambda f: (f / "card.json").write_text("[]"), "no readable card", "weights_invalid"),
    (lambda f: rewrite(f, format="understudy-weights-9"), "are of format understudy-weights-9", "weights_invalid"),
    (lambda f: (f / "text.safetensors").unlink(), "lacks text.safetensors", "weights_missing"),
    (truncated, "damaged or is not the one", "weights_invalid"),
    (truncated_with_its_hash, "cannot be read", "weights_invalid"),
    (without_a_tensor, "is missing", "weights_invalid"),
    (lambda f: with_config(f, width=48), "other shapes", "weights_invalid"),
    (lambda f: with_config(f, wings=2), "of another version", "weights_invalid"),
    (lambda f: rewrite(f, text_encoder={}), "does not name their text encoder", "weights_invalid"),
]


@pytest.mark.parametrize(("harm", "words", "code"), CASES, ids=[str(n) for n in range(len(CASES))])
def test_a_set_that_is_not_whole(weights: Path, harm: Callable[[Path], object], words: str, code: str) -> None:  # noqa: F811
    harm(weights)
    with pytest.raises(UnderstudyError, match=words) as found:
        versa.VersaGenerator(str(weights))
    assert found.value.code == code and found.value.fix


def test_the_networks_work_in_smaller_pieces_when_asked(generator: versa.VersaGenerator) -> None:  # noqa: F811
    request = MotionRequest(duration=20.0, directions=[Direction(0, 9, "walks")], face=False)
    whole = generator.perform(request, speech(20.0), quiet)
    assert generator.shrink()
    # the same passes one after the other
    apart = generator.perform(request, speech(20.0), quiet)
    assert np.median(np.abs(whole.rotations - apart.rotations)) < 1e-3
    while generator.shrink():
        pass
    assert len(generator.perform(request, speech(20.0), quiet)) == 600 and not generator.shrink()


def test_the_memory_that_is_said_to_be_needed_is_enough(generator: versa.VersaGenerator) -> None:  # noqa: F811
    import tracemalloc

    assert sorted(needs := [generator.memory_needed(s) for s in (0.5, 10, 60, 600, 3600)]) == needs
    audio = speech(12.0)
    generator.perform(MotionRequest(duration=2.0, face=False), speech(2.0), quiet)
    while generator.shrink():
        pass
    tracemalloc.start()
    try:
        generator.perform(MotionRequest(duration=12.0, face=False), audio, quiet)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # what Python and numpy took; the tensors of these small networks are nothing beside it
    assert 1 << 20 < peak < generator.memory_needed(12.0)


def test_loaded_networks_are_on_the_device_that_was_asked_for(weights: Path) -> None:  # noqa: F811
    networks = load_networks(weights, "meta")
    assert networks.text.heads.norm.weight.device == torch.device("meta")
