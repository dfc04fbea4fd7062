# SPDX-License-Identifier: Apache-2.0
"""Inside a Blender with a window: a take of 60 s is performed, then a part of it again, and a tick counter runs beside both.

A timer of its own notes when Blender comes round to it; what the add-on's own timer did between two such ticks is what it held
the interface up for, Blender's undo step included. How long that step takes alone, for as many keys and without the add-on, is
measured at the end. The figures go to ``stall.json``.
"""

import json
import os
import sys
import time
import traceback
from pathlib import Path

import bpy

HERE = Path(__file__).resolve().parent
SECONDS, LIMIT = 60, 400.0
state = {"step": 0, "since": 0.0, "watching": False}
gaps: list[tuple[float, ...]] = []
"""Of each gap between two ticks: its seconds, those of the add-on's work in it, that work's processor seconds, and the same two of
Blender's undo step, which are parts of them."""
work = [0.0] * 4
last = [0.0]
found: dict = {}


def watch() -> float:
    """The tick counter."""
    now = time.perf_counter()
    if state["watching"] and last[0]:
        gaps.append((now - last[0], *work))
    last[0], work[:] = now, (0.0,) * 4
    return 0.0


def clocked(inner, at: int):
    """A function whose seconds are added to ``work[at]``, and its processor seconds to the one after."""
    def outer(*values):
        began, used = time.perf_counter(), time.thread_time()
        try:
            return inner(*values)
        finally:
            work[at] += time.perf_counter() - began
            work[at + 1] += time.thread_time() - used

    return outer


def timed(session) -> None:
    """Count what the add-on's timer does."""
    session.pump = clocked(session.pump, 0)
    session.push_undo = clocked(session.push_undo, 2)


def in_view(function, **values):
    """Call an operator as from the 3D viewport."""
    window = bpy.context.window_manager.windows[0]
    area = next(a for a in window.screen.areas if a.type == "VIEW_3D")
    region = next(r for r in area.regions if r.type == "WINDOW")
    with bpy.context.temp_override(window=window, screen=window.screen, area=area, region=region):
        return function(**values)


def begin(what: str) -> None:
    state["since"], state["watching"] = time.monotonic(), True
    gaps.clear()
    last[0] = 0.0
    print(f"@stall {what}", flush=True)


def end(what: str) -> None:
    state["watching"] = False
    if not gaps:  # not once came Blender round twice, on a very busy machine
        gaps.append((time.monotonic() - state["since"], *work))
    columns = list(zip(*gaps, strict=True))
    found[what] = {"stall_ms": max(columns[1]) * 1e3, "processor_ms": max(columns[2]) * 1e3, "push_ms": max(columns[3]) * 1e3,
                   "own_ms": max(g[1] - g[3] for g in gaps) * 1e3, "own_processor_ms": max(g[2] - g[4] for g in gaps) * 1e3,
                   "longest_gap_ms": max(columns[0]) * 1e3, "ticks": len(gaps), "seconds": time.monotonic() - state["since"]}
    print(f"@stall {what} {found[what]}", flush=True)


def prepare():
    from bl_ext.user_default.understudy import session

    timed(session)
    for o in list(bpy.data.objects):
        bpy.data.objects.remove(o)
    scene = bpy.context.scene
    scene.render.fps, scene.frame_end = 30, SECONDS * 30
    in_view(bpy.ops.understudy.add_character)
    character = scene.understudy.character
    for n in range(SECONDS // 5):
        item = character.understudy.directions.add()
        item.text, item.start, item.end, item.uuid = "a person waves", 1 + n * 150, 1 + (n + 1) * 150, f"d{n}"
    return 2.0


def rest():
    begin("idle")
    return 3.0


def perform():
    end("idle")
    begin("perform")
    in_view(lambda: bpy.ops.understudy.perform("INVOKE_DEFAULT"))
    return 0.2


def wait_for(count: int):
    def waiting():
        from bl_ext.user_default.understudy import session

        character = bpy.context.scene.understudy.character
        if len(character.understudy.takes) >= count and session.job_of(character) is None:
            return 1.0
        if time.monotonic() - state["since"] > LIMIT:
            raise RuntimeError(f"there is no take after {LIMIT:.0f} s: {[str(n) for n in session.notices.values()]}")
        return None

    return waiting


def perform_a_part():
    end("perform")
    scene = bpy.context.scene
    scene.use_preview_range, scene.frame_preview_start, scene.frame_preview_end = True, 600, 720
    begin("edit")
    in_view(lambda: bpy.ops.understudy.perform_range("INVOKE_DEFAULT"))
    return 0.2


def as_many_keys():
    """The actions of the take once more, with other values: what an undo step has already, Blender shares."""
    from bl_ext.user_default.understudy import compat

    end("edit")
    take = bpy.context.scene.understudy.character.understudy.takes[0]
    for action in {take.action, *(part.action for part in take.parts)}:
        copy = action.copy()
        copy.use_fake_user = True
        for curve in compat.action_curves(copy):
            for key in curve.keyframe_points:
                key.co.y += 0.5
    return 2.0


def finish():
    began, used = time.perf_counter(), time.thread_time()
    bpy.ops.ed.undo_push(message="as many keys")
    found["blender"] = {"push_ms": (time.perf_counter() - began) * 1e3, "push_processor_ms": (time.thread_time() - used) * 1e3}
    (HERE / "stall.json").write_text(json.dumps(found))
    return 0.0


STEPS = [prepare, rest, perform, wait_for(1), perform_a_part, wait_for(2), as_many_keys, finish]


def tick():
    try:
        if state["step"] == len(STEPS):
            os._exit(0)
        pause = STEPS[state["step"]]()
        if pause is None:
            return 0.2
        state["step"] += 1
        return pause
    except Exception:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(3)


bpy.context.preferences.view.show_splash = False
bpy.app.timers.register(watch, first_interval=1.0)
bpy.app.timers.register(tick, first_interval=2.0)
