# SPDX-License-Identifier: GPL-3.0-or-later
"""Rigs of game engines and avatar formats.

Names after Expy-Kit's presets for Unreal, Daz3D's tables for Unreal and MetaHuman, Unity's HumanTrait, the VRM specification, and the mappings
of the VRM add-on for Blender (VRoid, its own armature, the Cats plugin).
"""

from __future__ import annotations

from typing import Final

from ..preset import Preset, fingers

__all__ = ["PRESETS"]

_F = ("thumb", "index", "middle", "ring", "pinky")
_F_LITTLE = ("Thumb", "Index", "Middle", "Ring", "Little")

_UNREAL_LIMBS = {
    "hip": "thigh_*", "knee": "calf_*", "ankle": "foot_*", "foot": "ball_*", "collar": "clavicle_*",
    "shoulder": "upperarm_*", "elbow": "lowerarm_*", "wrist": "hand_*",
    "hip_twist": "thigh_twist_01_* thigh_twist_02_*", "knee_twist": "calf_twist_01_* calf_twist_02_*",
    "shoulder_twist": "upperarm_twist_01_* upperarm_twist_02_*", "elbow_twist": "lowerarm_twist_02_* lowerarm_twist_01_*",
    **fingers("{f}_0{n}_*", _F),
}
_UNREAL = Preset(
    "unreal", "Unreal mannequin", ("l", "r"),
    {"root": "root", "pelvis": "pelvis", "spine": "spine_01 spine_02 spine_03 spine_04 spine_05",
     "neck": "neck_01 neck_02", "head": "head"},
    _UNREAL_LIMBS, marks=("thigh_l", "calf_l", "ball_l", "lowerarm_l", "ik_foot_root"),
)
_METAHUMAN = Preset(
    "metahuman", "MetaHuman", ("l", "r"),
    {"root": "root", "pelvis": "pelvis", "spine": "spine_01 spine_02 spine_03 spine_04 spine_05",
     "neck": "neck_01 neck_02", "head": "head", "jaw": "FACIAL_C_Jaw", "left_eye": "FACIAL_L_Eye", "right_eye": "FACIAL_R_Eye"},
    _UNREAL_LIMBS,
    marks=("FACIAL_C_FacialRoot", "upperarm_correctiveRoot_l", "index_metacarpal_l", "thigh_correctiveRoot_l", "FACIAL_C_Jaw"),
)
_METAHUMAN_BODY = Preset(
    # the body's mesh alone: the face's bones are in another skeleton; single toes tell it from Unreal's mannequin
    "metahuman_body", "MetaHuman body", ("l", "r"), _UNREAL.middle, _UNREAL_LIMBS,
    marks=("bigtoe_01_l", "littletoe_01_l", "index_metacarpal_l", "thigh_correctiveRoot_l"),
)
_UNITY = Preset(
    "unity", "Unity humanoid", ("Left", "Right"),
    {"pelvis": "Hips", "spine": "Spine Chest UpperChest", "neck": "Neck", "head": "Head", "jaw": "Jaw",
     "left_eye": "LeftEye", "right_eye": "RightEye"},
    {"hip": "*UpperLeg", "knee": "*LowerLeg", "ankle": "*Foot", "foot": "*Toes", "collar": "*Shoulder",
     "shoulder": "*UpperArm", "elbow": "*LowerArm", "wrist": "*Hand",
     **{f"{slot}{n}": f"*{name}{word}|*Hand{name}{word}"
        for slot, name in zip(_F, _F_LITTLE, strict=True)
        for n, word in ((1, "Proximal"), (2, "Intermediate"), (3, "Distal"))}},
    marks=("LeftUpperLeg", "LeftLowerArm", "LeftIndexProximal"),
)
_VRM1 = Preset(
    "vrm1", "VRM 1", ("left", "right"),
    {"pelvis": "hips", "spine": "spine chest upperChest", "neck": "neck", "head": "head", "jaw": "jaw",
     "left_eye": "leftEye", "right_eye": "rightEye"},
    {"hip": "*UpperLeg", "knee": "*LowerLeg", "ankle": "*Foot", "foot": "*Toes", "collar": "*Shoulder",
     "shoulder": "*UpperArm", "elbow": "*LowerArm", "wrist": "*Hand",
     "thumb1": "*ThumbMetacarpal", "thumb2": "*ThumbProximal", "thumb3": "*ThumbDistal",
     **{f"{slot}{n}": f"*{name}{word}"
        for slot, name in zip(_F[1:], _F_LITTLE[1:], strict=True)
        for n, word in ((1, "Proximal"), (2, "Intermediate"), (3, "Distal"))}},
    marks=("leftUpperLeg", "leftThumbMetacarpal"),
)
_VROID = Preset(
    "vrm0", "VRM (VRoid)", ("L", "R"),
    {"root": "Root|root", "pelvis": "J_Bip_C_Hips", "spine": "J_Bip_C_Spine J_Bip_C_Chest J_Bip_C_UpperChest",
     "neck": "J_Bip_C_Neck", "head": "J_Bip_C_Head", "left_eye": "J_Adj_L_FaceEye", "right_eye": "J_Adj_R_FaceEye"},
    {"hip": "J_Bip_*_UpperLeg", "knee": "J_Bip_*_LowerLeg", "ankle": "J_Bip_*_Foot", "foot": "J_Bip_*_ToeBase",
     "collar": "J_Bip_*_Shoulder", "shoulder": "J_Bip_*_UpperArm", "elbow": "J_Bip_*_LowerArm", "wrist": "J_Bip_*_Hand",
     **fingers("J_Bip_*_{f}{n}", _F_LITTLE)},
    marks=("J_Bip_C_Hips", "J_Bip_L_UpperLeg"),
)
_VRM_BLENDER = Preset(
    "vrm_blender", "VRM (Blender)", ("L", "R"),
    {"root": "root", "pelvis": "hips", "spine": "spine chest upper_chest|upperChest", "neck": "neck", "head": "head",
     "left_eye": "eye.L", "right_eye": "eye.R"},
    {"hip": "upper_leg.*", "knee": "lower_leg.*", "ankle": "foot.*", "foot": "toes.*", "collar": "shoulder.*",
     "shoulder": "upper_arm.*", "elbow": "lower_arm.*", "wrist": "hand.*",
     "thumb1": "thumb_metacarpal.*|thumb.proximal.*", "thumb2": "thumb_proximal.*|thumb.intermediate.*",
     "thumb3": "thumb_distal.*|thumb.distal.*",
     **{f"{slot}{n}": f"{name}_{word}.*|{name}.{word}.*"
        for slot, name in zip(_F[1:], ("index", "middle", "ring", "little"), strict=True)
        for n, word in ((1, "proximal"), (2, "intermediate"), (3, "distal"))}},
    marks=("upper_leg.L", "lower_leg.L", "lower_arm.L"),
)
_VRCHAT = Preset(
    # what the Cats plugin makes of models for VRChat; "arm" and "leg" are the upper segments
    "vrchat", "VRChat (Cats)", ("Left", "Right"),
    {"pelvis": "Hips", "spine": "Spine Chest Upper_Chest", "neck": "Neck", "head": "Head", "left_eye": "Eye_L|LeftEye",
     "right_eye": "Eye_R|RightEye",
     **{f"{side}_{slot}{n}": f"{name}{n - 1 if slot == 'thumb' else n}_{letter}" for side, letter in (("left", "L"), ("right", "R"))
        for slot, name in zip(_F, ("Thumb", "IndexFinger", "MiddleFinger", "RingFinger", "LittleFinger"), strict=True) for n in (1, 2, 3)}},
    {"hip": "*_leg", "knee": "*_knee", "ankle": "*_ankle", "foot": "*_toe", "collar": "*_shoulder", "shoulder": "*_arm",
     "elbow": "*_elbow", "wrist": "*_wrist"},
    marks=("Thumb0_L", "IndexFinger1_L", "LittleFinger1_R"),
)

PRESETS: Final = (_UNREAL, _METAHUMAN, _METAHUMAN_BODY, _UNITY, _VRM1, _VROID, _VRM_BLENDER, _VRCHAT)
