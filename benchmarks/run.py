# SPDX-License-Identifier: Apache-2.0
"""``make bench``: measure, print, write ``results.json``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import Final

from shared.errors import UnderstudyError

from . import bridge, face, film, generator, in_blender, ui
from .results import FILE, Result, machine, merge, table

__all__ = ["main"]

GROUPS: Final[dict[str, Callable[[], list[Result]]]] = {"bridge": bridge.measure, "generator": generator.measure,
                                                      "blender": in_blender.measure,
                                                      "film": film.measure, "face": face.measure, "ui": ui.measure}


def main(given: Sequence[str] | None = None) -> int:
    """:returns: the exit code; a missed target is reported and is no failure."""
    parser = argparse.ArgumentParser(prog="tools/dev.py bench", description=__doc__)
    parser.add_argument("groups", nargs="*", metavar="GROUP", help=f"{' or '.join(GROUPS)}; all when none is named")
    parser.add_argument("--dry", action="store_true", help="print only, leave results.json as it is")
    options = parser.parse_args(given)
    if unknown := set(options.groups) - set(GROUPS):
        parser.error(f"unknown group {', '.join(sorted(unknown))}")
    results: list[Result] = []
    try:
        for name in options.groups or GROUPS:
            print(f"measuring {name} ...", flush=True)
            results += GROUPS[name]()
    except UnderstudyError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"\n{machine()}\n\n{table(results)}\n")
    if not options.dry:
        merge(results)
        print(f"written to benchmarks/{FILE.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
