# SPDX-License-Identifier: Apache-2.0
"""The internal set of face curves: Apple's 52 ARKit blend shape names, each a weight in [0, 1].

Source of the names: Apple's ``ARFaceAnchor.BlendShapeLocation`` (51 of its shapes) plus
``tongueOut``. Everything that moves a face (lip sync, emotion, blinks) writes these curves; maps to
other sets (SMPL-X expression, visemes, a rig's own shapes) start from them.
"""

from __future__ import annotations

from typing import Final

__all__ = ["ARKIT", "ARKIT_INDEX"]

ARKIT: Final[tuple[str, ...]] = (
    "eyeBlinkLeft", "eyeLookDownLeft", "eyeLookInLeft", "eyeLookOutLeft", "eyeLookUpLeft", "eyeSquintLeft",
    "eyeWideLeft", "eyeBlinkRight", "eyeLookDownRight", "eyeLookInRight", "eyeLookOutRight", "eyeLookUpRight",
    "eyeSquintRight", "eyeWideRight", "jawForward", "jawLeft", "jawRight", "jawOpen", "mouthClose", "mouthFunnel",
    "mouthPucker", "mouthLeft", "mouthRight", "mouthSmileLeft", "mouthSmileRight", "mouthFrownLeft",
    "mouthFrownRight", "mouthDimpleLeft", "mouthDimpleRight", "mouthStretchLeft", "mouthStretchRight",
    "mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper", "mouthPressLeft", "mouthPressRight",
    "mouthLowerDownLeft", "mouthLowerDownRight", "mouthUpperUpLeft", "mouthUpperUpRight", "browDownLeft",
    "browDownRight", "browInnerUp", "browOuterUpLeft", "browOuterUpRight", "cheekPuff", "cheekSquintLeft",
    "cheekSquintRight", "noseSneerLeft", "noseSneerRight", "tongueOut",
)
ARKIT_INDEX: Final[dict[str, int]] = {name: i for i, name in enumerate(ARKIT)}
