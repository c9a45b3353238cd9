# SPDX-License-Identifier: Apache-2.0
"""Colours and moments of rearranged splats on the CPU."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from ..parameters import ROW_SH, AdamState, SplatParameters


def check_source(parameters: SplatParameters, source: npt.NDArray[np.int32], old_columns: int) -> None:
    """ValueError if a column comes from nowhere; source: (P,), -1 for columns that start with zeros."""
    if source.shape != parameters.block.shape[1:] or not ((source >= -1) & (source < old_columns)).all():
        raise ValueError(f"The columns' sources do not fit {parameters.block.shape[1]} of {old_columns} columns.")


def fill(
    parameters: SplatParameters,  # the rows from ROW_SH on are filled
    adam: AdamState,  # filled
    old_parameters: SplatParameters,
    old_adam: AdamState,
    source: npt.NDArray[np.int32],  # (P,) old column of each new one; -1: zeros
    rested: npt.NDArray[np.bool_],  # (P,) True: zero moments
) -> None:
    """The spherical harmonics and Adam's moments of each column are those of its source."""
    known = np.flatnonzero(source >= 0)
    still = rested | (source < 0)
    pairs = [(old_parameters.block[ROW_SH:], parameters.block[ROW_SH:], source < 0),
             (old_adam.first, adam.first, still), (old_adam.second, adam.second, still)]  # fmt: skip

    def gather(pair: tuple[npt.NDArray, npt.NDArray, npt.NDArray]) -> None:
        old, new, empty = pair
        new[:, known] = old[:, source[known]]
        new[:, empty] = 0

    with ThreadPoolExecutor(len(pairs)) as pool:  # numpy lets other threads run
        list(pool.map(gather, pairs))
