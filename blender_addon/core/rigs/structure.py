# SPDX-License-Identifier: GPL-3.0-or-later
"""A body found by the places of bones alone, for rigs whose names tell nothing.

Expected: a person who stands upright in the world at rest, left and right alike. Legs are the pair of mirrored branches that
reaches the floor, arms the pair above them that reaches out furthest; the trunk lies between; feet tell where front is.
"""

from __future__ import annotations

import numpy as np

from ..retarget.rig import RigRest

__all__ = ["by_structure"]

_UP = np.array([0.0, 0.0, 1.0])


class _Tree:
    """The rig's bones as a tree, in world axes, the height of the rig as unit."""

    def __init__(self, rest: RigRest) -> None:
        turn = rest.object_matrix[:3, :3]
        self.heads, self.tails = rest.heads @ turn.T, rest.tails @ turn.T
        everything = np.concatenate([self.heads, self.tails])
        self.height = max(float(np.ptp(everything[:, 2])), 1e-9)
        origin = np.array([0.0, 0.0, everything[:, 2].min()])
        self.heads, self.tails = (self.heads - origin) / self.height, (self.tails - origin) / self.height
        self.parents = [int(p) for p in rest.parents]
        self.children: list[list[int]] = [[] for _ in self.parents]
        for bone, parent in enumerate(self.parents):
            if parent >= 0:
                self.children[parent].append(bone)
        self.below: list[list[int]] = [[bone] for bone in range(len(self.parents))]
        for bone in range(len(self.parents) - 1, -1, -1):
            if self.parents[bone] >= 0:
                self.below[self.parents[bone]] += self.below[bone]
        self.reach = np.zeros(len(self.parents))
        for bone in range(len(self.parents) - 1, -1, -1):
            length = float(np.linalg.norm(self.tails[bone] - self.heads[bone]))
            beyond = [float(np.linalg.norm(self.heads[c] - self.heads[bone])) + self.reach[c] for c in self.children[bone]]
            self.reach[bone] = max([length, *beyond])

    def points(self, bone: int) -> np.ndarray:
        """(N, 3) all ends of the branch that starts with a bone."""
        return np.concatenate([self.heads[self.below[bone]], self.tails[self.below[bone]]])

    def longest(self, bone: int) -> list[int]:
        """The way along the longest branch, starting with ``bone``."""
        path = [bone]
        while self.children[path[-1]]:
            end = self.tails[path[-1]]
            # a child that continues its parent goes before one that stands aside (a heel, a twist bone)
            path.append(max(self.children[path[-1]],
                            key=lambda c: self.reach[c] * (1.6 if np.linalg.norm(self.heads[c] - end) < 0.004 else 1.0)))
        return path

    def up_to(self, bone: int) -> list[int]:
        """The bones from the root to ``bone``, both counted."""
        path = [bone]
        while self.parents[path[-1]] >= 0:
            path.append(self.parents[path[-1]])
        return path[::-1]


def _pairs(tree: _Tree, axis: int) -> list[tuple[int, int]]:
    """Pairs of mirrored branches that hang on the same bone, the first on the positive side of ``axis``."""
    result = []
    for siblings in tree.children:
        centres = {bone: tree.points(bone).mean(axis=0) for bone in siblings}
        for a in siblings:
            if centres[a][axis] < 0.02:
                continue
            mirrored = centres[a] * np.where(np.arange(3) == axis, -1.0, 1.0)
            near = [b for b in siblings if np.linalg.norm(centres[b] - mirrored) < 0.04]
            if near:
                result.append((a, min(near, key=lambda b, m=mirrored: float(np.linalg.norm(centres[b] - m)))))  # type: ignore[misc]
    return result


def _leg(tree: _Tree, start: int) -> dict[str, list[int]] | None:
    path = tree.longest(start)
    ends = [*tree.heads[path[1:]], tree.tails[path[-1]]]
    steep = [abs(e[2] - tree.heads[b][2]) > 0.6 * np.linalg.norm(e - tree.heads[b]) for b, e in zip(path, ends, strict=True)]
    first = steep.index(True) if True in steep else len(path)
    last = first
    while last < len(path) and steep[last]:
        last += 1
    column = path[first:last]
    if len(column) < 2:
        return None
    hip = tree.heads[column[0]][2]
    ankle = ends[last - 1][2]
    knee = min(range(1, len(column)), key=lambda i: abs(tree.heads[column[i]][2] - (hip + ankle) / 2))
    result = {"hip": column[:knee], "knee": column[knee:]}
    if last < len(path):
        result["ankle"] = [path[last]]
    if last + 1 < len(path):
        result["foot"] = [path[last + 1]]
    return result


