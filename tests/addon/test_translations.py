# SPDX-License-Identifier: Apache-2.0
"""The template of translations and the German one: complete, well-formed, and used for sentences with values in them."""

from __future__ import annotations

import sys
from pathlib import Path
from string import Formatter

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

from blender_addon.core.po import Sentences, read_po  # noqa: E402
from translations import ADDON, LOCALE, messages, written  # noqa: E402

GERMAN = LOCALE / "de.po"


def values_in(text: str) -> int:
    return sum(name is not None for _, name, _, _ in Formatter().parse(text))


def test_what_is_written_is_read_again() -> None:
    table = {"Say \"hello\"": "Sag „hallo“", "two\nlines": "zwei\nZeilen", "a \\ b {}": "a \\ b {}"}
    found = {text: ["blender_addon/x.py:1"] for text in (*table, "untranslated")}
    assert read_po(written(found, table, "de")) == table
    assert read_po('msgid ""\n"long "\n"text"\nmsgstr "lang"\n"er Text"\n') == {"long text": "langer Text"}


def test_texts_of_every_kind_are_collected() -> None:
    found = messages()
    for text in ("Bone Map", "Perform Range", "How large gestures are", "Full Body", "Your own", "From Text Strips",
                 "Choose Bone", "There is no take yet: press Perform", "Take {} / {}  ·  seed {}",
                 "{} is performing already.", "There is neither speech nor a direction to perform.",
                 "Show the take before or after; before the first one comes your own animation"):
        assert text in found, text
    assert not [t for t in found if t.startswith("UNDERSTUDY_") or t in ("LEFTMOUSE", "IMPORT")]
    assert all((ROOT / place.rpartition(":")[0]).is_file() for places in found.values() for place in places)


def test_german_fits_the_texts() -> None:
    german, found = read_po(GERMAN.read_text(encoding="utf-8")), messages()
    assert len(german) > 350
    assert all(values_in(text) == values_in(translation) for text, translation in german.items())
    # texts change while others are written; most of the translation must be of texts that are there
    assert sum(text in found for text in german) > 0.9 * len(german)
    template = read_po((LOCALE / "understudy.pot").read_text(encoding="utf-8"))
    assert template == {}


def test_sentences_with_values() -> None:
    german = Sentences(read_po(GERMAN.read_text(encoding="utf-8")))
    assert german("Ava is performing already.") == "Ava spielt schon."
    assert german("Frames 5 to 9 are not in the take, which has frames 10 to 60.") == (
        "Die Bilder 5 bis 9 liegen nicht im Take, der die Bilder 10 bis 60 hat.")
    assert german("Take 2 / 3  ·  seed 7") == "Take 2 / 3  ·  Startwert 7"
    assert german("Something that nobody has translated (5).") == "Something that nobody has translated (5)."


def test_remarks_of_the_bridge_are_collected_and_said_in_german() -> None:
    found, german = messages(), read_po(GERMAN.read_text(encoding="utf-8"))
    told = [text for text, places in found.items() if all(place.startswith("bridge_server/") for place in places)]
    assert len(told) >= 10 and not [text for text in told if ":param" in text or text.endswith("..")]
    # most of them: new ones are added in the bridge
    assert sum(text in german for text in told) >= 0.8 * len(told)
    say = Sentences(german)
    assert say("The transcript is not English, which is all the aligner knows; the lips follow the recogniser.") == (
        "Der Text ist nicht englisch, und nur das kann der Aligner; die Lippen folgen der Lauterkennung.")


def test_the_translations_are_part_of_the_built_addon(tmp_path: Path) -> None:
    import subprocess
    import zipfile

    done = subprocess.run([sys.executable, str(ROOT / "build_addon.py"), "--out", str(tmp_path)], capture_output=True, text=True, cwd=ROOT)
    if done.returncode:
        pytest.skip(f"the extension was not built: {done.stderr.strip()[-200:]}")
    archive = next(tmp_path.glob("*.zip"))
    names = zipfile.ZipFile(archive).namelist()
    assert any(name.endswith("locale/de.po") for name in names) and ADDON.is_dir()
