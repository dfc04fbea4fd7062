# SPDX-License-Identifier: GPL-3.0-or-later
"""In the source tree: the project's shared folder under this name. ``build_addon.py`` puts a copy here instead."""

from pathlib import Path

__path__ = [str(Path(__file__).resolve().parents[2] / "shared")]
