# SPDX-License-Identifier: Apache-2.0
"""Directions in other people's files: CSV tables and subtitles (SRT, WebVTT), read and written; JSON by :mod:`.timeline`."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from . import timeline
from .errors import UnderstudyError
from .timeline import Direction

__all__ = ["SUFFIXES", "dumps", "labelled", "load", "loads", "part_and_words", "save"]

_COLUMNS: Final = ("start", "end", "text", "part", "strength", "seed", "enabled")
_CLOCK: Final = re.compile(r"(?:(\d+):)?(\d{1,2}):(\d{1,2})[.,](\d{1,3})")
_ARROW: Final = re.compile(rf"\s*({_CLOCK.pattern})\s*-->\s*({_CLOCK.pattern})")
_TAG: Final = re.compile(r"<[^>]*>|\{\\[^}]*\}")


def _bad(message: str, fix: str) -> UnderstudyError:
    return UnderstudyError("direction_invalid", message, fix)


def _seconds(text: str) -> float:
    """A time as plain seconds or as a clock (``1:02.5``, ``00:01:02,500``)."""
    text = text.strip()
    if match := _CLOCK.fullmatch(text):
        hours, minutes, seconds, fraction = match.groups()
        return int(hours or 0) * 3600 + int(minutes) * 60 + int(seconds) + float(f"0.{fraction}")
    if ":" in text:
        total = 0.0
        for part in text.split(":"):
            total = total * 60 + float(part)
        return total
    return float(text.replace(",", "."))


def _clock(seconds: float, mark: str) -> str:
    whole = round(seconds * 1000)
    return f"{whole // 3_600_000:02d}:{whole // 60_000 % 60:02d}:{whole // 1000 % 60:02d}{mark}{whole % 1000:03d}"


def _truth(text: str) -> bool:
    return text.strip().lower() not in ("0", "false", "no", "off", "muted")


def _from_csv(text: str) -> list[Direction]:
    try:
        dialect: type[csv.Dialect] | str = csv.Sniffer().sniff(text[:4096], delimiters=",;\t")
    except csv.Error:
        dialect = "excel"
    rows = list(csv.DictReader(io.StringIO(text), dialect=dialect))  # type: ignore[arg-type]
    result = []
    for n, raw in enumerate(rows, start=2):
        row = {(k or "").strip().lower(): (v or "").strip() for k, v in raw.items() if isinstance(v, str | None)}
        if not any(row.values()):
            continue
        try:
            result.append(Direction(
                _seconds(row["start"]), _seconds(row["end"]), row["text"], row.get("part") or "full",
                float(row.get("strength") or 1.0), int(row["seed"]) if row.get("seed") else None,
                _truth(row.get("enabled") or "yes")))
        except (KeyError, ValueError) as error:
            raise _bad(f"Line {n} of the table cannot be read ({type(error).__name__}: {error}).",
                       "Give the table a header line with start, end and text, and times in seconds.") from error
    return result


def _to_csv(directions: Sequence[Direction]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for d in directions:
        writer.writerow((f"{d.start:g}", f"{d.end:g}", d.text, d.part, f"{d.strength:g}",
                         "" if d.seed is None else d.seed, "yes" if d.enabled else "no"))
    return out.getvalue()


def _from_subtitles(text: str) -> list[Direction]:
    """Every cue is a direction; ``[right arm] waves`` addresses a part of the body."""
    result: list[Direction] = []
    words: list[str] = []
    for line in (*text.replace("\r\n", "\n").split("\n"), ""):
        if match := _ARROW.match(line):
            result.append(Direction(_seconds(match.group(1)), _seconds(match.group(6)), ""))
            words = []
        elif line.strip() and result and not result[-1].text:
            words.append(_TAG.sub("", line).strip())
        elif not line.strip() and result and words:
            result[-1].text, result[-1].part = part_and_words(" ".join(w for w in words if w))
            words = []
    return [d for d in result if d.text]


def part_and_words(text: str) -> tuple[str, str]:
    """Words and part of a text as :func:`labelled` writes it."""
    match = re.match(r"\[([a-z_ ]+)\]\s*(.*)", text, re.I)
    if match and (part := match.group(1).strip().lower().replace(" ", "_")) in timeline.BODY_PARTS:
        return match.group(2), part
    return text, "full"


def labelled(d: Direction) -> str:
    """The words, after the part in brackets unless it is the whole body."""
    return d.text if d.part == "full" else f"[{d.part.replace('_', ' ')}] {d.text}"


def _to_srt(directions: Sequence[Direction]) -> str:
    cues = (f"{n}\n{_clock(d.start, ',')} --> {_clock(d.end, ',')}\n{labelled(d)}\n"
            for n, d in enumerate((d for d in directions if d.enabled), start=1))
    return "\n".join(cues)


def _to_vtt(directions: Sequence[Direction]) -> str:
    cues = (f"{_clock(d.start, '.')} --> {_clock(d.end, '.')}\n{labelled(d)}\n" for d in directions if d.enabled)
    return "WEBVTT\n\n" + "\n".join(cues)


def _from_json(text: str) -> list[Direction]:
    try:
        return timeline.from_json(json.loads(text))
    except json.JSONDecodeError as error:
        raise _bad(f"The file is not valid JSON ({error}).", "Correct it, or export directions again.") from error


def _to_json(directions: Sequence[Direction]) -> str:
    return json.dumps(timeline.to_json(directions), indent=2, ensure_ascii=False) + "\n"


_FORMATS: Final[dict[str, tuple[Callable[[str], list[Direction]], Callable[[Sequence[Direction]], str]]]] = {
    ".json": (_from_json, _to_json), ".csv": (_from_csv, _to_csv), ".srt": (_from_subtitles, _to_srt),
    ".vtt": (_from_subtitles, _to_vtt),
}
SUFFIXES: Final = tuple(_FORMATS)
"""The suffixes that can be read and written."""


def _format(suffix: str) -> tuple[Callable[[str], list[Direction]], Callable[[Sequence[Direction]], str]]:
    found = _FORMATS.get(suffix.lower())
    if found is None:
        raise UnderstudyError("unsupported", f"Directions cannot be kept in a {suffix or 'nameless'} file.",
                              f"Choose one of {', '.join(SUFFIXES)}.")
    return found


def loads(text: str, suffix: str) -> list[Direction]:
    """Directions from a file's text, checked. Subtitles and tables may hold any order.

    :raises UnderstudyError: ``direction_invalid`` or ``unsupported``.
    """
    found = _format(suffix)[0](text.removeprefix("\ufeff"))
    if not found:
        raise _bad("The file holds no directions.", "Choose a file with a start, an end and words for each direction.")
    timeline.check(found)
    return found


def dumps(directions: Sequence[Direction], suffix: str) -> str:
    """The text of a file. Subtitles carry only times, words and parts, and leave out what is muted."""
    return _format(suffix)[1](directions)


def load(path: Path) -> list[Direction]:
    """Directions from a file, by its suffix. :raises UnderstudyError: also ``file_missing``."""
    if not path.is_file():
        raise UnderstudyError("file_missing", f"There is no file {path}.", "Check the path of the directions.")
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise _bad(f"{path.name} is not a text in UTF-8.", "Save it as UTF-8.") from error
    return loads(text, path.suffix)


def save(directions: Sequence[Direction], path: Path) -> None:
    """Write by suffix; the file appears when it is complete. :raises OSError: where it cannot be written."""
    text = dumps(directions, path.suffix)
    temporary = path.with_name(path.name + ".part")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)
