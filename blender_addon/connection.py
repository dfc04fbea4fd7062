# SPDX-License-Identifier: GPL-3.0-or-later
"""The bridge as the artist sees it: a line that says how it is, one button to start and stop, one to check."""

from pathlib import Path
from typing import Any

import bpy
from bpy.props import EnumProperty

from . import log, preferences, session
from .shared.errors import UnderstudyError

__all__ = ["CLASSES", "draw", "log_path"]


def _status(state: str, link: Any) -> tuple[str, str]:
    """Words and icon for the state of the link."""
    if state == "ready":
        return f"Ready · {link.device}" if link.device else "Ready", "CHECKMARK"
    if state == "starting":
        return f"Starting, {link.process.seconds_starting:.0f} s", "SORTTIME"
    if state == "connecting":
        return "Connecting", "SORTTIME"
    if state == "failed":
        return "Failed", "ERROR"
    return "Off (starts when needed)" if preferences.get().auto_start else "Off", "RADIOBUT_OFF"


class UNDERSTUDY_OT_start_bridge(bpy.types.Operator):
    """Start the bridge, or connect to the one that runs"""

    bl_idname = "understudy.start_bridge"
    bl_label = "Start Bridge"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Whether it is not running yet."""
        if session.link_state()[0] in ("starting", "connecting", "ready"):
            cls.poll_message_set("The bridge is running")
            return False
        return True

    def execute(self, context: bpy.types.Context) -> set[str]:
        """With a window it comes up by and by; in the background it is waited for."""
        try:
            link = session.desk().link
            link.want(start=True)
            while bpy.app.background and link.state in ("starting", "connecting"):
                session.pump(0.1)
            if link.state == "failed" and link.error is not None:
                raise link.error
        except UnderstudyError as error:
            session.tell(None, error)
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        session.tell(None, None)
        session.keep_pumping()
        return {"FINISHED"}


class UNDERSTUDY_OT_stop_bridge(bpy.types.Operator):
    """Disconnect from the bridge, and end it if this Blender started it"""

    bl_idname = "understudy.stop_bridge"
    bl_label = "Stop Bridge"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Whether there is something to stop."""
        if session.link_state()[0] in ("off", "failed"):
            cls.poll_message_set("The bridge is not running")
            return False
        return True

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Stop it; open performances end with a sentence."""
        desk = session.desk()
        desk.link.stop()
        session.pump()
        return {"FINISHED"}


class UNDERSTUDY_OT_check_bridge(bpy.types.Operator):
    """Look whether the bridge's Python has what the bridge needs"""

    bl_idname = "understudy.check_bridge"
    bl_label = "Check the Bridge's Python"

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Ask that Python itself."""
        from .core.bridge_check import check
        from .core.bridge_process import find_command

        preferences.checked.clear()
        try:
            chosen = preferences.get()
            found = check(find_command(bpy.path.abspath(chosen.bridge_python), bpy.path.abspath(chosen.bridge_folder), (),
                                       session.source_root()))
        except UnderstudyError as error:
            preferences.checked += [(error.message, "ERROR"), (error.fix, "INFO")]
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        preferences.checked.append((found.summary, "CHECKMARK" if found.good else "ERROR"))
        if not found.good:
            preferences.checked += [("Run this in a terminal:", "CONSOLE"), (found.install, "BLANK1")]
            self.report({"ERROR"}, f"{found.summary} Run in a terminal: {found.install}")
            return {"CANCELLED"}
        self.report({"INFO"}, found.summary)
        return {"FINISHED"}


class UNDERSTUDY_OT_test_connection(bpy.types.Operator):
    """Connect once to the address above, with the key file, and say what answers (Esc gives up)"""

    bl_idname = "understudy.test_connection"
    bl_label = "Test Connection"

    _trial: Any = None
    _timer: Any = None

    def _look(self) -> set[str]:
        """One look at the trial: finished, cancelled, or not yet."""
        try:
            said = self._trial.poll()
        except UnderstudyError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        if said is None:
            return {"RUNNING_MODAL"}
        self.report({"INFO"}, said)
        return {"FINISHED"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Without a window it is waited for."""
        try:
            self._trial = session.trial()
            said = self._trial.wait()
        except UnderstudyError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        finally:
            self.cancel(context)
        self.report({"INFO"}, said)
        return {"FINISHED"}

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        """Blender stays usable meanwhile."""
        if bpy.app.background:
            return self.execute(context)
        try:
            self._trial = session.trial()
        except UnderstudyError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        self._timer = context.window_manager.event_timer_add(0.1, window=context.window)
        context.window_manager.modal_handler_add(self)
        return {"RUNNING_MODAL"}

    def modal(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        """Until there is an answer, a refusal or Esc."""
        if event.type == "ESC" and event.value == "PRESS":
            self.cancel(context)
            return {"CANCELLED"}
        if event.type != "TIMER" or (outcome := self._look()) == {"RUNNING_MODAL"}:
            return {"PASS_THROUGH"}
        self.cancel(context)
        return outcome

    def cancel(self, context: bpy.types.Context) -> None:
        """End the trial and its timer."""
        if self._timer is not None:
            context.window_manager.event_timer_remove(self._timer)
            self._timer = None
        if self._trial is not None:
            self._trial.close()
            self._trial = None


LOGS = [
    ("BRIDGE", "Bridge's Log", "What the bridge did and why it failed"),
    ("ADDON", "Add-on's Log", "What the add-on did, and what was remarked about speech and takes"),
]


def log_path(which: str) -> Path | None:
    """The log file that there is: the bridge's, or that of its failed start; or the add-on's own."""
    link = session.link_state()[1]
    bridge = ([Path(link.log_path)] if link else []) + [log.log_file().with_name("bridge.log")]
    return next((p for p in ([log.log_file()] if which == "ADDON" else bridge) if p.is_file()), None)


class UNDERSTUDY_OT_open_log(bpy.types.Operator):
    """Open a log file in the system's own viewer"""

    bl_idname = "understudy.open_log"
    bl_label = "Open Log"

    which: EnumProperty(name="Log", items=LOGS)

    @classmethod
    def description(cls, context: bpy.types.Context, properties: Any) -> str:
        """Which file it is."""
        path = log_path(properties.which)
        if path is None:
            return "There is no log yet"
        return f"Open the log of the add-on, {path}" if properties.which == "ADDON" else f"Open the log of the bridge, {path}"

    def execute(self, context: bpy.types.Context) -> set[str]:
        """In the system's own viewer."""
        found = log_path(self.which)
        if found is None:
            self.report({"INFO"}, "There is no log yet")
            return {"CANCELLED"}
        self.report({"INFO"}, f"Opened {found}")
        bpy.ops.wm.path_open(filepath=str(found))
        return {"FINISHED"}


def draw(layout: Any, context: bpy.types.Context) -> None:
    """The bridge's line."""
    state, link = session.link_state()
    text, icon = _status(state, link)
    row = layout.row(align=True)
    row.label(text=f"Bridge: {text}", icon=icon)
    if state in ("off", "failed"):
        row.operator("understudy.start_bridge", text="", icon="PLAY")
    else:
        row.operator("understudy.stop_bridge", text="", icon="SNAP_FACE")
    row.operator("understudy.open_log", text="", icon="TEXT").which = "BRIDGE"


CLASSES = (UNDERSTUDY_OT_start_bridge, UNDERSTUDY_OT_stop_bridge, UNDERSTUDY_OT_check_bridge, UNDERSTUDY_OT_test_connection,
           UNDERSTUDY_OT_open_log)
