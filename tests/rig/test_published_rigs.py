# SPDX-License-Identifier: Apache-2.0
"""Published rigs perform in Blender: limbs within a degree, standing feet within two millimetres, frames out of order."""

from __future__ import annotations

import bpy
import pytest

from .figures import HEADING, build, measure
from .motions import SEGMENTS, walk, wild
from .published import KEYS, load

FORMS = (("T", "plain"), ("A", "rolled"), ("A", "moved"), ("T", "stretched"))


@pytest.mark.parametrize("key", KEYS)
def test_a_published_rig_performs_in_every_form(key: str) -> None:
    rig = load(key)
    for pose, variant in FORMS:
        armature = build(rig, pose, variant)
        assert isinstance(armature, bpy.types.Object)
        found = measure(armature, wild(4, 4), walk(60), heading=HEADING if variant in ("moved", "stretched") else 0.0, every=3)
        mapped = [a for a, b in SEGMENTS if a in rig.slots and b in rig.slots]
        assert set(found.free) == set(mapped) and len(mapped) >= 8
        assert max(found.free.values()) <= 1.0, (pose, variant, found.free)
        assert max(found.planted.values()) <= 1.0, (pose, variant, found.planted)
        assert found.feet <= 2.0 and found.stands > 20, (pose, variant, found.feet)
        assert found.solved <= 0.05, (pose, variant)
