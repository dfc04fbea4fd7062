# SPDX-License-Identifier: Apache-2.0
"""How well every kind of rig performs: written as a table into ``docs/rigs.md``.

Run by Blender's Python: ``python benchmarks/rigs.py [RIG …]``.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import bpy  # noqa: E402

from tests.rig import figures, motions, published  # noqa: E402

PAGE: Final = ROOT / "docs" / "rigs.md"
START: Final = "<!-- figures: written by benchmarks/rigs.py, do not edit between these marks -->"
END: Final = "<!-- end of figures -->"
HEADER: Final = ("Rig", "bones", "T-pose", "A-pose", "rolled", "moved", "stretched", "with planting", "feet, mm")
FORMS: Final = (("T", "plain"), ("A", "plain"), ("A", "rolled"), ("A", "moved"), ("A", "stretched"))
CHARACTERS: Final = {"mixamo_arkit": "Mixamo (test character)", "unreal": "Unreal (test character)",
                     "makehuman_default": "MakeHuman (test character)"}
DEFORM: Final = {"hip": "DEF-thigh", "knee": "DEF-shin", "ankle": "DEF-foot", "foot": "DEF-toe", "shoulder": "DEF-upper_arm",
                 "elbow": "DEF-forearm", "wrist": "DEF-hand", **{f"{f}{n}": f"DEF-{'thumb' if f == 'thumb' else f'f_{f}'}.0{n}"
                                                                 for f in ("thumb", "index", "middle", "ring", "pinky") for n in (1, 2, 3)}}


def _published(key: str) -> tuple[str, dict[tuple[str, str], figures.Figures]]:
    rig = published.load(key)
    return rig.label, {form: _measure(figures.build(rig, *form), form[1]) for form in FORMS}


def _measure(armature: bpy.types.Object, variant: str, read: dict[str, str] | None = None) -> figures.Figures:
    turned = figures.HEADING if variant in ("moved", "stretched") else 0.0
    return figures.measure(armature, motions.wild(4, 6), motions.walk(), heading=turned, every=2, read=read)


def _opened(name: str) -> bpy.types.Object:
    if name in CHARACTERS:
        bpy.ops.wm.open_mainfile(filepath=str(motions.DATA / "characters" / f"{name}.blend"))
        return next(o for o in bpy.data.objects if o.type == "ARMATURE")
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    if name == "mannequin":
        from blender_addon.character import add_character

        return add_character(bpy.context)
    import addon_utils

    addon_utils.enable("rigify", default_set=True)
    bpy.ops.object.armature_human_metarig_add()
    metarig = bpy.context.object
    if name == "metarig":
        return metarig
    # the face has no part in this and takes most of the time
    bpy.ops.object.mode_set(mode="EDIT")
    bones = metarig.data.edit_bones
    for bone in [bones["face"], *bones["face"].children_recursive]:
        bones.remove(bone)
    bpy.ops.object.mode_set(mode="OBJECT")
    bpy.ops.pose.rigify_generate()
    return next(o for o in bpy.data.objects if o.type == "ARMATURE" and o is not metarig)


def _real(name: str, label: str, pose: str) -> tuple[str, dict[tuple[str, str], figures.Figures]]:
    """A rig as it comes in a file or is generated: it stands as it stands."""
    result = {}
    read = {f"{side}_{part}": f"{bone}.{side[0].upper()}" for part, bone in DEFORM.items() for side in ("left", "right")}
    for variant in ("plain", "moved", "stretched") if name == "rigify" else figures.VARIANTS:
        armature = _opened(name)
        if variant == "rolled":
            figures.roll_bones(armature)
        elif name != "rigify" or variant == "stretched":
            figures.place(armature, variant)
        else:
            # a rig with constraints cannot be turned inside its object without generating it again
            armature.scale = (1.3 if variant == "moved" else 1.0,) * 3
            armature.rotation_euler.z = figures.HEADING if variant == "moved" else 0.0
            bpy.context.view_layer.update()
        result[pose, variant] = _measure(armature, variant, read if name == "rigify" else None)
    return label, result


def rows(chosen: list[str]) -> Iterator[tuple[str, ...]]:
    """One line of the table for each rig."""
    real = {"mannequin": ("Understudy's own figure", "T"), "metarig": ("Rigify human metarig", "A"),
            "rigify": ("Rigify generated, by its controls", "A"), **{name: (label, "A") for name, label in CHARACTERS.items()}}
    for name in (*published.KEYS, *real):
        if chosen and name not in chosen:
            continue
        label, found = _real(name, *real[name]) if name in real else _published(name)
        first = next(iter(found.values()))

        def worst(pose: str, variant: str, found: dict[tuple[str, str], figures.Figures] = found) -> str:
            form = found.get((pose, variant))
            return "–" if form is None else f"{max(form.free.values()):.3f}"

        natural = next(iter(found))[0] if name in real else "A"
        # Blender's constraints do not bear a stretched object; what they make of the limbs stands in its own column alone
        sound = [form for (_, variant), form in found.items() if name != "rigify" or variant != "stretched"]
        row = (label, f"{first.mapped} of {first.bones}", worst("T", "plain"), worst("A", "plain"),
               *(worst(natural, variant) for variant in ("rolled", "moved", "stretched")),
               f"{max(max(form.planted.values()) for form in sound):.3f}", f"{max(form.feet for form in sound):.2f}")
        print(" | ".join(row), flush=True)
        yield row


def main(chosen: list[str]) -> None:
    """Measure all rigs, or the chosen ones, whose lines are replaced in the table."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(START)
    old, _, after = rest.partition(END)
    lines = {line.split("|")[1].strip(): line for line in old.splitlines() if line.startswith("|")} if chosen else {}
    for row in (HEADER, ("---",) + ("---:",) * (len(HEADER) - 1), *rows(chosen)):
        lines[row[0]] = f"| {' | '.join(row)} |"
    PAGE.write_text(f"{before}{START}\n\n" + "\n".join(lines.values()) + f"\n\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
