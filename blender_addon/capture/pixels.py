# SPDX-License-Identifier: GPL-3.0-or-later
"""Which triangle each pixel's centre shows, and the coverage of objects: exact UVs and antialiased masks. No bpy.

Cycles' own UV pass is a mean over jittered samples, worthless at UV seams. Its depth is one ray through the pixel's
centre, so the triangle that was hit is the one whose depth there agrees: also behind transparent lashes or corneas.
"""

from __future__ import annotations

from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from .._interchange import cameras, mesh

Array = npt.NDArray[Any]

TOLERANCE = 1e-3
"""Largest difference of depth, relative, between a triangle and what Cycles saw at the pixel."""


@attrs.frozen(eq=False)
class Hits:
    """face (H, W) int32, -1 where no triangle fits; weights (H, W, 3) perspective-correct barycentrics."""

    face: Array
    weights: Array

    def interpolate(self, corner_values: Array) -> Array:  # (F, 3, C) or (F, 3) -> (H, W, C) or (H, W)
        """Values at the pixels, 0 where nothing was hit."""
        flat = corner_values[np.maximum(self.face, 0)]  # (H, W, 3[, C])
        weights = np.where(self.face[..., None] >= 0, self.weights, 0)
        return np.einsum("hwk,hwk...->hw...", weights, flat).astype(np.float32)


def find_hits(
    camera: cameras.Camera, vertices: Array, faces: Array, depth: Array, tolerance: float = TOLERANCE
) -> Hits:
    """Match triangles (F, 3) of world vertices (V, 3) with a rendered planar depth (H, W), 0 = nothing.

    Each triangle is tried at the pixel centres in its bounding box; of those that contain the centre the one nearest in
    depth to the render wins. Triangles that reach behind the camera are left out. tolerance: relative, of the depth.
    """
    height, width = depth.shape
    uv, z = camera.project(vertices)
    pixel, owner = _candidates(uv, z, faces, width, height)
    # one corner after the other: numpy is slow along an axis of three
    own = [faces[owner, k] for k in range(3)]
    x, y = pixel % width + 0.5, pixel // width + 0.5
    edge = [(uv[corner, 0] - x, uv[corner, 1] - y) for corner in own]
    area = [_cross(edge[(k + 1) % 3], edge[(k + 2) % 3]) for k in range(3)]
    total = area[0] + area[1] + area[2]
    with np.errstate(divide="ignore", invalid="ignore"):
        flat = [part / total for part in area]
        inside = (flat[0] >= -1e-6) & (flat[1] >= -1e-6) & (flat[2] >= -1e-6) & (np.abs(total) > 1e-12)
        over_depth = [part / z[corner] for part, corner in zip(flat, own, strict=True)]
        hit_depth = 1 / (over_depth[0] + over_depth[1] + over_depth[2])
    seen = depth.ravel()[pixel]
    error = np.abs(hit_depth - seen)
    keep = np.flatnonzero(inside & (seen > 0) & (error < tolerance * seen))
    keep = keep[np.argsort(-error[keep], kind="stable")]  # the best is written last and stays
    face = np.full(height * width, -1, np.int32)
    weights = np.zeros((height * width, 3))
    face[pixel[keep]] = owner[keep]
    weights[pixel[keep]] = np.stack([part[keep] * hit_depth[keep] for part in over_depth], axis=1)
    return Hits(face.reshape(height, width), weights.reshape(height, width, 3))


def _cross(a: tuple[Array, Array], b: tuple[Array, Array]) -> Array:
    return a[0] * b[1] - a[1] * b[0]


def _candidates(uv: Array, z: Array, faces: Array, width: int, height: int) -> tuple[Array, Array]:
    """Pairs (pixel, face) of pixel centres in the faces' bounding boxes."""
    a, b, c = (uv[faces[:, k]] for k in range(3))
    low: Array = np.ceil(np.minimum(np.minimum(a, b), c) - 0.5 - 1e-6)
    high: Array = np.floor(np.maximum(np.maximum(a, b), c) - 0.5 + 1e-6)
    behind = z <= 1e-6
    front: Array = ~(behind[faces[:, 0]] | behind[faces[:, 1]] | behind[faces[:, 2]])[:, None]
    limit = np.array([width, height], np.int64)
    low = np.minimum(np.maximum(np.where(front, low, 0), 0), limit).astype(np.int64)
    high = np.minimum(np.maximum(np.where(front, high, -1), -1), limit - 1).astype(np.int64)
    span = np.maximum(high - low + 1, 0)
    count = span[:, 0] * span[:, 1]
    owner = np.repeat(np.arange(len(faces)), count)
    step = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    columns = span[owner, 0]
    x, y = low[owner, 0] + step % columns, low[owner, 1] + step // columns
    return y * width + x, owner


