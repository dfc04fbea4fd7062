# SPDX-License-Identifier: Apache-2.0
"""Run in Blender's Python without the add-on: what a saved demo.blend shows, as JSON on a marked line.

    python inspect_blend.py demo.blend FRAME [FRAME ...]
"""

import json
import os
import sys

import bpy

MARK = "@inspect "

bpy.ops.wm.open_mainfile(filepath=sys.argv[1])
scene = bpy.context.scene
armature = max((o for o in scene.objects if o.type == "ARMATURE"), key=lambda o: len(o.data.bones))
animation = armature.animation_data
action = animation.action if animation else None
editor = scene.sequence_editor
strips = [] if editor is None else list(editor.strips if hasattr(editor, "strips") else editor.sequences)
sounds = [s for s in strips if s.type == "SOUND"]

poses = {}
for frame in map(int, sys.argv[2:]):
    scene.frame_set(frame)
    evaluated = armature.evaluated_get(bpy.context.evaluated_depsgraph_get())
    poses[frame] = {b.name: list(evaluated.matrix_world @ b.head) for b in evaluated.pose.bones}

faces = [key for key in bpy.data.shape_keys if key.animation_data and key.animation_data.action]
print("\n" + MARK + json.dumps({
    "frames": [scene.frame_start, scene.frame_end], "fps": scene.render.fps, "armature": armature.name,
    "action": action.name if action else None, "action_range": list(action.frame_range) if action else None,
    "slot": bool(getattr(animation, "action_slot", True)), "camera": scene.camera is not None,
    "sounds": [[s.frame_final_start, s.frame_final_duration, s.sound.packed_file is not None] for s in sounds],
    "face_actions": [key.animation_data.action.name for key in faces], "poses": poses,
}), flush=True)
os._exit(0)
