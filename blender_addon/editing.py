# SPDX-License-Identifier: GPL-3.0-or-later
"""Asking for some of a take to be made anew, or for the way between two poses: what is sent, and what of the take is new then."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import bpy
import numpy as np

from . import cast, compat, jobs, locks, pose_reader, session, splice, takes, terms
from .core.desk import Job
from .shared.edits import Edit, Lock, Range
from .shared.errors import UnderstudyError
from .shared.motion import Motion
from .shared.requests import MotionRequest
from .shared.timeline import Direction

__all__ = ["JOIN_SECONDS", "begin_between", "begin_edit", "neighbours"]

JOIN_SECONDS = 0.3
"""Of a take that is lengthened, how much of its end is made anew."""
_NO_POSES = UnderstudyError("request_invalid", "There are no two key poses around the current frame.",
                            "Key a pose before and a pose after it, or set a preview range from pose to pose (P).")


def begin_edit(context: bpy.types.Context, character: Any, ranges: Sequence[Range], *, loop: bool = False,
               duration: float | None = None, kind: str = "perform", seeds: Sequence[int] = ()) -> Job:
    """Ask for some of the shown take to be made anew.

    :param ranges: seconds from the take's start, and parts; :param loop: make the end flow into the beginning.
    :param duration: seconds of the result, where it is to be longer than the take.
    :param kind: of :data:`.shared.edits.KINDS`; for ``between`` the poses around the ranges are those on the rig.
    :param seeds: perform with the first of these, and afterwards with the others, each time from the same take.
    :raises UnderstudyError: for anything that is wrong before the bridge is asked.
    """
    character = jobs.ready(context, character)
    jobs.check_character(character)
    take = takes.current(character)
    base = takes.motion_of(take.action if take else None)
    known = takes.facts_of(take.action)
    start = float(known.get("start_frame", take.action.frame_start))
    request = jobs.build_request(context, character, start, bare=kind == "between" or loop)
    request.seed = seeds[0] if seeds else request.seed
    if base.fps != request.fps:
        base = base.resample(request.fps)
    request.duration = max(duration or 0.0, base.duration)
    request.directions = _clipped(request.directions, request.duration)
    settings = character.understudy
    held = _locks(character, take, base, start, ranges) if settings.keep_hand_set else []
    posed = {round(lock.time * base.fps) for lock in held}
    if kind == "between":
        posed |= {n for r in ranges for n in (round(r.start * base.fps) - 1, round(r.end * base.fps)) if 0 <= n < len(base)}
    request.edit = Edit(_with_poses(character, take, base, start, sorted(posed)), list(ranges), held, loop, kind)
    request.edit.check()
    session.tell(character, None)
    # a loop that is lengthened is none any more
    looping = loop or bool(known.get("loop")) and request.duration <= base.duration
    facts = {**jobs.request_facts(character, request, start), "base": take.action.name, "loop": looping,
             "ranges": [[r.start, r.end, r.part] for r in ranges]}
    owner = jobs.Performance(compat.session_uid(character), start, facts, stretches=_stretches(base, request, ranges, loop),
                             base_uid=compat.session_uid(take.action), keep_hand_set=settings.keep_hand_set,
                             following=tuple(seeds[1:]), bases=tuple(terms.makers(known)), request=request)
    return jobs.submit(request, owner)


def begin_between(context: bpy.types.Context, character: Any, first: int, last: int, *, seeds: Sequence[int] = ()) -> Job:
    """Ask for the way from the pose of one frame of the artist's own action to that of another, as a new take over both.

    :param seeds: as of :func:`begin_edit`.
    :raises UnderstudyError: for anything that is wrong before the bridge is asked.
    """
    character = jobs.ready(context, character)
    request = jobs.build_request(context, character, first, bare=True)
    request.seed = seeds[0] if seeds else request.seed
    action, slot = character.animation_data.action, compat.assigned_slot(character)
    poses = pose_reader.read_poses(character, action, slot, [first, last], Motion.rest(2, request.fps))
    request.edit = Edit.between(poses.slice(0, 1), poses.slice(1, 2), (last - first) / request.fps)
    request.duration = request.edit.base.duration
    request.directions = _clipped(request.directions, request.duration)
    request.audio, request.audio_name = None, ""
    session.tell(character, None)
    owner = jobs.Performance(
        compat.session_uid(character), float(first), jobs.request_facts(character, request, float(first)), following=tuple(seeds[1:]),
        request=request)
    return jobs.submit(request, owner)


def neighbours(context: bpy.types.Context, character: Any) -> tuple[int, int]:
    """The frames of the two key poses that an in-between is wanted for: the preview range's ends, else those around the
    current frame. :raises UnderstudyError: ``request_invalid`` where there are none."""
    scene: Any = context.scene
    if scene.use_preview_range:
        return int(scene.frame_preview_start), int(scene.frame_preview_end)
    take = takes.current(character)
    if take is not None:
        frames = [n for locked in locks.of(character, fresh=True) if locked.part != "face" for n in range(locked.first, locked.last + 1)]
    else:
        data = character.animation_data
        frames = pose_reader.key_frames(data.action, compat.assigned_slot(character)) if data and data.action else []
    now = scene.frame_current
    before, after = [n for n in frames if n <= now], [n for n in frames if n > now]
    if not before or not after:
        raise _NO_POSES
    return max(before), min(after)


def _with_poses(character: Any, take: Any, base: Motion, start: float, samples: Sequence[int]) -> Motion:
    """The base with the poses that are on the rig at some samples, so that the generator knows what the artist has set."""
    if not samples:
        return base
    own = pose_reader.read_poses(character, take.action, take.slot, [start + n for n in samples], base.take(np.array(samples)))
    result = base.slice(0, len(base))
    result.rotations, result.translation = base.rotations.copy(), base.translation.copy()
    result.rotations[samples], result.translation[samples] = own.rotations, own.translation
    return result


def _clipped(asked: list[Direction], seconds: float) -> list[Direction]:
    """Directions as far as they lie inside the take."""
    return [replace(d, end=min(d.end, seconds)) for d in asked if d.start < seconds]


def _stretches(base: Motion, request: MotionRequest, ranges: Sequence[Range], loop: bool) -> tuple[splice.Stretch, ...]:
    """What the bridge will make anew, in samples; as :class:`.shared.edits.Edit` says."""
    rate = base.fps
    frames = max(len(base), round((request.duration or 0.0) * rate))
    found = [splice.Stretch(max(0, round(r.start * rate)), min(round(r.end * rate), len(base)), r.part) for r in ranges]
    if frames > len(base):
        found.append(splice.Stretch(max(0, round((base.duration - JOIN_SECONDS) * rate)), frames))
    if loop:
        seconds = frames / rate
        found.append(splice.Stretch(max(0, round((seconds - min(1.5, 0.4 * seconds)) * rate)), frames))
    return tuple(found)


def _locks(character: Any, take: Any, base: Motion, start: float, ranges: Sequence[Range]) -> list[Lock]:
    """Hand-set poses inside the ranges, each for the smallest body part that holds its bones."""
    bones = splice.joints_of_bones(cast.mapping_of(character))
    frames: dict[int, set[int]] = {}
    for path, found in splice.locked_frames(take.action, take.slot).items():
        bone = path.split('"')[1] if path.startswith("pose.bones") else ""
        for frame in found:
            frames.setdefault(round(frame - start), set()).update(bones.get(bone, ()))
    result = []
    for n, joints in sorted(frames.items()):
        inside = any(round(r.start * base.fps) <= n < round(r.end * base.fps) for r in ranges)
        if inside and joints and 0 <= n < len(base):
            result.append(Lock(n / base.fps, locks.part_of(joints)))
    return result