def view_masks(
    coverage: list[Array],  # (H, W) per object of the mesh
    parts: list[str],
    hits: Hits,
    captured: mesh.Mesh,
) -> dict[str, Array]:
    """mask.face, .skin, .eye, .hair (H, W): antialiased coverage 0..1.

    The face is the head's coverage times the soft region; where the head covers a part of a pixel but not its centre,
    the region is taken from neighbours.
    """
    by_part = {part: np.zeros_like(coverage[0]) for part in ("head", "eyes", "hair")}
    for part, picture in zip(parts, coverage, strict=True):
        if part in by_part:
            by_part[part] = by_part[part] + picture
    on_head = (hits.face >= 0) & (captured.face_object[np.maximum(hits.face, 0)] == 0)
    soft = hits.interpolate(captured.region_face[captured.faces])
    soft = _spread(np.where(on_head, soft, 0), on_head, by_part["head"] > 0)
    masks = {"face": by_part["head"] * soft, "skin": by_part["head"], "eye": by_part["eyes"], "hair": by_part["hair"]}
    return {name: np.clip(mask, 0, 1).astype(np.float32) for name, mask in masks.items()}


def _spread(values: Array, known: Array, wanted: Array, rounds: int = 3) -> Array:
    """Fill wanted but unknown pixels with the mean of known neighbours, a few rounds."""
    values, known = values.astype(np.float64), known.copy()
    for _ in range(rounds):
        missing = wanted & ~known
        if not missing.any():
            break
        total = _sum_of_neighbours(np.where(known, values, 0))
        count = _sum_of_neighbours(known.astype(np.float64))
        fill = missing & (count > 0)
        values[fill] = total[fill] / count[fill]
        known |= fill
    return values


def _sum_of_neighbours(image: Array) -> Array:
    padded = np.pad(image, 1)
    rows = padded[:-2] + padded[1:-1] + padded[2:]
    return rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:]


def object_coverage(cryptomatte: list[Array], name: str) -> Array:
    """(H, W) share of the pixel's samples that hit the object: Cryptomatte levels (H, W, 4) of two (id, share) pairs.

    Source: Psyop, "Cryptomatte Specification", 1.2 (ids are MurmurHash3_x86_32 of the name, kept out of NaN and
    denormals).
    """
    wanted = cryptomatte_id(name)
    share = np.zeros(cryptomatte[0].shape[:2], np.float32)
    for level in cryptomatte:
        for pair in (0, 2):
            ids = np.ascontiguousarray(level[..., pair]).view(np.uint32)
            share += np.where(ids == wanted, level[..., pair + 1], 0)
    return share


def cryptomatte_id(name: str) -> int:
    """The 32 bits of the float that stands for an object's name."""
    value = _murmur3(name.encode())
    return value ^ (1 << 23) if (value >> 23) & 0xFF in (0, 0xFF) else value


def _murmur3(data: bytes) -> int:
    """MurmurHash3_x86_32 with seed 0 (Austin Appleby, public domain)."""
    mask, state = 0xFFFFFFFF, 0

    def mix(block: int) -> int:
        block = block * 0xCC9E2D51 & mask
        return (block << 15 | block >> 17) * 0x1B873593 & mask

    whole = len(data) // 4 * 4
    for start in range(0, whole, 4):
        state ^= mix(int.from_bytes(data[start : start + 4], "little"))
        state = ((state << 13 | state >> 19) * 5 + 0xE6546B64) & mask
    if len(data) > whole:
        state ^= mix(int.from_bytes(data[whole:], "little"))
    state ^= len(data)
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35), (16, 1)):
        state = (state ^ state >> shift) * factor & mask
    return state
