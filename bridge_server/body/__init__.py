# SPDX-License-Identifier: Apache-2.0
"""Bodies that wear a Motion: SMPL-X from the user's own model file, and the neutral skeleton otherwise."""

from .protocol import Body, Mesh, load_body
from .neutral import NeutralBody

__all__ = ["Body", "Mesh", "NeutralBody", "load_body"]
