# SPDX-License-Identifier: Apache-2.0
"""The networks: MimicMotion's names and shapes, and face layers that change nothing until they are trained."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from bridge_server.video.versa.face_attention import FaceConditions
from bridge_server.video.versa.pose_net import PoseNet
from bridge_server.video.versa.unet import VersaUNet
from bridge_server.video.versa.weights import find_files, load_networks, read_checkpoint, sort_checkpoint
from bridge_server.video.versa.windows import window_weight, windows
from shared.errors import UnderstudyError

from .tiny import UNET, face_file, mimicmotion_file

SVD_XT = {
    # unet/config.json of stable-video-diffusion-img2vid-xt
    "sample_size": 96, "in_channels": 8, "out_channels": 4, "block_out_channels": [320, 640, 1280, 1280], "layers_per_block": 2,
    "down_block_types": ["CrossAttnDownBlockSpatioTemporal"] * 3 + ["DownBlockSpatioTemporal"],
    "up_block_types": ["UpBlockSpatioTemporal"] + ["CrossAttnUpBlockSpatioTemporal"] * 3, "cross_attention_dim": 1024,
    "num_attention_heads": [5, 10, 20, 20], "addition_time_embed_dim": 256, "projection_class_embeddings_input_dim": 768,
    "transformer_layers_per_block": 1, "num_frames": 25,
}


def published_names() -> dict[str, tuple[int, ...]]:
    """Names and shapes of MimicMotion's checkpoint, written down from the published architecture and not from our networks."""
    shapes: dict[str, tuple[int, ...]] = {}

    def linear(name: str, inside: int, outside: int, bias: bool = True) -> None:
        shapes[f"{name}.weight"] = (outside, inside)
        if bias:
            shapes[f"{name}.bias"] = (outside,)

    def norm(name: str, width: int) -> None:
        shapes[f"{name}.weight"] = shapes[f"{name}.bias"] = (width,)

    def conv(name: str, inside: int, outside: int, *kernel: int) -> None:
        shapes[f"{name}.weight"], shapes[f"{name}.bias"] = (outside, inside, *kernel), (outside,)

    def resnet(name: str, inside: int, outside: int) -> None:
        for part, first, kernel in (("spatial_res_block", inside, (3, 3)), ("temporal_res_block", outside, (3, 1, 1))):
            norm(f"{name}.{part}.norm1", first)
            conv(f"{name}.{part}.conv1", first, outside, *kernel)
            linear(f"{name}.{part}.time_emb_proj", 1280, outside)
            norm(f"{name}.{part}.norm2", outside)
            conv(f"{name}.{part}.conv2", outside, outside, *kernel)
        if inside != outside:
            conv(f"{name}.spatial_res_block.conv_shortcut", inside, outside, 1, 1)
        shapes[f"{name}.time_mixer.mix_factor"] = (1,)

    def attention(name: str, width: int) -> None:
        norm(f"{name}.norm", width)
        linear(f"{name}.proj_in", width, width)
        for block in ("transformer_blocks.0", "temporal_transformer_blocks.0"):
            at = f"{name}.{block}"
            for layer, context in (("attn1", width), ("attn2", 1024)):
                linear(f"{at}.{layer}.to_q", width, width, False)
                linear(f"{at}.{layer}.to_k", context, width, False)
                linear(f"{at}.{layer}.to_v", context, width, False)
                linear(f"{at}.{layer}.to_out.0", width, width)
            for layer in ("norm1", "norm2", "norm3", *(("norm_in",) if "temporal" in block else ())):
                norm(f"{at}.{layer}", width)
            for layer in ("ff", *(("ff_in",) if "temporal" in block else ())):
                linear(f"{at}.{layer}.net.0.proj", width, 8 * width)
                linear(f"{at}.{layer}.net.2", 4 * width, width)
        linear(f"{name}.time_pos_embed.linear_1", width, 4 * width)
        linear(f"{name}.time_pos_embed.linear_2", 4 * width, width)
        shapes[f"{name}.time_mixer.mix_factor"] = (1,)
        linear(f"{name}.proj_out", width, width)

    conv("unet.conv_in", 8, 320, 3, 3)
    for name, inside in (("time_embedding", 320), ("add_embedding", 768)):
        linear(f"unet.{name}.linear_1", inside, 1280)
        linear(f"unet.{name}.linear_2", 1280, 1280)
    widths = [320, 640, 1280, 1280]
    for level, width in enumerate(widths):
        for n in range(2):
            resnet(f"unet.down_blocks.{level}.resnets.{n}", width if n else ([320, *widths][level]), width)
            if level < 3:
                attention(f"unet.down_blocks.{level}.attentions.{n}", width)
        if level < 3:
            conv(f"unet.down_blocks.{level}.downsamplers.0.conv", width, width, 3, 3)
    for n in range(2):
        resnet(f"unet.mid_block.resnets.{n}", 1280, 1280)
    attention("unet.mid_block.attentions.0", 1280)
    # an up block's residuals come from the down path: twice its own level, then the one above
    for level, (width, before, skips) in enumerate((
            (1280, 1280, (1280, 1280, 1280)), (1280, 1280, (1280, 1280, 640)), (640, 1280, (640, 640, 320)), (320, 640, (320, 320, 320)))):
        for n in range(3):
            resnet(f"unet.up_blocks.{level}.resnets.{n}", (width if n else before) + skips[n], width)
            if level:
                attention(f"unet.up_blocks.{level}.attentions.{n}", width)
        if level < 3:
            conv(f"unet.up_blocks.{level}.upsamplers.0.conv", width, width, 3, 3)
    norm("unet.conv_norm_out", 320)
    conv("unet.conv_out", 320, 4, 3, 3)
    for n, (inside, outside, kernel) in enumerate(((3, 3, 3), (3, 16, 4), (16, 16, 3), (16, 32, 4), (32, 32, 3), (32, 64, 4), (64, 64, 3),
                                                   (64, 128, 3))):
        conv(f"pose_net.conv_layers.{2 * n}", inside, outside, kernel, kernel)
    conv("pose_net.final_proj", 128, 320, 1, 1)
    shapes["pose_net.scale"] = (1,)
    return shapes


