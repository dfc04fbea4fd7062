# SPDX-License-Identifier: Apache-2.0
"""Faces: lip sync, eyes, brows, emotion and nods from speech, as ARKit curves."""

from bridge_server.face.performance import (
    FaceOptions,
    FacePerformance,
    perform,
    perform_face,
)

__all__ = ["FaceOptions", "FacePerformance", "perform", "perform_face"]
