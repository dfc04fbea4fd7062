# SPDX-License-Identifier: Apache-2.0
"""The whole evaluation: references, then every weights set, then the ablations that there are weights for."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np

from bridge_server.motion.weights import find_set, read_card
from shared.errors import UnderstudyError

from .evaluator_training import TrainedEvaluator, load_or_train
from .items import Item, mean_pose, random_clips, read_items, right_clips, thin
from .judging import Judge
from .measuring import Measured, Options, Speech, beat_sigmas, gesture_l1, read_speech, rounded
from .metrics import frechet_distance, frechet_distance_of_halves

__all__ = ["TARGETS", "Options", "evaluate"]

TARGETS: Final[dict[str, tuple[str, float]]] = {
    "tokenizer_mpjpe_mm": ("<=", 35.0),
    "r3_ratio_to_real": (">=", 0.85),
    "fid_ratio_to_baseline": ("<=", 0.25),
    "foot_slide_ratio": ("<=", 1.25),
    "jitter_ratio": ("<=", 1.15),
    "r3_drop_with_audio": ("<=", 0.10),
    "beat_sigma": (">=", 2.0),
}


def _judge(options: Options) -> tuple[Judge, list[Item], list[Item], TrainedEvaluator]:
    items = thin(read_items(options.data, options.sets, options.split), options.quick)
    everything = thin(read_items(options.data, options.sets, options.split, with_objects=True), options.quick)
    training = read_items(options.data, options.sets, "train")
    if not items or not training:
        raise UnderstudyError(
            "file_missing",
            f"The motion sets in {options.data} have no {options.split} or no training clips.",
            "Name the folder that holds the motion sets with --data.",
        )
    # the judge sees all training splits that are there, so that it is one judge for all weights sets
    others = [s for s in ("bandai_nc",) if s not in options.sets and (options.data / s / "clips.json").is_file()]
    judged = [*options.sets, *others]
    speech = options.speech if options.speech and (options.speech / "clips.json").is_file() else None
    trained = load_or_train(options.folder, options.data, judged, speech, options.judge, options.device)
    return Judge(trained, items, options.repeats), everything, training, trained


def _ablation(
    options: Options, folder: Path, judge: Judge, speech: Speech | None, everything: list[Item]
) -> dict[str, Any]:
    """One row of the ablations, or the reason why there is none."""
    try:
        m = Measured(options, str(folder), judge, speech, 1)
        m.tokenizer(everything)
        m.directions()
        m.directed_with_speech()
        m.gestures()
        m.rhythm()
    except UnderstudyError as error:
        return {"name": folder.name, "reason": error.message}
    audio = m.takes.generator.networks.audio  # type: ignore[attr-defined]
    groups = m.takes.generator.networks.tokenizer.group_names  # type: ignore[attr-defined]
    return {
        "name": folder.name,
        "fusion": audio.config.fusion if audio is not None else "none: text branch alone",
        "tokenizer": "single" if len(groups) == 1 else "parts",
        **m.to_json(),
    }


def evaluate(options: Options) -> dict[str, Any]:
    """Measure; every row that is done is kept in ``options.folder`` and not made again.

    :raises UnderstudyError: ``file_missing`` without motion sets, ``weights_missing`` without weights.
    """
    # weights that are not there are said before minutes are spent
    for weights in options.weights:
        read_card(find_set(weights))
    judge, everything, training, trained = _judge(options)
    speech = read_speech(options)
    real = judge.row("real", [[i.body for i in judge.items]] * options.repeats, fid=False)
    draws = [random_clips(judge.items, training, np.random.default_rng(100 + r)) for r in range(options.repeats)]
    random = judge.row("random training clip", draws)
    knowing = [
        right_clips(judge.items, judge.texts[r], training, trained.encoder, np.random.default_rng(200 + r))
        for r in range(options.repeats)
    ]
    right = judge.row("training clip, right caption", knowing)
    still = judge.row("mean pose", [mean_pose(judge.items, training)] * options.repeats)
    report: dict[str, Any] = {
        "targets": {k: f"{a} {b:g}" for k, (a, b) in TARGETS.items()},
        "setup": {
            "items": len(judge.items),
            "minutes": round(sum(i.seconds for i in judge.items) / 60, 1),
            "sets": options.sets,
            "split": options.split,
            "repeats": options.repeats,
            "pool": judge.pool,
            "quick": options.quick,
            "evaluator": trained.facts,
            "speech": (
                None
                if speech is None
                else f"{len(speech.clips)} recordings" + (", synthesized" if speech.moving else "")
            ),
            "fid_of_halves": round(frechet_distance_of_halves(judge.real, np.random.default_rng(9)), 5),
            "chance_r_precision": [round(float(c), 4) for c in judge.chance()],
        },
        "reference": {r.name: r.to_json() for r in (real, right, random, still)},
        "sets": {},
        "ablations": [],
    }
    if speech is not None and speech.moving:
        embed = trained.gestures.embed
        g = np.random.default_rng(3)
        # the pieces are about half as long as the clips
        others = [speech.training[int(k)] for k in g.integers(len(speech.training), size=2 * len(speech.moving))]
        report["reference"]["synthesized speech"] = rounded(
            {
                "l1_diversity": gesture_l1(speech.moving),
                "fgd_of_random_training_gestures": frechet_distance(embed(others), embed(speech.moving)),
                "beat_sigma": float(
                    np.mean(beat_sigmas(speech.moving, [a for _, a, b in speech.clips if b is not None]))
                ),
            }
        )
    for weights in options.weights:
        m = Measured(options, weights, judge, speech, options.repeats)
        m.directions()
        m.directed_with_speech()
        m.rhythm()
        m.gestures()
        m.variety()
        m.tokenizer(everything)
        m.ratios(real, random)
        name = m.takes.card["name"]
        # two sets may carry one name, as a set and a later training of it
        report["sets"][name if name not in report["sets"] else Path(weights).parent.name + "/" + name] = m.to_json()
    if options.ablations is not None:
        for folder in sorted(p.parent for p in options.ablations.glob("*/card.json")):
            report["ablations"].append(_ablation(options, folder, judge, speech, everything))
    return report
