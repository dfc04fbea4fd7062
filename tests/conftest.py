# SPDX-License-Identifier: Apache-2.0
"""One test run, two Pythons.

The run goes on in the bridge's Python. A test file that imports bpy at its top, or that sets
``pytestmark = pytest.mark.blender``, is run by Blender's Python instead, one process per file, and its tests are reported here
one by one. Started under Blender's Python itself, pytest finds only those files and runs them directly.

Blender's Python is ``$UNDERSTUDY_BLENDER_PYTHON``, else the one in ``.venv-blender``. With ``$UNDERSTUDY_BLENDER_ONLY`` set, only the
files for it are run: the others know nothing of Blender's version.
"""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
IN_BLENDER = importlib.util.find_spec("bpy") is not None
FILE_SECONDS = 900
_TOP_IMPORT = re.compile(
    r"""^(import\ bpy|from\ bpy|bpy\s*=\s*pytest\.importorskip\(|pytest\.importorskip\(["']bpy["']
        |pytestmark\s*=.*mark\.blender)""", re.M | re.X)


def blender_python() -> Path | None:
    """Python that can import bpy, or None."""
    if given := os.environ.get("UNDERSTUDY_BLENDER_PYTHON"):
        return Path(given)
    for name in ("bin/python", "Scripts/python.exe"):
        if (path := ROOT / ".venv-blender" / name).exists():
            return path
    return None


def for_blender(path: Path) -> bool:
    """Whether a test file belongs into Blender's Python."""
    return _TOP_IMPORT.search(path.read_text(encoding="utf-8")) is not None


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Under Blender's Python the bridge's packages are absent, so the other files are left to the bridge's run."""
    only = IN_BLENDER or bool(os.environ.get("UNDERSTUDY_BLENDER_ONLY"))
    if only and collection_path.name.startswith("test_") and collection_path.suffix == ".py":
        return not for_blender(collection_path) or None
    return None


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Hand files for Blender's Python to :class:`BlenderFile`."""
    if not IN_BLENDER and file_path.suffix == ".py" and file_path.name.startswith("test_") and for_blender(file_path):
        return BlenderFile.from_parent(parent, path=file_path)
    return None


@pytest.hookimpl(hookwrapper=True)
def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> Iterator[None]:
    """The ordinary collector must not import a file for Blender a second time."""
    outcome = yield
    if not IN_BLENDER and for_blender(module_path):
        outcome.force_result(None)  # type: ignore[attr-defined]


class BlenderFile(pytest.File):
    """A test file whose tests are run by Blender's Python in one process."""

    results: dict[str, tuple[str, str]] | None = None

    def collect(self) -> Iterator[pytest.Item]:
        python = blender_python()
        if python is None:
            yield BlenderTest.from_parent(self, name="no Blender", node="")
            return
        names = _names_in(self.path, python)
        for name in names:
            yield BlenderTest.from_parent(self, name=name, node=name)

    @staticmethod
    def every() -> list[Path]:
        """All test files for Blender's Python."""
        return [path for path in sorted((ROOT / "tests").rglob("test_*.py")) if for_blender(path)]

    def run_once(self, names: list[str]) -> dict[str, tuple[str, str]]:
        """Outcome ("passed", "failed", "skipped") and text of each test; the file is run on the first call."""
        if self.results is None:
            self.results = self._run(names)
        return self.results

    def _run(self, names: list[str]) -> dict[str, tuple[str, str]]:
        python = blender_python()
        assert python is not None
        with tempfile.TemporaryDirectory() as folder:
            report = Path(folder) / "report.xml"
            wanted = [f"{self.path}::{name}" for name in names]
            done = _pytest(python, "-q", f"--junitxml={report}", "-o", "junit_family=xunit2", *wanted)
            if not report.is_file():
                text = f"Blender's Python ended with {done.returncode}\n{done.stdout[-8000:]}"
                return dict.fromkeys(names, ("failed", text))
            return _read(report, done.stdout)


