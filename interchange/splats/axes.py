# SPDX-License-Identifier: Apache-2.0
"""Turning a cloud into other axes: means, quaternions and the view-dependent bands of its colour together.

The splat frame is RDF (x right, y down, z away), as PLY viewers expect. SPZ and glTF are RUB (y up, z towards the
viewer), half a turn about x away. Signs of the basis functions: Sloan, "Stupid Spherical Harmonics Tricks" (2008),
appendix A2, as 3D Gaussian Splatting has them.
"""

from __future__ import annotations

import numpy as np

from .cloud import SH_C0, Array, SplatCloud

# The sign that each basis function takes when y and z change theirs, k = 0..15.
_FLIP_SH = np.array([1, -1, -1, 1, -1, 1, 1, -1, 1, -1, 1, -1, -1, 1, -1, 1], np.float32)


def sh_basis(directions: Array, degree: int) -> Array:  # (M, 3) unit vectors
    """(M, (degree + 1)^2) float64 real spherical harmonics; colour = 0.5 + sh_basis @ sh."""
    x, y, z = np.asarray(directions, np.float64).T
    xx, yy, zz = x * x, y * y, z * z
    columns = [np.full_like(x, SH_C0)]
    if degree >= 1:
        columns += [-0.4886025119029199 * y, 0.4886025119029199 * z, -0.4886025119029199 * x]
    if degree >= 2:
        columns += [
            1.0925484305920792 * x * y, -1.0925484305920792 * y * z, 0.31539156525252005 * (2 * zz - xx - yy),
            -1.0925484305920792 * x * z, 0.5462742152960396 * (xx - yy),
        ]  # fmt: skip
    if degree >= 3:
        columns += [
            -0.5900435899266435 * y * (3 * xx - yy), 2.890611442640554 * x * y * z,
            -0.4570457994644658 * y * (4 * zz - xx - yy), 0.3731763325901154 * z * (2 * zz - 3 * xx - 3 * yy),
            -0.4570457994644658 * x * (4 * zz - xx - yy), 1.445305721320277 * z * (xx - yy),
            -0.5900435899266435 * x * (xx - 3 * yy),
        ]  # fmt: skip
    return np.stack(columns, axis=1)


def flipped_yz(cloud: SplatCloud) -> SplatCloud:
    """The cloud half a turn about x: RDF <-> RUB, its own inverse, exact to the bit.

    The quaternion is conjugated by the turn, not multiplied by it: a Gaussian looks the same with its own axes
    reversed, and w keeps its sign, as the SPZ reference does it.
    """
    signs = np.array([1, -1, -1], np.float32)
    rows = cloud.sh.reshape(len(cloud), -1) * np.repeat(_FLIP_SH[: cloud.sh.shape[1]], 3)  # long rows are faster
    return SplatCloud(
        cloud.means * signs, cloud.log_scales, cloud.quats_wxyz * np.array([1, 1, -1, -1], np.float32),
        cloud.opacity_logits, rows.reshape(cloud.sh.shape), cloud.antialiased,
    )  # fmt: skip


def moved(cloud: SplatCloud, rotation: Array, scale: float = 1.0, translation: Array | None = None) -> SplatCloud:
    """The cloud at `scale * rotation @ x + translation`: rotation (3, 3) proper, scale > 0, translation (3,)."""
    rotation = np.asarray(rotation, np.float64)
    means = scale * cloud.means.astype(np.float64) @ rotation.T + (0 if translation is None else translation)
    quats = quaternion_product(quaternion_from_matrix(rotation), cloud.quats_wxyz.astype(np.float64))
    return SplatCloud(
        means, cloud.log_scales + np.float32(np.log(scale)), quats, cloud.opacity_logits,
        rotated_sh(cloud.sh, rotation), cloud.antialiased,
    )  # fmt: skip


def rotated_sh(sh: Array, rotation: Array) -> Array:  # (N, K, 3), (3, 3)
    """Coefficients whose colour in direction R d is what `sh` gives in direction d, band by band.

    Each band turns within itself; its matrix solves basis(R d) D = basis(d) over directions that determine it.
    """
    degree = int(np.sqrt(sh.shape[1])) - 1
    directions = spread_directions(64)
    before, after = sh_basis(directions, degree), sh_basis(directions @ rotation.T, degree)
    result = sh.copy()
    for band in range(1, degree + 1):
        part = slice(band**2, (band + 1) ** 2)
        matrix = np.linalg.lstsq(after[:, part], before[:, part], rcond=None)[0]
        result[:, part] = np.einsum("ij,njc->nic", matrix.round(12).astype(np.float32), sh[:, part])
    return result


