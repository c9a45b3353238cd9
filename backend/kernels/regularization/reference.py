# SPDX-License-Identifier: Apache-2.0
"""Decay, alignment and noise in plain numpy and float64, a whole array at a time; for tests."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..parameters import ROW_LOG_SCALE, ROW_MEAN, ROW_OPACITY, ROW_QUAT
from .cpu import (
    DEAD_OPACITY,
    HUGE,
    KEY_STEPS,
    LARGEST_LOG_SCALE,
    LEAST_GATE,
    LEAST_OPACITY,
    MULTIPLIERS,
    ROUNDS,
    SHARPNESS,
)

Array = npt.NDArray[np.floating]


def decay(block: Array, count: int, opacity: float, log_scale: float) -> None:
    """As `cpu.decay`."""
    block[ROW_LOG_SCALE:ROW_OPACITY, :count] += np.float32(log_scale)
    if opacity == 1:
        return
    logits = block[ROW_OPACITY, :count]
    with np.errstate(all="ignore"):
        left = 1 / (1 + np.exp(-logits.astype(np.float64))) * opacity
        left = np.clip(left, LEAST_OPACITY, 1 - LEAST_OPACITY)
        block[ROW_OPACITY, :count] = np.where(np.abs(logits) < HUGE, np.log(left / (1 - left)), logits)


def align(block: Array, count: int, part: float, normals: Array, face: npt.NDArray[np.integer]) -> None:
    """As `cpu.align`."""
    with np.errstate(invalid="ignore"):
        sound = (np.abs(block[ROW_QUAT:ROW_OPACITY, :count]) < HUGE).all(axis=0)
    born = np.flatnonzero((face >= 0) & sound)
    quats = block[ROW_QUAT:ROW_LOG_SCALE, born].T.astype(np.float64)
    thin = block[ROW_LOG_SCALE:ROW_OPACITY, born].argmin(axis=0)
    block[ROW_QUAT:ROW_LOG_SCALE, born] = turned(quats, thin, normals[face[born]], part).T


def splat_normals(quats: Array, thin: npt.NDArray[np.integer]) -> Array:  # (N, 4) wxyz any length, (N,) 0..2
    """(N, 3) the axis `thin` of each splat in the world."""
    w, x, y, z = (quats / np.maximum(np.linalg.norm(quats, axis=1, keepdims=True), 1e-12)).T
    axes = np.stack([
        np.stack([1 - 2 * (y * y + z * z), 2 * (x * y + w * z), 2 * (x * z - w * y)], axis=1),
        np.stack([2 * (x * y - w * z), 1 - 2 * (x * x + z * z), 2 * (y * z + w * x)], axis=1),
        np.stack([2 * (x * z + w * y), 2 * (y * z - w * x), 1 - 2 * (x * x + y * y)], axis=1),
    ])  # fmt: skip
    return np.asarray(axes[thin, np.arange(len(quats))])


def turned(quats: Array, thin: npt.NDArray[np.integer], normals: Array, part: float) -> Array:
    """(N, 4) the quaternions, their length kept, after `part` (0..1) of the shortest turn that lays them flat.

    A splat has no front: the nearer of the normal's two directions counts. A zero normal turns nothing.
    """
    axis = splat_normals(quats, thin)
    normals = np.asarray(normals, np.float64)
    cosine = (axis * normals).sum(axis=1)
    goal = normals * np.where(cosine < 0, -1.0, 1.0)[:, None]
    across = np.cross(axis, goal)
    sine = np.linalg.norm(across, axis=1)
    angle = np.arctan2(sine, np.abs(cosine)) * part
    direction = across / np.maximum(sine, 1e-12)[:, None]
    turn = np.concatenate([np.cos(angle / 2)[:, None], np.sin(angle / 2)[:, None] * direction], axis=1)
    return np.asarray(np.where((sine > 1e-9)[:, None], _product(turn, quats), quats))


def _product(a: Array, b: Array) -> Array:  # (N, 4) wxyz each
    """Hamilton's product: first b, then a."""
    aw, ax, ay, az = a.T
    bw, bx, by, bz = b.T
    return np.stack([
        aw * bw - ax * bx - ay * by - az * bz, aw * bx + ax * bw + ay * bz - az * by,
        aw * by - ax * bz + ay * bw + az * bx, aw * bz + ax * by - ay * bx + az * bw,
    ], axis=1)  # fmt: skip


def philox(counter: npt.NDArray[np.uint64], key: tuple[int, int]) -> npt.NDArray[np.uint64]:  # (4, N) below 2^32
    """(4, N) random numbers below 2^32: Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2,
    3")."""
    c0, c1, c2, c3 = counter.astype(np.uint64)
    k0, k1 = key
    low, half = np.uint64(0xFFFFFFFF), np.uint64(32)
    for _ in range(ROUNDS):
        first, second = np.uint64(MULTIPLIERS[0]) * c0, np.uint64(MULTIPLIERS[1]) * c2
        c0, c1 = (second >> half) ^ c1 ^ np.uint64(k0), second & low
        c2, c3 = (first >> half) ^ c3 ^ np.uint64(k1), first & low
        k0, k1 = (k0 + KEY_STEPS[0]) % 2**32, (k1 + KEY_STEPS[1]) % 2**32
    return np.stack([c0, c1, c2, c3])


def normal_draws(count: int, seed: int, iteration: int) -> npt.NDArray[np.float64]:
    """(3, count) standard normal draws, a column for each splat: Box and Muller's of Philox's numbers."""
    counter = np.zeros((4, count), np.uint64)
    counter[0], counter[1] = np.arange(count), iteration
    bits = philox(counter, (seed % 2**32, (seed >> 32) % 2**32)).astype(np.float64)
    length = np.sqrt(-2 * np.log((bits[::2] + 0.5) / 2**32))
    angle = 2 * np.pi * (bits[1::2] / 2**32)
    return np.stack([length[0] * np.cos(angle[0]), length[0] * np.sin(angle[0]), length[1] * np.cos(angle[1])])


def wander(block: Array, count: int, length: float, reach: float, seed: int, iteration: int) -> None:
    """As `cpu.wander`."""
    rows = block[ROW_QUAT : ROW_OPACITY + 1, :count].astype(np.float64)
    with np.errstate(all="ignore"):
        opacity = 1 / (1 + np.exp(-rows[-1]))
        gate = 1 / (1 + np.exp(np.clip(SHARPNESS * (opacity - DEAD_OPACITY), -50, 50)))
        loose = np.flatnonzero((np.abs(rows) < HUGE).all(axis=0) & (gate > LEAST_GATE))
    draws = normal_draws(count, seed, iteration)[:, loose]
    quats = rows[:4, loose].T
    quats[(quats == 0).all(axis=1)] = 1, 0, 0, 0
    turn = np.stack([splat_normals(quats, np.full(len(loose), k)) for k in range(3)])  # [axis, splat, coordinate]
    variance = np.exp(2 * np.minimum(rows[4:7, loose], LARGEST_LOG_SCALE))
    along = np.einsum("cnr,rn->cn", turn, draws) * variance / reach**2
    step = length * gate[loose] * np.einsum("cnr,cn->rn", turn, along)
    block[ROW_MEAN:ROW_QUAT, loose] += step.astype(np.float32)
