# SPDX-License-Identifier: Apache-2.0
"""Motion data of any kind into one motion set on disk."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from bridge_server.audio.decode import decode
from shared.errors import UnderstudyError
from shared.kinematics import end_point, forward
from shared.motion import Motion
from shared.skeleton import BODY_JOINT_COUNT

from .prepare_sources import Source, split_of
from .prepare_store import FPS, SetWriter

__all__ = ["prepare", "settle"]

Report = Callable[[int, int, str], None]
"""Called with (clips done, clips in all, name of the clip)."""


def settle(motion: Motion) -> tuple[Motion, float]:
    """The motion on the floor at y = 0 and beginning at x = z = 0, heading as captured, and the shift of its height.

    The floor is the 5th percentile of the lowest sole point, so that a jump or a single bad frame does not lift it.
    """
    positions, world = forward(motion.rotations[:, :BODY_JOINT_COUNT].astype(np.float64), motion.translation.astype(np.float64))
    soles = np.stack([end_point(name, positions, world)[:, 1]
                      for name in ("left_toe_end", "right_toe_end", "left_heel", "right_heel")])
    shift = -float(np.percentile(soles.min(0), 5))
    moved = motion.slice(0, len(motion))
    moved.translation = (motion.translation - [motion.translation[0, 0], -shift, motion.translation[0, 2]]).astype(np.float32)
    return moved, shift


def _clip(source: Source, min_seconds: float) -> tuple[Motion, dict[str, Any], np.ndarray | None, list[str]]:
    """The motion at 30 frames per second, its record, its sound, and what is to be noted."""
    motion = source.load()
    facts, source_fps = dict(motion.metadata), motion.fps
    motion = motion.resample(FPS)
    notes = ["hands left out: they are offsets from the mean hand, and no SMPL-X model file was given"] \
        if facts.get("hands_left_out") else []
    sound = None
    if source.sound is not None:
        try:
            audio, warnings = decode(source.sound.read_bytes(), source.sound.name)
        except OSError as error:
            raise UnderstudyError("file_missing", f"{source.sound.name} cannot be read ({error.strerror}).",
                                  "Fetch the recording again.") from error
        notes += warnings
        sound = audio.samples
        frames = min(len(motion), int(np.floor(len(sound) / audio.rate * FPS)))
        if abs(len(motion) - len(sound) / audio.rate * FPS) > 1.0 * FPS:
            notes.append(f"motion lasts {len(motion) / FPS:.1f} s and its speech {len(sound) / audio.rate:.1f} s; "
                         "cut to the shorter")
        motion, sound = motion.slice(0, frames), sound[: int(round(frames / FPS * audio.rate))]
    if len(motion) < min_seconds * FPS and not source.settled:
        raise UnderstudyError("file_invalid", f"It is {len(motion) / FPS:.2f} s long, shorter than {min_seconds:g} s.", "")
    shift = 0.0
    if not source.settled:
        motion, shift = settle(motion)
    seconds = len(motion) / FPS
    captions = []
    for caption in source.captions:
        end = min(seconds if caption["end"] is None else float(caption["end"]), seconds)
        if caption["start"] < end:
            captions.append({**caption, "start": round(float(caption["start"]), 3), "end": round(end, 3)})
    own = source.record
    record = {
        **own, "split": source.split or split_of(source.group), "split_from": own.get("split_from") or (
            "file" if source.split else "hash"),
        "captions": captions, "skeleton": own.get("skeleton", facts.get("format", "unknown")),
        "source_fps": own.get("source_fps", round(float(source_fps), 4)),
        "floor_shift": own.get("floor_shift", round(shift, 4)), "description": own.get("description", ""),
        "in_place": own.get("in_place", False), "needs_objects": own.get("needs_objects", False),
        "humanml3d": own.get("humanml3d", []),
    }
    return motion, record, sound, notes


def prepare(
    sources: Iterable[tuple[str, Source]], folder: Path, *, licence: Callable[[str, dict[str, Any]], tuple[str, bool]],
    min_seconds: float = 1.0, replace: bool = False, report: Report | None = None,
) -> dict[str, Any]:
    """Read clips and write a motion set; broken ones are left out and listed.

    :param sources: (kind, clip), see :mod:`.prepare_sources`.
    :param min_seconds: shorter clips are left out, but for those of a set that is already in the format.
    :param licence: from a kind and a record to the licence's text and whether it is non-commercial.
    :returns: what ``report.json`` holds: clips and minutes per split, ``skipped`` (file, why), ``notes`` (file, note).
    :raises UnderstudyError: ``request_invalid`` where the folder is in use, ``file_invalid`` where not one clip could be read;
        then nothing is left on disk.
    """
    listed = list(sources)
    writer = SetWriter(folder, replace=replace)
    skipped: list[dict[str, str]] = []
    noted: list[dict[str, str]] = []
    try:
        for n, (kind, source) in enumerate(listed):
            if report is not None:
                report(n, len(listed), source.name)
            try:
                motion, record, sound, notes = _clip(source, min_seconds)
            except UnderstudyError as error:
                skipped.append({"file": source.file, "why": error.message})
                continue
            except (OSError, ValueError, IndexError, KeyError) as error:
                # content that no reader foresaw: this file is broken, the others are not
                skipped.append({"file": source.file, "why": f"It cannot be read ({type(error).__name__}: {error})."})
                continue
            terms, non_commercial = licence(kind, record)
            writer.add(source.name, motion, {**record, "licence": terms, "non_commercial": non_commercial}, sound)
            noted += [{"file": source.file, "note": note} for note in notes]
        if report is not None:
            report(len(listed), len(listed), "")
        summary = _summary(writer, listed, skipped, noted)
        if not summary["clips"]:
            why = f"; the first: {skipped[0]['file']}: {skipped[0]['why']}" if skipped else ""
            raise UnderstudyError("file_invalid", f"None of {len(listed)} clips could be read{why}.", "Check the folders.")
        writer.finish(summary)
    except BaseException:  # an interruption, too, must leave nothing half-written
        writer.abandon()
        raise
    return summary


def _summary(writer: SetWriter, listed: list[tuple[str, Source]], skipped: list[dict[str, str]],
             noted: list[dict[str, str]]) -> dict[str, Any]:
    writer.flush()
    splits: dict[str, dict[str, float]] = {}
    for record in writer.records:
        row = splits.setdefault(record["split"], {"clips": 0, "minutes": 0.0})
        row["clips"] += 1
        row["minutes"] = round(row["minutes"] + record["seconds"] / 60, 4)
    return {
        "found": len(listed), "clips": len(writer.records), "splits": splits,
        "minutes": round(sum(r["seconds"] for r in writer.records) / 60, 2),
        "captions": sum(len(r["captions"]) for r in writer.records),
        "with_hands": sum(r["hands"] for r in writer.records),
        "with_speech": sum("wav" in r for r in writer.records),
        "non_commercial": any(r["non_commercial"] for r in writer.records), "skipped": skipped, "notes": noted,
    }