_Split = tuple[float, tuple[list[int], list[int], list[int]] | None]


def _split_arm(tree: _Tree, bones: list[int], wrist: np.ndarray) -> _Split:
    """What speaks against it, and collarbone, upper arm, forearm: the split in which the two long segments are most alike."""
    best, found = np.inf, None
    for i in range(min(3, len(bones) - 1)):
        for j in range(i + 1, len(bones)):
            shoulder, elbow = tree.heads[bones[i]], tree.heads[bones[j]]
            upper, lower = np.linalg.norm(elbow - shoulder), np.linalg.norm(wrist - elbow)
            collar = np.linalg.norm(shoulder - tree.heads[bones[0]])
            if min(upper, lower) < 1e-6:
                continue
            cost = abs(np.log(upper / (1.1 * lower))) + 0.8 * abs(collar / (upper + lower) - (0.27 if i else 0.0)) - 0.15 * (i > 0)
            if cost < best:
                best, found = float(cost), (bones[:i], bones[i:j], bones[j:])
    return best, found


def _fingers(tree: _Tree, hand: int, wrist: np.ndarray) -> dict[str, list[int]]:
    """Finger slots of a hand, thumb first found by its place next to the wrist."""
    leaves = [b for b in tree.below[hand] if not tree.children[b] and b != hand]
    ways = [tree.up_to(leaf)[len(tree.up_to(hand)):] for leaf in leaves]
    shared = {b for b in tree.below[hand] if sum(b in way for way in ways) > 1}
    chains = [own for way in ways if len(own := [b for b in way if b not in shared]) >= 2]
    # four bones: one inside the palm before, or one that marks the tip behind; all fingers alike, so that the longest decides
    longest = max((float(np.linalg.norm(tree.tails[c[-1]] - wrist)) for c in chains), default=0.0)
    palms = sum(len(c) > 3 and float(np.linalg.norm(tree.heads[c[0]] - wrist)) < 0.35 * longest for c in chains)
    chains = [c[-3:] if palms >= 2 else c[:3] for c in chains]
    if len(chains) < 2:
        return {}
    along = np.mean([tree.heads[c[0]] for c in chains], axis=0) - wrist
    along /= max(np.linalg.norm(along), 1e-9)
    thumb = min(range(len(chains)), key=lambda i: float((tree.heads[chains[i][0]] - wrist) @ along))
    rest = [c for i, c in enumerate(chains) if i != thumb]
    result = dict(zip(("thumb1", "thumb2", "thumb3"), ([b] for b in chains[thumb]), strict=False))
    base = tree.heads[chains[thumb][0]]
    rest.sort(key=lambda c: float(np.linalg.norm(tree.heads[c[0]] - base)))
    for finger, chain in zip(("index", "middle", "ring", "pinky"), rest, strict=False):
        result |= dict(zip((f"{finger}{n}" for n in (1, 2, 3)), ([b] for b in chain), strict=False))
    return result


def _arm(tree: _Tree, start: int) -> dict[str, list[int]] | None:
    path = tree.longest(start)
    # the hand is where at least two branches of two or more bones begin
    many = [i for i, b in enumerate(path) if sum(len(tree.longest(c)) >= 2 for c in tree.children[b]) >= 2 and i >= 2]
    hands = many or range(2, len(path))
    # twist bones branch too, and hands may have no fingers: the wrist is where it leaves an upper arm and a forearm of a person
    splits = {hand: _split_arm(tree, path[:hand], tree.heads[path[hand]]) for hand in hands}
    hand = min(splits, key=lambda h: splits[h][0], default=None)
    if hand is None or (parts := splits[hand][1]) is None:
        return None
    wrist = tree.heads[path[hand]]
    result = {"collar": parts[0], "shoulder": parts[1], "elbow": parts[2], "wrist": [path[hand]]}
    return {**{k: v for k, v in result.items() if v}, **_fingers(tree, path[hand], wrist)}


