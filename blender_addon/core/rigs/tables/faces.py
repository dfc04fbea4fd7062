# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of face shapes by kind of character, and what of the ARKit curves drives each.

A value is a list of ``curve*weight`` joined by ``+``; a curve without a side (``mouthSmile``) stands for the mean of both.
``*`` in a name stands for the side, written as in ``sides``, and for the same side in its curves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ....shared.face_curves import ARKIT

__all__ = ["FACE_SETS", "VISEME_SHAPES", "FaceSet"]


@dataclass(frozen=True)
class FaceSet:
    """One naming convention.

    :ivar key: identifier; :ivar label: for the panel; :ivar sides: what ``*`` is on the left and on the right.
    :ivar shapes: name -> what drives it; :ivar visemes: name -> Oculus viseme that it shows.
    :ivar prefixes: may stand before each name.
    """

    key: str
    label: str
    sides: tuple[str, str]
    shapes: dict[str, str]
    visemes: dict[str, str]
    prefixes: tuple[str, ...] = ("",)


_OCULUS = ("PP", "FF", "TH", "DD", "kk", "CH", "SS", "nn", "RR", "aa", "E", "ih", "oh", "ou")

VISEME_SHAPES: Final[dict[str, dict[str, float]]] = {
    # what the mouth of an ARKit face does in each Oculus viseme, after the reference pictures of that set
    "PP": {"mouthClose": 0.10, "mouthPress": 0.75, "mouthRollLower": 0.25, "mouthRollUpper": 0.25},
    "FF": {"mouthRollLower": 0.60, "mouthUpperUp": 0.30, "jawOpen": 0.05},
    "TH": {"jawOpen": 0.15, "tongueOut": 0.35, "mouthLowerDown": 0.20},
    "DD": {"jawOpen": 0.12, "mouthLowerDown": 0.25, "mouthUpperUp": 0.15},
    "kk": {"jawOpen": 0.18, "mouthLowerDown": 0.15, "mouthStretch": 0.10},
    "CH": {"mouthFunnel": 0.55, "jawOpen": 0.08, "mouthShrugUpper": 0.15},
    "SS": {"mouthStretch": 0.40, "mouthLowerDown": 0.30, "mouthUpperUp": 0.10, "jawOpen": 0.03},
    "nn": {"jawOpen": 0.10, "mouthLowerDown": 0.20, "mouthShrugUpper": 0.10},
    "RR": {"mouthPucker": 0.30, "mouthFunnel": 0.25, "jawOpen": 0.10},
    "aa": {"jawOpen": 0.65, "mouthLowerDown": 0.25, "mouthUpperUp": 0.15},
    "E": {"jawOpen": 0.32, "mouthStretch": 0.35, "mouthSmile": 0.15, "mouthLowerDown": 0.25},
    "ih": {"jawOpen": 0.20, "mouthSmile": 0.40, "mouthStretch": 0.20, "mouthLowerDown": 0.20},
    "oh": {"jawOpen": 0.40, "mouthFunnel": 0.60},
    "ou": {"mouthPucker": 0.75, "mouthFunnel": 0.25, "jawOpen": 0.12},
}

