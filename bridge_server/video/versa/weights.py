# SPDX-License-Identifier: Apache-2.0
"""From published files to networks: a Stable Video Diffusion XT folder, MimicMotion's checkpoint, and our own face layers.

What lies where in a folder of weights::

    svd/ (or any other name, or the folder itself)   diffusers' layout of stable-video-diffusion-img2vid-xt
    MimicMotion_1-1.pth (or .safetensors)             keys ``unet.*`` and ``pose_net.*``, all of the U-Net
    versa.safetensors                                 optional: what `understudy train video` wrote
"""

from __future__ import annotations

import json
import pickle
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from bridge_server.video import model_folders
from shared.errors import UnderstudyError

__all__ = ["FACE_FILE", "PARTS", "VersaFiles", "find_files", "load_networks", "read_checkpoint", "sort_checkpoint"]

PARTS: Final = {"unet": "diffusers", "vae": "diffusers", "image_encoder": "transformers", "scheduler": "config",
                "feature_extractor": "config"}
FACE_FILE: Final = "versa.safetensors"
_FIX: Final = ("Put a copy of stable-video-diffusion-img2vid-xt in diffusers' layout and MimicMotion_1-1.pth into one folder; "
               "docs/film.md tells how.")


@dataclass(frozen=True)
class VersaFiles:
    """:ivar svd: folder in diffusers' layout. :ivar checkpoint: MimicMotion's file. :ivar face: our own layers, or None."""

    svd: Path
    checkpoint: Path
    face: Path | None


