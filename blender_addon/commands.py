# SPDX-License-Identifier: GPL-3.0-or-later
"""Without a window: ``blender -b shot.blend --command understudy generate …`` and ``… understudy batch shots.csv``.

For builds without ``--command`` a script that calls :func:`main` does the same:
``blender -b -P batch.py -- batch shots.csv``.
"""

import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import bpy

from .shared.errors import UnderstudyError

if TYPE_CHECKING:
    import argparse

__all__ = ["main", "register_command", "run_shot", "unregister_command"]

_log = logging.getLogger("understudy.commands")
_handle: Any = None


def _parser() -> "argparse.ArgumentParser":
    import argparse

    parser = argparse.ArgumentParser(prog="understudy", description="Perform speech and directions on a rig.")
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("generate", help="perform in the opened file")
    one.add_argument("--character", default="", help="name of the armature object (default: the chosen or only one)")
    one.add_argument("--audio", type=Path, help="the speech")
    one.add_argument("--directions", type=Path, help="directions: JSON, CSV, SRT or VTT")
    one.add_argument("--seed", type=int, default=None)
    one.add_argument("--output", type=Path, help=".blend to save (default: the opened file)")
    one.add_argument("--export", type=Path, action="append", default=[], help="also write .npz, .bvh, .fbx or .glb")
    many = commands.add_parser("batch", help="perform the shots of a table, one after the other")
    many.add_argument("table", type=Path, help="CSV: file, character, audio, directions, seed, output, exports")
    many.add_argument("--report", type=Path, help="JSON report (default: beside the table)")
    many.add_argument("--again", action="store_true", help="perform finished shots again")
    return parser


def _character(name: str) -> Any:
    """The armature to perform. :raises UnderstudyError: where it is not clear which."""
    from . import cast

    if name:
        found = bpy.data.objects.get(name)
        if found is None or found.type != "ARMATURE":
            raise UnderstudyError("character_missing", f"There is no armature {name!r} in the file.",
                                  "Correct the character's name.")
        return found
    chosen = cast.active(bpy.context)
    if chosen is not None:
        return chosen
    armatures = [o for o in bpy.data.objects if o.type == "ARMATURE"]
    if len(armatures) != 1:
        raise UnderstudyError("character_missing", f"The file has {len(armatures)} armatures, and none is chosen.",
                              "Name the character.")
    return armatures[0]


def _call(operator: Any, **values: Any) -> None:
    """An operator whose failure becomes the error that the panel shows."""
    from . import session

    session.notices.clear()
    try:
        operator(**values)
    except RuntimeError as error:
        told = next(iter(session.notices.values()), None)
        raise told or UnderstudyError("internal", str(error).strip(), "") from error


def perform(name: str, audio: str, directions: str, seed: int | None, output: str, exports: Sequence[str]) -> None:
    """Perform in the opened file and write what is asked. :raises UnderstudyError: with one sentence."""
    from . import batch, exports as export

    character = _character(name)
    scene: Any = bpy.context.scene
    scene.understudy.character = character
    settings = character.understudy
    everything: Any = bpy.ops
    operators = everything.understudy
    if audio:
        _call(operators.set_audio, filepath=audio)
    if directions:
        _call(operators.import_directions, filepath=directions)
    if seed is not None:
        settings.seed = seed
    batch.perform_blocking(bpy.context, batch.print_progress, character)
    for path in exports:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        export.write_take(bpy.context, character, Path(path))
    if output:
        Path(output).parent.mkdir(parents=True, exist_ok=True)
        try:
            bpy.ops.wm.save_as_mainfile(filepath=output, check_existing=False, compress=True)
        except RuntimeError as error:
            raise UnderstudyError("file_invalid", f"{output} cannot be saved ({str(error).strip()}).",
                                  "Choose another output.") from error


def run_shot(shot: Any) -> None:
    """Open a shot's file and perform it. :raises UnderstudyError: with one sentence."""
    if shot.file:
        if not Path(shot.file).is_file():
            raise UnderstudyError("file_missing", f"There is no file {shot.file}.", "Correct the shot's file.")
        try:
            bpy.ops.wm.open_mainfile(filepath=shot.file, load_ui=False)
        except RuntimeError as error:
            raise UnderstudyError("file_invalid", f"{shot.file} cannot be opened ({str(error).strip()}).",
                                  "Open and save it with this version of Blender.") from error
    else:
        bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
        everything: Any = bpy.ops
        everything.understudy.add_character()
    perform(shot.character, shot.audio, shot.directions, shot.seed, shot.output, shot.exports)


def _batch(arguments: "argparse.Namespace") -> int:
    from .core.shots import Report, read_shots, summary

    shots = read_shots(arguments.table)
    report = Report.load(arguments.report or arguments.table.with_suffix(".report.json"))
    outcomes = []
    for n, shot in enumerate(shots, start=1):
        fingerprint = shot.fingerprint()
        if not arguments.again and report.is_done(shot, fingerprint):
            outcomes.append((shot, "skipped", 0.0, "finished before"))
            continue
        print(f"[{n}/{len(shots)}] {shot.name}", flush=True)
        began = time.monotonic()
        error: UnderstudyError | None = None
        try:
            run_shot(shot)
        except UnderstudyError as caught:
            error = caught
        except Exception as caught:  # one broken shot must not stop the rest
            _log.exception("shot %s", shot.name)
            error = UnderstudyError("internal", f"The shot failed ({type(caught).__name__}: {caught}).",
                                    "Please report this, with the add-on's log file.")
        state = "failed" if error else "done"
        report.put(shot, fingerprint, state, time.monotonic() - began, error)
        outcomes.append((shot, state, time.monotonic() - began, str(error or "")))
    print(summary(outcomes), flush=True)
    return 1 if any(state == "failed" for _, state, _, _ in outcomes) else 0


def main(argv: Sequence[str]) -> int:
    """The commands; returns the exit code."""
    try:
        arguments = _parser().parse_args(list(argv))
    except SystemExit as left:
        return int(left.code or 0)
    try:
        if arguments.command == "batch":
            return _batch(arguments)
        perform(arguments.character, str(arguments.audio or ""), str(arguments.directions or ""), arguments.seed,
                str(arguments.output or bpy.data.filepath), [str(p) for p in arguments.export])
    except UnderstudyError as error:
        print(f"understudy: {error}", flush=True)
        return 1
    return 0


def register_command() -> None:
    """Offer ``--command understudy``, where this Blender knows commands."""
    global _handle
    if hasattr(bpy.utils, "register_cli_command"):
        _handle = bpy.utils.register_cli_command("understudy", main)


def unregister_command() -> None:
    """The inverse of :func:`register_command`."""
    global _handle
    if _handle is not None:
        bpy.utils.unregister_cli_command(_handle)
        _handle = None