def _head(tree: _Tree, chest: int, arms: tuple[int, int]) -> dict[str, list[int]]:
    options = [c for c in tree.children[chest] if c not in arms and abs(tree.heads[c][:2]).max() < 0.2]
    options = [c for c in options if tree.points(c)[:, 2].max() > tree.heads[chest][2]]
    if not options:
        return {}
    start = max(options, key=lambda c: tree.points(c)[:, 2].max())
    path = [start]
    while True:
        rising = [c for c in tree.children[path[-1]] if abs(tree.heads[c][0]) < 0.02
                  and tree.heads[c][2] > tree.heads[path[-1]][2] + 0.005]
        if len(tree.children[path[-1]]) != 1 or not rising:
            break
        path.append(rising[0])
    last, shoulders = path[-1], float(np.mean([tree.heads[arm][2] for arm in arms]))
    # a marker on top of the head is short, or higher above the shoulders than a head's joint can be
    if len(path) > 2 and not tree.children[last] and (
            tree.reach[last] < 0.3 * np.linalg.norm(tree.heads[last] - tree.heads[path[-2]]) or tree.heads[last][2] > 1.17 * shoulders):
        path.pop()
    return {"neck": path[:-1], "head": path[-1:]} if len(path) > 1 else {"head": path}


def by_structure(rest: RigRest) -> dict[str, tuple[str, ...]] | None:
    """Slots of a standing body, or None where no two legs and two arms can be told apart."""
    tree = _Tree(rest)
    for axis in (0, 1):
        pairs = _pairs(tree, axis)
        lowest = min((tree.points(bone)[:, 2].min() for pair in pairs for bone in pair), default=1.0)
        legs = [p for p in pairs if tree.points(p[0])[:, 2].min() < lowest + 0.06 and tree.reach[p[0]] > 0.3]
        if not legs:
            continue
        leg = min(legs, key=lambda p: len(tree.up_to(p[0])))
        arms = [p for p in pairs if p != leg and not set(p) & set(tree.below[leg[0]] + tree.below[leg[1]])
                and tree.reach[p[0]] > 0.2 and tree.points(p[0])[:, 2].max() > tree.heads[leg[0]][2]]
        if not arms:
            continue
        arm = max(arms, key=lambda p: float(np.abs(tree.points(p[0])[:, axis]).max()))
        # legs may hang on a pelvis beside the spine: the hips are what carries both
        carriers = [b for b in tree.up_to(leg[0]) if b in tree.up_to(arm[0])]
        if not carriers or tree.heads[carriers[-1]][2] < 0.3:
            continue
        hips = carriers[-1]
        parts = [(_leg(tree, leg[i]), _arm(tree, arm[i])) for i in (0, 1)]
        if any(part is None for pair in parts for part in pair):
            continue
        chest = tree.parents[arm[0]]
        trunk = tree.up_to(chest)
        slots: dict[str, list[int]] = {"pelvis": [hips], "spine": trunk[trunk.index(hips) + 1 :], **_head(tree, chest, arm)}
        above = tree.up_to(hips)[:-1]
        if above and tree.heads[above[0]][2] < 0.1:
            slots["root"] = [above[0]]
        foot = parts[0][0].get("ankle")  # type: ignore[union-attr]
        ahead = np.array([0.0, -1.0, 0.0])
        if foot:
            end = tree.points(foot[0])
            ahead = (end[np.argmax(np.linalg.norm((end - tree.heads[foot[0]])[:, :2], axis=1))] - tree.heads[foot[0]]) * [1, 1, 0]
        positive_is_left = np.cross(_UP, ahead)[axis] >= 0
        for i, side in enumerate(("left", "right") if positive_is_left else ("right", "left")):
            for part in parts[i]:
                slots |= {f"{side}_{name}": bones for name, bones in part.items()}  # type: ignore[union-attr]
        return {slot: tuple(rest.names[b] for b in bones) for slot, bones in slots.items() if bones}
    return None
