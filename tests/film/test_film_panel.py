# SPDX-License-Identifier: Apache-2.0
"""The Film panel's operators in Blender, against a bridge that answers by script."""

import os
import struct
import threading
from pathlib import Path

import bpy
import numpy as np
import pytest
import zmq

import blender_addon
from blender_addon import cast, compat, session, staging
from blender_addon.film import job as jobs
from blender_addon.film import order, picture
from blender_addon.film.points import performance_on
from blender_addon.film.settings import film_of, picture_of
from blender_addon.shared.errors import UnderstudyError
from blender_addon.shared.films import Film, FilmOrder, Look, standing_figure
from blender_addon.shared.motion import Motion
from blender_addon.shared.protocol import Message, error_message
from blender_addon.shared.state import BridgeRecord, write_record
from blender_addon.shared.wire import decode, encode

RENDERERS = [
    {"name": "versa", "summary": "diffusion", "runs_here": False, "why_not": "There is no GPU.", "needs": "A GPU."},
    {"name": "puppet", "summary": "the photograph moved", "runs_here": True, "device": "cpu",
     "cost": {"start_seconds": 2.0, "megapixel_seconds": 0.1, "memory_gb": 0.25}},
    {"name": "shown", "summary": "takes a film of the character", "runs_here": True, "takes_driving": True},
]


class Bridge(threading.Thread):
    """Answers hello, status, look and film; remembers orders."""

    def __init__(self, folder: Path) -> None:
        super().__init__(daemon=True)
        self.orders: list[FilmOrder] = []
        self.fail: UnderstudyError | None = None
        self.hold = False
        self.cancelled: list[str] = []
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.ROUTER)
        self._socket.linger = 0
        port = self._socket.bind_to_random_port("tcp://127.0.0.1")
        self._ended = threading.Event()
        write_record(BridgeRecord(f"tcp://127.0.0.1:{port}", "token", os.getpid(), "0", ""), folder)

    def run(self) -> None:
        while not self._ended.is_set():
            if not self._socket.poll(50):
                continue
            identity, *frames = self._socket.recv_multipart()
            message = decode(frames, receiver="bridge")
            for answer in self.answers(message):
                self._socket.send_multipart([identity, *encode(answer)])
        self._socket.close(0)
        self._context.term()

    def answers(self, message: Message) -> list[Message]:
        if message.type == "hello":
            return [Message("welcome", message.id, {"bridge": "0", "renderers": RENDERERS})]
        if message.type == "ping":
            return [Message("pong", message.id)]
        if message.type == "cancel":
            self.cancelled.append(message.id)
            return []
        if message.type != "submit":
            return []
        wanted = FilmOrder.from_message(message)
        self.orders.append(wanted)
        first = [Message("accepted", message.id, {"position": 0}),
                 Message("progress", message.id, {"stage": "drawing", "fraction": 0.5, "eta": 1.0}),
                 Message("chunk", message.id, {"first_frame": 0, "kind": "preview"}, {"preview": np.full((20, 30, 3), 200, np.uint8)})]
        if self.fail is not None:
            return [*first, error_message(message.id, self.fail)]
        if self.hold:
            return first
        if wanted.action == "look":
            body, buffers = Look(64, 48, standing_figure(64, 48), "proportion", ("The photograph is grey-scale.",)).to_body()
        else:
            assert wanted.positions is not None and wanted.fps
            skipped = round((wanted.part_start or 0.0) * wanted.fps)
            end = len(wanted.positions) if wanted.part_end is None else round(wanted.part_end * wanted.fps)
            content = _archive(end - skipped) if wanted.format == "png" else np.frombuffer(b"film" * 64, np.uint8)
            body, buffers = Film(content, wanted.format, end - skipped, skipped, wanted.fps, 64, 48, ("A note.",)).to_body()
        return [*first, Message("result", message.id, body, buffers)]

    def stop(self) -> None:
        self._ended.set()
        self.join(5)


