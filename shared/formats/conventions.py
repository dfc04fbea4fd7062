# SPDX-License-Identifier: Apache-2.0
"""Naming conventions of motion capture skeletons, as tables, and finding the one that a skeleton follows."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ..errors import UnderstudyError

__all__ = ["CONVENTIONS", "REQUIRED", "Roles", "find_roles", "normalise_name"]

# one side's joints: role -> name, with {s} for the side as the convention writes it
_BODY_ROLES: Final = ("hip", "knee", "ankle", "foot", "collar", "shoulder", "elbow", "wrist")
_FINGERS: Final = ("thumb", "index", "middle", "ring", "pinky")


@dataclass(frozen=True)
class _Convention:
    sides: tuple[str, str]
    body: tuple[str, ...]
    head: str
    finger: str = ""
    finger_names: tuple[str, ...] = _FINGERS
    first: int = 1
    extra: tuple[tuple[str, str], ...] = ()


CONVENTIONS: Final[dict[str, _Convention]] = {
    # MotionBuilder, CMU (cgspeed), Mixamo, Rokoko, LAFAN1, OptiTrack
    "motionbuilder": _Convention(("left", "right"), (
        "{s}upleg", "{s}leg", "{s}foot", "{s}toebase|{s}toe", "{s}shoulder", "{s}arm", "{s}forearm", "{s}hand"), "head",
        "{s}hand{f}{n}"),
    "smplx": _Convention(("left", "right"), (
        "{s}hip", "{s}knee", "{s}ankle", "{s}foot", "{s}collar", "{s}shoulder", "{s}elbow", "{s}wrist"), "head",
        "{s}{f}{n}", extra=(("jaw", "jaw"), ("left_eye", "lefteye"), ("right_eye", "righteye"))),
    # SOMA, the skeleton of Kimodo; its fingers begin with the metacarpal, which is left out but for the thumb
    "soma": _Convention(("left", "right"), (
        "{s}leg", "{s}shin", "{s}foot", "{s}toebase", "{s}shoulder", "{s}arm", "{s}forearm", "{s}hand"), "head",
        "{s}hand{f}{n}", first=2, extra=(("jaw", "jaw"), ("left_eye", "lefteye"), ("right_eye", "righteye"))),
    "biovision": _Convention(("left", "right"), (
        "{s}hip|{s}upleg", "{s}knee|{s}lowleg", "{s}ankle|{s}foot", "{s}toe|{s}toebase", "{s}collar",
        "{s}shoulder|{s}uparm", "{s}elbow|{s}lowarm", "{s}wrist|{s}hand"), "head"),
    "humanoid": _Convention(("left", "right"), (
        "{s}upperleg|{s}thigh", "{s}lowerleg|{s}shin|{s}calf", "{s}foot", "{s}toe|{s}toes|{s}toebase", "{s}shoulder|{s}clavicle",
        "{s}upperarm", "{s}lowerarm|{s}forearm", "{s}hand"), "head"),
    "unreal": _Convention(("l", "r"), (
        "thigh{s}", "calf{s}", "foot{s}", "ball{s}", "clavicle{s}", "upperarm{s}", "lowerarm{s}", "hand{s}"), "head",
        "{f}0{n}{s}"),
    "biped": _Convention(("l", "r"), (
        "{s}thigh", "{s}calf", "{s}foot", "{s}toe0", "{s}clavicle", "{s}upperarm", "{s}forearm", "{s}hand"), "head"),
}
REQUIRED: Final = tuple(f"{s}_{r}" for s in ("left", "right") for r in ("hip", "knee", "ankle", "shoulder", "elbow", "wrist"))


@dataclass(frozen=True)
class Roles:
    """Which joint of a skeleton plays which SMPL-X joint.

    :ivar joints: SMPL-X joint name -> index; the trunk is not in it.
    :ivar pelvis: index of the joint from which legs and spine part.
    :ivar spine: indices from above the pelvis to the joint that carries both arms, which is the last.
    :ivar neck: indices between that and the head; may be empty.
    """

    convention: str
    joints: dict[str, int]
    pelvis: int
    spine: tuple[int, ...]
    neck: tuple[int, ...]


def normalise_name(name: str) -> str:
    """A joint's name without name space, biped prefix, case and punctuation."""
    short = re.split(r"[:|]", name)[-1].lower()
    short = re.sub(r"^(mixamorig\d*_?|bip\d*[ _]|def[-_])", "", short)
    return re.sub(r"[^a-z0-9]", "", short)


