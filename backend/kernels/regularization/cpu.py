# SPDX-License-Identifier: Apache-2.0
"""Decay, alignment and noise on the CPU: in place, one pass, in double precision, each splat by itself.

The result depends neither on the number of threads nor on the other splats. A splat whose numbers are NaN, infinite or
absurd is left as it is.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np
import numpy.typing as npt
from numba import prange

from ..jit import kernel, parallel_kernel
from ..parameters import ROW_LOG_SCALE, ROW_MEAN, ROW_OPACITY, ROW_QUAT

HUGE = 1e15
LEAST_OPACITY = 1e-7
"""Decay leaves opacities between this and 1 - this."""
DEAD_OPACITY = 0.005
"""From this on a splat does not wander any more (Kheradmand et al. 2024)."""
SHARPNESS = 100.0
LEAST_GATE = 1e-3
LARGEST_LOG_SCALE = 5.0
MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
KEY_STEPS = (0x9E3779B9, 0xBB67AE85)
ROUNDS = 10
_M0, _M1, _W0, _W1 = (np.uint64(value) for value in (*MULTIPLIERS, *KEY_STEPS))
_LOW, _HALF, _NONE = np.uint64(0xFFFFFFFF), np.uint64(32), np.uint64(0)
_ONE_PART = 2.0**-32

Array = npt.NDArray[np.float32]


def decay(block: Array, count: int, opacity: float, log_scale: float, threads: int = 1) -> None:
    """Multiply the first `count` splats' opacities by `opacity` (0..1) and add `log_scale` to their log-scales.

    block: (11 + 3 K, P), changed. An `opacity` of 1 leaves opacities alone.
    """
    numba.set_num_threads(threads)
    _decay(threads, block, count, float(opacity), np.float32(log_scale))


def align(
    block: Array,  # (11 + 3 K, P), changed
    part: float,
    normals: Array,  # (F, 3) unit, or zero where a face has none
    columns: npt.NDArray[np.int32],  # (N,) of `columns_on`
    threads: int = 1,
) -> None:
    """Turn each splat `part` (0..1) of the way to lying flat on its face: its thinnest axis along the face's normal.

    A splat has no front: the nearer of the normal's two directions counts. A quaternion's length stays.
    """
    numba.set_num_threads(threads)
    _align(threads, block, len(columns), float(part), normals, columns)


def wander(
    block: Array, count: int, length: float, reach: float, seed: int, iteration: int, threads: int = 1
) -> None:
    """Move nearly transparent splats by noise along their own ellipsoids.

    `length`: of the step, scene units, of a transparent splat whose width is `reach`; for others in proportion to its
    square. The noise is a function of seed, iteration and the splat's column: on every engine the same.
    """
    numba.set_num_threads(threads)
    keys = np.uint64(seed % 2**32), np.uint64((seed >> 32) % 2**32)
    _wander(threads, block, count, float(length), float(reach), *keys, np.uint64(iteration))


def columns_on(
    normals: npt.NDArray[Any], face: npt.NDArray[Any], order: npt.NDArray[np.int64]
) -> npt.NDArray[np.int32]:
    """(N,) the face of the splat in each column, -1: none. `face` is in the cloud's order, `order` that of the columns.

    Raises ValueError if `normals` has fewer faces.
    """
    if face.size and int(face.max()) >= len(normals):
        raise ValueError(f"A splat lies on face {face.max()} of {len(normals)}.")
    return np.ascontiguousarray(face[order], np.int32)


@kernel
def _logit_after(logit: float, opacity: float) -> float:
    left = 1 / (1 + math.exp(-logit)) * opacity
    left = min(max(left, LEAST_OPACITY), 1 - LEAST_OPACITY)
    return math.log(left / (1 - left))


@parallel_kernel
def _decay(threads: int, block: Any, count: int, opacity: float, log_scale: Any) -> None:
    for thread in prange(threads):
        for i in range(count * thread // threads, count * (thread + 1) // threads):
            for row in range(ROW_LOG_SCALE, ROW_OPACITY):
                block[row, i] += log_scale
            if opacity != 1 and abs(block[ROW_OPACITY, i]) < HUGE:
                block[ROW_OPACITY, i] = _logit_after(np.float64(block[ROW_OPACITY, i]), opacity)


@kernel
def _rotation(w: float, x: float, y: float, z: float, axes: Any) -> None:
    """Row k of `axes` (3, 3) is the splat's axis k in the world; the quaternion has length 1."""
    axes[0, 0], axes[0, 1], axes[0, 2] = 1 - 2 * (y * y + z * z), 2 * (x * y + w * z), 2 * (x * z - w * y)
    axes[1, 0], axes[1, 1], axes[1, 2] = 2 * (x * y - w * z), 1 - 2 * (x * x + z * z), 2 * (y * z + w * x)
    axes[2, 0], axes[2, 1], axes[2, 2] = 2 * (x * z + w * y), 2 * (y * z - w * x), 1 - 2 * (x * x + y * y)


@kernel
def _is_sound(block: Any, first: int, last: int, i: int) -> bool:
    sound = True
    for row in range(first, last):
        sound = sound and abs(block[row, i]) < HUGE
    return sound


