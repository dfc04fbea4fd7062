# SPDX-License-Identifier: GPL-3.0-or-later
"""Understudy's own character: a neutral mannequin with the SMPL-X joints and a face with the ARKit shapes."""

from .build import build_character as add_character

__all__ = ["add_character"]
