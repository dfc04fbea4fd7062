# SPDX-License-Identifier: GPL-3.0-or-later
"""Build the extension: a zip that Blender's Preferences install.

    python build_addon.py [--out dist] [--wheels FOLDER | --download-wheels] [--platform linux-x64 …]

The zip holds ``blender_addon/`` with a copy of ``shared/`` in the place of the redirect, the manifest at its top, and
unmodified wheels of pyzmq. Blender's own Python has no pyzmq, so a zip without wheels works only where one was installed
by other means (Debian's Blender, the ``bpy`` wheel).

The wheels: pyzmq publishes ``cp311`` and ``cp312-abi3``. Blender derives the Pythons that an extension supports from the
tags of its wheels and takes ``abi3`` for none, so that the two together would be refused on Python 3.13 (Blender 5.1 and
later). Therefore one zip is built per Python: 3.11 for Blender 4.2 to 5.0 and 3.13 for 5.1 and later, each with the
manifest's range of Blender versions to match.
"""

from __future__ import annotations

import argparse
import importlib.util
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent
SOURCE = ROOT / "blender_addon"
PYZMQ = "pyzmq==27.3.0"
FIXED_TIME = (2026, 1, 1, 0, 0, 0)
"""Of every entry in the zip, so that the same source gives the same bytes."""
PIP_PLATFORMS = {
    "linux-x64": ("manylinux_2_28_x86_64", "manylinux_2_26_x86_64", "manylinux2014_x86_64", "manylinux_2_17_x86_64"),
    "windows-x64": ("win_amd64",),
    "macos-arm64": ("macosx_11_0_arm64", "macosx_10_15_universal2"),
    "macos-x64": ("macosx_10_15_universal2", "macosx_10_15_x86_64"),
}
"""Blender's names of platforms, and pip's tags for them."""


@dataclass(frozen=True)
class Target:
    """One Python of Blender's.

    :ivar python: its tag; :ivar wheel_tags: python-abi tags of wheels that it takes.
    :ivar first: first Blender version; :ivar last: first one that no longer fits, or "".
    """

    name: str
    python: str
    wheel_tags: tuple[str, ...]
    first: str
    last: str


TARGETS = (
    Target("blender4.2-5.0", "311", ("cp311-cp311",), "4.2.0", "5.1.0"),
    Target("blender5.1", "313", ("cp312-abi3", "cp313-cp313", "cp313-abi3"), "5.1.0", ""),
)


def stage(folder: Path) -> Path:
    """Lay the add-on as it is shipped into ``folder``; returns the folder."""
    ignore = shutil.ignore_patterns("__pycache__", "*.pyc", "wheels", ".*")
    shutil.copytree(SOURCE, folder, ignore=ignore, dirs_exist_ok=True)
    shutil.rmtree(folder / "shared")
    shutil.copytree(ROOT / "shared", folder / "shared", ignore=ignore)
    shutil.copyfile(ROOT / "LICENSES" / "GPL-3.0-or-later.txt", folder / "LICENSE")
    return folder


def version() -> str:
    """The release, from the manifest."""
    return str(tomllib.loads((SOURCE / "blender_manifest.toml").read_text(encoding="utf-8"))["version"])


def manifest(wheels: Iterable[str] = (), platforms: Iterable[str] = (), first: str = "4.2.0", last: str = "") -> str:
    """The manifest's text with wheels, platforms and the range of Blender versions set."""
    text = (SOURCE / "blender_manifest.toml").read_text(encoding="utf-8")
    bounds = f'blender_version_min = "{first}"' + (f'\nblender_version_max = "{last}"' if last else "")
    text = re.sub(r'^blender_version_min = .*$', bounds, text, flags=re.M)
    top = ""
    if platforms := list(platforms):
        top += f"platforms = {_toml_list(platforms)}\n"
    if wheels := list(wheels):
        top += f"wheels = {_toml_list(wheels)}\n"
    # tables end the top level, so these go before the first one
    return text.replace("[permissions]", f"{top}\n[permissions]", 1) if top else text


def _toml_list(items: Iterable[str]) -> str:
    return "[\n" + "".join(f'  "{item}",\n' for item in items) + "]"


def download_wheels(folder: Path, target: Target, platforms: Iterable[str]) -> list[Path]:
    """Fetch pyzmq's wheels for a Python and platforms through pip, unmodified."""
    folder.mkdir(parents=True, exist_ok=True)
    for platform in platforms:
        tags = [argument for tag in PIP_PLATFORMS[platform] for argument in ("--platform", tag)]
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:", "--python-version",
                   target.python, "--implementation", "cp", "--abi", f"cp{target.python}", "--abi", "abi3", *tags,
                   "--dest", str(folder), PYZMQ]
        subprocess.run(command, check=True)
    return sorted(folder.glob("*.whl"))