def _match(names: dict[str, int], convention: _Convention) -> dict[str, int]:
    found: dict[str, int] = {}
    for side, written in zip(("left", "right"), convention.sides, strict=True):
        for role, pattern in zip(_BODY_ROLES, convention.body, strict=True):
            for option in pattern.split("|"):
                if (name := option.format(s=written)) in names:
                    found[f"{side}_{role}"] = names[name]
                    break
        for finger in convention.finger_names if convention.finger else ():
            first = 1 if finger == "thumb" else convention.first
            chain = [convention.finger.format(s=written, f=finger, n=first + k) for k in range(3)]
            present = [names[n] for n in chain if n in names]
            # a lone finger joint is a stand-in for the whole hand
            if len(present) >= 2 and chain[0] in names:
                found.update({f"{side}_{finger}{k + 1}": i for k, i in enumerate(present)})
    if convention.head in names:
        found["head"] = names[convention.head]
    found.update({role: names[name] for role, name in convention.extra if name in names})
    return found


def _ancestors(joint: int, parents: Sequence[int]) -> list[int]:
    """``joint`` and everything above it, from itself to the root."""
    chain = [joint]
    while parents[chain[-1]] >= 0:
        chain.append(parents[chain[-1]])
    return chain


def _common(a: int, b: int, parents: Sequence[int]) -> int:
    above = set(_ancestors(a, parents))
    return next(j for j in _ancestors(b, parents) if j in above)


def _between(top: int, bottom: int, parents: Sequence[int]) -> tuple[int, ...]:
    """Joints below ``top`` down to ``bottom``, which is the last; ``top`` must be above ``bottom``."""
    chain = _ancestors(bottom, parents)
    return tuple(reversed(chain[: chain.index(top)]))


def find_roles(names: Sequence[str], parents: Sequence[int]) -> Roles:
    """The roles of a skeleton's joints, by the naming convention that fits most of them.

    :raises UnderstudyError: ``rig_unknown``, naming what was not found.
    """
    index: dict[str, int] = {}
    for i, name in enumerate(names):
        index.setdefault(normalise_name(name), i)

    def score(found: dict[str, int]) -> tuple[int, int]:
        return sum(r in found for r in REQUIRED), len(found)

    name, found = max(((n, _match(index, c)) for n, c in CONVENTIONS.items()), key=lambda item: score(item[1]))
    missing = [r for r in REQUIRED if r not in found]
    if missing:
        shown = ", ".join(r.replace("_", " ") for r in missing[:4]) + (" …" if len(missing) > 4 else "")
        raise UnderstudyError(
            "rig_unknown", f"The skeleton's joints are not recognised: no {shown} among {len(names)} joints "
            f"({', '.join(list(names)[:5])} …).",
            "Rename the joints as MotionBuilder, Mixamo, SMPL-X or Unreal do (LeftUpLeg, LeftLeg, LeftFoot, LeftArm …).")
    pelvis = _common(found["left_hip"], found["right_hip"], parents)
    chest = _common(found["left_shoulder"], found["right_shoulder"], parents)
    spine = _between(_common(pelvis, chest, parents), chest, parents)
    head = found.get("head")
    neck = () if head is None or chest not in _ancestors(head, parents) else _between(chest, head, parents)[:-1]
    return Roles(name, found, pelvis, spine, neck)