_names: dict[Path, list[str]] = {}
"""Tests by file, of those that were collected together: a start of Blender's Python for each file takes longer than the rest."""


def _names_in(path: Path, python: Path) -> list[str]:
    """Names of the tests in a file. :raises CollectError: with what Blender's Python said."""
    if not _names:
        every = [other for other in BlenderFile.every() if other != path] if path.is_relative_to(ROOT / "tests") else []
        # a file that cannot be collected spoils its own answer only: it is asked for again by itself
        done = _pytest(python, "--collect-only", "-q", "--continue-on-collection-errors", "-o", "addopts=--import-mode=importlib",
                       str(path), *map(str, every))
        for line in done.stdout.splitlines():
            file, found, name = line.strip().partition("::")
            if found and (ROOT / file).is_file():
                _names.setdefault(ROOT / file, []).append(name)
    if path not in _names:
        done = _pytest(python, "--collect-only", "-q", "-o", "addopts=--import-mode=importlib", str(path))
        marker = path.name + "::"
        _names[path] = [line.partition(marker)[2].strip() for line in done.stdout.splitlines() if marker in line]
        if not _names[path] and done.returncode != 5:
            raise pytest.Collector.CollectError(f"{path.name} cannot be collected by Blender's Python:\n{done.stdout[-6000:]}")
    return _names[path]


class BlenderTest(pytest.Item):
    """One test of a :class:`BlenderFile`."""

    def __init__(self, *, node: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.node = node
        self.add_marker(pytest.mark.timeout(FILE_SECONDS + 20))

    def runtest(self) -> None:
        if not self.node:
            pytest.skip("there is no .venv-blender; tools/dev.py test makes it")
        file = self.parent
        assert isinstance(file, BlenderFile)
        chosen = [i.node for i in self.session.items if isinstance(i, BlenderTest) and i.parent is file]
        outcome, text = file.run_once(chosen).get(self.node.replace("::", "."), ("failed", "it was not run"))
        if outcome == "skipped":
            pytest.skip(text)
        if outcome == "failed":
            raise BlenderFailure(text)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        if isinstance(excinfo.value, BlenderFailure):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int, str]:
        return self.path, 0, self.name


class BlenderFailure(Exception):
    """Carries the report of a test that failed in the other process."""


def _pytest(python: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(python), "-X", "utf8", "-m", "pytest", "-p", "no:cacheprovider", "--rootdir", str(ROOT),
               "-c", str(ROOT / "pyproject.toml"), *arguments]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
    try:
        return subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, encoding="utf-8", errors="replace", timeout=FILE_SECONDS, check=False)
    except subprocess.TimeoutExpired as expired:
        output = expired.stdout.decode("utf-8", "replace") if isinstance(expired.stdout, bytes) else expired.stdout or ""
        return subprocess.CompletedProcess(command, 124, f"{output}\nit was ended after {FILE_SECONDS} s")


def _read(report: Path, output: str) -> dict[str, tuple[str, str]]:
    results = {}
    for case in ElementTree.parse(report).iter("testcase"):
        # classname is the dotted path of the file, then that of the class, if any
        classes = [part for part in case.get("classname", "").split(".") if part.startswith("Test")]
        name = ".".join((*classes, case.get("name", "")))
        problems = [*case.findall("failure"), *case.findall("error")]
        if problems:
            results[name] = ("failed", "\n".join((p.text or p.get("message") or "") for p in problems))
        elif (skipped := case.find("skipped")) is not None:
            results[name] = ("skipped", skipped.get("message") or "")
        else:
            results[name] = ("passed", "")
    if not results:
        results[""] = ("failed", output[-8000:])
    return results


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """Leave at once under Blender: classes still registered at interpreter exit crash 4.2 and hang 4.5."""
    if "bpy" in sys.modules and hasattr(config, "understudy_status"):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(config.understudy_status)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Remember the exit status for :func:`pytest_unconfigure`."""
    session.config.understudy_status = int(exitstatus)  # type: ignore[attr-defined]
