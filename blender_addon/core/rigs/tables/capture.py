# SPDX-License-Identifier: GPL-3.0-or-later
"""Skeletons of motion capture files and of 3ds Max."""

from __future__ import annotations

from typing import Final

from ..preset import Preset

__all__ = ["PRESETS"]

_CMU = Preset(
    "cmu", "CMU / BVH (MotionBuilder names)", ("Left", "Right"),
    {"pelvis": "Hips", "spine": "LowerBack Spine Spine1", "neck": "Neck Neck1", "head": "Head"},
    {"hip": "*UpLeg", "knee": "*Leg", "ankle": "*Foot", "foot": "*ToeBase", "collar": "*Shoulder", "shoulder": "*Arm",
     "elbow": "*ForeArm", "wrist": "*Hand", "thumb1": "*Thumb|*HandThumb1|*HandThumb", "index1": "*HandIndex1|*FingerBase"},
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
    {"hip": "*Hip|*UpLeg|*Thigh", "knee": "*Knee|*Leg|*Shin", "ankle": "*Ankle|*Foot", "foot": "*Toe|*ToeBase|*Toes",
     "collar": "*Collar|*Clavicle", "shoulder": "*Shoulder|*UpArm|*UpperArm", "elbow": "*Elbow|*LowArm|*ForeArm",
     "wrist": "*Wrist|*Hand"},
    marks=("LeftHip", "LeftKnee", "LeftElbow", "LeftCollar"),
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

PRESETS: Final = (_CMU, _CMU_ASF, _BVH_PLAIN, _BIPED)
