# SPDX-License-Identifier: Apache-2.0
"""The validator against what JSON Schema says of each keyword."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.protocol import BODY_SCHEMAS, FROM_BRIDGE, FROM_CLIENT, HEADER_SCHEMA
from shared.requests import MOTION_REQUEST_SCHEMA
from shared.schema import problem

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=15,
)


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        ({"type": "integer"}, [0, -5, 2**70], [1.0, "1", True, None]),
        ({"type": "number"}, [0, 1.5], ["1", True, float("nan"), float("inf")]),
        ({"type": ["number", "null"]}, [None, 1], ["", False]),
        ({"type": "string", "maxLength": 3, "pattern": "[a-z]*"}, ["", "abc"], ["abcd", "AB", "a\n", 1]),
        ({"type": "boolean"}, [True, False], [0, 1, "true"]),
        ({"enum": ["a", 1]}, ["a", 1], ["b", 2, None]),
        ({"const": 5}, [5], [6, "5"]),
        ({"minimum": 0, "maximum": 1}, [0, 1, 0.5], [-0.001, 1.001]),
        (
            {"type": "array", "minItems": 1, "maxItems": 2, "items": {"type": "integer"}},
            [[1], [1, 2]],
            [[], [1, 2, 3], ["1"], {}],
        ),
        (
            {"type": "object", "required": ["a"], "properties": {"a": {"type": "integer"}}},
            [{"a": 1}, {"a": 1, "b": "x"}],
            [{}, {"a": "1"}, []],
        ),
    ],
)
def test_keywords(schema: dict[str, Any], good: list[Any], bad: list[Any]) -> None:
    for value in good:
        assert problem(value, schema) is None, value
    for value in bad:
        assert problem(value, schema, "here"), value


def test_the_place_is_named() -> None:
    schema = {
        "type": "object",
        "properties": {"a": {"type": "array", "items": {"type": "object", "properties": {"b": {"type": "string"}}}}},
    }
    assert "header.a[1].b" in str(problem({"a": [{"b": "x"}, {"b": 1}]}, schema))


@given(ANYTHING)
def test_never_raises(value: Any) -> None:
    for schema in (HEADER_SCHEMA, MOTION_REQUEST_SCHEMA, *BODY_SCHEMAS.values()):
        found = problem(value, schema)
        assert found is None or isinstance(found, str)


def test_every_message_has_a_schema() -> None:
    assert set(BODY_SCHEMAS) == set(FROM_CLIENT) | set(FROM_BRIDGE)
