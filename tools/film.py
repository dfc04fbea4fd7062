#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""``make film``: perform the demo's speech and directions, and film a portrait with it.

Without PHOTO the portrait is the astronaut of scikit-image: Eileen Collins, photographed by NASA, in the public domain.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from bridge_server.cli.main import main as understudy  # noqa: E402  (the repository's root has just been put on the path)

PORTRAIT_PERMISSION = "NASA, public domain"


def portrait(folder: Path) -> Path:
    """Write the astronaut's photograph."""
    from PIL import Image
    from skimage import data

    path = folder / "astronaut.png"
    Image.fromarray(data.astronaut()).save(path)
    return path


def main() -> int:
    """:returns: the exit code."""
    get = os.environ.get
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--audio", type=Path, default=Path(get("AUDIO") or ROOT / "examples/speech.wav"))
    parser.add_argument("--directions", type=Path, default=Path(get("DIRECTIONS") or ROOT / "examples/directions.json"))
    parser.add_argument("--photo", type=Path, default=Path(get("PHOTO")) if get("PHOTO") else None)
    parser.add_argument("--motion", type=Path, help="a performance that is there already")
    parser.add_argument("--out", type=Path, default=Path(get("OUT") or ROOT / "out/film"), help="folder")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--seed", default=get("SEED") or "7")
    arguments, rest = parser.parse_known_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    motion = arguments.motion
    if motion is None:
        motion = arguments.out / "performance.npz"
        code = understudy(["generate", "--audio", str(arguments.audio), "--directions", str(arguments.directions),
                           "--seed", arguments.seed, "--out", str(motion)])
        if code:
            return code
    given = arguments.photo is not None
    photo = arguments.photo if given else portrait(arguments.out)
    command = ["film", "--motion", str(motion), "--photo", str(photo), "--audio", str(arguments.audio), "--out",
               str(arguments.out / "film.mp4"), "--seed", arguments.seed, "--seconds", str(arguments.seconds)]
    return understudy([*command, *([] if given else ["--permission", PORTRAIT_PERMISSION]), *rest])


if __name__ == "__main__":
    sys.exit(main())