def test_published_names_and_shapes() -> None:
    with torch.device("meta"):
        unet, pose_net = VersaUNet.made(SVD_XT), PoseNet(320)
    own = {f"unet.{n}": tuple(v.shape) for n, v in unet.state_dict().items() if n not in unet.face_names}
    own |= {f"pose_net.{n}": tuple(v.shape) for n, v in pose_net.state_dict().items()}
    published = published_names()
    assert own == published
    # the size of Stable Video Diffusion's U-Net, and one extra layer in each of its 16 spatial blocks
    assert sum(torch.Size(s).numel() for n, s in published.items() if n.startswith("unet.")) == 1_524_623_082
    assert len({n.rsplit(".attn3", 1)[0] for n in unet.face_names if ".attn3" in n}) == 16


def inputs(frames: int = 5) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    g = torch.Generator().manual_seed(3)
    return (torch.randn(1, frames, 8, 9, 8, generator=g), torch.tensor(1.3), torch.randn(1, 1, 32, generator=g),
            torch.tensor([[6.0, 127.0, 0.0]]))


def test_untrained_face_and_pose_change_no_bit() -> None:
    from diffusers import UNetSpatioTemporalConditionModel

    torch.manual_seed(0)
    plain = UNetSpatioTemporalConditionModel(**UNET).eval()
    ours = VersaUNet.made(UNET).eval()
    ours.load_state_dict(plain.state_dict(), strict=False)
    face = FaceConditions(torch.randn(1, 5, 6, 32), torch.rand(1, 5, 9, 8))
    pose = PoseNet(32)(torch.rand(5, 3, 72, 64))
    with torch.no_grad():
        expected = plain(*inputs()).sample
        assert torch.equal(ours(*inputs()), expected)
        assert torch.equal(ours(*inputs(), pose=pose, face=face), expected)
        # what was given to one call is not there in the next
        for name, parameter in ours.named_parameters():
            if "attn3.to_out.0.weight" in name:
                nn.init.normal_(parameter)
        assert not torch.allclose(ours(*inputs(), face=face), expected)
        assert torch.equal(ours(*inputs()), expected)


