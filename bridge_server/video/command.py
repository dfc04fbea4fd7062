# SPDX-License-Identifier: Apache-2.0
"""``understudy film``: a film from a performance, one photograph and speech."""

from __future__ import annotations

import argparse
import re
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from bridge_server.video.renderers import QUALITIES
from shared.errors import UnderstudyError
from shared.motion import Motion

__all__ = ["add_parser", "run"]


def add_parser(subparsers: Any) -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        "film", help="make a film from a performance and one photograph",
        description="Make a film of the person in a photograph, who moves and speaks as the performance does. The embedded "
        "renderer 'puppet' moves the photograph itself: to judge timing and framing, not to look real.")
    parser.add_argument("--motion", type=Path, metavar="FILE.npz", help="the performance, as 'understudy generate' writes it")
    parser.add_argument("--photo", type=Path, help="one person who looks at the camera")
    parser.add_argument("--audio", type=Path, help="the speech")
    parser.add_argument("--out", type=Path, metavar="FILE", help=".mp4 (H.264), .mov (ProRes), or a folder for PNG pictures")
    parser.add_argument("--renderer", default="puppet", help="'puppet' or another installed one (see --list)")
    parser.add_argument("--weights", type=Path, metavar="FOLDER", help="of the renderer (default: its folder in "
                        "$UNDERSTUDY_FILM_WEIGHTS)")
    parser.add_argument("--option", action="append", default=[], metavar="NAME=VALUE", help="of the renderer, as steps=25; may be repeated")
    parser.add_argument("--points", type=Path, metavar="FILE.json", help="OpenPose JSON: where the body is in the photograph")
    parser.add_argument("--framing", default="half", choices=("head", "half", "whole"), help="of the virtual camera (half)")
    parser.add_argument("--camera", type=Path, metavar="FILE.npz", help="film through this camera, as Blender's add-on exports it")
    parser.add_argument("--size", metavar="WxH", help="pixels (default: the photograph's shape, short side 512)")
    parser.add_argument("--fps", type=float, default=25.0)
    parser.add_argument("--start", type=float, default=0.0, help="seconds into the performance (0)")
    parser.add_argument("--seconds", type=float, help="length (default: to the end)")
    parser.add_argument("--part", type=float, nargs=2, metavar=("FROM", "TO"), help="draw only these seconds of the film again")
    parser.add_argument("--audio-start", type=float, default=0.0, help="seconds into the sound at the performance's first frame (0)")
    parser.add_argument("--quality", default="normal", choices=QUALITIES, help="of renderers that have a choice (normal)")
    parser.add_argument("--driving", type=Path, metavar="FILE", help="film of the performing character, for renderers that take one")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--permission", default="", metavar="TEXT", help="who allows the use of the photograph; kept in the film")
    parser.add_argument("--mark", action="store_true", help="write a visible mark into the picture")
    parser.add_argument("--sign-cert", type=Path, metavar="FILE.pem", help="certificate chain for content credentials "
                        "(default: $UNDERSTUDY_SIGN_CERT, or signing.json in the state folder)")
    parser.add_argument("--sign-key", type=Path, metavar="FILE.pem", help="its private key")
    parser.add_argument("--track", type=Path, metavar="FILE.npz", help="write the pose track as well")
    parser.add_argument("--dwpose", type=Path, metavar="FILE.npz", help="write the pose track as DWPose key points")
    parser.add_argument("--openpose", type=Path, metavar="FOLDER", help="write the pose track as OpenPose JSON")
    parser.add_argument("--pose-film", type=Path, metavar="FILE", help="write the drawn pose track as a film")
    parser.add_argument("--convention", default="mimicmotion", choices=("mimicmotion", "echomimic", "wan"),
                        help="how the pose film is drawn (mimicmotion)")
    parser.add_argument("--composite", action="store_true", help="leave the points of the head out of the pose track's files")
    parser.add_argument("--bank", nargs="?", const="", metavar="FILE.npz",
                        help="give the pose track's files the fine movement of a relation bank (the shipped one)")
    parser.add_argument("--bank-weights", default="starter", metavar="NAME", help="whose tokens the bank links (starter)")
    parser.add_argument("--list", action="store_true", help="list the renderers, what they need, and whether they run here")
    parser.set_defaults(run=run)


