# SPDX-License-Identifier: GPL-3.0-or-later
"""What an artist sets for a face: emotion and its intensity, where the eyes look, how strong each part is.

It is kept on the armature's data, not on the object: its keys then live in an action of their own, and stepping through
takes, which exchanges the object's action, does not touch them.
"""

import hashlib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import bpy
import numpy as np
from bpy.props import EnumProperty, FloatProperty, PointerProperty, StringProperty

from .. import cast, compat, session
from . import words

if TYPE_CHECKING:
    from ..shared.face_settings import FaceSettings, Sampled

__all__ = ["CLASSES", "FaceActing", "draw", "of", "routes", "sampled", "signature", "transcript_of"]

EMOTIONS = [
    ("neutral", "Neutral", "What directions and speech bring along"),
    ("happy", "Happy", ""), ("sad", "Sad", ""), ("angry", "Angry", ""), ("surprised", "Surprised", ""),
    ("disgusted", "Disgusted", ""), ("afraid", "Afraid", ""), ("contempt", "Contempt", ""),
]
GAZES = [
    ("AHEAD", "Ahead", "The eyes look where the head points"),
    ("CAMERA", "Camera", "The eyes look at the scene's camera"),
    ("TARGET", "Target", "The eyes look at an object, such as an empty"),
]
LANGUAGES = [
    ("unknown", "Unknown", "Sounds are recognised in any language"),
    ("en", "English", "A transcript is aligned; without one, sounds are recognised as in any language"),
    ("other", "Other", "Not English: a transcript is not aligned"),
]
RATE = 10.0
"""Samples per second of a value that is keyed."""
FADE = 0.25
"""Seconds in which one emotion gives way to the next."""
_STRENGTHS = ("mouth", "brows", "blinks", "nods")


def _is_target(self: Any, candidate: bpy.types.Object) -> bool:
    return candidate.data is not self.id_data


def routes() -> list[str]:
    """The ways to make a face that the bridge says it has; before it is connected, and where it says nothing, the rules."""
    link = session.link_state()[1]
    found = link.welcome.get("faces") if link is not None else None
    names = [name for name in found if isinstance(name, str)] if isinstance(found, list) else []
    return names or ["rules"]


def _routes(_settings: Any, _context: bpy.types.Context, typed: str) -> Iterable[str]:
    """Names to offer for what has been typed."""
    return [name for name in routes() if typed.lower() in name.lower()]


class FaceActing(bpy.types.PropertyGroup):
    """Settings of one character's face; emotion, intensity, gaze and its target can be keyed."""

    emotion: EnumProperty(name="Emotion", items=EMOTIONS, description="What the face shows beside what is said; can be keyed")
    intensity: FloatProperty(
        name="Intensity", default=0.7, min=0.0, max=1.0, subtype="FACTOR", description="How strong the emotion is; can be keyed")
    gaze: EnumProperty(name="Gaze", items=GAZES, description="Where the eyes look", options=set())
    target: PointerProperty(name="Target", type=bpy.types.Object, poll=_is_target, description="What the eyes look at; it may move")
    head_share: FloatProperty(
        name="Head", default=0.5, min=0.0, max=1.0, subtype="FACTOR", options=set(),
        description="How much of a turn towards the target the head takes; the eyes take the rest")
    mouth: FloatProperty(name="Mouth", default=1.0, min=0.0, max=2.0, options=set(), description="How far the mouth moves as it speaks")
    brows: FloatProperty(name="Brows", default=1.0, min=0.0, max=2.0, options=set(), description="How high the brows go on stressed words")
    blinks: FloatProperty(name="Blinks", default=1.0, min=0.0, max=2.0, options=set(), description="How often the eyes blink")
    nods: FloatProperty(name="Nods", default=1.0, min=0.0, max=2.0, options=set(), description="How much the head moves with the speech")
    lead: FloatProperty(
        name="Lip Lead", default=0.01, min=-0.5, max=0.5, precision=3, step=1, subtype="TIME_ABSOLUTE", options=set(),
        description="Seconds by which the lips run ahead of the sound; negative: behind")
    language: EnumProperty(name="Language", items=LANGUAGES, options=set(), description="What is spoken")
    route: StringProperty(
        name="Route", options=set(), search=_routes, search_options={"SUGGESTION"},
        description="Who performs the face, of those that the bridge has; empty: its own rules. audio2face: the model in the preferences")
    text: PointerProperty(name="Text", type=bpy.types.Text, description="The transcript as a text of this file, instead of one line")


def of(character: Any) -> Any:
    """The settings of a character's face."""
    return character.data.understudy_face


def transcript_of(character: Any) -> str:
    """What is said, as far as the artist has told: from the text of the file, else the line in the panel."""
    text = of(character).text
    return text.as_string() if text is not None else str(character.understudy.transcript)


def signature(content: Any, transcript: str) -> str:
    """Names a speech and its transcript, so that words are not used with another speech."""
    digest = hashlib.sha1(transcript.strip().encode(), usedforsecurity=False)
    digest.update(b"" if content is None else np.asarray(content).tobytes())
    return digest.hexdigest()[:16]