@kernel
def _lay_flat(block: Any, i: int, part: float, nx: float, ny: float, nz: float, axes: Any) -> None:
    bw, bx = np.float64(block[ROW_QUAT, i]), np.float64(block[ROW_QUAT + 1, i])
    by, bz = np.float64(block[ROW_QUAT + 2, i]), np.float64(block[ROW_QUAT + 3, i])
    length = max(math.sqrt(bw * bw + bx * bx + by * by + bz * bz), 1e-12)
    _rotation(bw / length, bx / length, by / length, bz / length, axes)
    thin = 0
    for k in range(1, 3):
        if block[ROW_LOG_SCALE + k, i] < block[ROW_LOG_SCALE + thin, i]:
            thin = k
    ax, ay, az = axes[thin, 0], axes[thin, 1], axes[thin, 2]
    cosine = ax * nx + ay * ny + az * nz
    side = -1.0 if cosine < 0 else 1.0
    nx, ny, nz = nx * side, ny * side, nz * side
    cx, cy, cz = ay * nz - az * ny, az * nx - ax * nz, ax * ny - ay * nx
    sine = math.sqrt(cx * cx + cy * cy + cz * cz)
    if not sine > 1e-9:
        return
    half = math.atan2(sine, abs(cosine)) * part / 2
    tw, across = math.cos(half), math.sin(half)
    tx, ty, tz = across * (cx / sine), across * (cy / sine), across * (cz / sine)
    block[ROW_QUAT, i] = tw * bw - tx * bx - ty * by - tz * bz
    block[ROW_QUAT + 1, i] = tw * bx + tx * bw + ty * bz - tz * by
    block[ROW_QUAT + 2, i] = tw * by - tx * bz + ty * bw + tz * bx
    block[ROW_QUAT + 3, i] = tw * bz + tx * by - ty * bx + tz * bw


@parallel_kernel
def _align(threads: int, block: Any, count: int, part: float, normals: Any, columns: Any) -> None:
    for thread in prange(threads):
        axes = np.empty((3, 3))
        for i in range(count * thread // threads, count * (thread + 1) // threads):
            face = columns[i]
            if face >= 0 and _is_sound(block, ROW_QUAT, ROW_OPACITY, i):
                nx, ny = np.float64(normals[face, 0]), np.float64(normals[face, 1])
                _lay_flat(block, i, part, nx, ny, np.float64(normals[face, 2]), axes)


@kernel
def _philox(c0: Any, c1: Any, k0: Any, k1: Any) -> Any:
    """Four random numbers below 2^32, as uint64, of the counter (c0, c1, 0, 0): Philox4x32-10 (Salmon et al. 2011,
    "Parallel random numbers: as easy as 1, 2, 3")."""
    c2, c3 = _NONE, _NONE
    for _ in range(ROUNDS):
        first, second = _M0 * c0, _M1 * c2
        c0, c1 = (second >> _HALF) ^ c1 ^ k0, second & _LOW
        c2, c3 = (first >> _HALF) ^ c3 ^ k1, first & _LOW
        k0, k1 = (k0 + _W0) & _LOW, (k1 + _W1) & _LOW
    return c0, c1, c2, c3


@kernel
def _move(
    block: Any, i: int, length: float, reach: float, draws: Any, axes: Any
) -> None:  # draws: (3,), axes: (3, 3) of `_rotation`
    move = np.zeros(3)
    for k in range(3):
        width = math.exp(2 * min(np.float64(block[ROW_LOG_SCALE + k, i]), LARGEST_LOG_SCALE))
        along = axes[k, 0] * draws[0] + axes[k, 1] * draws[1] + axes[k, 2] * draws[2]
        along *= width / (reach * reach)
        for c in range(3):
            move[c] += axes[k, c] * along
    for c in range(3):
        block[ROW_MEAN + c, i] += np.float32(length * move[c])


@parallel_kernel
def _wander(
    threads: int, block: Any, count: int, length: float, reach: float, key: Any, key_high: Any, iteration: Any
) -> None:
    for thread in prange(threads):
        axes, draws = np.empty((3, 3)), np.empty(3)
        for i in range(count * thread // threads, count * (thread + 1) // threads):
            if not _is_sound(block, ROW_QUAT, ROW_OPACITY + 1, i):
                continue
            opacity = 1 / (1 + math.exp(-np.float64(block[ROW_OPACITY, i])))
            gate = 1 / (1 + math.exp(SHARPNESS * (opacity - DEAD_OPACITY)))
            if not gate > LEAST_GATE:
                continue
            a, b, c, d = _philox(np.uint64(i), iteration, key, key_high)
            r = math.sqrt(-2 * math.log((np.float64(a) + 0.5) * _ONE_PART))
            angle = 2 * math.pi * (np.float64(b) * _ONE_PART)
            draws[0], draws[1] = r * math.cos(angle), r * math.sin(angle)
            r = math.sqrt(-2 * math.log((np.float64(c) + 0.5) * _ONE_PART))
            draws[2] = r * math.cos(2 * math.pi * (np.float64(d) * _ONE_PART))
            w, x = np.float64(block[ROW_QUAT, i]), np.float64(block[ROW_QUAT + 1, i])
            y, z = np.float64(block[ROW_QUAT + 2, i]), np.float64(block[ROW_QUAT + 3, i])
            size = math.sqrt(w * w + x * x + y * y + z * z)
            if size > 0:
                _rotation(w / size, x / size, y / size, z / size, axes)
            else:
                _rotation(1.0, 0.0, 0.0, 0.0, axes)
            _move(block, i, length * gate, reach, draws, axes)
