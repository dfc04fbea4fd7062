# SPDX-License-Identifier: Apache-2.0
"""The built-in generator: the paper's two branches over a timeline of directions."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from bridge_server.audio.encoder import load_audio_encoder
from bridge_server.audio.heard import Heard
from bridge_server.audio.sound import Audio
from bridge_server.face import FacePerformance, generated
from bridge_server.face.breathing import at_rest, breathe
from bridge_server.face.jobs import begin_face, put_on
from bridge_server.face.routes import Begun
from bridge_server.text.encoder import load_text_encoder
from shared import rotations as rot
from shared import timeline
from shared.edits import Edit
from shared.errors import UnderstudyError
from shared.motion import Motion
from shared.requests import MotionRequest
from shared.skeleton import JOINT_INDEX
from shared.timeline import Direction

from .asked import Held, length_of
from .assembly import Assembler, FineLayer
from .attributes import stay_in_place
from .audio_branch import AUDIO_RATE
from .decoding import Networks, batch_room
from .draws import Draw
from .editing import alike, extended, held_ends, insert, known_tokens, misfit, snap_locks
from .fine_layers import perform_fine
from .generator import Chunk, Description, Report
from .graphs import player_for
from .learned_face import speak
from .layering import away_from
from .outlook import ROWS, Outlook
from .sampler import SampleOptions, Size, draw_together
from .scheduling import FINE_PARTS, Planner
from .tokenizer import DOWN_RATE
from .weights import SHIPPED, find_set, load_networks

__all__ = ["VersaGenerator"]

_FPS: Final = 30.0
_SLOWEST: Final = 0.25
_TRIES: Final = 4
_NEXT_TRY: Final = 7919
"""Ways drawn between two poses, and what their seeds differ by."""
_BESIDE: Final = 8
"""Windows' worth of strips for arms and head that are drawn at once."""
_AHEAD: Final = 4
"""Windows' worth of a take whose strips for arms and head are made at once, after those of the first."""
_SET_IN: Final = 0.4
"""Seconds over which nods and breath set in beside frames that stay."""
_SIZES: Final = (Size(), Size(together=False), Size(36, 12, False), Size(24, 8, False))
"""What is worked on at once: at first, and after each time that memory ran out."""
_FRAME_BYTES: Final = 24_000
_MORE_FRAME_BYTES: Final = 2_000
_BASE_BYTES: Final = 160 << 20
_HEARING_BYTES: Final = 1 << 30
"""Memory of a frame with all its copies, of learnt hands and face in it, of what does not depend on length, and of five seconds in a
wav2vec 2.0 model: measured on the CPU (tests/motion/test_bad_weights.py holds the estimate against what is used)."""
_STAGES: Final = {"face": 0.08, "parts": 0.15, "body": 1.0}
"""The fraction of the job that is done when each stage ends."""


