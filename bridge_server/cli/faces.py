# SPDX-License-Identifier: Apache-2.0
"""``understudy generate``: what is said, how the face feels and where it looks, and its curves in a file."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from shared.errors import UnderstudyError
from shared.face_settings import EMOTIONS, FaceSettings, Sampled
from shared.formats.face_curves import check_face_suffix, write_face_curves
from shared.motion import Motion

__all__ = ["add_options", "check", "settings_from", "transcript_from", "write"]


def add_options(parser: Any) -> None:
    """The options of faces."""
    group = parser.add_argument_group("face")
    group.add_argument("--transcript", metavar="TEXT|FILE", help="what is said, or a text file with it: the lips then follow the words")
    group.add_argument("--language", default="", metavar="CODE", help="of the speech, as en or de; helps where there is no transcript")
    group.add_argument("--emotion", action="append", default=[], metavar="NAME[=INTENSITY]",
                       help=f"{', '.join(EMOTIONS)}, with an intensity from 0 to 1 (default: 1); may be repeated")
    group.add_argument("--gaze", metavar="X,Y,Z", help="a point to look at: metres to the performer's left, up from the floor, and "
                       "forward, from where the performance starts (default: ahead); write --gaze=-1,1.6,2 where the first is negative")
    group.add_argument("--face-route", default="", metavar="NAME", help="who performs the face (default: the bridge's own rules); "
                       "'understudy doctor' lists them")
    group.add_argument("--face-curves", type=Path, metavar="FILE.csv|npz",
                       help="write the face as well: ARKit's 52 curves, Oculus's 15 visemes, SMPL-X's jaw, eyes and expression")
    group.add_argument("--no-face", action="store_true", help="perform the body alone")


def _invalid(text: str, form: str) -> UnderstudyError:
    return UnderstudyError("request_invalid", f"{text[:60]!r} cannot be read.", f"Write it as {form}.")


def _emotion(text: str) -> tuple[str, float]:
    name, _, amount = text.partition("=")
    if name not in EMOTIONS:
        raise UnderstudyError("request_invalid", f"There is no emotion {name[:60]!r}.", f"Choose one of {', '.join(EMOTIONS)}.")
    try:
        intensity = float(amount or 1)
    except ValueError as error:
        raise _invalid(text, "NAME or NAME=INTENSITY, as happy=0.6") from error
    if not 0 <= intensity <= 1:
        raise UnderstudyError("request_invalid", f"The emotion {name} has intensity {intensity:g}.", "Choose an intensity from 0 to 1.")
    return name, intensity


def _gaze(text: str) -> Sampled:
    try:
        x, y, z = (float(number) for number in text.split(","))
    except ValueError as error:
        raise _invalid(text, "X,Y,Z in metres, as 0.5,1.6,2") from error
    if not np.isfinite([x, y, z]).all():
        raise _invalid(text, "X,Y,Z in metres, as 0.5,1.6,2")
    return Sampled(1.0, np.array([[x, y, z]]))


def settings_from(arguments: argparse.Namespace) -> FaceSettings:
    """What the options say of the face. :raises UnderstudyError: ``request_invalid``."""
    emotions: dict[str, float | Sampled] = dict(_emotion(text) for text in arguments.emotion)
    return FaceSettings(emotions=emotions, gaze=_gaze(arguments.gaze) if arguments.gaze else None, language=arguments.language,
                        route=arguments.face_route)


def transcript_from(arguments: argparse.Namespace) -> str:
    """What is said. :raises UnderstudyError: ``file_missing`` or ``file_invalid``."""
    text: str = arguments.transcript or ""
    path = Path(text)
    try:
        there = path.is_file()
    except OSError:  # a text that is too long for a file's name
        there = False
    if there:
        try:
            return path.read_text(encoding="utf-8-sig").strip()
        except UnicodeDecodeError as error:
            raise UnderstudyError("file_invalid", f"{path.name} is not a text in UTF-8.", "Save it as UTF-8.") from error
    if " " not in text.strip() and path.suffix.lower() == ".txt":
        raise UnderstudyError("file_missing", f"There is no file {text[:200]}.", "Check the path of the transcript.")
    return text


def check(arguments: argparse.Namespace) -> None:
    """Refuse what cannot be written before anything is performed. :raises UnderstudyError: ``unsupported`` or ``request_invalid``."""
    if arguments.face_curves is None:
        return
    check_face_suffix(arguments.face_curves)
    if arguments.no_face:
        raise UnderstudyError("request_invalid", "Face curves are asked for of a body without its face.", "Leave out --no-face.")


def write(motion: Motion, path: Path) -> None:
    """The face of a motion into ``path``, as :func:`shared.formats.face_curves.write_face_curves` does."""
    from bridge_server.face.maps import viseme_map

    write_face_curves(motion, path, viseme_map())
