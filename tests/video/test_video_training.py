# SPDX-License-Identifier: Apache-2.0
"""`understudy train video` from files to a film model, at tiny size."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from bridge_server.cli.main import main
from bridge_server.pose_track.layout import LEFT_HAND
from bridge_server.training.video_data import blinks_of_points, crop_box, cropped, read_clips, region_weights
from bridge_server.training.video_stage import diffusion_loss
from bridge_server.video.versa.drawing import Drawing, to_tensor
from bridge_server.video.versa.pictures import PosePictures, joined
from bridge_server.video.versa.pose_net import PoseNet
from bridge_server.video.versa.sampler import Sampling, denoise, start_noise
from bridge_server.video.versa.weights import VersaFiles, read_checkpoint
from shared.errors import UnderstudyError

from .moving import SIDE, figure, pose, write_set
from .tiny import mimicmotion_file

RECIPE = """
seed = 0
[data]
width = 64
height = 64
window = 3
scales = [1.0, 1.0]
pose_side = 64
checkpointing = {checkpointing}
pool = 24
reuse = 8
[stage1]
steps = {steps}
rate = 4e-3
warmup = 10
validate_every = 40
average = 0.95
drop = 0.0
hand_weight = 1.0
[stage2]
steps = 24
rate = 3e-3
warmup = 5
validate_every = 8
average = 0.9
face_weight = 5.0
audio = "mel"
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    write_set(folder)
    return folder


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory, versa_weights: Path) -> Path:
    """Untrained, with a PoseNet as it starts."""
    folder = tmp_path_factory.mktemp("weights")
    shutil.copytree(versa_weights / "svd", folder / "svd")
    state = mimicmotion_file(folder / "MimicMotion_1-1.pth")
    torch.manual_seed(5)
    state.update({f"pose_net.{n}": v.half() for n, v in PoseNet(32).state_dict().items()})
    torch.save(state, folder / "MimicMotion_1-1.pth")
    return folder


def losses(run: Path, stage: str) -> dict[int, float]:
    lines = [json.loads(line) for line in (run / stage / "log.jsonl").read_text().splitlines()]
    return {line["step"]: line["val/loss"] for line in lines if "val/loss" in line}


