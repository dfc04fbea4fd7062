# SPDX-License-Identifier: Apache-2.0
"""A client process for :mod:`.kills`: submits jobs (the last one to be run again after a kill) and waits for them."""

from __future__ import annotations

import sys

from bridge_server.cli.client import Client
from shared.errors import UnderstudyError
from tests.bridge.conftest import request_for


def main() -> None:
    """``submitter ADDRESS TOKEN ID…``."""
    address, token, *ids = sys.argv[1:]
    with Client(address, token) as client:
        for id in ids:
            message = request_for("0.25 seconds of work", seed=5).to_message(id)
            message.body["retryable"] = id.endswith("2")
            client.send(message)
        accepted: set[str] = set()
        while accepted != set(ids):
            answer = client.receive(30)
            if answer is None:
                sys.exit("not accepted within 30 s")
            if answer.type == "accepted":
                accepted.add(answer.id)
        print("accepted", flush=True)
        for id in ids:
            try:
                client.fetch(id, seconds=60)
            except UnderstudyError as error:
                print(error.code)


if __name__ == "__main__":
    main()
