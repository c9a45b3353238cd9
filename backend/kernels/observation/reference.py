# SPDX-License-Identifier: Apache-2.0
"""The same in plain numpy, a whole array at a time; for tests."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from interchange.cameras import Camera

from .cpu import COVERED, MIN_COSINE

Floats = npt.NDArray[np.floating]


def look_up(
    points: Floats, normals: Floats | None, camera: Camera, alpha: Floats, depth: Floats | None,
    rgb: Floats | None = None,
) -> tuple[npt.NDArray[np.int64], Floats, Floats, Floats, Floats]:  # fmt: skip
    """As `cpu.look_up`."""
    uv, z = camera.project(points)
    height, width = alpha.shape
    with np.errstate(invalid="ignore"):
        index = np.flatnonzero((z > 1e-6) & (uv >= 0).all(axis=1) & (uv < (width, height)).all(axis=1))
    column, row = uv[index].astype(np.int64).T
    keep = alpha[row, column] > COVERED
    index, row, column = index[keep], row[keep], column[keep]
    cosine = np.ones(len(index))
    if normals is not None:
        towards = camera.position - points[index]
        towards /= np.maximum(np.linalg.norm(towards, axis=1, keepdims=True), 1e-12)
        cosine = np.abs((towards * normals[index]).sum(axis=1))
    keep = cosine > MIN_COSINE if normals is not None else np.ones(len(index), bool)
    if depth is not None:
        tangent = np.sqrt(np.maximum(1 - cosine**2, 0)) / np.maximum(cosine, MIN_COSINE)
        slack = z[index] / camera.K[0, 0] * (0.5 + 0.75 * tangent) + 1e-3 * z[index]
        keep &= z[index] < depth[row, column] + slack
    index, cosine = index[keep], cosine[keep]
    colour, coverage = np.zeros((len(index), 3)), np.zeros(len(index))
    if rgb is not None:
        layers = np.pad(np.dstack([rgb, alpha]).astype(np.float64), ((1, 1), (1, 1), (0, 0)), mode="edge")
        place = uv[index] + 0.5  # of the padded picture, between the centres of its pixels
        low = np.floor(place).astype(np.int64)
        fx, fy = (place - low).T[:, :, None]
        x, y = low.T
        values = (layers[y, x] * (1 - fx) + layers[y, x + 1] * fx) * (1 - fy)
        values += (layers[y + 1, x] * (1 - fx) + layers[y + 1, x + 1] * fx) * fy
        coverage = values[:, 3]
        colour = values[:, :3] / np.maximum(coverage, 1e-3)[:, None]
    return index, uv[index], colour, coverage, cosine
