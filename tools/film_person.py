# SPDX-License-Identifier: Apache-2.0
"""Inside Blender: a picture of a rigged character from head to feet, and where its body's points are in it.

    python tools/film_person.py character.blend person.png person.json
"""

import json
import math
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import bpy
from bpy_extras.object_utils import world_to_camera_view
from mathutils import Matrix, Vector

from blender_addon.rig_reader import detect_rig
from shared.films import BODY_NAMES

SIZE = (640, 832)
# clothes-like colours by height, shares of the body, so that seams and folds can be judged
COLOURS = ((0.0, (0.10, 0.09, 0.10)), (0.05, (0.12, 0.16, 0.30)), (0.53, (0.55, 0.14, 0.10)), (0.815, (0.80, 0.56, 0.44)))


def lower_arms(rig, mapping):
    """Hands beside the thighs, a little off the body."""
    for side, sign in (("left", 1.0), ("right", -1.0)):
        bone = rig.pose.bones[mapping.first(f"{side}_shoulder")]
        along = (rig.pose.bones[mapping.first(f"{side}_elbow")].head - bone.head).normalized()
        angle = math.atan2(-along.z, sign * along.x)
        turn = Matrix.Rotation(sign * (math.radians(62) - angle), 4, (0.0, 1.0, 0.0))
        bone.matrix = Matrix.Translation(bone.head) @ turn @ Matrix.Translation(-bone.head) @ bone.matrix
        bpy.context.view_layer.update()


def paint(meshes, tall):
    """A material for each stretch of height."""
    for mesh in meshes:
        mesh.data.materials.clear()
        for _, colour in COLOURS:
            material = bpy.data.materials.new("paint")
            material.diffuse_color = (*colour, 1.0)
            mesh.data.materials.append(material)
        for polygon in mesh.data.polygons:
            centre = mesh.matrix_world @ polygon.center
            height = centre.z / tall
            level = max(n for n, (low, _) in enumerate(COLOURS) if height >= low or n == 0)
            # hands and forearms are bare, wherever they hang
            polygon.material_index = 3 if abs(centre.x) > 0.30 * tall / 1.7 and height > 0.3 else level


def main(character, picture, points):
    bpy.ops.wm.open_mainfile(filepath=str(Path(character).resolve()))
    scene = bpy.context.scene
    rig = next(o for o in scene.objects if o.type == "ARMATURE")
    meshes = [o for o in scene.objects if o.type == "MESH"]
    mapping = detect_rig(rig)
    tall = max((o.matrix_world @ Vector(c)).z for o in meshes for c in o.bound_box)
    paint(meshes, tall)
    lower_arms(rig, mapping)
    camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
    scene.collection.objects.link(camera)
    scene.camera = camera
    camera.location, camera.rotation_euler = (0.0, -6.0, tall * 0.5), (math.pi / 2, 0.0, 0.0)
    camera.data.sensor_fit = "VERTICAL"
    camera.data.lens = camera.data.sensor_height / (tall * 1.16) * 6.0
    render = scene.render
    render.engine = "BLENDER_WORKBENCH"
    render.resolution_x, render.resolution_y, render.resolution_percentage = *SIZE, 100
    render.film_transparent = True
    render.image_settings.file_format, render.image_settings.color_mode = "PNG", "RGBA"
    shading = scene.display.shading
    shading.light, shading.color_type, shading.show_object_outline = "STUDIO", "MATERIAL", False
    rig.hide_render = True
    render.filepath = str(Path(picture).resolve())
    bpy.ops.render.render(write_still=True)

    def pixels(place):
        seen = world_to_camera_view(scene, camera, place)
        return [seen.x * SIZE[0], (1 - seen.y) * SIZE[1]]

    def head_of(slot):
        return rig.matrix_world @ rig.pose.bones[mapping.first(slot)].head

    found = {name: pixels(head_of(name)) for name in BODY_NAMES if mapping.first(name)}
    found["neck"] = [(a + b) / 2 for a, b in zip(found["left_shoulder"], found["right_shoulder"])]
    # a face of usual proportions on a head of this height, where the rig has no eyes
    base, top = head_of("head"), Vector((0.0, 0.0, tall))
    unit = top.z - base.z
    for name, x, y in (("nose", 0.0, 0.36), ("left_eye", 0.155, 0.52), ("right_eye", -0.155, 0.52), ("left_ear", 0.34, 0.44),
                       ("right_ear", -0.34, 0.44)):
        found[name] = pixels(Vector((base.x + x * unit, base.y, base.z + y * unit)))
    values = [v for name in BODY_NAMES for v in (*found[name], 1.0)]
    content = {"version": 1.3, "canvas_width": SIZE[0], "canvas_height": SIZE[1], "people": [{"pose_keypoints_2d": values}]}
    Path(points).write_text(json.dumps(content), encoding="utf-8")


main(*sys.argv[1:4])
sys.stdout.flush()
# interpreter teardown with a scene loaded is where some builds crash
os._exit(0)
