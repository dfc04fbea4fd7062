# SPDX-License-Identifier: GPL-3.0-or-later
"""The words of a speech as they are kept with the character, and as a list beside the lane."""

import hashlib
import uuid
from typing import TYPE_CHECKING, Any

import bpy
from bpy.props import BoolProperty, EnumProperty, FloatProperty, IntProperty, StringProperty

from .. import cast, takes

if TYPE_CHECKING:
    from ..core.words_lane import LaneWord
    from ..shared.motion import Motion
    from ..shared.speech import Word

__all__ = [
    "CLASSES", "WordItem", "after_take", "as_speech", "fill", "lane_mark", "lane_words", "lay", "selected", "shortest", "stale_range",
    "take_start",
]

NO_WORDS = "There are no words yet: press Find Words, or Perform"


def _refresh(self: Any, context: bpy.types.Context) -> None:
    for area in context.screen.areas if context.screen else ():
        if area.type in ("DOPESHEET_EDITOR", "VIEW_3D"):
            area.tag_redraw()


def _retyped(self: Any, context: bpy.types.Context) -> None:
    """Another text has other sounds; they are found when the face is performed again."""
    self.phones = ""
    _refresh(self, context)


class WordItem(bpy.types.PropertyGroup):
    """One word; times are frames of the scene."""

    uuid: StringProperty(options={"HIDDEN"})
    text: StringProperty(name="Word", description="What is said; another word gets its sounds from its spelling", update=_retyped)
    start: FloatProperty(name="Start", description="Frame where the word begins", precision=1, step=20, update=_refresh)
    end: FloatProperty(name="End", description="Frame where the word ends", precision=1, step=20, update=_refresh)
    phones: StringProperty(options={"HIDDEN"}, description="Sounds as parts of the word's length")
    selected: BoolProperty(name="Selected", update=_refresh)


def lane_words(character: Any) -> "list[LaneWord]":
    """The character's words as the lane takes them."""
    from ..core.words_lane import LaneWord, unpack

    return [LaneWord(w.uuid, w.start, w.end, w.text, unpack(w.phones), w.selected) for w in character.understudy_face.words]


def lay(character: Any, words: "list[LaneWord]") -> None:
    """Put words in the place of all of the character's; what is selected and active stays so."""
    from ..core.words_lane import pack

    items = character.understudy_face.words
    active = character.understudy_face.word_index
    if [w.uuid for w in words] != [i.uuid for i in items]:
        items.clear()
        for _ in words:
            items.add()
    for item, word in zip(items, words, strict=True):
        item.uuid = item.name = word.uuid or uuid.uuid4().hex
        if item.text != word.text:
            item.text = word.text
        item.start, item.end, item.selected = word.start, word.end, word.selected
        item.phones = pack(word.phones)
    character.understudy_face.word_index = max(0, min(active, len(items) - 1))


def fill(character: Any, words: "list[Word]", origin: float, fps: float) -> None:
    """Take over what was heard in the speech."""
    from ..core.words_lane import from_speech

    lay(character, from_speech(words, origin, fps, lambda: uuid.uuid4().hex))


def as_speech(character: Any, origin: float, fps: float) -> "list[Word] | None":
    """The character's words in seconds, or None where it has none."""
    from ..core.words_lane import to_speech
    from ..shared.speech import clip

    return clip(to_speech(lane_words(character), origin, fps)) if len(character.understudy_face.words) else None


_performed: "dict[str, list[Word]]" = {}
"""Words of the take that was looked at last: its motion is large, and the lane asks at every redraw."""


def performed(action: Any) -> "list[Word]":
    """The words that a take's face follows."""
    from ..shared.errors import UnderstudyError
    from ..shared.speech import from_json

    content = action.get(takes.MOTION_KEY)
    name = hashlib.sha1(content, usedforsecurity=False).hexdigest() if isinstance(content, bytes) else ""
    if name not in _performed:
        try:
            found = from_json(takes.motion_of(action).metadata.get("words", []))
        except UnderstudyError:
            found = []
        _performed.clear()
        _performed[name] = found
    return _performed[name]


def take_start(character: Any) -> float:
    """Frame of the shown take's first sample."""
    take = takes.current(character)
    return float(takes.facts_of(take.action).get("start_frame", take.action.frame_start))


def stale_range(context: bpy.types.Context, character: Any) -> tuple[float, float] | None:
    """Seconds of the shown take whose face does not follow the words as they are now; None where all of it does."""
    from ..shared.speech import changed_range

    take = takes.current(character)
    if take is None or take.action is None or not len(character.understudy_face.words):
        return None
    start = take_start(character)
    now = as_speech(character, start, cast.fps(context.scene)) or []
    return changed_range(_rounded(performed(take.action)), _rounded(now), MARGIN)


MARGIN = 0.35
"""Seconds around a changed word in which its neighbours' sounds are shaped by it."""


