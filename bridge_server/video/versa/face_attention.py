# SPDX-License-Identifier: Apache-2.0
"""The extra cross-attention that listens to speech, emotion and blinks.

The paper puts it after each existing cross-attention. Here these are the U-Net's **spatial** ones: the temporal ones see one context
for all frames of a window, so a frame's own sound could not enter there. The output projection starts at zero.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from diffusers.models.attention import BasicTransformerBlock, _chunked_feed_forward
from diffusers.models.attention_processor import Attention
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["FaceConditions", "FaceSlot", "FaceTransformerBlock", "add_face_attention"]


@dataclass
class FaceConditions:
    """What the face does in each frame of a window.

    :ivar tokens: (B, F, K, C), see :class:`~.conditions.FaceConditioner`.
    :ivar mask: (B, F, h, w) in [0, 1] at the latents' size: where the tokens may act; None for everywhere.
    """

    tokens: Tensor
    mask: Tensor | None = None
    _shrunk: dict[int, Tensor] = field(default_factory=dict, repr=False)

    def mask_for(self, places: int) -> Tensor | None:
        """(B * F, places, 1), the mask at a layer's size; each downsampling of the U-Net halves the sides, rounded up."""
        if self.mask is None:
            return None
        if not self._shrunk:
            flat = self.mask.flatten(0, 1)[:, None]
            height, width = flat.shape[-2:]
            while True:
                self._shrunk[height * width] = functional.adaptive_avg_pool2d(flat, (height, width)).flatten(2).transpose(1, 2)
                if height * width == 1:
                    break
                height, width = (height + 1) // 2, (width + 1) // 2
        return self._shrunk[places]


class FaceSlot:
    """Where the U-Net leaves the conditions of the call under way for its blocks; None outside of one."""

    def __init__(self) -> None:
        self.conditions: FaceConditions | None = None


class FaceTransformerBlock(BasicTransformerBlock):
    """A spatial block of the U-Net with one more cross-attention between the existing one and the feed-forward."""

    slot: FaceSlot

    def forward(  # type: ignore[override]
        self, hidden_states: Tensor, attention_mask: Tensor | None = None, encoder_hidden_states: Tensor | None = None,
        encoder_attention_mask: Tensor | None = None, timestep: Tensor | None = None,
        cross_attention_kwargs: dict[str, Any] | None = None, class_labels: Tensor | None = None,
        added_cond_kwargs: dict[str, Tensor] | None = None,
    ) -> Tensor:
        """(B * F, N, C), as the block of diffusers with layer norms computes it, in the same order of operations."""
        h = self.attn1(self.norm1(hidden_states), attention_mask=attention_mask) + hidden_states
        h = self.attn2(self.norm2(h), encoder_hidden_states=encoder_hidden_states, attention_mask=encoder_attention_mask) + h
        face = self.slot.conditions
        if face is not None:
            heard = self.attn3(self.norm_attn3(h), encoder_hidden_states=face.tokens.flatten(0, 1).to(h.dtype))
            mask = face.mask_for(h.shape[1])
            h = (heard if mask is None else heard * mask.to(h.dtype)) + h
        normed = self.norm3(h)
        forward = self.ff(normed) if self._chunk_size is None else _chunked_feed_forward(
            self.ff, normed, self._chunk_dim, self._chunk_size)
        out: Tensor = forward + h
        return out


def add_face_attention(unet: nn.Module, width: int, slot: FaceSlot) -> list[str]:
    """Give every spatial block of a U-Net the extra layer, in place; returns the new parameters' names.

    :param width: C of the tokens.
    """
    before = set(unet.state_dict())
    for block in [m for m in unet.modules() if type(m) is BasicTransformerBlock]:
        assert block.norm_type == "layer_norm" and block.attn2 is not None and block.pos_embed is None
        block.__class__ = FaceTransformerBlock
        block.slot = slot
        inside = block.attn2.to_q.in_features
        block.norm_attn3 = nn.LayerNorm(inside)
        block.attn3 = Attention(query_dim=inside, cross_attention_dim=width, heads=block.attn2.heads,
                                dim_head=block.attn2.inner_dim // block.attn2.heads, bias=False, out_bias=True)
        with torch.no_grad():
            block.attn3.to_out[0].weight.zero_()
            block.attn3.to_out[0].bias.zero_()
    return [name for name in unet.state_dict() if name not in before]
