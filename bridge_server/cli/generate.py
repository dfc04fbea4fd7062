# SPDX-License-Identifier: Apache-2.0
"""``understudy generate``: one performance, without Blender."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TextIO

from bridge_server.cli import edits, faces, options
from bridge_server.cli.client import Client, connect, read_audio
from bridge_server.cli.launch import bridge_for
from shared import direction_files, timeline
from shared.errors import UnderstudyError
from shared.motion import Motion
from shared.requests import MotionRequest, check_request

__all__ = ["add_parser"]

_MOST_VARIATIONS = 100


def add_parser(subparsers: Any) -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        "generate",
        help="perform speech and directions, without Blender",
        description="Perform speech and directions and write the motion. "
        "Uses the bridge that is running, or starts one for this.",
    )
    parser.add_argument("--audio", type=Path, help="speech: any sound or video file")
    parser.add_argument("--directions", type=Path, help="directions as JSON, CSV, SRT or VTT, by the name's ending")
    parser.add_argument(
        "--say",
        action="append",
        default=[],
        metavar="START-END:TEXT",
        help='one direction, as "0-2.5:walks forward"; may be repeated',
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.npz", help="where to write the motion")
    parser.add_argument(
        "--bvh", type=Path, metavar="FILE.bvh", nargs="?", const=True, help="write BVH as well (default: beside --out)"
    )
    parser.add_argument("--seconds", type=float, help="length (default: the audio's, or the end of the last direction)")
    parser.add_argument("--fps", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--text-guidance", type=float, help="how strictly directions are followed (default: as the weights do it best)")
    parser.add_argument("--audio-guidance", type=float, help="the same for the speech")
    parser.add_argument("--temperature", type=float, help="0 takes the likeliest tokens, more is more varied (the same default)")
    parser.add_argument("--in-place", action="store_true", help="keep the pelvis over its starting point")
    parser.add_argument("--no-keep-time", action="store_true", help="leave strokes where they fall instead of leading them to syllables")
    parser.add_argument("--amplitude", type=float, default=1.0, help="gesture size, 0 to 2")
    parser.add_argument("--tempo", type=float, default=1.0, help="0 to 2")
    parser.add_argument("--energy", type=float, default=1.0, help="sharpness of movements, 0 to 2")
    parser.add_argument(
        "--variations", type=int, default=1, metavar="N", help="perform N times with the seeds from --seed on, into FILE-1.npz and so on"
    )
    faces.add_options(parser)
    edits.add_options(parser)
    parser.add_argument("--keep-bridge", action="store_true", help="leave a bridge that was started for this running")
    parser.add_argument("--no-start", action="store_true", help="fail when no bridge is running, rather than start one")
    options.add_state(parser)
    options.add_bridge(parser)
    options.add_model(parser)
    parser.set_defaults(run=run)


def parse_say(text: str) -> timeline.Direction:
    """A direction from ``START-END:TEXT``. :raises UnderstudyError: ``direction_invalid``."""
    times, colon, words = text.partition(":")
    start, dash, end = times.partition("-")
    try:
        if not (colon and dash):
            raise ValueError("the form is START-END:TEXT")
        return timeline.Direction(float(start), float(end), words)
    except ValueError as error:
        raise UnderstudyError(
            "direction_invalid",
            f"The direction {text[:60]!r} cannot be read ({error}).",
            'Write it as "0-2.5:walks forward", times in seconds.',
        ) from error


def make_request(arguments: argparse.Namespace) -> MotionRequest:
    """The request that the options describe. :raises UnderstudyError: what is wrong with them."""
    directions = direction_files.load(arguments.directions) if arguments.directions else []
    directions += [parse_say(text) for text in arguments.say]
    edit = edits.edit_from(arguments)
    seconds = arguments.seconds if edit is None or not arguments.edit else max(arguments.seconds or 0.0, edit.base.duration)
    if arguments.between and edit is not None:
        seconds = edit.base.duration
    timeline.check(directions, seconds)
    request = MotionRequest(
        fps=arguments.fps if edit is None else edit.base.fps,
        duration=seconds,
        directions=directions,
        seed=arguments.seed,
        weights=arguments.weights,
        text_guidance=arguments.text_guidance,
        audio_guidance=arguments.audio_guidance,
        temperature=arguments.temperature,
        amplitude=arguments.amplitude,
        tempo=arguments.tempo,
        energy=arguments.energy,
        in_place=arguments.in_place,
        keep_time=not arguments.no_keep_time,
        face=not arguments.no_face,
        transcript=faces.transcript_from(arguments),
        face_settings=faces.settings_from(arguments),
        edit=edit,
    )
    if arguments.audio is not None:
        request.audio = read_audio(arguments.audio)
        request.audio_name = arguments.audio.name
    check_request(request)
    return request


@contextmanager
def _client(arguments: argparse.Namespace) -> Iterator[Client]:
    state_dir = options.folder(arguments)
    if arguments.address or arguments.no_start:
        with connect(state_dir, arguments.address, arguments.token, arguments.key) as client:
            yield client
    else:
        extra = ["--generator", arguments.generator, "--weights", arguments.weights, "--device", arguments.device]
        with bridge_for(state_dir, extra=extra, keep=arguments.keep_bridge) as client:
            yield client


class Bar:
    """Progress on a terminal as one line that is written over; elsewhere one line for each stage."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._live = stream.isatty()
        self._stage = ""

    def __call__(self, stage: str, fraction: float, eta: float | None) -> None:
        left = "" if eta is None else f"  {eta:4.1f} s left"
        done = "#" * int(fraction * 24)
        if self._live:
            self._stream.write(f"\r\033[K{done:.<24} {fraction:4.0%}  {stage}{left}")
        elif stage != self._stage:
            self._stream.write(f"{fraction:4.0%}  {stage}{left}\n")
        self._stage = stage
        self._stream.flush()

    def close(self) -> None:
        """Leave the line."""
        if self._live and self._stage:
            self._stream.write("\r\033[K")
            self._stream.flush()


