# SPDX-License-Identifier: Apache-2.0
"""A bridge for tests of the add-on: a real ROUTER socket with a script in the place of the model.

In a thread (:class:`BridgeDouble`) or as a process of its own (``python bridge_double.py [behaviour]``, which also writes the
lock file). What it does with a job is named by its behaviour:

``perform``: accepted, three reports of progress, a chunk, the result; ``silent``: accepted and nothing more;
``refuse``: an error; ``vanish``: accepted, then the bridge is gone; ``newer``: speaks another major version;
``stranger``: knows nobody's token.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import zmq

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from shared import rotations as rot
from shared.errors import UnderstudyError
from shared.face_curves import ARKIT
from shared.face_requests import FaceRequest, Heard, SpeechRequest, Suggestion
from shared.motion import Motion
from shared.protocol import Message, error_message
from shared.requests import MotionRequest, motion_to_buffers
from shared.skeleton import JOINT_INDEX, PART_JOINTS
from shared.speech import Phone, Word, to_json
from shared.state import BridgeRecord, lock_file, write_record
from shared.timeline import Direction
from shared.wire import decode, encode


WORDS = [
    Word(0.1, 0.5, "hello", (Phone(0.1, 0.2, "HH"), Phone(0.2, 0.3, "AH"), Phone(0.3, 0.4, "L"), Phone(0.4, 0.5, "OW"))),
    Word(0.5, 1.0, "world", (Phone(0.5, 0.7, "W"), Phone(0.7, 0.9, "ER"), Phone(0.9, 1.0, "D"))),
    Word(1.3, 1.8, "mama", (Phone(1.3, 1.4, "M"), Phone(1.4, 1.55, "AA"), Phone(1.55, 1.65, "M"), Phone(1.65, 1.8, "AH"))),
]
"""What the double hears in any speech."""


def performance(request: MotionRequest) -> Motion:
    """Arms that come down and wave, a walk along +Z, a jaw that opens: a motion whose every part can be told."""
    seconds = request.duration or 2.0
    motion = Motion.rest(round(seconds * request.fps), request.fps)
    t = motion.times
    zero = np.zeros_like(t)
    for name, sign in (("left_shoulder", -1.0), ("right_shoulder", 1.0)):
        down = np.stack((zero, zero, sign * (1.1 + 0.2 * np.sin(3 * t))), -1)
        motion.rotations[:, JOINT_INDEX[name]] = rot.axis_angle_to_quat(down)
    bend = np.stack((zero, 1.0 + np.sin(5 * t), zero), -1)
    motion.rotations[:, JOINT_INDEX["right_elbow"]] = rot.axis_angle_to_quat(bend)
    motion.translation[:, 2] += 0.5 * t
    motion.face = {name: np.full(len(t), 0.0, np.float32) for name in ARKIT}
    motion.face["jawOpen"] = (0.5 + 0.5 * np.sin(6 * t)).astype(np.float32)
    motion.face["mouthSmileLeft"] = np.full(len(t), 0.2, np.float32)
    motion.face["mouthSmileRight"] = np.full(len(t), 0.6, np.float32)
    motion.metadata = {"seed": request.seed, "model": "double"}
    if request.audio is not None:
        motion.metadata["words"] = to_json(request.face_settings.words or WORDS)
    motion.rotations = motion.rotations.astype(np.float32)
    return motion


def edited(request: MotionRequest) -> Motion:
    """The base with the elbows, and in full ranges the path, of another performance inside the ranges."""
    edit = request.edit
    assert edit is not None
    count = max(len(edit.base), round((request.duration or 0.0) * request.fps))
    base = edit.base.take(np.minimum(np.arange(count), len(edit.base) - 1))
    rotations, translation = base.rotations.copy(), base.translation.copy()
    locked = sorted({f for lock in edit.locks if 0 < (f := round(lock.time * base.fps)) < len(edit.base)})
    for f in locked:
        # a locked frame is the artist's and stands alone; what is performed does not begin from it
        rotations[f], translation[f] = rotations[f - 1], translation[f - 1]
    ranges = [(r.start, r.end, r.part) for r in edit.ranges]
    if count > len(edit.base):
        ranges.append((edit.base.duration - 0.3, count / request.fps, "full"))
    if edit.loop:
        ranges.append((base.duration - min(1.5, 0.4 * base.duration), base.duration, "full"))
    for start, end, part in ranges:
        inside = slice(round(start * request.fps), round(end * request.fps))
        joints = [j for j in (JOINT_INDEX["left_elbow"], JOINT_INDEX["left_knee"]) if j in PART_JOINTS[part]]
        # like the real one it flows out of the base and back into it
        there = np.arange(count)[inside]
        ramp = np.clip((there - there[0] + 1) / 12, 0, 1) if there[0] else np.ones(len(there))
        ramp = ramp * (np.clip((there[-1] + 1 - there) / 12, 0, 1) if there[-1] + 1 < count else 1.0)
        turn = rot.axis_angle_to_quat(ramp[:, None] * np.array([0.3, 0.8 + 0.1 * request.seed, 0.0]))
        for joint in joints:
            rotations[inside, joint] = rot.mul(turn, rotations[inside, joint])
        if part == "full":
            translation[inside, 1] += 0.1 * ramp
    performed = np.zeros(count, bool)
    for start, end, _ in ranges:
        performed[round(start * request.fps):round(end * request.fps)] = True
    for f in locked:
        # like the real one it leads to the locked poses and away from them
        weight = np.clip(1 - np.abs(np.arange(count) - f) / (0.5 * base.fps), 0, 1)
        weight = weight * weight * (3 - 2 * weight)
        rotations = rot.slerp(rotations, np.broadcast_to(base.rotations[f], rotations.shape), weight[:, None])
        translation = translation + weight[:, None] * (base.translation[f] - translation[f])
    # and leaves what is outside alone
    rotations[~performed], translation[~performed] = base.rotations[~performed], base.translation[~performed]
    changed = replace(base, rotations=rotations, translation=translation)
    changed.metadata = {"seed": request.seed, "model": "double"}
    return changed


class BridgeDouble:
    """Serves until :meth:`stop`; ``record`` is what the lock file would hold."""

    def __init__(self, behaviour: str = "perform", token: str = "secret", pause: float = 0.0) -> None:
        self.behaviour = behaviour
        self.pause = pause
        self.hold = threading.Event()
        """Cleared, a result waits after its chunk until this is set."""
        self.hold.set()
        self.requests: list[Any] = []
        self.warnings: list[str] = []
        """What is remarked about every result."""
        self.faces: list[str] = []
        """Routes of faces that the welcome lists."""
        self.seen: list[str] = []
        self.context = zmq.Context()
        self.router = self.context.socket(zmq.ROUTER)
        self.router.linger = 0
        self.router.setsockopt(zmq.ROUTER_HANDOVER, 1)
        port = self.router.bind_to_random_port("tcp://127.0.0.1")
        self.record = BridgeRecord(f"tcp://127.0.0.1:{port}", token, os.getpid(), "test", "bridge.log")
        self.done: dict[str, Message] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self.serve, daemon=True)

    def start(self) -> BridgeDouble:
        self._thread.start()
        return self

    def stop(self) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(5)
        self.router.close(0)
        self.context.term()

    def __enter__(self) -> BridgeDouble:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def serve(self) -> None:
        while not self._stop.is_set():
            if not self.router.poll(20):
                continue
            identity, *frames = self.router.recv_multipart()
            message = decode(frames, receiver="bridge")
            self.seen.append(message.type)
            self.answer(identity, message)
        self.router.close(0)

    def send(self, identity: bytes, message: Message) -> None:
        self.router.send_multipart([identity, *encode(message)])

    def answer(self, identity: bytes, message: Message) -> None:
        if self.behaviour == "newer":
            self.send(identity, replace(Message("welcome", message.id, {"bridge": "9"}), protocol="2.0"))
        elif self.behaviour == "stranger" or message.token != self.record.token:
            error = UnderstudyError("unauthorised", "The token is wrong.", "Restart the bridge.")
            self.send(identity, error_message(message.id, error))
        elif message.type == "hello":
            self.send(identity, Message("welcome", message.id, {"bridge": "double", "device": "test", "pid": os.getpid(),
                                                               "faces": self.faces}))
        elif message.type == "ping":
            self.send(identity, Message("pong", message.id))
        elif message.type == "submit":
            self.job(identity, message)
        elif message.type == "fetch":
            unknown = error_message(message.id, UnderstudyError("not_found", "There is no such job.", ""))
            self.send(identity, self.done.get(message.id, unknown))
        elif message.type == "shutdown":
            self._stop.set()

    def job(self, identity: bytes, message: Message) -> None:
        if message.body["kind"] in ("speech", "face"):
            self.of_face(identity, message)
            return
        try:
            request = MotionRequest.from_message(message)
        except UnderstudyError as error:
            self.send(identity, error_message(message.id, error))
            return
        self.requests.append(request)
        self.send(identity, Message("accepted", message.id, {"position": 0}))
        if self.behaviour == "refuse":
            error = UnderstudyError("audio_unreadable", "The audio cannot be read.", "Try WAV.")
            self.send(identity, error_message(message.id, error))
        elif self.behaviour == "vanish":
            if __name__ == "__main__":
                os._exit(9)
            self._stop.set()
        elif self.behaviour == "perform":
            motion = performance(request) if request.edit is None else edited(request)
            if self.warnings:
                motion.metadata["warnings"] = list(self.warnings)
            for n in range(1, 4):
                self.send(identity, Message("progress", message.id, {"stage": "body", "fraction": n / 4, "eta": 4.0 - n}))
                time.sleep(self.pause / 3)
            body, buffers = motion_to_buffers(motion.slice(0, len(motion) // 2))
            self.send(identity, Message("chunk", message.id, {**body, "first_frame": 0}, buffers))
            self.hold.wait(60)
            body, buffers = motion_to_buffers(motion)
            self.done[message.id] = Message("result", message.id, body, buffers)
            self.send(identity, self.done[message.id])


    def of_face(self, identity: bytes, message: Message) -> None:
        """Words of a speech, or a face made anew: the jaw at half in the ranges."""
        self.send(identity, Message("accepted", message.id, {"position": 0}))
        body: dict[str, object]
        buffers: dict[str, np.ndarray] = {}
        if self.behaviour == "refuse":
            error = UnderstudyError("audio_unreadable", "The audio cannot be read.", "Try WAV.")
            self.send(identity, error_message(message.id, error))
            return
        if message.body["kind"] == "speech":
            asked = SpeechRequest.from_message(message)
            self.requests.append(asked)
            found = [Suggestion(Direction(0.5, 2.0, "a person waves", "upper"), "\u201chello\u201d has \u201chello\u201d.", "hello", 0.9)]
            body = Heard(WORDS, "transcript", found if asked.suggest else [], list(self.warnings)).to_json()
        else:
            request = FaceRequest.from_message(message)
            self.requests.append(request)
            motion = replace(request.base, face={k: v.copy() for k, v in request.base.face.items()})
            for start, end in request.ranges:
                motion.face["jawOpen"][round(start * motion.fps):round(end * motion.fps)] = 0.5
            words = [Word(w.start, w.end, w.text, w.phones or (Phone(w.start, w.end, "AA"),))
                     for w in request.face_settings.words or WORDS]
            motion.metadata = {"seed": request.seed, "model": "double", "words": to_json(words)}
            if self.warnings:
                motion.metadata["warnings"] = list(self.warnings)
            body, buffers = motion_to_buffers(motion)
        self.done[message.id] = Message("result", message.id, body, buffers)
        self.send(identity, self.done[message.id])


def main() -> None:
    arguments = [a for a in sys.argv[1:] if not a.startswith("-")]
    double = BridgeDouble(arguments[0] if arguments else "perform", token=f"secret-{os.getpid()}", pause=0.05)
    write_record(double.record)
    print("ready", flush=True)
    double.serve()
    double.context.term()
    lock_file().unlink(missing_ok=True)


if __name__ == "__main__":
    main()
