# SPDX-License-Identifier: Apache-2.0
"""A greyed button says why: every ``poll`` of an operator that refuses sets a message first."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ADDON = Path(__file__).resolve().parents[2] / "blender_addon"
NO_BUTTONS = ("Panel", "FileHandler", "UIList")
"""Their ``poll`` hides something, and there is nothing to hover over."""
PANEL_MIX_INS = {("sidebar.py", "OfCharacter")}


def _tells(node: ast.AST) -> bool:
    return (isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and isinstance(node.value.func, ast.Attribute)
            and node.value.func.attr == "poll_message_set")


def _asks_above(node: ast.AST) -> bool:
    """``if not super().poll(context)``: the one above has told."""
    return isinstance(node, ast.If) and ast.unparse(node.test) == "not super().poll(context)"


def _silent(body: list[ast.stmt], parent: ast.AST) -> Iterator[int]:
    """Lines of a ``poll`` that refuse without a word."""
    for n, statement in enumerate(body):
        if isinstance(statement, ast.Return):
            value = statement.value
            if isinstance(value, ast.Constant) and value.value is True:
                continue
            told = n > 0 and _tells(body[n - 1])
            if isinstance(value, ast.UnaryOp) and isinstance(value.op, ast.Not) and isinstance(value.operand, ast.Name):
                # ``if reason: cls.poll_message_set(reason)``, then ``return not reason``
                before = body[n - 1] if n else None
                told = isinstance(before, ast.If) and ast.unparse(before.test) == value.operand.id and any(map(_tells, before.body))
            if not told and not _asks_above(parent):
                yield statement.lineno
        elif isinstance(statement, ast.If):
            yield from _silent(statement.body, statement)
            yield from _silent(statement.orelse, statement)


def silent_polls(source: str, name: str) -> list[str]:
    """Places in a module where an operator is greyed without a reason."""
    found = []
    for cls in ast.walk(ast.parse(source)):
        if not isinstance(cls, ast.ClassDef) or (name, cls.name) in PANEL_MIX_INS:
            continue
        if any(word in ast.unparse(base) for base in cls.bases for word in NO_BUTTONS):
            continue
        for method in cls.body:
            if isinstance(method, ast.FunctionDef) and method.name == "poll" and method.decorator_list:
                found += [f"{name}:{line} {cls.name}" for line in _silent(method.body, method)]
    return found


@pytest.mark.parametrize("path", sorted(ADDON.rglob("*.py")), ids=lambda p: p.relative_to(ADDON).as_posix())
def test_a_greyed_button_says_why(path: Path) -> None:
    assert not silent_polls(path.read_text(encoding="utf-8"), path.name)


@pytest.mark.parametrize(("body", "good"), [
    ("return context.object is not None", False),
    ("if x:\n            return False\n        return True", False),
    ("if x:\n            cls.poll_message_set('No')\n            return False\n        return True", True),
    ("if not super().poll(context):\n            return False\n        return True", True),
    ("reason = cls.reason(context)\n        if reason:\n            cls.poll_message_set(reason)\n        return not reason", True),
    ("reason = cls.reason(context)\n        return not reason", False),
])
def test_the_rule_can_be_broken(body: str, good: bool) -> None:
    source = f"class UNDERSTUDY_OT_x(Operator):\n    @classmethod\n    def poll(cls, context):\n        {body}\n"
    assert bool(silent_polls(source, "x.py")) is not good
    assert not silent_polls(source.replace("Operator", "bpy.types.Panel"), "x.py")
