#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Everything one does with this repository, on Linux, macOS and Windows, with nothing but Python 3.11.

    python tools/dev.py demo [--audio my.wav] [--directions my.json] [--character my.blend] [--blender /path/to/blender]
    python tools/dev.py test [pytest arguments]
    python tools/dev.py test-all | test-wheels | test-real | addon | bench | ui | film | weights | clean
    python tools/dev.py soak | stress | fuzz [--scale 0.1]

The environments are made under .venv and .venv-blender on first use and updated when constraints.txt changes.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import environments as env  # noqa: E402  (stands beside this file)

OTHER_VERSIONS = ("4.2.23", "4.5.15")
"""Of Blender's module, beside the one that ``test`` uses."""
TESTED_EXTRAS = {"body": "smplx", "board": "tensorboard"}
"""Optional extras of pyproject.toml that tests need, and what each brings. smplx is for non-commercial research use."""


def run(command: list[str], **extra: str) -> int:
    """Run from the repository's root with ``extra`` environment variables; the exit code."""
    try:
        return subprocess.run(command, cwd=env.ROOT, env={**os.environ, **extra}).returncode
    except KeyboardInterrupt:
        return 130


def _blender_needed(arguments: list[str]) -> bool:
    """A Blender of the user's own makes the wheel unnecessary."""
    return not (os.environ.get("BLENDER") or any(a.split("=")[0] == "--blender" for a in arguments))


def demo(arguments: list[str]) -> int:
    """Speech and directions to a performing character: out/demo. With FILM=1 also a film of a portrait: out/demo/film."""
    python = env.ensure_bridge()
    extra = {"UNDERSTUDY_BLENDER_PYTHON": str(env.ensure_blender())} if _blender_needed(arguments) else {}
    code = run([str(python), "-X", "utf8", "tools/demo.py", *arguments], **extra)
    if code or os.environ.get("FILM", "0") in ("", "0"):
        return code
    out = Path(os.environ.get("OUT") or env.ROOT / "out/demo")
    return run([str(python), "-X", "utf8", "tools/film.py", "--motion", str(out / "motion.npz"), "--out", str(out / "film")], **extra)


def test(arguments: list[str]) -> int:
    """All tests; those that import bpy run in Blender's Python. UNDERSTUDY_EXTRAS=body,board adds what is tested with optional packages."""
    python, blender = env.ensure_bridge(), env.ensure_blender()
    for extra in filter(None, os.environ.get("UNDERSTUDY_EXTRAS", "").split(",")):
        if extra not in TESTED_EXTRAS:
            raise env.SetupError(f"There are no tests of the extra {extra!r}. UNDERSTUDY_EXTRAS takes {', '.join(TESTED_EXTRAS)}.")
        env.ensure_extra(extra, TESTED_EXTRAS[extra])
    return run([str(python), "-m", "pytest", *arguments], UNDERSTUDY_BLENDER_PYTHON=str(blender))


