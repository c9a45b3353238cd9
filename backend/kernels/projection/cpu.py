# SPDX-License-Identifier: Apache-2.0
"""Projection of splats to screen-space records, and its backward pass (EWA splatting, Zwicker et al. 2001).

VECTOR_WIDTH splats at a time. Forward writes one record a splat (layout.py), its depth and the rectangle of tiles that
its ellipse {alpha >= 1/255} touches. Where splats are antialiased, opacity is multiplied by sqrt(det S / det(S + EPS2D
I)), S the covariance on the screen (Mip-Splatting, Yu et al. 2024). Backward recomputes the geometry, chains the pixel
sums to all parameters and applies Adam in the same pass, so gradients never go through memory.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from .. import layout as at
from ..adam.cpu import adam_update
from ..buffers import address, keep, scratch
from ..jit import kernel, parallel_kernel
from ..layout import LOG2_CUTOFF, LOG2_E, MIN_COMPENSATION, NEAR, TILE
from ..parameters import ROW_LOG_SCALE, ROW_MEAN, ROW_OPACITY, ROW_QUAT, ROW_SH
from ..simd import (
    RECORD_SIZE,
    VECTOR_WIDTH,
    absolute,
    broadcast_int,
    exp,
    floor,
    get,
    get_int,
    load,
    load_records,
    log2,
    mask_from_bits,
    maximum,
    minimum,
    select,
    square_root,
    store,
    store_records,
    take_ticket,
    to_int,
    zeros,
)  # fmt: skip
from ..spherical_harmonics.cpu import sh_backward, sh_basis, sh_colours
from .geometry import Geometry, dot3, geometry

f = np.float32
LN_2 = f(0.6931471805599453)
HUGE = f(1e15)
"""Beyond this a splat's numbers on the screen count as broken; its square still fits into float32."""
TILE_SHIFT = TILE.bit_length() - 1
CHUNK = 64
"""Vectors that a thread takes at a time."""
GRADIENTS_ONLY, ADAM_SEEN = 0, 1
"""What the backward pass does: write gradients, or apply Adam to the splats that the view saw."""
MAX_ROWS = ROW_SH + 48


@kernel
def _not_broken(block: Any, stride: int, i: int) -> Any:
    """Log-scales and opacity are numbers; NaN in the other rows shows on the screen, but exp's clamp swallows these."""
    s, o = ROW_LOG_SCALE * stride + i, ROW_OPACITY * stride + i
    scales = (absolute(load(block, s)) < HUGE) & (absolute(load(block, s + stride)) < HUGE)
    return scales & (absolute(load(block, s + 2 * stride)) < HUGE) & (absolute(load(block, o)) < HUGE)


@kernel
def _project_vector(
    block: Any, stride: int, i: int, coefficients: int, antialiased: bool, camera: Any, records: Any, depths: Any,
    rect_low: Any, rect_high: Any, basis: Any,
) -> None:  # fmt: skip
    """Project the VECTOR_WIDTH splats from i on."""
    g = geometry(block, stride, i, camera)
    X, Y, Z, inverse_z = g.point
    xx, xy, yy = g.covariance
    inverse_determinant = 1.0 / g.determinant
    u = X * inverse_z * camera[at.FOCAL_X] + camera[at.CENTRE_X]
    v = Y * inverse_z * camera[at.FOCAL_Y] + camera[at.CENTRE_Y]
    log2_opacity = 0.0 - log2(exp(0.0 - load(block, ROW_OPACITY * stride + i)) + 1.0)
    if antialiased:
        quotient = maximum(g.bare_determinant * inverse_determinant, MIN_COMPENSATION)
        log2_opacity = log2_opacity + log2(quotient) * f(0.5)
    margin = (log2_opacity - LOG2_CUTOFF) * (f(2) * LN_2)  # twice ln(255 opacity)
    visible_margin = maximum(margin, 0.0)
    half_width, half_height = square_root(visible_margin * xx), square_root(visible_margin * yy)
    sh_basis(g.direction[0], g.direction[1], g.direction[2], coefficients, basis)
    red, green, blue = sh_colours(block, stride, i, coefficients, basis)

    # First and last pixel whose centre lies in the box; maximum and minimum turn NaN into the frame's edge.
    width, height = camera[at.FRAME_WIDTH], camera[at.FRAME_HEIGHT]
    x0 = 0.0 - floor(0.0 - minimum(maximum(u - half_width - 0.5, 0.0), width))
    y0 = 0.0 - floor(0.0 - minimum(maximum(v - half_height - 0.5, 0.0), height))
    x1 = floor(maximum(minimum(u + half_width - 0.5, width - f(1)), -1.0))
    y1 = floor(maximum(minimum(v + half_height - 0.5, height - f(1)), -1.0))
    drawn = (Z > NEAR) & (Z < HUGE) & (margin > 0.0) & (x0 <= x1) & (y0 <= y1)
    drawn = drawn & (absolute(u) < HUGE) & (absolute(v) < HUGE) & (half_width < HUGE) & (half_height < HUGE)
    drawn = drawn & (absolute(red) < HUGE) & (absolute(green) < HUGE) & (absolute(blue) < HUGE)
    drawn = drawn & (inverse_determinant > 0.0) & _not_broken(block, stride, i)

    store_records(records, i * RECORD_SIZE, (
        u, v, yy * inverse_determinant * (f(-0.5) * LOG2_E), xy * inverse_determinant * LOG2_E,
        xx * inverse_determinant * (f(-0.5) * LOG2_E), log2_opacity, xy / xx, xy / yy, maximum(red, 0.0),
        maximum(green, 0.0), maximum(blue, 0.0), half_width, half_height, Z, zeros(), zeros(),
    ))  # fmt: skip
    store(depths, i, Z)
    low = (to_int(x0) >> TILE_SHIFT) | ((to_int(y0) >> TILE_SHIFT) << 16)
    high = (to_int(x1) >> TILE_SHIFT) | ((to_int(y1) >> TILE_SHIFT) << 16)
    store(rect_low, i, low)
    store(rect_high, i, select(drawn, high, broadcast_int(-1)))


