# SPDX-License-Identifier: Apache-2.0
"""Weights of film models that users have: where they lie, what is missing, and the packages and devices that draw with them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from shared.errors import UnderstudyError

__all__ = [
    "VARIABLE", "default_folder", "missing_parts", "missing_weights", "packages_missing", "part_bytes", "read_json", "weight_file",
]

VARIABLE: Final = "UNDERSTUDY_FILM_WEIGHTS"
"""Environment variable: a folder with one folder of weights for each renderer, under the renderer's name."""
_PACKAGES: Final = {"diffusers": "diffusers", "accelerate": "accelerate", "cv2": "opencv-python-headless", "skimage": "scikit-image"}
_STEMS: Final = {"diffusers": "diffusion_pytorch_model", "transformers": "model"}
_CONFIGS: Final = {"scheduler": "scheduler_config.json", "feature_extractor": "preprocessor_config.json",
                   "image_processor": "preprocessor_config.json", "tokenizer": "tokenizer_config.json"}


def packages_missing() -> str:
    """A sentence about what is not installed, or an empty string. Nothing is imported."""
    missing = [package for module, package in _PACKAGES.items() if find_spec(module) is None]
    if missing:
        return f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not installed."
    try:
        found = version("diffusers")
    except PackageNotFoundError:
        return ""
    return "" if tuple(int(n) for n in found.split(".")[:2] if n.isdigit()) >= (0, 42) else f"diffusers {found} is older than 0.42."


def default_folder(renderer: str) -> Path | None:
    """``$UNDERSTUDY_FILM_WEIGHTS/<renderer>`` where there is one."""
    own = os.environ.get(VARIABLE)
    return Path(own) / renderer if own and (Path(own) / renderer).is_dir() else None


def missing_weights(renderer: str) -> str:
    """The sentence for a renderer whose folder is not known."""
    return f"No weights are known: ${VARIABLE} names no folder that holds {renderer}/."


def weight_file(folder: Path, library: str) -> list[Path]:
    """The weights of one part of a diffusers folder: one file, or the shards that its index names; half precision is preferred.

    :param library: ``diffusers`` or ``transformers``. :returns: empty where there are none.
    """
    stem = _STEMS[library]
    for variant in (".fp16", ".bf16", ""):
        index = [p for p in (folder / f"{stem}.safetensors.index{variant}.json", folder / f"{stem}{variant}.safetensors.index.json")
                 if p.is_file()]
        if index:
            return [folder / name for name in sorted(set(read_json(index[0])["weight_map"].values()))]
        if (folder / f"{stem}{variant}.safetensors").is_file():
            return [folder / f"{stem}{variant}.safetensors"]
    return []


def missing_parts(folder: Path, parts: dict[str, str], without_weights: Iterable[str] = ()) -> list[str]:
    """Files that a diffusers folder lacks, as paths below it.

    :param parts: name of each subfolder -> ``diffusers``, ``transformers``, or ``config`` for parts without weights.
    :param without_weights: parts whose weights come from elsewhere.
    """
    out = []
    for part, library in parts.items():
        config = folder / part / _CONFIGS.get(part, "config.json")
        if not config.is_file():
            out.append(f"{part}/{config.name}")
        if library == "config" or part in without_weights:
            continue
        files = weight_file(folder / part, library)
        if not files:
            out.append(f"{part}/{_STEMS[library]}.safetensors")
        out += [f"{part}/{file.name}" for file in files if not file.is_file()]
    return out


def part_bytes(folder: Path, library: str, width: int) -> int:
    """Bytes of a part's weights when held at ``width`` bytes a number, from the files' sizes and headers."""
    total = 0
    for file in weight_file(folder, library):
        stored = {"F32": 4, "F16": 2, "BF16": 2, "F64": 8}.get(_stored_type(file), 2)
        total += file.stat().st_size * width // stored
    return total


def _stored_type(file: Path) -> str:
    """The type of most numbers of a safetensors file."""
    with file.open("rb") as f:
        length = int.from_bytes(f.read(8), "little")
        header: dict[str, Any] = json.loads(f.read(min(length, 100_000_000)))
    sizes: dict[str, int] = {}
    for name, entry in header.items():
        if name != "__metadata__":
            sizes[entry["dtype"]] = sizes.get(entry["dtype"], 0) + entry["data_offsets"][1] - entry["data_offsets"][0]
    return max(sizes, key=lambda kind: sizes[kind]) if sizes else "F16"


def read_json(path: Path) -> dict[str, Any]:
    """:raises UnderstudyError: ``weights_invalid`` for a file that is not JSON."""
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return content
    except (OSError, ValueError) as error:
        raise UnderstudyError("weights_invalid", f"{path.name} of {path.parent.name} cannot be read ({error}).",
                              "Fetch these weights again.") from error
