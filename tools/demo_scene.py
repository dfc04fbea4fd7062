# SPDX-License-Identifier: Apache-2.0
"""The Blender side of the demo: what an animator does by hand, done by the add-on's own operators.

Run in Blender's Python with the path of a job file after ``--``. Prints events for :mod:`blender_side`.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any

EVENT = "@understudy "


def emit(event: str, **values: Any) -> None:
    """One event, on a line of its own."""
    print(f"\n{EVENT}{json.dumps({'event': event, **values})}", flush=True)


def append_character(path: str) -> Any:
    """Everything that belongs to the character in a .blend: its armature and the objects that hang on it.

    :returns: the armature object with the most bones.
    :raises UnderstudyError: ``file_invalid`` or ``rig_unknown``.
    """
    import bpy

    from blender_addon.shared.errors import UnderstudyError

    name = Path(path).name
    try:
        with bpy.data.libraries.load(path, link=False) as (source, target):
            target.objects = list(source.objects)
    except OSError as error:
        raise UnderstudyError("file_invalid", f"{name} cannot be opened ({error}).",
                              "Open and save it with this version of Blender, or an earlier one.") from error
    objects = [o for o in target.objects if o is not None]
    armatures = sorted((o for o in objects if o.type == "ARMATURE"), key=lambda o: -len(o.data.bones))
    if not armatures:
        raise UnderstudyError("rig_unknown", f"{name} has no armature.", "Choose a .blend with a rigged character.")
    armature = armatures[0]

    def belongs(o: Any) -> bool:
        worn = any(m.type == "ARMATURE" and m.object == armature for m in o.modifiers)
        while o is not None:
            if o == armature:
                return True
            o = o.parent
        return worn

    for o in objects:
        if belongs(o):
            bpy.context.scene.collection.objects.link(o)
        else:
            bpy.data.objects.remove(o)
    return armature


def select(armature: Any) -> None:
    """Make an object the active and only selected one."""
    import bpy

    for o in bpy.context.view_layer.objects:
        o.select_set(o == armature)
    bpy.context.view_layer.objects.active = armature


def perform(job: dict[str, Any]) -> dict[str, Any]:
    """The whole shot. :returns: facts for the summary. :raises UnderstudyError: with a sentence for the user."""
    import bpy

    import blender_addon
    from blender_addon import batch
    from demo_stage import build_stage, render_preview

    out = Path(job["out"])
    bpy.ops.wm.read_factory_settings(use_empty=True)
    blender_addon.register()
    scene = bpy.context.scene
    scene.render.fps = 30

    emit("stage", name="preparing the scene")
    if job["character"]:
        armature = append_character(job["character"])
        select(armature)
        scene.understudy.character = armature
    else:
        operate(bpy.ops.understudy.add_character)
        armature = scene.understudy.character
    settings = armature.understudy
    settings.seed = job["seed"]
    operate(bpy.ops.understudy.set_audio, filepath=job["audio"])
    if job["directions"]:
        operate(bpy.ops.understudy.import_directions, filepath=job["directions"])

    def report(stage: str, fraction: float, eta: float | None) -> None:
        if stage != "done":
            emit("progress", name=stage, fraction=fraction, eta=eta)

    emit("stage", name="asking the bridge")
    action = batch.perform_blocking(bpy.context, progress=report)
    frames = round(action.frame_range[1] - action.frame_range[0]) + 1
    scene.frame_start = int(action.frame_range[0])
    scene.frame_end = scene.frame_start + frames - 1

    emit("stage", name="writing motion.npz and motion.bvh")
    operate(bpy.ops.understudy.export_motion, filepath=str(out / "motion.npz"))
    operate(bpy.ops.understudy.export_motion, filepath=str(out / "motion.bvh"))

    emit("stage", name="saving demo.blend")
    build_stage(scene, armature)
    for sound in bpy.data.sounds:
        if sound.packed_file is None:
            sound.pack()
    scene.frame_set(scene.frame_start)
    bpy.ops.wm.save_as_mainfile(filepath=str(out / "demo.blend"), check_existing=False, compress=True)

    emit("stage", name="rendering the preview")
    render_preview(scene, out / "demo.mp4", job["engine"], tuple(job["size"]),
                   lambda fraction: emit("progress", name="rendering the preview", fraction=fraction))
    return {"frames": frames, "character": armature.name, "bones": len(armature.data.bones),
            "blender": bpy.app.version_string}


def operate(operator: Any, **values: Any) -> None:
    """Call an operator; what it reports as an error becomes the demo's. :raises UnderstudyError:"""
    from blender_addon.shared.errors import UnderstudyError

    try:
        result = operator(**values)
    except RuntimeError as error:
        if "Traceback" in str(error):
            raise
        raise UnderstudyError("request_invalid", str(error).replace("Error: ", "").strip(), "") from error
    if "FINISHED" not in result:
        raise UnderstudyError("internal", f"{operator.idname_py()} did not finish.", "")


def main() -> int:
    """:returns: the exit code."""
    job = json.loads(Path(sys.argv[sys.argv.index("--") + 1]).read_text(encoding="utf-8"))
    sys.path[:0] = [job["root"], str(Path(__file__).resolve().parent)]
    if modules := os.environ.get("UNDERSTUDY_MODULES"):
        # at the end: only what this Blender lacks is taken from there
        sys.path.append(modules)
    from blender_addon.shared.errors import UnderstudyError

    code = 1
    try:
        emit("done", **perform(job))
        code = 0
    except UnderstudyError as error:
        emit("error", **error.to_json())
    except Exception as error:  # the last resort of a process: say what it was, keep the trace in the log
        traceback.print_exc()
        # an operator's exception arrives with its whole trace as text: the line that says what it was is near the end
        lines = [x.strip() for x in str(error).splitlines() if x.strip() and not x.startswith("Location:")] or [""]
        emit("error", code="internal", message=f"The Blender side failed ({type(error).__name__}: {lines[-1].rstrip('.')}).",
             fix="Run it again; if it fails again, report it with this sentence.", retryable=False)
    return code


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    sys.stderr.flush()
    # classes that are still registered at interpreter exit crash Blender 4.2 and hang 4.5
    os._exit(status)
