# SPDX-License-Identifier: Apache-2.0
"""``understudy doctor``: what is installed, what is missing, and the repair of each."""

from __future__ import annotations

import argparse
import hashlib
import importlib
import importlib.metadata
import importlib.util
import json
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import psutil

from bridge_server import __version__
from bridge_server.cli import options
from bridge_server.cli.client import connect
from shared.errors import UnderstudyError
from shared.protocol import PROTOCOL_VERSION
from shared.state import read_record

__all__ = ["Finding", "add_parser", "examine"]

NEEDED: Final = {
    "numpy": "numpy",
    "scipy": "scipy",
    "torch": "torch",
    "transformers": "transformers",
    "safetensors": "safetensors",
    "av": "av",
    "zmq": "pyzmq",
    "psutil": "psutil",
}
"""Module: the distribution that carries it."""
OPTIONAL: Final = {
    "pocketsphinx": ("pocketsphinx", "lip sync from a transcript", "pip install 'understudy[face]'"),
    "onnxruntime": ("onnxruntime", "faces by Audio2Face models that you have", "pip install 'understudy[a2f]'"),
    "smplx": ("smplx", "bodies of SMPL-X model files that you have", "pip install 'understudy[body]'"),
    "c2pa": ("c2pa-python", "signed content credentials in films", "pip install 'understudy[credentials]'"),
    "tensorboard": ("tensorboard", "curves of training runs", "pip install 'understudy[board]'"),
    "ray": ("ray", "workers on several machines", "pip install 'understudy[ray]'"),
    "diffusers": ("diffusers", "films by a diffusion model", "pip install 'understudy[video]'"),
}
GOOD, NOTE, BAD = "ok", "note", "problem"


@dataclass
class Finding:
    """One line of the report.

    :ivar area: Python, packages, tools, devices, generators, face routes, film renderers, weights, text encoder, folders, bridge.
    :ivar state: ok, note (works, but know this) or problem.
    :ivar fix: what to do; empty when there is nothing to do.
    """

    area: str
    state: str
    text: str
    fix: str = ""


def _python() -> Iterator[Finding]:
    text = (
        f"Python {platform.python_version()} ({sys.executable}) on {platform.platform()}, {os.cpu_count()} processors, "
        f"{psutil.virtual_memory().total / 2**30:.0f} GB of memory"
    )
    right = sys.version_info[:2] == (3, 11)
    yield Finding(
        "Python", GOOD if right else NOTE, text, "" if right else "Understudy is tested with Python 3.11; use that."
    )
    yield Finding("Python", GOOD, f"understudy {__version__}, protocol {PROTOCOL_VERSION}")


def _packages() -> Iterator[Finding]:
    for module, distribution in NEEDED.items():
        try:
            importlib.import_module(module)
            yield Finding("packages", GOOD, f"{distribution} {importlib.metadata.version(distribution)}")
        except importlib.metadata.PackageNotFoundError:
            yield Finding("packages", NOTE, f"{distribution} is there, but not installed by pip")
        except ImportError as error:
            yield Finding(
                "packages",
                BAD,
                f"{distribution} cannot be imported ({error})",
                f"Run: {sys.executable} -m pip install {distribution}",
            )
    for module, (distribution, purpose, command) in OPTIONAL.items():
        if importlib.util.find_spec(module) is not None:
            yield Finding("packages", GOOD, f"{distribution} {_version(distribution)} ({purpose})")
        else:
            yield Finding(
                "packages",
                NOTE,
                f"{distribution} is not installed; without it: no {purpose}",
                f"If you want it: {command}",
            )


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return "(not installed by pip)"


def _tools() -> Iterator[Finding]:
    """Programs beside Python that some things use, where they are there."""
    from bridge_server.face import espeak
    from bridge_server.synthesis import flite

    for name, there, purpose, package in (
        ("espeak-ng", espeak.available(), "sounds of words that are in no dictionary; synthetic speech", "espeak-ng"),
        ("flite", flite.available(), "synthetic speech to train with", "flite"),
        ("festival", shutil.which("festival") is not None, "synthetic speech to train with", "festival"),
    ):
        if there:
            yield Finding("tools", GOOD, f"{name} ({purpose})")
        else:
            yield Finding("tools", NOTE, f"{name} is not installed; without it: no {purpose}",
                          f"If you want it, install your system's package {package}.")


