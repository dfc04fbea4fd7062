# SPDX-License-Identifier: Apache-2.0
"""The built-in generator: the paper's two branches over a timeline of directions."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from bridge_server.audio.activity import speech_activity
from bridge_server.audio.features import mel_features
from bridge_server.face import perform as perform_face
from bridge_server.hands import add_hands
from bridge_server.text.encoder import load_text_encoder
from shared import rotations as rot
from shared import timeline
from shared.edits import Edit, Range
from shared.errors import UnderstudyError
from shared.motion import Motion
from shared.requests import MAX_SECONDS, MotionRequest
from shared.skeleton import JOINT_COUNT, JOINT_INDEX
from shared.timeline import Direction

from . import features
from .attributes import scale_energy, scale_gestures, stay_in_place
from .audio_branch import AUDIO_RATE
from .cleanup import clean
from .editing import extended, insert, known_tokens, snap_locks
from .generator import Audio, Chunk, Report
from .layering import ease_window, lay_over
from .sampler import SampleOptions, sample
from .scheduling import FINE_PARTS, TOKEN_SECONDS, plan
from .weights import find_set, load_networks

__all__ = ["VersaGenerator"]

_FPS: Final = 30.0
_ROWS: Final = 8
_SLOWEST: Final = 0.25
_STAGES: Final = {"directions": 0.05, "body": 0.75, "parts": 0.85, "clean-up": 0.92, "face": 0.98, "done": 1.0}
"""The fraction of the job that is done when each stage ends."""


def _length(request: MotionRequest, audio: Audio | None) -> float:
    """Seconds of the performance. :raises UnderstudyError: when nothing says how long it should be."""
    if request.duration:
        seconds = request.duration
    elif audio is not None:
        seconds = audio.duration
    else:
        enabled = [d for d in request.directions if d.enabled]
        if not enabled:
            raise UnderstudyError("audio_missing", "There is neither speech nor a direction to perform.",
                                  "Choose a sound, or add a direction to the timeline.")
        seconds = max(d.end for d in enabled)
    if seconds > MAX_SECONDS:
        raise UnderstudyError("audio_too_long", f"The performance would last {seconds / 60:.0f} minutes; "
                              f"{MAX_SECONDS / 60:.0f} are performed at once.", "Perform the shot in parts.")
    return seconds


class VersaGenerator:
    """Loads a weights set and performs with it.

    :param weights: name or folder of a weights set.
    :param device: torch device.
    :raises UnderstudyError: ``weights_missing``, ``weights_invalid`` or ``text_encoder_missing``.
    """

    def __init__(self, weights: str = "starter", device: str = "cpu") -> None:
        self.weights, self.device = weights, device
        folder: Path = find_set(weights)
        self.networks = load_networks(folder, device)
        encoder = self.networks.card["text_encoder"]
        self.encoder = load_text_encoder(encoder["name"], None, device, encoder["sha256"])

    def describe(self) -> dict[str, Any]:
        """See :class:`.generator.Generator`."""
        card = self.networks.card
        return {"name": "versa", "weights": card["name"], "version": card["version"], "licence": card["licence"],
                "non_commercial": card["non_commercial"], "device": self.device}

    def perform(self, request: MotionRequest, audio: Audio | None, report: Report, chunk: Chunk | None = None) -> Motion:
        """See :class:`.generator.Generator`."""
        if request.edit is not None:
            return self._edit(request, request.edit, audio, report)
        seconds = _length(request, audio)
        directions = timeline.check(request.directions, seconds)
        motion = self._body(request, directions, seconds, audio, report)
        if request.in_place:
            motion.translation = stay_in_place(motion.translation)
        return self._finish(motion, request, directions, audio, report)

    def _body(self, request: MotionRequest, directions: list[Direction], seconds: float, audio: Audio | None, report: Report,
              base: tuple[Motion, list[Range]] | None = None) -> Motion:
        """Body and hands at the request's frame rate, feet planted.

        :param base: a performance that is held outside these ranges.
        """
        # a faster tempo is more performed time in the same seconds: strips and speech are stretched with it
        tempo = max(request.tempo, _SLOWEST) if base is None else 1.0
        rate = _FPS * tempo
        frames = max(1, math.ceil(seconds * rate) + 1)
        tokens = math.ceil(frames / 4)
        performed = [replace(d, start=d.start * tempo, end=d.end * tempo) for d in directions]
        report("directions", 0.0)
        rows, given = self._listen(audio, tokens, tempo)
        made = plan(performed, tokens, self.encoder, speech=given)
        report("directions", _STAGES["directions"])
        options = SampleOptions(request.text_guidance, request.audio_guidance, request.temperature, seed=request.seed)
        net = self.networks

        def tick(fraction: float) -> None:
            report("body", _STAGES["directions"] + fraction * (_STAGES["body"] - _STAGES["directions"]))

        drawn = sample(
            net.text, net.audio if given is not None else None, net.residual, net.tokenizer, made.conditions, made.strength,
            made.seeds, options, tick=tick, known=None if base is None else known_tokens(net.tokenizer, *base, tokens),
            audio_rows=None if rows is None else torch.from_numpy(rows)[None],
            audio_given=None if given is None else torch.from_numpy(given),
        )
        body, translation, contacts = features.decode(net.tokenizer.decode_features(drawn))
        body, translation, contacts = body[:frames], translation[:frames], contacts[:frames]
        body = self._fine_parts(body, performed, options, report)
        report("clean-up", _STAGES["parts"])
        body = scale_energy(scale_gestures(body, request.amplitude, rate), request.energy, rate)
        body, translation = clean(body, translation, contacts)
        rotations = rot.identity(frames, JOINT_COUNT)
        rotations[:, :body.shape[1]] = body
        rotations = add_hands(rotations, rate, directions, request.seed)
        motion = Motion(rate, rotations, translation, contacts=contacts)
        return motion.resample(request.fps, max(1, round(seconds * request.fps)))

    def _edit(self, request: MotionRequest, edit: Edit, audio: Audio | None, report: Report) -> Motion:
        """A performance with some of it made anew."""
        frames = max(len(edit.base), round((request.duration or 0.0) * request.fps))
        base, ranges, length = extended(edit, frames)
        directions = timeline.check(request.directions, length / request.fps)
        new = self._body(request, directions, base.duration, audio, report, (base, ranges))
        motion = insert(base, new, ranges)
        motion = snap_locks(motion, base, edit.locks, ranges).slice(0, length)
        before = {name: curve.copy() for name, curve in motion.face.items()}
        nodded = motion.rotations.copy()
        motion = self._finish(motion, request, directions, audio, report)
        # the face is one performance over the whole sound; outside the ranges it stays as it was
        outside = np.ones(length, bool)
        for r in ranges:
            outside[max(0, round(r.start * request.fps)):round(r.end * request.fps)] &= r.part not in ("full", "upper", "head")
        motion.rotations[outside] = nodded[outside]
        locked = [f for lock in edit.locks if 0 <= (f := round(lock.time * request.fps)) < length]
        motion.rotations[locked] = nodded[locked]
        for name, curve in before.items():
            motion.face[name] = np.where(outside, curve, motion.face.get(name, curve))
        return motion

    def _finish(self, motion: Motion, request: MotionRequest, directions: list[Direction], audio: Audio | None, report: Report) -> Motion:
        """Face and metadata."""
        report("face", _STAGES["clean-up"])
        warnings: list[str] = []
        if request.face:
            warnings = self._face(motion, audio, request)
        motion.metadata = {
            "generator": self.describe(), "seed": request.seed,
            "directions": timeline.to_json(directions)["directions"], "audio": request.audio_name,
        }
        if warnings:
            motion.metadata["warnings"] = warnings
        report("done", _STAGES["done"])
        return motion

    def _listen(self, audio: Audio | None, tokens: int, tempo: float) -> tuple[np.ndarray | None, np.ndarray | None]:
        """Audio features (8 N, width) and where somebody speaks (N,); None and None without speech."""
        if audio is None:
            return None, None
        # row k of a token's eight lies in the middle of its eighth
        rate = AUDIO_RATE * tempo
        rows = mel_features(audio.samples, audio.rate, tokens * _ROWS, rate, 0.5 / rate)
        given = speech_activity(rows, _ROWS)
        return (rows, given) if given.any() else (None, None)

    def _fine_parts(self, body: np.ndarray, directions: list[Direction], options: SampleOptions, report: Report) -> np.ndarray:
        """Strips for an arm or the head: each in a short pass of its own, laid over by its joints."""
        fine = [d for d in directions if d.part in FINE_PARTS]
        net = self.networks
        for n, d in enumerate(fine):
            def tick(fraction: float, n: int = n) -> None:
                low, high = _STAGES["body"], _STAGES["parts"]
                report("parts", low + (n + fraction) / len(fine) * (high - low))

            count = math.ceil((d.end - d.start) / TOKEN_SECONDS) + 1
            alone = Direction(0.0, count * TOKEN_SECONDS, d.text, "full", d.strength, d.seed)
            made = plan([alone], count, self.encoder, speech=None)
            seeded = SampleOptions(options.text_guidance, options.audio_guidance, options.temperature, seed=options.seed + 1 + n)
            drawn = sample(net.text, None, net.residual, net.tokenizer, made.conditions, made.strength, made.seeds, seeded, tick=tick)
            over = features.decode(net.tokenizer.decode_features(drawn))[0]
            first = max(0, round(d.start * _FPS))
            stop = min(len(body), first + len(over), round(d.end * _FPS))
            if stop <= first:
                continue
            weight = ease_window(stop - first, 0, stop - first - 1) * min(d.strength, 1.0)
            body[first:stop] = lay_over(body[first:stop], over[:stop - first], d.part, weight)
        return body

    def _face(self, motion: Motion, audio: Audio | None, request: MotionRequest) -> list[str]:
        """Face curves, and the face's own nods on neck and head; returns sentences for the user."""
        face = perform_face(audio, motion.times, request.seed, request.transcript or None)
        motion.face = face.curves
        for n, name in enumerate(("neck", "head")):
            j = JOINT_INDEX[name]
            motion.rotations[:, j] = rot.mul(motion.rotations[:, j], face.head[:, n])
        jaw = np.radians(18.0) * face.curves["jawOpen"]
        motion.rotations[:, JOINT_INDEX["jaw"]] = rot.axis_angle_to_quat(np.stack((jaw, 0 * jaw, 0 * jaw), 1))
        motion.rotations = rot.continuous(motion.rotations)
        return face.warnings