def find_files(folder: Path) -> VersaFiles:
    """The files of a weights folder.

    :raises UnderstudyError: ``weights_missing`` with everything that is missing, in one sentence.
    """
    if not folder.is_dir():
        raise UnderstudyError("weights_missing", f"There is no folder of weights {folder}.", _FIX)
    bases = [p for p in (folder, *sorted(folder.iterdir())) if p.is_dir() and (p / "unet").is_dir()]
    found = [p for p in sorted(folder.glob("*.pth")) + sorted(folder.glob("*.safetensors")) if p.name != FACE_FILE]
    # the release of a higher number has learned longer windows
    checkpoints = sorted((p for p in found if "mimicmotion" in p.name.lower()), key=lambda p: p.name.lower()) or found
    missing: list[str] = []
    if bases:
        # the U-Net's weights are all in the checkpoint, which was trained from Stable Video Diffusion's
        missing += [f"{bases[0].name}/{name}" for name in model_folders.missing_parts(bases[0], PARTS, ("unet",))]
    else:
        missing.append("a folder of Stable Video Diffusion XT (with unet/, vae/, image_encoder/, scheduler/, feature_extractor/)")
    if not checkpoints:
        missing.append("MimicMotion's checkpoint (MimicMotion_1-1.pth)")
    if missing:
        raise UnderstudyError("weights_missing", f"The weights in {folder} are incomplete: {', '.join(missing)} "
                              f"{'is' if len(missing) == 1 else 'are'} missing.", _FIX)
    face = folder / FACE_FILE
    return VersaFiles(bases[0], checkpoints[-1], face if face.is_file() else None)


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """The tensors of a ``.pth`` or ``.safetensors`` file, on the processor. No code in the file is run.

    :raises UnderstudyError: ``weights_invalid``.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    # files of old torch releases are no archives and cannot be mapped into memory
    mapped = path.suffix != ".safetensors" and zipfile.is_zipfile(path)
    try:
        loaded: Any = load_file(path) if path.suffix == ".safetensors" else torch.load(path, "cpu", weights_only=True, mmap=mapped)
    except (OSError, SafetensorError, RuntimeError, ValueError, EOFError, pickle.UnpicklingError) as error:
        raise UnderstudyError("weights_invalid", f"{path.name} cannot be read as weights ({type(error).__name__}).",
                              "Fetch the file again.") from error
    for wrapper in ("state_dict", "module"):
        if isinstance(loaded, dict) and isinstance(loaded.get(wrapper), dict):
            loaded = loaded[wrapper]
    if not isinstance(loaded, dict) or not all(isinstance(v, Tensor) for v in loaded.values()):
        raise UnderstudyError("weights_invalid", f"{path.name} holds something other than a state dict.", "Fetch the file again.")
    return loaded


def sort_checkpoint(state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor], dict[str, Tensor]]:
    """A checkpoint's tensors by network: U-Net, PoseNet, face; names relative to each.

    Takes ``unet.*`` and ``pose_net.*`` as MimicMotion publishes them, with or without the ``module.`` of parallel training, and
    U-Net names without a prefix as merged files have them.
    """
    unet: dict[str, Tensor] = {}
    pose: dict[str, Tensor] = {}
    face: dict[str, Tensor] = {}
    for name, value in state.items():
        name = name.removeprefix("module.")
        head, _, rest = name.partition(".")
        if head == "unet":
            unet[rest] = value
        elif head == "pose_net":
            pose[rest] = value
        elif head == "face":
            face[rest] = value
        elif head in ("conv_layers", "final_proj", "scale"):
            pose[name] = value
        elif head not in ("vae", "image_encoder"):
            unet[name] = value
    return unet, pose, face


def _take(network: Any, state: Mapping[str, Tensor], file: str, what: str, may_lack: tuple[str, ...] = ()) -> None:
    """Load all of ``state``; anything missing, unknown or of another shape is an error that names some of it."""
    expected = dict(network.state_dict())
    lacking = [n for n in expected if n not in state and n not in may_lack]
    unknown = [n for n in state if n not in expected]
    other = [n for n in state if n in expected and state[n].shape != expected[n].shape]
    for names, words in ((lacking, "lacks"), (unknown, "has unknown"), (other, "has another shape of")):
        if names:
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            raise UnderstudyError("weights_invalid", f"{file} {words} {', '.join(names[:3])}{more} of the {what}.",
                                  "Use the checkpoint that belongs to this Stable Video Diffusion folder.")
    network.load_state_dict(dict(state), strict=False, assign=True)


def load_networks(files: VersaFiles, dtype: torch.dtype) -> tuple[Any, Any, Any]:
    """U-Net, PoseNet, and face conditioner or None, on the processor, ready to draw.

    :raises UnderstudyError: ``weights_invalid`` where a file does not fit.
    """
    from safetensors import safe_open

    from bridge_server.video.versa.conditions import FaceConditioner, FaceConfig
    from bridge_server.video.versa.pose_net import PoseNet
    from bridge_server.video.versa.unet import VersaUNet

    config = {k: v for k, v in model_folders.read_json(files.svd / "unet" / "config.json").items() if not k.startswith("_")}
    with torch.device("meta"):
        unet = VersaUNet.made(config)
        pose_net = PoseNet(unet.conv_in.out_channels)
    unet_state, pose_state, _ = sort_checkpoint(read_checkpoint(files.checkpoint))
    _take(pose_net, pose_state, files.checkpoint.name, "PoseNet")
    face = None
    if files.face is not None:
        own_unet, own_pose, own_face = sort_checkpoint(read_checkpoint(files.face))
        with safe_open(files.face, "pt") as file:
            facts = file.metadata() or {}
        unet.head = facts.get("head", "points")
        unet_state.update(own_unet)
        if own_pose:
            _take(pose_net, own_pose, files.face.name, "PoseNet")
        if own_face:
            with torch.device("meta"):
                face = FaceConditioner(FaceConfig(**json.loads(facts.get("face", "{}"))))
            _take(face, own_face, files.face.name, "face layers")
    _take(unet, unet_state, files.checkpoint.name, "U-Net", tuple(unet.face_names))
    _fresh_face_layers(unet, set(unet_state))
    networks = [unet, pose_net, *([face] if face is not None else [])]
    for network in networks:
        network.to(dtype=dtype).eval().requires_grad_(False)
    return unet, pose_net, face


def _fresh_face_layers(unet: Any, given: set[str]) -> None:
    """Extra layers that no file has get real tensors that do nothing: the network was made without memory."""
    for path, module in unet.named_modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            full = f"{path}.{name}" if path else name
            if full in given or not parameter.is_meta:
                continue
            value = torch.zeros(parameter.shape)
            if full.endswith("norm_attn3.weight"):
                value.fill_(1)
            elif not (full.endswith("bias") or ".attn3.to_out." in full):
                torch.nn.init.xavier_uniform_(value)
            setattr(module, name, torch.nn.Parameter(value))
