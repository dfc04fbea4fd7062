# SPDX-License-Identifier: Apache-2.0
"""npz and npy files of other projects: arrays by name, never a pickle."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from ..errors import UnderstudyError

__all__ = ["ArrayFile", "finite", "invalid", "open_arrays"]


def invalid(name: str, why: str, fix: str = "Export the file again from the program that made it.") -> UnderstudyError:
    """``file_invalid`` in one sentence."""
    return UnderstudyError("file_invalid", f"{name} cannot be read as motion: {why}.", fix)


class ArrayFile:
    """The arrays of an open npz file, read when asked for.

    Object arrays, which only a pickle could restore, are refused; an object array that nobody asks for does not matter
    (AMASS stage II files carry two).
    """

    def __init__(self, name: str, content: np.lib.npyio.NpzFile) -> None:
        self.name = name
        self._content = content
        self.keys = frozenset(content.files)

    def __contains__(self, key: str) -> bool:
        return key in self.keys

    def raw(self, key: str) -> np.ndarray:
        """One array as it is stored. :raises UnderstudyError: ``file_invalid`` where it is absent, damaged or an object."""
        if key not in self.keys:
            raise invalid(self.name, f"it has no {key}")
        try:
            return np.asarray(self._content[key])
        except ValueError as error:
            why = f"{key} is an array of Python objects, which is not opened for safety" if "pickle" in str(error) \
                else f"{key} is damaged ({error})"
            raise invalid(self.name, why, "Save the array again with a plain number type.") from error
        except (OSError, EOFError, KeyError, zipfile.BadZipFile, zipfile.LargeZipFile) as error:
            raise invalid(self.name, f"{key} is damaged ({error})", "Fetch or export the file again.") from error

    def numbers(self, key: str, width: int | None = None) -> np.ndarray:
        """(T, width) or any shape, float64, all finite. :raises UnderstudyError: ``file_invalid``."""
        x = self.raw(key)
        if x.dtype.kind not in "fiub":
            raise invalid(self.name, f"{key} holds no numbers")
        x = x.astype(np.float64)
        if width is not None:
            if x.ndim < 2 or x[:1].size != width * min(len(x), 1):
                raise invalid(self.name, f"{key} has shape {x.shape} where (frames, {width}) is expected")
            x = x.reshape(len(x), width)
        return finite(x, key, self.name)

    def scalar(self, *keys: str) -> float | None:
        """The first number found under one of ``keys``; None where none is there."""
        for key in keys:
            if key in self.keys:
                x = self.numbers(key).reshape(-1)
                if x.size:
                    return float(x[0])
        return None

    def text(self, key: str, default: str = "") -> str:
        """A string, stored as such, as bytes, or as an array of one; the default where it is none of them."""
        if key not in self.keys:
            return default
        try:
            x = self.raw(key).reshape(-1)
        except UnderstudyError:
            return default
        if not x.size or x.dtype.kind not in "US":
            return default
        value = x[0]
        return (value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)).strip() or default


def finite(x: np.ndarray, key: str, name: str) -> np.ndarray:
    """``x``, all of whose numbers are finite. :raises UnderstudyError: ``file_invalid``, naming the first bad frame."""
    bad = ~np.isfinite(x)
    if bad.any():
        where = f" (first in frame {int(np.argwhere(bad)[0][0])})" if x.ndim else ""
        raise invalid(name, f"{key} contains {int(bad.sum())} numbers that are NaN or infinite{where}")
    return x


@contextmanager
def open_arrays(path: str | Path) -> Iterator[ArrayFile]:
    """An npz file. :raises UnderstudyError: ``file_missing`` or ``file_invalid``."""
    path = Path(path)
    if not path.is_file():
        raise UnderstudyError("file_missing", f"There is no file {path}.", "Check the path.")
    try:
        content = np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise invalid(path.name, "it is not an npz file or is cut short", "Fetch or export the file again.") from error
    if not isinstance(content, np.lib.npyio.NpzFile):
        raise invalid(path.name, "it holds one bare array, not named ones", "Choose an npz file.")
    with content:
        yield ArrayFile(path.name, content)
