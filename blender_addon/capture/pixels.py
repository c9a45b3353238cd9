# SPDX-License-Identifier: GPL-3.0-or-later
"""Which triangle each pixel's centre shows, and the coverage of objects: exact UVs and antialiased masks. No bpy.

Cycles' own UV pass is a mean over jittered samples, worthless at UV seams. Its depth is one ray through the pixel's
centre, so the triangle that was hit is the one whose depth there agrees: also behind transparent lashes or corneas.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from .._interchange import cameras, mesh

Array = npt.NDArray[Any]

TOLERANCE = 1e-3
"""Largest difference of depth, relative, between a triangle and what Cycles saw at the pixel."""


_TILE = 8  # pixels a side
_AT_ONCE = 1 << 20  # pairs of a pixel and a face: some 250 bytes each


@attrs.frozen(eq=False)
class Hits:
    """face (H, W) int32, -1 where no triangle fits; weights (H, W, 3) perspective-correct barycentrics."""

    face: Array
    weights: Array

    def interpolate(self, corner_values: Array) -> Array:  # (F, 3, C) or (F, 3) -> (H, W, C) or (H, W)
        """Values at the pixels, 0 where nothing was hit."""
        hit = self.face >= 0
        return self._picture(hit, corner_values[self.face[hit]])

    def interpolate_vertices(self, values: Array, faces: Array) -> Array:  # (V,), (F, 3) -> (H, W)
        """The same for values of vertices."""
        hit = self.face >= 0
        return self._picture(hit, values[faces[self.face[hit]]])

    def _picture(self, hit: Array, corners: Array) -> Array:  # (H, W), (N, 3[, C])
        picture = np.zeros(hit.shape + corners.shape[2:], np.float32)
        weights = self.weights[hit].reshape(-1, 3, *[1] * (corners.ndim - 2))
        picture[hit] = weights[:, 0] * corners[:, 0] + weights[:, 1] * corners[:, 1] + weights[:, 2] * corners[:, 2]
        return picture


def find_hits(
    camera: cameras.Camera, vertices: Array, faces: Array, depth: Array, tolerance: float = TOLERANCE
) -> Hits:
    """Match triangles (F, 3) of world vertices (V, 3) with a rendered planar depth (H, W), 0 = nothing.

    Each triangle is tried at the pixel centres in its bounding box; of those that contain the centre the one nearest in
    depth to the render wins. Triangles that reach behind the camera are left out. tolerance: relative, of the depth.
    """
    height, width = depth.shape
    uv, z = camera.project(vertices)
    # (3, F), corners first: numpy is slow along an axis of three that comes last
    corners = np.ascontiguousarray(faces.T, np.intp)
    across, down, away = (np.ascontiguousarray(values)[corners] for values in (uv[:, 0], uv[:, 1], z))
    near, far = away.min(axis=0), away.max(axis=0)
    # what cannot agree goes first, faces on the far side of things and then single pixels: the rest is the costly part
    slack = 2 * tolerance
    left, columns = _centres(across, width)
    top, rows = _centres(down, height)
    wanted = near > 1e-6
    wanted &= _may_be_seen(depth, left, columns, top, rows, near * (1 - slack))
    face = np.full(height * width, -1, np.int32)
    weights, best = np.zeros((height * width, 3)), np.full(height * width, np.inf)
    for boxes in _batches(left, columns, top, rows, np.flatnonzero(wanted)):
        pixel, owner = _candidates(boxes, width)
        seen = depth.ravel()[pixel]
        maybe = (seen > 0) & (seen * (1 + slack) > near[owner]) & (seen * (1 - slack) < far[owner])
        pixel, owner, seen = pixel[maybe], owner[maybe], seen[maybe]
        inside, over_depth = _weights_over_depth(across, down, away, owner, pixel % width + 0.5, pixel // width + 0.5)
        with np.errstate(divide="ignore", invalid="ignore"):
            hit_depth = 1 / (over_depth[0] + over_depth[1] + over_depth[2])
        error = np.abs(hit_depth - seen)
        keep = np.flatnonzero(inside & (error < tolerance * seen) & (error <= best[pixel]))
        keep = keep[np.argsort(-error[keep], kind="stable")]  # the best is written last and stays
        best[pixel[keep]], face[pixel[keep]] = error[keep], owner[keep]
        weights[pixel[keep]] = np.stack([part[keep] * hit_depth[keep] for part in over_depth], axis=1)
    return Hits(face.reshape(height, width), weights.reshape(height, width, 3))


def _weights_over_depth(
    across: Array, down: Array, away: Array, owner: Array, x: Array, y: Array
) -> tuple[Array, list[Array]]:  # (3, F) corners; (N,)
    """Which of the points (x, y) lie in the faces `owner`, and by corner their flat weight over the corner's depth."""
    edge = [(across[k][owner] - x, down[k][owner] - y) for k in range(3)]
    area = [_cross(edge[(k + 1) % 3], edge[(k + 2) % 3]) for k in range(3)]
    total = area[0] + area[1] + area[2]
    with np.errstate(divide="ignore", invalid="ignore"):
        flat = [part / total for part in area]
        inside = (flat[0] >= -1e-6) & (flat[1] >= -1e-6) & (flat[2] >= -1e-6) & (np.abs(total) > 1e-12)
        return inside, [flat[k] / away[k][owner] for k in range(3)]


