# SPDX-License-Identifier: GPL-3.0-or-later
"""Comparing bone names over namespaces, numbering, letter case and separators."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

__all__ = ["NameIndex", "plain", "without_namespace", "without_number"]

_NUMBER = re.compile(r"\.\d{3}$")
_SEPARATORS = re.compile(r"[\s._\-]+")


def without_namespace(name: str) -> str:
    """``mixamorig:Hips`` and ``Armature|Hips`` as ``Hips``."""
    return re.split(r"[:|]", name)[-1]


def without_number(name: str) -> str:
    """``Hips.001`` as ``Hips``: what Blender appends to a name that is taken."""
    return _NUMBER.sub("", name)


def plain(name: str) -> str:
    """Letters and digits alone, small."""
    return _SEPARATORS.sub("", name).casefold()


def _common_prefix(names: Sequence[str]) -> str:
    """A prefix up to a separator that at least seven in ten names share, as ``Bip001 `` or ``hero_``; or nothing."""
    heads = Counter(match.group() for name in names if (match := re.match(r"[A-Za-z0-9]+[\s_.\-]", name)))
    if not heads:
        return ""
    prefix, count = heads.most_common(1)[0]
    return prefix if count >= 0.7 * len(names) and count > 5 else ""


class NameIndex:
    """Finds a rig's bones by the names of a preset.

    Exact names first, then without namespace or common prefix, then without regard to case and separators, then without
    Blender's numbers; each step is trusted a little less.
    """

    def __init__(self, names: Sequence[str]) -> None:
        bare = [without_namespace(n) for n in names]
        endings = Counter(n[-4:] for n in bare if _NUMBER.search(n))
        if endings and endings.most_common(1)[0][1] >= 0.9 * len(bare):
            # the whole rig is a numbered copy; "spine.001" is then a copy of "spine", not the second bone of a spine
            ending = endings.most_common(1)[0][0]
            bare = [n.removesuffix(ending) for n in bare]
            names_exact: Sequence[str] = bare
        else:
            names_exact = names
        prefix = _common_prefix(bare)
        short = [n.removeprefix(prefix) for n in bare]
        self.levels: tuple[tuple[float, bool, dict[str, str]], ...] = (
            (1.0, False, self._table(names_exact, names)),
            (1.0, False, self._table(bare, names)),
            (0.98, False, self._table(short, names)),
            (0.90, True, self._table([plain(n) for n in bare], names)),
            (0.88, True, self._table([plain(n) for n in short], names)),
            (0.85, True, self._table([plain(without_number(n)) for n in bare], names)),
            (0.83, True, self._table([plain(without_number(n)) for n in short], names)),
        )

    @staticmethod
    def _table(keys: Sequence[str], names: Sequence[str]) -> dict[str, str]:
        table: dict[str, str] = {}
        for key, name in zip(keys, names, strict=True):
            table.setdefault(key, name)
        return table

    def find(self, wanted: str) -> tuple[str, float] | None:
        """(bone, trust in (0, 1]) or None."""
        reduced = plain(wanted)
        for trust, reduce, table in self.levels:
            found = table.get(reduced if reduce else wanted)
            if found is not None:
                return found, trust
        return None