@kernel
def _project_range(
    block: Any, stride: int, first: int, last: int, coefficients: int, antialiased: bool, camera: Any, records: Any,
    depths: Any, rect_low: Any, rect_high: Any,
) -> int:  # fmt: skip
    memory = scratch(16 * VECTOR_WIDTH)
    basis, values, record, depth = address(memory), address(block), address(records), address(depths)
    low, high = address(rect_low), address(rect_high)
    for vector in range(first, last):
        i = vector * VECTOR_WIDTH
        _project_vector(values, stride, i, coefficients, antialiased, camera, record, depth, low, high, basis)
    return keep(memory)


@parallel_kernel
def project(
    threads: int,
    block: Any,  # (11 + 3 K) * stride
    stride: int,  # padded number of splats
    coefficients: int,  # K = 1, 4, 9, 16
    antialiased: bool,
    camera: Any,  # (32,)
    records: Any,  # stride * 16, out
    depths: Any,  # (stride,), out
    rect_low: Any,  # (stride,) int32 first tile column | first tile row << 16, out
    rect_high: Any,  # (stride,) int32 last tile column | last tile row << 16; -1: not drawn, out
) -> None:
    """Project all splats."""
    vectors = stride // VECTOR_WIDTH
    for thread in prange(threads):
        first, last = vectors * thread // threads, vectors * (thread + 1) // threads
        _project_range(
            block, stride, first, last, coefficients, antialiased, camera, records, depths, rect_low, rect_high
        )


@kernel
def _collect_sums(i: int, slot_first: Any, slot_count: Any, slot_used: Any, slots: Any, scratch: Any) -> int:
    """Add up the gradient slots of the splats i..; one record a splat into `scratch`. Bit l: splat i + l was seen."""
    seen = 0
    for lane in range(VECTOR_WIDTH):
        count, first = get_int(slot_count, i + lane), get_int(slot_first, i + lane)
        for part in range(0, RECORD_SIZE, VECTOR_WIDTH):
            total = zeros()
            for slot in range(first, first + count):
                if slot_used[slot] != 0:
                    total = total + load(slots, slot * RECORD_SIZE + part)
                    seen |= 1 << lane
            store(scratch, lane * RECORD_SIZE + part, total)
    return seen


@kernel
def _compensation_gradient(g: Geometry, dU: Any, sum_v: Any) -> Any:
    """Add to dL/dU what flows through log(compensation) = (log det U U^T - log det covariance) / 2.

    d log det U U^T / du = 2 (v x n) / n^2 with n = u x v, and d/dv = 2 (n x u) / n^2.
    """
    inverse = 1.0 / g.determinant
    free = (g.bare_determinant * inverse) > MIN_COMPENSATION
    pull = select(free, sum_v, zeros())
    by_normal = select(free, sum_v / g.bare_determinant, zeros())
    (n0, n1, n2), U, (xx, xy, yy) = g.normal, g.U, g.covariance
    pull = pull * inverse
    return (
        dU[0] + (U[4] * n2 - U[5] * n1) * by_normal - (U[0] * yy - U[3] * xy) * pull,
        dU[1] + (U[5] * n0 - U[3] * n2) * by_normal - (U[1] * yy - U[4] * xy) * pull,
        dU[2] + (U[3] * n1 - U[4] * n0) * by_normal - (U[2] * yy - U[5] * xy) * pull,
        dU[3] + (n1 * U[2] - n2 * U[1]) * by_normal - (U[3] * xx - U[0] * xy) * pull,
        dU[4] + (n2 * U[0] - n0 * U[2]) * by_normal - (U[4] * xx - U[1] * xy) * pull,
        dU[5] + (n0 * U[1] - n1 * U[0]) * by_normal - (U[5] * xx - U[2] * xy) * pull,
    )