def _archive(frames: int) -> np.ndarray:
    import io
    import zipfile

    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for n in range(frames):
            archive.writestr(f"{n + 1:06d}.png", b"picture")
        archive.writestr("film.json", "{}")
    return np.frombuffer(file.getvalue(), np.uint8)


@pytest.fixture
def bridge(tmp_path, monkeypatch):  # type: ignore[no-untyped-def]
    monkeypatch.setenv("UNDERSTUDY_STATE_DIR", str(tmp_path / "state"))
    (tmp_path / "state").mkdir()
    running = Bridge(tmp_path / "state")
    running.start()
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    blender_addon.register()
    yield running
    blender_addon.unregister()
    running.stop()


def picture_file(folder: Path, name: str = "person.png", shade: float = 0.5) -> Path:
    image = bpy.data.images.new("drawn", 64, 48)
    image.pixels.foreach_set(np.full(64 * 48 * 4, shade, np.float32))
    image.filepath_raw, image.file_format = str(folder / name), "PNG"
    image.save()
    bpy.data.images.remove(image)
    return folder / name


def little_rig() -> bpy.types.Object:
    """A body of 20 bones in a T-pose, by names that are recognised."""
    bones = {"Hips": (None, (0, 0, 1.0), (0, 0, 1.1)), "Spine": ("Hips", (0, 0, 1.1), (0, 0, 1.25)),
             "Spine1": ("Spine", (0, 0, 1.25), (0, 0, 1.4)), "Neck": ("Spine1", (0, 0, 1.45), (0, 0, 1.53)),
             "Head": ("Neck", (0, 0, 1.53), (0, 0, 1.75))}
    limbs = {"Shoulder": ("Spine1", (0.02, 0, 1.4), (0.15, 0, 1.42)), "Arm": ("Shoulder", (0.17, 0, 1.42), (0.43, 0, 1.42)),
             "ForeArm": ("Arm", (0.43, 0, 1.42), (0.68, 0, 1.42)), "Hand": ("ForeArm", (0.68, 0, 1.42), (0.8, 0, 1.42)),
             "UpLeg": ("Hips", (0.09, 0, 0.95), (0.09, 0, 0.5)), "Leg": ("UpLeg", (0.09, 0, 0.5), (0.09, 0, 0.08)),
             "Foot": ("Leg", (0.09, 0, 0.08), (0.09, -0.12, 0.02)), "ToeBase": ("Foot", (0.09, -0.12, 0.02), (0.09, -0.18, 0.02))}
    for side, sign in (("Left", 1), ("Right", -1)):
        for name, (parent, head, tail) in limbs.items():
            above = parent if parent in bones else f"{side}{parent}"
            bones[f"{side}{name}"] = (above, (sign * head[0], *head[1:]), (sign * tail[0], *tail[1:]))
    rig = bpy.data.objects.new("Ava", bpy.data.armatures.new("Ava"))
    bpy.context.scene.collection.objects.link(rig)
    bpy.context.view_layer.objects.active = rig
    bpy.ops.object.mode_set(mode="EDIT")
    for name, (parent, head, tail) in bones.items():
        bone = rig.data.edit_bones.new(f"mixamorig:{name}")
        bone.head, bone.tail = head, tail
        bone.parent = rig.data.edit_bones[f"mixamorig:{parent}"] if parent else None
    bpy.ops.object.mode_set(mode="OBJECT")
    bpy.context.scene.understudy.character = rig
    return rig


def stage(folder: Path, frames: int = 12):  # type: ignore[no-untyped-def]
    """A character with a take and a permitted picture, ready to be filmed."""
    rig, scene = little_rig(), bpy.context.scene
    scene.render.fps = 24
    motion = Motion.rest(frames, 24.0)
    motion.face = {"jawOpen": np.linspace(0, 1, frames).astype(np.float32)}
    staging.apply_motion(rig, motion, 5.0, {"fps": 24.0, "seed": 7, "start_frame": 5.0})
    settings = film_of(rig)
    settings.folder = str(folder / "films")
    assert bpy.ops.understudy.film_picture(filepath=str(picture_file(folder))) == {"FINISHED"}
    assert bpy.ops.understudy.film_permit(kind="SELF", words="test") == {"FINISHED"}
    return rig, settings


