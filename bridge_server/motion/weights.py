# SPDX-License-Identifier: Apache-2.0
"""Weights sets on disk: safetensors in float16 with a card that says what they are.

A set is a folder: ``card.json`` (format, version, licence, what data, hash of every file, the text encoder it was
trained with), ``MODEL_CARD.md`` for people, and one ``.safetensors`` file a network.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from shared.errors import UnderstudyError

from .audio_branch import AudioBranch
from .residual import ResidualBranch
from .text_branch import BranchConfig, TextBranch
from .tokenizer import Tokenizer, TokenizerConfig

__all__ = ["FORMAT", "Networks", "SHIPPED", "find_set", "load_networks", "read_card", "save_network",
           "sets_with", "write_card"]

FORMAT: Final = "understudy-weights-1"
SHIPPED: Final = Path(__file__).resolve().parent.parent / "weights"
"""Sets that come with the bridge."""


@dataclass
class Networks:
    """The generator's networks, in evaluation mode. ``audio`` may be missing in a set under training."""

    card: dict[str, Any]
    tokenizer: Tokenizer
    text: TextBranch
    residual: ResidualBranch | None
    audio: AudioBranch | None


def find_set(name: str) -> Path:
    """Folder of a weights set: a path, a set in ``$UNDERSTUDY_WEIGHTS``, or one that is shipped.

    :raises UnderstudyError: ``weights_missing``.
    """
    places = [Path(name)] if os.sep in name or "/" in name else []
    if own := os.environ.get("UNDERSTUDY_WEIGHTS"):
        places.append(Path(own) / name)
    places.append(SHIPPED / name)
    for place in places:
        if (place / "card.json").is_file():
            return place
    have = ", ".join(sorted(p.parent.name for p in SHIPPED.glob("*/card.json"))) or "none"
    raise UnderstudyError("weights_missing", f"There are no weights named {name!r} (shipped: {have}).",
                          "Choose a shipped set, or put the folder's path into the weights setting.")


def sets_with(group: str) -> list[str]:
    """Names of the sets, the user's own before the shipped ones, whose tokens have a group (``hands``, ``face``)."""
    found = []
    for home in (Path(os.environ.get("UNDERSTUDY_WEIGHTS") or SHIPPED), SHIPPED):
        for path in sorted(home.glob("*/card.json")):
            try:
                groups = read_card(path.parent).get("groups", [])
            except UnderstudyError:
                continue  # doctor says what is wrong with it
            if group in groups:
                found.append(path.parent.name)
    return list(dict.fromkeys(found))


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def save_network(folder: Path, name: str, module: nn.Module, config: dict[str, Any]) -> None:
    """Write ``name.safetensors`` in float16 with its configuration in the metadata."""
    folder.mkdir(parents=True, exist_ok=True)
    state = {k: (v.half() if v.dtype.is_floating_point else v).contiguous().cpu() for k, v in module.state_dict().items()
             # moving averages are for training alone
             if not k.endswith((".usage", ".sums"))}
    temporary = folder / f"{name}.part"
    save_file(state, temporary, metadata={"format": FORMAT, "config": json.dumps(config)})
    temporary.replace(folder / f"{name}.safetensors")


def write_card(folder: Path, **facts: Any) -> None:
    """Write ``card.json`` with the hashes of the set's files."""
    files = {p.name: _digest(p) for p in sorted(folder.glob("*.safetensors"))}
    temporary = folder / "card.part"
    temporary.write_text(json.dumps({"format": FORMAT, **facts, "files": files}, indent=1) + "\n", encoding="utf-8")
    temporary.replace(folder / "card.json")


