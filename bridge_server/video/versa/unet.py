# SPDX-License-Identifier: Apache-2.0
"""Stable Video Diffusion's U-Net with a pose and a face."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from diffusers import UNetSpatioTemporalConditionModel
from torch import Tensor, nn

from bridge_server.video.versa.face_attention import FaceConditions, FaceSlot, add_face_attention

__all__ = ["VersaUNet"]


class VersaUNet(UNetSpatioTemporalConditionModel):
    """diffusers' U-Net, whose names and shapes it keeps, with two more inputs.

    ``pose`` is added after the first convolution. ``face`` reaches the extra cross-attentions (``attn3``, ``norm_attn3``), whose
    output is exactly zero until it is trained.

    :ivar face_names: the extra layers' parameters. :ivar head: how its pose pictures show the head: ``points`` or ``mask``.
    """

    face_names: list[str]
    head: str = "points"
    _slot: FaceSlot
    _pose: Tensor | None

    @classmethod
    def made(cls, config: Mapping[str, Any]) -> VersaUNet:
        """An untrained one from the content of Stable Video Diffusion's ``unet/config.json``."""
        unet: VersaUNet = cls.from_config(dict(config))
        unet._slot, unet._pose = FaceSlot(), None
        width = unet.config.cross_attention_dim  # type: ignore[attr-defined]
        unet.face_names = add_face_attention(unet, width if isinstance(width, int) else width[0], unet._slot)
        unet.conv_in.register_forward_hook(unet._with_pose)
        return unet

    def _with_pose(self, module: nn.Module, arguments: tuple[Tensor, ...], out: Tensor) -> Tensor | None:
        return None if self._pose is None else out + self._pose

    def forward(  # type: ignore[override]
        self, sample: Tensor, timestep: Tensor | float, encoder_hidden_states: Tensor, added_time_ids: Tensor, *,
        pose: Tensor | None = None, face: FaceConditions | None = None, return_dict: bool = False,
    ) -> Any:
        """(B, F, 4, h, w) predicted for noisy latents and image latents (B, F, 8, h, w).

        :param encoder_hidden_states: (B, 1, C), the photograph seen by CLIP. :param added_time_ids: (B, 3).
        :param pose: (B * F, channels, h, w), see :class:`~.pose_net.PoseNet`. :param face: what the extra layers listen to.
        """
        # left set after the call: gradient checkpointing runs blocks again during the backward pass
        self._pose, self._slot.conditions = pose, face
        out = super().forward(sample, timestep, encoder_hidden_states, added_time_ids, return_dict=return_dict)
        return out if return_dict else out[0]