_ARKIT = FaceSet(
    "arkit", "ARKit", ("Left", "Right"),
    {name: name for name in ARKIT}
    | {stem: stem for stem in sorted({n.removesuffix("Left") for n in ARKIT if n.endswith("Left")} - {"mouth", "jaw"})}
    | {f"{n.removesuffix(s)}{o}": n for n in ARKIT for s, o in (("Left", "_L"), ("Right", "_R")) if n.endswith(s)},
    {}, ("", "Face.M_F00_", "head.", "Face_", "bs_", "facs_bs_"),
)
_OCULUS_SET = FaceSet(
    "oculus", "Oculus visemes", ("Left", "Right"),
    {"blink_*": "eyeBlink*", "vrc.blink": "eyeBlink", "blink": "eyeBlink"},
    {f"{prefix}{name}": name for prefix in ("viseme_", "vrc.v_", "v_") for name in _OCULUS},
)
_READY_PLAYER_ME = FaceSet(
    "ready_player_me", "Ready Player Me", ("Left", "Right"),
    {"mouthOpen": "jawOpen", "mouthSmile": "mouthSmile", "eyesClosed": "eyeBlink", "eyesLookUp": "eyeLookUp",
     "eyesLookDown": "eyeLookDown"},
    {f"viseme_{name}": name for name in ("PP", "FF", "TH", "DD", "kk", "CH", "SS", "nn", "RR", "aa", "E")}
    | {"viseme_I": "ih", "viseme_O": "oh", "viseme_U": "ou"},
)
_VRM = FaceSet(
    "vrm", "VRM / VRoid", ("L", "R"),
    {"Fcl_EYE_Close_*": "eyeBlink*", "Fcl_EYE_Close": "eyeBlink", "Fcl_EYE_Spread": "eyeWide", "blink*": "eyeBlink*",
     "Blink_*": "eyeBlink*", "blink": "eyeBlink", "Fcl_MTH_Up": "mouthShrugLower", "Fcl_MTH_Down": "mouthFrown",
     "Fcl_MTH_Small": "mouthPucker", "Fcl_BRW_Surprised": "browInnerUp*0.5+browOuterUp*0.5", "Fcl_BRW_Angry": "browDown",
     "Fcl_MTH_Fun": "mouthSmile"},
    {"Fcl_MTH_A": "aa", "Fcl_MTH_I": "ih", "Fcl_MTH_U": "ou", "Fcl_MTH_E": "E", "Fcl_MTH_O": "oh",
     "aa": "aa", "ih": "ih", "ou": "ou", "ee": "E", "oh": "oh", "A": "aa", "I": "ih", "U": "ou", "E": "E", "O": "oh",
     "あ": "aa", "い": "ih", "う": "ou", "え": "E", "お": "oh"},
    ("", "Face.M_F00_000_00_", "vrm."),
)
_METAHUMAN = FaceSet(
    "metahuman", "MetaHuman", ("L", "R"),
    {"jawOpen": "jawOpen", "jawFwd": "jawForward", "jawLeft": "jawLeft", "jawRight": "jawRight", "eyeBlink*": "eyeBlink*",
     "eyeWiden*": "eyeWide*", "eyeSquintInner*": "eyeSquint*", "eyeLookUp*": "eyeLookUp*", "eyeLookDown*": "eyeLookDown*",
     "eyeLookLeftL": "eyeLookOutLeft", "eyeLookRightL": "eyeLookInLeft", "eyeLookLeftR": "eyeLookInRight",
     "eyeLookRightR": "eyeLookOutRight", "browDown*": "browDown*", "browRaiseIn*": "browInnerUp", "browRaiseOuter*": "browOuterUp*",
     "noseWrinkle*": "noseSneer*", "mouthCheekBlow*": "cheekPuff", "eyeCheekRaise*": "cheekSquint*",
     "mouthCornerPull*": "mouthSmile*", "mouthCornerDepress*": "mouthFrown*", "mouthStretch*": "mouthStretch*",
     "mouthDimple*": "mouthDimple*", "mouthUpperLipRaise*": "mouthUpperUp*", "mouthLowerLipDepress*": "mouthLowerDown*",
     "mouthFunnelUL": "mouthFunnel", "mouthFunnelUR": "mouthFunnel", "mouthFunnelDL": "mouthFunnel", "mouthFunnelDR": "mouthFunnel",
     "mouthLipsPurseUL": "mouthPucker", "mouthLipsPurseUR": "mouthPucker", "mouthLipsPurseDL": "mouthPucker",
     "mouthLipsPurseDR": "mouthPucker", "mouthLipsTogetherUL": "mouthClose", "mouthLipsTogetherUR": "mouthClose",
     "mouthLipsTogetherDL": "mouthClose", "mouthLipsTogetherDR": "mouthClose", "mouthPressU*": "mouthPress*",
     "mouthPressD*": "mouthPress*", "mouthUpperLipRollIn*": "mouthRollUpper", "mouthLowerLipRollIn*": "mouthRollLower",
     "mouthLeft": "mouthLeft", "mouthRight": "mouthRight", "jawChinRaiseD*": "mouthShrugLower", "jawChinRaiseU*": "mouthShrugUpper",
     "tongueOut": "tongueOut"},
    {}, ("CTRL_expressions_", "CTRL_expressions."),
)
_MIXAMO = FaceSet(
    "mixamo", "Mixamo (Fuse)", ("Left", "Right"),
    {"Blink_*": "eyeBlink*", "BrowsDown_*": "browDown*", "BrowsUp_*": "browOuterUp**0.7+browInnerUp*0.5", "EyesWide_*": "eyeWide*",
     "Squint_*": "eyeSquint*", "MouthOpen": "jawOpen", "Jaw_Down": "jawOpen*0.4", "JawForeward": "jawForward",
     "Smile_*": "mouthSmile*", "Frown_*": "mouthFrown*", "LowerLipDown_*": "mouthLowerDown*", "UpperLipUp_*": "mouthUpperUp*",
     "LowerLipIn": "mouthRollLower", "UpperLipIn": "mouthRollUpper", "MouthWhistle_NarrowAdjust_*": "mouthPucker",
     "MouthNarrow_*": "mouthPucker*0.6+mouthFunnel*0.4", "CheekPuff_*": "cheekPuff", "NoseScrunch_*": "noseSneer*",
     "TongueUp": "tongueOut*0.3", "Midmouth_*": "mouth*", "Jaw_*": "jaw*"},
    {},
)
_DAZ = FaceSet(
    "daz", "Daz", ("L", "R"),
    {"MouthOpen": "jawOpen", "MouthSmile": "mouthSmile", "MouthSmileSimple*": "mouthSmile*", "MouthSmileSimple": "mouthSmile",
     "MouthFrown": "mouthFrown", "MouthPuckerOpen": "mouthFunnel", "LipsPucker": "mouthPucker", "LipsPart": "mouthLowerDown*0.5+mouthUpperUp*0.5",
     "LipsPuckerWide-Pinch": "mouthPucker", "EyesClosed*": "eyeBlink*", "EyesClosed": "eyeBlink", "EyesSquint*": "eyeSquint*",
     "EyesSquint": "eyeSquint", "BrowUp*": "browOuterUp*", "BrowUp-Down*": "browOuterUp*", "BrowInnerUp-Down": "browInnerUp",
     "BrowSqueeze": "browDown", "NoseWrinkle": "noseSneer", "CheeksPuff": "cheekPuff",
     "MouthWide-Narrow": "mouthStretch", "LipTopUp-Down": "mouthUpperUp", "LipBottomUp-Down": "mouthLowerDown",
     "JawOut-In": "jawForward", "JawSide-Side": "jawLeft"},
    {"vAA": "aa", "vEE": "E", "vEH": "E", "vER": "RR", "vF": "FF", "vIH": "ih", "vIY": "ih", "vK": "kk", "vL": "nn", "vM": "PP",
     "vOW": "oh", "vS": "SS", "vSH": "CH", "vT": "DD", "vTH": "TH", "vUH": "oh", "vUW": "ou", "vW": "ou"},
    ("eCTRL", "PHM", "CTRL", "head_eCTRL", "pCTRL", ""),
)
_MAKEHUMAN = FaceSet(
    "makehuman", "MakeHuman face units", ("left", "right"),
    {"eye-*-closure": "eyeBlink*", "eye-*-opened-up": "eyeWide*", "eye-*-slit": "eyeSquint*", "eyebrows-*-down": "browDown*",
     "eyebrows-*-extern-up": "browOuterUp*", "eyebrows-*-inner-up": "browInnerUp", "eyebrows-*-up": "browOuterUp**0.5+browInnerUp*0.5",
     "mouth-open": "jawOpen", "mouth-corner-puller": "mouthSmile", "mouth-depression": "mouthFrown", "mouth-elevation": "mouthShrugLower",
     "mouth-parling": "mouthLowerDown*0.5+mouthUpperUp*0.5", "mouth-protusion": "mouthFunnel", "mouth-pursing": "mouthPucker",
     "mouth-retraction": "mouthStretch", "mouth-compression": "mouthPress", "mouth-upward-retraction": "mouthUpperUp",
     "mouth-eversion": "mouthFunnel*0.5", "nose-*-elevation": "noseSneer*", "neck-platysma": "mouthStretch*0.3"},
    {}, ("", "expression-", "mh-"),
)

FACE_SETS: Final = (_ARKIT, _METAHUMAN, _READY_PLAYER_ME, _OCULUS_SET, _VRM, _MIXAMO, _DAZ, _MAKEHUMAN)