def read_card(folder: Path) -> dict[str, Any]:
    """The card. :raises UnderstudyError: ``weights_invalid`` when it is broken or of another version."""
    try:
        card: dict[str, Any] = json.loads((folder / "card.json").read_text(encoding="utf-8"))
        found, _ = card["format"], card["files"].items()
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UnderstudyError("weights_invalid", f"The weights in {folder.name} have no readable card.",
                              "Fetch the weights again.") from error
    if found != FORMAT:
        raise UnderstudyError("weights_invalid", f"The weights in {folder.name} are of format {found}, this bridge reads {FORMAT}.",
                              "Update the bridge, or fetch weights of its release.")
    return card


def _read(folder: Path, card: dict[str, Any], name: str) -> tuple[dict[str, torch.Tensor], dict[str, Any]] | None:
    path = folder / f"{name}.safetensors"
    expected = card["files"].get(path.name)
    if expected is None:
        return None
    if not path.is_file():
        raise UnderstudyError("weights_missing", f"The weights set {folder.name} lacks {path.name}.", "Fetch the weights again.")
    if _digest(path) != expected:
        raise UnderstudyError("weights_invalid", f"{path.name} of {folder.name} is damaged or is not the one its card names.",
                              "Fetch the weights again.")
    try:
        from safetensors import safe_open

        with safe_open(path, "pt") as file:
            config = json.loads(file.metadata()["config"])
        return {k: v.float() if v.dtype.is_floating_point else v for k, v in load_file(path).items()}, config
    except (SafetensorError, KeyError, ValueError, TypeError) as error:
        raise UnderstudyError("weights_invalid", f"{path.name} of {folder.name} cannot be read.", "Fetch the weights again.") from error


def _fill(module: nn.Module, state: dict[str, torch.Tensor], folder: Path, device: str) -> None:
    try:
        missing, unknown = module.load_state_dict(state, strict=False)
    except RuntimeError as error:
        raise UnderstudyError("weights_invalid", f"The weights in {folder.name} have other shapes than this bridge expects.",
                              "Update the bridge, or fetch weights of its release.") from error
    missing = [m for m in missing if not m.endswith((".usage", ".sums"))]
    if missing or unknown:
        raise UnderstudyError("weights_invalid", f"The weights in {folder.name} do not fit: {(missing + unknown)[0]} is "
                              f"{'missing' if missing else 'unknown'}.", "Update the bridge, or fetch weights of its release.")
    module.eval().requires_grad_(False).to(device)


def load_networks(folder: Path, device: str = "cpu") -> Networks:
    """Read a set and check every file's hash.

    :raises UnderstudyError: ``weights_missing`` or ``weights_invalid``.
    """
    card = read_card(folder)
    if not {"name", "sha256"} <= set(card.get("text_encoder") or ()):
        raise UnderstudyError("weights_invalid", f"The card of the weights in {folder.name} does not name their text encoder.",
                              "Fetch the weights again.")
    found = {name: _read(folder, card, name) for name in ("tokenizer", "text", "residual", "audio")}
    if found["tokenizer"] is None or found["text"] is None:
        raise UnderstudyError("weights_missing", f"The weights set {folder.name} lacks the tokenizer or the text branch.",
                              "Fetch the weights again.")
    try:
        tokenizer = Tokenizer(TokenizerConfig(**found["tokenizer"][1]))
        text = TextBranch(BranchConfig(**found["text"][1]))
        audio = AudioBranch(BranchConfig(**found["audio"][1])) if found["audio"] else None
        residual = None
        if found["residual"]:
            residual = ResidualBranch(BranchConfig(**found["residual"][1]), tokenizer.config.levels, tokenizer.config.code_width)
    except TypeError as error:
        raise UnderstudyError("weights_invalid", f"The weights in {folder.name} are of another version ({error}).",
                              "Update the bridge, or fetch weights of its release.") from error
    for module, key in ((tokenizer, "tokenizer"), (text, "text"), (residual, "residual"), (audio, "audio")):
        entry = found[key]
        if module is not None and entry is not None:
            _fill(module, entry[0], folder, device)
    return Networks(card, tokenizer, text, residual, audio)
