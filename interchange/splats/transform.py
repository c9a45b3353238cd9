# SPDX-License-Identifier: Apache-2.0
"""A cloud under any affine map: positions, covariances and colours together."""

from __future__ import annotations

import numpy as np

from ..errors import InputError
from .axes import quaternions_from_matrices, rotated_sh, sh_basis, spread_directions
from .cloud import Array, SplatCloud

_EVEN = 1e-5


def is_even(matrix: Array) -> bool:  # (3, 3)
    """Whether a linear map turns, mirrors and enlarges, but does not stretch."""
    gram = np.asarray(matrix, np.float64).T @ matrix
    size = np.trace(gram) / 3
    return bool(np.abs(gram - size * np.eye(3)).max() <= _EVEN * size)


def transformed(cloud: SplatCloud, matrix: Array) -> SplatCloud:  # (4, 4)
    """The cloud at `matrix @ x`; the matrix may turn, enlarge, mirror and stretch.

    Covariances become M S M^T exactly. Colours seen along d are then seen along Q d, Q being the orthogonal matrix
    nearest to M: exact unless M stretches, where SH could not hold the exact answer. Raises InputError for a matrix
    that flattens or is not finite.
    """
    matrix = np.asarray(matrix, np.float64)
    linear = matrix[:3, :3]
    if not np.isfinite(matrix).all() or abs(np.linalg.det(linear)) < 1e-18:
        raise InputError("The transform flattens the splats, or is not finite.", "Give every axis a size.")
    left, sizes, right = np.linalg.svd(linear)
    turn = left @ right
    means = cloud.means.astype(np.float64) @ linear.T + matrix[:3, 3]
    axes = _unit_axes(cloud)
    if is_even(linear):
        # a Gaussian is its own mirror image, so a mirrored axis may point back
        axes = turn @ axes
        axes[:, :, 2] *= np.sign(np.linalg.det(turn))
        log_scales = cloud.log_scales + np.log(sizes.mean())
    else:
        log_scales, axes = _stretched(cloud, linear, axes)
    return SplatCloud(
        means, log_scales, quaternions_from_matrices(axes), cloud.opacity_logits, rotated_sh(cloud.sh, turn),
        cloud.antialiased,
    )  # fmt: skip


def turned_each(sh: Array, rotations: Array) -> Array:  # (N, K, 3), (N, 3, 3)
    """Coefficients of splats that each turn by a rotation of their own, band by band.

    In 2 l + 1 directions that determine a band of degree l, the turned colour is the old one seen from R^-1 d.
    """
    degree = int(np.sqrt(sh.shape[1])) - 1
    result = sh.astype(np.float64)
    for band in range(1, degree + 1):
        part = slice(band**2, (band + 1) ** 2)
        directions = spread_directions(4 * band + 3)
        solve = np.linalg.pinv(sh_basis(directions, band)[:, part])  # (2 l + 1, directions)
        back = np.einsum("nij,mi->nmj", rotations, directions)  # R^-1 d
        seen = sh_basis(back.reshape(-1, 3), band)[:, part].reshape(len(sh), len(directions), -1)
        result[:, part] = np.einsum("km,nmj,njc->nkc", solve, seen, result[:, part], optimize=True)
    return result.astype(np.float32)


def _unit_axes(cloud: SplatCloud) -> Array:
    """(N, 3, 3) columns: the axes of each splat; a quaternion of length 0 stands for no rotation."""
    quats = cloud.quats_wxyz.astype(np.float64)
    length = np.linalg.norm(quats, axis=1, keepdims=True)
    w, x, y, z = np.where(length > 0, quats / np.maximum(length, 1e-30), [1.0, 0.0, 0.0, 0.0]).T
    rows = [
        1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
        2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
        2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
    ]  # fmt: skip
    return np.stack(rows, axis=1).reshape(-1, 3, 3)


def _stretched(cloud: SplatCloud, linear: Array, axes: Array) -> tuple[Array, Array]:
    """Logarithms of the sizes and the axes of the covariances M S M^T, by a singular value decomposition."""
    columns = linear @ (axes * np.exp(cloud.log_scales.astype(np.float64))[:, None, :])
    axes, sizes, _ = np.linalg.svd(columns)
    axes[:, :, 2] *= np.sign(np.linalg.det(axes))[:, None]
    return np.log(np.maximum(sizes, 1e-30)), axes
