# SPDX-License-Identifier: Apache-2.0
"""Hands: relaxed, shaped by directions, never frozen."""

from bridge_server.hands.perform import add_hands
from bridge_server.hands.shapes import SHAPES, shape_in_words

__all__ = ["SHAPES", "add_hands", "shape_in_words"]
