# SPDX-License-Identifier: Apache-2.0
"""Forward kinematics of the body in torch, for losses that look at joints rather than at angles."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from shared.skeleton import BODY_JOINT_COUNT, JOINT_COUNT, NEUTRAL_OFFSETS, PARENTS

from .features import FIRST_FINGER, LOWER_JOINTS, ROOT_WIDTH, UPPER_JOINTS

__all__ = ["body_positions", "finger_positions", "root_path", "six_d_to_matrix"]


def six_d_to_matrix(d: Tensor) -> Tensor:
    """6D (…, 6), column 0 then column 1, to matrices (…, 3, 3)."""
    c0 = functional.normalize(d[..., :3], dim=-1, eps=1e-6)
    b = d[..., 3:] - (c0 * d[..., 3:]).sum(-1, keepdim=True) * c0
    c1 = functional.normalize(b, dim=-1, eps=1e-6)
    return torch.stack((c0, c1, torch.linalg.cross(c0, c1)), -1)


def body_positions(parts: dict[str, Tensor]) -> Tensor:
    """Joints (B, T, 22, 3) in the heading frame under the pelvis, metres, from part features (B, T, width)."""
    lower, upper = parts["lower"], parts["upper"]
    shape = lower.shape[:-1]
    local: list[Tensor | None] = [None] * BODY_JOINT_COUNT
    local[0] = six_d_to_matrix(lower[..., 4:10])
    legs = six_d_to_matrix(lower[..., ROOT_WIDTH:ROOT_WIDTH + 6 * len(LOWER_JOINTS)].reshape(*shape, -1, 6))
    trunk = six_d_to_matrix(upper.reshape(*shape, -1, 6))
    for n, j in enumerate(LOWER_JOINTS):
        local[j] = legs[..., n, :, :]
    for n, j in enumerate(UPPER_JOINTS):
        local[j] = trunk[..., n, :, :]
    offsets = torch.tensor(NEUTRAL_OFFSETS, dtype=lower.dtype, device=lower.device)
    world: list[Tensor] = []
    points: list[Tensor] = []
    for j in range(BODY_JOINT_COUNT):
        here = local[j]
        assert here is not None
        if j == 0:
            world.append(here)
            points.append(torch.stack((torch.zeros_like(lower[..., 3]), lower[..., 3], torch.zeros_like(lower[..., 3])), -1))
            continue
        p = PARENTS[j]
        points.append(points[p] + world[p] @ offsets[j])
        world.append(world[p] @ here)
    return torch.stack(points, -2)


def finger_positions(hands: Tensor) -> Tensor:
    """What moves of the fingers (B, T, 30, 3), in the frame of their wrist, metres, from ``hands`` features (B, T, 180).

    Of each finger its second joint, its third, and its tip, which lies as far past the third as that past the second.
    """
    local = six_d_to_matrix(hands.reshape(*hands.shape[:-1], -1, 6))
    offsets = torch.tensor(NEUTRAL_OFFSETS, dtype=hands.dtype, device=hands.device)
    points: list[Tensor] = []
    for first in range(FIRST_FINGER, JOINT_COUNT, 3):
        place, world = offsets[first], local[..., first - FIRST_FINGER, :, :]
        for j in (first + 1, first + 2):
            place = place + world @ offsets[j]
            points.append(place)
            world = world @ local[..., j - FIRST_FINGER, :, :]
        points.append(place + world @ offsets[first + 2])
    return torch.stack(points, -2)


def root_path(lower: Tensor) -> tuple[Tensor, Tensor]:
    """Heading (B, T) in radians and place (B, T, 2), x and z in metres, from lower features, starting at zero."""
    heading = torch.cumsum(lower[..., 0], -1) - lower[..., 0]
    sin, cos = torch.sin(heading), torch.cos(heading)
    x, z = lower[..., 1], lower[..., 2]
    step = torch.stack((cos * x + sin * z, -sin * x + cos * z), -1)
    return heading, torch.cumsum(step, -2) - step
