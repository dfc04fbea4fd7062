# SPDX-License-Identifier: Apache-2.0
"""Performances with their speech, as windows of tokens and audio features."""

from __future__ import annotations

import logging
import wave
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from bridge_server.audio.activity import speech_activity
from bridge_server.audio.encoder import AudioEncoder, Mel
from bridge_server.motion import features
from bridge_server.motion.audio_branch import AUDIO_RATE
from bridge_server.motion.conditions import IDLE_SENTENCE, SPEECH_SENTENCE
from bridge_server.motion.tokenizer import DOWN_RATE, Tokenizer
from bridge_server.synthesis.augment import augment
from shared import rotations as rot
from shared.errors import UnderstudyError

from .clips import Clip, mirrored, read_set
from .sequences import LENGTH, TextTable, TokenSet

__all__ = ["build_speech_set", "read_wav"]

_ROWS = 8
_log = logging.getLogger("understudy.training")


def read_wav(path: Path) -> tuple[np.ndarray, int]:
    """Mono float32 samples in [-1, 1] and the rate of a 16-bit wav file."""
    with wave.open(str(path), "rb") as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float32) / 32768
        return samples.reshape(-1, file.getnchannels()).mean(1), file.getframerate()


def build_speech_set(
    folder: Path, split: str, tokenizer: Tokenizer, table: TextTable, *, mirror: bool = True, stride: int = LENGTH // 2,
    changed: bool = False, seed: int = 0, encoder: AudioEncoder | None = None,
) -> TokenSet:
    """Windows of every clip with speech, of a synthesized set (:mod:`bridge_server.synthesis`) or a prepared one (BEAT2).

    Hands and face are taken where the clips have them and the tokenizer knows them; mirrored motion has no face. Where somebody
    speaks the caption is the paper's fixed sentence, in long pauses the idle one, as at performance.

    :param changed: the mirrored motion hears the speech through noise, rooms and codecs (:mod:`bridge_server.synthesis.augment`);
        a clip with a face is taken once more for that, not mirrored.
    :param encoder: what hears the speech; ``mel`` by default.
    :raises UnderstudyError: ``file_invalid`` where no clip of the split has speech and is long enough.
    """
    encoder = encoder or Mel()
    generator = np.random.default_rng(seed)
    speech, idle = table.add(SPEECH_SENTENCE), table.add(IDLE_SENTENCE)
    tokens: list[torch.Tensor] = []
    captions: list[np.ndarray] = []
    audio: list[np.ndarray] = []
    names = {p for parts in tokenizer.config.groups.values() for p in parts}
    for clip in read_set(folder, (split,)):
        count = len(clip) // DOWN_RATE
        if count < LENGTH or not clip.record.get("wav"):
            continue
        try:
            samples, rate = read_wav(folder / clip.record["wav"])
        except (OSError, EOFError, ValueError, wave.Error) as error:
            _log.warning("%s of %s cannot be read (%s); its clip is left out: %s", clip.record["wav"], folder.name, error, clip.name)
            continue
        hearings = [samples]
        if changed:
            hearings.append(augment(samples, generator).samples)
        heard = [encoder.features(s, rate, count * _ROWS, AUDIO_RATE, 0.5 / AUDIO_RATE) for s in hearings]
        spoken = speech_activity(heard[0], _ROWS)
        starts = list(range(0, count - LENGTH + 1, stride))
        for parts, which in _performed(clip, names, mirror, changed):
            whole = tokenizer.encode({k: torch.from_numpy(v[None, :count * DOWN_RATE]) for k, v in parts.items()})[0].cpu()
            rows = heard[which]
            for a in starts:
                tokens.append(whole[a:a + LENGTH].to(torch.int16))
                captions.append(np.where(spoken[a:a + LENGTH], speech, idle).astype(np.int16))
                audio.append(rows[a * _ROWS:(a + LENGTH) * _ROWS].astype(np.float16))
    if not tokens:
        raise UnderstudyError("file_invalid", f"No {split} clip of {folder.name} has speech of {LENGTH * DOWN_RATE / 30:.1f} s or more.",
                              "Name a set with speech, such as a prepared BEAT2 or what `understudy synthesize` made.")
    groups = len(tokenizer.group_names)
    ids = torch.from_numpy(np.stack(captions))[:, :, None, None].expand(-1, -1, groups, 1).contiguous()
    far = torch.full((len(tokens), LENGTH, groups), 8.0)
    return TokenSet(torch.stack(tokens), ids, far, far.clone(), table, torch.from_numpy(np.stack(audio)))


def _performed(clip: Clip, names: set[str], mirror: bool, changed: bool) -> Iterator[tuple[dict[str, np.ndarray], int]]:
    """Part features of a clip's variants, and which of its hearings each is to go with: 0 as recorded, 1 changed."""
    hands, face = "hands" in names and clip.has_hands, "face" in names and clip.has_face
    q, t = clip.joints if hands or face else clip.rotations, clip.translation
    plain = features.encode(q, t, hands=hands, expression=clip.expression if face else None).parts
    yield plain, 0
    if mirror:
        mq, mt = mirrored(q, t)
        yield features.encode(rot.continuous(mq), mt, hands=hands).parts, int(changed)
    if face and changed:
        yield plain, 1
