# SPDX-License-Identifier: Apache-2.0
"""Collect what the add-on shows into ``blender_addon/locale/understudy.pot``, and tell how far each translation is.

    python tools/translations.py            write the template, bring the .po files up to date with it, print a line for each
    python tools/translations.py --check    write nothing; exit code 1 where the template is out of date

Found in the sources are names and descriptions of properties, operators (their docstrings), panels and menus, texts in layouts, reasons on
greyed buttons, reports, and the sentences of errors; and in the bridge, the remarks about a speech, which panels show. What is put
together with values stands with ``{}`` in their places.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
ADDON: Final = ROOT / "blender_addon"
LOCALE: Final = ADDON / "locale"
SHOWN: Final = frozenset({"name", "description", "text", "heading", "title", "message", "label", "default_text"})
FIRST: Final = frozenset({"poll_message_set", "report", "_", "sentence", "translated"})
LABELS: Final = frozenset({"bl_label", "bl_description"})
REMARKS: Final = ("face/phonemes.py", "face/jobs.py", "face/performance.py", "audio/decode.py", "script/suggest.py")
"""Of the bridge, what makes remarks about a speech."""
VARIABLES: Final = frozenset({"text", "label", "reason", "sentence"})
NO_TEXT: Final = frozenset({"new", "remove", "get", "find", "icon", "StringProperty.default", "getLogger"})


def literal(node: ast.AST) -> str | None:
    """The text of a constant or of an f-string, with ``{}`` for values; None for anything else."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        parts = [str(v.value) if isinstance(v, ast.Constant) else "{}" for v in node.values]
        return "".join(parts)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = literal(node.left), literal(node.right)
        return left + right if left is not None and right is not None else None
    return None


def _speaks(text: str) -> bool:
    """Whether it is something to read: letters beside values and marks, and no name of a file or a symbol alone."""
    bare = text.replace("{}", "")
    if re.fullmatch(r"[A-Z0-9_]{4,}", bare) or bare.startswith("UNDERSTUDY_"):
        return False  # identifiers
    return sum(c.isalpha() for c in bare) > 1 and (" " in bare.strip() or bare.strip()[:1].isupper())


def _branches(node: ast.AST) -> Iterator[ast.AST]:
    """Both sides of a conditional expression."""
    if isinstance(node, ast.IfExp):
        yield from _branches(node.body)
        yield from _branches(node.orelse)
    else:
        yield node


def _items(node: ast.AST) -> Iterator[ast.AST]:
    """Labels and descriptions of enum items in a list or tuple of tuples."""
    if isinstance(node, ast.List | ast.Tuple):
        for item in node.elts:
            if isinstance(item, ast.Tuple) and len(item.elts) >= 2 and all(isinstance(e, ast.Constant) for e in item.elts[:2]):
                yield from item.elts[1:3]


