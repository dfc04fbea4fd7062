# SPDX-License-Identifier: Apache-2.0
"""The report: ``evaluation.json`` for machines, ``evaluation.md`` for people.

Both may hold figures of other parts (the face's): what is not ours is kept.
"""

from __future__ import annotations

import datetime
import json
import operator
import os
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

__all__ = ["machine", "markdown", "merge_figures", "write"]

_BEGIN: Final = "<!-- generator: written by `understudy evaluate`, do not edit between these marks -->"
_END: Final = "<!-- end of generator -->"
_HEAD: Final = "# Evaluation\n\n"
_OPERATORS: Final[dict[str, Callable[[float, float], bool]]] = {"<=": operator.le, ">=": operator.ge}
_SAID: Final = {"<=": "at most", ">=": "at least"}
_WHAT: Final = {
    "tokenizer_mpjpe_mm": "reconstruction by the tokenizer, root-aligned, mm",
    "r3_ratio_to_real": "R-precision top 3, ratio to real motion",
    "fid_ratio_to_baseline": "FID, ratio to random training clips under wrong captions",
    "foot_slide_ratio": "foot slide, ratio to real motion",
    "jitter_ratio": "jitter, ratio to real motion",
    "r3_drop_with_audio": "relative fall of R-precision top 3 when speech is kept on",
    "beat_sigma": "beat consistency on real speech, standard deviations above 100 random shifts",
}
_COLUMNS: Final = (
    ("r_precision_1", "R@1", 3),
    ("r_precision_2", "R@2", 3),
    ("r_precision_3", "R@3", 3),
    ("fid", "FID", 4),
    ("fid_infinite", "FID∞", 4),
    ("mm_distance", "MM-dist", 3),
    ("diversity", "diversity", 3),
    ("foot_slide_mm", "slide mm/frame", 2),
    ("float_percent", "float %", 1),
    ("penetration_mm", "penetration mm", 2),
    ("jitter", "jitter m/s³", 1),
)


