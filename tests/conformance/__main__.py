# SPDX-License-Identifier: Apache-2.0
"""``python -m tests.conformance ADDRESS [--token TOKEN] [--key FILE]``: check a bridge that is up; 1 when a check fails."""

import argparse
import sys

from tests.conformance.checks import run

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.conformance", description="Check a bridge that is up.")
    parser.add_argument("address", metavar="tcp://HOST:PORT")
    parser.add_argument("--token", default="", help="the session token, on loopback")
    parser.add_argument("--key", default="", metavar="FILE", help="a client's key file, for a bridge on another machine")
    options = parser.parse_args()
    sys.exit(1 if run(options.address, options.token, options.key) else 0)