def wheels_for(folder: Path, target: Target) -> list[Path]:
    """The wheels in a folder that fit a Python."""
    return [w for w in sorted(folder.glob("*.whl")) if any(f"-{tag}-" in w.name for tag in target.wheel_tags)]


def platform_of(wheel: Path) -> list[str]:
    """Blender's platforms that a wheel serves, by its file name."""
    tag = wheel.stem.split("-")[-1]
    if "linux" in tag:
        return ["linux-x64"] if "x86_64" in tag else ["linux-arm64"]
    if tag.startswith("win"):
        return ["windows-arm64"] if "arm64" in tag else ["windows-x64"]
    if "universal2" in tag:
        return ["macos-arm64", "macos-x64"]
    return ["macos-arm64"] if "arm64" in tag else ["macos-x64"]


def build(out: Path, target: Target | None = None, wheels: Iterable[Path] = ()) -> Path:
    """Write one zip and return its path; without a target it carries no wheels and fits every Blender from 4.2 on."""
    wheels = list(wheels)
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        package = stage(Path(temporary) / "understudy")
        names = []
        for wheel in wheels:
            (package / "wheels").mkdir(exist_ok=True)
            shutil.copyfile(wheel, package / "wheels" / wheel.name)
            names.append(f"./wheels/{wheel.name}")
        platforms = sorted({p for wheel in wheels for p in platform_of(wheel)})
        text = manifest(names, platforms, target.first, target.last) if target else manifest()
        (package / "blender_manifest.toml").write_text(text, encoding="utf-8")
        path = out / f"understudy-{version()}{f'-{target.name}' if target else ''}.zip"
        write_zip(package, path)
    return path


def write_zip(folder: Path, path: Path) -> None:
    """Zip a folder's content, in one order and with one time; the file appears when it is complete."""
    temporary = path.with_suffix(".part")
    with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(p for p in folder.rglob("*") if p.is_file()):
            entry = zipfile.ZipInfo(file.relative_to(folder).as_posix(), FIXED_TIME)
            entry.compress_type = zipfile.ZIP_STORED if file.suffix == ".whl" else zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, file.read_bytes())
    temporary.replace(path)


def validator() -> Path | None:
    """Blender's own extension tool, from the bpy package of this Python or of ``.venv-blender``."""
    folders = [ROOT / ".venv-blender"]
    spec = importlib.util.find_spec("bpy")
    if spec is not None and spec.origin:
        folders.insert(0, Path(spec.origin).parent)
    for folder in folders:
        found = sorted(folder.rglob("bl_pkg/cli/blender_ext.py"))
        if found:
            return found[0]
    return None


def validate(path: Path) -> bool:
    """Whether Blender's tool accepts the zip; True with a remark where the tool is absent."""
    tool = validator()
    if tool is None:
        print(f"{path.name}: not validated, there is no Blender's extension tool here")
        return True
    done = subprocess.run([sys.executable, str(tool), "validate", str(path)], capture_output=True, text=True, check=False)
    print(f"{path.name}: {'valid' if done.returncode == 0 else done.stdout + done.stderr}")
    return done.returncode == 0


def main() -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(description="Build the Blender extension of Understudy.")
    parser.add_argument("--out", type=Path, default=ROOT / "dist", help="folder for the zips (default: dist)")
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--wheels", type=Path, help="folder with pyzmq's wheels; those that fit are bundled")
    source.add_argument("--download-wheels", action="store_true", help="fetch pyzmq's wheels through pip")
    parser.add_argument("--platform", action="append", choices=sorted(PIP_PLATFORMS), help="only these platforms (default: all)")
    arguments = parser.parse_args()
    built = []
    if arguments.wheels is None and not arguments.download_wheels:
        built.append(build(arguments.out))
    for target in TARGETS if not built else ():
        with tempfile.TemporaryDirectory() as temporary:
            if arguments.download_wheels:
                found = download_wheels(Path(temporary), target, arguments.platform or sorted(PIP_PLATFORMS))
            else:
                found = wheels_for(arguments.wheels, target)
            if arguments.platform:
                found = [w for w in found if set(platform_of(w)) & set(arguments.platform)]
            if found:
                built.append(build(arguments.out, target, found))
            else:
                print(f"{target.name}: no fitting wheels in {arguments.wheels}")
    for path in built:
        print(f"{path}  {path.stat().st_size / 1e6:.2f} MB")
    return 0 if built and all([validate(path) for path in built]) else 1


if __name__ == "__main__":
    sys.exit(main())
