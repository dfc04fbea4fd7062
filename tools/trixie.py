# SPDX-License-Identifier: Apache-2.0
"""A Blender with a window: that of a Debian suite (trixie: 4.3; sid: 5.2 LTS) in a folder of its own, under a virtual display."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

__all__ = ["DISPLAY_SIZE", "SUITES", "CannotRun", "blender", "chroot", "display", "install", "screenshot"]

HOST_PACKAGES: Final = {"debootstrap": "debootstrap", "Xvfb": "xvfb", "xdotool": "xdotool", "import": "imagemagick",
                        "xdpyinfo": "x11-utils"}
PACKAGES: Final = ("blender", "libgl1-mesa-dri", "libegl1", "libgl1", "python3-numpy", "python3-zmq")
SUITES: Final = {"trixie": (), "sid": ("python3-cattr", "python3-requests")}
"""Debian's suites, and what Blender needs there besides. trixie stays as it is; sid moves on, so that it serves for trials."""
DISPLAY_SIZE: Final = (1600, 1000)


class CannotRun(Exception):
    """Why there can be no pictures here."""


def _run(*command: str, quiet: bool = True) -> None:
    done = subprocess.run(command, stdout=subprocess.PIPE if quiet else None, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        raise CannotRun(f"{' '.join(command[:3])} ended with {done.returncode}: {(done.stdout or '').strip()[-300:]}")


def _host_tools() -> None:
    if sys.platform != "linux" or not hasattr(os, "geteuid") or os.geteuid() != 0:
        raise CannotRun("a second Debian in a folder needs root on Linux")
    missing = [package for tool, package in HOST_PACKAGES.items() if shutil.which(tool) is None]
    if missing:
        if shutil.which("apt-get") is None:
            raise CannotRun(f"{' '.join(missing)} are not installed, and there is no apt-get")
        _run("apt-get", "update", "-q")
        _run("env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "-y", "-q", "--no-install-recommends", *missing)


def _mirror() -> str:
    """The archive that this machine's apt uses already."""
    done = subprocess.run(["apt-get", "indextargets", "--format", "$(SITE) $(REPO_URI)"], capture_output=True, text=True)
    uris = [line.split()[-1] for line in done.stdout.splitlines() if line.strip() and "security" not in line]
    debian = [uri for uri in uris if uri.rstrip("/").endswith("debian")]
    if not debian:
        raise CannotRun("apt names no Debian archive on this machine")
    return debian[0]


def chroot(suite: str = "trixie") -> Path:
    """The folder with a suite of :data:`SUITES` and its Blender, made on first use in the user's cache.

    :raises CannotRun: with the reason.
    """
    if suite not in SUITES:
        raise CannotRun(f"{suite!r} is none of the suites {', '.join(SUITES)}")
    _host_tools()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "understudy"
    root, ready = cache / suite, cache / suite / ".understudy-ready"
    if ready.exists():
        return root
    cache.mkdir(parents=True, exist_ok=True)
    print(f"Making a Debian {suite} with Blender in {root} (about 1.7 GB)", flush=True)
    shutil.rmtree(root, ignore_errors=True)
    _run("debootstrap", "--variant=minbase", suite, str(root), _mirror())
    _run("chroot", str(root), "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "-y", "-q",
         "--no-install-recommends", *PACKAGES, *SUITES[suite])
    ready.touch()
    return root


def install(root: Path, *packages: str) -> None:
    """Packages that a task needs there besides. :raises CannotRun: when they cannot be had."""
    done = subprocess.run(["chroot", str(root), "dpkg-query", "-W", "-f", "${db:Status-Status}\n", *packages], capture_output=True,
                          text=True)
    if done.returncode or set(done.stdout.split()) != {"installed"}:
        _run("chroot", str(root), "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "-y", "-q",
             "--no-install-recommends", *packages)


def blender(root: Path, environment: dict[str, str], *arguments: str, seconds: float = 900.0) -> list[str]:
    """The command that runs the Blender there, ended after so many seconds."""
    variables = [f"{k}={v}" for k, v in environment.items()]
    return ["chroot", str(root), "env", *variables, "timeout", "-s", "KILL", str(int(seconds)), "blender", *arguments]


@contextmanager
def display(number: int = 72) -> Iterator[dict[str, str]]:
    """A virtual display; gives the environment for programs that use it."""
    name = f":{number}"
    width, height = DISPLAY_SIZE
    server = subprocess.Popen(["Xvfb", name, "-screen", "0", f"{width}x{height}x24", "+extension", "GLX", "-nolisten", "tcp"],
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield {"DISPLAY": name, "LIBGL_ALWAYS_SOFTWARE": "1", "XDG_RUNTIME_DIR": "/tmp", "LANG": "C.UTF-8"}
    finally:
        server.terminate()
        server.wait()


def screenshot(environment: dict[str, str], path: Path) -> None:
    """The whole display as a PNG; taken from X, because Blender's own operator gives black pictures without a GPU."""
    _run("env", f"DISPLAY={environment['DISPLAY']}", "import", "-window", "root", "-strip", str(path))
