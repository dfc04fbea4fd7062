# SPDX-License-Identifier: Apache-2.0
"""``python -m bridge_server``: the same commands as ``understudy``."""

import sys

from bridge_server.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
