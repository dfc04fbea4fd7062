# SPDX-License-Identifier: GPL-3.0-or-later
"""The add-on's texts in Blender's language, from the ``.po`` files beside this module.

Blender translates names, descriptions and texts of layouts by itself once it has the table. Sentences that values have been put
into go through :func:`sentence`.
"""

from pathlib import Path

import bpy

from .core.po import Sentences, read_po

__all__ = ["register", "sentence", "unregister"]

_CONTEXTS = ("*", "Operator")
_LOCALES = {"de": ("de", "de_DE")}
"""Of a file, what Blender's versions call the language."""

_sentences: dict[str, Sentences] = {}


def register() -> None:
    """Give Blender the tables."""
    tables: dict[str, dict[tuple[str, str], str]] = {}
    for path in sorted((Path(__file__).parent / "locale").glob("*.po")):
        texts = read_po(path.read_text(encoding="utf-8"))
        # in the interface of operators Blender looks in a context of its own
        table = {(context, text): translation for text, translation in texts.items() for context in _CONTEXTS}
        for locale in _LOCALES.get(path.stem, (path.stem,)):
            tables[locale] = table
            _sentences[locale] = Sentences(texts)
    bpy.app.translations.register(__package__ or "understudy", tables)  # type: ignore[arg-type]


def unregister() -> None:
    """The inverse of :func:`register`."""
    bpy.app.translations.unregister(__package__ or "understudy")
    _sentences.clear()


def sentence(text: str, locale: str = "") -> str:
    """A sentence in Blender's language (or the named one), as far as it is translated.

    :param text: as it stands in English, with its values.
    """
    view = bpy.context.preferences.view
    if not locale and not (view.use_translate_interface or view.use_translate_tooltips):
        return text
    known = _sentences.get(locale or bpy.app.translations.locale or "")
    return known(text) if known is not None else text