def _parse_size(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    match = re.fullmatch(r"(\d{2,5})[xX](\d{2,5})", text.strip())
    if not match:
        raise UnderstudyError("request_invalid", f"The size {text!r} cannot be read.", "Write it as 512x512.")
    return int(match[1]), int(match[2])


def _options(arguments: argparse.Namespace) -> dict[str, Any]:
    options: dict[str, Any] = {} if arguments.weights is None else {"weights": arguments.weights}
    for text in arguments.option:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise UnderstudyError("request_invalid", f"The option {text!r} cannot be read.", "Write it as NAME=VALUE.")
        options[name.strip()] = value.strip()
    return options


def _list() -> int:
    from bridge_server.video.renderers import describe_all

    for item in describe_all():
        print(f"{item.name}: {item.summary}")
        print(f"    {'runs here' if item.runs_here else 'cannot run here: ' + item.why_not}. {item.needs}")
    return 0


def run(arguments: argparse.Namespace) -> int:
    """Make the film; returns 0."""
    if arguments.list:
        return _list()
    for name in ("motion", "photo", "out"):
        if getattr(arguments, name) is None:
            raise UnderstudyError("request_invalid", f"--{name} is missing.", "See understudy film --help.")
    from bridge_server.video import renderers

    renderer = renderers.load(arguments.renderer, **_options(arguments))
    from bridge_server.cli.generate import Bar
    from bridge_server.pose_track.files import read_points
    from bridge_server.video.film import FilmRequest, make_film
    from bridge_server.video.photo import load_photo
    from bridge_server.video.provenance import signing_from

    points = None
    if arguments.points is not None:
        xy, confidence, size = read_points(arguments.points)
        photo = load_photo(arguments.photo)
        # points in the pixels of the file, or of the canvas they were placed on
        if size is not None:
            xy = xy * (np.array(photo.size) / size)
        else:
            xy = xy * photo.scale
        points = (xy, confidence)
    motion = Motion.load(arguments.motion)
    camera = None
    if arguments.camera is not None:
        from bridge_server.pose_track.camera_file import read_camera

        camera = read_camera(arguments.camera, len(motion), motion.fps)
    request = FilmRequest(
        motion, arguments.photo, arguments.out, arguments.audio, points, camera, arguments.framing,
        _parse_size(arguments.size), arguments.fps, arguments.start, arguments.seconds, arguments.seed, arguments.permission,
        arguments.mark, arguments.audio_start, tuple(arguments.part) if arguments.part else None, arguments.quality,
        arguments.driving, signing_from(arguments.sign_cert, arguments.sign_key))
    began = time.monotonic()
    bar = Bar(sys.stderr)
    try:
        result = make_film(request, renderer, lambda stage, fraction: bar(stage, fraction, None))
    finally:
        bar.close()
    for note in result.notes:
        print(f"note: {note}", file=sys.stderr)
    if not arguments.permission:
        print("note: No permission for the photograph was stated (--permission); the film's metadata says so.", file=sys.stderr)
    _track_files(arguments, _with_bank(arguments, request, result.track))
    print(f"{result.frames / result.fps:.2f} s of film ({result.frames} frames at {result.fps:g} fps, {result.track.width}x"
          f"{result.track.height}) in {time.monotonic() - began:.2f} s{', with content credentials' * result.signed}: {result.path}")
    return 0


def _with_bank(arguments: argparse.Namespace, request: Any, track: Any) -> Any:
    if arguments.bank is None:
        return track
    from bridge_server.pose_track.bank import Bank, enliven
    from bridge_server.pose_track.bank_build import Tokens
    from bridge_server.video.film import cut

    bank, tokens = Bank.load(arguments.bank or None), Tokens(arguments.bank_weights)
    if bank.tokenizer != tokens.digest:
        print("note: The bank was made with another tokenizer, so its segments are chosen by fit alone.", file=sys.stderr)
        return enliven(track, bank)
    return enliven(track, bank, tokens.codes(cut(request)[0]))


def _track_files(arguments: argparse.Namespace, track: Any) -> None:
    from bridge_server.pose_track import files
    from bridge_server.pose_track.composite import composite
    from bridge_server.pose_track.draw_dwpose import MIMICMOTION_SIDE, draw_dwpose
    from bridge_server.pose_track.draw_wan import draw_wan
    from bridge_server.video import encode

    if arguments.composite:
        track = composite(track)
    if arguments.track:
        track.save(arguments.track)
    if arguments.dwpose:
        files.write_dwpose(track, arguments.dwpose)
    if arguments.openpose:
        files.write_openpose(track, arguments.openpose)
    if arguments.pose_film:
        kind = encode.format_of(arguments.pose_film)
        side = 800 if arguments.convention == "echomimic" else MIMICMOTION_SIDE
        pictures = (draw_wan(track, n) if arguments.convention == "wan" else draw_dwpose(track, n, short_side=side)
                    for n in range(len(track)))
        if kind == "png":
            arguments.pose_film.mkdir(parents=True, exist_ok=True)
            encode.write_png(arguments.pose_film, 0, pictures)
        else:
            encode.write_segment(arguments.pose_film, pictures, track.fps, kind)
