# SPDX-License-Identifier: Apache-2.0
"""An SMPL-X model file in the published layout, with numbers of our own."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from shared.skeleton import JOINT_COUNT, PARENTS, rest_positions

VERTICES, FACES = 10475, 20908
ORIGIN = np.array([0.0, 1.25, 0.0])
"""The published models have their origin in the trunk, not on the floor."""


def write_model(path: Path, columns: int = 20, seed: int = 0) -> Path:
    """A cloud of vertices about our skeleton's joints.

    :param columns: of ``shapedirs``: 20 in the older files (10 shape, 10 expression), 400 in the newer (300 and 100).
    """
    g = np.random.default_rng(seed)
    rest = rest_positions() - ORIGIN
    owner = np.arange(VERTICES) % JOINT_COUNT
    vertices = rest[owner] + g.normal(0, 0.03, (VERTICES, 3))
    regressor = np.zeros((JOINT_COUNT, VERTICES), np.float32)
    for j in range(JOINT_COUNT):
        mine = np.flatnonzero(owner == j)
        regressor[j, mine] = 1 / len(mine)
        vertices[mine] += rest[j] - vertices[mine].mean(0)
    weights = np.zeros((VERTICES, JOINT_COUNT), np.float32)
    weights[np.arange(VERTICES), owner] = 0.7
    above = np.array([max(PARENTS[j], 0) for j in owner])
    np.add.at(weights, (np.arange(VERTICES), above), 0.3)
    directions = np.zeros((VERTICES, 3, columns), np.float32)
    shape, face = (300, 100) if columns == 400 else (10, 10)
    directions[..., 0] = 0.06 * vertices                       # taller
    directions[..., 1:4] = g.normal(0, 0.01, (VERTICES, 3, 3))
    head = np.flatnonzero(np.isin(owner, (15, 22, 23, 24)))
    directions[head, :, shape:shape + 3] = g.normal(0, 0.01, (len(head), 3, 3)) + 0.004
    assert shape + face == columns
    pose = np.zeros((VERTICES, 3, 486), np.float32)
    pose[:, :, ::60] = g.normal(0, 0.002, (VERTICES, 3, 9))
    faces = g.integers(0, VERTICES, (FACES, 3)).astype(np.uint32)
    np.savez_compressed(
        path, v_template=vertices.astype(np.float32), f=faces, shapedirs=directions, posedirs=pose, J_regressor=regressor,
        kintree_table=np.array([[4294967295, *PARENTS[1:]], range(JOINT_COUNT)], dtype=np.uint32), weights=weights,
        hands_meanl=g.normal(0, 0.3, 45), hands_meanr=g.normal(0, 0.3, 45),
        hands_componentsl=np.eye(45), hands_componentsr=np.eye(45),
        lmk_faces_idx=np.arange(51), lmk_bary_coords=np.full((51, 3), 1 / 3), dynamic_lmk_faces_idx=np.zeros((79, 17), int),
        dynamic_lmk_bary_coords=np.full((79, 17, 3), 1 / 3))
    return path