@kernel
def _covariance_gradient(g: Geometry, moments: Any) -> Any:
    """dL/dU (2x3) and dL/d(u, v) from the sums over pixels."""
    inverse = 1.0 / g.determinant
    ca, cb, cc = g.covariance[2] * inverse, 0.0 - g.covariance[1] * inverse, g.covariance[0] * inverse
    du = ca * moments[at.SUM_VX] + cb * moments[at.SUM_VY]
    dv = cc * moments[at.SUM_VY] + cb * moments[at.SUM_VX]
    # dL/dconic as a symmetric matrix; dL/dcovariance = -conic dconic conic; dL/dU = 2 dcovariance U.
    da, db, dc = moments[at.SUM_VXX] * -0.5, moments[at.SUM_VXY] * -0.5, moments[at.SUM_VYY] * -0.5
    t00, t01, t10, t11 = ca * da + cb * db, ca * db + cb * dc, cb * da + cc * db, cb * db + cc * dc
    xx, xy, yy = (t00 * ca + t01 * cb) * -2.0, (t00 * cb + t01 * cc) * -2.0, (t10 * cb + t11 * cc) * -2.0
    U = g.U
    dU = (
        xx * U[0] + xy * U[3], xx * U[1] + xy * U[4], xx * U[2] + xy * U[5],
        xy * U[0] + yy * U[3], xy * U[1] + yy * U[4], xy * U[2] + yy * U[5],
    )  # fmt: skip
    return dU, du, dv


@kernel
def _shape_gradient(g: Geometry, dU: Any, gradients: Any) -> None:
    """Gradients of log-scales and quaternion, from dL/dU through M = rotation x scale."""
    JW, M = g.JW, g.M
    d00, d01, d02 = JW[0] * dU[0] + JW[3] * dU[3], JW[0] * dU[1] + JW[3] * dU[4], JW[0] * dU[2] + JW[3] * dU[5]
    d10, d11, d12 = JW[1] * dU[0] + JW[4] * dU[3], JW[1] * dU[1] + JW[4] * dU[4], JW[1] * dU[2] + JW[4] * dU[5]
    d20, d21, d22 = JW[2] * dU[0] + JW[5] * dU[3], JW[2] * dU[1] + JW[5] * dU[4], JW[2] * dU[2] + JW[5] * dU[5]
    store(gradients, ROW_LOG_SCALE * VECTOR_WIDTH, dot3(d00, d10, d20, M[0], M[3], M[6]))
    store(gradients, (ROW_LOG_SCALE + 1) * VECTOR_WIDTH, dot3(d01, d11, d21, M[1], M[4], M[7]))
    store(gradients, (ROW_LOG_SCALE + 2) * VECTOR_WIDTH, dot3(d02, d12, d22, M[2], M[5], M[8]))
    s0, s1, s2 = g.scale
    d00, d10, d20 = d00 * s0, d10 * s0, d20 * s0
    d01, d11, d21 = d01 * s1, d11 * s1, d21 * s1
    d02, d12, d22 = d02 * s2, d12 * s2, d22 * s2
    w, x, y, z, inverse_norm = g.quat
    dw = (z * (d10 - d01) + y * (d02 - d20) + x * (d21 - d12)) * 2.0
    dx = (y * (d01 + d10) + z * (d02 + d20) - x * (d11 + d22) * 2.0 + w * (d21 - d12)) * 2.0
    dy = (x * (d01 + d10) + z * (d12 + d21) - y * (d00 + d22) * 2.0 + w * (d02 - d20)) * 2.0
    dz = (x * (d02 + d20) + y * (d12 + d21) - z * (d00 + d11) * 2.0 + w * (d10 - d01)) * 2.0
    along = dw * w + dx * x + dy * y + dz * z  # the part that the normalisation removes
    store(gradients, ROW_QUAT * VECTOR_WIDTH, (dw - along * w) * inverse_norm)
    store(gradients, (ROW_QUAT + 1) * VECTOR_WIDTH, (dx - along * x) * inverse_norm)
    store(gradients, (ROW_QUAT + 2) * VECTOR_WIDTH, (dy - along * y) * inverse_norm)
    store(gradients, (ROW_QUAT + 3) * VECTOR_WIDTH, (dz - along * z) * inverse_norm)


