# SPDX-License-Identifier: GPL-3.0-or-later
"""Meshes whose landmarks are known beforehand: MakeHuman's base mesh (as MPFB makes it too) and our sample heads.

A mesh is recognised by its number of vertices and by the edges that meet in its landmarks: shapes differ from person to
person, these do not.
"""

from __future__ import annotations

import zlib
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from .meshes import get


@attrs.frozen
class Topology:
    """name: for the artist. counts: numbers of vertices that it comes with. edges: number of edges at the landmarks and
    the CRC-32 of their sorted vertex pairs. landmarks: 68 vertex ids.
    """

    name: str
    counts: tuple[int, ...]
    edges: tuple[int, int]
    landmarks: tuple[int, ...]


TOPOLOGIES = (
    Topology(
        "MakeHuman base mesh", (19158, 13380), (270, 1836808129),
        (5402, 868, 869, 5241, 893, 3697, 922, 5292, 5225, 11898, 7624, 10365, 7595, 11850, 7574, 7573, 12001, 207, 206,
         204, 205, 209, 6984, 6980, 6979, 6981, 6982, 133, 131, 201, 297, 358, 314, 343, 7077, 7119, 21, 0, 54, 67, 47,
         36, 6851, 6838, 6784, 6805, 6820, 6831, 425, 410, 450, 455, 7210, 7170, 7185, 7166, 7241, 492, 486, 406, 3733,
         470, 474, 7226, 10401, 7236, 493, 481),
    ),
    Topology(
        "sample head (MakeHuman)", (4448,), (270, 4055689926),
        (1863, 868, 869, 1702, 893, 1403, 922, 1753, 1686, 3904, 3100, 3567, 3071, 3856, 3050, 3049, 4007, 207, 206,
         204, 205, 209, 2460, 2456, 2455, 2457, 2458, 133, 131, 201, 297, 358, 314, 343, 2553, 2595, 21, 0, 54, 67, 47,
         36, 2327, 2314, 2260, 2281, 2296, 2307, 425, 410, 450, 455, 2686, 2646, 2661, 2642, 2717, 492, 486, 406, 1439,
         470, 474, 2702, 3603, 2712, 493, 481),
    ),
    Topology(
        "sample head", (10144,), (282, 3389458198),
        (2482, 3242, 3926, 4687, 5829, 6439, 6824, 6907, 6917, 6851, 6782, 6407, 5801, 4663, 3904, 3220, 2460, 1655,
         1431, 1434, 1437, 1593, 1525, 1377, 1380, 1383, 1615, 2129, 2813, 3269, 3649, 4175, 4255, 4181, 4183, 4111,
         2416, 2419, 2423, 2426, 8676, 8680, 2364, 2367, 2371, 2374, 8671, 8667, 5235, 4782, 4787, 4713, 4715, 4720,
         5179, 5708, 5704, 5701, 5774, 5770, 5236, 5241, 5169, 5173, 5178, 8696, 8692, 8688),
    ),
)  # fmt: skip


def recognise(data: Any) -> Topology | None:
    """What a mesh (bpy.types.Mesh) is, or None."""
    count = len(data.vertices)
    for topology in TOPOLOGIES:
        if count in topology.counts and edges_at(topology.landmarks, get(data.edges, "vertices", 2, np.int32)) == (
            topology.edges
        ):
            return topology
    return None


def may_be_known(data: Any) -> bool:
    """Whether `recognise` is worth asking; cheap enough for drawing."""
    return any(len(data.vertices) in topology.counts for topology in TOPOLOGIES)


def edges_at(landmarks: tuple[int, ...], edges: npt.NDArray[Any]) -> tuple[int, int]:  # (E, 2)
    """How many edges meet in these vertices, and the CRC-32 of their sorted pairs as little-endian int32."""
    pairs = np.sort(edges[np.isin(edges, landmarks).any(axis=1)].astype("<i4"), axis=1)
    pairs = pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]
    return len(pairs), zlib.crc32(pairs.tobytes())
