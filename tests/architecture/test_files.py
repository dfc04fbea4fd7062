# SPDX-License-Identifier: Apache-2.0
"""Every source file names its licence and stays readable in length; no text names the machine it was written on."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MAX_LINES, MAX_COLUMNS = 440, 140
GPL, APACHE = "GPL-3.0-or-later", "Apache-2.0"


def tracked() -> list[Path]:
    """Files under version control, or all source files where there is no git."""
    done = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if done.returncode == 0 and done.stdout:
        return [ROOT / line for line in done.stdout.splitlines() if (ROOT / line).is_file()]
    rooms = ("shared", "bridge_server", "blender_addon", "tests", "tools", "benchmarks", "docs")
    return [p for room in rooms for p in (ROOT / room).rglob("*") if p.is_file() and "__pycache__" not in p.parts]


PYTHON = [p for p in tracked() if p.suffix == ".py"]


def licence_of(path: Path) -> str:
    top = path.relative_to(ROOT).parts[0]
    return GPL if top in ("blender_addon", "build_addon.py") else APACHE


@pytest.mark.parametrize("path", PYTHON, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_source_file(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines()
    if lines:
        assert f"# SPDX-License-Identifier: {licence_of(path)}" in lines[:3], "the licence line is missing or another"
    assert len(lines) <= MAX_LINES, f"{len(lines)} lines: split the file by purpose"
    # 120 is the aim; tables of data may be wider than code
    widest = MAX_COLUMNS + 20 * ("tables" in path.parts)
    long = [n for n, line in enumerate(lines, 1) if len(line) > widest]
    assert not long, f"lines {long} are longer than {widest}"


def test_no_text_names_a_machine() -> None:
    pattern = re.compile(r"(/work/|/root/|/home/\w|C:\\Users\\)")
    found = []
    for path in tracked():
        if path.suffix in (".py", ".md", ".toml", ".txt", ".json", ".sh") and path.stat().st_size < 500_000:
            text = path.read_text(encoding="utf-8", errors="replace")
            found += [f"{path.relative_to(ROOT)}: {m.group()}" for m in pattern.finditer(text) if path != Path(__file__)]
    assert not found


def test_licence_texts_are_there() -> None:
    for name, words in ((APACHE, "Apache License"), (GPL, "GNU GENERAL PUBLIC LICENSE")):
        assert words in (ROOT / f"LICENSES/{name}.txt").read_text(encoding="utf-8")
