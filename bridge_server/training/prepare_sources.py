# SPDX-License-Identifier: Apache-2.0
"""Where motion comes from: the folders of AMASS, BEAT2, BVH files and motion sets, as lists of clips to be read."""

from __future__ import annotations

import csv
import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Final

import numpy as np

from bridge_server.motion.conditions import SPEECH_SENTENCE
from shared.errors import UnderstudyError
from shared.formats.read import read_motion
from shared.motion import Motion
from shared.skeleton import LEG_LENGTH

from .prepare_store import read_clip, read_index

__all__ = ["LICENCES", "Source", "amass", "beat2", "bvh", "clean_name", "motion_set", "path_key", "read_smpl_file", "split_of"]

LICENCES: Final[dict[str, tuple[str, bool]]] = {
    "amass": ("AMASS licence, non-commercial research", True),
    "humanml3d": ("HumanML3D texts MIT; AMASS licence, non-commercial research", True),
    "beat2": ("BEAT2 (SMPL-X based), non-commercial research", True),
    "bvh": ("unknown", False),
}
"""Licence text and whether a set is marked non-commercial, unless the user says otherwise."""
_MEAN_LEGS: Final = 0.78
"""Thigh plus shin of the SMPL family's mean body, metres, rounded to a centimetre; used where no model file is given."""


@dataclass(frozen=True)
class Source:
    """One clip that can be read.

    :ivar file: what it is called in the report.
    :ivar load: reads it; raises :class:`UnderstudyError` where it is broken.
    :ivar sound: file with its speech, from the clip's first frame on.
    :ivar split: None draws it by the hash of ``group``.
    :ivar settled: whether floor and start are already as they should be.
    """

    name: str
    file: str
    group: str
    load: Callable[[], Motion]
    record: dict[str, Any]
    split: str | None = None
    sound: Path | None = None
    settled: bool = False
    captions: list[dict[str, Any]] = field(default_factory=list)


def split_of(group: str) -> str:
    """``train`` (85 %), ``val`` (5 %) or ``test`` (10 %), by a hash of the group, so that a group is never divided."""
    place = int.from_bytes(hashlib.sha256(group.encode()).digest()[:4], "big") / 2**32
    return "train" if place < 0.85 else "val" if place < 0.9 else "test"


def clean_name(path: Path) -> str:
    """A relative path as a clip's name."""
    return re.sub(r"[^A-Za-z0-9.+-]+", "_", "/".join(path.with_suffix("").parts)).strip("_")


_SUBSETS: Final = {
    "biomotionlabntroje": "bmlrub", "bmlmovi": "bmlmovi", "mpihdm05": "hdm05", "dfaust67": "dfaust", "ssmsynced": "ssm",
    "tcdhandmocap": "tcdhands", "mpilimits": "poseprior", "mpimosh": "mosh", "transitionsmocap": "transitions",
    "eyesjapandataset": "eyesjapandataset",
}
"""Folder names of AMASS's subsets in its first release -> in later ones, letters and digits only."""


def path_key(path: Path) -> str:
    """What the same recording is called in every release of AMASS: subset, folders and name, letters and digits only."""
    parts = [re.sub(r"[^a-z0-9]", "", part.lower()) for part in path.with_suffix("").parts]
    parts[-1] = re.sub(r"(poses|stageii)$", "", parts[-1])
    parts[0] = _SUBSETS.get(parts[0], parts[0])
    return "/".join(parts)


def need_folder(folder: Path, what: str) -> None:
    """:raises UnderstudyError: ``file_missing``."""
    if not folder.is_dir():
        raise UnderstudyError("file_missing", f"There is no folder {folder}.", f"Name the folder of {what}.")


@lru_cache(maxsize=3)
def _body(model: Path, gender: str) -> Any:
    from bridge_server.body import load_body

    return load_body(model, gender=gender)


def read_smpl_file(path: Path, model: Path | None, *, source_fps: float | None = None) -> Motion:
    """A pose file on the neutral skeleton: hands where they can be had, size fitted by the legs.

    With an SMPL-X model file, pelvis and leg length are those of the recorded person; without one, those of the mean body.
    """
    hands = True
    try:
        motion = read_motion(path, mean_hands=_mean_hands(model), source_fps=source_fps)
    except UnderstudyError as error:
        if error.code != "file_missing" or not path.is_file() or model is not None:
            raise
        motion = read_motion(path, hands=False, source_fps=source_fps)  # offsets from a mean hand that is not there
        hands = False
    facts = motion.metadata
    legs = _MEAN_LEGS
    if facts.get("format") in ("humanml3d", "bvh", "kimodo") or "gender" not in facts:
        legs = LEG_LENGTH
    elif model is not None and facts.get("model") == "smplx":
        gender = str(facts.get("gender", "neutral")).lower()
        body = _body(model, gender if model.is_dir() and gender in ("female", "male") else "neutral")
        pelvis, legs = body.proportions(facts.get("betas", [])[: body.shape_count])
        again = read_motion(path, mean_hands=_mean_hands(model), source_fps=source_fps, rest_pelvis=pelvis)
        motion.translation = again.translation
    motion.translation = (motion.translation * (LEG_LENGTH / legs)).astype(np.float32)
    motion.metadata["hands_left_out"] = not hands
    return motion


@lru_cache(maxsize=2)
def _mean_hands_from(model: Path) -> np.ndarray:
    return _body(model, "neutral").mean_hands


def _mean_hands(model: Path | None) -> np.ndarray | None:
    return None if model is None else _mean_hands_from(model)


