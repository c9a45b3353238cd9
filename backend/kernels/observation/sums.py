# SPDX-License-Identifier: Apache-2.0
"""What many views say about points, added up point by point: colours, and normal equations of colours by directions.

Each function adds one view, for a stretch of its list of points; without the interpreter's lock, so that threads can
take stretches of points side by side. A point's sums are made by one thread, in the order of the views.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..jit import kernel

ROBUST_WIDTH = 0.1
"""Of a residual: Cauchy's weight there is a half."""


@kernel
def add_colours(
    index: Any,  # (n,) which points the view sees, ascending
    colour: Any,  # (n, 3) float32
    weight: Any,  # (n,) float32
    first: int,
    last: int,
    mean: Any,  # (N, 3) float64: what residuals are taken from
    robust: bool,  # colours far from `mean` count less
    total: Any,  # (N, 3) float64, changed
    weights: Any,  # (N,) float64, changed
) -> None:
    """Adds weight x colour and weight of the list's entries from `first` to before `last`."""
    for k in range(first, last):
        i = index[k]
        if robust:
            residual = (
                abs(colour[k, 0] - mean[i, 0]) + abs(colour[k, 1] - mean[i, 1]) + abs(colour[k, 2] - mean[i, 2])
            ) / 3
            share = weight[k] / (1 + (residual / ROBUST_WIDTH) ** 2)
            for c in range(3):
                total[i, c] += share * colour[k, c]
            weights[i] += share
        else:
            for c in range(3):
                total[i, c] += weight[k] * colour[k, c]
            weights[i] += weight[k]


@kernel
def _basis(x: float, y: float, z: float, coefficients: int, basis: Any) -> None:
    """As `interchange.splats.axes.sh_basis`, to the bit."""
    xx, yy, zz = x * x, y * y, z * z
    basis[0] = 0.28209479177387814
    if coefficients > 1:
        basis[1], basis[2], basis[3] = -0.4886025119029199 * y, 0.4886025119029199 * z, -0.4886025119029199 * x
    if coefficients > 4:
        basis[4], basis[5] = 1.0925484305920792 * x * y, -1.0925484305920792 * y * z
        basis[6], basis[7] = 0.31539156525252005 * (2 * zz - xx - yy), -1.0925484305920792 * x * z
        basis[8] = 0.5462742152960396 * (xx - yy)
    if coefficients > 9:
        basis[9], basis[10] = -0.5900435899266435 * y * (3 * xx - yy), 2.890611442640554 * x * y * z
        basis[11] = -0.4570457994644658 * y * (4 * zz - xx - yy)
        basis[12] = 0.3731763325901154 * z * (2 * zz - 3 * xx - 3 * yy)
        basis[13] = -0.4570457994644658 * x * (4 * zz - xx - yy)
        basis[14], basis[15] = 1.445305721320277 * z * (xx - yy), -0.5900435899266435 * x * (xx - 3 * yy)


@kernel
def add_equations(
    index: Any,  # (n,) which points the view sees, ascending
    colour: Any,  # (n, 3) float32
    weight: Any,  # (n,) float32
    first: int,
    last: int,
    points: Any,  # (N, 3) float64
    position: Any,  # (3,) of the camera
    mean: Any,  # (N, 3) float64: what colours are told from
    gram: Any,  # (N, K, K) float32, changed
    moment: Any,  # (N, K, 3) float32, changed
) -> None:
    """Adds weight x basis x basis and weight x basis x (colour - mean) of the entries from `first` to before `last`."""
    coefficients = gram.shape[1]
    basis, weighted = np.empty(16, np.float32), np.empty(16, np.float32)
    for k in range(first, last):
        i = index[k]
        x, y, z = points[i, 0] - position[0], points[i, 1] - position[1], points[i, 2] - position[2]
        length = math.sqrt(x * x + y * y + z * z)
        _basis(x / length, y / length, z / length, coefficients, basis)
        for row in range(coefficients):
            weighted[row] = basis[row] * weight[k]
            for column in range(coefficients):
                gram[i, row, column] += weighted[row] * basis[column]
        for c in range(3):
            difference = np.float32(colour[k, c] - mean[i, c])
            for row in range(coefficients):
                moment[i, row, c] += weighted[row] * difference


@kernel
def sum_neighbours(values: Any, near: Any, result: Any) -> None:
    """Rows of `values` (N, S) added up over each row of `near` (n, M), into `result` (n, S), float32."""
    for i in range(len(near)):
        goal = result[i]
        for s in range(values.shape[1]):
            goal[s] = values[near[i, 0], s]
        for m in range(1, near.shape[1]):
            source = values[near[i, m]]
            for s in range(values.shape[1]):
                goal[s] += source[s]
