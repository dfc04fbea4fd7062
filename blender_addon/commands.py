# SPDX-License-Identifier: GPL-3.0-or-later
"""Without a window: ``blender -b shot.blend --command understudy generate …`` and ``… understudy batch shots.csv``.

For builds without ``--command`` the file ``headless.py`` beside this one does the same as a script:
``blender -b shot.blend -P headless.py -- generate …``.
"""

import json
import logging
import os
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import bpy

from .shared.errors import UnderstudyError

if TYPE_CHECKING:
    import argparse

__all__ = ["main", "register_command", "run_shot", "unregister_command"]

PARENT_SECONDS = 0.5
"""How often a shot looks whether the process that asked for it is still there."""

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
    one.add_argument("--export", type=Path, action="append", default=[], 
                     help="also write .npz, .amass.npz, .bvh, .fbx, .unreal.fbx or .glb; may be given several times")
    many = commands.add_parser("batch", help="perform the shots of a table, one after the other")
    many.add_argument("table", type=Path, help="CSV: file, character, audio, directions, seed, output, exports")
    many.add_argument("--report", type=Path, help="JSON report (default: beside the table)")
    many.add_argument("--again", action="store_true", help="perform finished shots again")
    commands.add_parser("about", help="say which Blender this is, for another program")
    shot = commands.add_parser("shot", help="perform one shot for another program, which reads what is printed")
    shot.add_argument("task", type=Path, help='JSON: {"shot": {…}, "parent": process id}')
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


def perform(name: str, audio: str, directions: str, seed: int | None, output: str, exports: Sequence[str],
            progress: Any = None) -> Any:
    """Perform in the opened file, write what is asked, and return the take's action.

    :param progress: as in :func:`.batch.perform_blocking`; by default lines on the terminal.
    :raises UnderstudyError: with one sentence.
    """
    from . import batch, exports as export, remarks
    from .shared.shots import check_exports

    check_exports(exports)
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
    action = batch.perform_blocking(bpy.context, progress or batch.print_progress, character)
    if progress is None:
        for sentence in remarks.of_take(action):
            print(f"Note: {sentence}", flush=True)
    for path in exports:
        _make_folder(path)
        export.write_take(bpy.context, character, Path(path))
    if output:
        _make_folder(output)
        try:
            bpy.ops.wm.save_as_mainfile(filepath=output, check_existing=False, compress=True)
        except RuntimeError as error:
            raise UnderstudyError("file_invalid", f"{output} cannot be saved ({str(error).strip()}).",
                                  "Choose another output.") from error
    return action


def _make_folder(path: str) -> None:
    """The folder that a file goes to. :raises UnderstudyError: ``file_invalid``."""
    from . import cast

    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cast.cannot_write(Path(path), error) from error


def run_shot(shot: Any, progress: Any = None) -> Any:
    """Open a shot's file and perform it; returns the take's action. :raises UnderstudyError: with one sentence."""
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
    return perform(shot.character, shot.audio, shot.directions, shot.seed, shot.output, shot.exports, progress)


def _try_shot(shot: Any, progress: Any = None) -> tuple[Any, UnderstudyError | None]:
    """The take's action, or what went wrong: one broken shot must not stop the rest."""
    try:
        return run_shot(shot, progress), None
    except UnderstudyError as caught:
        return None, caught
    except Exception as caught:
        _log.exception("shot %s", shot.name)
        return None, UnderstudyError("internal", f"The shot failed ({type(caught).__name__}: {caught}).",
                                     "Please report this, with the add-on's log file.")


def _batch(arguments: "argparse.Namespace") -> int:
    from .shared.shots import Outcome, Report, read_shots, summary

    shots = read_shots(arguments.table)
    report = Report.load(arguments.report or arguments.table.with_suffix(".report.json"))
    outcomes = []
    for n, shot in enumerate(shots, start=1):
        fingerprint = shot.fingerprint()
        if not arguments.again and report.is_done(shot, fingerprint):
            outcomes.append(Outcome(shot, "skipped", 0.0, "finished before"))
            continue
        print(f"[{n}/{len(shots)}] {shot.name}", flush=True)
        began = time.monotonic()
        action, error = _try_shot(shot)
        state, seconds = "failed" if error else "done", time.monotonic() - began
        told = _remarks(action)
        report.put(shot, fingerprint, state, seconds, error, warnings=told)
        outcomes.append(Outcome(shot, state, seconds, str(error or " ".join(told))))
    print(summary(outcomes), flush=True)
    return int(any(o.state == "failed" for o in outcomes))


def _remarks(action: Any) -> list[str]:
    """What the bridge remarked about a take, if there is one."""
    from . import remarks

    return remarks.of_take(action) if action is not None else []


def _tell(**event: Any) -> None:
    """A line for the program that started this Blender."""
    from .shared.shots import EVENT

    print(f"\n{EVENT}{json.dumps(event)}", flush=True)


def _about() -> int:
    from importlib.util import find_spec

    _tell(blender=bpy.app.version_string, zmq=find_spec("zmq") is not None)
    return 0


def _shot(task: Path) -> int:
    """One shot for ``understudy batch`` on the bridge's side: what happens is told in lines that a program can read."""
    from .shared.shots import Shot

    data = json.loads(task.read_text(encoding="utf-8"))
    _end_with(int(data["parent"]))
    action, error = _try_shot(Shot.from_json(data["shot"]),
                              lambda stage, fraction, eta: _tell(stage=stage, fraction=fraction, eta=eta))
    frames = 0 if action is None else round(action.frame_range[1] - action.frame_range[0]) + 1
    _tell(ended=True, frames=frames, error=error.to_json() if error else None, warnings=_remarks(action))
    return int(error is not None)


def _end_with(parent: int) -> None:
    """End this process when the one that asked for it has gone, so that nothing is left behind when it is killed."""
    from .core.bridge_process import pid_alive

    def watch() -> None:
        while pid_alive(parent):
            time.sleep(PARENT_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, name="understudy-parent", daemon=True).start()


def main(argv: Sequence[str]) -> int:
    """The commands; returns the exit code."""
    try:
        arguments = _parser().parse_args(list(argv))
    except SystemExit as left:
        return int(left.code or 0)
    try:
        if arguments.command == "batch":
            return _batch(arguments)
        if arguments.command == "about":
            return _about()
        if arguments.command == "shot":
            return _shot(arguments.task)
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
