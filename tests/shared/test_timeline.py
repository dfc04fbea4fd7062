# SPDX-License-Identifier: Apache-2.0
"""Directions: checks, files, which is active when."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import timeline
from shared.errors import UnderstudyError
from shared.skeleton import BODY_PARTS
from shared.timeline import MAX_DIRECTIONS, MAX_TEXT, Direction


@st.composite
def directions(draw: st.DrawFn) -> Direction:
    """A direction that can be performed."""
    start = draw(st.floats(0, 1000))
    return Direction(
        start,
        start + draw(st.floats(0.5, 100)),
        draw(st.text(max_size=100)) + "walks",
        draw(st.sampled_from(BODY_PARTS)),
        draw(st.floats(0, 2)),
        draw(st.none() | st.integers(0, 2**31)),
        draw(st.booleans()),
    )


@given(st.lists(directions(), max_size=8))
def test_file_round_trip(items: list[Direction]) -> None:
    assert timeline.from_json(json.loads(json.dumps(timeline.to_json(items)))) == items


@given(st.lists(directions(), max_size=8))
def test_check_sorts_and_drops_what_is_muted(items: list[Direction]) -> None:
    kept = timeline.check(items)
    assert [d.start for d in kept] == sorted(d.start for d in items if d.enabled)
    assert all(d.enabled for d in kept)


@given(st.lists(directions(), max_size=8), st.floats(0, 1100))
def test_active(items: list[Direction], seconds: float) -> None:
    active = timeline.active_at(items, seconds)
    for d in items:
        assert (d in active) == (d.enabled and d.start <= seconds < d.end)


GOOD = {"start": 1.0, "end": 2.0, "text": "waves"}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"text": ""}, "no text"),
        ({"text": " \n"}, "no text"),
        ({"text": "a" * (MAX_TEXT + 1)}, "characters"),
        ({"text": "舞う"}, "Latin"),
        ({"text": "123"}, "Latin"),
        ({"start": -1.0}, "before the performance"),
        ({"end": 1.0}, "not after its start"),
        ({"end": 0.5}, "not after its start"),
        ({"end": 1.1}, "lasts only"),
        ({"start": math.nan}, "not a number"),
        ({"end": math.inf}, "not a number"),
        ({"part": "tail"}, "body part"),
        ({"strength": 3.0}, "strength"),
        ({"strength": -0.1}, "strength"),
        ({"start": 20.0, "end": 21.0}, "after the performance ends"),
    ],
)
def test_each_mistake_has_a_sentence_and_a_fix(change: dict[str, object], words: str) -> None:
    with pytest.raises(UnderstudyError) as caught:
        timeline.check([Direction(**{**GOOD, **change})], duration=10.0)  # type: ignore[arg-type]
    assert caught.value.code == "direction_invalid" and words in caught.value.message and caught.value.fix


def test_mistakes_of_muted_directions_do_not_matter() -> None:
    assert timeline.check([Direction(5, 1, "", enabled=False)]) == []


def test_number_of_directions_is_bounded() -> None:
    with pytest.raises(UnderstudyError, match="at most"):
        timeline.check([Direction(n, n + 1, "walks") for n in range(MAX_DIRECTIONS + 1)])


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["version", "directions", "start", "end", "text", "seed"]), inner, max_size=4
            )
        ),
    )
)
def test_any_json_is_read_or_refused(data: object) -> None:
    try:
        timeline.from_json(data)
    except UnderstudyError as error:
        assert error.code == "direction_invalid" and error.fix


def test_files(tmp_path: Path) -> None:
    path = tmp_path / "d.json"
    with pytest.raises(UnderstudyError, match="no file"):
        timeline.load(path)
    for content in (b"{", b"\xff\xfe\x00", b""):
        path.write_bytes(content)
        with pytest.raises(UnderstudyError, match="not valid JSON"):
            timeline.load(path)
    path.write_text('[{"start": 0, "end": 1, "text": "nods"}]')
    assert timeline.load(path)[0].text == "nods"
