# SPDX-License-Identifier: Apache-2.0
"""``understudy evaluate-video``: measure a film, alone, against another, or against its pose track."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np

from shared.errors import UnderstudyError

__all__ = ["add_parser", "run"]


def add_parser(subparsers: Any) -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        "evaluate-video", help="measure a film", description="Flicker of a film; SSIM, PSNR and features against a reference "
        "of the same length; PCK and distance of detected key points against the film's pose track.")
    parser.add_argument("film", type=Path)
    parser.add_argument("--reference", type=Path, help="a film of the same size and length")
    parser.add_argument("--track", type=Path, metavar="FILE.npz", help="the pose track that was filmed")
    parser.add_argument("--detected", type=Path, metavar="FILE.npz", help="DWPose key points that were detected in the film")
    parser.add_argument("--encoder", metavar="MODULE:FUNCTION", help="pictures (N, H, W, 3) to features (N, D), for the Fréchet "
                        "distance and the mean cosine")
    parser.set_defaults(run=run)


def _frames(path: Path) -> Iterator[np.ndarray]:
    import av

    if not path.is_file():
        raise UnderstudyError("file_missing", f"There is no film {path}.", "Check the path.")
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise UnderstudyError("file_invalid", f"{path.name} has no picture.", "Choose a film.")
            for frame in container.decode(video=0):
                yield frame.to_ndarray(format="rgb24")
    except av.error.FFmpegError as error:
        raise UnderstudyError("file_invalid", f"{path.name} cannot be read as a film ({error}).", "Choose another file.") from error


def _against(film: Path, reference: Path) -> dict[str, float]:
    from bridge_server.video import measure

    similar, ratio, count = 0.0, [], 0
    for a, b in zip_longest(_frames(film), _frames(reference)):
        if a is None or b is None:
            raise UnderstudyError("request_invalid", "The films are of different length.", "Give a reference of the same length.")
        if a.shape != b.shape:
            raise UnderstudyError("request_invalid", "The films are of different size.", "Give a reference of the same size.")
        similar += measure.ssim(a, b)
        ratio.append(min(measure.psnr(a, b), 100.0))
        count += 1
    if not count:
        raise UnderstudyError("file_invalid", "The films have no pictures.", "Choose other films.")
    return {"ssim": round(similar / count, 4), "psnr_db": round(float(np.mean(ratio)), 2)}


def _encoded(name: str, film: Path, reference: Path) -> dict[str, float]:
    from importlib import import_module

    from bridge_server.video import measure

    module, _, attribute = name.partition(":")
    try:
        encoder = getattr(import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise UnderstudyError("unsupported", f"There is no encoder {name!r} ({error}).", "Check the name.") from error
    a, b = (measure.features(list(_frames(p)), encoder) for p in (film, reference))
    return {"frechet": round(measure.frechet(a, b), 4), "cosine": round(measure.mean_similarity(a, b), 4)}


def _points(track_file: Path, detected_file: Path) -> dict[str, float]:
    from bridge_server.pose_track.bank import normalise
    from bridge_server.pose_track.files import read_dwpose
    from bridge_server.pose_track.track import PoseTrack
    from bridge_server.video import measure

    track, detected = PoseTrack.load(track_file), read_dwpose(detected_file)
    if len(track) != len(detected):
        raise UnderstudyError("request_invalid", f"The track has {len(track)} frames and the detection {len(detected)}.",
                              "Detect every frame of the film.")
    detected = detected.scaled(track.width, track.height)
    sure = np.minimum(track.confidence, detected.confidence)[:, :18]
    pair = (detected.points[:, :18], track.points[:, :18], sure)
    return {"keypoint_px": round(measure.keypoint_distance(*pair), 3),
            "pck_0.2_trunk": round(measure.pck(*pair, normalise(track.points)[1]), 4)}


def run(arguments: argparse.Namespace) -> int:
    """Print the figures as JSON; returns 0."""
    from bridge_server.video import measure

    if bool(arguments.track) != bool(arguments.detected) or (arguments.encoder and not arguments.reference):
        raise UnderstudyError("request_invalid", "--track and --detected belong together, and --encoder needs --reference.",
                              "See understudy evaluate-video --help.")
    out = {"flicker": round(measure.flicker(_frames(arguments.film)), 4)}
    if arguments.reference:
        out |= _against(arguments.film, arguments.reference)
        if arguments.encoder:
            out |= _encoded(arguments.encoder, arguments.film, arguments.reference)
    if arguments.track:
        out |= _points(arguments.track, arguments.detected)
    print(json.dumps(out, indent=1))
    return 0
