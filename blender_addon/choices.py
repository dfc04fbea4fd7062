# SPDX-License-Identifier: GPL-3.0-or-later
"""Choices that a character has, and that the preferences have as their defaults."""

__all__ = ["KEY_MODES", "ROOTS"]

ROOTS = [
    ("hips", "Hips", "The way through the room is on the hips"),
    ("bone", "Root Bone", "Path and heading are on the rig's root bone, where it has one"),
    ("object", "Object", "Path and heading are on the armature object"),
    ("in_place", "In Place", "The character stays over its starting point"),
]
KEY_MODES = [
    ("DENSE", "Every Frame", "One key on every frame, exactly as performed"),
    ("SIMPLIFIED", "Simplified", "As few keys as the error allows, with handles to edit"),
]
