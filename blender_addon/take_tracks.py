# SPDX-License-Identifier: GPL-3.0-or-later
"""Takes on NLA tracks: one track for each, of which only the shown one is heard; the artist's own tracks stay as they are."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from . import compat

__all__ = ["laid", "lay", "lift", "only", "strips_of"]


def strips_of(block: Any, action: Any) -> list[tuple[Any, Any]]:
    """Tracks and strips that play an action on a data-block."""
    data = block.animation_data
    return [(track, strip) for track in data.nla_tracks for strip in track.strips if strip.action == action] if data else []


def laid(block: Any, action: Any) -> bool:
    """Whether a data-block has a strip of an action."""
    return bool(strips_of(block, action))


def lay(block: Any, action: Any, slot_identifier: str, name: str) -> None:
    """Put an action on a track of its own at the top, unless the data-block has a strip of it already."""
    if laid(block, action):
        return
    data = block.animation_data or block.animation_data_create()
    with _untweaked(block):
        track = data.nla_tracks.new()
        track.name = name
        first = float(action.frame_range[0])
        strip = track.strips.new(name, int(first), action)
    compat.set_strip_slot(strip, slot_identifier)
    # strips are made at whole frames; speech may begin between two
    strip.frame_start_ui = first
    strip.extrapolation, strip.blend_type = "HOLD", "REPLACE"


def lift(block: Any, actions: Iterable[Any]) -> None:
    """Take the strips of actions away, and tracks that are empty afterwards."""
    data = block.animation_data
    if data is None:
        return
    gone = list(actions)
    with _untweaked(block):
        for track in list(data.nla_tracks):
            mine = [strip for strip in track.strips if strip.action is not None and strip.action in gone]
            for strip in mine:
                track.strips.remove(strip)
            if mine and not len(track.strips):
                data.nla_tracks.remove(track)


def only(block: Any, shown: Any, known: Iterable[Any]) -> None:
    """Of the strips of ``known`` actions let those of one (or None) be heard.

    A track with nothing else on it is muted as a whole, as one sees it in the editor; beside an artist's own strips
    only the strip is.
    """
    data = block.animation_data
    if data is None:
        return
    known = [action for action in known if action is not None]
    with _untweaked(block):
        for track in data.nla_tracks:
            mine = [strip for strip in track.strips if strip.action in known]
            if not mine:
                continue
            wanted = any(strip.action == shown for strip in mine) if shown is not None else False
            for strip in mine:
                strip.mute = shown is None or strip.action != shown
            if len(mine) == len(track.strips):
                track.mute = not wanted


@contextmanager
def _untweaked(block: Any) -> Iterator[None]:
    """While a strip is being tweaked, Blender lets neither strips nor the action be changed."""
    data = block.animation_data
    if data is not None and data.use_tweak_mode:
        data.use_tweak_mode = False
    yield
