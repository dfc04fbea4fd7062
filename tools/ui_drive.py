# SPDX-License-Identifier: Apache-2.0
"""Inside a Blender with a window: what an artist does in the first five minutes, step by step from a timer.

A step returns the seconds until the next one, or None to be asked again. Where a picture is wanted, a file is left for the process
that can take it.
"""

import json
import os
import sys
import time
import traceback
from pathlib import Path

import bpy

HERE = Path(__file__).resolve().parent
PERFORM_SECONDS = 600.0
state: dict = {"step": 0, "since": 0.0}


def window():
    return bpy.context.window_manager.windows[0]


def area_of(kind):
    return next((a for a in window().screen.areas if a.type == kind), None)


def in_view(function, **values):
    """Call an operator as from the 3D viewport."""
    area = area_of("VIEW_3D")
    region = next(r for r in area.regions if r.type == "WINDOW")
    with bpy.context.temp_override(window=window(), screen=window().screen, area=area, region=region):
        return function(**values)


def shoot(name):
    """Ask for a picture. Steps wait while one is wanted."""
    (HERE / "shots" / f"{name}.wanted").touch()


def by_hand(*words):
    """Ask for mouse and keyboard, in the words of ``xdotool``."""
    wish = HERE / "shots" / "hand.part"
    wish.write_text(json.dumps(words))
    wish.rename(wish.with_suffix(".wanted"))


def prepare():
    if not hasattr(bpy.ops.understudy, "perform"):
        raise RuntimeError("the extension is not enabled")
    for o in list(bpy.data.objects):
        bpy.data.objects.remove(o)
    bpy.context.scene.render.fps = 30
    return 1.0


def open_panel():
    space = area_of("VIEW_3D").spaces[0]
    space.show_region_ui = True
    space.show_region_toolbar = False
    space.shading.type = "SOLID"
    space.shading.color_type = "MATERIAL"
    space.overlay.show_extras = False
    space.overlay.show_outline_selected = False
    space.overlay.show_bones = False
    return 1.5


def choose_tab():
    # a splash screen that was already on its way goes when something is pressed
    by_hand("mousemove", "300", "400", "key", "Escape", "sleep", "0.5")
    region = next(r for r in area_of("VIEW_3D").regions if r.type == "UI")
    region.active_panel_category = "Understudy"
    return 0.5


def add_character():
    in_view(bpy.ops.understudy.add_character)
    return 0.5


def speech_and_directions():
    in_view(bpy.ops.understudy.set_audio, filepath=str(HERE / "speech.wav"))
    in_view(bpy.ops.understudy.import_directions, filepath=str(HERE / "directions.json"))
    look()
    return 1.0


def raise_timeline():
    """A Timeline with room for the strips, in the place of the low one. Dragging its edge would need a quick display."""
    low, view = area_of("DOPESHEET_EDITOR"), area_of("VIEW_3D")
    with bpy.context.temp_override(window=window(), screen=window().screen, area=view):
        bpy.ops.screen.area_split(direction="HORIZONTAL", factor=0.24)
    views = sorted((a for a in window().screen.areas if a.type == "VIEW_3D"), key=lambda a: a.y)
    views[0].ui_type = "TIMELINE"
    views[0].spaces.active.show_region_ui = views[0].spaces.active.show_region_channels = False
    with bpy.context.temp_override(window=window(), screen=window().screen, area=low):
        if bpy.ops.screen.area_close.poll():
            bpy.ops.screen.area_close()
    return 1.0


def show_all():
    timeline = max((a for a in window().screen.areas if a.type == "DOPESHEET_EDITOR"), key=lambda a: a.height)
    region = next(r for r in timeline.regions if r.type == "WINDOW")
    with bpy.context.temp_override(window=window(), screen=window().screen, area=timeline, region=region):
        bpy.ops.action.view_all()
    # panels glide to their places, and slowly so on a busy machine
    return 4.0


def look():
    """The viewport from the front, a little from the side, near the character."""
    from mathutils import Euler, Vector

    region = area_of("VIEW_3D").spaces[0].region_3d
    region.view_perspective = "PERSP"
    region.view_rotation = Euler((1.35, 0.0, 0.45)).to_quaternion()
    region.view_location = Vector((0.25, 0.0, 0.85))
    region.view_distance = 4.2


def picture_of_panel():
    shoot("panel")
    return 0.5


def perform():
    # beside a high Timeline only the panel with the progress has room
    ui_panels.unfold("Performance")
    in_view(lambda: bpy.ops.understudy.perform("INVOKE_DEFAULT"))
    state["since"] = time.monotonic()
    return 0.5


def wait_for_progress():
    """Until the bar has something to show."""
    from bl_ext.user_default.understudy import session

    character = bpy.context.scene.understudy.character
    job = session.job_of(character)
    if character.understudy.takes or (job is not None and job.fraction > 0.25):
        return 0.1
    if time.monotonic() - state["since"] > PERFORM_SECONDS:
        raise RuntimeError("nothing has come from the bridge in ten minutes")
    return None


def picture_of_progress():
    shoot("performing")
    return 0.1


def wait_for_take():
    character = bpy.context.scene.understudy.character
    if character.understudy.takes:
        return 0.5
    if time.monotonic() - state["since"] > PERFORM_SECONDS:
        raise RuntimeError("there is no take after ten minutes")
    return None


def show_take():
    scene = bpy.context.scene
    character = scene.understudy.character
    first, last = character.animation_data.action.frame_range
    scene.frame_start, scene.frame_end = int(first), int(last)
    scene.frame_set(int(first) + 170)  # in the middle of the second direction
    hips = character.matrix_world @ character.pose.bones[0].head
    area_of("VIEW_3D").spaces[0].region_3d.view_location = (hips.x + 0.25, hips.y, 0.85)
    return 1.5


def picture_of_take():
    shoot("take")
    return 0.5


STEPS = [prepare, raise_timeline, open_panel, choose_tab, add_character, speech_and_directions, show_all,
         picture_of_panel, perform,
         wait_for_progress, picture_of_progress,
         wait_for_take, show_take, picture_of_take]
sys.path.insert(0, str(HERE))
import ui_film  # noqa: E402  (stands beside this file)
import ui_panels  # noqa: E402

STEPS += ui_panels.steps(sys.modules[__name__])
if os.environ.get("UI_FILM", "1") != "0":
    STEPS += ui_film.steps(sys.modules[__name__])


def tick():
    try:
        if any((HERE / "shots").glob("*.wanted")):
            return 0.1
        if state["step"] == len(STEPS):
            print("@ui done", flush=True)
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
bpy.app.timers.register(tick, first_interval=2.0)