@kernel
def _mean_gradient(g: Geometry, dU: Any, du: Any, dv: Any, d_depth: Any, camera: Any) -> Any:
    """dL/dmean in the world through the projected centre, the Jacobian and the depth."""
    M, R = g.M, at.ROTATION
    a0, a1, a2 = dot3(dU[0], dU[1], dU[2], M[0], M[1], M[2]), dot3(dU[0], dU[1], dU[2], M[3], M[4], M[5]), \
        dot3(dU[0], dU[1], dU[2], M[6], M[7], M[8])  # fmt: skip
    b0, b1, b2 = dot3(dU[3], dU[4], dU[5], M[0], M[1], M[2]), dot3(dU[3], dU[4], dU[5], M[3], M[4], M[5]), \
        dot3(dU[3], dU[4], dU[5], M[6], M[7], M[8])  # fmt: skip
    d_jx = a0 * camera[R] + a1 * camera[R + 1] + a2 * camera[R + 2]
    d_jxz = a0 * camera[R + 6] + a1 * camera[R + 7] + a2 * camera[R + 8]
    d_jy = b0 * camera[R + 3] + b1 * camera[R + 4] + b2 * camera[R + 5]
    d_jyz = b0 * camera[R + 6] + b1 * camera[R + 7] + b2 * camera[R + 8]
    X, Y, Z, inverse_z = g.point
    rx, ry = g.ratio
    fx, fy = camera[at.FOCAL_X], camera[at.FOCAL_Y]
    # Where x/z was clamped, the Jacobian depends on z alone.
    ratio_x, ratio_y = X * inverse_z, Y * inverse_z
    free_x = (ratio_x >= camera[at.SLOPE_X_LOW]) & (ratio_x <= camera[at.SLOPE_X_HIGH])
    free_y = (ratio_y >= camera[at.SLOPE_Y_LOW]) & (ratio_y <= camera[at.SLOPE_Y_HIGH])
    square = inverse_z * inverse_z
    dX = du * inverse_z * fx - select(free_x, d_jxz * square * fx, zeros())
    dY = dv * inverse_z * fy - select(free_y, d_jyz * square * fy, zeros())
    dZ = d_jxz * fx * rx * select(free_x, 2.0, 1.0) + d_jyz * fy * ry * select(free_y, 2.0, 1.0)
    dZ = (dZ - d_jx * fx - d_jy * fy - du * X * fx - dv * Y * fy) * square + d_depth
    return (
        dX * camera[R] + dY * camera[R + 3] + dZ * camera[R + 6],
        dX * camera[R + 1] + dY * camera[R + 4] + dZ * camera[R + 7],
        dX * camera[R + 2] + dY * camera[R + 5] + dZ * camera[R + 8],
    )


@kernel
def _vector_gradients(
    block: Any, stride: int, i: int, coefficients: int, antialiased: bool, camera: Any, sums: Any, basis: Any,
    gradients: Any, screen: Any,
) -> None:
    """All gradients of the splats i.. into the scratch `gradients` (one vector a row), dL/d(u, v) into `screen`."""
    g = geometry(block, stride, i, camera)
    moments = load_records(sums, 0)
    dU, du, dv = _covariance_gradient(g, moments)
    if antialiased:
        dU = _compensation_gradient(g, dU, moments[at.SUM_V])
    store(screen, 0, du)
    store(screen, VECTOR_WIDTH, dv)
    _shape_gradient(g, dU, gradients)
    mx, my, mz = _mean_gradient(g, dU, du, dv, moments[at.SUM_DEPTH], camera)
    opacity = 1.0 / (exp(0.0 - load(block, ROW_OPACITY * stride + i)) + 1.0)
    store(gradients, ROW_OPACITY * VECTOR_WIDTH, (1.0 - opacity) * moments[at.SUM_V])
    x, y, z, inverse_distance = g.direction
    sh_basis(x, y, z, coefficients, basis)
    colour = (moments[at.SUM_RED], moments[at.SUM_GREEN], moments[at.SUM_BLUE])
    dx, dy, dz = sh_backward(block, stride, i, coefficients, basis, x, y, z, colour, gradients)
    along = dx * x + dy * y + dz * z
    store(gradients, ROW_MEAN * VECTOR_WIDTH, mx + (dx - along * x) * inverse_distance)
    store(gradients, (ROW_MEAN + 1) * VECTOR_WIDTH, my + (dy - along * y) * inverse_distance)
    store(gradients, (ROW_MEAN + 2) * VECTOR_WIDTH, mz + (dz - along * z) * inverse_distance)


