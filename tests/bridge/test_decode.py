# SPDX-License-Identifier: Apache-2.0
"""Sound in the formats that people have, to 16 kHz mono."""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from bridge_server.audio.decode import decode
from shared.errors import UnderstudyError

from .conftest import wav

SECONDS = 2.0
JFK = Path(__file__).resolve().parents[3] / "shared" / "data" / "speech" / "jfk.wav"


def tone(rate: int, channels: int, hertz: float = 440.0) -> np.ndarray:
    """(channels, N) float32."""
    t = np.arange(int(SECONDS * rate)) / rate
    return np.tile(0.25 * np.sin(2 * np.pi * hertz * t), (channels, 1)).astype(np.float32)


def encode(suffix: str, codec: str, rate: int, layout: str, picture: bool = False) -> bytes:
    file = io.BytesIO()
    with av.open(file, "w", format=suffix) as container:
        video = None
        if picture:
            video = container.add_stream("mpeg4", rate=10)
            video.width = video.height = 32
            video.pix_fmt = "yuv420p"
        stream = container.add_stream(codec, rate=rate)
        assert isinstance(stream, av.AudioStream)
        stream.layout = layout
        samples = tone(rate, stream.layout.nb_channels)
        resampler = av.AudioResampler(
            format=stream.format, layout=layout, rate=rate, frame_size=stream.frame_size or 1024
        )
        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout=layout)
        frame.sample_rate = rate
        frame.time_base = Fraction(1, rate)
        if video is not None:
            for _ in range(int(SECONDS * 10)):
                container.mux(video.encode(av.VideoFrame(32, 32, "yuv420p")))
            container.mux(video.encode(None))
        for piece in (*resampler.resample(frame), *resampler.resample(None)):
            container.mux(stream.encode(piece))
        container.mux(stream.encode(None))
    return file.getvalue()


@pytest.mark.parametrize(
    ("suffix", "codec", "rate", "layout"),
    [
        ("wav", "pcm_s16le", 44_100, "stereo"),
        ("wav", "pcm_s24le", 96_000, "mono"),
        ("wav", "pcm_f32le", 48_000, "5.1"),
        ("wav", "pcm_u8", 8_000, "mono"),
        ("wav", "pcm_mulaw", 8_000, "mono"),
        ("flac", "flac", 48_000, "stereo"),
        ("mp3", "libmp3lame", 44_100, "stereo"),
        ("ogg", "libvorbis", 44_100, "mono"),
        ("ogg", "libopus", 48_000, "stereo"),
        ("mp4", "aac", 44_100, "stereo"),
        ("aiff", "pcm_s16be", 22_050, "mono"),
        ("matroska", "aac", 48_000, "mono"),
    ],
)
def test_formats(suffix: str, codec: str, rate: int, layout: str) -> None:
    try:
        content = encode(suffix, codec, rate, layout)
    except av.codec.codec.UnknownCodecError:
        pytest.skip(f"this build of PyAV cannot write {codec}")
    audio, warnings = decode(content)
    assert audio.rate == 16_000 and audio.samples.dtype == np.float32 and audio.samples.ndim == 1
    # lossy codecs pad at both ends
    assert audio.duration == pytest.approx(SECONDS, abs=0.08)
    assert warnings == []
    middle = audio.samples[8000:24000]
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle))))
    assert np.argmax(spectrum) * 16_000 / len(middle) == pytest.approx(440, abs=2)
    assert 0.1 < np.abs(middle).max() <= 1.0


def test_resampling_is_exact_in_time() -> None:
    for rate in (8_000, 11_025, 22_050, 44_100, 48_000, 96_000):
        audio, _ = decode(wav(np.zeros(rate * 3) + 0.01, rate))
        assert abs(len(audio.samples) - 48_000) <= 1, rate


def test_sound_of_a_video() -> None:
    audio, _ = decode(encode("mp4", "aac", 44_100, "stereo", picture=True))
    assert audio.duration == pytest.approx(SECONDS, abs=0.08)


def test_video_without_sound() -> None:
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("mpeg4", rate=10)
        assert isinstance(stream, av.VideoStream)
        stream.width = stream.height = 32
        container.mux(stream.encode(av.VideoFrame(32, 32, "yuv420p")))
        container.mux(stream.encode(None))
    with pytest.raises(UnderstudyError, match="no audio track"):
        decode(file.getvalue(), "clip.mp4")


def test_loud_stereo_is_turned_down_not_clipped() -> None:
    t = np.arange(16_000) / 16_000
    loud = np.sin(2 * np.pi * 100 * t)
    audio, _ = decode(wav(np.stack((loud, loud), axis=1)))
    assert np.abs(audio.samples).max() <= 1.0
    # a clipped sine has a third harmonic of several per cent
    spectrum = np.abs(np.fft.rfft(audio.samples))
    assert spectrum[300] < 0.002 * spectrum[100]


def test_many_channels() -> None:
    samples = np.tile(0.1 * np.sin(np.arange(16_000) * 0.2)[:, None], (1, 7))
    audio, _ = decode(wav(samples))
    assert len(audio.samples) == 16_000 and np.abs(audio.samples).max() > 0.05


def test_truncated_file_gives_what_there_is() -> None:
    content = encode("flac", "flac", 48_000, "mono")
    audio, _ = decode(content[: len(content) * 2 // 3])
    assert 0.5 < audio.duration < SECONDS


def test_damaged_file_is_used_and_said() -> None:
    content = bytearray(encode("mp3", "libmp3lame", 44_100, "mono"))
    generator = np.random.default_rng(0)
    half = len(content) // 2
    content[half : half + 3000] = generator.integers(0, 256, 3000, dtype=np.uint8).tobytes()
    audio, warnings = decode(bytes(content), "line.mp3")
    assert audio.duration > 1.0
    assert not warnings or "line.mp3 is damaged" in warnings[0]


def test_random_bytes_never_crash() -> None:
    generator = np.random.default_rng(1)
    good = encode("wav", "pcm_s16le", 16_000, "mono")
    for n in range(60):
        content = bytearray(good[:4000])
        for position in generator.integers(0, 64, 6):
            content[position] = generator.integers(0, 256)
        try:
            audio, _ = decode(bytes(content))
            assert np.isfinite(audio.samples).all(), n
        except UnderstudyError as error:
            assert error.code.startswith("audio_")


def test_what_report_raises_is_let_through() -> None:
    def stop(fraction: float) -> None:
        raise UnderstudyError("cancelled", "Stopped.")

    with pytest.raises(UnderstudyError, match="Stopped"):
        decode(wav(np.full(160_000, 0.1)), report=stop)


@pytest.mark.skipif(not JFK.is_file(), reason="the shared data folder is not here")
def test_real_speech() -> None:
    audio, warnings = decode(np.fromfile(JFK, np.uint8), "jfk.wav")
    assert audio.duration == pytest.approx(11.0, abs=0.01) and warnings == []
