# SPDX-License-Identifier: Apache-2.0
"""Contact sheets of a fixed list of directions, to be looked at: figures do not see everything."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from tqdm import tqdm

from bridge_server.audio.decode import decode
from bridge_server.motion.generator import Generator
from shared.requests import MotionRequest
from shared.timeline import Direction

from .pictures import contact_sheet

__all__ = ["LOOKS", "write_sheets"]

LOOKS: Final[dict[str, list[Direction]]] = {
    "walk": [Direction(0, 5, "a person walks forward")],
    "wave": [Direction(0, 4, "a person waves hello")],
    "salsa": [Direction(0, 6, "a person dances salsa")],
    "jump": [Direction(0, 3, "a person jumps")],
    "run": [Direction(0, 3, "a person runs forward")],
    "karate": [Direction(0, 4, "a person does knife hand blocks")],
    "traffic": [Direction(0, 6, "a person directs traffic with arm signals")],
    "idle": [Direction(0, 6, "someone stands and waits")],
    "point": [Direction(0, 4, "a person points over there")],
    "think": [Direction(0, 4, "a person thinks with a hand at the chin")],
    "cartwheel": [Direction(0, 4, "a person does a cartwheel")],
    "walk then wave then stand": [
        Direction(0, 4, "walks forward"),
        Direction(4, 8, "waves hello"),
        Direction(8, 11, "stands still"),
    ],
    "walks below, waves above": [Direction(0, 7, "a person walks", "lower"), Direction(2, 6, "waves hello", "upper")],
    "walks, right arm waves": [Direction(0, 7, "a person walks forward"), Direction(2, 6, "waves hello", "right_arm")],
}
"""What is looked at; names are those of the pictures."""


def write_sheets(generator: Generator, folder: Path, speech: Path | None = None, seed: int = 7) -> list[Path]:
    """One PNG a look, and one of speech alone where a recording is given.

    :raises UnderstudyError: what the generator or the sound file gives rise to.
    """
    folder.mkdir(parents=True, exist_ok=True)
    jobs: list[tuple[str, MotionRequest, Path | None]] = [
        (
            name,
            MotionRequest(directions=directions, duration=max(d.end for d in directions), seed=seed, face=False),
            None,
        )
        for name, directions in LOOKS.items()
    ]
    if speech is not None:
        jobs.append(("speech", MotionRequest(seed=seed, face=False), speech))
    written = []
    for name, request, sound in tqdm(jobs, desc="sheets"):
        audio = decode(sound.read_bytes(), sound.name)[0] if sound is not None else None
        motion = generator.perform(request, audio, lambda stage, fraction: None)
        path = folder / f"{re.sub('[^a-z]+', '-', name)}.png"
        contact_sheet(motion, path, title=name)
        written.append(path)
    return written
