# SPDX-License-Identifier: Apache-2.0
"""Stands where the bridge is looked for: ``-m bridge_server serve`` in this folder runs the double."""

import runpy
import sys
from pathlib import Path

# the double takes its behaviour as the only plain argument
sys.argv = ["bridge_double.py", sys.argv[-1]]
runpy.run_path(str(Path(__file__).resolve().parents[2] / "bridge_double.py"), run_name="__main__")
