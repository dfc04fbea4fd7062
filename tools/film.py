#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""``make film``: perform the demo's speech and directions, and film a portrait and a whole body with it.

Without PHOTO the portrait is the astronaut of scikit-image: Eileen Collins, photographed by NASA, in the public domain. The whole body
is a test character, rendered by Blender; where there is none the reason is said and that film is left out.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(Path(__file__).resolve().parent)]

from bridge_server.cli.main import main as understudy  # noqa: E402  (the repository's root has just been put on the path)
from shared.motion import Motion  # noqa: E402

PORTRAIT_PERMISSION = "NASA, public domain"
PERSON_PERMISSION = "Rendered from a CC0 character; shows nobody real"
CHARACTER = ROOT.parent / "shared/data/characters/mixamo_arkit.blend"
PERSON_SECONDS = 300


def portrait(folder: Path) -> Path:
    """Write the astronaut's photograph."""
    from PIL import Image
    from skimage import data

    path = folder / "astronaut.png"
    Image.fromarray(data.astronaut()).save(path)
    return path


def person(folder: Path) -> tuple[Path, Path] | str:
    """Render a character from head to feet: its picture and the points of its body, or why there is none."""
    from PIL import Image, ImageDraw, ImageFilter

    python = os.environ.get("UNDERSTUDY_BLENDER_PYTHON") or next(
        (str(p) for p in (ROOT / ".venv-blender/bin/python", ROOT / ".venv-blender/Scripts/python.exe") if p.is_file()), "")
    if not CHARACTER.is_file():
        return f"there is no test character {CHARACTER.name} beside the repository"
    if not python:
        return "there is no .venv-blender; tools/dev.py test makes it"
    cut, picture, points = folder / "person_cut.png", folder / "person.png", folder / "person.json"
    try:
        done = subprocess.run([python, str(ROOT / "tools/film_person.py"), str(CHARACTER), str(cut), str(points)], capture_output=True,
                              text=True, timeout=PERSON_SECONDS)
    except subprocess.TimeoutExpired:
        return f"Blender did not render the character within {PERSON_SECONDS} s"
    if done.returncode or not cut.is_file() or not points.is_file():
        return f"Blender did not render the character ({(done.stderr.strip().splitlines() or ['it said nothing'])[-1][:200]})"
    with Image.open(cut) as rendered:
        width, height = rendered.size
        wall = Image.linear_gradient("L").resize((width, height))
        room = Image.merge("RGB", [wall.point(lambda v, c=c: int(c - v * 0.22)) for c in (196, 202, 210)]).convert("RGBA")
        # a shadow under the feet, so that it is no picture with a flat background
        shadow = Image.new("RGBA", (width, height))
        ImageDraw.Draw(shadow).ellipse((width * 0.30, height * 0.91, width * 0.70, height * 0.965), fill=(20, 20, 25, 120))
        room.alpha_composite(shadow.filter(ImageFilter.GaussianBlur(10)))
        room.alpha_composite(rendered.convert("RGBA"))
        room.convert("RGB").save(picture)
    cut.unlink()
    return picture, points


def sheet(film: Path, pictures: int = 12, columns: int = 6, width: int = 256) -> None:
    """Evenly spaced pictures of the film with their times, to be looked at, beside it."""
    import av
    from PIL import Image, ImageDraw

    with av.open(str(film)) as container:
        fps = float(container.streams.video[0].average_rate or 25)
        frames = [frame.to_image() for frame in container.decode(video=0)]
    height = round(frames[0].height * width / frames[0].width)
    out = Image.new("RGB", (columns * (width + 6) + 6, -(-pictures // columns) * (height + 24) + 6), (30, 32, 36))
    draw = ImageDraw.Draw(out)
    for n in range(pictures):
        which = int((n + 0.5) / pictures * len(frames))
        x, y = 6 + n % columns * (width + 6), 6 + n // columns * (height + 24)
        out.paste(frames[which].resize((width, height)), (x, y))
        draw.text((x + 2, y + height + 4), f"{which / fps:.2f} s", fill=(240, 200, 90))
    out.save(film.with_name(f"{film.stem}_sheet.png"))


def main(given: list[str] | None = None) -> int:
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
    arguments, rest = parser.parse_known_args(given)
    arguments.out.mkdir(parents=True, exist_ok=True)
    motion = arguments.motion
    if motion is None:
        motion = arguments.out / "performance.npz"
        code = understudy(["generate", "--audio", str(arguments.audio), "--directions", str(arguments.directions),
                           "--seed", arguments.seed, "--out", str(motion)])
        if code:
            return code
    seconds = min(arguments.seconds, Motion.load(motion).duration)
    common = ["film", "--motion", str(motion), "--audio", str(arguments.audio), "--seed", arguments.seed, "--seconds", str(seconds)]
    given_photo = arguments.photo is not None
    photo = arguments.photo if given_photo else portrait(arguments.out)
    film = arguments.out / "film.mp4"
    code = understudy([*common, "--photo", str(photo), "--out", str(film),
                       *([] if given_photo else ["--permission", PORTRAIT_PERMISSION]), *rest])
    if code:
        return code
    sheet(film)
    if given_photo:
        return 0
    found = person(arguments.out)
    if isinstance(found, str):
        print(f"Skipped the whole body: {found}.")
        return 0
    film = arguments.out / "film_whole_body.mp4"
    code = understudy([*common, "--photo", str(found[0]), "--points", str(found[1]), "--framing", "whole", "--out", str(film),
                       "--permission", PERSON_PERMISSION, *rest])
    if not code:
        sheet(film)
    return code


if __name__ == "__main__":
    sys.exit(main())
