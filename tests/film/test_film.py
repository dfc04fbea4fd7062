# SPDX-License-Identifier: Apache-2.0
"""Files: pictures and sound of the right length, continued after a cancel, with what they were made from."""

from __future__ import annotations

import json
import wave
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest

from bridge_server.cli.main import main
from bridge_server.pose_track import camera
from bridge_server.video import film
from bridge_server.video.film import FilmRequest, make_film
from bridge_server.video.renderers import Description, Scene
from shared.errors import UnderstudyError
from shared.motion import Motion


class Counting:
    """A renderer whose frame n is a grey of its own; counts what is drawn."""

    def __init__(self) -> None:
        self.drawn: list[int] = []
        self.scene: Scene | None = None

    @classmethod
    def describe(cls) -> Description:
        return Description("counting", "", "", True)

    def prepare(self, scene: Scene, report: object) -> list[str]:
        self.scene = scene
        return []

    def frames(self, start: int, stop: int, report: object) -> Iterator[np.ndarray]:
        assert self.scene is not None
        for n in range(start, stop):
            report("drawing", n / len(self.scene.track))  # type: ignore[operator]
            self.drawn.append(n)
            yield np.full((self.scene.height, self.scene.width, 3), 20 + 20 * n, np.uint8)


def quiet(stage: str, fraction: float) -> None:
    pass


@pytest.fixture()
def sound(tmp_path: Path) -> Path:
    """0.3 s of a tone, 8 kHz stereo."""
    path = tmp_path / "tone.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(8000)
        tone = (np.sin(np.arange(2400) * 0.4) * 12000).astype("<i2")
        file.writeframes(np.stack((tone, tone), 1).tobytes())
    return path


def greys(path: Path) -> list[float]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24")[8:-8, 8:-8].mean() for frame in container.decode(video=0)]