def _face_routes() -> Iterator[Finding]:
    from bridge_server.face import routes

    named = routes.available()
    for name in named:
        default = " (the default)" if name == "rules" else ""
        try:
            routes.load(name)
        except UnderstudyError as error:
            yield Finding("face routes", NOTE, f"{name}{default} cannot run here: {error.message}", error.fix)
        except Exception as error:  # another package's route may fail in any way, and the report goes on
            why = f"{type(error).__name__}: {error}"
            yield Finding("face routes", NOTE, f"{name} cannot be loaded ({why})", "Repair or remove its package.")
        else:
            yield Finding("face routes", GOOD, f"{name}{default}")
    if "audio2face" not in named:
        yield Finding("face routes", NOTE, "audio2face is not set up", f"If you have an Audio2Face-3D v2 model: start the bridge with "
                      f"{routes.AUDIO2FACE} set to its folder.")


def _devices() -> Iterator[Finding]:
    import torch

    yield Finding("devices", GOOD, f"cpu: {torch.get_num_threads()} threads, torch {torch.__version__}")
    for n in range(torch.cuda.device_count()):
        free, total = torch.cuda.mem_get_info(n)
        yield Finding(
            "devices",
            GOOD,
            f"cuda:{n}: {torch.cuda.get_device_name(n)}, {free / 2**30:.1f} of {total / 2**30:.1f} GB free",
        )
    if torch.backends.mps.is_available():
        yield Finding("devices", GOOD, "mps: Apple GPU")
    if shutil.which("nvidia-smi") and not torch.cuda.is_available():
        yield Finding(
            "devices",
            NOTE,
            "there is an NVIDIA driver, but this torch was built without CUDA or cannot reach it",
            "Install the CUDA build of torch; the README gives the command.",
        )


def _generators() -> Iterator[Finding]:
    from bridge_server.motion import generator

    for item in generator.describe_all():
        default = " (the default)" if item.name == generator.DEFAULT else ""
        source = f" [{item.source}]" if item.source else ""
        terms = f"; licence {item.licence or 'not stated'}{', non-commercial use only' if item.non_commercial else ''}"
        if item.runs_here:
            yield Finding("generators", GOOD, f"{item.name}{default}: {item.summary or 'no summary'}{terms}{source}")
            if item.needs:
                yield Finding("generators", GOOD, f"  needs: {item.needs}")
        else:
            # without the default nothing is performed; of the others the user may not want any
            state = BAD if item.name == generator.DEFAULT else NOTE
            yield Finding("generators", state, f"{item.name}{default} cannot run here: {item.why_not}{terms}{source}", item.needs)


def _renderers() -> Iterator[Finding]:
    from bridge_server.video import renderers

    for item in renderers.describe_all():
        default = " (the default)" if item.name == renderers.DEFAULT else ""
        if item.runs_here:
            yield Finding("film renderers", GOOD, f"{item.name}{default}: {item.summary}")
        else:
            yield Finding("film renderers", NOTE, f"{item.name}{default} cannot run here: {item.why_not}", item.needs)


def _weights() -> Iterator[Finding]:
    from bridge_server.audio.encoder import load_audio_encoder
    from bridge_server.motion import weights
    from bridge_server.text.encoder import load_text_encoder

    folders = [weights.SHIPPED, *([Path(own)] if (own := os.environ.get("UNDERSTUDY_WEIGHTS")) else [])]
    sets = sorted(card.parent for folder in folders for card in folder.glob("*/card.json"))
    if not sets:
        yield Finding(
            "weights",
            BAD,
            f"there are no weights in {', '.join(map(str, folders))}",
            "Take the whole repository, with the folder bridge_server/weights, or run 'make weights'.",
        )
    encoders: dict[tuple[str, str], Path] = {}
    hearing: dict[str, tuple[dict[str, Any], Path]] = {}
    for folder in sets:
        try:
            card = weights.read_card(folder)
            weights.load_networks(folder)
        except UnderstudyError as error:
            yield Finding("weights", BAD, error.message, error.fix)
            continue
        terms = ", non-commercial use only" if card.get("non_commercial") else ""
        yield Finding(
            "weights", GOOD, f"{folder.name} {card.get('version', '')}: licence {card.get('licence')}{terms}; {folder}"
        )
        for name, digest in card["files"].items():
            content = (folder / name).read_bytes()
            found = hashlib.sha256(content).hexdigest()
            text = f"  {name} {len(content) / 2**20:.1f} MB sha256 {found}"
            if found == digest:
                yield Finding("weights", GOOD, text)
            else:
                yield Finding("weights", BAD, f"{text}, not {digest} as its card says", "Fetch the weights again.")
        if encoder := card.get("text_encoder"):
            encoders[encoder["name"], encoder["sha256"]] = folder
        if (audio := card.get("audio_encoder", {"name": "mel"}))["name"] != "mel":
            hearing[audio["sha256"]] = audio, folder
    for (name, digest), user in encoders.items():
        try:
            load_text_encoder(name, None, "cpu", digest, user)
            yield Finding("text encoder", GOOD, f"{name} (for {user.name}) sha256 {digest}")
        except UnderstudyError as error:
            yield Finding("text encoder", BAD, error.message, error.fix)
    for audio, user in hearing.values():
        try:
            load_audio_encoder(audio["name"], sha256=audio["sha256"], layer=audio["layer"], beside=user)
            yield Finding("audio encoder", GOOD, f"{audio['name']} (for {user.name}) sha256 {audio['sha256']}")
        except UnderstudyError as error:
            yield Finding("audio encoder", BAD, error.message, error.fix)


