# SPDX-License-Identifier: Apache-2.0
"""Inside a Blender with a window: the steps of :mod:`ui_drive` that show words with suggestions, the face, the bone map, preferences."""

import time

import bpy

TRANSCRIPT = ("One moment, I am on my way. Hello, and welcome! My name is Understudy. Give me a voice, and a few words on the timeline. "
              "I listen, I learn my part, and I play it for you. And if you like it, I could jump for joy!")
HEAR_SECONDS = 300.0
SETTLE_SECONDS = 4.0
since = {"asked": 0.0}
_shown: dict = {}
"""The panels as they are registered now, by the add-on's own classes."""


def unfold(*wanted):
    """Fold all panels but these, which come first. Blender remembers by a panel's name what is folded, and no script can fold one: so
    they come again under other names."""
    from bl_ext.user_default.understudy import registration

    kinds = [k for k in registration.CLASSES if getattr(k, "bl_parent_id", "") == "UNDERSTUDY_PT_main"]
    for kind in kinds:
        bpy.utils.unregister_class(_shown.get(kind, kind))
    turn = len(_shown) and int(next(iter(_shown.values())).__name__.rpartition("_")[2])
    for kind in sorted(kinds, key=lambda k: k.bl_label not in wanted):
        name = f"{kind.__name__}_{turn + 1}"
        options = set() if kind.bl_label in wanted else {"DEFAULT_CLOSED"}
        _shown[kind] = type(name, (kind,), {"bl_idname": name, "bl_options": options})
        bpy.utils.register_class(_shown[kind])


def steps(drive):
    """The steps, with ``ui_drive``'s helpers."""

    def ask():
        character = bpy.context.scene.understudy.character
        character.understudy.transcript = TRANSCRIPT
        unfold("Directions", "Words")
        drive.in_view(lambda: bpy.ops.understudy.suggest_directions("INVOKE_DEFAULT"))
        since["asked"] = time.monotonic()
        return 0.5

    def wait_for_suggestions():
        settings = bpy.context.scene.understudy.character.understudy
        suggested = [n for n, d in enumerate(settings.directions) if d.reason]
        if suggested and len(bpy.context.scene.understudy.character.understudy_face.words):
            settings.direction_index = suggested[0]
            return 0.5
        if time.monotonic() - since["asked"] > HEAR_SECONDS:
            raise RuntimeError("no directions have been suggested in five minutes")
        return None

    def show_words():
        """Some seconds of the Timeline, so that words and sounds have room; the sidebar from its top."""
        timeline = max((a for a in drive.window().screen.areas if a.type == "DOPESHEET_EDITOR"), key=lambda a: a.height)
        region = next(r for r in timeline.regions if r.type == "WINDOW")
        scene = bpy.context.scene
        before = (scene.use_preview_range, scene.frame_preview_start, scene.frame_preview_end)
        scene.use_preview_range, scene.frame_preview_start, scene.frame_preview_end = True, 120, 330
        with bpy.context.temp_override(window=drive.window(), screen=drive.window().screen, area=timeline, region=region):
            bpy.ops.anim.scene_range_frame() if hasattr(bpy.ops.anim, "scene_range_frame") else bpy.ops.action.view_all()
        scene.use_preview_range, scene.frame_preview_start, scene.frame_preview_end = before
        scene.frame_set(160)
        return SETTLE_SECONDS

    def face():
        unfold("Face")
        character = bpy.context.scene.understudy.character
        character.data.understudy_face.emotion = "happy"
        return SETTLE_SECONDS

    def close_timeline():
        """The panels that come are longer than what stands above it."""
        timeline = max((a for a in drive.window().screen.areas if a.type == "DOPESHEET_EDITOR"), key=lambda a: a.height)
        with bpy.context.temp_override(window=drive.window(), screen=drive.window().screen, area=timeline):
            if bpy.ops.screen.area_close.poll():
                bpy.ops.screen.area_close()
        return 1.0

    def bones():
        unfold("Bone Map")
        return SETTLE_SECONDS

    def preferences():
        area = drive.area_of("VIEW_3D")
        area.type = "PREFERENCES"
        bpy.context.preferences.active_section = "ADDONS"
        bpy.context.window_manager.addon_search = "Understudy"
        bpy.ops.preferences.addon_expand(module="bl_ext.user_default.understudy")
        return SETTLE_SECONDS

    def viewport_again():
        area = drive.area_of("PREFERENCES")
        area.type = "VIEW_3D"
        unfold("Film")
        return 1.0

    def picture(name):
        def take():
            drive.shoot(name)
            return 0.3

        return take

    return [ask, wait_for_suggestions, show_words, picture("words"), face, picture("face_panel"), close_timeline, bones,
            picture("bone_map"), preferences, picture("preferences"), viewport_again, drive.choose_tab]
