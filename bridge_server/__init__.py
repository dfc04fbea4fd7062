# SPDX-License-Identifier: Apache-2.0
"""The bridge: a process of its own that turns speech and directions into motion. Never imports bpy."""

__version__ = "0.1.0"
