# SPDX-License-Identifier: Apache-2.0
"""Where a pretrained encoder's files are: a folder, a weights set, the user's encoders, a package, the model hub's cache."""

from __future__ import annotations

import hashlib
import importlib.util
import os
from functools import lru_cache
from pathlib import Path
from typing import Final

__all__ = ["ENCODERS_VARIABLE", "PATTERNS", "file_hash", "find_local", "weights_hash"]

ENCODERS_VARIABLE: Final = "UNDERSTUDY_ENCODERS"
"""Environment variable: a folder with one folder for each encoder, under the encoder's name."""
PATTERNS: Final = ["*.json", "*.txt", "*.safetensors"]
"""What is taken from the hub: safetensors only, because other formats can run code when they are read."""


@lru_cache(maxsize=16)
def _hash(path: str, size: int, modified: int) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def file_hash(path: Path) -> str:
    """SHA-256 of a file in hexadecimal; remembered for as long as its size and time stay."""
    status = path.stat()
    return _hash(str(path), status.st_size, status.st_mtime_ns)


def weights_hash(folder: Path) -> str:
    """SHA-256 of a model's safetensors: the file's own, or for a model in several files that of their hashes in order of names.

    :raises FileNotFoundError: where there are none.
    """
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise FileNotFoundError(f"{folder} has no safetensors")
    if len(files) == 1:
        return file_hash(files[0])
    return hashlib.sha256("".join(file_hash(f) for f in files).encode()).hexdigest()


def find_local(name: str, hub: str, *, beside: Path | None = None, package: str = "", inside: str = "") -> Path | None:
    """The folder of an encoder on this machine, or None. Nothing is fetched.

    :param name: the encoder's name, under which it lies in ``beside`` and in ``$UNDERSTUDY_ENCODERS``.
    :param hub: its id on the model hub, looked for in the hub's cache.
    :param beside: a weights set, which may carry its encoders.
    :param package: an installed package that carries it, in the folder ``inside``.
    """
    places = [beside / name] if beside is not None else []
    if own := os.environ.get(ENCODERS_VARIABLE):
        places.append(Path(own) / name)
    if package:
        spec = importlib.util.find_spec(package)
        if spec and spec.origin:
            places.append(Path(spec.origin).parent / inside)
    for place in places:
        if (place / "config.json").is_file():
            return place
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        found = Path(snapshot_download(hub, allow_patterns=PATTERNS, local_files_only=True))
    except LocalEntryNotFoundError:
        return None
    return found if (found / "config.json").is_file() else None
