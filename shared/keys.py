# SPDX-License-Identifier: Apache-2.0
"""The key file by which a client on another machine is known: CURVE keys in Z85 (ZeroMQ RFC 32), as JSON.

``understudy keys add`` writes one, with mode 0600; the client reads it at every connection and keeps it nowhere else.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from .errors import UnderstudyError

__all__ = ["ClientKey", "is_key"]

_Z85: Final = re.compile(r"[0-9a-zA-Z.:+=^!/*?&<>()\[\]{}@%$#-]{40}")


def is_key(text: str) -> bool:
    """Whether a text is one CURVE key in Z85: 40 characters of its alphabet."""
    return _Z85.fullmatch(text) is not None


@dataclass(frozen=True)
class ClientKey:
    """What a client's key file holds.

    :ivar name: what the bridge calls the client.
    :ivar public: the client's public key. :ivar secret: the client's secret key, which is not part of the representation.
    :ivar bridge: the bridge's public key, by which the client knows that it talks to the right one.
    """

    name: str
    public: str
    secret: str = field(repr=False)
    bridge: str

    @classmethod
    def load(cls, path: Path, bridge: str = "") -> ClientKey:
        """Read a key file.

        :param bridge: the bridge's public key where it is known otherwise; it goes before the file's.
        :raises UnderstudyError: ``file_missing`` or ``file_invalid``.
        """
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            key = cls(str(data["name"]), str(data["public"]), str(data["secret"]), bridge or str(data["bridge"]))
        except FileNotFoundError as error:
            raise UnderstudyError("file_missing", f"There is no key file {path}.",
                                  "Make one on the bridge's machine with 'understudy keys add NAME'.") from error
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UnderstudyError("file_invalid", f"{path.name} is not a client's key file.",
                                  "Use the file that 'understudy keys add NAME' wrote.") from error
        if not all(map(is_key, (key.public, key.secret))):
            raise UnderstudyError("file_invalid", f"The keys in {path.name} are damaged.",
                                  "Use the file that 'understudy keys add NAME' wrote.")
        if not is_key(key.bridge):
            raise UnderstudyError("request_invalid", "The bridge's key is not one: it must have 40 characters.",
                                  "Copy the line that 'understudy keys list' prints on the bridge's machine.")
        return key
