# SPDX-License-Identifier: GPL-3.0-or-later
"""The Blender side of films."""