def test_all(arguments: list[str]) -> int:
    """The tests against every supported version of Blender's module; those that know nothing of Blender once."""
    python, blender = env.ensure_bridge(), env.ensure_blender()
    others = {version: env.ensure_blender(version) for version in OTHER_VERSIONS}
    print(f"\n=== All tests, with Blender {env.BLENDER_VERSION}; beside them those in Blender {' and '.join(others)} ===", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        # one after the other beside the main run: two cores are enough
        chain = threading.Thread(target=lambda: [_in_blender(python, b, Path(folder) / v, arguments) for v, b in others.items()])
        chain.start()
        failed = [env.BLENDER_VERSION] if run([str(python), "-m", "pytest", *arguments], UNDERSTUDY_BLENDER_PYTHON=str(blender)) else []
        chain.join()
        failed += _report(Path(folder))
    print(f"\nFailed with Blender {', '.join(failed)}" if failed else "\nPassed with every version of Blender", flush=True)
    return bool(failed)


def test_wheels(arguments: list[str]) -> int:
    """What test-all adds to test: the tests that run in Blender, in the other versions, side by side. Ends with pytest's own lines."""
    python = env.ensure_bridge()
    others = {version: env.ensure_blender(version) for version in OTHER_VERSIONS}
    print(f"\n=== The tests in Blender {' and '.join(others)} ===", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        runs = [threading.Thread(target=_in_blender, args=(python, blender, Path(folder) / version, arguments))
                for version, blender in others.items()]
        for one in runs:
            one.start()
        for one in runs:
            one.join()
        return bool(_report(Path(folder)))


def _report(folder: Path) -> list[str]:
    """Print what the runs in other versions said, failed ones last; the failed versions."""
    done = {version: json.loads((folder / version).read_text(encoding="utf-8")) for version in OTHER_VERSIONS}
    for version in sorted(done, key=lambda v: bool(done[v][0])):
        print(f"\n=== Blender {version} ===\n{done[version][1]}", end="", flush=True)
    return [version for version, (code, _) in done.items() if code]


def _in_blender(python: Path, blender: Path, result: Path, arguments: list[str]) -> None:
    """The tests that run in one version of Blender; exit code and output go to a file."""
    done = subprocess.run([str(python), "-m", "pytest", "-p", "no:cacheprovider", *arguments], cwd=env.ROOT, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, encoding="utf-8", errors="replace",
                          env={**os.environ, "UNDERSTUDY_BLENDER_PYTHON": str(blender), "UNDERSTUDY_BLENDER_ONLY": "1"})
    result.write_text(json.dumps([done.returncode, done.stdout]), encoding="utf-8")


def addon(arguments: list[str]) -> int:
    """Build the extension, and note for it where the bridge is."""
    python = env.ensure_bridge()
    if code := run([str(python), "build_addon.py", *arguments]):
        return code
    sys.path.insert(0, str(env.ROOT))
    from shared.state import state_dir  # standard library only

    folder = state_dir()
    folder.mkdir(parents=True, exist_ok=True)
    record = {"python": str(python), "folder": str(env.ROOT)}
    (folder / "install.json").write_text(json.dumps(record), encoding="utf-8")
    print("Install the zip in Blender: Edit > Preferences > Add-ons > Install from Disk. It will find the bridge here.")
    return 0


def bench(arguments: list[str]) -> int:
    """The table of benchmarks/results.json."""
    python, blender = env.ensure_bridge(), env.ensure_blender()
    return run([str(python), "-m", "benchmarks.run", *arguments], UNDERSTUDY_BLENDER_PYTHON=str(blender))


def _stress(what: list[str], arguments: list[str]) -> int:
    """A long test of the bridge; it ends by itself and its figures go to benchmarks/results.json."""
    if os.name == "nt":
        raise env.SetupError("The long tests of the bridge bound memory and send signals as POSIX does. Run them on Linux or macOS.")
    return run([str(env.ensure_bridge()), "-m", "tests.stress", *what, *arguments], OMP_NUM_THREADS="1")


def soak(arguments: list[str]) -> int:
    """10,000 jobs through one bridge, with memory looked at."""
    return _stress(["soak"], arguments)


def stress(arguments: list[str]) -> int:
    """200 clients at once; worker, bridge and client killed 100 times."""
    return _stress(["clients", "kill", "latency"], arguments)


def fuzz(arguments: list[str]) -> int:
    """More than a million spoiled messages for the decoder and a bridge."""
    env.ensure_bridge()
    if os.name != "nt":
        env.ensure_extra("fuzz", "atheris")
    return _stress(["fuzz"], arguments)


def ui(arguments: list[str]) -> int:
    """Pictures of the panel in a real Blender with a window."""
    python, blender = env.ensure_bridge(), env.ensure_blender()
    return run([str(python), "tools/ui.py", *arguments], UNDERSTUDY_BLENDER_PYTHON=str(blender))


def test_real(arguments: list[str]) -> int:
    """The add-on in Blender as a program, of Debian's suite BLENDER_SUITE (sid: 5.2 LTS; trixie: 4.3)."""
    return run([str(env.ensure_bridge()), "tools/real.py", *arguments])


def film(arguments: list[str]) -> int:
    """Ten seconds of film of a portrait and of a whole body with the demo's speech: out/film."""
    return run([str(env.ensure_bridge()), "-X", "utf8", "tools/film.py", *arguments],
               UNDERSTUDY_BLENDER_PYTHON=str(env.ensure_blender()))


def weights(arguments: list[str]) -> int:
    """Train a shipped set again: DATA=folder [CONFIG=starter] [FOLDER=runs/starter] [--device cuda --bf16]; resumes where it stopped."""
    config = os.environ.get("CONFIG") or "starter"
    data = os.environ.get("DATA") or str(env.ROOT.parent / "shared" / "data")
    folder = os.environ.get("FOLDER") or str(env.ROOT / "runs" / config)
    if not (Path(data) / "cmu_text").is_dir():
        raise env.SetupError(f"There is no motion data in {data}. Name its folder with DATA=; docs/training.md says what it holds.")
    bridge = [str(env.ensure_bridge()), "-m", "bridge_server"]
    recipe = ["--config", config, "--data", data, "--folder", folder, *arguments]
    steps = [["synthesize", "--data", data, "--out", f"{folder}/speech", "--minutes", "200", "--seed", "7"],
             ["train", "all", *recipe], ["train", "release", *recipe]]
    return next((code for step in steps if (code := run([*bridge, *step]))), 0)


def clean(arguments: list[str]) -> int:
    """Remove what was made: outputs and caches, with --all the environments too."""
    folders = [env.ROOT / name for name in ("out", "build", "dist", ".pytest_cache", ".mypy_cache", ".hypothesis")]
    folders += [p for room in ("shared", "bridge_server", "blender_addon", "tests", "tools", "benchmarks")
                for p in (env.ROOT / room).rglob("__pycache__")]
    if "--all" in arguments:
        folders += [env.BRIDGE_ENV, *env.ROOT.glob(".venv-blender*")]
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
    return 0


COMMANDS = {"demo": demo, "test": test, "test-all": test_all, "test-wheels": test_wheels, "test-real": test_real, "addon": addon,
            "bench": bench, "soak": soak, "stress": stress, "fuzz": fuzz, "ui": ui, "film": film, "weights": weights, "clean": clean}


def main(arguments: list[str]) -> int:
    """:returns: the exit code."""
    if not arguments or arguments[0] not in COMMANDS:
        print(__doc__.strip() if __doc__ else "", file=sys.stderr)
        for name, command in COMMANDS.items():
            print(f"  {name:11} {(command.__doc__ or '').strip()}", file=sys.stderr)
        return 0 if arguments[:1] in (["-h"], ["--help"]) else 2
    try:
        return COMMANDS[arguments[0]](arguments[1:])
    except env.SetupError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
