# SPDX-License-Identifier: Apache-2.0
"""Somebody who only talks stays where they are: a minute with the shipped weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bridge_server.audio.decode import decode
from bridge_server.audio.sound import Audio
from bridge_server.motion import features
from bridge_server.motion.versa import VersaGenerator
from shared.errors import UnderstudyError
from shared.requests import MotionRequest

SPEECH = Path(__file__).parents[2] / "examples" / "speech.wav"


def test_a_minute_of_talk_stays_in_its_place() -> None:
    try:
        generator = VersaGenerator("starter")
    except UnderstudyError as error:
        pytest.skip(error.message)
    once, _ = decode(SPEECH.read_bytes(), SPEECH.name)
    audio = Audio(np.tile(once.samples, 4), once.rate)
    motion = generator.perform(MotionRequest(duration=60.0, seed=1, face=False), audio, lambda stage, fraction: None)
    pelvis = motion.translation[:, [0, 2]]
    assert np.ptp(pelvis, axis=0).max() < 0.35, "the pelvis sways, and goes nowhere"
    assert np.linalg.norm(pelvis[-90:].mean(0) - pelvis[:90].mean(0)) < 0.2, "nor does it drift"
    assert 0.6 < motion.translation[:, 1].min() and motion.translation[:, 1].max() < 1.2
    heading = np.unwrap(features.heading_of(motion.rotations[:, 0].astype(np.float64)))
    assert np.degrees(np.ptp(heading)) < 60, "it still faces whom it speaks to"
