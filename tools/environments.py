# SPDX-License-Identifier: Apache-2.0
"""The two Python environments: ``.venv`` (bridge, tests) and ``.venv-blender`` (Blender as a Python module).

Standard library only: this runs before anything is installed.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Final

__all__ = ["BRIDGE_ENV", "ROOT", "SetupError", "blender_env", "bridge_python", "check_blender", "ensure_blender",
           "ensure_bridge", "ensure_extra", "venv_python"]

ROOT: Final = Path(__file__).resolve().parent.parent
BRIDGE_ENV: Final = ROOT / ".venv"
CONSTRAINTS: Final = ROOT / "constraints.txt"
EXTRAS: Final = ("text", "face", "film", "video", "credentials", "encoders", "metrics", "dev")
TORCH: Final = "torch==2.13.0"
TORCH_INDEX: Final = "UNDERSTUDY_TORCH_INDEX"
"""Environment variable with the address of a package index for torch alone, such as PyTorch's own for the CPU or for CUDA."""
BLENDER_VERSION: Final = "5.0.1"
STAMP: Final = "understudy.stamp"

DEBIAN_PACKAGES: Final = {
    # soname: the package that brings it on Debian and Ubuntu
    "libX11": "libx11-6", "libXrender": "libxrender1", "libXfixes": "libxfixes3", "libXi": "libxi6",
    "libXxf86vm": "libxxf86vm1", "libxkbcommon": "libxkbcommon0", "libSM": "libsm6", "libICE": "libice6",
    "libGL": "libgl1", "libEGL": "libegl1",
}


class SetupError(Exception):
    """Something on this machine stands in the way; the text is one or two sentences for the user."""


def venv_python(folder: Path) -> Path:
    """The interpreter of a virtual environment, whether or not it exists."""
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def bridge_python() -> Path:
    """Python of the bridge and the tests."""
    return venv_python(BRIDGE_ENV)


def blender_env(version: str = BLENDER_VERSION) -> Path:
    """Folder of the environment with one version of Blender's module; the default has the short name."""
    return ROOT / (".venv-blender" if version == BLENDER_VERSION else f".venv-blender-{version}")


def python311() -> list[str]:
    """A command that starts CPython 3.11.

    :raises SetupError: when there is none.
    """
    if sys.version_info[:2] == (3, 11):
        return [sys.executable]
    candidates = [["py", "-3.11"]] if os.name == "nt" else [["python3.11"]]
    for command in candidates:
        if shutil.which(command[0]) and _answers(command):
            return command
    raise SetupError(
        f"This is Python {platform.python_version()}, but Blender's module exists for Python 3.11 only, and no python3.11 "
        "was found. Install Python 3.11 (python.org, your package manager, pyenv or uv) and run the same command again.")


def _answers(command: list[str]) -> bool:
    probe = [*command, "-c", "import sys; raise SystemExit(sys.version_info[:2] != (3, 11))"]
    return subprocess.run(probe, capture_output=True).returncode == 0


def _constraints_for_blender() -> list[str]:
    """The pins with those lines replaced that Blender's Python needs otherwise."""
    lines = CONSTRAINTS.read_text(encoding="utf-8").splitlines()
    other = [line.partition(":")[2].strip() for line in lines if line.startswith("# blender:")]
    replaced = {pin.partition("==")[0].lower() for pin in other}
    pins = [line for line in lines if line and not line.startswith("#") and line.partition("==")[0].lower() not in replaced]
    return [*pins, *other]


def _stamp(*parts: str) -> str:
    digest = hashlib.sha256()
    for part in (*parts, platform.machine(), sys.platform):
        digest.update(part.encode() + b"\0")
    return digest.hexdigest()


def _create(folder: Path) -> None:
    python = venv_python(folder)
    if python.exists() and _answers([str(python)]):
        return
    if folder.exists():
        shutil.rmtree(folder)
    print(f"Creating {folder.name}", flush=True)
    if subprocess.run([*python311(), "-m", "venv", str(folder)]).returncode:
        raise SetupError(f"Python could not create {folder.name}. On Debian and Ubuntu install python3.11-venv, then run the "
                         "same command again.")


def _pip(folder: Path, constraints: Path, *arguments: str, quiet: bool = False) -> bool:
    command = [str(venv_python(folder)), "-m", "pip", "install", "--disable-pip-version-check", "--no-input", "-q",
               "-c", str(constraints), *arguments]
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    if done.returncode and not quiet:
        sys.stderr.write(done.stderr[-4000:])
    return done.returncode == 0


