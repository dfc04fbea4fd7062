# SPDX-License-Identifier: Apache-2.0
"""``understudy train``: one stage of a recipe, or all of them."""

from __future__ import annotations

import argparse
from pathlib import Path

__all__ = ["add_parser"]


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the subcommand; torch is imported only when it runs."""
    parser = subparsers.add_parser("train", help="train a stage of the generator, or all")
    parser.add_argument("stage", choices=["all", "tokenizer", "decoder", "text", "residual", "audio", "reconstruction", "release", "video"])
    parser.add_argument("--config", default="starter", help="a recipe's name or TOML file")
    parser.add_argument("--data", type=Path, required=True, help="folder that holds the motion sets")
    parser.add_argument("--folder", type=Path, required=True, help="folder of this run; the same folder resumes")
    parser.add_argument("--speech", type=Path, nargs="+", default=[], metavar="FOLDER",
                        help="performances with speech to learn from instead of the recipe's: prepared sets with sound, such as BEAT2, "
                        "or what 'understudy synthesize' made")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--bf16", action="store_true", help="bfloat16 autocast")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads (0: all)")
    parser.add_argument("--minutes", type=float, help="time limit of each stage instead of the recipe's")
    parser.add_argument("--stage", type=int, choices=[1, 2], default=1, dest="video_stage",
                        help="of the film model ('video'): 1 pose to pictures, 2 the face")
    parser.add_argument("--weights", type=Path, metavar="FOLDER",
                        help="of the film model ('video'): Stable Video Diffusion XT and MimicMotion")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the asked stages."""
    import torch

    from .recipe import STAGES, load_recipe

    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    if arguments.stage == "video":
        from .video_command import run as train_video

        return train_video(arguments)
    recipe = load_recipe(arguments.config, arguments.folder, arguments.data, device=arguments.device, bf16=arguments.bf16,
                         speech=tuple(arguments.speech))
    stages = [s for s in STAGES if s != "release"] if arguments.stage == "all" else [arguments.stage]
    if arguments.minutes is not None:
        recipe.minutes = dict.fromkeys(stages, arguments.minutes)
    for stage in stages:
        print(f"stage {stage}", flush=True)
        STAGES[stage](recipe)
    return 0