def spread_directions(count: int) -> Array:
    """(count, 3) unit vectors all over the sphere (a Fibonacci spiral)."""
    z = 1 - (2 * np.arange(count) + 1) / count
    angle = np.pi * (3 - np.sqrt(5)) * np.arange(count)
    radius = np.sqrt(1 - z * z)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle), z], axis=1)


def quaternion_product(a: Array, b: Array) -> Array:  # (..., 4) wxyz each
    """(..., 4) wxyz of rotation b followed by rotation a."""
    aw, ax, ay, az = np.moveaxis(np.asarray(a), -1, 0)
    bw, bx, by, bz = np.moveaxis(np.asarray(b), -1, 0)
    return np.stack(
        [
            aw * bw - ax * bx - ay * by - az * bz, aw * bx + ax * bw + ay * bz - az * by,
            aw * by - ax * bz + ay * bw + az * bx, aw * bz + ax * by - ay * bx + az * bw,
        ],
        axis=-1,
    )  # fmt: skip


def quaternion_from_matrix(rotation: Array) -> Array:  # (3, 3)
    """(4,) wxyz, w >= 0: the eigenvector of Bar-Itzhack (2000), which has no special cases."""
    m = np.asarray(rotation, np.float64)
    K = np.array(
        [
            [m[0, 0] - m[1, 1] - m[2, 2], m[0, 1] + m[1, 0], m[0, 2] + m[2, 0], m[2, 1] - m[1, 2]],
            [m[0, 1] + m[1, 0], m[1, 1] - m[0, 0] - m[2, 2], m[1, 2] + m[2, 1], m[0, 2] - m[2, 0]],
            [m[0, 2] + m[2, 0], m[1, 2] + m[2, 1], m[2, 2] - m[0, 0] - m[1, 1], m[1, 0] - m[0, 1]],
            [m[2, 1] - m[1, 2], m[0, 2] - m[2, 0], m[1, 0] - m[0, 1], m[0, 0] + m[1, 1] + m[2, 2]],
        ]
    )  # fmt: skip
    x, y, z, w = np.linalg.eigh(K)[1][:, -1]
    return np.array([w, x, y, z]) * (-1 if w < 0 else 1)


def quaternions_from_matrices(rotations: Array) -> Array:  # (N, 3, 3)
    """(N, 4) wxyz of many rotations: of four equal forms the one with the largest divisor (Shepperd 1978)."""
    m = np.asarray(rotations, np.float64)
    xx, yy, zz = m[:, 0, 0], m[:, 1, 1], m[:, 2, 2]
    x, y, z = m[:, 2, 1] - m[:, 1, 2], m[:, 0, 2] - m[:, 2, 0], m[:, 1, 0] - m[:, 0, 1]
    xy, xz, yz = m[:, 0, 1] + m[:, 1, 0], m[:, 0, 2] + m[:, 2, 0], m[:, 1, 2] + m[:, 2, 1]
    forms = np.stack(
        [
            np.stack([1 + xx + yy + zz, x, y, z], axis=1), np.stack([x, 1 + xx - yy - zz, xy, xz], axis=1),
            np.stack([y, xy, 1 - xx + yy - zz, yz], axis=1), np.stack([z, xz, yz, 1 - xx - yy + zz], axis=1),
        ],
        axis=1,
    )  # fmt: skip
    best = np.argmax(np.diagonal(forms, axis1=1, axis2=2), axis=1)
    chosen = forms[np.arange(len(m)), best]
    return np.asarray(chosen / np.linalg.norm(chosen, axis=1, keepdims=True))


def matrix_from_quaternion(quats_wxyz: Array) -> Array:  # (..., 4), any length but zero
    """(..., 3, 3) rotations."""
    quats = np.asarray(quats_wxyz, np.float64)
    w, x, y, z = np.moveaxis(quats / np.linalg.norm(quats, axis=-1, keepdims=True), -1, 0)
    rows = [
        1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
        2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
        2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
    ]  # fmt: skip
    return np.stack(rows, axis=-1).reshape(*quats.shape[:-1], 3, 3)
