# SPDX-License-Identifier: Apache-2.0
"""Measures of films that need a trained network: each from a file that the user has, under the name it is published by.

Files are looked for in ``$UNDERSTUDY_METRICS`` and in ``models/metrics`` of the state folder. Nothing is fetched; a measure whose
file is missing says which one it is.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from bridge_server.video import measure
from shared.errors import UnderstudyError
from shared.state import state_dir

__all__ = ["MEASURES", "Measure", "find_file", "measure_film"]


class Measure(NamedTuple):
    """A measure. :ivar file: what it needs; :ivar published: where that comes from; :ivar against: "reference", "photo" or "audio"."""

    name: str
    file: str
    published: str
    against: str
    compute: Callable[..., dict[str, float]]


def _folders() -> list[Path]:
    chosen = os.environ.get("UNDERSTUDY_METRICS")
    return [*([Path(chosen)] if chosen else []), state_dir() / "models" / "metrics"]


def find_file(name: str) -> Path | None:
    """A file of weights, or None."""
    return next((folder / name for folder in _folders() if (folder / name).is_file()), None)


def _script(path: Path) -> Any:
    import torch

    try:
        return torch.jit.load(str(path), map_location="cpu").eval()
    except (RuntimeError, ValueError, OSError) as error:
        raise UnderstudyError("weights_invalid", f"{path.name} is not a TorchScript file ({str(error).splitlines()[0][:200]}).",
                              "Download it again from where it is published.") from error


def _lpips(path: Path, frames: Sequence[np.ndarray], reference: Sequence[np.ndarray]) -> dict[str, float]:
    from bridge_server.video.measure_networks import AlexFeatures, lpips_distance

    # the package is only looked at for a file: importing it would load all of its measures
    found = find_spec("torchmetrics")
    if found is None or not found.submodule_search_locations:
        raise UnderstudyError("unsupported", "LPIPS needs the weights that torchmetrics carries.", "Run: pip install torchmetrics.")
    linear = Path(found.submodule_search_locations[0]) / "functional/image/lpips_models/alex.pth"
    network = AlexFeatures(path, linear)
    return {"lpips": float(np.mean([lpips_distance(network, a, b) for a, b in zip(frames, reference, strict=True)]))}


def _inception(path: Path, frames: Sequence[np.ndarray], reference: Sequence[np.ndarray]) -> dict[str, float]:
    import torch

    network = _script(path)

    def encode(pictures: np.ndarray) -> np.ndarray:
        # StyleGAN's file resizes and normalises by itself
        with torch.inference_mode():
            return network(torch.from_numpy(pictures).permute(0, 3, 1, 2), return_features=True).double().numpy()

    return {"fid": measure.frechet(measure.features(frames, encode), measure.features(reference, encode))}


def clips_of(frames: Sequence[np.ndarray], length: int = 16) -> np.ndarray:
    """(N, length, H, W, 3): the film in clips that overlap by half, at least two of them."""
    if len(frames) <= length:
        raise UnderstudyError("request_invalid", f"FVD needs more than {length} frames.", "Give a longer film.")
    step = max(min(length // 2, len(frames) - length), 1)
    return np.stack([np.stack(frames[n: n + length]) for n in range(0, len(frames) - length + 1, step)])


def _i3d(path: Path, frames: Sequence[np.ndarray], reference: Sequence[np.ndarray]) -> dict[str, float]:
    import torch

    network = _script(path)

    def encode(clips: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            found = [network(torch.from_numpy(clip[None]).permute(0, 4, 1, 2, 3).float(), rescale=True, resize=True, return_features=True)
                     for clip in clips]
        return torch.cat(found).double().numpy()

    return {"fvd": measure.frechet(encode(clips_of(frames)), encode(clips_of(reference)))}


def _aligned(picture: np.ndarray) -> np.ndarray | None:
    """A face at ArcFace's 112x112, by its eyes; None where none is found."""
    import cv2

    from bridge_server.video.person import find_person
    from bridge_server.video.photo import Photo

    try:
        eyes = find_person(Photo(picture)).eyes
    except UnderstudyError:
        return None
    wanted = np.array([[38.29, 51.70], [73.53, 51.50]])
    a, b = complex(*eyes[1]) - complex(*eyes[0]), complex(*wanted[1]) - complex(*wanted[0])
    turn = b / a
    matrix = np.array([[turn.real, -turn.imag, 0.0], [turn.imag, turn.real, 0.0]])
    matrix[:, 2] = wanted[0] - matrix[:, :2] @ eyes[0]
    return np.asarray(cv2.warpAffine(picture, matrix, (112, 112)))