def _curve(character: Any, name: str) -> Any:
    """The F-curve of a setting, or None."""
    data = character.data.animation_data
    action = data.action if data else None
    if action is None:
        return None
    path = f"understudy_face.{name}"
    slot = compat.assigned_slot(character.data)
    return next((c for owner, c in compat.curves_with_slots(action)
                 if c.data_path == path and (not slot or owner == slot)), None)


def _emotions(character: Any, frames: np.ndarray) -> "dict[str, float | Sampled]":
    """Intensity by emotion at ``frames``, :data:`RATE` a second."""
    from ..shared.face_settings import Sampled

    settings = of(character)
    which, how = _curve(character, "emotion"), _curve(character, "intensity")
    if which is None and how is None:
        return {} if settings.emotion == "neutral" else {settings.emotion: settings.intensity}
    names = [name for name, _, _ in EMOTIONS]
    chosen = np.array([round(which.evaluate(f)) for f in frames]) if which else np.full(len(frames), names.index(settings.emotion))
    amount = np.array([how.evaluate(f) for f in frames]) if how else np.full(len(frames), settings.intensity)
    width = max(1, round(FADE * RATE))
    kernel = np.bartlett(2 * width + 1)[1:-1]
    found: dict[str, float | Sampled] = {}
    for n, name in enumerate(names):
        if name != "neutral" and (chosen == n).any():
            values = np.clip(np.where(chosen == n, amount, 0.0), 0, 1)
            padded = np.pad(values, width - 1, mode="edge")
            found[name] = Sampled(RATE, np.convolve(padded, kernel / kernel.sum(), mode="valid"))
    return found


def _still(target: Any) -> bool:
    """Whether an object surely does not move."""
    while target is not None:
        data = target.animation_data
        if data is not None and (data.action is not None or data.nla_tracks or data.drivers) or target.constraints:
            return False
        if target.rigid_body is not None:
            return False
        target = target.parent
    return True


def _positions(scene: Any, target: Any, frames: np.ndarray) -> np.ndarray:
    """(N, 3) world positions of an object at ``frames``; the scene's frame is put back."""
    if _still(target):
        return np.array(target.matrix_world.translation)[None]
    before, part = scene.frame_current, scene.frame_subframe
    found = []
    try:
        for frame in frames:
            whole = int(np.floor(frame))
            scene.frame_set(whole, subframe=float(frame - whole))
            found.append(tuple(target.evaluated_get(bpy.context.evaluated_depsgraph_get()).matrix_world.translation))
    finally:
        scene.frame_set(before, subframe=part)
    return np.array(found)


def _gaze(context: bpy.types.Context, character: Any, frames: np.ndarray) -> "Sampled | None":
    """The gaze's target in the performer's space, in the metres of the neutral body."""
    from .. import rig_reader
    from ..core.gaze_points import in_performers_space
    from ..core.retarget.align import anatomy
    from ..shared.face_settings import Sampled

    settings = of(character)
    scene: Any = context.scene
    target = scene.camera if settings.gaze == "CAMERA" else settings.target if settings.gaze == "TARGET" else None
    if target is None:
        return None
    mapping = cast.mapping_of(character)
    rig = rig_reader.read_rig(character)
    head = mapping.first("head")
    points = in_performers_space(_positions(scene, target, frames), np.array(character.matrix_world), anatomy(rig, mapping),
                                 rig.index[head] if head is not None else None)
    return Sampled(RATE, points)


def sampled(context: bpy.types.Context, character: Any, start: float, seconds: float, content: Any = None) -> "FaceSettings":
    """All of it for a request.

    :param start: frame at second 0; :param seconds: how long it is performed; :param content: bytes of the speech.
    """
    from ..shared.face_settings import FaceSettings

    rate = cast.fps(context.scene)
    settings = of(character)
    frames = start + np.arange(int(np.ceil(seconds * RATE)) + 1) * rate / RATE
    found = FaceSettings(_emotions(character, frames), _gaze(context, character, frames), settings.head_share,
                         **{name: getattr(settings, name) for name in _STRENGTHS}, lead=settings.lead,
                         language="" if settings.language == "unknown" else settings.language, route=settings.route)
    if character.understudy_face.words_for == signature(content, transcript_of(character)):
        found.words = words.as_speech(character, start, rate)
    return found


def draw(layout: Any, context: bpy.types.Context, character: Any) -> None:
    """The panel's content."""
    settings = of(character)
    column = layout.column()
    column.use_property_split = True
    column.prop(settings, "emotion")
    row = column.row()
    row.active = settings.emotion != "neutral" or _curve(character, "emotion") is not None
    row.prop(settings, "intensity", slider=True)
    column = layout.column()
    column.use_property_split = True
    column.use_property_decorate = False
    column.row().prop(settings, "gaze", expand=True)
    if settings.gaze == "TARGET":
        column.prop(settings, "target")
    if settings.gaze == "CAMERA" and context.scene.camera is None:
        column.label(text="The scene has no camera", icon="ERROR")
    if settings.gaze != "AHEAD":
        column.prop(settings, "head_share", slider=True)
    for name in _STRENGTHS:
        column.prop(settings, name, slider=True)
    column.prop(settings, "lead")
    session.ask_for_offers()
    column.prop(settings, "route")
    if session.link_state()[0] == "ready" and settings.route not in ("", "rules", *routes()):
        column.label(text="The bridge has no such route", icon="ERROR")


CLASSES = (FaceActing,)
