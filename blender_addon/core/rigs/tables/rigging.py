# SPDX-License-Identifier: GPL-3.0-or-later
"""Rigs made in Blender with rigging add-ons: Rigify (metarig and generated controls) and Auto-Rig Pro.

Rigify's names are those of the add-on that comes with Blender; Auto-Rig Pro's are those that public retarget tables and scripts for its rigs use.
"""

from __future__ import annotations

from typing import Final

from ..preset import Preset, fingers

__all__ = ["PRESETS"]

_RIGIFY_FINGERS = {
    **{f"thumb{n}": f"thumb.0{n}.*" for n in (1, 2, 3)},
    **{f"{f}{n}": f"f_{f}.0{n}.*" for f in ("index", "middle", "ring", "pinky") for n in (1, 2, 3)},
}
_METARIG = Preset(
    "rigify_metarig", "Rigify metarig", ("L", "R"),
    {"pelvis": "spine", "spine": "spine.001 spine.002 spine.003", "neck": "spine.004 spine.005", "head": "spine.006|face",
     "jaw": "jaw_master|jaw", "left_eye": "eye.L", "right_eye": "eye.R"},
    {"hip": "thigh.*", "knee": "shin.*", "ankle": "foot.*", "foot": "toe.*", "collar": "shoulder.*",
     "shoulder": "upper_arm.*", "elbow": "forearm.*", "wrist": "hand.*", **_RIGIFY_FINGERS},
    marks=("spine.006", "heel.02.L", "palm.01.L", "pelvis.L", "shin.L"),
)
_RIGIFY = Preset(
    # The torso control carries hips and way; spine_fk and spine_fk.001 lie below the pivot of the spine, hang on each other
    # upside down, and stay with the torso. Above the pivot the FK spine is an ordinary chain.
    "rigify", "Rigify", ("L", "R"),
    {"root": "root", "pelvis": "torso", "spine": "spine_fk.002 spine_fk.003", "neck": "neck", "head": "head", "jaw": "jaw_master"},
    {"hip": "thigh_fk.*", "knee": "shin_fk.*", "ankle": "foot_fk.*", "foot": "toe_fk.*|toe.*", "collar": "shoulder.*",
     "shoulder": "upper_arm_fk.*", "elbow": "forearm_fk.*", "wrist": "hand_fk.*", **_RIGIFY_FINGERS},
    marks=("MCH-torso.parent", "ORG-spine", "DEF-spine", "torso", "upper_arm_fk.L", "hand_ik.L"), controls=True,
    follows={"ORG-shoulder.*": "shoulder.*", "DEF-hand.*": "hand_fk.*", "ORG-hand.*": "hand_fk.*", "ORG-spine.006": "head",
             "ORG-foot.*": "foot_fk.*", "DEF-foot.*": "foot_fk.*"},
    copies={"hand_ik.*": "hand_fk.*", "foot_ik.*": "foot_fk.*"},
    poles={"upper_arm_ik_target.*": "elbow", "thigh_ik_target.*": "knee"},
    # the last three let a limb look the same when it is switched to IK: poles are used, and hang on the root as the IK controls do
    properties={"upper_arm_parent.*:IK_FK": 1.0, "thigh_parent.*:IK_FK": 1.0, "upper_arm_parent.*:FK_limb_follow": 0.0,
                "thigh_parent.*:FK_limb_follow": 0.0, "torso:neck_follow": 1.0, "torso:head_follow": 1.0,
                **{f"{limb}_parent.*:{name}": 1.0 for limb in ("upper_arm", "thigh") for name in ("pole_vector", "pole_parent", "IK_parent")}},
)
_RIGIFY_DEFORM = Preset(
    "rigify_deform", "Rigify deform bones", ("L", "R"),
    {"pelvis": "DEF-spine", "spine": "DEF-spine.001 DEF-spine.002 DEF-spine.003", "neck": "DEF-spine.004 DEF-spine.005",
     "head": "DEF-spine.006", "jaw": "DEF-jaw"},
    {"hip": "DEF-thigh.* DEF-thigh.*.001", "knee": "DEF-shin.* DEF-shin.*.001", "ankle": "DEF-foot.*", "foot": "DEF-toe.*",
     "collar": "DEF-shoulder.*", "shoulder": "DEF-upper_arm.* DEF-upper_arm.*.001",
     "elbow": "DEF-forearm.* DEF-forearm.*.001", "wrist": "DEF-hand.*",
     **{slot: f"DEF-{chain}" for slot, chain in _RIGIFY_FINGERS.items()}},
    marks=("DEF-spine.006", "DEF-thigh.L"),
)
_ARP_CONTROLS = Preset(
    "auto_rig_pro", "Auto-Rig Pro", ("l", "r"),
    {"root": "c_traj", "pelvis": "c_root_master.x", "spine": "c_spine_01.x c_spine_02.x c_spine_03.x", "neck": "c_neck.x",
     "head": "c_head.x", "jaw": "c_jawbone.x", "left_eye": "c_eye.l", "right_eye": "c_eye.r"},
    {"hip": "c_thigh_fk.*", "knee": "c_leg_fk.*", "ankle": "c_foot_fk.*", "foot": "c_toes_fk.*", "collar": "c_shoulder.*",
     "shoulder": "c_arm_fk.*", "elbow": "c_forearm_fk.*", "wrist": "c_hand_fk.*", **fingers("c_{f}{n}.*", ("thumb", "index", "middle", "ring", "pinky"))},
    marks=("c_root_master.x", "c_traj", "c_thigh_fk.l", "c_pos"), controls=True,
    copies={"c_hand_ik.*": "c_hand_fk.*", "c_foot_ik.*": "c_foot_fk.*"}, poles={"c_arms_pole.*": "elbow", "c_leg_pole.*": "knee"},
    properties={"c_hand_ik.*:ik_fk_switch": 1.0, "c_foot_ik.*:ik_fk_switch": 1.0},
)
_ARP_EXPORT = Preset(
    "auto_rig_pro_export", "Auto-Rig Pro (exported)", ("l", "r"),
    {"root": "root|c_traj", "pelvis": "root.x", "spine": "spine_01.x spine_02.x spine_03.x", "neck": "neck.x", "head": "head.x",
     "jaw": "jawbone.x|c_jawbone.x", "left_eye": "c_eye.l", "right_eye": "c_eye.r"},
    {"hip": "thigh_stretch.*", "knee": "leg_stretch.*", "ankle": "foot.*", "foot": "toes_01.*", "collar": "shoulder.*",
     "shoulder": "arm_stretch.*", "elbow": "forearm_stretch.*", "wrist": "hand.*",
     "hip_twist": "thigh_twist.*", "knee_twist": "leg_twist.*", "shoulder_twist": "arm_twist.*|c_arm_twist_offset.*",
     "elbow_twist": "forearm_twist.*",
     **{f"{f}{n}": f"{f}{n}.*|c_{f}{n}.*" for f in ("thumb", "index", "middle", "ring", "pinky") for n in (1, 2, 3)}},
    marks=("root.x", "thigh_stretch.l", "arm_stretch.l"),
)

PRESETS: Final = (_METARIG, _RIGIFY, _RIGIFY_DEFORM, _ARP_CONTROLS, _ARP_EXPORT)
