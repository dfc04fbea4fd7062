# SPDX-License-Identifier: Apache-2.0
"""``python -m bridge_server.synthesis``."""

import argparse
import sys

from .command import add_arguments, run

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m bridge_server.synthesis", description=run.__doc__)
    add_arguments(parser)
    sys.exit(run(parser.parse_args()))
