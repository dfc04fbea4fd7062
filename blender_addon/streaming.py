# SPDX-License-Identifier: GPL-3.0-or-later
"""Frames appear while the rest is still being made: in an action that goes away again when the take is there.

Retargeting runs on a thread, on plain data; only keys are written here, a few milliseconds at a time. The unfinished
action is marked and is never saved, and where an undo brings one back, it is put away.
"""

import logging
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import bpy
import numpy as np

from . import compat, faces, keys, takes, unfinished
from .core.channels import Channel
from .keyframes import MARKS_KEY, marks_for
from .shared.errors import UnderstudyError
from .shared.motion import Motion
from .staging import Performed, Setup, generator_facts

__all__ = ["Stream", "active"]

_log = logging.getLogger("understudy.streaming")

BUDGET_SECONDS = 0.008
PAUSE_SECONDS = 0.25

in_background = False
"""Whether frames are shown without a window as well; for tests."""


def active() -> bool:
    """Whether there is someone to see frames appear."""
    return in_background or not bpy.app.background


def _joined(parts: list[Motion]) -> Motion:
    result = parts[0]
    for part in parts[1:]:
        result = result.concatenate(part)
    return result


def _pack(motion: Motion, performed: Performed, character: int, start: float, actions: dict[int, int],
          slots: dict[int, str]) -> tuple[bytes, dict[int, bytes]]:
    """The bytes of the motion, and of the marks of each action; on the thread."""
    rows: dict[int, list[tuple[str, list[keys.CurveKeys]]]] = {uid: [] for uid in actions.values()}
    frames = (start + np.arange(len(performed.result))).astype(np.float32)
    for uid, channels in [(character, performed.body), *performed.faces]:
        if uid in actions:
            rows[actions[uid]].append((slots.get(uid, ""), keys.dense_keys(frames, channels)))
    return motion.to_bytes(compressed=False), {uid: marks_for(found) for uid, found in rows.items()}