def _rounded(words: "list[Word]") -> "list[Word]":
    """Times to a millisecond: a float property holds no more of them."""
    from ..shared.speech import Phone, Word

    return [Word(round(w.start, 3), round(w.end, 3), w.text, tuple(Phone(round(p.start, 2), round(p.end, 2), p.name) for p in w.phones))
            for w in words]


def lane_mark(character: Any) -> str:
    """Names the words as they are now."""
    rows = [(w.uuid, round(w.start, 3), round(w.end, 3), w.text, w.phones) for w in character.understudy_face.words]
    return hashlib.sha1(repr(rows).encode(), usedforsecurity=False).hexdigest()[:16]


def after_take(character: Any, motion: "Motion", start: float, facts: dict[str, Any]) -> None:
    """Take over the words that a performance followed, unless they were edited while it was made."""
    from ..shared.errors import UnderstudyError
    from ..shared.speech import from_json

    if "words" not in motion.metadata or facts.get("lane") != lane_mark(character):
        return
    try:
        found = from_json(motion.metadata["words"])
    except UnderstudyError:
        return
    fill(character, found, start, cast.fps(bpy.context.scene))
    settings = character.understudy_face
    if settings.words_for != str(facts.get("speech", "")):
        settings.heard_note = ""  # it was about another speech or transcript; what is to be said about this one is with the take
    settings.words_for = str(facts.get("speech", ""))


def selected(settings: Any) -> list[Any]:
    """The selected words, or the active one where none is selected."""
    found = [w for w in settings.words if w.selected]
    if not found and 0 <= settings.word_index < len(settings.words):
        found = [settings.words[settings.word_index]]
    return found


def shortest(context: bpy.types.Context) -> float:
    """Frames that a word keeps."""
    from ..shared.speech import MIN_WORD

    return max(1.0, MIN_WORD * cast.fps(context.scene))


class _OnWords:
    needs_words = True

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Whether there is a character with words."""
        character = cast.active(context)
        if character is None:
            cls.poll_message_set(cast.NO_CHARACTER)  # type: ignore[attr-defined]
            return False
        if cls.needs_words and not len(character.understudy_face.words):
            cls.poll_message_set(NO_WORDS)  # type: ignore[attr-defined]
            return False
        return True


class UNDERSTUDY_OT_word_edit(_OnWords, bpy.types.Operator):
    """Replace the word, or give it other times"""

    bl_idname = "understudy.word_edit"
    bl_label = "Edit Word"
    bl_options = {"REGISTER", "UNDO"}

    identity: StringProperty(options={"HIDDEN", "SKIP_SAVE"})
    text: StringProperty(name="Word")
    start: FloatProperty(name="Start", precision=1)
    end: FloatProperty(name="End", precision=1)

    def _item(self, context: bpy.types.Context) -> Any:
        settings = cast.active(context).understudy_face
        if self.identity:
            return next((w for w in settings.words if w.uuid == self.identity), None)
        return settings.words[settings.word_index] if settings.word_index < len(settings.words) else None

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> Any:
        """Open the dialog with what the word is now."""
        item = self._item(context)
        if item is None:
            return {"CANCELLED"}
        self.identity, self.text, self.start, self.end = item.uuid, item.text, item.start, item.end
        return context.window_manager.invoke_props_dialog(self, width=300)

    def draw(self, context: bpy.types.Context) -> None:
        """The dialog."""
        layout: Any = self.layout
        layout.activate_init = True
        layout.prop(self, "text")
        row = layout.row(align=True)
        row.prop(self, "start")
        row.prop(self, "end")

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Write it; edges stop at the neighbours."""
        from ..core.words_lane import drag

        character, item = cast.active(context), self._item(context)
        if item is None:
            self.report({"ERROR"}, "This word is gone")
            return {"CANCELLED"}
        identity, room, given = item.uuid, shortest(context), self.properties.is_property_set
        if given("text") and self.text != item.text:
            item.text = self.text
        if given("start") and given("end") and self.end < self.start + room:
            self.report({"ERROR"}, f"A word lasts at least {room:.1f} frames")
            return {"CANCELLED"}
        words = lane_words(character)
        # the edge that moves away first makes room for the other
        order = ("end", "start") if given("end") and self.end > item.end else ("start", "end")
        for zone in order:
            if given(zone):
                now = next(w for w in words if w.uuid == identity)
                words = drag(words, zone, identity, getattr(self, zone) - getattr(now, zone), shortest=room, alone=True,
                             first=cast.origin(context, character))
        lay(character, words)
        return {"FINISHED"}


