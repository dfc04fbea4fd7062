# SPDX-License-Identifier: Apache-2.0
"""What a worker does with jobs of the kinds ``speech`` and ``face``; no generator is needed for either."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from bridge_server.audio.decode import decode
from bridge_server.audio.sound import Audio
from bridge_server.face import acoustics as ac
from bridge_server.face import gaze, generated, maps, phonemes, routes
from bridge_server.face.emotion import emotions_from_directions
from bridge_server.face.performance import FaceOptions, FacePerformance
from shared import rotations as rot
from shared import speech
from shared.face_requests import FaceRequest, Heard, SpeechRequest, Suggestion
from shared.face_settings import FaceSettings
from shared.motion import Motion
from shared.protocol import Message
from shared.requests import motion_to_buffers
from shared.skeleton import JOINT_INDEX
from shared.timeline import Direction

__all__ = ["begin_face", "hear", "make_face", "perform", "put_on"]

_EDGE = 0.12
"""Seconds in which a stretch of a face takes over from what is before and after it."""


def begin_face(
    audio: Audio | None,
    times: np.ndarray,
    seed: int,
    transcript: str,
    directions: list[Direction],
    settings: FaceSettings,
    metadata: dict[str, Any] | None = None,
) -> routes.Begun:
    """The face that a request asks for, made as far as it is asked for. :raises UnderstudyError: what the route raises.

    :param metadata: of the take whose face it is, if there is one already.
    """
    options = FaceOptions.of(settings, times, emotions_from_directions(directions, times))
    return routes.begin(routes.load(settings.route, metadata), audio, times, seed, transcript or None, options)


def put_on(motion: Motion, face: FacePerformance, settings: FaceSettings, *, turn_head: bool = True) -> None:
    """Give a motion its face: curves, jaw and eye joints, expression where the user has a fit, and words.

    :param turn_head: neck and head turn towards the gaze's target too; else only the eyes do.
    """
    curves = {name: curve[: len(motion)] for name, curve in face.curves.items()}
    if settings.gaze is not None and len(motion):
        targets = settings.gaze.at(motion.times)
        turned, look = gaze.aim(
            motion.rotations, motion.translation, motion.fps, targets, settings.head_share if turn_head else 0.0
        )
        if turn_head:
            motion.rotations = turned.astype(motion.rotations.dtype)
        curves = face.looking(look)
    motion.face = curves
    joints = maps.to_smplx_joints(curves)
    for k, name in enumerate(("jaw", "left_eye", "right_eye")):
        motion.rotations[:, JOINT_INDEX[name]] = joints[:, k]
    fit = routes.fit_matrix()
    if fit is not None:
        motion.expression = maps.expression(curves, fit)
    elif motion.metadata.get("lips") == generated.ROUTE:
        # what was learnt does not go with curves of the rules
        motion.expression = np.zeros_like(motion.expression)
    if face.jaw is not None and face.expression is not None:
        frames = len(motion)
        generated.put_on(motion, face.jaw[:frames], face.expression[:frames], fit)
    motion.metadata["words"] = speech.to_json(face.words)
    motion.metadata["lips"] = face.source


def hear(request: SpeechRequest, audio: Audio, report: Callable[[str, float], None]) -> Heard:
    """The words of a speech, and directions for it where they are asked for."""
    report("listening", 0.1)
    a = ac.analyse(audio)
    if not a.speech:
        return Heard([], "none", [], ["The audio is silent, so there are no words in it; check the sound's volume."])
    found = phonemes.find(audio, a, request.transcript or None, request.language or None)
    suggestions, warnings = [], list(found.warnings)
    if request.suggest:
        report("looking for gestures", 0.6)
        from bridge_server.script import suggest

        made, notes = suggest(audio, request.transcript, spacing=request.spacing, threshold=request.threshold)
        suggestions = [Suggestion(s.direction, s.reason, s.word, s.score) for s in made]
        warnings += [n for n in notes if n not in warnings]
    return Heard(found.words, found.source, suggestions, warnings)


def make_face(request: FaceRequest, audio: Audio | None, report: Callable[[str, float], None]) -> Motion:
    """The base with its face made anew in the ranges; outside them every frame is bit-identical.

    At the edges of a range the new curves take over within :data:`_EDGE` seconds, inside the range.
    """
    base = request.base
    motion = base.slice(0, len(base))
    report("face", 0.1)
    begun = begin_face(audio, base.times, request.seed, request.transcript, request.directions, request.face_settings, base.metadata)
    face = begun.upto(len(base.times))
    made = base.slice(0, len(base))
    put_on(made, face, request.face_settings, turn_head=False)
    weight = np.zeros(len(base))
    for start, end in request.ranges:
        first, last = max(0, round(start * base.fps)), min(len(base), round(end * base.fps))
        at = np.arange(first, last)
        before = (at - first + 1) / (_EDGE * base.fps + 1) if first else np.ones(len(at))
        after = (last - at) / (_EDGE * base.fps + 1) if last < len(base) else np.ones(len(at))
        ramp = np.clip(np.minimum(before, after), 0, 1)
        weight[first:last] = np.maximum(weight[first:last], ramp * ramp * (3 - 2 * ramp))
    inside = weight > 0
    for name, curve in made.face.items():
        old = motion.face.get(name, np.zeros(len(base), np.float32))
        mixed = (1 - weight) * old + weight * curve
        motion.face[name] = np.where(inside, mixed, old).astype(np.float32)
    joints = maps.to_smplx_joints(motion.face)
    for k, name in enumerate(("jaw", "left_eye", "right_eye")):
        j = JOINT_INDEX[name]
        new = joints[:, k]
        if name == "jaw" and generated.ROUTE in (face.source, base.metadata.get("lips")):
            # a learnt jaw does not follow from the curves
            new = rot.slerp(base.rotations[:, j], made.rotations[:, j], weight)
        motion.rotations[:, j] = np.where(inside[:, None], new, base.rotations[:, j])
    width = max(base.expression.shape[1], made.expression.shape[1])
    old, new = (np.pad(m.expression, ((0, 0), (0, width - m.expression.shape[1]))) for m in (base, made))
    w = weight[:, None]
    motion.expression = np.where(inside[:, None], (1 - w) * old + w * new, old).astype(np.float32)
    motion.metadata = {**base.metadata, "words": made.metadata["words"], "lips": made.metadata["lips"]}
    if face.warnings:
        motion.metadata["warnings"] = list(face.warnings)
    return motion


def perform(message: Message, report: Callable[[str, float], None]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Body and buffers of the ``result``. :raises UnderstudyError: with a sentence for the user."""
    request: SpeechRequest | FaceRequest
    speech_job = message.body["kind"] == "speech"
    request = SpeechRequest.from_message(message) if speech_job else FaceRequest.from_message(message)
    audio, warnings = None, []
    if request.audio is not None:
        report("decoding speech", 0.0)
        audio, warnings = decode(request.audio, request.audio_name or "The audio")
    if isinstance(request, SpeechRequest):
        assert audio is not None
        heard = hear(request, audio, report)
        heard.warnings.extend(warnings)
        return heard.to_json(), {}
    motion = make_face(request, audio, report)
    if warnings:
        motion.metadata["warnings"] = [*motion.metadata.get("warnings", []), *warnings]
    return motion_to_buffers(motion)