def test_face_acts_in_its_frame_and_within_its_mask() -> None:
    torch.manual_seed(0)
    unet = VersaUNet.made(UNET).eval()
    block = next(m for m in unet.modules() if hasattr(m, "attn3"))
    nn.init.normal_(block.attn3.to_out[0].weight)
    hidden = torch.randn(3, 72, 32)
    mask = torch.zeros(1, 3, 9, 8)
    mask[0, 1, 2:4, 3:6] = 1
    context = torch.randn(3, 1, 32)
    with torch.no_grad():
        block.slot.conditions = None
        still = block(hidden, encoder_hidden_states=context)
        block.slot.conditions = FaceConditions(torch.randn(1, 3, 6, 32), mask)
        moved = (block(hidden, encoder_hidden_states=context) - still).abs().sum(-1).view(3, 9, 8)
    assert (moved[1] > 0).equal(mask[0, 1] > 0) and moved[0].max() == moved[2].max() == 0


def test_a_mask_has_every_layer_s_size() -> None:
    conditions = FaceConditions(torch.zeros(1, 1, 1, 1), torch.ones(1, 2, 9, 14))
    for height, width in ((9, 14), (5, 7), (3, 4), (2, 2)):
        shrunk = conditions.mask_for(height * width)
        assert shrunk is not None and shrunk.shape == (2, height * width, 1) and (shrunk == 1).all()


def test_pose_net_is_mimicmotion_s(tmp_path: Path) -> None:
    """Against the layers applied one by one from the checkpoint's tensors."""
    state = {k.removeprefix("pose_net."): v.float() for k, v in mimicmotion_file(tmp_path / "m.pth").items() if k.startswith("pose_net.")}
    net = PoseNet(32)
    net.load_state_dict(state)
    x = picture = torch.rand(2, 3, 32, 48) * 2 - 1
    for n, stride in zip(range(0, 16, 2), (1, 2, 1, 2, 1, 2, 1, 1), strict=True):
        x = functional.silu(functional.conv2d(x, state[f"conv_layers.{n}.weight"], state[f"conv_layers.{n}.bias"], stride, 1))
    x = functional.conv2d(x, state["final_proj.weight"], state["final_proj.bias"]) * 2.0
    assert x.shape == (2, 32, 4, 6)
    assert torch.allclose(net(picture), x, atol=1e-5)


def test_loading(tmp_path: Path, versa_weights: Path) -> None:
    shutil.copytree(versa_weights / "svd", tmp_path / "svd")
    state = mimicmotion_file(tmp_path / "MimicMotion_1-1.pth")
    unet, pose_net, face = load_networks(find_files(tmp_path), torch.float32)
    assert face is None
    for name, value in state.items():
        head, _, rest = name.partition(".")
        assert torch.equal({"unet": unet, "pose_net": pose_net}[head].state_dict()[rest], value.float())
    assert not any(p.is_meta or p.requires_grad for p in unet.parameters())
    assert all((unet.state_dict()[n] == 0).all() for n in unet.face_names if ".attn3.to_out." in n)
    # stage 2's file on top
    face_file(tmp_path / "versa.safetensors")
    unet, _, face = load_networks(find_files(tmp_path), torch.bfloat16)
    assert face is not None and face.config.width == 32 and face.emotion.dtype == torch.bfloat16
    assert any((unet.state_dict()[n] != 0).any() for n in unet.face_names if ".attn3.to_out." in n)