@kernel
def _add_statistics(statistics: Any, stride: int, i: int, screen: Any, camera: Any, mask: Any) -> None:
    """For the splats i.. of the mask: norm of dL/d(screen mean), the frame's sides being 2 long, and one step more."""
    du = load(screen, 0) * (camera[at.FRAME_WIDTH] * f(0.5))
    dv = load(screen, VECTOR_WIDTH) * (camera[at.FRAME_HEIGHT] * f(0.5))
    norm = square_root(du * du + dv * dv)
    usable = mask & (norm < HUGE)
    store(statistics, i, load(statistics, i) + select(usable, norm, zeros()))
    store(statistics, stride + i, load(statistics, stride + i) + select(usable, 1.0, zeros()))


@kernel
def _backward_worker(
    tickets: Any, block: Any, stride: int, coefficients: int, antialiased: bool, camera: Any, slot_first: Any,
    slot_count: Any, slot_used: Any, slots: Any, mode: int, output: Any, first: Any, second: Any, rates: Any,
    corrections: Any, statistics: Any,
) -> int:  # fmt: skip
    memory = scratch((RECORD_SIZE + 16 + MAX_ROWS + 2) * VECTOR_WIDTH)
    sums = address(memory)
    basis = sums + 4 * RECORD_SIZE * VECTOR_WIDTH
    gradients = basis + 4 * 16 * VECTOR_WIDTH
    screen = gradients + 4 * MAX_ROWS * VECTOR_WIDTH
    values, m, v, out, kept = address(block), address(first), address(second), address(output), address(statistics)
    first_slots, slot_counts, slot_sums = address(slot_first), address(slot_count), address(slots)
    vectors = stride // VECTOR_WIDTH
    rows = ROW_SH + 3 * coefficients
    while True:
        chunk = take_ticket(tickets, 0)
        if chunk * CHUNK >= vectors:
            break
        for vector in range(chunk * CHUNK, min(vectors, (chunk + 1) * CHUNK)):
            i = vector * VECTOR_WIDTH
            seen = _collect_sums(i, first_slots, slot_counts, slot_used, slot_sums, sums)
            if seen == 0:
                continue
            _vector_gradients(
                values, stride, i, coefficients, antialiased, camera, sums, basis, gradients, screen
            )
            mask = mask_from_bits(seen)
            if statistics.size > 0:
                _add_statistics(kept, stride, i, screen, camera, mask)
            for row in range(rows):
                gradient = load(gradients, row * VECTOR_WIDTH)
                usable = mask & (absolute(gradient) < HUGE)  # a broken gradient leaves its parameter as it is
                if mode == GRADIENTS_ONLY:
                    store(out, row * stride + i, select(usable, gradient, zeros()))
                else:
                    adam_update(values, m, v, row * stride + i, gradient, get(rates, row), corrections, usable)
    return keep(memory)


@parallel_kernel
def project_backward(
    threads: int,
    block: Any,  # (11 + 3 K) * stride; changed in mode ADAM_SEEN
    stride: int,
    coefficients: int,
    antialiased: bool,
    camera: Any,  # (32,)
    slot_first: Any,  # (stride,) int32
    slot_count: Any,  # (stride,) int32
    slot_used: Any,  # uint8 a slot
    slots: Any,  # 16 floats a slot: sums over the pixels of one tile
    mode: int,  # GRADIENTS_ONLY or ADAM_SEEN
    output: Any,  # (11 + 3 K) * stride gradients, zero before; only in mode GRADIENTS_ONLY
    first: Any,  # Adam's moments; only in mode ADAM_SEEN
    second: Any,
    rates: Any,  # (11 + 3 K,)
    corrections: Any,  # (2,) 1 / (1 - beta^iteration) of both moments
    statistics: Any,  # 2 * stride running sums, see Session.statistics; empty: none are kept
) -> None:
    """Gradients of all parameters from the tiles' sums; applied by Adam or written to `output`."""
    tickets = np.zeros(1, np.int32)
    for _ in prange(threads):
        _backward_worker(
            tickets, block, stride, coefficients, antialiased, camera, slot_first, slot_count, slot_used, slots, mode,
            output, first, second, rates, corrections, statistics,
        )  # fmt: skip


__all__ = ["ADAM_SEEN", "GRADIENTS_ONLY", "project", "project_backward"]
