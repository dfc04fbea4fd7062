# SPDX-License-Identifier: Apache-2.0
"""Hands stored as offsets from SMPL-X's mean hand, and hands stored absolutely.

``smplx`` adds ``hands_meanl`` and ``hands_meanr`` of the model file to the axis-angle vectors when it is made with
``flat_hand_mean=False`` (its default, and that of BEAT2 and EMAGE). AMASS, Kimodo and HY-Motion store the sum.
The mean hands are part of the licensed model file and are not shipped.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..errors import UnderstudyError
from .arrays import invalid, open_arrays

__all__ = ["MeanHands", "mean_hands_of", "needed"]

MeanHands = np.ndarray
"""(2, 15, 3) axis-angle vectors, radians: left, right, in the order of joints 25 to 39."""


def mean_hands_of(source: str | Path | np.ndarray | None) -> MeanHands | None:
    """Mean hands from an SMPL-X model file, or from an array of 90 numbers (left, then right).

    :raises UnderstudyError: ``file_missing`` or ``file_invalid``.
    """
    if source is None:
        return None
    if isinstance(source, np.ndarray):
        if source.size != 90 or not np.isfinite(source).all():
            raise invalid("The mean hands", f"they are {source.size} numbers instead of 90", "Give hands_meanl, hands_meanr.")
        return source.astype(np.float64).reshape(2, 15, 3)
    with open_arrays(source) as file:
        if "hands_meanl" not in file or "hands_meanr" not in file:
            raise UnderstudyError("file_invalid", f"{file.name} is not an SMPL-X model file: it has no hands_meanl.",
                                  "Name SMPLX_NEUTRAL_2020.npz or another SMPL-X npz of yours.")
        hands = np.stack([file.numbers("hands_meanl").reshape(-1), file.numbers("hands_meanr").reshape(-1)])
    if hands.shape != (2, 45):
        raise invalid(Path(source).name, f"its mean hands have {hands.shape[1]} numbers instead of 45")
    return hands.reshape(2, 15, 3)


def needed(name: str) -> UnderstudyError:
    """What is said where the mean hands are needed and absent."""
    return UnderstudyError(
        "file_missing", f"{name} stores its hands as offsets from SMPL-X's mean hand, which is in the SMPL-X model file.",
        "Name your SMPL-X model file (SMPLX_NEUTRAL_2020.npz), or read the file without hands.")
