# SPDX-License-Identifier: Apache-2.0
"""Real spherical harmonics of degree 0..3 and the colours they give (signs as in 3D Gaussian Splatting).

Polynomial forms of Sloan, "Efficient Spherical Harmonic Evaluation", JCGT 2013. The number of coefficients is a
runtime value, so one compilation serves all degrees; the basis lives in a scratch array of 16 vectors.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..jit import kernel
from ..parameters import ROW_SH
from ..simd import VECTOR_WIDTH, broadcast, load, select, store, zeros

W = VECTOR_WIDTH
f = np.float32

Y00 = f(0.28209479177387814)
Y1 = f(0.4886025119029199)
Y2_XY, Y2_ZZ, Y2_XX = f(1.0925484305920792), f(0.31539156525252005), f(0.5462742152960396)
Y3_OUTER, Y3_XYZ, Y3_MIDDLE = f(0.5900435899266435), f(2.890611442640554), f(0.4570457994644658)
Y3_ZZZ, Y3_ZXX = f(0.3731763325901154), f(1.445305721320277)


@kernel
def sh_basis(x: Any, y: Any, z: Any, coefficients: int, basis: Any) -> None:
    """Write `coefficients` (1, 4, 9 or 16) basis vectors for unit directions (x, y, z) into `basis`."""
    store(basis, 0, broadcast(Y00))
    if coefficients > 1:
        store(basis, W, y * -Y1)
        store(basis, 2 * W, z * Y1)
        store(basis, 3 * W, x * -Y1)
    if coefficients > 4:
        xx, yy, zz = x * x, y * y, z * z
        store(basis, 4 * W, x * y * Y2_XY)
        store(basis, 5 * W, y * z * -Y2_XY)
        store(basis, 6 * W, (zz * 2.0 - xx - yy) * Y2_ZZ)
        store(basis, 7 * W, x * z * -Y2_XY)
        store(basis, 8 * W, (xx - yy) * Y2_XX)
        if coefficients > 9:
            store(basis, 9 * W, y * (xx * 3.0 - yy) * -Y3_OUTER)
            store(basis, 10 * W, x * y * z * Y3_XYZ)
            store(basis, 11 * W, y * (zz * 4.0 - xx - yy) * -Y3_MIDDLE)
            store(basis, 12 * W, z * (zz * 2.0 - xx * 3.0 - yy * 3.0) * Y3_ZZZ)
            store(basis, 13 * W, x * (zz * 4.0 - xx - yy) * -Y3_MIDDLE)
            store(basis, 14 * W, z * (xx - yy) * Y3_ZXX)
            store(basis, 15 * W, x * (xx - yy * 3.0) * -Y3_OUTER)


@kernel
def sh_colours(block: Any, stride: int, i: int, coefficients: int, basis: Any) -> Any:
    """0.5 + sum_k basis_k sh_k of the splats i.., before the clamp at zero: three vectors."""
    red, green, blue = broadcast(0.5), broadcast(0.5), broadcast(0.5)
    for k in range(coefficients):
        weight = load(basis, k * W)
        row = (ROW_SH + 3 * k) * stride + i
        red = red + weight * load(block, row)
        green = green + weight * load(block, row + stride)
        blue = blue + weight * load(block, row + 2 * stride)
    return red, green, blue


@kernel
def sh_backward(
    block: Any, stride: int, i: int, coefficients: int, basis: Any, x: Any, y: Any, z: Any, colour_gradient: Any,
    gradients: Any,
) -> Any:  # fmt: skip
    """Gradients of the coefficients into rows ROW_SH.. of the scratch `gradients`; returns dL/d(x, y, z).

    `basis` must hold sh_basis(x, y, z) and is overwritten. Colours that the clamp cut to zero pass nothing on.
    """
    red, green, blue = sh_colours(block, stride, i, coefficients, basis)
    d_red = select(red > 0.0, colour_gradient[0], zeros())
    d_green = select(green > 0.0, colour_gradient[1], zeros())
    d_blue = select(blue > 0.0, colour_gradient[2], zeros())
    for k in range(coefficients):
        weight = load(basis, k * W)
        at = (ROW_SH + 3 * k) * W
        store(gradients, at, weight * d_red)
        store(gradients, at + W, weight * d_green)
        store(gradients, at + 2 * W, weight * d_blue)
        row = (ROW_SH + 3 * k) * stride + i
        dot = load(block, row) * d_red + load(block, row + stride) * d_green + load(block, row + 2 * stride) * d_blue
        store(basis, k * W, dot)
    return _direction_gradient(x, y, z, coefficients, basis)


@kernel
def _direction_gradient(x: Any, y: Any, z: Any, coefficients: int, d_basis: Any) -> Any:
    """dL/d(x, y, z) from dL/dbasis, by the derivatives of the polynomials above."""
    dx, dy, dz = zeros(), zeros(), zeros()
    if coefficients > 1:
        dx = load(d_basis, 3 * W) * -Y1
        dy = load(d_basis, W) * -Y1
        dz = load(d_basis, 2 * W) * Y1
    if coefficients > 4:
        d4, d5, d6 = load(d_basis, 4 * W) * Y2_XY, load(d_basis, 5 * W) * -Y2_XY, load(d_basis, 6 * W) * Y2_ZZ
        d7, d8 = load(d_basis, 7 * W) * -Y2_XY, load(d_basis, 8 * W) * Y2_XX
        dx = dx + y * d4 - x * d6 * 2.0 + z * d7 + x * d8 * 2.0
        dy = dy + x * d4 + z * d5 - y * d6 * 2.0 - y * d8 * 2.0
        dz = dz + y * d5 + z * d6 * 4.0 + x * d7
    if coefficients > 9:
        xx, yy, zz, xy, xz, yz = x * x, y * y, z * z, x * y, x * z, y * z
        d9, d10 = load(d_basis, 9 * W) * -Y3_OUTER, load(d_basis, 10 * W) * Y3_XYZ
        d11, d12 = load(d_basis, 11 * W) * -Y3_MIDDLE, load(d_basis, 12 * W) * Y3_ZZZ
        d13, d14 = load(d_basis, 13 * W) * -Y3_MIDDLE, load(d_basis, 14 * W) * Y3_ZXX
        d15 = load(d_basis, 15 * W) * -Y3_OUTER
        dx = dx + xy * d9 * 6.0 + yz * d10 - xy * d11 * 2.0 - xz * d12 * 6.0
        dx = dx + (zz * 4.0 - xx * 3.0 - yy) * d13 + xz * d14 * 2.0 + (xx - yy) * d15 * 3.0
        dy = dy + (xx - yy) * d9 * 3.0 + xz * d10 + (zz * 4.0 - xx - yy * 3.0) * d11 - yz * d12 * 6.0
        dy = dy - xy * d13 * 2.0 - yz * d14 * 2.0 - xy * d15 * 6.0
        dz = dz + xy * d10 + yz * d11 * 8.0 + (zz * 2.0 - xx - yy) * d12 * 3.0 + xz * d13 * 8.0 + (xx - yy) * d14
    return dx, dy, dz