class Stream(unfinished.Holder):
    """The unfinished action of one job.

    :param character: session uid of the armature; :param start: frame of the first sample.
    """

    def __init__(self, character: int, start: float) -> None:
        self.character, self.start = character, start
        self.shown_frames = 0
        self._setup: Setup | None = None
        self._pool = ThreadPoolExecutor(1, "understudy-stream")
        self._future: Future[Performed] | None = None
        self._asked = 0
        self._last = 0.0
        self._work: Iterator[None] | None = None
        self._actions: dict[int, int] = {}
        """Session uid of the animated data-block -> session uid of its unfinished action."""
        self._former: dict[int, tuple[int, str]] = {}
        self._remembered = False
        self._given_up = False
        self._final: Motion | None = None
        self._packing: Future[tuple[bytes, dict[int, bytes]]] | None = None
        self._performed: Performed | None = None
        unfinished.hold(self)

    def tick(self, character: Any, parts: list[Motion]) -> None:
        """Go on for at most :data:`BUDGET_SECONDS` on this thread."""
        if self._given_up:
            return
        try:
            self._advance(character, parts)
        except UnderstudyError as error:
            # what is wrong is told when the whole performance is put onto the rig
            _log.info("frames are not shown early: %s", error)
            self._given_up = True

    def finish(self, character: Any, motion: Motion, facts: dict[str, Any]) -> Any:
        """Call again and again with the whole result: its keys take the place of the early ones, a little at a time.

        :returns: the action of the take once it is there, before that None.
        :raises LookupError: where it must be done in another way, because the unfinished action is gone.
        """
        if self._final is None:
            self._final, self._asked, self._work, self._future, self._last = motion, 0, None, None, 0.0
            self._performed = None
        try:
            if self._packing is not None:
                if not self._packing.done():
                    return None
                return self._adopt(character, motion, facts, *self._packing.result())
            self._advance(character, [motion])
        except UnderstudyError as error:
            raise LookupError(str(error)) from error
        idle = self._work is None and self._future is None
        if not idle or self._asked < len(motion):
            return None
        if self.shown_frames < len(motion) or self._performed is None:
            raise LookupError("the unfinished action is gone")
        self._packing = self._pool.submit(_pack, motion, self._performed, self.character, self.start,
                                          dict(self._actions), self._slots())
        return None

    def _slots(self) -> dict[int, str]:
        blocks = (*bpy.data.objects, *bpy.data.shape_keys)
        return {compat.session_uid(b): compat.assigned_slot(b) for b in blocks if compat.session_uid(b) in self._actions}

    def _adopt(self, character: Any, motion: Motion, facts: dict[str, Any], content: bytes, noted: dict[int, bytes]) -> Any:
        """Make the unfinished action the take."""
        actions = {compat.session_uid(a): a for a in bpy.data.actions}
        if any(uid not in actions for uid in self._actions.values()):
            raise LookupError("the unfinished action is gone")
        settings = character.understudy
        own = actions[self._actions[self.character]]
        for uid in set(self._actions.values()):
            action = actions[uid]
            unfinished.finish(action)
            action.use_frame_range = True
            action.frame_start, action.frame_end = self.start, self.start + len(motion) - 1
            compat.store_bytes(action, MARKS_KEY, noted[uid])
        own.name = takes.name_of_next(character)
        for uid, action_uid in self._actions.items():
            if action_uid != self._actions[self.character] and (key := faces.key_of(uid)) is not None:
                actions[action_uid].name = f"{own.name} {key.name}"  # before 4.4 a face has an action of its own
        slots = self._slots()
        targets = [(key, compat.slot_of(actions[self._actions[uid]], slots.get(uid, "")))
                   for uid in self._actions if uid != self.character and (key := faces.key_of(uid)) is not None]
        if settings.own_stored:
            takes.remember_own_parts(character, self._formers())
        takes.add_take(character, compat.slot_of(own, slots.get(self.character, "")), targets, motion,
                       {**facts, **generator_facts(motion.metadata), **(self._setup.facts() if self._setup else {})}, content)
        takes.show(character, len(settings.takes) - 1)
        if not settings.seed_locked:
            settings.seed = (settings.seed + 1) % 2**31
        self._actions, self._former, self._remembered = {}, {}, False
        return own

    def _formers(self) -> list[tuple[Any, Any, str]]:
        """Shape key blocks with what was assigned to them before."""
        found = []
        for uid, (former_uid, slot) in self._former.items():
            if uid != self.character and (key := faces.key_of(uid)) is not None:
                former = next((a for a in bpy.data.actions if compat.session_uid(a) == former_uid), None)
                found.append((key, former, slot))
        return found

    def _advance(self, character: Any, parts: list[Motion]) -> None:
        if self._work is not None:
            until = time.perf_counter() + BUDGET_SECONDS
            for _ in self._work:
                if time.perf_counter() > until:
                    return
            self._work = None
            self._last = time.monotonic()
        elif self._future is not None:
            if self._future.done():
                performed, self._future = self._future.result(), None
                self._performed = performed
                self._work = self._write(character, performed)
        else:
            known = sum(len(p) for p in parts)
            pause = PAUSE_SECONDS if self._final is None else 0.0
            if known > self._asked and time.monotonic() - self._last >= pause:
                self._setup = self._setup or Setup.of(character)
                self._asked = known
                setup, so_far = self._setup, list(parts)
                self._future = self._pool.submit(lambda: setup.perform(_joined(so_far)))

    def _blocks(self, character: Any, performed: Performed) -> list[tuple[Any, str, list[Channel]]]:
        found = [(character, "OBJECT", performed.body)]
        return found + [(key, "KEY", channels) for uid, channels in performed.faces if (key := faces.key_of(uid)) is not None]

    def _begin(self, character: Any, performed: Performed) -> None:
        """Make the action and put it onto the rig."""
        blocks = self._blocks(character, performed)
        self._remembered = self._remembered or not character.understudy.own_stored
        takes.remember_own(character, [block for block, kind, _ in blocks if kind == "KEY"])
        action = compat.new_action(f"{character.name} performing")
        unfinished.start(action)
        for block, kind, _channels in blocks:
            data = block.animation_data
            former = data.action if data else None
            self._former[compat.session_uid(block)] = (compat.session_uid(former) if former else 0, compat.assigned_slot(block))
            target = compat.action_targets(action, block, kind)
            unfinished.start(target.action)
            self._actions[compat.session_uid(block)] = compat.session_uid(target.action)
            compat.assign_action(block, target.action, target.slot.identifier if target.slot else "")

    def _write(self, character: Any, performed: Performed) -> Iterator[None]:
        """Write all keys; pauses after every curve. Nothing of Blender's is kept over a pause."""
        if not self._actions:
            self._begin(character, performed)
            yield
        count = len(performed.result)
        frames = self.start + np.arange(count)
        for uid, channels in [(self.character, performed.body), *performed.faces]:
            n = 0
            while n < len(channels):
                curves = self._curves(uid)
                if curves is None:
                    return  # undone, or another file: the take comes at the end all the same
                until = time.perf_counter() + BUDGET_SECONDS / 2
                while n < len(channels) and time.perf_counter() < until:
                    keys.grow(curves, frames, channels[n])
                    n += 1
                yield
        self.shown_frames = count

    def _curves(self, uid: int) -> "keys.Curves | None":
        action = next((a for a in bpy.data.actions if compat.session_uid(a) == self._actions.get(uid)), None)
        block = next((b for b in (*bpy.data.objects, *bpy.data.shape_keys) if compat.session_uid(b) == uid), None)
        if action is None or block is None:
            return None
        return keys.Curves(compat.existing_target(action, compat.assigned_slot(block)))

    def withdraw(self) -> None:
        """Put back what was assigned before, and delete the unfinished action."""
        for uid, action_uid in self._actions.items():
            block = next((b for b in (*bpy.data.objects, *bpy.data.shape_keys) if compat.session_uid(b) == uid), None)
            data = block.animation_data if block is not None else None
            if block is None or data is None or data.action is None or compat.session_uid(data.action) != action_uid:
                continue  # the artist has assigned something else meanwhile
            former_uid, slot = self._former[uid]
            former = next((a for a in bpy.data.actions if compat.session_uid(a) == former_uid), None)
            compat.assign_action(block, former, slot)
        wanted = set(self._actions.values())
        for action in [a for a in bpy.data.actions if compat.session_uid(a) in wanted]:
            bpy.data.actions.remove(action)
        character = next((o for o in bpy.data.objects if compat.session_uid(o) == self.character), None)
        if self._remembered and character is not None:
            takes.forget_own(character)
        self._actions, self._former, self._remembered, self._work = {}, {}, False, None
        # what was shown is shown again with the next frames
        self._asked = self.shown_frames = 0
        self._packing = None

    def live(self) -> set[int]:
        """Session uids of the unfinished actions."""
        return set(self._actions.values())

    def before_save(self) -> None:
        """The frames go out of the file, and come back afterwards."""
        self.withdraw()

    def close(self) -> None:
        """Withdraw, and end the thread."""
        self.withdraw()
        self._pool.shutdown(wait=False, cancel_futures=True)
        unfinished.release(self)

