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

    Triangles go through in batches of equal bounding-box size. A texel under several triangles takes the one that
    holds it deepest.
    """
    pixels = np.asarray(face_uvs, np.float64) * size
    pixels[..., 1] = size - pixels[..., 1]
    low = np.floor(pixels.min(axis=1) - margin).astype(np.int64)
    extent = (np.ceil(pixels.max(axis=1) + margin).astype(np.int64) - low).max(axis=1)
    depth = np.full(size * size, -np.inf, np.float32)
    owner = np.full(size * size, -1, np.int64)
    weights = np.zeros((size * size, 3), np.float32)
    box = 4
    done = np.zeros(len(extent), bool)
    while not done.all():
        chosen = np.flatnonzero(~done & (extent <= box))
        done[chosen] = True
        step = max(1, 2_000_000 // (box * box))
        for start in range(0, len(chosen), step):
            _splat(pixels, low, chosen[start : start + step], box, size, margin, depth, owner, weights)
        box *= 2
    index = np.flatnonzero(owner >= 0)
    return Texels(size, index, owner[index], weights[index])


def _splat(
    pixels: npt.NDArray, low: Int, faces: Int, box: int, size: int, margin: float,
    depth: Float, owner: Int, weights: Float,
) -> None:  # fmt: skip
    """Test a box x box window of texels against each of `faces`; keep the deepest hits."""
    if not len(faces):
        return
    grid = np.stack(np.meshgrid(np.arange(box), np.arange(box), indexing="xy"), axis=-1).reshape(-1, 2)
    texel = low[faces][:, None] + grid[None]  # (f, box*box, 2)
    a, b, c = (pixels[faces, k][:, None] for k in range(3))
    area = _cross(b - a, c - a)
    usable = np.abs(area[:, 0]) > 1e-9
    area = np.where(usable[:, None], area, 1.0)
    point = texel + 0.5
    bary = (
        np.stack([_cross(c - b, point - b), _cross(a - c, point - c), _cross(b - a, point - a)], axis=-1)
        / area[..., None]
    )
    # Heights of the triangle over its edges turn a margin in texels into one in barycentric coordinates.
    edges = np.stack(
        [np.linalg.norm(c - b, axis=-1), np.linalg.norm(a - c, axis=-1), np.linalg.norm(b - a, axis=-1)], axis=-1
    )
    height = np.abs(area)[..., None] / np.maximum(edges, 1e-12)
    inside = (bary * height).min(axis=-1)
    keep = (inside > -margin) & (texel >= 0).all(axis=-1) & (texel < size).all(axis=-1) & usable[:, None]
    f, k = np.nonzero(keep)
    flat = texel[f, k, 1] * size + texel[f, k, 0]
    value = inside[f, k].astype(np.float32)
    order = np.argsort(value, kind="stable")  # the deepest is written last
    f, k, flat, value = f[order], k[order], flat[order], value[order]
    better = value > depth[flat]
    f, k, flat, value = f[better], k[better], flat[better], value[better]
    depth[flat] = value
    owner[flat] = faces[f]
    weights[flat] = bary[f, k]


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
