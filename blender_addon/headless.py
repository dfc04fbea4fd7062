# SPDX-License-Identifier: GPL-3.0-or-later
"""The add-on's commands as a script, for builds of Blender without ``--command`` and for Blender as a Python module.

    blender -b shot.blend -P headless.py -- generate --audio speech.wav --output out.blend
    blender -b -P headless.py -- batch shots.csv
    python headless.py batch shots.csv

The enabled add-on is used where there is one, else the one that this file belongs to.
"""

import importlib
import importlib.util
import os
import sys
from pathlib import Path

import bpy

NAME = "understudy"


def run(arguments: list[str]) -> int:
    """The exit code."""
    enabled = next((name for name in bpy.context.preferences.addons.keys() if name.rpartition(".")[2] == NAME), "")
    if enabled:
        return int(importlib.import_module(f"{enabled}.commands").main(arguments))
    folder = Path(__file__).resolve().parent
    # a script has no package of its own; this one is made by hand, so that the module search path stays as it is
    spec = importlib.util.spec_from_file_location(folder.name, folder / "__init__.py", submodule_search_locations=[str(folder)])
    assert spec is not None and spec.loader is not None
    addon = sys.modules[folder.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(addon)
    addon.register()
    try:
        return int(importlib.import_module(f"{folder.name}.commands").main(arguments))
    finally:
        addon.unregister()


if __name__ == "__main__":
    code = run(sys.argv[sys.argv.index("--") + 1:] if "--" in sys.argv else sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    if bpy.app.binary_path:
        sys.exit(code)
    # the module crashes (4.2) or hangs (4.5) at exit where something is still registered
    os._exit(code)
