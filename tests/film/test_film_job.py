# SPDX-License-Identifier: Apache-2.0
"""Films over the bridge: ordered, watched, cancelled, continued, drawn again in part, and fetched again."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from bridge_server.pose_track.layout import INDEX
from bridge_server.pose_track.performer import Joints
from bridge_server.video import performing, renderers
from shared.errors import UnderstudyError
from shared.films import Film, FilmOrder, Look, preview_of
from shared.motion import Motion
from shared.protocol import Message, new_id
from tests.bridge.conftest import RunningBridge, start_bridge, wait_for


def order_of(performance: Motion, photo: Path, **more: Any) -> FilmOrder:
    joints = Joints.of(performance)
    face = np.stack(list(performance.face.values()), 1)
    values = {"width": 96, "height": 96, "fps": 20.0, **more}
    return FilmOrder(photo=np.fromfile(photo, np.uint8), photo_name=photo.name, positions=joints.positions.astype(np.float32),
                     turns=joints.turns.astype(np.float32), performance_fps=performance.fps, face=face.astype(np.float32),
                     face_names=list(performance.face), **values)


@pytest.fixture(scope="module")
def bridge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningBridge]:
    running = start_bridge(tmp_path_factory.mktemp("bridge"), "Walker")
    yield running
    assert running.stop() == 0


def run(bridge: RunningBridge, order: FilmOrder) -> tuple[Film | Look, list[Message]]:
    client = bridge.client()
    message = order.to_message()
    client.send(message)
    heard: list[Message] = []
    while True:
        answer = client.receive(60)
        assert answer is not None
        if answer.id == message.id:
            heard.append(answer)
            if answer.raise_if_error().type == "result":
                return order.read_result(answer), heard


def test_welcome_lists_the_renderers(bridge: RunningBridge) -> None:
    client = bridge.client()
    wait_for(lambda: client.hello()["renderers"], "the worker has said what it can draw")
    puppet = next(r for r in client.hello()["renderers"] if r["name"] == "puppet")
    assert puppet["runs_here"] and puppet["cost"]["megapixel_seconds"] > 0
    assert client.status()["renderers"] == client.hello()["renderers"] and "film" in client.hello()["capabilities"]
    # so it does the routes of faces
    assert client.status()["faces"] == client.hello()["faces"] and "rules" in client.hello()["faces"]


def test_a_film_comes_back(bridge: RunningBridge, performance: Motion, photo_path: Path) -> None:
    film, heard = run(bridge, order_of(performance, photo_path, permission="my own", facts={"seed": 7}, framing="half"))
    assert isinstance(film, Film) and (film.frames, film.width, film.height, film.fps) == (10, 96, 96, 20.0)
    assert film.facts["photograph"]["name"] == photo_path.name and film.facts["permission"] == "my own"
    assert film.facts["performance"] == {"seed": 7}
    with av.open(io.BytesIO(film.content.tobytes())) as container:
        assert len(list(container.decode(video=0))) == 10
    kinds = [m.type for m in heard]
    assert kinds[0] == "accepted" and "progress" in kinds
    shown = [preview_of(m) for m in heard if m.type == "chunk"]
    assert shown and shown[0] is not None and shown[0][0] == 0 and shown[0][1].shape == (96, 96, 3) and np.ptp(shown[0][1]) > 50
    # nothing of it is left with the bridge but the kept result, which can be fetched again
    assert not list((bridge.state_dir / "films").iterdir())
    client = bridge.client()
    client.send(Message("fetch", "q", {"job": heard[0].id}))
    again = client.receive(10)
    assert again is not None and again.type == "result"
    np.testing.assert_array_equal(again.buffers["film"], film.content)


def test_pictures_come_as_an_archive(bridge: RunningBridge, performance: Motion, photo_path: Path) -> None:
    film, _ = run(bridge, order_of(performance, photo_path, format="png", part_start=0.1, part_end=0.3))
    assert isinstance(film, Film) and (film.first, film.frames) == (2, 4)
    with zipfile.ZipFile(io.BytesIO(film.content.tobytes())) as archive:
        assert archive.namelist() == ["000003.png", "000004.png", "000005.png", "000006.png", "film.json"]
        assert json.loads(archive.read("film.json"))["first_frame"] == 2


def test_a_part_is_what_the_whole_film_has_there(performance: Motion, photo_path: Path, tmp_path: Path) -> None:
    def pictures(**part: float) -> dict[str, np.ndarray]:
        order = order_of(performance, photo_path, format="png", **part)
        film = performing.film_for(order, tmp_path, lambda *_: None, lambda *_: None)
        with zipfile.ZipFile(io.BytesIO(film.content.tobytes())) as archive:
            return {n: np.asarray(Image.open(io.BytesIO(archive.read(n)))) for n in archive.namelist() if n.endswith("png")}

    whole, part = pictures(), pictures(part_start=0.2, part_end=0.4)
    assert list(part) == ["000005.png", "000006.png", "000007.png", "000008.png"]
    for name, picture in part.items():
        np.testing.assert_array_equal(picture, whole[name])


def test_looking_at_a_photograph(bridge: RunningBridge, photo_path: Path, tmp_path: Path) -> None:
    look, _ = run(bridge, FilmOrder("look", np.fromfile(photo_path, np.uint8), photo_path.name))
    assert isinstance(look, Look) and (look.width, look.height) == (256, 256)
    assert np.abs(look.points[INDEX["right_eye"], :2] - (101, 50)).max() < 6 and look.placed_by == "proportion"
    grey = tmp_path / "grey.png"
    Image.new("RGB", (200, 300), "grey").save(grey)
    look, _ = run(bridge, FilmOrder("look", np.fromfile(grey, np.uint8), "grey.png"))
    assert isinstance(look, Look) and look.placed_by == "" and any("Drag the points" in note for note in look.notes)
    seen = look.points[look.points[:, 2] > 0]
    assert len(seen) == 18 and (seen[:, :2] > 0).all() and (seen[:, :2] < (200, 300)).all()


def test_cancel_and_continue(bridge: RunningBridge, performance: Motion, photo_path: Path) -> None:
    # long enough that it cannot be done before it is cancelled
    long = performance.take(np.arange(400) % 10)
    order = order_of(long, photo_path, width=256, height=256)
    client = bridge.client()
    message = order.to_message()
    client.send(message)
    cancelled = False
    while True:
        answer = client.receive(60)
        assert answer is not None
        if answer.type == "chunk" and answer.body["first_frame"] > 45 and not cancelled:
            cancelled = True
            client.cancel(message.id)
        if answer.type == "error":
            assert answer.body["code"] == "cancelled" and cancelled
            break
        assert answer.type != "result", "it was done before it could be cancelled"
    kept = bridge.state_dir / "films"
    wait_for(lambda: list(kept.glob("*/film.mp4.parts/segment*.mp4")), "a segment is kept")
    film, heard = run(bridge, order)
    assert isinstance(film, Film) and film.frames == 400
    first = min(m.body["first_frame"] for m in heard if m.type == "chunk")
    assert first >= 40, "what had been drawn is not drawn again"
    assert not list(kept.iterdir())


@pytest.mark.parametrize(("change", "code", "says"), [
    ({"renderer": "holodeck"}, "unsupported", "holodeck"), ({"framing": "scene"}, "request_invalid", "camera"),
    ({"photo": np.zeros(100, np.uint8)}, "file_invalid", "cannot be read"), ({"format": "gif"}, "request_invalid", "format"),
    ({"part_start": 3.0, "part_end": 4.0}, "request_invalid", "nothing to draw"), ({"width": 10}, "request_invalid", "width"),
    ({"audio": np.zeros(50, np.uint8)}, "audio_unreadable", "sound"), ({"renderer": "os:system"}, "request_invalid", "renderer"),
])
def test_bad_orders_get_a_sentence(change: dict[str, Any], code: str, says: str, bridge: RunningBridge, performance: Motion,
                                   photo_path: Path) -> None:
    order = order_of(performance, photo_path)
    order.check = lambda: None  # type: ignore[method-assign]  # a client that does not look itself
    for name, value in change.items():
        setattr(order, name, value)
    with pytest.raises(UnderstudyError) as caught:
        run(bridge, order)
    assert caught.value.code == code and says in caught.value.message and caught.value.fix


def test_an_order_that_does_not_fit_together_is_not_sent(performance: Motion, photo_path: Path) -> None:
    for change in ({"photo": None}, {"positions": None}, {"face": np.zeros((3, 2), np.float32)},
                   {"turns": np.full((10, 55, 4), np.nan, np.float32)}, {"points": np.zeros((18, 3))}, {"part_end": 1.0},
                   {"view": np.zeros((4, 4, 4)), "projection": np.zeros((4, 4, 4))}):
        order = order_of(performance, photo_path)
        for name, value in change.items():
            setattr(order, name, value)
        with pytest.raises(UnderstudyError) as caught:
            order.to_message(new_id())
        assert caught.value.code == "request_invalid"


def test_too_little_memory_is_said_before_any_work(performance: Motion, photo_path: Path, tmp_path: Path,
                                                   monkeypatch: pytest.MonkeyPatch) -> None:
    from bridge_server.video.puppet.renderer import PuppetRenderer

    facts = PuppetRenderer.describe()
    huge = renderers.Description(**{**vars(facts), "cost": renderers.Cost(memory_gb=1e6)})
    monkeypatch.setattr(PuppetRenderer, "describe", classmethod(lambda cls: huge))
    monkeypatch.setattr(PuppetRenderer, "prepare", lambda *_: pytest.fail("it was begun"))
    with pytest.raises(UnderstudyError) as caught:
        performing.film_for(order_of(performance, photo_path), tmp_path, lambda *_: None, lambda *_: None)
    assert caught.value.code == "out_of_memory" and "GB" in caught.value.message and not caught.value.retryable


def test_the_client_s_file_names_lead_nowhere(tmp_path: Path) -> None:
    content = np.arange(3, dtype=np.uint8)
    for name in ("../../etc/passwd", "a.png/../../b", "C:\\x\\y.jpg", "c.p n g", "photo." + "x" * 300):
        path = performing._written(tmp_path, content, name, "photograph")
        assert path.parent == tmp_path and path.name in ("photograph", "photograph.jpg")
