# SPDX-License-Identifier: Apache-2.0
"""``python -m tests.conformance ADDRESS [TOKEN]``: check a bridge that is up."""

import sys

from tests.conformance.checks import run

if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit("usage: python -m tests.conformance tcp://HOST:PORT [TOKEN]")
    sys.exit(1 if run(sys.argv[1], sys.argv[2] if len(sys.argv) == 3 else "") else 0)
