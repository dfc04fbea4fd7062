# SPDX-License-Identifier: Apache-2.0
"""The extension zip: what is in it, that Blender's own tool accepts it, and that wheels and versions agree."""

from __future__ import annotations

import ast
import tomllib
import zipfile
from pathlib import Path

import pytest

import build_addon

ROOT = Path(build_addon.__file__).parent


def fake_wheel(folder: Path, tags: str) -> Path:
    """A zip with a wheel's name and metadata, which is all that is looked at."""
    folder.mkdir(exist_ok=True)
    path = folder / f"pyzmq-27.3.0-{tags}.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        python, abi, platform = tags.split("-")
        wheel.writestr("pyzmq-27.3.0.dist-info/WHEEL", f"Wheel-Version: 1.0\nTag: {python}-{abi}-{platform}\n")
    return path


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_addon.build(tmp_path_factory.mktemp("dist"))


def test_the_zip_is_valid(plain: Path) -> None:
    if build_addon.validator() is None:
        pytest.skip("there is no bpy package here that brings Blender's extension tool")
    assert build_addon.validate(plain)


def test_the_validator_can_refuse(tmp_path: Path) -> None:
    if build_addon.validator() is None:
        pytest.skip("there is no bpy package here that brings Blender's extension tool")
    folder = build_addon.stage(tmp_path / "understudy")
    manifest = folder / "blender_manifest.toml"
    manifest.write_text(manifest.read_text().replace('type = "add-on"', 'type = "toy"'))
    build_addon.write_zip(folder, tmp_path / "broken.zip")
    assert not build_addon.validate(tmp_path / "broken.zip")


def test_shared_is_a_copy_and_nothing_is_left_out(plain: Path) -> None:
    with zipfile.ZipFile(plain) as archive:
        names = set(archive.namelist())
        shared = archive.read("shared/__init__.py").decode()
    assert "__path__" not in shared
    for source, prefix in ((ROOT / "shared", "shared/"), (ROOT / "blender_addon", "")):
        for path in source.rglob("*.py"):
            assert prefix + path.relative_to(source).as_posix() in names, path
    assert {"blender_manifest.toml", "LICENSE"} <= names
    assert not [n for n in names if "__pycache__" in n or n.endswith(".pyc")]


def test_no_absolute_import_of_itself(plain: Path) -> None:
    """As an extension the package has another name, so an absolute import of itself would fail."""
    with zipfile.ZipFile(plain) as archive:
        for name in archive.namelist():
            if not name.endswith(".py"):
                continue
            text = archive.read(name).decode()
            assert "sys.path" not in text, name
            for node in ast.walk(ast.parse(text)):
                roots = [a.name for a in node.names] if isinstance(node, ast.Import) else (
                    [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else [])
                assert not [r for r in roots if r.split(".")[0] in ("shared", "blender_addon", "bridge_server")], name


def test_the_same_source_gives_the_same_bytes(plain: Path, tmp_path: Path) -> None:
    assert build_addon.build(tmp_path).read_bytes() == plain.read_bytes()


def test_wheels_are_bundled_per_python(tmp_path: Path) -> None:
    wheels = tmp_path / "wheels"
    for tags in ("cp311-cp311-manylinux_2_28_x86_64", "cp311-cp311-win_amd64", "cp312-abi3-win_amd64"):
        fake_wheel(wheels, tags)
    old, new = build_addon.TARGETS
    assert [w.name.split("-")[2] for w in build_addon.wheels_for(wheels, old)] == ["cp311", "cp311"]
    path = build_addon.build(tmp_path / "out", old, build_addon.wheels_for(wheels, old))
    with zipfile.ZipFile(path) as archive:
        manifest = tomllib.loads(archive.read("blender_manifest.toml").decode())
        assert set(manifest["wheels"]) == {"./" + n for n in archive.namelist() if n.endswith(".whl")}
    assert manifest["platforms"] == ["linux-x64", "windows-x64"]
    # the wheels' Python ends where the manifest's range does: Blender 5.1 brings 3.13
    assert (manifest["blender_version_min"], manifest["blender_version_max"]) == ("4.2.0", "5.1.0")
    assert [w.name.split("-")[2] for w in build_addon.wheels_for(wheels, new)] == ["cp312"]
    with zipfile.ZipFile(build_addon.build(tmp_path / "out", new, build_addon.wheels_for(wheels, new))) as archive:
        manifest = tomllib.loads(archive.read("blender_manifest.toml").decode())
    assert manifest["blender_version_min"] == "5.1.0" and "blender_version_max" not in manifest
    assert "network" in manifest["permissions"]


def test_the_body_parts_of_the_menu_are_those_of_a_direction() -> None:
    from shared.skeleton import BODY_PARTS

    tree = ast.parse((ROOT / "blender_addon" / "directions.py").read_text())
    parts = next(n.value for n in tree.body if isinstance(n, ast.Assign) and ast.unparse(n.targets[0]) == "PARTS")
    assert tuple(key for key, _, _ in ast.literal_eval(parts)) == BODY_PARTS