def _is_motion_file(path: Path) -> bool:
    # AMASS keeps one shape file per person beside the motions
    return path.stem.lower() not in ("shape", "male_stagei", "female_stagei", "neutral_stagei")


def amass(
    folder: Path, model: Path | None = None, rates: Path | None = None, source_fps: float | None = None
) -> Iterator[Source]:
    """Every pose file of an AMASS tree (any release), and of other projects in the SMPL family.

    :param rates: SMPL-H tree of the same recordings, whose frame rates are taken (some SMPL-X files state 120 wrongly).
    """
    need_folder(folder, "the AMASS files")
    twins: dict[str, Path] = {}
    if rates is not None:
        need_folder(rates, "the AMASS SMPL-H files")
        twins = {path_key(p.relative_to(rates)): p for p in rates.rglob("*.npz") if _is_motion_file(p)}
    for path in sorted(folder.rglob("*.npz")):
        if not _is_motion_file(path):
            continue
        inside = path.relative_to(folder)
        twin = twins.get(path_key(inside))

        def load(path: Path = path, twin: Path | None = twin) -> Motion:
            rate = source_fps if twin is None else read_motion(twin, hands=False).fps
            return read_smpl_file(path, model, source_fps=rate)

        group = "/".join(inside.parts[:2]) if len(inside.parts) > 2 else inside.stem
        yield Source(clean_name(inside), str(inside), group, load,
                     {"trial": clean_name(inside), "subject": group, "description": path.stem.replace("_", " ")})


def _beat_splits(folder: Path) -> dict[str, str]:
    """Recording -> split, from BEAT2's own table; what it calls additional is for training."""
    for table in (folder / "train_test_split.csv", folder.parent / "train_test_split.csv"):
        if table.is_file():
            with open(table, encoding="utf-8-sig", newline="") as file:
                rows = list(csv.DictReader(file))
            named = {"train": "train", "additional": "train", "val": "val", "test": "test"}
            return {row["id"]: named[row["type"]] for row in rows if row.get("type") in named and row.get("id")}
    return {}


def words_of(path: Path) -> list[dict[str, Any]]:
    """Words with their times from the ``words`` tier of a Praat TextGrid; empty where there is none that can be read."""
    if not path.is_file():
        return []
    text = path.read_text(encoding="utf-8-sig", errors="replace")
    tier = re.search(r'name\s*=\s*"words"(.*?)(?=item\s*\[\d+\]|\Z)', text, re.S)
    found = re.findall(r'xmin\s*=\s*([\d.]+)\s*xmax\s*=\s*([\d.]+)\s*text\s*=\s*"((?:[^"]|"")*)"', tier.group(1)) if tier else []
    return [{"text": word.strip(), "start": round(float(a), 3), "end": round(float(b), 3)}
            for a, b, word in found if word.strip()]


def beat2(folder: Path, model: Path | None = None) -> Iterator[Source]:
    """Every recording of BEAT2 with its speech; the body alone where the model file for the mean hand is not given."""
    need_folder(folder, "BEAT2")
    poses = sorted(folder.rglob("smplxflame_30/*.npz"))
    if not poses:
        raise UnderstudyError("file_missing", f"{folder} has no smplxflame_30/*.npz.", "Name the folder of BEAT2.")
    for path in poses:
        home = path.parent.parent
        splits = _beat_splits(home)
        wav, speaker = home / "wave16k" / f"{path.stem}.wav", path.stem.split("_")[0]
        words = words_of(home / "textgrid" / f"{path.stem}.TextGrid")

        def load(path: Path = path, wav: Path = wav) -> Motion:
            if not wav.is_file():
                raise UnderstudyError("file_missing", f"The speech wave16k/{wav.name} is missing.", "Fetch the recording again.")
            return read_smpl_file(path, model)

        record: dict[str, Any] = {"trial": path.stem, "subject": f"speaker {speaker}", "description": "speech",
                                  "text": " ".join(w["text"] for w in words), "words": words}
        yield Source(clean_name(Path(path.stem)), str(path.relative_to(folder)), f"beat2/{speaker}", load, record,
                     split=splits.get(path.stem), sound=wav,
                     captions=[{"text": SPEECH_SENTENCE, "start": 0.0, "end": None, "source": "fixed"}])


def bvh(folder: Path) -> Iterator[Source]:
    """Every BVH file of a folder; ``NAME.txt`` beside it holds its captions, one on a line."""
    need_folder(folder, "the BVH files")
    for path in sorted(p for p in folder.rglob("*") if p.suffix.lower() == ".bvh"):
        inside = path.relative_to(folder)
        text = path.with_suffix(".txt")
        lines = text.read_text(encoding="utf-8-sig", errors="replace").splitlines() if text.is_file() else []
        captions = [{"text": line.strip(), "start": 0.0, "end": None, "source": "file"} for line in lines if line.strip()]
        yield Source(clean_name(inside), str(inside), "/".join(inside.parts[:-1]) or path.stem.split("_")[0],
                     partial(read_motion, path),
                     {"trial": path.stem, "description": path.stem.replace("_", " ")}, captions=captions)


def motion_set(folder: Path) -> Iterator[Source]:
    """Every clip of a set that is already in this format; splits, captions and licences are kept."""
    drop = ("name", "shard", "row", "first", "frames", "seconds", "split", "captions", "wav", "joints", "hands",
            "expression")
    for record in read_index(folder):
        kept = {k: v for k, v in record.items() if k not in drop}
        sound = folder / record["wav"] if record.get("wav") else None
        yield Source(record["name"], f"{folder.name}/{record['name']}", record["name"], partial(read_clip, folder, record), kept,
                     split=record["split"], sound=sound, settled=True, captions=list(record["captions"]))