WORD_ACTIONS = [
    ("ADD", "Add", "Add a word at the current frame"),
    ("SPLIT", "Split", "Cut the selected words at the current frame"),
    ("MERGE", "Join", "Make one word of the selected ones"),
    ("DELETE", "Delete", "Delete the selected words: nothing is said there"),
    ("SELECT_ALL", "Select All", "Select all words, or none where all are"),
    ("CLEAR", "Forget Words", "Forget all words; the next performance finds them in the speech"),
    ("RESET", "As Performed", "Take back all changes since the shown take was performed"),
]


class UNDERSTUDY_OT_words(_OnWords, bpy.types.Operator):
    """Work on the words"""

    bl_idname = "understudy.words"
    bl_label = "Words"
    bl_options = {"UNDO"}
    needs_words = False

    action: EnumProperty(name="Action", items=WORD_ACTIONS)
    here_only: BoolProperty(options={"HIDDEN", "SKIP_SAVE"}, description="Only with the mouse on the lane")
    frame: IntProperty(name="Frame", default=-1, options={"SKIP_SAVE"}, description="To split or add at; -1: the current one")
    text: StringProperty(name="Word", options={"SKIP_SAVE"}, description="Of a word that is added")

    @classmethod
    def description(cls, context: bpy.types.Context, properties: Any) -> str:
        """The tooltip of the action."""
        return next((text for key, _, text in WORD_ACTIONS if key == properties.action), "")

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        """From a key: only where the mouse is on the lane."""
        if self.here_only:
            from . import lane

            shown = lane.lane_of(context)
            if shown is None or not shown.contains(event.mouse_region_y):
                return {"PASS_THROUGH"}
        return self.execute(context)

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Do it."""
        character = cast.active(context)
        settings = character.understudy_face
        frame = float(context.scene.frame_current if self.frame < 0 else self.frame)
        chosen = [w.uuid for w in selected(settings)]
        done = {"ADD": lambda: self._add(context, character, frame), "SPLIT": lambda: self._split(context, character, frame, chosen),
                "MERGE": lambda: self._merge(character, chosen), "DELETE": lambda: self._delete(character, chosen),
                "SELECT_ALL": lambda: self._select(settings), "CLEAR": lambda: self._clear(settings),
                "RESET": lambda: self._reset(context, character)}[self.action]()
        if not done:
            return {"CANCELLED"}
        _refresh(None, context)
        return {"FINISHED"}

    def _add(self, context: bpy.types.Context, character: Any, frame: float) -> bool:
        from ..core.words_lane import LaneWord

        words = lane_words(character)
        end = frame + round(0.3 * cast.fps(context.scene))
        end = min([end, *(w.start for w in words if w.start > frame)])
        if any(w.start <= frame < w.end for w in words) or end - frame < shortest(context):
            self.report({"INFO"}, f"There is a word at frame {frame:.0f} already")
            return False
        made = LaneWord(uuid.uuid4().hex, frame, end, self.text or "word")
        lay(character, sorted([*words, made], key=lambda w: w.start))
        character.understudy_face.word_index = next(n for n, w in enumerate(character.understudy_face.words) if w.uuid == made.uuid)
        return True

    def _split(self, context: bpy.types.Context, character: Any, frame: float, chosen: list[str]) -> bool:
        from dataclasses import replace

        from ..core.words_lane import split

        out, cut = [], False
        for word in lane_words(character):
            halves = split(word, frame, shortest(context)) if word.uuid in chosen else None
            cut = cut or halves is not None
            out += [halves[0], replace(halves[1], uuid=uuid.uuid4().hex)] if halves else [word]
        if not cut:
            self.report({"INFO"}, f"No selected word can be cut at frame {frame:.0f}")
            return False
        lay(character, out)
        return True

    def _merge(self, character: Any, chosen: list[str]) -> bool:
        from ..core.words_lane import merge

        words = lane_words(character)
        inside = [n for n, w in enumerate(words) if w.uuid in chosen]
        if len(inside) < 2:
            self.report({"INFO"}, "Select two or more words to join them")
            return False
        first, last = inside[0], inside[-1]
        lay(character, [*words[:first], merge(words[first:last + 1]), *words[last + 1:]])
        return True

    def _delete(self, character: Any, chosen: list[str]) -> bool:
        if not chosen:
            return False
        lay(character, [w for w in lane_words(character) if w.uuid not in chosen])
        return True

    def _select(self, settings: Any) -> bool:
        everything = all(w.selected for w in settings.words)
        for item in settings.words:
            item.selected = not everything
        return True

    def _clear(self, settings: Any) -> bool:
        settings.words.clear()
        settings.word_index, settings.heard_note = 0, ""
        return True

    def _reset(self, context: bpy.types.Context, character: Any) -> bool:
        take = takes.current(character)
        if take is None or take.action is None:
            self.report({"INFO"}, "No take is shown")
            return False
        fill(character, performed(take.action), take_start(character), cast.fps(context.scene))
        return True


CLASSES = (WordItem, UNDERSTUDY_OT_word_edit, UNDERSTUDY_OT_words)
