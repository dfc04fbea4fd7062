# SPDX-License-Identifier: Apache-2.0
"""``python -m tests.stress [latency] [clients] [soak] [fuzz] [kill] [--scale 1.0]``: run and write benchmarks/results.json.

The exit code is 1 when something was lost, doubled, left behind or failed. ``--scale`` shortens a run for a first look; results
are written at full scale only, unless ``--write`` insists.
"""

from __future__ import annotations

import argparse
import sys

from benchmarks.results import Result, merge, table
from tests.stress import fuzz, kills, latency, load

RUNS = {
    "latency": latency.measure,
    "clients": load.clients,
    "soak": load.soak,
    "fuzz": fuzz.measure,
    "kill": kills.measure,
}


def main() -> int:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.stress")
    parser.add_argument("what", nargs="*", metavar="RUN", help=f"{', '.join(RUNS)}; all when none is named")
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    if unknown := set(arguments.what) - set(RUNS):
        parser.error(f"unknown run {', '.join(sorted(unknown))}")
    results: list[Result] = []
    failures: list[str] = []
    for name in arguments.what or RUNS:
        print(f"{name} …", file=sys.stderr, flush=True)
        found, wrong = RUNS[name](arguments.scale)
        results += found
        failures += [f"{name}: {w}" for w in wrong]
    print(table(results))
    for failure in failures:
        print(f"FAILED {failure}")
    if arguments.scale >= 1 or arguments.write:
        merge(results)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