def _arcface(path: Path, frames: Sequence[np.ndarray], photo: np.ndarray) -> dict[str, float]:
    if find_spec("onnxruntime") is None:
        raise UnderstudyError("unsupported", "CSIM needs onnxruntime.", "Run: pip install onnxruntime.")
    import onnxruntime

    try:
        network = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has a class of its own for every way in which a file can be bad
        raise UnderstudyError("weights_invalid", f"{path.name} cannot be loaded ({str(error)[:200]}).", "Download it again.") from error
    own = _aligned(photo)
    if own is None:
        raise UnderstudyError("unsupported", "No face was found in the photograph.", "Give the photograph that the film was made from.")
    # faces are looked for in every tenth frame: identity does not change faster
    faces = [f for frame in frames[::10] if (f := _aligned(frame)) is not None]
    if not faces:
        raise UnderstudyError("unsupported", "No face was found in the film.", "Give a film that shows the face from the front.")

    def encode(pictures: np.ndarray) -> np.ndarray:
        values = (pictures.astype(np.float32) - 127.5) / 127.5
        return np.asarray(network.run(None, {network.get_inputs()[0].name: values.transpose(0, 3, 1, 2)})[0])

    return {"csim": measure.mean_similarity(np.concatenate([encode(f[None]) for f in faces]), encode(own[None])),
            "faces_found": round(len(faces) / len(frames[::10]), 4)}


def mouth_box(frames: Sequence[np.ndarray]) -> tuple[int, int, int]:
    """(left, top, side) of the face as SyncNet's own preparation cuts it, from the eyes of the first frame that shows them."""
    from bridge_server.video.person import find_person
    from bridge_server.video.photo import Photo

    for frame in frames[:: max(len(frames) // 10, 1)]:
        try:
            person = find_person(Photo(frame))
        except UnderstudyError:
            continue
        # their detector's box is about 4.2 distances of the eyes high; they cut 1.4 times its half to each side, more below
        half = 2.1 * person.unit
        middle = person.face + (0.0, 0.4 * half)
        side = int(2 * 1.4 * half)
        return int(middle[0] - side / 2), int(middle[1] - side / 2), side
    raise UnderstudyError("unsupported", "No face was found in the film.", "Give a film that shows the face from the front.")


def _syncnet(path: Path, frames: Sequence[np.ndarray], sound: np.ndarray, fps: float) -> dict[str, float]:
    import cv2
    import torch

    from bridge_server.video.measure_networks import SyncNet, mfcc

    network = SyncNet(path)
    left, top, side = mouth_box(frames)
    # SyncNet knows 25 frames per second
    index = np.minimum(np.rint(np.arange(int(len(frames) / fps * 25)) / 25 * fps).astype(int), len(frames) - 1)
    faces = []
    for n in index:
        padded = cv2.copyMakeBorder(frames[n], side, side, side, side, cv2.BORDER_CONSTANT, value=(110, 110, 110))
        faces.append(cv2.resize(padded[top + side: top + 2 * side, left + side: left + 2 * side], (224, 224))[..., ::-1])
    cepstra = mfcc(sound)
    count = min(len(faces) - 4, (len(cepstra) - 20) // 4)
    if count <= 30:
        raise UnderstudyError("request_invalid", "Sync-C and Sync-D need more than 1.6 seconds of film and speech.", "Give a longer film.")
    with torch.inference_mode():
        clips = (torch.from_numpy(np.stack(faces[n: n + 5]).astype(np.float32)) for n in range(count))
        lips = [network.lips(clip.permute(3, 0, 1, 2)[None]) for clip in clips]
        heard = network.speech(torch.from_numpy(np.stack([cepstra[4 * n: 4 * n + 20].T[None] for n in range(count)])).float())
    confidence, distance, shift = measure.sync(torch.cat(lips).numpy(), heard.numpy())
    return {"sync_c": confidence, "sync_d": distance, "sync_shift_frames": float(shift)}


MEASURES: Final = (
    Measure("lpips", "alexnet-owt-7be5be79.pth", "torchvision's AlexNet", "reference", _lpips),
    Measure("fid", "inception-2015-12-05.pt", "StyleGAN's Inception as TorchScript", "reference", _inception),
    Measure("fvd", "i3d_torchscript.pt", "StyleGAN-V's I3D as TorchScript", "reference", _i3d),
    Measure("csim", "w600k_r50.onnx", "InsightFace's ArcFace", "photo", _arcface),
    Measure("sync", "syncnet_v2.model", "SyncNet's weights", "audio", _syncnet),
)


def measure_film(names: Sequence[str], frames: Sequence[np.ndarray], *, reference: Sequence[np.ndarray] | None = None,
                 photo: np.ndarray | None = None, sound: np.ndarray | None = None, fps: float = 25.0) -> tuple[dict[str, float], list[str]]:
    """The named measures, and sentences about those that cannot be had.

    :param names: of :data:`MEASURES`. :param reference: frames of the real film. :param photo: (H, W, 3) of the person.
    :param sound: (N,) speech at 16 kHz.
    """
    given: dict[str, Any] = {"reference": reference, "photo": photo, "audio": sound}
    out: dict[str, float] = {}
    notes: list[str] = []
    for one in MEASURES:
        if one.name not in names:
            continue
        path = find_file(one.file)
        if given[one.against] is None:
            notes.append(f"{one.name} needs --{one.against}.")
        elif path is None:
            notes.append(f"{one.name} needs {one.file} ({one.published}), which is not in {_folders()[0]}.")
        else:
            extra = (fps,) if one.against == "audio" else ()
            try:
                out |= {k: round(v, 4) for k, v in one.compute(path, frames, given[one.against], *extra).items()}
            except UnderstudyError as error:
                if error.code == "weights_invalid":
                    raise
                notes.append(f"{one.name}: {error.message}")
    return out, notes
