# SPDX-License-Identifier: GPL-3.0-or-later
"""Guide passes for a film: depth, normals, the character's mask and movement, rendered by a second Blender in the background."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import bpy
from bpy.props import StringProperty

from .. import cast
from ..shared.errors import UnderstudyError
from .scene_camera import check_camera

__all__ = ["CLASSES", "Passes"]

CHILD = Path(__file__).with_name("passes_child.py")
TICK_SECONDS = 0.3


def _command(scene: Path, asked: dict[str, Any]) -> list[str]:
    arguments = ["--", json.dumps(asked)]
    if bpy.app.binary_path:
        return [bpy.app.binary_path, "-b", str(scene), "--python-exit-code", "3", "--python", str(CHILD), *arguments]
    # Blender as a module: the same script, after the file has been opened
    start = ("import bpy, runpy, sys; bpy.ops.wm.open_mainfile(filepath=sys.argv[1]); "
             "runpy.run_path(sys.argv[2], run_name='__main__')")
    return [sys.executable, "-c", start, str(scene), str(CHILD), *arguments]


class Passes:
    """One run. The scene is rendered from a copy of the file, so that work can go on meanwhile.

    :raises UnderstudyError: ``request_invalid`` without a camera, ``file_invalid`` where the folder cannot be used.
    """

    def __init__(self, context: bpy.types.Context, character: Any, folder: Path, frames: tuple[int, int], size: tuple[int, int]) -> None:
        check_camera(context.scene)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._home = tempfile.TemporaryDirectory(prefix="understudy-")
        except OSError as error:
            raise UnderstudyError("file_invalid", f"{folder} cannot be written to ({error.strerror or error}).",
                                  "Choose another folder.") from error
        home = Path(self._home.name)
        bpy.ops.wm.save_as_mainfile(filepath=str(home / "copy.blend"), copy=True, compress=False, relative_remap=True)
        asked = {"folder": str(folder.resolve()), "frames": list(frames), "character": character.name, "size": list(size)}
        self.frames = frames[1] - frames[0] + 1
        self.folder = folder
        self._log = home / "log.txt"
        with self._log.open("wb") as output:
            self._process = subprocess.Popen(_command(home / "copy.blend", asked), stdin=subprocess.DEVNULL, stdout=output,
                                             stderr=subprocess.STDOUT, creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0))

    @property
    def done(self) -> int:
        """Frames that are there."""
        return sum(1 for _ in self.folder.glob("passes_[0-9]*.npz"))

    def ended(self) -> bool:
        """Whether it is over. :raises UnderstudyError: ``internal`` where it failed."""
        code = self._process.poll()
        if code is None:
            return False
        said = self._log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        self.close()
        if code:
            raise UnderstudyError("internal", f"Blender could not render the passes ({(said or ['it said nothing'])[-1][:300]}).",
                                  "Render a frame of the scene with Cycles to see what is wrong.")
        return True

    def close(self) -> None:
        """End it, wherever it is; frames that are done stay."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(5)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._home.cleanup()


class UNDERSTUDY_OT_film_passes(bpy.types.Operator):
    """Render depth, normals, the character's mask and movement of the film's frames through the scene's camera (Esc cancels)"""

    bl_idname = "understudy.film_passes"
    bl_label = "Render Guide Passes"

    directory: StringProperty(subtype="DIR_PATH", description="Where the files go; empty: beside the films")
    _passes: Passes | None = None
    _timer: Any = None

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """A character and a camera are needed."""
        reason = cast.NO_CHARACTER if cast.active(context) is None else "" if context.scene.camera else "The scene has no camera"
        if reason:
            cls.poll_message_set(reason)
        return not reason

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Begin; in the background wait for the end."""
        from . import order

        character = cast.active(context)
        try:
            folder = Path(bpy.path.abspath(self.directory)) if self.directory else order.folder_of(character) / f"{character.name} passes"
            self._passes = Passes(context, character, folder, order.film_frames(context, character), order.film_shape(context, character))
            while bpy.app.background and not self._passes.ended():
                try:
                    self._passes._process.wait(TICK_SECONDS)
                except subprocess.TimeoutExpired:
                    continue
        except UnderstudyError as error:
            return cast.refuse(self, character, error)
        return {"FINISHED"}

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        """Like execute, and stay to show how far it is."""
        done = self.execute(context)
        if bpy.app.background or done != {"FINISHED"} or self._passes is None:
            return done
        manager = context.window_manager
        manager.progress_begin(0, self._passes.frames)
        self._timer = manager.event_timer_add(TICK_SECONDS, window=context.window)
        manager.modal_handler_add(self)
        return {"RUNNING_MODAL"}

    def modal(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        """Esc ends it."""
        assert self._passes is not None
        try:
            if self._passes.ended():
                self.report({"INFO"}, f"The passes are in {self._passes.folder}")
                self.cancel(context)
                return {"FINISHED"}
        except UnderstudyError as error:
            self.cancel(context)
            return cast.refuse(self, cast.active(context), error)
        context.window_manager.progress_update(self._passes.done)
        if event.type == "ESC" and event.value == "PRESS" and not context.screen.is_animation_playing:
            self.cancel(context)
            self.report({"INFO"}, "The passes were cancelled")
            return {"CANCELLED"}
        return {"PASS_THROUGH"}

    def cancel(self, context: bpy.types.Context) -> None:
        """Leave nothing running."""
        if self._passes is not None:
            self._passes.close()
        if self._timer is not None:
            context.window_manager.progress_end()
            context.window_manager.event_timer_remove(self._timer)
            self._timer = None


CLASSES = (UNDERSTUDY_OT_film_passes,)
