# SPDX-License-Identifier: GPL-3.0-or-later
"""The add-on's log file, ``logs/addon.log`` in the state folder."""

import logging
from pathlib import Path

from .shared.state import state_dir

__all__ = ["close", "log_file", "open_log"]

_handler: logging.Handler | None = None
_MAX_BYTES = 1 << 20


def log_file() -> Path:
    """Where the log is written."""
    return state_dir() / "logs" / "addon.log"


def open_log() -> None:
    """Begin to write; a folder that cannot be written to costs the log and nothing else."""
    global _handler
    if _handler is not None:
        return
    logger = logging.getLogger("understudy")
    logger.setLevel(logging.INFO)
    from logging.handlers import RotatingFileHandler

    try:
        log_file().parent.mkdir(parents=True, exist_ok=True)
        # the file is made with the first line, so that merely enabling the add-on writes nothing
        _handler = RotatingFileHandler(log_file(), maxBytes=_MAX_BYTES, backupCount=2, encoding="utf-8", delay=True)
    except OSError as error:
        logger.warning("no log file: %s", error)
        return
    _handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    logger.addHandler(_handler)


def close() -> None:
    """Stop writing and release the file."""
    global _handler
    if _handler is not None:
        logging.getLogger("understudy").removeHandler(_handler)
        _handler.close()
        _handler = None
