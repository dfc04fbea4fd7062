# SPDX-License-Identifier: Apache-2.0
"""A validator for the part of JSON Schema (2020-12) that the protocol uses.

Both sides check headers with it, and Blender's Python carries no schema library; so it is written
here, small: ``type`` (a name or a list of names), ``enum``, ``const``, ``minimum``, ``maximum``,
``maxLength``, ``pattern``, ``properties``, ``required``, ``items``, ``minItems``, ``maxItems``. Unknown properties are
ignored, which lets a newer peer say more.
"""

from __future__ import annotations

import math
import re
from typing import Any, Final

__all__ = ["problem"]

_TYPES: Final[dict[str, tuple[type, ...]]] = {
    "object": (dict,), "array": (list,), "string": (str,), "boolean": (bool,), "null": (type(None),),
    "integer": (int,), "number": (int, float),
}


def _is(value: Any, name: str) -> bool:
    if isinstance(value, bool) and name in ("integer", "number"):
        return False
    return isinstance(value, _TYPES[name])


def problem(value: Any, schema: dict[str, Any], where: str = "header") -> str | None:
    """What is wrong with ``value`` in one clause that names the place, or None when it fits."""
    types = schema.get("type")
    if types is not None:
        names = [types] if isinstance(types, str) else types
        if not any(_is(value, name) for name in names):
            return f"{where} must be {' or '.join(names)}, not {type(value).__name__}"
    if "const" in schema and value != schema["const"]:
        return f"{where} must be {schema['const']!r}"
    if "enum" in schema and value not in schema["enum"]:
        return f"{where} must be one of {', '.join(map(str, schema['enum']))}"
    if isinstance(value, int | float) and not isinstance(value, bool):
        if not math.isfinite(value):
            return f"{where} must be a finite number"
        if value < schema.get("minimum", -math.inf) or value > schema.get("maximum", math.inf):
            return f"{where} must lie from {schema.get('minimum')} to {schema.get('maximum')}, not be {value}"
    if isinstance(value, str):
        if len(value) > schema.get("maxLength", math.inf):
            return f"{where} must have at most {schema['maxLength']} characters, not {len(value)}"
        if "pattern" in schema and not re.fullmatch(schema["pattern"], value):
            return f"{where} must match {schema['pattern']}"
    if isinstance(value, list):
        if not schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", math.inf):
            return f"{where} has {len(value)} entries, allowed are {schema.get('minItems', 0)} to {schema.get('maxItems')}"
        if "items" in schema:
            for n, item in enumerate(value):
                if found := problem(item, schema["items"], f"{where}[{n}]"):
                    return found
    if isinstance(value, dict):
        for name in schema.get("required", ()):
            if name not in value:
                return f"{where} lacks {name!r}"
        for name, sub in schema.get("properties", {}).items():
            if name in value and (found := problem(value[name], sub, f"{where}.{name}")):
                return found
    return None
