# SPDX-License-Identifier: Apache-2.0
"""A motion generator that plays back clips: the nearest of a folder for each direction, joined by cross-fades.

The folder is what the user names as weights (``--weights /path/to/clips``), else ``$CLIP_PLAYER_FOLDER``. A clip is any motion file
that Understudy reads (npz, BVH), its caption the text file of the same name beside it, or its name. The clip whose caption
says nothing but "idle" fills gaps. Speech is not followed.
"""

from __future__ import annotations

import math
import os
import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from bridge_server.audio.sound import Audio
from bridge_server.motion.generator import Chunk, Description, Report
from shared import rotations as rot
from shared import timeline
from shared.errors import UnderstudyError
from shared.formats.read import read_motion
from shared.motion import Motion
from shared.requests import MotionRequest
from shared.timeline import Direction

__all__ = ["ClipPlayer"]

VARIABLE = "CLIP_PLAYER_FOLDER"
FADE_SECONDS = 0.3
_SUFFIXES = (".npz", ".bvh")
_STOP_WORDS = frozenset("a an the and is are of to with his her their person someone man woman he she they".split())


def words(text: str) -> Counter[str]:
    """The words that carry meaning, without endings, counted."""
    found = re.findall(r"[a-z]+", text.lower())
    return Counter(re.sub(r"(ing|ed|es|s)$", "", w) if len(w) > 4 else w.rstrip("s") for w in found if w not in _STOP_WORDS)


def likeness(a: Counter[str], b: Counter[str]) -> float:
    """Cosine of two counts of words, 0 to 1."""
    shared = sum(a[w] * b[w] for w in a)
    lengths = math.sqrt(sum(n * n for n in a.values()) * sum(n * n for n in b.values()))
    return shared / lengths if lengths else 0.0


class ClipPlayer:
    """Made once per worker, by ``(weights, device)``; the clips stay in memory.

    :raises UnderstudyError: ``weights_missing`` when there is no folder of clips.
    """

    def __init__(self, weights: str, device: str) -> None:
        folder = Path(weights) if Path(weights).is_dir() else Path(os.environ.get(VARIABLE, ""))
        files = sorted(p for p in folder.glob("*") if p.suffix in _SUFFIXES) if str(folder) != "." else []
        if not files:
            raise UnderstudyError("weights_missing", "The clip player has no clips.",
                                  f"Name a folder with motion files as weights, or in ${VARIABLE}.")
        self.folder = folder
        self.captions: list[Counter[str]] = []
        self.clips: list[Motion] = []
        for path in files:
            text = path.with_suffix(".txt")
            caption = text.read_text(encoding="utf-8") if text.is_file() else path.stem.replace("_", " ")
            self.captions.append(words(caption))
            self.clips.append(read_motion(path, hands=False))

    @staticmethod
    def about() -> Description:
        """For ``understudy doctor``, without loading anything."""
        folder = os.environ.get(VARIABLE, "")
        ready = bool(folder) and Path(folder).is_dir()
        return Description(
            "clip_player", "plays back the clips of a folder by their captions", f"A folder of clips in ${VARIABLE} or as weights.",
            # a folder may also come as weights, so not having the variable keeps nobody from using it
            not folder or ready, "" if not folder or ready else f"${VARIABLE} names {folder}, which is no folder", "that of your clips")

    def describe(self) -> dict[str, Any]:
        """What ``welcome`` and every take say of it."""
        return {"name": "clip_player", "weights": self.folder.name, "licence": "that of the clips",
                "non_commercial": False, "device": "cpu"}

    def perform(self, request: MotionRequest, audio: Audio | None, report: Report, chunk: Chunk | None = None) -> Motion:
        """One clip after the other, each where its direction is."""
        if request.edit is not None:
            raise UnderstudyError("unsupported", "The clip player cannot change a performance.", "Choose the generator versa for edits.")
        seconds = request.duration or (audio.duration if audio else max((d.end for d in request.directions), default=0.0))
        if not seconds:
            raise UnderstudyError("audio_missing", "There is neither speech nor a direction to perform.", "Add a direction.")
        directions = timeline.check(request.directions, seconds)
        frames = max(1, round(seconds * request.fps))
        rng = np.random.default_rng(request.seed)
        pieces = self._pieces(directions, frames, request.fps)
        motion: Motion | None = None
        for n, (first, last, text) in enumerate(pieces):
            # every piece asks whether the user has cancelled
            report("playing clips", n / len(pieces))
            fade = 0 if motion is None else min(round(FADE_SECONDS * request.fps), len(motion), (last - first) // 2)
            piece = self._played(text, last - first + fade, request.fps, rng)
            motion = piece if motion is None else motion.concatenate(_placed(piece, motion, fade), fade)
        assert motion is not None and len(motion) == frames
        motion.metadata = {"generator": self.describe(), "seed": request.seed, "directions": timeline.to_json(directions)["directions"]}
        report("playing clips", 1.0)
        return motion

    def _pieces(self, directions: list[Direction], frames: int, fps: float) -> list[tuple[int, int, str]]:
        """(first frame, last excluded, text) over the whole time; the later of two that overlap takes over, gaps say "idle"."""
        texts = ["idle"] * frames
        for d in directions:
            a, b = round(d.start * fps), min(frames, round(d.end * fps))
            texts[a:b] = [d.text] * max(0, b - a)
        cuts = [0, *(f for f in range(1, frames) if texts[f] != texts[f - 1]), frames]
        return [(a, b, texts[a]) for a, b in zip(cuts, cuts[1:], strict=False)]

    def _played(self, text: str, frames: int, fps: float, rng: np.random.Generator) -> Motion:
        """``frames`` frames of the nearest clip: from its start, to and fro where it is too short. The seed settles ties."""
        asked = words(text)
        scores = np.array([likeness(asked, caption) for caption in self.captions])
        best = int(rng.choice(np.flatnonzero(scores == scores.max())))
        clip = self.clips[best].resample(fps)
        if len(clip) == 1:
            return clip.take(np.zeros(frames, int))
        position = np.arange(frames) % (2 * len(clip) - 2)
        played = clip.take(np.minimum(position, 2 * len(clip) - 2 - position))
        # a face of a clip would not fit the speech
        played.face, played.expression = {}, np.zeros((frames, 0), np.float32)
        return played


def _placed(piece: Motion, before: Motion, fade: int) -> Motion:
    """The piece turned and moved so that it goes on where the motion before it is."""
    last = len(before) - max(fade, 1)

    def heading(q: np.ndarray) -> float:
        forward = rot.rotate(q, np.array([0.0, 0.0, 1.0]))
        return float(np.arctan2(forward[0], forward[2]))

    turn = rot.yaw_quat(heading(before.rotations[last, 0]) - heading(piece.rotations[0, 0]))
    path = rot.rotate(np.broadcast_to(turn, (len(piece), 4)), piece.translation - piece.translation[0])
    piece.rotations[:, 0] = rot.mul(np.broadcast_to(turn, (len(piece), 4)), piece.rotations[:, 0])
    piece.translation = path + before.translation[last] * [1, 0, 1] + piece.translation[0] * [0, 1, 0]
    return piece
