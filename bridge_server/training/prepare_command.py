# SPDX-License-Identifier: Apache-2.0
"""``understudy prepare``: motion data sets into one on-disk format."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .prepare_sources import Source

__all__ = ["add_parser"]

_SHOWN = 12


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the subcommand."""
    parser = subparsers.add_parser(
        "prepare", help="read motion data sets into one on-disk format",
        description="Reads motion data sets into one folder that `understudy train` reads. Broken files are left out, listed "
        "at the end and in report.json.")
    parser.add_argument("out", type=Path, help="folder of the new set")
    for flag, what in (("--amass", "AMASS tree (SMPL-H or SMPL-X), or any folder of SMPL-family npz files"),
                       ("--humanml3d", "HumanML3D folder (index.csv, texts, splits)"), ("--beat2", "BEAT2 folder"),
                       ("--bvh", "folder of BVH files; NAME.txt beside a file holds its captions"),
                       ("--set", "a motion set in this format, such as cmu_text")):
        parser.add_argument(flag, type=Path, action="append", default=[], metavar="DIR", help=what + "; may be repeated")
    parser.add_argument("--amass-poses", type=Path, metavar="DIR", help="AMASS tree with the poses that HumanML3D's index names")
    parser.add_argument("--amass-rates", type=Path, metavar="DIR",
                        help="AMASS SMPL-H tree to take frame rates from, for SMPL-X files that state a wrong one")
    parser.add_argument("--source-fps", type=float, metavar="FPS", help="true frame rate of all files given with --amass")
    parser.add_argument("--body-model", type=Path, metavar="PATH",
                        help="your SMPL-X npz file or folder: true proportions, and the mean hand that BEAT2 needs")
    parser.add_argument("--non-commercial", action=argparse.BooleanOptionalAction, default=None,
                        help="mark every clip as for non-commercial use or not (default: by what the data's licence says)")
    parser.add_argument("--licence", metavar="TEXT", help="licence of the data, instead of the one known for its kind")
    parser.add_argument("--min-seconds", type=float, default=1.0, help="leave out shorter clips (default 1)")
    parser.add_argument("--limit", type=int, help="read only the first N clips of each folder")
    parser.add_argument("--replace", action="store_true", help="replace a set that is already there")
    parser.set_defaults(run=run)


def _sources(arguments: argparse.Namespace) -> Iterator[tuple[str, Source]]:
    from . import prepare_sources as known
    from .prepare_humanml3d import humanml3d

    model = arguments.body_model
    groups = [("amass", known.amass(folder, model, arguments.amass_rates, arguments.source_fps)) for folder in arguments.amass]
    groups += [("humanml3d", humanml3d(folder, arguments.amass_poses, model)) for folder in arguments.humanml3d]
    groups += [("beat2", known.beat2(folder, model)) for folder in arguments.beat2]
    groups += [("bvh", known.bvh(folder)) for folder in arguments.bvh]
    groups += [("set", known.motion_set(folder)) for folder in arguments.set]
    for kind, sources in groups:
        for source in islice(sources, arguments.limit):
            yield kind, source


def run(arguments: argparse.Namespace) -> int:
    """Prepare the set and say what was done."""
    from tqdm import tqdm

    from shared.errors import UnderstudyError

    from .prepare import prepare
    from .prepare_sources import LICENCES

    if not any((arguments.amass, arguments.humanml3d, arguments.beat2, arguments.bvh, arguments.set)):
        raise UnderstudyError("request_invalid", "No data was named.",
                              "Name a folder with --amass, --humanml3d, --beat2, --bvh or --set.")

    def licence(kind: str, record: dict[str, Any]) -> tuple[str, bool]:
        text, restricted = LICENCES.get(kind, (str(record.get("licence", "unknown")), bool(record.get("non_commercial", False))))
        return arguments.licence or text, restricted if arguments.non_commercial is None else arguments.non_commercial

    with tqdm(unit="clip", disable=None) as bar:
        def report(done: int, total: int, name: str) -> None:
            bar.total = total
            bar.set_postfix_str(name[-40:], refresh=False)
            bar.update(done - bar.n)

        summary = prepare(_sources(arguments), arguments.out, licence=licence, min_seconds=arguments.min_seconds,
                          replace=arguments.replace, report=report)
    _print(summary, arguments.out)
    return 0


def _print(summary: dict[str, Any], out: Path) -> None:
    parts = ", ".join(f"{split} {row['clips']} clips {row['minutes']:.1f} min" for split, row in summary["splits"].items())
    print(f"{summary['clips']} of {summary['found']} clips, {summary['minutes']:.1f} minutes ({parts}), "
          f"{summary['captions']} captions, {summary['with_hands']} with hands, {summary['with_speech']} with speech")
    if summary["non_commercial"]:
        print("The set contains data for non-commercial use only; weights trained with it are marked so.")
    for title, rows, key in (("skipped", summary["skipped"], "why"), ("noted", summary["notes"], "note")):
        for row in rows[:_SHOWN]:
            print(f"{title}: {row['file']}: {row[key]}")
        if len(rows) > _SHOWN:
            print(f"{title}: {len(rows) - _SHOWN} more, listed in {out / 'report.json'}")
    print(f"written to {out}")
