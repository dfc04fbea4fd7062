# SPDX-License-Identifier: GPL-3.0-or-later
"""Rigs that characters are sold, given or generated with. Names as the makers' own files have them.

Compared with Meshcapade's add-on (SMPL-X), Expy-Kit's presets (Mixamo, Daz, ActorCore), MPFB's rigs (MakeHuman, Mixamo), DazToBlender and
DazToUnreal (Genesis 3 to 9), CC/iC Blender Tools and the VRM add-on for Blender (Reallusion).
"""

from __future__ import annotations

from typing import Final

from ..preset import Preset, fingers

__all__ = ["PRESETS"]

_F = ("thumb", "index", "middle", "ring", "pinky")
_F_CAPITAL = ("Thumb", "Index", "Middle", "Ring", "Pinky")

_SMPLX = Preset(
    "smplx", "SMPL-X", ("left", "right"),
    {"root": "root", "pelvis": "pelvis", "spine": "spine1 spine2 spine3", "neck": "neck", "head": "head", "jaw": "jaw",
     "left_eye": "left_eye|left_eye_smplhf", "right_eye": "right_eye|right_eye_smplhf"},
    {"hip": "*_hip", "knee": "*_knee", "ankle": "*_ankle", "foot": "*_foot", "collar": "*_collar",
     "shoulder": "*_shoulder", "elbow": "*_elbow", "wrist": "*_wrist", **fingers("*_{f}{n}", _F)},
    marks=("left_collar", "spine3"),
)
_SMPL = Preset(
    "smpl", "SMPL", ("L", "R"),
    {"root": "root|m_avg_root|f_avg_root", "pelvis": "Pelvis|m_avg_Pelvis|f_avg_Pelvis",
     "spine": "Spine1|m_avg_Spine1|f_avg_Spine1 Spine2|m_avg_Spine2|f_avg_Spine2 Spine3|m_avg_Spine3|f_avg_Spine3",
     "neck": "Neck|m_avg_Neck|f_avg_Neck", "head": "Head|m_avg_Head|f_avg_Head"},
    {"hip": "*_Hip|m_avg_*_Hip|f_avg_*_Hip", "knee": "*_Knee|m_avg_*_Knee|f_avg_*_Knee",
     "ankle": "*_Ankle|m_avg_*_Ankle|f_avg_*_Ankle", "foot": "*_Foot|m_avg_*_Foot|f_avg_*_Foot",
     "collar": "*_Collar|m_avg_*_Collar|f_avg_*_Collar", "shoulder": "*_Shoulder|m_avg_*_Shoulder|f_avg_*_Shoulder",
     "elbow": "*_Elbow|m_avg_*_Elbow|f_avg_*_Elbow", "wrist": "*_Wrist|m_avg_*_Wrist|f_avg_*_Wrist"},
    marks=("L_Collar", "m_avg_L_Collar", "f_avg_L_Collar"),
)
_MIXAMO = Preset(
    "mixamo", "Mixamo", ("Left", "Right"),
    {"root": "Root", "pelvis": "Hips", "spine": "Spine Spine1 Spine2", "neck": "Neck Neck1", "head": "Head", "jaw": "Jaw",
     "left_eye": "LeftEye", "right_eye": "RightEye"},
    {"hip": "*UpLeg", "knee": "*Leg", "ankle": "*Foot", "foot": "*ToeBase", "collar": "*Shoulder", "shoulder": "*Arm",
     "elbow": "*ForeArm", "wrist": "*Hand", **fingers("*Hand{f}{n}", _F_CAPITAL)},
    marks=("LeftUpLeg", "LeftToeBase", "LeftForeArm"),
)
_MAKEHUMAN = Preset(
    "makehuman", "MakeHuman", ("L", "R"),
    {"pelvis": "root", "spine": "spine05 spine04 spine03 spine02 spine01", "neck": "neck01 neck02 neck03",
     "head": "head", "jaw": "jaw", "left_eye": "eye.L", "right_eye": "eye.R"},
    {"hip": "upperleg01.* upperleg02.*", "knee": "lowerleg01.* lowerleg02.*", "ankle": "foot.*", "foot": "toe2-1.*|toe1-1.*",
     "collar": "clavicle.* shoulder01.*", "shoulder": "upperarm01.* upperarm02.*", "elbow": "lowerarm01.* lowerarm02.*",
     "wrist": "wrist.*", **fingers("finger{f}-{n}.*", ("1", "2", "3", "4", "5"))},
    marks=("upperleg01.L", "lowerarm02.L", "metacarpal1.L"),
)
_MAKEHUMAN_GAME = Preset(
    "makehuman_game", "MakeHuman game engine", ("l", "r"),
    {"root": "Root", "pelvis": "pelvis", "spine": "spine_01 spine_02 spine_03", "neck": "neck_01", "head": "head"},
    {"hip": "thigh_*", "knee": "calf_*", "ankle": "foot_*", "foot": "ball_*", "collar": "clavicle_*",
     "shoulder": "upperarm_*", "elbow": "lowerarm_*", "wrist": "hand_*", **fingers("{f}_0{n}_*", _F)},
    marks=("breast_l",),
)
_DAZ = Preset(
    "daz", "Daz Genesis", ("l", "r"),
    {"pelvis": "hip", "spine": "abdomenLower|spine1|abdomen abdomenUpper|spine2|abdomen2 chestLower|spine3|chest chestUpper|spine4",
     "neck": "neckLower|neck|neck1 neckUpper|neck2", "head": "head", "jaw": "lowerJaw|lowerjaw", "left_eye": "lEye|l_eye", "right_eye": "rEye|r_eye"},
    {"hip": "*ThighBend|*Thigh|*_thigh *ThighTwist", "knee": "*Shin|*_shin", "ankle": "*Foot|*_foot", "foot": "*Toe|*_toes",
     "collar": "*Collar|*_shoulder", "shoulder": "*ShldrBend|*Shldr|*_upperarm *ShldrTwist",
     "elbow": "*ForearmBend|*ForeArm|*_forearm *ForearmTwist", "wrist": "*Hand|*_hand",
     "hip_twist": "*_thightwist1 *_thightwist2", "shoulder_twist": "*_upperarmtwist1 *_upperarmtwist2",
     "elbow_twist": "*_forearmtwist1 *_forearmtwist2",
     **{slot: f"*{name}{n}|*_{name.lower()}{n}" for slot, name, n in (
         (f"{f}{n}", name, n) for f, name in zip(_F, ("Thumb", "Index", "Mid", "Ring", "Pinky"), strict=True) for n in (1, 2, 3))}},
    marks=("abdomenLower", "lShldrBend", "lThighBend", "l_forearmtwist1", "lCollar"),
)
_REALLUSION = Preset(
    "reallusion", "Character Creator / ActorCore", ("L", "R"),
    {"root": "RL_BoneRoot|CC_Base_BoneRoot", "pelvis": "CC_Base_Hip", "spine": "CC_Base_Waist CC_Base_Spine01 CC_Base_Spine02",
     "neck": "CC_Base_NeckTwist01 CC_Base_NeckTwist02", "head": "CC_Base_Head", "jaw": "CC_Base_JawRoot",
     "left_eye": "CC_Base_L_Eye", "right_eye": "CC_Base_R_Eye"},
    {"hip": "CC_Base_*_Thigh", "knee": "CC_Base_*_Calf", "ankle": "CC_Base_*_Foot", "foot": "CC_Base_*_ToeBase",
     "collar": "CC_Base_*_Clavicle", "shoulder": "CC_Base_*_Upperarm", "elbow": "CC_Base_*_Forearm", "wrist": "CC_Base_*_Hand",
     "hip_twist": "CC_Base_*_ThighTwist01 CC_Base_*_ThighTwist02", "knee_twist": "CC_Base_*_CalfTwist01 CC_Base_*_CalfTwist02",
     "shoulder_twist": "CC_Base_*_UpperarmTwist01 CC_Base_*_UpperarmTwist02",
     "elbow_twist": "CC_Base_*_ForearmTwist01 CC_Base_*_ForearmTwist02",
     # older exports number the fingers from 0
     **{f"{slot}{n}": f"CC_Base_*_{name}{n}|CC_Base_*_Finger{i}{n - 1}" for n in (1, 2, 3)
        for i, (slot, name) in enumerate(zip(_F, ("Thumb", "Index", "Mid", "Ring", "Pinky"), strict=True))}},
    marks=("CC_Base_Hip", "CC_Base_L_Clavicle"),
)

PRESETS: Final = (_SMPLX, _SMPL, _MIXAMO, _MAKEHUMAN, _MAKEHUMAN_GAME, _DAZ, _REALLUSION)