def test_two_stages(data: Path, weights: Path, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    recipe, run = tmp_path / "tiny.toml", tmp_path / "run"
    line = ["train", "video", "--config", str(recipe), "--data", str(data), "--folder", str(run), "--weights", str(weights)]
    recipe.write_text(RECIPE.format(steps=20, checkpointing="true"))
    assert main([*line, "--stage", "1"]) == 0
    out = run / "weights/versa.safetensors"
    early = read_checkpoint(out)
    # the same folder goes on where it was
    recipe.write_text(RECIPE.format(steps=160, checkpointing="false"))
    assert main([*line, "--stage", "1"]) == 0
    by_step = losses(run, "video-pose")
    assert sorted(by_step) == [20, 40, 80, 120, 160] and by_step[160] < 0.9 * by_step[20]
    taught = read_checkpoint(out)
    assert not any("attn3" in name or name.startswith("face.") for name in taught)
    assert not torch.equal(taught["pose_net.final_proj.weight"], early["pose_net.final_proj.weight"])
    right, control = followed(VersaFiles(weights / "svd", weights / "MimicMotion_1-1.pth", out), data, tmp_path)
    # of twelve; a model that ignores the pose is right in three
    assert right >= 8 and control <= 5, (right, control)
    # stage 2 teaches the face and leaves the rest as it was, bit for bit
    assert main([*line, "--stage", "2"]) == 0
    both = read_checkpoint(out)
    assert all(torch.equal(both[name], value) for name, value in taught.items())
    assert {name.split(".")[0] for name in set(both) - set(taught)} == {"unet", "face"}
    assert all((both[name] != 0).any() for name in both if name.endswith("attn3.to_out.0.weight"))
    by_step = losses(run, "video-face")
    assert by_step[24] < by_step[8]


def followed(files: VersaFiles, data: Path, cache: Path) -> tuple[int, int]:
    """Of four held-out poses, drawn from noise three times, how often one comes out nearest to its own picture; and the same with
    empty poses."""
    drawing = Drawing(files, "cpu", "fp32", "none")
    assert drawing.nets.unet.head == "mask"
    clip = read_clips(data, cache / "pictures", 128, "val")[0]
    shifts = (-14.0, -5.0, 5.0, 14.0)
    pictures = [figure(pose(np.array([shift])), 0, (120, 120, 120)) for shift in shifts]
    truth = drawing.encode(to_tensor(np.stack(pictures))) * drawing.scaling
    reference = drawing.reference(np.ascontiguousarray(clip.pictures[11]))
    own, sampling = clip.track.take(np.array([11])), Sampling(6, 4, 0, 1.0)
    found = []
    for blank in (False, True):
        hits = 0
        for seed, shift in enumerate(shifts * 3):
            number = seed % len(shifts)
            poses = PosePictures(joined(own, pose(np.full(3, shift))), "mask", short_side=SIDE)
            drawing.nets.scheduler.set_timesteps(sampling.steps)
            noise = start_noise(4, 4, (8, 8), seed) * drawing.nets.scheduler.init_noise_sigma
            made = denoise(drawing.nets, noise, reference, (lambda index, p=poses: p(index) * 0 - 1) if blank else poses, sampling)
            # by what tells the four pictures apart, whatever the colours
            apart, own_way = (truth - truth.mean(0)).flatten(1), (made[0, 1:].mean(0) - truth.mean(0)).flatten()
            alike = torch.cosine_similarity(apart, own_way[None])
            hits += int(alike.argmax()) == number
        found.append(hits)
    return found[0], found[1]


def test_loss_is_nothing_for_the_right_answer_and_counts_regions() -> None:
    clean, noise, sigma = torch.randn(1, 2, 4, 3, 3), torch.randn(1, 2, 4, 3, 3), torch.tensor(2.5)
    noisy, weights = clean + noise * sigma, torch.ones(2, 3, 3)
    # v = (noise - sigma * clean) / sqrt(sigma^2 + 1)
    answer = (noise - sigma * clean) / math.sqrt(2.5**2 + 1)
    assert float(diffusion_loss(answer, noisy, clean, sigma, weights)) < 1e-9
    wrong = answer.clone()
    wrong[..., 0, 0] += 1
    plain = float(diffusion_loss(wrong, noisy, clean, sigma, weights))
    # an error of 1 in v is one of sigma / sqrt(sigma^2 + 1) in the picture, which the level's weight takes back
    assert plain == pytest.approx(1 / 9, rel=1e-4)
    weights[:, 0, 0] = 10
    assert float(diffusion_loss(wrong, noisy, clean, sigma, weights)) == pytest.approx(10 / 18, rel=1e-4)


def test_regions_follow_confidence() -> None:
    track = pose(np.zeros(1))
    track.points[0, LEFT_HAND] = np.linspace((40, 40), (54, 54), 21)
    assert region_weights(track, 0, 10.0, 1.0).max() == 1
    track.confidence[0, LEFT_HAND] = 0.9
    weights = region_weights(track, 0, 10.0, 5.0)
    assert weights[5, 5] == weights[6, 6] == 10 and weights[1, 4] == 5 and weights[0, 0] == 1


def test_crops_hold_the_face_and_move_the_points() -> None:
    track = pose(np.array([-10.0, 12.0]))
    for scale in (0.2, 0.6, 1.0):
        for at in ((0.0, 0.0), (1.0, 1.0), (0.3, 0.6)):
            left, top, width, height = crop_box(track, [0, 1], (32, 32), scale, at)
            assert left >= 0 and top >= 0 and left + width <= SIDE and top + height <= SIDE
            assert ((track.face_centre > (left, top)) & (track.face_centre < (left + width, top + height))).all()
    picture = np.zeros((1, SIDE, SIDE, 3), np.uint8)
    picture[0, 14:16, 22:24] = 255
    seen, moved = cropped(picture, track.take(slice(0, 1)), (16, 8, 32, 32), (64, 64))
    where = np.argwhere(seen[0, ..., 0] > 100).mean(0)[::-1]
    assert np.abs(where - moved.points[0, 0]).max() <= 2.5 and moved.face_size == 28


def test_blinks() -> None:
    faces, scores = np.zeros((5, 68, 2)), np.ones((5, 68))
    for eye in (36, 42):
        for frame, height in enumerate((3.0, 3.0, 1.5, 0.6, 3.0)):
            faces[frame, eye: eye + 6] = [(0, 0), (3, -height), (6, -height), (9, 0), (6, height), (3, height)]
    found = blinks_of_points(faces, scores)
    assert found[[0, 1, 4]] == pytest.approx(0, abs=1e-6) and found[3] == pytest.approx(1) and 0.5 < found[2] < 0.7
    assert (blinks_of_points(faces, scores * 0) == 0).all()


def test_sets_that_cannot_be_used(tmp_path: Path, data: Path) -> None:
    with pytest.raises(UnderstudyError) as caught:
        read_clips(tmp_path, tmp_path / "c", 64, "train")
    assert caught.value.code == "file_missing"
    folder = tmp_path / "set"
    shutil.copytree(data, folder)
    (folder / "clip0.npz").unlink()
    with pytest.raises(UnderstudyError) as caught:
        read_clips(folder, tmp_path / "c", 64, "train")
    assert "clip0.mp4" in caught.value.message
    shutil.copy(data / "clip0.npz", folder / "clip0.npz")
    (folder / "clip1.json").write_text('{"non_commercial": true}')
    with pytest.raises(UnderstudyError) as caught:
        read_clips(folder, tmp_path / "c", 64, "train")
    assert caught.value.code == "unsupported" and "clip1" in caught.value.message
    assert len(read_clips(folder, tmp_path / "c", 64, "train", non_commercial=True)) == 5


def test_recipes_that_cannot_be_used(tmp_path: Path, data: Path, weights: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = tmp_path / "r.toml"
    line = ["train", "video", "--config", str(recipe), "--data", str(data), "--folder", str(tmp_path / "run"), "--weights", str(weights)]
    for text in ("[data]\nwidth = 100\n", "[data]\nwide = 64\n", "["):
        recipe.write_text(text)
        assert main(line) == 1
    recipe.write_text(RECIPE.format(steps=1, checkpointing="false"))
    assert main([*line[:-1], str(tmp_path / "none")]) == 1
    assert "There is no folder of weights" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
