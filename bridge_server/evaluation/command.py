# SPDX-License-Identifier: Apache-2.0
"""``understudy evaluate``: measure weights sets on held-out motion, or draw what they make."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

__all__ = ["add_parser"]

_ROOT: Final = Path(__file__).resolve().parents[2]


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the subcommand; torch is imported only when it runs."""
    parser = subparsers.add_parser(
        "evaluate",
        help="measure a set of weights",
        description=(
            "Measures weights on the held-out splits, beside real motion and baselines, and writes evaluation.md and "
            "evaluation.json. "
            "What is done is kept in the run's folder: the same command goes on where it stopped."
        ),
    )
    parser.add_argument("--weights", default="starter", help="names or folders of weights sets, separated by commas")
    parser.add_argument("--data", type=Path, help="folder that holds the motion sets")
    parser.add_argument(
        "--folder", type=Path, help="folder of this run (performances and the evaluator are kept there)"
    )
    parser.add_argument("--speech", type=Path, help="folder of synthesized performances, for speech and FGD")
    parser.add_argument(
        "--recording", type=Path, help="real speech for the beat figure (default: speech/jfk.wav in the data folder)"
    )
    parser.add_argument("--ablations", type=Path, help="folder whose subfolders are weights sets of the ablations")
    parser.add_argument("--out", type=Path, help="folder of evaluation.md and evaluation.json (default: docs)")
    parser.add_argument(
        "--repeats", type=int, default=3, help="how often every clip is asked for, with other captions and seeds"
    )
    parser.add_argument("--split", choices=["test", "val"], default="test", help="val while weights are developed")
    parser.add_argument(
        "--quick",
        type=int,
        default=0,
        metavar="N",
        help="only N clips, once, and a hardly trained judge; written into the run's folder",
    )
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads (0: all)")
    parser.add_argument(
        "--pictures", type=Path, metavar="DIR", help="only draw contact sheets of a fixed list of directions into DIR"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Measure or draw."""
    import torch

    from shared.errors import UnderstudyError

    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    weights = [w.strip() for w in arguments.weights.split(",") if w.strip()]
    spare = _ROOT / "examples" / "speech.wav"
    if arguments.pictures is not None:
        from bridge_server.motion.generator import load

        from .sheets import write_sheets

        for path in write_sheets(
            load("versa", weights[0], arguments.device), arguments.pictures, arguments.recording or _existing(spare)
        ):
            print(path)
        return 0
    if arguments.data is None or arguments.folder is None:
        raise UnderstudyError(
            "request_invalid",
            "The evaluation needs the folder of the motion sets and one for its own files.",
            "Give both with --data and --folder.",
        )
    if arguments.repeats < 1 or arguments.quick < 0:
        raise UnderstudyError(
            "request_invalid", "Nothing would be measured.", "Use --repeats of 1 or more and --quick of 0 or more."
        )
    from .report import write
    from .run import Options, evaluate

    options = Options(
        arguments.data,
        arguments.folder,
        weights,
        speech=arguments.speech,
        recording=arguments.recording or arguments.data / "speech" / "jfk.wav",
        spare=_existing(spare),
        split=arguments.split,
        quick=arguments.quick,
        repeats=1 if arguments.quick else arguments.repeats,
        takes=2 if arguments.quick else 8,
        device=arguments.device,
        ablations=arguments.ablations,
    )
    if options.speech is not None and not (options.speech / "clips.json").is_file():
        raise UnderstudyError(
            "file_missing",
            f"There are no synthesized performances in {options.speech}.",
            "Run `understudy synthesize` into that folder first, or leave --speech out.",
        )
    # what is no measurement of the test split does not go where that is published
    aside = "quick" if arguments.quick else arguments.split if arguments.split != "test" else ""
    out = arguments.out or (arguments.folder / aside if aside else _ROOT / "docs")
    out.mkdir(parents=True, exist_ok=True)
    json_path, text_path = write(evaluate(options), out)
    print(_summary(json_path))
    print(f"written: {text_path}, {json_path}")
    return 0


def _existing(path: Path) -> Path | None:
    return path if path.is_file() else None


def _summary(path: Path) -> str:
    import json

    report = json.loads(path.read_text(encoding="utf-8"))
    lines = []
    for name, entry in report["sets"].items():
        for key, target in report["targets"].items():
            value = entry["figures"].get(key)
            shown = f"{value:.4g}" if value is not None else f"not measured ({entry['not_measured'].get(key, '')})"
            lines.append(f"{name}  {key:<24} {shown:>10}   target {target}")
    return "\n".join(lines)