def test_a_film_lands_in_the_sequencer(bridge: Bridge, tmp_path: Path) -> None:
    rig, settings = stage(tmp_path)
    settings.landing, settings.file_format = "SEQUENCER", "png"
    assert bpy.ops.understudy.film() == {"FINISHED"}
    wanted = bridge.orders[0]
    assert wanted.positions is not None and len(wanted.positions) == 12 and wanted.performance_fps == wanted.fps == 24.0
    assert wanted.permission == "The picture shows me: test" and wanted.facts["seed"] == 7
    assert (wanted.width, wanted.height) == (682, 512) and wanted.points is None and wanted.framing == "half"
    strips = list(compat.strips(bpy.context.scene))
    assert len(strips) == 1 and compat.strip_range(strips[0]) == (5.0, 17.0)
    assert sorted(p.name for p in Path(settings.made_path).iterdir())[0] == "000001.png"
    assert "A note." in picture_of(settings.photo).notes
    # a stretch of it again lies over it, from its own frame
    settings.again_first, settings.again_last = 8, 10
    assert bpy.ops.understudy.film_again() == {"FINISHED"}
    assert (bridge.orders[1].part_start, bridge.orders[1].part_end) == (pytest.approx(3 / 24), pytest.approx(6 / 24))
    again = [s for s in compat.strips(bpy.context.scene) if s != strips[0]][0]
    assert compat.strip_range(again) == (8.0, 11.0) and again.channel > strips[0].channel


def test_a_film_on_a_plane_and_as_a_file(bridge: Bridge, tmp_path: Path) -> None:
    rig, settings = stage(tmp_path)
    settings.landing, settings.file_format = "FILE", "mp4"
    assert bpy.ops.understudy.film() == {"FINISHED"}
    assert Path(settings.made_path).read_bytes() == b"film" * 64 and not len(compat.strips(bpy.context.scene))
    first = settings.made_path
    settings.landing = "PLANE"
    before = set(bpy.data.objects)
    assert bpy.ops.understudy.film() == {"FINISHED"}
    assert settings.made_path != first, "a film is never written over"
    (plane,) = set(bpy.data.objects) - before
    user = plane.data.materials[0].node_tree.nodes["Image Texture"].image_user
    assert (user.frame_start, user.frame_duration, user.use_auto_refresh) == (5, 12, True)
    assert plane.dimensions.z == pytest.approx(rig.dimensions.z, rel=0.01)
    assert plane.dimensions.x / plane.dimensions.z == pytest.approx(64 / 48, rel=0.01)


def test_permission_is_asked_for_once_for_each_picture(bridge: Bridge, tmp_path: Path) -> None:
    _, settings = stage(tmp_path)
    assert order.reason_not_to_film(bpy.context) == ""
    # the file has become another picture
    picture_file(tmp_path, shade=0.2)
    settings.photo.reload()
    assert "may be used" in order.reason_not_to_film(bpy.context)
    with pytest.raises(RuntimeError, match="may be used"):
        bpy.ops.understudy.film()
    assert bridge.orders == []
    bpy.ops.understudy.film_permit(kind="LICENCE", words="CC0")
    assert picture_of(settings.photo).permission == "The picture is free to use: CC0"
    assert order.reason_not_to_film(bpy.context) == ""