def _installed(folder: Path, name: str) -> str | None:
    code = f"import importlib.metadata as m; print(m.version({name!r}))"
    done = subprocess.run([str(venv_python(folder)), "-c", code], capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else None


def _install_torch() -> bool:
    """torch by its exact version, before anything that would choose one: the CPU build unless one is there already.

    A general package index's Linux build can bring gigabytes of CUDA along, so the CPU build is asked for by name first;
    ``$UNDERSTUDY_TORCH_INDEX`` decides where it is set.
    """
    if (found := _installed(BRIDGE_ENV, "torch")) and found.partition("+")[0] == TORCH.partition("==")[2]:
        return True
    if index := os.environ.get(TORCH_INDEX):
        print(f"Installing {TORCH} from the index in {TORCH_INDEX}", flush=True)
        return _pip(BRIDGE_ENV, CONSTRAINTS, TORCH, "--index-url", index)
    print(f"Installing {TORCH}", flush=True)
    if sys.platform == "linux" and _pip(BRIDGE_ENV, CONSTRAINTS, f"{TORCH}+cpu", quiet=True):
        return True
    return _pip(BRIDGE_ENV, CONSTRAINTS, TORCH)


def ensure_bridge() -> Path:
    """Make or update ``.venv`` when it is missing or the pins have changed.

    :returns: its Python.
    :raises SetupError: when pip cannot install.
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    stamp = _stamp(CONSTRAINTS.read_text(encoding="utf-8"), TORCH, repr(EXTRAS),
                   *(repr(project[k]) for k in ("dependencies", "optional-dependencies", "scripts", "entry-points")))
    file = BRIDGE_ENV / STAMP
    if not (file.is_file() and file.read_text() == stamp and venv_python(BRIDGE_ENV).exists()):
        _create(BRIDGE_ENV)
        extras = ",".join(EXTRAS)
        if not _install_torch():
            raise SetupError("torch could not be installed; pip's message is above. Check the network and run again.")
        print("Installing the bridge and its tests", flush=True)
        if not (_pip(BRIDGE_ENV, CONSTRAINTS, TORCH, "setuptools")
                and _pip(BRIDGE_ENV, CONSTRAINTS, TORCH, "--no-build-isolation", "-e", f".[{extras}]")):
            raise SetupError("The bridge's packages could not be installed; pip's message is above. Check the network and run "
                             "the same command again; it goes on where it stopped.")
        file.write_text(stamp)
    return venv_python(BRIDGE_ENV)


def ensure_extra(extra: str, module: str) -> None:
    """Add an optional extra of pyproject.toml to ``.venv`` when ``module`` cannot be imported there.

    :raises SetupError: when pip cannot install it.
    """
    probe = [str(venv_python(BRIDGE_ENV)), "-c", f"import {module}"]
    if subprocess.run(probe, capture_output=True).returncode == 0:
        return
    print(f"Installing what 'understudy[{extra}]' needs", flush=True)
    if not _pip(BRIDGE_ENV, CONSTRAINTS, TORCH, "--no-build-isolation", "-e", f".[{extra}]"):
        raise SetupError(f"The packages of 'understudy[{extra}]' could not be installed; pip's message is above.")


def ensure_blender(version: str = BLENDER_VERSION) -> Path:
    """Make or update the environment that holds Blender's module.

    :returns: its Python.
    :raises SetupError: when pip cannot install, or system libraries are missing.
    """
    folder = blender_env(version)
    pins = [pin for pin in _constraints_for_blender() if not pin.startswith("bpy==")]
    needed = [f"bpy=={version}", "numpy", "pyzmq", "pytest", "pytest-timeout", "hypothesis"]
    stamp = _stamp(*pins, *needed)
    file = folder / STAMP
    if not (file.is_file() and file.read_text() == stamp and venv_python(folder).exists()):
        _create(folder)
        print(f"Installing Blender {version} as a Python module", flush=True)
        constraints = folder / "constraints.txt"
        constraints.write_text("\n".join(pins) + "\n", encoding="utf-8")
        if not _pip(folder, constraints, *needed):
            raise SetupError(f"Blender's module bpy {version} could not be installed; pip's message is above. It exists for "
                             "Linux x86-64, Windows x86-64 and macOS; check the network and run again.")
        check_blender(folder)
        file.write_text(stamp)
    return venv_python(folder)


def check_blender(folder: Path) -> None:
    """Import bpy once in its own process. :raises SetupError: naming the packages to install."""
    done = subprocess.run([str(venv_python(folder)), "-c", "import bpy"], capture_output=True, text=True)
    if done.returncode == 0:
        return
    text = done.stderr + done.stdout
    if missing := [p for soname, p in DEBIAN_PACKAGES.items() if f"{soname}.so" in text and "cannot open" in text]:
        others = " ".join(sorted({*DEBIAN_PACKAGES.values(), "libgl1-mesa-dri"}))
        raise SetupError(f"Blender's module needs the system library {missing[0]}, which is not installed. On Debian and "
                         f"Ubuntu run: sudo apt-get install {others}")
    raise SetupError(f"Blender's module does not start: {text.strip().splitlines()[-1] if text.strip() else 'no message'}")