def run(arguments: argparse.Namespace) -> int:
    """Perform and write; returns 0."""
    request = make_request(arguments)
    faces.check(arguments)
    for path in (arguments.out, arguments.bvh, arguments.face_curves):
        if isinstance(path, Path) and not path.parent.is_dir():
            raise UnderstudyError(
                "file_missing", f"There is no folder {path.parent}.", "Make it, or choose another place for the result."
            )
    if not 1 <= arguments.variations <= _MOST_VARIATIONS:
        raise UnderstudyError("request_invalid", f"{arguments.variations} variations were asked for.", f"Ask for 1 to {_MOST_VARIATIONS}.")
    with _client(arguments) as client:
        for n in range(arguments.variations):
            _perform(client, replace(request, seed=request.seed + n), arguments, f"-{n + 1}" if arguments.variations > 1 else "")
    return 0


def _perform(client: Client, request: MotionRequest, arguments: argparse.Namespace, mark: str) -> None:
    """Perform one request and write it; ``mark`` goes to the end of the files' names."""
    began = time.monotonic()
    bar = Bar(sys.stderr)
    try:
        motion = client.perform(request, bar)
    finally:
        bar.close()
    for warning in motion.metadata.get("warnings", []):
        print(f"note: {warning}", file=sys.stderr)
    out, bvh, curves = (p.with_stem(p.stem + mark) if isinstance(p, Path) else p
                        for p in (arguments.out, arguments.bvh, arguments.face_curves))
    written = write(motion, out, bvh, curves)
    stages = ", ".join(f"{name} {seconds:.2f} s" for name, seconds in motion.metadata.get("stages", {}).items())
    print(
        f"{motion.duration:.2f} s of motion ({len(motion)} frames at {motion.fps:g} fps) "
        f"in {time.monotonic() - began:.2f} s"
        f"{f' ({stages})' if stages else ''}: {', '.join(map(str, written))}"
    )


def write(motion: Motion, out: Path, bvh: Path | bool | None, curves: Path | None = None) -> list[Path]:
    """Write the files; returns their paths. :raises UnderstudyError: ``file_invalid`` when one cannot be written."""
    written = [out]
    try:
        motion.save(out)
        if bvh:
            from shared.formats.bvh import write_bvh

            path = bvh if isinstance(bvh, Path) else out.with_suffix(".bvh")
            write_bvh(motion, path)
            written.append(path)
        if curves is not None:
            faces.write(motion, curves)
            written.append(curves)
    except OSError as error:
        raise UnderstudyError(
            "file_invalid",
            f"{error.filename or out} cannot be written ({error.strerror}).",
            "Choose another place for the result.",
        ) from error
    return written