def machine() -> str:
    """The machine in general words: cores, processor family, system."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    family = {"x86_64": "x86-64", "AMD64": "x86-64"}.get(platform.machine(), platform.machine())
    return f"{cores} cores {family}, {platform.system()}"


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def merge_figures(path: Path, figures: dict[str, Any]) -> dict[str, Any]:
    """Put figures into a JSON file by name; other names in it stay. Returns all of them."""
    merged = {**_read(path), **figures}
    part = path.with_suffix(".part")
    path.parent.mkdir(parents=True, exist_ok=True)
    part.write_text(json.dumps(merged, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    part.replace(path)
    return merged


def _met(target: str, value: float) -> bool:
    sign, _, number = target.partition(" ")
    return _OPERATORS[sign](value, float(number))


def _cell(row: dict[str, Any], key: str, digits: int) -> str:
    value = row["mean"].get(key)
    if value is None:
        return "–"
    spread = row["interval_95"].get(key, 0.0)
    return f"{value:.{digits}f}" + (f" ± {spread:.{digits}f}" if spread >= 0.5 * 10**-digits else "")


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _targets(report: dict[str, Any]) -> str:
    names = list(report["sets"])
    rows = []
    for key, target in report["targets"].items():
        sign, _, number = target.partition(" ")
        cells = []
        for name in names:
            value = report["sets"][name]["figures"].get(key)
            if value is None:
                cells.append(f"not measured: {report['sets'][name]['not_measured'].get(key, 'see below')}")
            else:
                cells.append(f"**{value:.3f}**" + ("" if _met(target, value) else " (missed)"))
        rows.append([f"`{key}`: {_WHAT[key]}", f"{_SAID[sign]} {number}", *cells])
    return _table(["figure", "target", *(f"`{n}`" for n in names)], rows)


def _rows(report: dict[str, Any]) -> str:
    rows: list[tuple[str, dict[str, Any]]] = [(k, v) for k, v in report["reference"].items() if "mean" in v]
    for name, found in report["sets"].items():
        rows += [(f"`{name}`, {k}", v) for k, v in found["rows"].items()]
    return _table(
        ["motion", *(title for _, title, _ in _COLUMNS)],
        [[name, *(_cell(row, key, digits) for key, _, digits in _COLUMNS)] for name, row in rows],
    )


def _infinite(report: dict[str, Any]) -> str:
    ratios = ", ".join(f"`{n}` {found['other']['fid_infinite_ratio_to_baseline']:.3f}" for n, found in report["sets"].items())
    rows = report["reference"]
    right = rows["training clip, right caption"]["mean"]["fid_infinite"] / max(rows["random training clip"]["mean"]["fid_infinite"], 1e-9)
    return (f"Without that part (FID∞) the ratio to random training clips is {ratios}; for training clips with the right caption "
            f"{right:.3f}.")


def _by_set(report: dict[str, Any]) -> str:
    real = report["reference"]["real"]["by_set"]
    lines = []
    for name, found in report["sets"].items():
        for source, mine in found["rows"]["directed"]["by_set"].items():
            there = real[source]
            lines.append(
                [
                    f"`{name}`, {source}",
                    *(
                        f"{mine[k]:.{d}f} / {there[k]:.{d}f}" if k in mine and k in there else "–"
                        for k, d in (
                            ("r_precision_3_within", 3),
                            ("foot_slide_mm", 2),
                            ("float_percent", 1),
                            ("jitter", 1),
                        )
                    ),
                ]
            )
    return _table(
        ["directed / real", "R@3 in pools of this set alone", "slide mm/frame", "float %", "jitter m/s³"], lines
    )


def _speech(report: dict[str, Any]) -> str:
    lines = []
    if found := report["reference"].get("synthesized speech"):
        lines.append(
            [
                "synthesized performances, the training data's test split",
                "–",
                f"{found['l1_diversity']:.3f}",
                f"{found['beat_sigma']:.2f}",
                "–",
            ]
        )
        lines.append(
            [
                "gestures of other, random training performances",
                f"{found['fgd_of_random_training_gestures']:.4f}",
                "–",
                "–",
                "–",
            ]
        )
    for name, entry in report["sets"].items():
        o = entry["other"]
        lines.append(
            [
                f"`{name}`",
                *(
                    f"{o[k]:.{d}f}" if k in o else "–"
                    for k, d in (("fgd", 4), ("gesture_l1_diversity", 3), ("beat_sigma_synthetic", 2))
                ),
                f"{entry['figures']['beat_sigma']:.2f}" if "beat_sigma" in entry["figures"] else "–",
            ]
        )
    text = _table(
        ["speech alone", "FGD", "L1 diversity, m", "beat sigma, synthetic speech", "beat sigma, real speech"], lines
    )
    for name, entry in report["sets"].items():
        if b := entry["other"].get("beats"):
            each = ", ".join(f"{s:.2f}" for s in b["sigma_of_each_take"])
            text += (
                f"\n\nReal speech with `{name}`: consistency {b['consistency']:.3f}, shifted "
                f"{b['shifted_mean']:.3f} ± {b['shifted_std']:.3f} (over onsets: {b['recall']:.3f}); "
                f"{b['onsets']} onsets, {b['beats_of_motion']:.0f} beats of motion a take; "
                + (f"as drawn, without leading strokes to syllables: {b['as_drawn']:.2f}; " if "as_drawn" in b else "")
                + f"`beat_sigma` is the mean of {len(b['sigma_of_each_take'])} takes with different seeds: {each}."
            )
    return text


def _tokenizer(report: dict[str, Any]) -> str:
    lines = []
    for name, entry in report["sets"].items():
        t = entry["other"]["tokenizer"]
        usage = ", ".join(
            f"{k.removeprefix('perplexity_')} {v:.0f} ({100 * t[k.replace('perplexity', 'usage')]:.0f} %)"
            for k, v in t.items()
            if k.startswith("perplexity_")
        )
        lines.append(
            [
                f"`{name}`",
                f"{t['mpjpe_mm']:.1f}",
                f"{t['mpjpe_world_mm']:.1f}",
                f"{t['mpjpe_with_objects_mm']:.1f}",
                usage,
            ]
        )
    return _table(
        [
            "tokenizer",
            "MPJPE mm",
            "with drift of the heading",
            "with clips that need objects",
            "perplexity by book and level (share of codes used)",
        ],
        lines,
    )


def _ablations(report: dict[str, Any]) -> str:
    if not report["ablations"]:
        return (
            "No weights of ablations were there. Train them with other recipes (`fusion`, `configuration`) and name "
            "their folder with `--ablations`."
        )
    lines = []
    for a in report["ablations"]:
        if "reason" in a:
            lines.append([a["name"], "–", "–", a["reason"], *["–"] * 6])
            continue
        rows, other = a["rows"], a["other"]
        heard = rows.get("directed, speech on")
        lines.append(
            [
                a["name"],
                a["fusion"],
                a["tokenizer"],
                f"{a['figures']['tokenizer_mpjpe_mm']:.1f}",
                _cell(rows["directed"], "r_precision_3", 3),
                _cell(rows["directed"], "fid", 4),
                _cell(heard, "r_precision_3", 3) if heard else "–",
                _cell(heard, "fid", 4) if heard else "–",
                f"{other['fgd']:.4f}" if "fgd" in other else "–",
                f"{a['figures']['beat_sigma']:.2f}" if "beat_sigma" in a["figures"] else "–",
            ]
        )
    return _table(
        [
            "weights",
            "fusion",
            "tokenizer",
            "MPJPE mm",
            "R@3",
            "FID",
            "R@3, speech on",
            "FID, speech on",
            "FGD",
            "beat sigma",
        ],
        lines,
    )


_DEFINITIONS: Final = """\
- **Items.** The test splits, without the clips that need objects. A clip longer than 10 s is cut into equal pieces.
  Each repeat asks for the next of a clip's captions, at the item's length, with fixed seeds; ± is the half width of
  the 95 % interval over the repeats. The face's nods are off.
- **Judge.** Encoders of text and motion trained together by InfoNCE on training splits only, seeded, about ten
  minutes of one core. It reads joints, velocities and contacts computed from the motion itself. It is not the
  evaluator of other papers, so R-precision and FID compare within this table only.