def texts(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Line and text of all that a module shows."""
    found: list[tuple[int, ast.AST]] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            operator = any("Operator" in ast.unparse(base) for base in node.bases)
            if operator and (doc := ast.get_docstring(node, clean=True)):
                yield node.lineno, doc
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names = [t.id for t in targets if isinstance(t, ast.Name)]
            if node.value is None:
                continue
            spoken = any(n in LABELS or n in VARIABLES for n in names)
            if spoken or (any(n.isupper() for n in names) and isinstance(node.value, ast.Constant)):
                found.append((node.lineno, node.value))
            if any(n.strip("_").isupper() for n in names):
                if isinstance(node.value, ast.Dict) and all(isinstance(v, ast.Constant) for v in node.value.values):
                    found += [(node.lineno, v) for v in node.value.values]
                found += [(node.lineno, v) for v in _items(node.value)]
        elif isinstance(node, ast.For) and isinstance(node.iter, ast.Tuple):
            found += [(node.lineno, v) for v in _items(node.iter)]
        elif isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id if isinstance(node.func, ast.Name) else ""
            if name in ("UnderstudyError", "_invalid", "_refused"):
                found += [(node.lineno, a) for a in node.args]
            elif name in FIRST and node.args:
                found.append((node.lineno, node.args[-1] if name == "report" else node.args[0]))
            elif name not in NO_TEXT:
                for keyword in node.keywords:
                    if keyword.arg in SHOWN:
                        found.append((node.lineno, keyword.value))
                    elif keyword.arg == "items":
                        found += [(node.lineno, v) for v in _items(keyword.value)]
        elif isinstance(node, ast.FunctionDef) and node.name.lstrip("_").startswith(("reason", "description")):
            found += [(r.lineno, r.value) for r in ast.walk(node) if isinstance(r, ast.Return) and r.value is not None]
    for line, value in found:
        for branch in _branches(value):
            text = literal(branch)
            if text and _speaks(text):
                yield line, text


def remarks(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Line and text of the whole sentences in a module of the bridge, and of the clauses that are put into them; no docstrings."""
    skipped: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            skipped |= {id(part) for value in node.values for part in ast.walk(value)}
        elif isinstance(node, ast.Expr):
            skipped.add(id(node.value))
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("Error"):
            skipped |= {id(part) for part in ast.walk(node)}
    for node in ast.walk(tree):
        if id(node) not in skipped and (text := literal(node)):
            sentence = re.fullmatch(r"(?:[A-Z]|\{\}).*\.", text) is not None and text.count(" ") >= 3
            if sentence or text.startswith("the lips "):
                yield getattr(node, "lineno", 0), text


def messages() -> dict[str, list[str]]:
    """Every text, and the places that show it, in the order of the files."""
    result: dict[str, list[str]] = {}
    for path in sorted((*ADDON.rglob("*.py"), *(ROOT / "shared").glob("*.py"))):
        relative = path.relative_to(ROOT)
        for line, text in texts(ast.parse(path.read_text(encoding="utf-8"))):
            result.setdefault(text, []).append(f"{relative.as_posix()}:{line}")
    for name in REMARKS:
        path = ROOT / "bridge_server" / name
        for line, text in remarks(ast.parse(path.read_text(encoding="utf-8"))):
            result.setdefault(text, []).append(f"bridge_server/{name}:{line}")
    return result


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


HEADER: Final = '''# What Understudy's add-on shows. SPDX-License-Identifier: GPL-3.0-or-later
msgid ""
msgstr ""
"Content-Type: text/plain; charset=UTF-8\\n"
"Language: {}\\n"

'''


def written(found: dict[str, list[str]], translated: dict[str, str], language: str) -> str:
    """The text of a ``.pot`` or ``.po`` file; without line numbers, so that it changes only with the texts."""
    blocks = []
    for text, places in found.items():
        files = sorted({place.rpartition(":")[0] for place in places})
        blocks.append(f"#: {' '.join(files)}\nmsgid {_quoted(text)}\nmsgstr {_quoted(translated.get(text, ''))}\n")
    return HEADER.format(language) + "\n".join(blocks)


def main(arguments: list[str]) -> int:
    """:returns: the exit code."""
    sys.path.insert(0, str(ROOT))
    from blender_addon.core.po import read_po

    found = messages()
    template = written(found, {}, "")
    path = LOCALE / "understudy.pot"
    if "--check" in arguments:
        current = path.is_file() and path.read_text(encoding="utf-8") == template
        print("The template is up to date." if current else "The template is out of date: run python tools/translations.py")
        return int(not current)
    LOCALE.mkdir(exist_ok=True)
    path.write_text(template, encoding="utf-8")
    print(f"{path.name}: {len(found)} texts")
    for translation in sorted(LOCALE.glob("*.po")):
        known = read_po(translation.read_text(encoding="utf-8"))
        translation.write_text(written(found, known, translation.stem), encoding="utf-8")
        done = sum(bool(known.get(text)) for text in found)
        print(f"{translation.name}: {done} of {len(found)} translated")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
