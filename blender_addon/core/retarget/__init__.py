# SPDX-License-Identifier: GPL-3.0-or-later
"""Motion of the source skeleton to pose channels of any rig, in numpy alone."""

from .options import ROOT_MODES, RetargetOptions, RetargetResult
from .rig import RigRest, rig_rest
from .transfer import retarget

__all__ = ["ROOT_MODES", "RetargetOptions", "RetargetResult", "RigRest", "retarget", "rig_rest"]
