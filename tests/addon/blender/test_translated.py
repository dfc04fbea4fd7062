# SPDX-License-Identifier: Apache-2.0
"""Everything that Blender is told of the add-on can be translated, and nothing of it stays behind."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import bpy

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "tools"))


def shown_texts() -> dict[str, str]:
    """Text -> where it is, of all registered classes and their own properties."""
    from blender_addon.registration import CLASSES

    found: dict[str, str] = {}
    for cls in CLASSES:
        if "UIList" in str(cls.__mro__):
            continue
        for name in ("bl_label", "bl_description"):
            if text := getattr(cls, name, ""):
                found[text] = cls.__name__
        for base in [b for b in cls.__mro__ if b.__module__.startswith("blender_addon")]:
            for key, value in getattr(base, "__annotations__", {}).items():
                keywords: dict[str, Any] = getattr(value, "keywords", {})
                for name in ("name", "description"):
                    if text := keywords.get(name, ""):
                        found[text] = f"{cls.__name__}.{key}"
                items = keywords.get("items")
                for item in items if isinstance(items, list | tuple) else ():
                    found.update({text: f"{cls.__name__}.{key}" for text in item[1:3] if text})
    return found


def test_every_text_is_in_the_template(addon: Any) -> None:
    from translations import messages

    known = set(messages())
    missing = {text: place for text, place in shown_texts().items()
               if text not in known and any(c.isalpha() for c in text) and (" " in text or text[:1].isupper())
               and text not in ("MP4", "PNG")}
    assert not missing


def test_tables_go_with_the_addon(addon: Any) -> None:
    from blender_addon import translations

    assert translations.sentence("Ava is performing already.", "de") == "Ava spielt schon."
    assert translations.sentence("Ava is performing already.") == "Ava is performing already."
    addon.unregister()
    try:
        assert not translations._sentences
        # Blender refuses a second table under one name, so that this fails where the first was left behind
        bpy.app.translations.register("blender_addon", {})
        bpy.app.translations.unregister("blender_addon")
    finally:
        addon.register()
    assert translations.sentence("Ava is performing already.", "de_DE") == "Ava spielt schon."