def request(performance: Motion, photo: Path, out: Path, **more: object) -> FilmRequest:
    return FilmRequest(performance, photo, out, size=(96, 64), fps=20.0, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
def test_film_and_sound_have_the_performance_s_length(suffix: str, tmp_path: Path, performance: Motion, photo_path: Path,
                                                      sound: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(film, "SEGMENT_SECONDS", 0.2)
    out = tmp_path / f"film{suffix}"
    result = make_film(request(performance, photo_path, out, audio=sound, permission="my own picture"), Counting(), quiet)
    assert result.frames == 10 and any("0.2 s longer" in note for note in result.notes)
    assert greys(out) == pytest.approx([20 + 20 * n for n in range(10)], abs=4)
    with av.open(str(out)) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        assert float(video.duration * video.time_base) == pytest.approx(0.5, abs=0.01)
        assert float(audio.duration * audio.time_base) == pytest.approx(0.5, abs=0.05)
        assert video.average_rate == 20 and audio.rate == 48000
        if suffix == ".mp4":
            made = json.loads(container.metadata["comment"])
            assert made["permission"] == "my own picture" and made["renderer"] == "counting"
        samples = np.concatenate([f.to_ndarray().astype(float).reshape(2, -1) if f.format.is_planar else
                                  f.to_ndarray().astype(float).reshape(-1, 2).T for f in container.decode(audio=0)], 1)
    loud = np.abs(samples) / max(np.abs(samples).max(), 1e-9)
    assert loud[:, 4800:12000].max() > 0.5 and loud[:, 16800:22000].max() < 0.05
    assert not out.with_name(out.name + ".parts").exists()
    facts = json.loads(Path(str(out) + ".json").read_text())
    assert len(facts["photograph"]["sha256"]) == 64 and facts["sound"]["name"] == "tone.wav"


def test_a_cancelled_film_goes_on_where_it_was(tmp_path: Path, performance: Motion, photo_path: Path,
                                               monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(film, "SEGMENT_SECONDS", 0.2)
    out = tmp_path / "film.mp4"

    def cancel(stage: str, fraction: float) -> None:
        if fraction > 0.55:
            raise UnderstudyError("cancelled", "Cancelled.")

    with pytest.raises(UnderstudyError) as caught:
        make_film(request(performance, photo_path, out), Counting(), cancel)
    assert caught.value.code == "cancelled" and not out.exists()
    left = sorted(p.name for p in (tmp_path / "film.mp4.parts").iterdir())
    assert left == ["key.txt", "segment00000.mp4"]
    renderer = Counting()
    result = make_film(request(performance, photo_path, out), renderer, quiet)
    assert result.resumed == 1 and renderer.drawn == list(range(4, 10))
    assert greys(out) == pytest.approx([20 + 20 * n for n in range(10)], abs=4)


def test_another_film_does_not_continue_it(tmp_path: Path, performance: Motion, photo_path: Path,
                                           monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(film, "SEGMENT_SECONDS", 0.2)
    parts = tmp_path / "film.mp4.parts"
    parts.mkdir()
    (parts / "key.txt").write_text("of another film")
    (parts / "segment00000.mp4").write_bytes(b"")
    result = make_film(request(performance, photo_path, tmp_path / "film.mp4"), Counting(), quiet)
    assert result.resumed == 0


def test_pictures(tmp_path: Path, performance: Motion, photo_path: Path) -> None:
    from PIL import Image

    out = tmp_path / "frames"
    make_film(request(performance, photo_path, out), Counting(), quiet)
    names = sorted(p.name for p in out.glob("*.png"))
    assert names == [f"{n:06d}.png" for n in range(1, 11)]
    assert np.asarray(Image.open(out / names[3])).mean() == 80
    for name in names[6:]:
        (out / name).unlink()
    renderer = Counting()
    assert make_film(request(performance, photo_path, out), renderer, quiet).resumed == 6
    assert renderer.drawn == [6, 7, 8, 9]
    other = tmp_path / "mine"
    other.mkdir()
    (other / "thesis.txt").write_text("precious")
    with pytest.raises(UnderstudyError):
        make_film(request(performance, photo_path, other), Counting(), quiet)
    assert (other / "thesis.txt").read_text() == "precious"


def test_a_range_and_a_rate(tmp_path: Path, performance: Motion, photo_path: Path) -> None:
    renderer = Counting()
    wanted = request(performance, photo_path, tmp_path / "a.mp4", start=0.2, seconds=0.2)
    make_film(wanted, renderer, quiet)
    assert renderer.scene is not None and len(renderer.scene.track) == 4
    assert renderer.scene.face["jawOpen"] == pytest.approx(performance.face["jawOpen"][4:8], abs=1e-5)
    wanted.fps, wanted.out = 40.0, tmp_path / "b.mp4"
    make_film(wanted, renderer, quiet)
    assert len(renderer.scene.track) == 8


@pytest.mark.parametrize(("change", "code"), [
    ({"out": "film.gif"}, "unsupported"), ({"out": "no/such/film.mp4"}, "file_missing"),
    ({"start": 0.4, "seconds": 3.0}, "request_invalid"),
    ({"size": (8000, 20)}, "request_invalid"), ({"fps": 0.0}, "request_invalid"), ({"audio": "none.wav"}, "file_missing"),
    ({"photo": "none.png"}, "file_missing"),
])
def test_bad_requests_fail_before_any_drawing(change: dict[str, object], code: str, tmp_path: Path, performance: Motion,
                                              photo_path: Path) -> None:
    wanted = request(performance, photo_path, tmp_path / "film.mp4")
    for name, value in change.items():
        setattr(wanted, name, tmp_path / value if isinstance(value, str) else value)
    renderer = Counting()
    with pytest.raises(UnderstudyError) as caught:
        make_film(wanted, renderer, quiet)
    assert caught.value.code == code and renderer.drawn == []
    assert list(tmp_path.iterdir()) == []


def test_the_mark_is_visible_and_small(tmp_path: Path, performance: Motion, photo_path: Path) -> None:
    from PIL import Image

    make_film(request(performance, photo_path, tmp_path / "frames", mark=True, seconds=0.2), Counting(), quiet)
    picture = np.asarray(Image.open(tmp_path / "frames/000003.png")).astype(int)
    touched = np.abs(picture - 60).max(-1) > 20
    assert 20 < touched.sum() < 0.25 * touched.size and not touched[:32].any()


def test_a_camera_that_does_not_see_the_performer(tmp_path: Path, performance: Motion, photo_path: Path) -> None:
    away = camera.Camera(96, 64, camera.look_at(np.array([0.0, 1.0, 3.0]), np.array([0.0, 1.0, 9.0])),
                         camera.lens_projection(96, 64))
    wanted = request(performance, photo_path, tmp_path / "film.mp4", camera=away)
    with pytest.raises(UnderstudyError) as caught:
        make_film(wanted, Counting(), quiet)
    assert "behind the camera in 10 of 10" in caught.value.message and list(tmp_path.iterdir()) == []


def test_command(tmp_path: Path, performance: Motion, photo_path: Path, sound: Path, capsys: pytest.CaptureFixture[str]) -> None:
    performance.save(tmp_path / "m.npz")
    line = ["film", "--motion", str(tmp_path / "m.npz"), "--photo", str(photo_path), "--audio", str(sound), "--out",
            str(tmp_path / "film.mp4"), "--size", "128x128", "--fps", "10", "--track", str(tmp_path / "t.npz"), "--dwpose",
            str(tmp_path / "d.npz"), "--openpose", str(tmp_path / "json"), "--pose-film", str(tmp_path / "pose.mp4"),
            "--convention", "wan", "--composite"]
    assert main(line) == 0
    said = capsys.readouterr()
    assert "5 frames at 10 fps, 128x128" in said.out and "permission" in said.err
    assert len(greys(tmp_path / "film.mp4")) == len(greys(tmp_path / "pose.mp4")) == 5
    assert len(list((tmp_path / "json").iterdir())) == 5
    with np.load(tmp_path / "d.npz") as z:
        assert (z["body_scores"][:, 0] == 0).all() and (z["body_scores"][:, 1] > 0).all()
    assert main(["film", "--list"]) == 0
    assert "puppet" in capsys.readouterr().out
    assert main(["film", "--photo", str(photo_path)]) == 1
    assert main([*line[:-3], "--size", "big"]) == 1