def test_other_ways_of_naming(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    state = mimicmotion_file(tmp_path / "a.pth")
    save_file({f"module.{k}" if n % 2 else k.removeprefix("unet.").removeprefix("pose_net."): v.contiguous()
               for n, (k, v) in enumerate(state.items())}, tmp_path / "b.safetensors")
    torch.save({"state_dict": state}, tmp_path / "c.pth", _use_new_zipfile_serialization=False)
    first = sort_checkpoint(read_checkpoint(tmp_path / "a.pth"))
    for other in ("b.safetensors", "c.pth"):
        sorted_ = sort_checkpoint(read_checkpoint(tmp_path / other))
        assert [set(part) for part in sorted_] == [set(part) for part in first]


def test_what_is_missing_is_listed(tmp_path: Path, versa_weights: Path) -> None:
    with pytest.raises(UnderstudyError) as caught:
        find_files(tmp_path / "none")
    assert caught.value.code == "weights_missing"
    with pytest.raises(UnderstudyError) as caught:
        find_files(tmp_path)
    assert "Stable Video Diffusion XT" in caught.value.message and "MimicMotion_1-1.pth" in caught.value.message
    shutil.copytree(versa_weights / "svd", tmp_path / "svd")
    (tmp_path / "svd/vae/diffusion_pytorch_model.safetensors").unlink()
    (tmp_path / "svd/scheduler/scheduler_config.json").unlink()
    # the checkpoint has all of the U-Net, so that part of the download can be left out
    (tmp_path / "svd/unet/diffusion_pytorch_model.safetensors").unlink()
    with pytest.raises(UnderstudyError) as caught:
        find_files(tmp_path)
    for name in ("svd/vae/diffusion_pytorch_model.safetensors", "svd/scheduler/scheduler_config.json", "MimicMotion_1-1.pth"):
        assert name in caught.value.message
    assert "svd/unet" not in caught.value.message


@pytest.mark.parametrize("damage", ["lacks", "shape", "unknown", "broken", "code"])
def test_wrong_checkpoints(damage: str, tmp_path: Path) -> None:
    (tmp_path / "svd/unet").mkdir(parents=True)
    (tmp_path / "svd/unet/config.json").write_text(json.dumps(UNET))
    path = tmp_path / "MimicMotion.pth"
    state = mimicmotion_file(path)
    if damage == "lacks":
        del state["unet.conv_in.weight"]
    elif damage == "shape":
        state["pose_net.final_proj.weight"] = torch.zeros(16, 128, 1, 1)
    elif damage == "unknown":
        state["unet.conv_in.gain"] = torch.zeros(1)
    torch.save(state if damage != "code" else {"x": Path("/")}, path)
    if damage == "broken":
        path.write_bytes(path.read_bytes()[:1000])
    from bridge_server.video.versa.weights import VersaFiles

    with pytest.raises(UnderstudyError) as caught:
        load_networks(VersaFiles(tmp_path / "svd", path, None), torch.float32)
    assert caught.value.code == "weights_invalid"
    if damage in ("lacks", "shape", "unknown"):
        assert {"lacks": "conv_in.weight", "shape": "final_proj.weight", "unknown": "conv_in.gain"}[damage] in caught.value.message


@pytest.mark.parametrize(("frames", "size", "overlap"), [(73, 72, 6), (200, 72, 6), (10, 72, 6), (17, 6, 2), (3, 2, 0)])
def test_windows_cover_the_film(frames: int, size: int, overlap: int) -> None:
    parts = windows(frames, size, overlap)
    assert {n for part in parts for n in part} == set(range(frames))
    assert all(part[0] == 0 and len(part) == min(size, frames) for part in parts)
    assert all(list(part[1:]) == list(range(part[1], part[-1] + 1)) for part in parts)
    weight = window_weight(size)
    assert (weight > 0).all() and weight.max() <= 1 and torch.allclose(weight, weight.flip(0))


def test_windows_that_do_not_advance_are_refused() -> None:
    with pytest.raises(ValueError):
        windows(100, 8, 7)
