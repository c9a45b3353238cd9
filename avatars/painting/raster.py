# SPDX-License-Identifier: Apache-2.0
"""Mesh attributes into UV space, and the filling of the gaps between UV islands."""

from __future__ import annotations

import attrs
import numpy as np
import numpy.typing as npt

Float = npt.NDArray[np.floating]
Int = npt.NDArray[np.int64]


@attrs.frozen(eq=False)
class Texels:
    """The N covered texels of a square texture. Row 0 is the top (v = 1); texel centres at +0.5.

    index: (N,) flat texel index. face: (N,) triangle. barycentric: (N, 3), within the triangle or at most
    half a texel outside it.
    """

    size: int
    index: Int
    face: Int
    barycentric: Float

    def interpolate(self, values: npt.NDArray, faces: npt.NDArray) -> Float:  # (V,) or (V, C), (F, 3)
        """Vertex values at the texels: (N,) or (N, C)."""
        corner = np.asarray(values, np.float32)[faces[self.face]]
        weight = self.barycentric if corner.ndim == 2 else self.barycentric[..., None]
        return (corner * weight).sum(axis=1)


def rasterize_uv(face_uvs: npt.NDArray, size: int, margin: float = 0.5) -> Texels:  # (F, 3, 2), v up
    """Which triangle covers which texel, with a margin of `margin` texels so that edges leave no pinholes.

    Triangles go through in batches of like bounding boxes. A texel under several triangles takes the one that holds
    it deepest. Triangles without area cover nothing.
    """
    pixels = np.asarray(face_uvs, np.float64) * size
    pixels[..., 1] = size - pixels[..., 1]
    low = np.floor(pixels.min(axis=1) - margin).astype(np.int64)
    extent = np.ceil(pixels.max(axis=1) + margin).astype(np.int64) - low
    box = 2 ** np.ceil(np.log2(np.maximum(extent, 4))).astype(np.int64)
    edges = _edge_functions(pixels - low[:, None])
    hits: list[tuple[Int, Int, Float]] = []
    for width, height in np.unique(box, axis=0).tolist():
        chosen = np.flatnonzero((box == (width, height)).all(axis=1))
        step = max(1, 1_000_000 // (width * height))
        hits += [
            _inside(edges, low, chosen[start : start + step], width, height, size, margin)
            for start in range(0, len(chosen), step)
        ]
    texel, face, depth = (np.concatenate(column) for column in zip(*hits, strict=True))
    order = np.argsort(depth, kind="stable")  # the deepest is written last
    owner = np.full(size * size, -1, np.int64)
    owner[texel[order]] = face[order]
    index = np.flatnonzero(owner >= 0)
    return Texels(size, index, owner[index], _barycentric(pixels, owner[index], index, size))


def _edge_functions(corners: npt.NDArray) -> Float:  # (F, 3, 2) pixels
    """(F, 3, 3): a, b, c of each edge such that a x + b y + c is the distance inwards from it, in pixels."""
    start, end = np.roll(corners, -1, axis=1), np.roll(corners, -2, axis=1)
    along = end - start
    area = _cross(along[:, 0], along[:, 1])
    normal = np.stack([-along[..., 1], along[..., 0]], axis=-1) * np.sign(area)[:, None, None]
    normal /= np.maximum(np.linalg.norm(along, axis=-1, keepdims=True), 1e-9)
    offset = -(normal * start).sum(axis=-1, keepdims=True)
    offset[np.abs(area) < 1e-9] = -1e9
    return np.concatenate([normal, offset], axis=-1).astype(np.float32)


def _inside(
    edges: Float, low: Int, faces: Int, width: int, height: int, size: int, margin: float
) -> tuple[Int, Int, Float]:
    """Hits of `faces` in their windows: texel, face, depth inside the triangle in pixels."""
    x = np.arange(width, dtype=np.float32)[None, None, :] + 0.5
    y = np.arange(height, dtype=np.float32)[None, :, None] + 0.5
    depth = np.full((len(faces), height, width), np.inf, np.float32)
    for k in range(3):
        a, b, c = (edges[faces, k, j][:, None, None] for j in range(3))
        np.minimum(depth, a * x + (b * y + c), out=depth)
    f, row, column = np.nonzero(depth > -margin)
    texel_x, texel_y = low[faces[f], 0] + column, low[faces[f], 1] + row
    kept = (texel_x >= 0) & (texel_x < size) & (texel_y >= 0) & (texel_y < size)
    return (texel_y * size + texel_x)[kept], faces[f][kept], depth[f, row, column][kept]


def _barycentric(pixels: npt.NDArray, face: Int, index: Int, size: int) -> Float:
    point = np.stack([index % size, index // size], axis=1) + 0.5
    a, b, c = (pixels[face, k] for k in range(3))
    area = _cross(b - a, c - a)
    second, third = _cross(point - a, c - a) / area, _cross(b - a, point - a) / area
    return np.stack([1 - second - third, second, third], axis=1).astype(np.float32)


def _cross(a: npt.NDArray, b: npt.NDArray) -> npt.NDArray:
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]


def fill_gaps(image: Float, covered: npt.NDArray[np.bool_]) -> Float:  # (S, S, C), (S, S)
    """Colour every uncovered texel from the covered ones near it: two rings of neighbours, then a pyramid.

    Bilinear lookups and mip maps at the islands' edges then see skin, not background.
    """
    image, covered = np.where(covered[..., None], image, 0).astype(np.float32), covered.copy()
    for _ in range(2):
        image, covered = _grow(image, covered)
    return _pull_push(image, covered.astype(np.float32))


def _grow(image: Float, covered: npt.NDArray[np.bool_]) -> tuple[Float, npt.NDArray[np.bool_]]:
    weight = np.pad(covered, 1).astype(np.float32)
    padded = np.pad(image, ((1, 1), (1, 1), (0, 0)))
    size = len(image)
    windows = [(slice(y, y + size), slice(x, x + size)) for y in range(3) for x in range(3) if (y, x) != (1, 1)]
    count = np.sum([weight[w] for w in windows], axis=0)
    ring = ~covered & (count > 0)
    total = np.sum([padded[w][ring] for w in windows], axis=0)
    image = image.copy()
    image[ring] = total / count[ring][:, None]
    return image, covered | ring


def _pull_push(image: Float, weight: Float) -> Float:
    if len(image) == 1 or weight.min() > 0:
        return image
    if len(image) % 2:
        padded = _pull_push(np.pad(image, ((0, 1), (0, 1), (0, 0))), np.pad(weight, ((0, 1), (0, 1))))
        return padded[:-1, :-1]
    half = len(image) // 2
    total = weight.reshape(half, 2, half, 2).sum(axis=(1, 3))
    mean = (image * weight[..., None]).reshape(half, 2, half, 2, -1).sum(axis=(1, 3)) / np.maximum(total, 1e-6)[
        ..., None
    ]
    coarse = _pull_push(mean, (total > 0).astype(np.float32))
    return np.where(weight[..., None] > 0, image, coarse.repeat(2, axis=0).repeat(2, axis=1))


def triangulate(faces: list[list[int]]) -> tuple[Int, Int]:
    """Polygons as fans of triangles: vertex ids (F, 3) and the numbers of their corners in face order (F, 3)."""
    vertices, corners, start = [], [], 0
    for face in faces:
        for k in range(1, len(face) - 1):
            vertices.append((face[0], face[k], face[k + 1]))
            corners.append((start, start + k, start + k + 1))
        start += len(face)
    return np.array(vertices, np.int64), np.array(corners, np.int64)
