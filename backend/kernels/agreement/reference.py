# SPDX-License-Identifier: Apache-2.0
"""The same in plain numpy, whole pictures at a time; for tests."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .cpu import COVERED

Array = npt.NDArray[np.floating]


def affine_sums(
    picture: Array, alpha: Array, rendered: Array, weights: npt.NDArray, gram: Array, moment: Array
) -> tuple[float, int]:
    """As `cpu.affine_sums`."""
    covered = alpha > COVERED
    x = np.concatenate([picture[covered], alpha[covered, None]], axis=1).astype(np.float64)
    w = weights[covered].astype(np.float64) if weights.size else np.ones(len(x))
    gram += (x * w[:, None]).T @ x
    moment += (x * w[:, None]).T @ (rendered[covered] - picture[covered]).astype(np.float64)
    return float(w.sum()), int(covered.sum())


def matched(picture: Array, alpha: Array, affine: Array, result: Array) -> None:
    """As `cpu.matched`."""
    result[:] = picture @ affine[:, :3].T + alpha[:, :, None] * affine[:, 3]


def residual(picture: Array, alpha: Array, affine: Array, rendered: Array, result: Array) -> None:
    """As `cpu.residual`."""
    changed = np.empty_like(picture)
    matched(picture, alpha, affine, changed)
    result[:] = np.abs(changed - rendered).mean(axis=2)


def count_bits(bits: npt.NDArray[np.uint16], alpha: Array, least: float, counts: npt.NDArray[np.int64]) -> None:
    """As `cpu.count_bits`."""
    counts += np.bincount(bits[alpha > least], minlength=len(counts))
