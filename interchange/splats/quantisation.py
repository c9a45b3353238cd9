# SPDX-License-Identifier: Apache-2.0
"""Conversions that several splat formats share: opacities, scales, unit quaternions, quantised numbers."""

from __future__ import annotations

import numpy as np

from .cloud import Array

_OTHERS = np.array([[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]])


def opacity_from_logit(logits: Array) -> Array:  # (N,)
    """(N,) float64 0..1."""
    return 1 / (1 + np.exp(-np.clip(logits.astype(np.float64), -80, 80)))


def logit_from_opacity(opacities: Array, least: float, most: float) -> Array:  # (N,) 0..1
    """(N,) float32 logits, finite: opacities are kept within `least` and `most`. NaN stays NaN."""
    kept = np.clip(opacities.astype(np.float64), least, most)
    return np.log(kept / (1 - kept)).astype(np.float32)


def scale_from_log(log_scales: Array) -> Array:  # (N, 3)
    """(N, 3) float32 linear scales, finite and above zero."""
    return np.exp(np.clip(log_scales, -80, 80))


def log_from_scale(scales: Array) -> Array:  # (N, 3)
    """(N, 3) float32 natural logarithms; 0 becomes a vanishing scale. NaN for negative or NaN scales."""
    with np.errstate(invalid="ignore"):
        return np.log(np.where(scales == 0, np.float32(1e-30), scales))


def unit_quaternions(quats: Array) -> Array:  # (N, 4)
    """(N, 4) float64 of length one; a zero quaternion, which has no direction, becomes (1, 0, 0, 0)."""
    quats = quats.astype(np.float64)
    length = np.linalg.norm(quats, axis=1, keepdims=True)
    return np.where(length > 0, quats / np.maximum(length, 1e-300), np.array([1.0, 0, 0, 0]))


def quantised(values: Array, most: int) -> Array:
    """round(values), clipped to 0..most, as uint32."""
    return np.clip(np.rint(values), 0, most).astype(np.uint32)


def split_smallest_three(quats: Array) -> tuple[Array, Array]:  # (N, 4) unit
    """Index of the component of largest magnitude (N,) and the other three in order (N, 3), in -sqrt(1/2)..sqrt(1/2).

    The sign is turned so that the left-out component is positive.
    """
    largest = np.abs(quats).argmax(axis=1)
    left_out = np.take_along_axis(quats, largest[:, None], axis=1)
    return largest, np.take_along_axis(quats, _OTHERS[largest], axis=1) * np.where(left_out < 0, -1, 1)


def join_smallest_three(largest: Array, others: Array) -> Array:  # (N,) 0..3, (N, 3)
    """(N, 4) quaternions, inverse of `split_smallest_three`."""
    quats = np.empty((len(others), 4))
    left_out = np.sqrt(np.maximum(0, 1 - (others * others).sum(axis=1)))
    np.put_along_axis(quats, largest[:, None].astype(np.int64), left_out[:, None], axis=1)
    np.put_along_axis(quats, _OTHERS[largest], others, axis=1)
    return quats
