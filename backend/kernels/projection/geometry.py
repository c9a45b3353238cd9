# SPDX-License-Identifier: Apache-2.0
"""From a splat's parameters to its ellipse on the screen: the part of the projection that both passes need."""

from __future__ import annotations

from typing import Any, NamedTuple

from .. import layout as at
from ..jit import kernel
from ..layout import EPS2D
from ..parameters import ROW_LOG_SCALE, ROW_QUAT
from ..simd import (
    exp,
    load,
    maximum,
    minimum,
    square_root,
)  # fmt: skip


class Geometry(NamedTuple):
    """What forward and backward share; names as in the formulas, all vectors."""

    point: Any  # X, Y, Z in camera axes, 1 / Z
    ratio: Any  # x/z and y/z after the clamp
    quat: Any  # w, x, y, z normalised, 1 / norm
    scale: Any  # 3 standard deviations
    M: Any  # 3x3 rotation times scale, row by row
    JW: Any  # 2x3 Jacobian times world-to-camera rotation
    U: Any  # 2x3 = JW M; covariance = U U^T
    covariance: Any  # xx, xy, yy with EPS2D
    determinant: Any
    normal: Any  # u x v of the rows of U; its square is the determinant without EPS2D
    bare_determinant: Any  # that square
    direction: Any  # unit x, y, z from the camera to the mean, 1 / distance


@kernel
def dot3(a0: Any, a1: Any, a2: Any, b0: Any, b1: Any, b2: Any) -> Any:
    return a0 * b0 + a1 * b1 + a2 * b2


@kernel
def _rotation_times_scale(w: Any, x: Any, y: Any, z: Any, s0: Any, s1: Any, s2: Any) -> Any:
    """3x3, row by row."""
    return (
        (1.0 - (y * y + z * z) * 2.0) * s0, (x * y - w * z) * 2.0 * s1, (x * z + w * y) * 2.0 * s2,
        (x * y + w * z) * 2.0 * s0, (1.0 - (x * x + z * z) * 2.0) * s1, (y * z - w * x) * 2.0 * s2,
        (x * z - w * y) * 2.0 * s0, (y * z + w * x) * 2.0 * s1, (1.0 - (x * x + y * y) * 2.0) * s2,
    )  # fmt: skip


@kernel
def geometry(block: Any, stride: int, i: int, camera: Any) -> Geometry:
    """From the parameters of the splats i.. to their screen-space covariance."""
    mx, my, mz = load(block, i), load(block, stride + i), load(block, 2 * stride + i)
    R, t = at.ROTATION, at.TRANSLATION
    X = mx * camera[R] + my * camera[R + 1] + mz * camera[R + 2] + camera[t]
    Y = mx * camera[R + 3] + my * camera[R + 4] + mz * camera[R + 5] + camera[t + 1]
    Z = mx * camera[R + 6] + my * camera[R + 7] + mz * camera[R + 8] + camera[t + 2]
    inverse_z = 1.0 / Z

    q = ROW_QUAT * stride + i
    w, x, y, z = load(block, q), load(block, q + stride), load(block, q + 2 * stride), load(block, q + 3 * stride)
    inverse_norm = 1.0 / square_root(w * w + x * x + y * y + z * z)
    w, x, y, z = w * inverse_norm, x * inverse_norm, y * inverse_norm, z * inverse_norm
    s = ROW_LOG_SCALE * stride + i
    s0, s1, s2 = exp(load(block, s)), exp(load(block, s + stride)), exp(load(block, s + 2 * stride))
    M = _rotation_times_scale(w, x, y, z, s0, s1, s2)

    # Far outside the image the linearisation of the perspective is useless and explodes: hence the clamp.
    rx = minimum(maximum(X * inverse_z, camera[at.SLOPE_X_LOW]), camera[at.SLOPE_X_HIGH])
    ry = minimum(maximum(Y * inverse_z, camera[at.SLOPE_Y_LOW]), camera[at.SLOPE_Y_HIGH])
    jx, jy = inverse_z * camera[at.FOCAL_X], inverse_z * camera[at.FOCAL_Y]
    jxz, jyz = 0.0 - jx * rx, 0.0 - jy * ry
    JW = (
        jx * camera[R] + jxz * camera[R + 6], jx * camera[R + 1] + jxz * camera[R + 7],
        jx * camera[R + 2] + jxz * camera[R + 8], jy * camera[R + 3] + jyz * camera[R + 6],
        jy * camera[R + 4] + jyz * camera[R + 7], jy * camera[R + 5] + jyz * camera[R + 8],
    )  # fmt: skip
    U = (
        dot3(JW[0], JW[1], JW[2], M[0], M[3], M[6]), dot3(JW[0], JW[1], JW[2], M[1], M[4], M[7]),
        dot3(JW[0], JW[1], JW[2], M[2], M[5], M[8]), dot3(JW[3], JW[4], JW[5], M[0], M[3], M[6]),
        dot3(JW[3], JW[4], JW[5], M[1], M[4], M[7]), dot3(JW[3], JW[4], JW[5], M[2], M[5], M[8]),
    )  # fmt: skip
    uu, uv = dot3(U[0], U[1], U[2], U[0], U[1], U[2]), dot3(U[0], U[1], U[2], U[3], U[4], U[5])
    vv = dot3(U[3], U[4], U[5], U[3], U[4], U[5])
    # det(U U^T) = |u x v|^2: a sum of squares, where uu vv - uv^2 would cancel for needles.
    c0, c1, c2 = U[1] * U[5] - U[2] * U[4], U[2] * U[3] - U[0] * U[5], U[0] * U[4] - U[1] * U[3]
    bare = dot3(c0, c1, c2, c0, c1, c2)
    determinant = bare + (uu + vv) * EPS2D + EPS2D * EPS2D

    dx, dy, dz = mx - camera[at.POSITION], my - camera[at.POSITION + 1], mz - camera[at.POSITION + 2]
    inverse_distance = 1.0 / square_root(dx * dx + dy * dy + dz * dz)
    direction = (dx * inverse_distance, dy * inverse_distance, dz * inverse_distance, inverse_distance)
    return Geometry(
        (X, Y, Z, inverse_z), (rx, ry), (w, x, y, z, inverse_norm), (s0, s1, s2), M, JW, U,
        (uu + EPS2D, uv, vv + EPS2D), determinant, (c0, c1, c2), bare, direction,
    )  # fmt: skip