class VersaGenerator:
    """Loads a weights set and performs with it.

    :param weights: name or folder of a weights set.
    :param device: torch device.
    :raises UnderstudyError: ``weights_missing``, ``weights_invalid``, ``text_encoder_missing`` or
        ``audio_encoder_missing``.
    """

    def __init__(self, weights: str = "starter", device: str = "cpu") -> None:
        self.weights, self.device, self._smaller = weights, device, 0
        folder: Path = find_set(weights)
        self.networks = load_networks(folder, device)
        self.player = player_for(device)
        encoder = self.networks.card["text_encoder"]
        self.encoder = load_text_encoder(encoder["name"], None, device, encoder["sha256"], folder)
        hearing = {"name": "mel", **self.networks.card.get("audio_encoder", {})}
        self.hearing = load_audio_encoder(hearing["name"], None, device, sha256=hearing.get("sha256", ""),
                                          layer=hearing.get("layer", "last"), beside=folder)
        if self.networks.audio is not None and self.networks.audio.config.audio_width != self.hearing.width:
            raise UnderstudyError("weights_invalid", f"The weights {weights} were trained with another audio encoder than their card "
                                  f"names ({hearing['name']}).", "Fetch the weights again.")

    @staticmethod
    def about() -> Description:
        """See :func:`.generator.describe`."""
        sets = sorted(p.parent for p in SHIPPED.glob("*/card.json"))
        return Description("versa", "speech and directions to body, hands and face: a text branch and an audio branch",
                           "A weights set and the text encoder that its card names.", bool(sets),
                           "" if sets else f"there are no weights in {SHIPPED}", "by the weights set, see weights")

    def describe(self) -> dict[str, Any]:
        """See :class:`.generator.Generator`."""
        card = self.networks.card
        return {"name": "versa", "weights": card["name"], "version": card["version"], "licence": card["licence"],
                "non_commercial": card["non_commercial"], "device": self.device}

    def shrink(self) -> bool:
        """Work on less at once from now on; False at the least. Shorter windows see less of what is around them."""
        smaller = self._smaller + 1 < len(_SIZES)
        self._smaller = min(self._smaller + 1, len(_SIZES) - 1)
        return self.hearing.shrink() or smaller

    def memory_needed(self, seconds: float) -> int:
        """Bytes that a performance of so many seconds takes above the loaded model, at the smallest windows: an upper estimate."""
        c = self.networks.text.config
        size = _SIZES[-1]
        # a layer's activations at once: its input, queries, keys, values, attention, and four widths in the middle
        layer = size.window * c.width * 16 + c.heads * size.window ** 2
        window = layer + size.window * c.groups * c.codes * (4 + SampleOptions.steps) + c.layers * size.window * c.width * 4
        rows = seconds * AUDIO_RATE * self.hearing.width * 3
        hearing = 0 if self.hearing.name == "mel" else _HEARING_BYTES
        frame = _FRAME_BYTES + (_MORE_FRAME_BYTES if c.groups > 2 else 0)
        frames = seconds * frame * _FPS + _BASE_BYTES if self.device == "cpu" else 0.0  # frames stay in the machine's memory
        return int(4 * (window + rows) + hearing + frames)

    def _options(self, request: MotionRequest, seed: int) -> SampleOptions:
        """How tokens are drawn: as the request says, else as the weights' card does."""
        asked = {"text_guidance": request.text_guidance, "undirected_guidance": request.text_guidance,
                 "audio_guidance": request.audio_guidance,
                 "temperature": request.temperature, "undirected_temperature": request.temperature}
        chosen = self.networks.card.get("sampling", {}) | {n: v for n, v in asked.items() if v is not None}
        return SampleOptions(**chosen, seed=seed, size=_SIZES[self._smaller])

    def speak(self, audio: Audio, times: np.ndarray, seed: int, strength: float) -> tuple[np.ndarray, np.ndarray]:
        """See :func:`.learned_face.speak`."""
        options = self._options(MotionRequest(), seed)
        return speak(self.networks, self.encoder, self.hearing, audio, times, strength, options)

    def _speaks_itself(self, request: MotionRequest) -> bool:
        """Whether jaw and expression come from the face tokens. :raises UnderstudyError: where that is asked for and there are none."""
        if not request.face or request.face_settings.route != generated.ROUTE:
            return False
        if "face" not in self.networks.tokenizer.group_names:
            raise generated.not_learnt(self.networks.card["name"])
        return True

    def perform(self, request: MotionRequest, audio: Audio | None, report: Report, chunk: Chunk | None = None) -> Motion:
        """See :class:`.generator.Generator`."""
        if request.edit is not None:
            return self._edit(request, request.edit, audio, report)
        seconds = length_of(request, audio)
        directions = timeline.check(request.directions, seconds)
        # the face is made as far as the body is, so that the first frames wait for the first stretch of it alone
        face = self._face(request, audio, seconds, report)
        # where the eyes look is smoothed from the start on, so then every stretch is finished with all that is before it
        whole = request.face and request.face_settings.gaze is not None
        former: Motion | None = None

        def ready(first: int, part: Motion) -> None:
            nonlocal former
            made = None if face is None else face.upto(len(part) + (0 if whole else first))
            if chunk is None:
                return
            shown = self._finish(part, request, directions, made, 0 if whole else first, former)
            shown.metadata.pop("words", None)  # all of them with the result, not with every stretch
            former = shown.slice(first, len(shown)) if whole else shown
            chunk(first, former)

        whole = whole and chunk is not None
        body = self._body(request, directions, seconds, audio, report, ready=ready, whole=whole)
        return self._finish(body, request, directions, None if face is None else face.upto(len(body)))

    def perform_together(self, requests: Sequence[MotionRequest], audios: Sequence[Audio | None], report: Report) -> list[Motion]:
        """What :meth:`perform` gives for each, such as variations of one with several seeds, drawn side by side.

        As many at once as the device has memory for; those with an edit, and those whose guidance differs, by themselves.
        """
        out: dict[int, Motion] = {}
        waiting: dict[SampleOptions, list[int]] = {}
        size = _SIZES[self._smaller]
        for n, r in enumerate(requests):
            if r.edit is None:
                waiting.setdefault(self._options(r, 0), []).append(n)
            else:
                out[n] = self.perform(r, audios[n], lambda stage, fraction: report(stage, len(out) / len(requests)))
        room = batch_room(self._drawing, size)
        for options, those in waiting.items():
            for few in (those[k:k + room] for k in range(0, len(those), room)):
                self._batch(few, requests, audios, options, out, report)
        return [out[n] for n in range(len(requests))]

    def _batch(self, few: list[int], requests: Sequence[MotionRequest], audios: Sequence[Audio | None], options: SampleOptions,
               out: dict[int, Motion], report: Report) -> None:
        """Perform ``few`` of the requests into ``out``."""
        shares, begun = np.zeros(len(few)), []
        done = len(out)
        for k, n in enumerate(few):
            def tell(stage: str, fraction: float, k: int = k) -> None:
                shares[k] = fraction
                report(stage, (done + float(shares.sum())) / len(requests))

            begun.append(self.begin_body(requests[n], audios[n], tell))
        draw_together(self._drawing, [draw for draw, _, _ in begun], options, self.player)
        for n, (_, _, finish) in zip(few, begun, strict=True):
            r, body, seconds = requests[n], finish(), length_of(requests[n], audios[n])
            face = self._face(r, audios[n], seconds, lambda *_: None)
            out[n] = self._finish(body, r, timeline.check(r.directions, seconds), None if face is None else face.upto(len(body)))

    def begin_body(self, request: MotionRequest, audio: Audio | None, report: Report) -> tuple[Draw, SampleOptions, Callable[[], Motion]]:
        """What is to be drawn for the body of a request without an edit, how, and what gives the body when it is."""
        seconds = length_of(request, audio)
        return self._begin(request, timeline.check(request.directions, seconds), seconds, audio, report)

    @property
    def _drawing(self) -> Networks:
        net = self.networks
        return Networks(net.text, net.audio, net.residual, net.tokenizer)

    def _body(self, request: MotionRequest, directions: list[Direction], seconds: float, audio: Audio | None, report: Report,
              base: Held | None = None, ready: Callable[[int, Motion], None] | None = None, whole: bool = False) -> Motion:
        """Body and hands at the request's frame rate, feet planted. Takes what :meth:`_begin` takes."""
        draw, options, finish = self._begin(request, directions, seconds, audio, report, base, ready, whole)
        draw_together(self._drawing, [draw], options, self.player)
        return finish()

    def _begin(self, request: MotionRequest, directions: list[Direction], seconds: float, audio: Audio | None, report: Report,
               base: Held | None = None, ready: Callable[[int, Motion], None] | None = None, whole: bool = False,
               ) -> tuple[Draw, SampleOptions, Callable[[], Motion]]:
        """What is to be drawn for a body, how, and what gives the body when it is.

        :param base: a performance that is held outside its ranges.
        :param ready: receives the first new frame and the frames that have become final, whenever there are any; with ``whole``
            all final frames from the start.
        """
        # a faster tempo is more performed time in the same seconds: strips, speech and what is held are stretched with it
        tempo = max(request.tempo, _SLOWEST)
        rate = _FPS * tempo
        frames = max(1, math.ceil(seconds * rate) + 1)
        tokens = math.ceil(frames / DOWN_RATE)
        count = max(1, round(seconds * request.fps))
        performed = [replace(d, start=d.start * tempo, end=d.end * tempo) for d in directions]
        report("directions", _STAGES["face"])
        groups = tuple(self.networks.tokenizer.group_names)
        outlook = Outlook(Planner(performed, tokens, self.encoder, groups),
                          None if audio is None else Heard(self.hearing, audio, tokens, ROWS, AUDIO_RATE * tempo),
                          tokens, frames, request.keep_time, base is not None and base.undirected)
        options = self._options(request, request.seed)
        layers: list[FineLayer] = []
        fine, begun, last = [d for d in performed if d.part in FINE_PARTS], 0, _STAGES["parts"]

        def strips_until(stop: int, report: Report, ahead: int = 0) -> None:
            """Have the strips for arms and head that begin before token ``stop``; where there are any, those soon after as well."""
            nonlocal begun
            if begun < len(fine) and fine[begun].start * _FPS < stop * DOWN_RATE:
                new = [d for d in fine[begun:] if d.start * _FPS < (stop + ahead) * DOWN_RATE]
                layers.extend(self._fine_layers(new, replace(options, seed=options.seed + begun), frames, report))
                begun += len(new)

        strips_until(options.size.window, report)
        net = self.networks
        assembler = Assembler(net.tokenizer, rate, frames, directions, layers, request.seed, request.amplitude, request.energy,
                              outlook.rhythm, request.face_settings.mouth if outlook.speaks and self._speaks_itself(request) else None)

        def tick(fraction: float) -> None:
            nonlocal last
            last = _STAGES["parts"] + fraction * (_STAGES["body"] - _STAGES["parts"])
            report("body", last)

        sent = 0

        def window_done(drawn: torch.Tensor) -> None:
            nonlocal sent
            outlook.listen(len(drawn))
            strips_until(len(drawn), lambda stage, fraction: report("body", last), _AHEAD * options.size.window)
            done = assembler.add(drawn, len(drawn) == tokens)
            if ready is not None and done < frames:
                # a frame between two others is certain when both are
                part = assembler.motion(0, done).resample(request.fps, first=0 if whole else sent)
                end = len(part) + (0 if whole else sent)
                if end > sent:
                    ready(sent, part)
                    sent = end

        known = None if base is None else known_tokens(net.tokenizer, *base.stretched(tempo, tokens))
        draw = Draw(tokens, len(groups), outlook.look, request.seed, known, tick, window_done)
        return draw, options, lambda: assembler.motion(0, frames).resample(request.fps, count)

    def _edit(self, request: MotionRequest, edit: Edit, audio: Audio | None, report: Report) -> Motion:
        """A performance with some of it made anew."""
        # staying on the spot would move what must stay as it is
        request = replace(request, in_place=False)
        if edit.kind == "between":
            base, ranges, locks, front = held_ends(edit)
            length = len(edit.base)
        else:
            frames = max(len(edit.base), round((request.duration or 0.0) * request.fps))
            (base, ranges, length), locks, front = extended(edit, frames), edit.locks, 0
        directions = timeline.check(request.directions, length / request.fps)
        shift = front / request.fps
        heard = audio if audio is None or not front else Audio(np.pad(audio.samples, (round(shift * audio.rate), 0)), audio.rate)
        moved = [replace(d, start=d.start + shift, end=d.end + shift) for d in directions]
        held = Held(base, ranges, locks, edit.kind == "between")
        warnings = []
        if held.undirected and request.tempo != 1:
            warnings.append("The way between two poses lasts as long as they are apart, so the tempo was not used.")
            request = replace(request, tempo=1.0)
        tries = _TRIES if held.undirected else 1
        found: list[Motion] = []
        for n in range(tries):
            # of several ways between poses the one is taken that has to be bent least to meet them
            found.append(self._body(replace(request, seed=request.seed + n * _NEXT_TRY), moved, base.duration, heard,
                                    lambda stage, fraction, n=n: report(stage, (n + fraction) / tries), held))
        new = min(found, key=lambda m: misfit(base, m, ranges))
        motion = snap_locks(insert(base, new, ranges), base, locks, ranges).slice(front, front + length)
        ranges = [replace(r, start=r.start - shift, end=r.end - shift) for r in ranges]
        before, face_before, expression_before = motion.rotations.copy(), motion.face, motion.expression
        # the face is one performance over the whole sound; outside the ranges it stays as it was
        stays, trunk_stays = np.ones(length, bool), np.ones(length, bool)
        for r in ranges:
            span = slice(max(0, round(r.start * request.fps)), round(r.end * request.fps))
            stays[span] &= r.part not in ("full", "upper", "head")
            trunk_stays[span] &= r.part not in ("full", "upper")
        locked = [f for lock in edit.locks if 0 <= (f := round(lock.time * request.fps)) < length]
        stays_or_locked = stays.copy()
        stays_or_locked[locked] = trunk_stays[locked] = True
        # what stays has its nods and its breath already, and those of the new frames set in beside it
        ease = _SET_IN * request.fps
        shares = away_from(stays_or_locked, ease), away_from(trunk_stays, ease)
        face = self._face(request, audio, length / request.fps, report)
        motion = self._finish(motion, request, directions, None if face is None else face.upto(length), shares=shares)
        for name, curve in face_before.items():
            motion.face[name] = np.where(stays, curve, motion.face.get(name, curve))
        stays[locked] = True
        motion.rotations[stays] = before[stays]
        kept, made = alike(expression_before, motion.expression)
        motion.expression = np.where(stays[:, None], kept, made) if request.face else kept
        if warnings:
            motion.metadata["warnings"] = [*motion.metadata.get("warnings", []), *warnings]
        return motion

    def _face(self, request: MotionRequest, audio: Audio | None, seconds: float, report: Report) -> Begun | None:
        """The face over the whole performance, to be made little by little, or None where it is not wanted."""
        report("face", 0.0)
        if not request.face:
            return None
        times = np.arange(max(1, round(seconds * request.fps))) / request.fps
        settings = request.face_settings
        if self._speaks_itself(request):
            # what the tokens do not say is the rules', until _finish has the tokens
            settings = replace(settings, route="")
        return begin_face(audio, times, request.seed, request.transcript, request.directions, settings)

    def _finish(self, body: Motion, request: MotionRequest, directions: list[Direction], face: FacePerformance | None,
                first: int = 0, former: Motion | None = None, shares: tuple[np.ndarray, np.ndarray] | None = None) -> Motion:
        """A body with its face, the face's nods on neck and head, its breath in the chest, and metadata.

        :param first: the frame of the performance that the body begins with. :param former: the frames before it, finished.
        :param shares: (T,) each, how much of nods and of breath is put on; all of it where None.
        """
        motion = body.slice(0, len(body))
        motion.metadata = {
            "generator": self.describe(), "seed": request.seed,
            "directions": timeline.to_json(directions)["directions"], "audio": request.audio_name,
            "fingers": "tokens" if "hands" in self.networks.tokenizer.group_names else "shapes",
        }
        if request.in_place:
            if former is not None and first:
                motion.translation[:, [0, 2]] = former.translation[-1, [0, 2]]
            else:
                motion.translation = stay_in_place(motion.translation)
        if face is None:
            return motion
        if face.warnings:
            motion.metadata["warnings"] = face.warnings
        for n, name in enumerate(("neck", "head")):
            j = JOINT_INDEX[name]
            nods = face.head[first:first + len(motion), n]
            if shares is not None:
                nods = rot.slerp(rot.identity(len(motion)), nods, shares[0])
            motion.rotations[:, j] = rot.mul(motion.rotations[:, j], nods)
        rest = at_rest((first + np.arange(len(motion))) / motion.fps, directions)
        breathe(motion.rotations, face.chest[first:first + len(motion)], rest if shares is None else rest * shares[1])
        if first:
            face = replace(face, curves={name: curve[first:] for name, curve in face.curves.items()}, head=face.head[first:],
                           chest=face.chest[first:], saccades=face.saccades[first:], blink=face.blink[first:])
        if request.face_settings.route == generated.ROUTE and motion.expression.shape[1]:
            face = replace(face, jaw=motion.rotations[:, JOINT_INDEX["jaw"]].copy(), expression=motion.expression, source=generated.ROUTE)
        put_on(motion, face, request.face_settings)
        before = motion.rotations[:1] if former is None or not first else former.rotations[-1:]
        motion.rotations = rot.continuous(np.concatenate((before, motion.rotations)))[1:]
        return motion

    def _fine_layers(self, directions: list[Direction], options: SampleOptions, frames: int, report: Report) -> list[FineLayer]:
        """Strips for an arm or the head, each performed by itself."""
        net = self.networks

        def tick(fraction: float) -> None:
            report("parts", _STAGES["face"] + fraction * (_STAGES["parts"] - _STAGES["face"]))

        room = 1 if self._smaller else _BESIDE * options.size.window
        return perform_fine(directions, Networks(net.text, None, net.residual, net.tokenizer), self.encoder, options, frames, room, tick,
                            self.player)
