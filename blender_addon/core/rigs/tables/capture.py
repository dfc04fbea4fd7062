# SPDX-License-Identifier: GPL-3.0-or-later
"""Skeletons of motion capture files and of 3ds Max.

Names after the CMU database's ASF files and its conversion to BVH, MPFB's rig.cmu_mb, LAFAN1, Rokoko Studio's exports, and the Biped
mapping of the VRM add-on for Blender.
"""

from __future__ import annotations

from typing import Final

from ..preset import Preset

__all__ = ["PRESETS"]

_CMU = Preset(
    "cmu", "CMU / BVH (MotionBuilder names)", ("Left", "Right"),
    {"pelvis": "Hips", "spine": "LowerBack Spine Spine1", "neck": "Neck Neck1", "head": "Head",
     "left_thumb1": "LThumb|LeftHandThumb1|LeftHandThumb", "right_thumb1": "RThumb|RightHandThumb1|RightHandThumb"},
    {"hip": "*UpLeg", "knee": "*Leg", "ankle": "*Foot", "foot": "*ToeBase", "collar": "*Shoulder", "shoulder": "*Arm",
     "elbow": "*ForeArm", "wrist": "*Hand", "index1": "*HandIndex1|*HandFinger1|*FingerBase"},
    marks=("LHipJoint", "LowerBack", "LeftFingerBase", "LThumb"),
)
_CMU_ASF = Preset(
    "cmu_asf", "CMU (ASF names)", ("l", "r"),
    {"pelvis": "root", "spine": "lowerback upperback thorax", "neck": "lowerneck upperneck", "head": "head"},
    {"hip": "*femur", "knee": "*tibia", "ankle": "*foot", "foot": "*toes", "collar": "*clavicle", "shoulder": "*humerus",
     "elbow": "*radius", "wrist": "*wrist|*hand", "thumb1": "*thumb", "index1": "*fingers"},
    marks=("lfemur", "lhumerus", "thorax"),
)
_BVH_PLAIN = Preset(
    "bvh", "BVH", ("Left", "Right"),
    {"pelvis": "Hips|Hip", "spine": "Spine|Chest Chest|Chest1|Spine1 Chest2|Spine2 Chest3|Spine3 Chest4",
     "neck": "Neck", "head": "Head"},
    # no "Arm", "ForeArm", "Leg" here: files with these call the collarbone "Shoulder", and are the next table's
    {"hip": "*Hip|*UpLeg|*Thigh", "knee": "*Knee|*LowLeg|*Shin", "ankle": "*Ankle|*Foot", "foot": "*Toe|*ToeBase|*Toes",
     "collar": "*Collar|*Clavicle", "shoulder": "*Shoulder|*UpArm|*UpperArm", "elbow": "*Elbow|*LowArm|*LowerArm", "wrist": "*Wrist|*Hand"},
    marks=("LeftHip", "LeftKnee", "LeftElbow", "LeftCollar"),
)
_BVH_ARM = Preset(
    # LAFAN1 and other files in MotionBuilder's style
    "bvh_arm", "BVH (MotionBuilder)", ("Left", "Right"),
    {"root": "Root|Reference", "pelvis": "Hips", "spine": "Spine Spine1 Spine2 Spine3", "neck": "Neck Neck1", "head": "Head"},
    {"hip": "*UpLeg|*Thigh", "knee": "*Leg|*Shin", "ankle": "*Foot", "foot": "*Toe", "collar": "*Shoulder", "shoulder": "*Arm",
     "elbow": "*ForeArm", "wrist": "*Hand"},
    marks=("LeftToe",),
)
_ROKOKO = Preset(
    # Rokoko Studio's "Newton"; the first finger is the thumb, whose metacarpal moves
    "rokoko", "Rokoko", ("Left", "Right"),
    {"root": "Root", "pelvis": "Hips", "spine": "Spine|Spine1 Spine2 Spine3 Spine4", "neck": "Neck", "head": "Head"},
    {"hip": "*Thigh", "knee": "*Shin", "ankle": "*Foot", "foot": "*Toe", "collar": "*Shoulder", "shoulder": "*Arm", "elbow": "*ForeArm",
     "wrist": "*Hand", "thumb1": "*Finger1Metacarpal", "thumb2": "*Finger1Proximal", "thumb3": "*Finger1Distal",
     **{f"{f}{n}": f"*Finger{i}{word}" for i, f in enumerate(("index", "middle", "ring", "pinky"), start=2)
        for n, word in ((1, "Proximal"), (2, "Medial"), (3, "Distal"))}},
    marks=("LeftThigh", "LeftShin", "LeftFinger1Metacarpal"),
)
_BIPED = Preset(
    "biped", "3ds Max Biped", ("L", "R"),
    {"root": "Bip01|Bip001", "pelvis": "Pelvis", "spine": "Spine Spine1 Spine2 Spine3", "neck": "Neck Neck1", "head": "Head"},
    {"hip": "*_Thigh", "knee": "*_Calf", "ankle": "*_Foot", "foot": "*_Toe0", "collar": "*_Clavicle", "shoulder": "*_UpperArm",
     "elbow": "*_Forearm", "wrist": "*_Hand", "shoulder_twist": "*_UpArmTwist|*UpArmTwist *UpArmTwist1",
     "elbow_twist": "*_ForeTwist|*_ForeTwist1|*ForeTwist",
     **{f"{f}{n}": f"*_Finger{i}{'' if n == 1 else n - 1}"
        for i, f in enumerate(("thumb", "index", "middle", "ring", "pinky")) for n in (1, 2, 3)}},
    marks=("Bip01", "Bip001", "L_Toe0", "L_Finger0"),
)

PRESETS: Final = (_CMU, _CMU_ASF, _BVH_PLAIN, _BVH_ARM, _ROKOKO, _BIPED)