def test_every_grey_button_says_why(bridge: Bridge, tmp_path: Path) -> None:
    assert order.reason_not_to_film(bpy.context) == cast.NO_CHARACTER
    rig, settings = stage(tmp_path)
    image, settings.photo = settings.photo, None
    assert "reference picture" in order.reason_not_to_film(bpy.context)
    settings.photo = image
    settings.framing = "scene"
    assert "no camera" in order.reason_not_to_film(bpy.context)
    settings.framing = "half"
    settings.span, settings.first, settings.last = "FRAMES", 10, 10
    assert "nothing to film" in order.reason_not_to_film(bpy.context)
    settings.span = "TAKE"
    settings.folder = "//films/"
    assert "not been saved" in order.reason_not_to_film(bpy.context)
    settings.folder = str(tmp_path)
    session.desk().link.want()
    while session.link_state()[0] != "ready":
        session.pump(0.05)
    assert [r.name for r in order.renderers()] == ["puppet", "shown", "versa"]
    settings.renderer = "shown"
    assert "choose the framing Scene Camera" in order.reason_not_to_film(bpy.context)
    settings.renderer = "versa"
    assert order.reason_not_to_film(bpy.context) == "versa cannot run: There is no GPU"
    settings.renderer = "puppet"
    assert order.renderer_of(rig).estimate(1000, 1000, 80, "normal") == "About 10 s · 0.2 GB on cpu"
    with pytest.raises(RuntimeError, match="no film yet"):
        bpy.ops.understudy.film_again()
    with pytest.raises(RuntimeError, match="Nothing is being filmed"):
        bpy.ops.understudy.film_cancel()