def _cross(a: tuple[Array, Array], b: tuple[Array, Array]) -> Array:
    return a[0] * b[1] - a[1] * b[0]


def _centres(along: Array, limit: int) -> tuple[Array, Array]:  # (3, F)
    """First pixel centre and number of them (F,) between the corners of each face, within 0..limit."""
    low: Array = np.ceil(along.min(axis=0) - 0.5 - 1e-6)
    high: Array = np.floor(along.max(axis=0) - 0.5 + 1e-6)
    low, high = np.clip(low, 0, limit).astype(np.int64), np.clip(high, -1, limit - 1).astype(np.int64)
    return low, np.maximum(high - low + 1, 0)


def _may_be_seen(depth: Array, left: Array, columns: Array, top: Array, rows: Array, near: Array) -> Array:
    """(F,) False for faces of which every pixel shows something nearer than `near`, or nothing; with pixels only.

    Told from the farthest that each tile of pixels and its neighbours show, so that a small face needs one look.
    """
    height, width = depth.shape
    down, across = -(-height // _TILE), -(-width // _TILE)
    padded = np.zeros(((down + 1) * _TILE, (across + 1) * _TILE), depth.dtype)
    padded[:height, :width] = depth
    farthest = padded.reshape(down + 1, _TILE, across + 1, _TILE).max(axis=(1, 3))
    farthest[:-1] = np.maximum(farthest[:-1], farthest[1:])
    farthest[:, :-1] = np.maximum(farthest[:, :-1], farthest[:, 1:])
    is_large = (columns > _TILE) | (rows > _TILE)
    seen = is_large | (farthest[top // _TILE, left // _TILE] > near)
    return seen & (columns > 0) & (rows > 0)


@attrs.frozen(eq=False)
class _Boxes:
    """Pixels to try: first column and row, numbers of columns and rows, and whose they are; (B,) each."""

    left: Array
    columns: Array
    top: Array
    rows: Array
    face: Array


def _batches(left: Array, columns: Array, top: Array, rows: Array, wanted: Array) -> Iterator[_Boxes]:
    """The bounding boxes of the faces `wanted` in their order, some at a time; huge ones in strips of rows."""
    left, columns, top, rows = left[wanted], columns[wanted], top[wanted], rows[wanted]
    high = np.maximum(1, _AT_ONCE // columns)  # rows of a strip
    strips = -(-rows // high)
    box = np.repeat(np.arange(len(wanted)), strips)
    before = (np.arange(len(box)) - np.repeat(np.cumsum(strips) - strips, strips)) * high[box]
    boxes = _Boxes(left[box], columns[box], top[box] + before, np.minimum(rows[box] - before, high[box]), wanted[box])
    total = np.cumsum(boxes.columns * boxes.rows)
    first, done = 0, 0
    while first < len(box):
        last = max(first + 1, int(np.searchsorted(total, done + _AT_ONCE, side="right")))
        yield _Boxes(*(values[first:last] for values in attrs.astuple(boxes, recurse=False)))
        first, done = last, int(total[last - 1])


def _candidates(boxes: _Boxes, width: int) -> tuple[Array, Array]:
    """Pairs (pixel, face) of the pixel centres in the boxes."""
    count = boxes.columns * boxes.rows
    number = np.repeat(np.arange(len(count)), count)
    step = np.arange(len(number)) - np.repeat(np.cumsum(count) - count, count)
    row = step // boxes.columns[number]
    first = boxes.top * width + boxes.left
    return first[number] + row * width + step - row * boxes.columns[number], boxes.face[number]


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
    soft = hits.interpolate_vertices(captured.region_face, captured.faces)
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
