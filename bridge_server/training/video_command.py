# SPDX-License-Identifier: Apache-2.0
"""``understudy train video``: one stage of the film model, from a recipe."""

from __future__ import annotations

import argparse
import tomllib
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from shared.errors import UnderstudyError

__all__ = ["run"]


def _recipe(name: str) -> dict[str, Any]:
    from bridge_server.training.recipe import CONFIGS

    path = CONFIGS / f"{name}.toml" if (CONFIGS / f"{name}.toml").is_file() else Path(name)
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UnderstudyError("file_missing", f"There is no recipe {name!r}.", "Choose 'video', or a TOML file.") from error
    except tomllib.TOMLDecodeError as error:
        raise UnderstudyError("file_invalid", f"The recipe {path.name} is not valid TOML ({error}).", "Correct the file.") from error


def _settings(recipe: dict[str, Any], stage: dict[str, Any]) -> Any:
    from bridge_server.training.video_stage import Settings

    known = {f.name for f in fields(Settings)}
    given = {k: v for part in (recipe.get("data", {}), stage) for k, v in part.items() if k in known}
    unknown = [k for k in recipe.get("data", {}) if k not in known]
    if unknown:
        raise UnderstudyError("file_invalid", f"The recipe has an unknown setting {unknown[0]!r}.",
                              f"Known are {', '.join(sorted(known))}.")
    if "scales" in given:
        given["scales"] = tuple(given["scales"])
    settings = Settings(**given)
    if settings.width % 64 or settings.height % 64 or settings.window < 2 or settings.train not in ("all", "temporal", "pose"):
        raise UnderstudyError("file_invalid", "The recipe's size, window or choice of layers cannot be trained.",
                              "Use sides of whole 64 pixels, windows of at least 2 frames, and train = all, temporal or pose.")
    return settings


def run(arguments: argparse.Namespace) -> int:
    """Train one stage; the same folder resumes. Returns 0."""
    from bridge_server.video import device as devices
    from bridge_server.video import model_folders

    if why := model_folders.packages_missing():
        raise UnderstudyError("unsupported", f"Films cannot be trained here: {why}", "Run: pip install 'understudy[video]'.")
    from bridge_server.audio.encoder import load_audio_encoder
    from bridge_server.training.loop import RunOptions
    from bridge_server.training.video_data import read_clips
    from bridge_server.training.video_stage import FOLDERS, Trainer, train_stage
    from bridge_server.video.versa.drawing import Drawing
    from bridge_server.video.versa.weights import FACE_FILE, find_files

    number = arguments.video_stage
    recipe = _recipe("video" if arguments.config == "starter" else arguments.config)
    stage = recipe.get(f"stage{number}", {})
    settings = _settings(recipe, stage)
    folder = Path(arguments.weights) if arguments.weights else model_folders.default_folder("versa")
    if folder is None:
        raise UnderstudyError("weights_missing", model_folders.missing_weights("versa"), "Name the folder with --weights.")
    files = find_files(folder)
    out = arguments.folder / "weights" / FACE_FILE
    if out.is_file():
        # what this run has learnt so far
        files = replace(files, face=out)
    device = devices.choose_device(arguments.device)
    side = max(settings.width, settings.height) * 2
    allowed = recipe.get("non_commercial", False)
    clips = {split: read_clips(arguments.data, arguments.folder / "pictures", side, split, non_commercial=allowed)
             for split in ("train", "val")}
    # taught in full precision, computed in half where asked
    drawing = Drawing(files, device, "fp32", "none")
    encoder = load_audio_encoder(settings.audio, device=device, layer=settings.audio_layer) if number == 2 else None
    options = RunOptions(
        arguments.folder / FOLDERS[number], steps=stage.get("steps", 30_000), rate=stage.get("rate", 1e-5),
        warmup=stage.get("warmup", 500), seed=recipe.get("seed", 0), device=device, bf16=arguments.bf16,
        minutes=arguments.minutes if arguments.minutes is not None else stage.get("minutes", 0.0),
        validate_every=stage.get("validate_every", 500), average=stage.get("average", 0.999))
    print(f"stage {number}: {len(clips['train'])} clips, {len(clips['val'])} held out", flush=True)
    train_stage(Trainer(drawing, clips["train"], clips["val"], settings, number, encoder), options, out)
    print(f"written: {out}; put it beside MimicMotion's checkpoint", flush=True)
    return 0