def test_a_renderer_is_shown_the_character(bridge: Bridge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rig, settings = stage(tmp_path)
    session.desk().link.want()
    while session.link_state()[0] != "ready":
        session.pump(0.05)
    camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
    bpy.context.scene.collection.objects.link(camera)
    bpy.context.scene.camera = camera
    camera.location.y = -5.0
    camera.rotation_euler.x = np.pi / 2
    settings.renderer, settings.framing, settings.landing = "shown", "scene", "FILE"
    asked = []
    monkeypatch.setattr("blender_addon.film.driving.film_character", lambda *a: asked.append(a[2:]) or np.arange(9, dtype=np.uint8))
    assert bpy.ops.understudy.film() == {"FINISHED"}
    wanted = bridge.orders[-1]
    assert asked == [((5, 16), (682, 512))] and wanted.driving is not None and wanted.driving_name == "driving.mp4"
    assert wanted.view is not None and wanted.view.shape == (12, 4, 4) and wanted.camera_width == 1920


def test_points_from_the_bridge_and_by_hand(bridge: Bridge, tmp_path: Path) -> None:
    from blender_addon.core.film_points import NAMES, moved, shown_at

    rig, settings = stage(tmp_path)
    assert bpy.ops.understudy.film_look() == {"FINISHED"}
    points = picture.points_of(settings.photo)
    assert len(points) == 18 and points[0].x == pytest.approx(32) and picture_of(settings.photo).placed_by == "proportion"
    assert "grey-scale" in picture_of(settings.photo).notes
    picture.set_points(settings.photo, moved(points, NAMES.index("left_wrist"), 50.0, 500.0, (64, 48)))
    points = picture.points_of(settings.photo)
    assert (points[7].x, points[7].y) == (50.0, 48.0), "a point stays within the picture"
    picture.set_points(settings.photo, shown_at(points, NAMES.index("neck"), False))
    assert order.reason_not_to_film(bpy.context) == "Place on the picture: Neck"
    picture.set_points(settings.photo, points)
    assert bpy.ops.understudy.film() == {"FINISHED"}
    sent = bridge.orders[-1].points
    assert sent is not None and tuple(sent[7]) == (50.0, 48.0, 1.0) and (sent[18:] == 0).all()
    # the performance over the picture: a body that stands in its rest pose has its head on top and its feet below
    settings.photo.colorspace_settings.name = "sRGB"
    pose = performance_on(bpy.context, rig, settings.photo)
    assert pose is not None and pose[NAMES.index("left_eye"), 1] < pose[1, 1] < pose[NAMES.index("left_ankle"), 1]
    assert pose[NAMES.index("left_shoulder"), 0] > pose[NAMES.index("right_shoulder"), 0]


def test_failures_leave_the_scene_as_it_was(bridge: Bridge, tmp_path: Path) -> None:
    rig, settings = stage(tmp_path)
    bridge.fail = UnderstudyError("unsupported", "2 people were found in the photograph.", "Cut the photograph to one person.")
    with pytest.raises(RuntimeError, match="2 people"):
        bpy.ops.understudy.film()
    assert session.notices[compat.session_uid(rig)].code == "unsupported"
    assert not (tmp_path / "films").exists() and not len(compat.strips(bpy.context.scene)) and settings.made_path == ""
    # a folder that cannot be written to: the sentence says so
    bridge.fail = None
    (tmp_path / "file").write_text("in the way")
    settings.folder = str(tmp_path / "file" / "films")
    with pytest.raises(RuntimeError, match="cannot be written"):
        bpy.ops.understudy.film()


def test_cancel_is_told_to_the_bridge(bridge: Bridge, tmp_path: Path) -> None:
    rig, settings = stage(tmp_path)
    bridge.hold = True
    job = jobs.begin(bpy.context, rig)
    while job.preview is None:
        session.pump(0.05)
    assert jobs.job_of(rig) is job and session.job_of(rig) is None, "a film does not stand in the way of a performance"
    assert "being filmed already" in order.reason_not_to_film(bpy.context)
    assert job.preview[1].shape == (20, 30, 3) and job.label.startswith("Drawing 50 %")
    assert bpy.ops.understudy.film_cancel() == {"FINISHED"}
    while not bridge.cancelled:
        session.pump(0.05)
    assert jobs.job_of(rig) is None and job.owner.ended  # type: ignore[attr-defined]


def test_a_camera_s_picture_is_held_upright(bridge: Bridge, tmp_path: Path) -> None:
    from blender_addon.core.picture_files import orientation, upright

    path = tmp_path / "phone.jpg"
    image = bpy.data.images.new("drawn", 64, 32)
    pixels = np.zeros((32, 64, 4), np.float32)
    pixels[:, :32] = 1.0
    image.pixels.foreach_set(pixels.reshape(-1))
    image.filepath_raw, image.file_format = str(path), "JPEG"
    image.save()
    content = path.read_bytes()
    tiff = b"MM\0*" + struct.pack(">IHHHIHHI", 8, 1, 0x0112, 3, 1, 6, 0, 0)
    exif = b"Exif\0\0" + tiff
    path.write_bytes(content[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + content[2:])
    assert orientation(path.read_bytes()) == 6 and orientation(content) == 1 and orientation(b"\xff\xd8\xff") == 1
    held = picture.load(path)
    assert tuple(held.size) == (32, 64) and held.packed_file is not None
    back = np.empty(32 * 64 * 4, np.float32)
    held.pixels.foreach_get(back)
    back = back.reshape(64, 32, 4)[::-1]
    assert back[:20, :, 0].mean() > 0.9 and back[44:, :, 0].mean() < 0.1, "what was on the left is on top"
    marked = np.arange(6).reshape(2, 3)
    assert upright(marked, 3).tolist() == [[5, 4, 3], [2, 1, 0]] and upright(marked, 8).tolist() == [[2, 5], [1, 4], [0, 3]]
    with pytest.raises(UnderstudyError, match="cannot be read"):
        (tmp_path / "text.png").write_text("no picture")
        picture.load(tmp_path / "text.png")


def test_everything_is_taken_back() -> None:
    for _ in range(2):
        blender_addon.register()
        assert hasattr(bpy.types.Object, "understudy_film") and hasattr(bpy.types, "UNDERSTUDY_OT_export_camera")
        blender_addon.unregister()
        assert not hasattr(bpy.types.Object, "understudy_film") and not hasattr(bpy.types.Image, "understudy_picture")