def _folders(state_dir: Path) -> Iterator[Finding]:
    for name, folder in (("state", state_dir), ("logs", state_dir / "logs"), ("jobs", state_dir / "jobs")):
        place = next(p for p in (folder, *folder.parents) if p.exists())
        try:
            with tempfile.TemporaryFile(dir=place):
                free = shutil.disk_usage(place).free / 2**30
        except OSError as error:
            yield Finding(
                "folders",
                BAD,
                f"{name}: {folder} cannot be written ({error.strerror})",
                "Make it writable, or set UNDERSTUDY_STATE_DIR to another folder.",
            )
            continue
        yield Finding(
            "folders",
            GOOD if free > 1 else NOTE,
            f"{name}: {folder}{'' if folder.exists() else ' (made when needed)'}, {free:.0f} GB free",
            "" if free > 1 else "Free some space.",
        )


def _bridge(state_dir: Path) -> Iterator[Finding]:
    record = read_record(state_dir)
    if record is None:
        yield Finding("bridge", GOOD, "not running; Blender or 'understudy generate' starts it when needed")
        return
    try:
        with connect(state_dir) as client:
            facts = client.hello()
    except UnderstudyError as error:
        yield Finding("bridge", NOTE, error.message, error.fix)
        return
    text = f"process {facts['pid']} at {record.address}, {facts['state']}, release {facts['bridge']}, log {record.log}"
    if facts.get("error"):
        yield Finding("bridge", BAD, f"{text}: {facts['error']['message']}", facts["error"]["fix"])
    elif facts["bridge"] != __version__:
        yield Finding(
            "bridge", NOTE, text, "It is of another release than this command; stop it with 'understudy stop'."
        )
    else:
        yield Finding("bridge", GOOD, text)


def examine(state_dir: Path) -> Iterator[Finding]:
    """All findings; an area that cannot be examined is itself a problem, and the others are still looked at."""
    areas: list[tuple[str, Callable[[], Iterator[Finding]]]] = [
        ("Python", _python),
        ("packages", _packages),
        ("tools", _tools),
        ("devices", _devices),
        ("generators", _generators),
        ("face routes", _face_routes),
        ("film renderers", _renderers),
        ("weights", _weights),
        ("folders", lambda: _folders(state_dir)),
        ("bridge", lambda: _bridge(state_dir)),
    ]
    for area, look in areas:
        try:
            yield from look()
        except ImportError as error:
            yield Finding(area, BAD, f"cannot be examined ({error})", "Repair the packages above first.")


def add_parser(subparsers: Any) -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        "doctor",
        help="check this installation and say how to repair it",
        description="Print versions, devices, weights with hashes and licences, folders, and the fix of what is wrong. "
        "The exit code is 1 when there is a problem.",
    )
    options.add_state(parser)
    parser.add_argument("--json", action="store_true", help="for programs")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the report; returns 1 when there is a problem."""
    findings = []
    area = ""
    for finding in examine(options.folder(arguments)):
        findings.append(finding)
        if arguments.json:
            continue
        if finding.area != area:
            area = finding.area
            print(area)
        mark = {GOOD: "  ", NOTE: "- ", BAD: "! "}[finding.state]
        print(f"  {mark}{finding.text}")
        if finding.fix:
            print(f"      {finding.fix}")
    problems = sum(f.state == BAD for f in findings)
    if arguments.json:
        print(json.dumps([asdict(f) for f in findings], indent=1))
    else:
        print(f"\n{problems} problem{'' if problems == 1 else 's'} found." if problems else "\nAll is well.")
    return 1 if problems else 0
