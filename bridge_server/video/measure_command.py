# SPDX-License-Identifier: Apache-2.0
"""``understudy evaluate video``: measure a film, alone, against another, its photograph, its speech or its pose track."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np

from bridge_server.video.measure_encoders import MEASURES
from shared.errors import UnderstudyError

__all__ = ["add_parser", "run"]


def add_parser(subparsers: Any) -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        "evaluate-video", help="measure a film", description="Flicker of a film; SSIM, PSNR, LPIPS, FID and FVD against a reference "
        "of the same length; CSIM against the photograph; Sync-C and Sync-D against the speech; PCK and distance of key points "
        "against the film's pose track. What needs a network takes it from the folder of weights and says so where it is not there.")
    parser.add_argument("film", type=Path)
    parser.add_argument("--reference", type=Path, help="a film of the same size and length")
    parser.add_argument("--track", type=Path, metavar="FILE.npz", help="the pose track that was filmed")
    parser.add_argument("--detected", type=Path, metavar="FILE.npz", help="DWPose key points that were detected in the film")
    parser.add_argument("--detect", action="store_true", help="find the key points with DWPose, where its files are installed")
    parser.add_argument("--photo", type=Path, help="the photograph that the film was made from, for CSIM")
    parser.add_argument("--audio", type=Path, nargs="?", const=Path(), help="the speech, for Sync-C and Sync-D (default: the film's own)")
    parser.add_argument("--measures", default=",".join(m.name for m in MEASURES),
                        help="of lpips, fid, fvd, csim and sync, those wanted (all)")
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


def _by_networks(arguments: argparse.Namespace) -> dict[str, float]:
    """Measures whose other side was given."""
    from bridge_server.video.encode import SOUND_RATE, read_sound
    from bridge_server.video.measure_encoders import measure_film
    from bridge_server.video.photo import load_photo

    given = {"reference": arguments.reference is not None, "photo": arguments.photo is not None, "audio": arguments.audio is not None}
    names = [m.name for m in MEASURES if given[m.against] and m.name in arguments.measures.split(",")]
    if not names:
        return {}
    frames = list(_frames(arguments.film))
    reference = list(_frames(arguments.reference)) if given["reference"] else None
    sound, rate = None, _rate(arguments.film)
    if given["audio"]:
        from scipy.signal import resample_poly

        path = arguments.film if arguments.audio == Path() else arguments.audio
        sound = resample_poly(read_sound(path, 0.0, len(frames) / rate).mean(0), 16_000, SOUND_RATE)
    found, notes = measure_film(names, frames, reference=reference, photo=load_photo(arguments.photo).pixels if given["photo"] else None,
                                sound=sound, fps=rate)
    for note in notes:
        print(f"note: {note}", file=sys.stderr)
    return found


def _rate(path: Path) -> float:
    import av

    with av.open(str(path)) as container:
        return float(container.streams.video[0].average_rate or 25)


def _points(arguments: argparse.Namespace) -> dict[str, float]:
    from bridge_server.pose_track.bank import normalise
    from bridge_server.pose_track.detect import detect_track, find_detector
    from bridge_server.pose_track.files import read_dwpose
    from bridge_server.pose_track.track import PoseTrack
    from bridge_server.video import measure

    track = PoseTrack.load(arguments.track)
    if arguments.detected is not None:
        detected = read_dwpose(arguments.detected)
    else:
        detector = find_detector()
        if detector is None:
            raise UnderstudyError("weights_missing", "DWPose's files yolox_l.onnx and dw-ll_ucoco_384.onnx are not installed.",
                                  "Put them into the folder that UNDERSTUDY_DWPOSE names, or give --detected.")
        detected = detect_track(_frames(arguments.film), _rate(arguments.film), detector)
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

    if bool(arguments.track) != bool(arguments.detected or arguments.detect) or (arguments.encoder and not arguments.reference):
        raise UnderstudyError("request_invalid", "--track needs --detected or --detect and the other way round; --encoder needs "
                              "--reference.", "See understudy evaluate video --help.")
    unknown = set(arguments.measures.split(",")) - {m.name for m in MEASURES} - {""}
    if unknown:
        raise UnderstudyError("request_invalid", f"There is no measure {sorted(unknown)[0]!r}.", "See understudy evaluate video --help.")
    out = {"flicker": round(measure.flicker(_frames(arguments.film)), 4)}
    if arguments.reference:
        out |= _against(arguments.film, arguments.reference)
        if arguments.encoder:
            out |= _encoded(arguments.encoder, arguments.film, arguments.reference)
    out |= _by_networks(arguments)
    if arguments.track:
        out |= _points(arguments)
    print(json.dumps(out, indent=1))
    return 0
