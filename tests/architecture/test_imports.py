# SPDX-License-Identifier: Apache-2.0
"""Who may import whom: the table of docs/architecture.md, read from the source."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
STDLIB = frozenset(sys.stdlib_module_names) | {"__future__"}
BLENDER = frozenset({"bpy", "bpy_extras", "bpy_types", "mathutils", "gpu", "gpu_extras", "blf", "bmesh", "aud", "idprop",
                     "addon_utils", "_bpy", "bl_ui", "rna_prop_ui", "rigify"})


@dataclass(frozen=True)
class Room:
    """A part of the tree with what its modules may import; ``None`` stands for anything that is not forbidden."""

    folder: str
    allowed: frozenset[str] | None
    forbidden: frozenset[str] = frozenset()
    excluding: tuple[str, ...] = ()


ROOMS = [
    Room("shared", frozenset({"numpy"})),
    Room("blender_addon/core", frozenset({"numpy", "zmq"})),
    Room("blender_addon", frozenset({"numpy", "zmq"}) | BLENDER, excluding=("core",)),
    Room("bridge_server/service", frozenset({"numpy", "zmq", "psutil", "platformdirs", "shared", "bridge_server"})),
    Room("bridge_server", None, BLENDER | {"blender_addon"}),
]


def modules(room: Room) -> Iterator[Path]:
    base = ROOT / room.folder
    for path in sorted(base.rglob("*.py")):
        if path.relative_to(base).parts[0] not in room.excluding:
            yield path


def imported(tree: ast.AST) -> Iterator[tuple[int, int, str]]:
    """(line, level of a relative import, dotted name) of every import, wherever it stands in the module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, 0, alias.name
        elif isinstance(node, ast.ImportFrom):
            yield node.lineno, node.level, node.module or ""


def package_of(path: Path) -> list[str]:
    parts = list(path.relative_to(ROOT).with_suffix("").parts)
    return parts[:-1]


def violations(room: Room, path: Path) -> Iterator[str]:
    where = path.relative_to(ROOT).as_posix()
    for line, level, name in imported(ast.parse(path.read_text(encoding="utf-8"), where)):
        top = name.partition(".")[0]
        if level:
            reached = package_of(path)[: len(package_of(path)) - level + 1] + name.split(".")
            if len(package_of(path)) < level:
                yield f"{where}:{line} leaves the repository"
            elif room.folder == "blender_addon/core" and reached[:2] not in (["blender_addon", "core"], ["blender_addon", "shared"]):
                yield f"{where}:{line} reaches {'.'.join(reached)}, which may import bpy"
            elif room.folder == "shared" and reached[0] != "shared":
                yield f"{where}:{line} reaches {'.'.join(reached)}"
        elif top in room.forbidden:
            yield f"{where}:{line} imports {name}"
        elif room.allowed is not None and top not in room.allowed and top not in STDLIB:
            yield f"{where}:{line} imports {name}"


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: room.folder)
def test_rooms_import_only_what_the_table_allows(room: Room) -> None:
    paths = list(modules(room))
    assert paths, f"{room.folder} has no modules"
    assert not [v for path in paths for v in violations(room, path)]


@pytest.mark.parametrize(("source", "room"), [
    ("import torch", "shared"), ("def f():\n    from bpy import types", "blender_addon/core"),
    ("from shared.motion import Motion", "blender_addon"), ("from ..compat import x", "blender_addon/core"),
    ("import torch", "bridge_server/service"), ("import mathutils", "bridge_server"), ("from ..blender_addon import x", "shared"),
])
def test_the_table_can_be_violated(source: str, room: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    path = tmp_path / room / "module.py"
    path.parent.mkdir(parents=True)
    path.write_text(source)
    assert list(violations(next(r for r in ROOMS if r.folder == room), path))


def test_only_one_module_converts_the_up_axis() -> None:
    """Blender's Z-up enters and leaves in one module of the add-on."""
    converters = [p for p in (ROOT / "blender_addon").rglob("*.py")
                  if p.name in ("axes.py", "coords.py", "coordinates.py", "conventions.py")]
    assert len(converters) == 1, converters


def test_core_modules_import_without_blender() -> None:
    names = [".".join(p.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
             for p in sorted((ROOT / "blender_addon/core").rglob("*.py"))]
    code = ("import importlib, sys\n"
            "class Refuse:\n"
            "    def find_spec(self, name, path=None, target=None):\n"
            f"        if name.partition('.')[0] in {set(BLENDER)!r}: raise ImportError(f'{{name}} is Blender\\'s')\n"
            "sys.meta_path.insert(0, Refuse())\n"
            f"for name in {names!r}: importlib.import_module(name)\n"
            "print(len(sys.modules))")
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert names
