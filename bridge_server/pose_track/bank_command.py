# SPDX-License-Identifier: Apache-2.0
"""``understudy bank``: make and measure relation banks."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from shared.errors import UnderstudyError

__all__ = ["add_parser", "run"]


def add_parser(subparsers: Any) -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        "bank", help="make a relation bank of motion tokens and real 2D motion",
        description="Make a relation bank from motion sets (--data) or from template videos (--template, with the DWPose npz and "
        "the SMPL-X performance of each), or measure one.")
    parser.add_argument("action", choices=("build", "measure"))
    parser.add_argument("--data", type=Path, nargs="+", default=[], metavar="FOLDER", help="motion sets; only train clips are used")
    parser.add_argument("--template", nargs=2, type=Path, action="append", default=[], metavar=("DWPOSE.npz", "SMPLX.npz"))
    parser.add_argument("--out", type=Path, metavar="FILE.npz", help="the bank to write")
    parser.add_argument("--bank", type=Path, metavar="FILE.npz", help="the bank to measure (the shipped one)")
    parser.add_argument("--weights", default="starter", help="whose tokens the bank links (starter)")
    parser.add_argument("--cameras", type=int, default=2, help="virtual cameras for each clip (2)")
    parser.add_argument("--limit", type=int, default=6000, help="segments at most (6000)")
    parser.add_argument("--clips", type=int, default=60, help="test clips of a measurement at most (60)")
    parser.add_argument("--split", default="test", choices=("val", "test"), help="clips of the measurement (test)")
    parser.add_argument("--seed", type=int, default=0)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Returns 0."""
    from bridge_server.pose_track.bank import Bank
    from bridge_server.pose_track.bank_build import Tokens, from_mocap, from_templates
    from bridge_server.training.clips import read_sets

    if arguments.action == "build":
        if arguments.out is None or bool(arguments.data) == bool(arguments.template):
            raise UnderstudyError("request_invalid", "A bank is made from --data or from --template, and written to --out.",
                                  "See understudy bank --help.")
        tokens = Tokens(arguments.weights)
        if arguments.template:
            bank = from_templates([tuple(pair) for pair in arguments.template], tokens, limit=arguments.limit, seed=arguments.seed)
        else:
            clips = read_sets(arguments.data)
            licences = sorted({str(clip.record.get("licence", "unknown")) for clip in clips})
            facts = {"sources": [folder.name for folder in arguments.data], "licences": licences, "split": "train",
                     "clips": len(clips), "non_commercial": any(clip.record.get("non_commercial") for clip in clips)}
            bank = from_mocap(clips, tokens, cameras=arguments.cameras, limit=arguments.limit, seed=arguments.seed, facts=facts,
                              report=lambda f: print(f"\r{f:5.0%}", end="", file=sys.stderr, flush=True))
            print(file=sys.stderr)
        bank.save(arguments.out)
        print(f"{len(bank.segments)} segments of {len(set(bank.codes.tolist()))} tokens, "
              f"{arguments.out.stat().st_size / 1e6:.2f} MB: {arguments.out}")
        return 0
    from bridge_server.pose_track.bank_measure import compare

    if not arguments.data:
        raise UnderstudyError("request_invalid", "--data is missing.", "Name motion sets whose clips are measured.")
    clips = [clip for clip in read_sets(arguments.data, (arguments.split,)) if len(clip) >= 64]
    step = max(len(clips) // max(arguments.clips, 1), 1)
    bank, tokens = Bank.load(arguments.bank), Tokens(arguments.weights)
    if bank.tokenizer and bank.tokenizer != tokens.digest:
        print("note: The bank was made with another tokenizer; its tokens do not mean the same.", file=sys.stderr)
    print(json.dumps(compare(clips[::step][: arguments.clips], tokens, bank), indent=1))
    return 0