- **R-precision.** Pool of 32 (Guo et al. 2022). These sets repeat their captions, so a pool may hold one sentence
  several times: a description counts as right when the motion's clip carries that very sentence. The same rule holds
  for every row.
- **FID, FGD.** Fréchet distance with unbiased covariances; FID over clips in the judge's space, FGD over windows of
  2.1 s of the upper body in an autoencoder's. Few clips raise both: compare rows, which have equal numbers. **FID∞** is
  what endless clips would give (Chong and Forsyth, CVPR 2020): the line through the distances of subsets, over one
  divided by their size, read off at zero. The target is for the FID proper.
- **Baselines.** A random training clip that shares no caption with the item, cut to its length; and the training
  data's mean pose.
- **Foot slide.** Horizontal path per frame of heels and toe ends that are under 5 cm in two frames in a row, whatever
  their speed (PhysDiff). So real dancing and walking, whose feet pass low over the floor, have a high figure too.
  **Float**: frames in which no sole is under 5 cm. **Penetration**: mean depth of the lowest sole.
- **Jitter.** Mean norm of the third derivative of the joints' positions (TransPose), pooled over all frames, as are
  the feet's figures.
- **Beat consistency.** Local minima of the upper body's mean speed against onsets of the sound, float times, sigma
  0.1 s (AI Choreographer, HA2G); beside 100 random shifts of the same motion round the recording. The synthesized
  performances, whose strokes are placed on the stresses, say what the measure gives where rhythm is there. "As drawn" is
  the same takes without leading strokes to syllables (docs/architecture.md), which finds its syllables in the features that
  the audio branch hears; the measure's onsets are found by other code, and close ones are the same events.
- **MPJPE.** Distance of the joints after the pelvis is put at the same place with the same heading, frame by frame;
  "with drift" aligns the place alone, so that the heading counts as it was added up from decoded turns.
"""


_AGAIN: Final = """\
### Doing it again

    understudy evaluate --data DATA --folder RUN --speech RUN/speech

`DATA` holds the motion sets and `speech/jfk.wav`; `RUN` keeps the judge and the performances, row by row, so that the
command goes on where it stopped. `--split val` measures on the validation splits while weights are developed, `--quick N`
on a few clips, `--ablations DIR` adds the sets in a folder, and `--pictures DIR` draws contact sheets of a fixed list of
directions instead of measuring.
"""


def markdown(report: dict[str, Any]) -> str:
    """The generator's section."""
    s, e = report["setup"], report["setup"]["evaluator"]
    chance = " / ".join(f"{c:.3f}" for c in s["chance_r_precision"])
    quick = "\n**A quick run: not to be compared with anything.**\n" if s["quick"] else ""
    multi = ", ".join(
        f"`{n}` {entry['other']['multimodality']:.3f}"
        for n, entry in report["sets"].items()
        if "multimodality" in entry["other"]
    )
    return f"""\
## Generator
{quick}
Measured on {report['date']} on {report['machine']}: {s['items']} items ({s['minutes']} min) of the
{s['split']} splits of {', '.join(s['sets'])}; {s['repeats']} repeats; speech: {s['speech'] or 'none'}.
The judge saw {e['clips']} training items ({e['minutes']} min) of {', '.join(e['sets'])}; on the
validation splits its R@3 is {e['validation_r3']:.3f}.

{_targets(report)}

### Directions

{_rows(report)}

R-precision by chance, under the same rule for repeated captions: {chance}. Multimodality: {multi or 'not measured'}.

Two random halves of the real test motion, {s['items'] // 2} clips each, lie {s['fid_of_halves']:.4f} apart: what chance
alone makes of like sets. {_infinite(report)}

{_by_set(report)}

### Speech

{_speech(report)}

### Tokenizer

{_tokenizer(report)}

### Ablations

{_ablations(report)}

### How it is measured

{_DEFINITIONS}
{_AGAIN}"""


def write(report: dict[str, Any], folder: Path) -> tuple[Path, Path]:
    """Write ``evaluation.json`` and ``evaluation.md`` into a folder; what others wrote into them is kept.

    The first weights set's figures also stand at the top of the JSON file, by name.
    """
    report = {"date": datetime.date.today().isoformat(), "machine": machine(), **report}
    first = next(iter(report["sets"].values()))
    json_path, text_path = folder / "evaluation.json", folder / "evaluation.md"
    merge_figures(json_path, {**{k: first["figures"].get(k) for k in report["targets"]}, **report})
    section = f"{_BEGIN}\n{markdown(report)}{_END}\n"
    old = text_path.read_text(encoding="utf-8") if text_path.is_file() else _HEAD
    if _BEGIN in old and _END in old:
        before, rest = old.split(_BEGIN, 1)
        new = before + section + rest.split(_END, 1)[1].lstrip("\n")
    else:
        new = old.rstrip("\n") + "\n\n" + section
    part = text_path.with_suffix(".part")
    part.write_text(new, encoding="utf-8")
    part.replace(text_path)
    return json_path, text_path
