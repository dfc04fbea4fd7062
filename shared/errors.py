# SPDX-License-Identifier: Apache-2.0
"""One error type for everything that can go wrong in front of a user.

Every failure carries a stable ``code``, a ``message`` in one sentence, whether trying again can
help, and ``fix``: what to do. It crosses the wire as plain JSON and looks the same on both sides.
"""

from __future__ import annotations

from typing import Any, Final

__all__ = ["CODES", "UnderstudyError"]

CODES: Final[dict[str, bool]] = {
    # code: can the same request succeed later without being changed?
    "audio_missing": False,
    "audio_unreadable": False,
    "audio_empty": False,
    "audio_invalid": False,
    "audio_too_long": False,
    "direction_invalid": False,
    "character_missing": False,
    "rig_unknown": False,
    "file_missing": False,
    "file_invalid": False,
    "weights_missing": False,
    "weights_invalid": False,
    "text_encoder_missing": False,
    "audio_encoder_missing": False,
    "request_invalid": False,
    "request_too_large": False,
    "version_mismatch": False,
    "bad_message": False,
    "unauthorised": False,
    "busy": True,
    "cancelled": True,
    "not_found": False,
    "bridge_not_running": True,
    "bridge_lost": True,
    "worker_died": True,
    "out_of_memory": True,
    "timeout": True,
    "unsupported": False,
    "internal": False,
}
"""Every error code with its default for ``retryable``."""


class UnderstudyError(Exception):
    """A failure that a user can read and act on.

    :param code: one of :data:`CODES`.
    :param message: one sentence that says what is wrong.
    :param fix: one sentence that says what to do about it.
    :param retryable: whether the same request may succeed later; by default as in :data:`CODES`.
    :ivar log: the bridge's log file, which has more; set by whoever knows it.
    :raises ValueError: for a code that is not in :data:`CODES`.
    """

    def __init__(self, code: str, message: str, fix: str = "", *, retryable: bool | None = None) -> None:
        if code not in CODES:
            raise ValueError(f"unknown error code {code!r}")
        super().__init__(message)
        self.code = code
        self.message = message
        self.fix = fix
        self.retryable = CODES[code] if retryable is None else retryable
        self.log = ""

    def __str__(self) -> str:
        text = f"{self.message} {self.fix}".strip()
        return f"{text} The log file is {self.log}." if self.log and self.log not in text else text

    def to_json(self) -> dict[str, Any]:
        """The error as it stands in an ``error`` message."""
        data = {"code": self.code, "message": self.message, "fix": self.fix, "retryable": self.retryable}
        return {**data, "log": self.log} if self.log else data

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> UnderstudyError:
        """The inverse of :meth:`to_json`; a code from a newer peer becomes ``internal``."""
        code = str(data.get("code", "internal"))
        error = cls(
            code if code in CODES else "internal",
            str(data.get("message", "The bridge reported an error without a message.")),
            str(data.get("fix", "")),
            retryable=bool(data.get("retryable", False)),
        )
        error.log = str(data.get("log", ""))
        return error
