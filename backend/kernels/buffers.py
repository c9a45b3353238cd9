# SPDX-License-Identifier: Apache-2.0
"""Arrays that start at a cache line: a vector that straddles two lines costs double, a stored and reloaded one more."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import types
from numba.extending import overload

from .jit import kernel

CACHE_LINE = 64


def aligned_zeros(shape: int | tuple[int, ...], dtype: npt.DTypeLike = np.float32) -> npt.NDArray[Any]:
    """Like numpy.zeros, C-contiguous, its first element at a multiple of CACHE_LINE bytes."""
    item = np.dtype(dtype).itemsize
    sizes = (shape,) if isinstance(shape, int) else shape
    raw = np.zeros(math.prod(sizes) + CACHE_LINE // item, dtype)
    skip = -raw.ctypes.data % CACHE_LINE // item
    return raw[skip : skip + math.prod(sizes)].reshape(sizes)


def aligned_copy(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """A copy that starts at a cache line."""
    result = aligned_zeros(array.shape, array.dtype)
    result[...] = array
    return result


@kernel
def scratch(size: int) -> Any:
    """An aligned float32 array of undefined content, for use inside kernels."""
    raw = np.empty(size + CACHE_LINE // 4, np.float32)
    skip = (-raw.ctypes.data % CACHE_LINE) // 4
    return raw[skip : skip + size]


@kernel
def address(array: Any) -> int:
    """Where the array's first element lies, as the functions of simd/memory.py take it instead of an array."""
    return np.int64(array.ctypes.data)  # type: ignore[return-value]


@kernel
def keep(array: Any) -> int:
    """To be called after the last use of an array's `address`: Numba gives an array's memory back after the array's own
    last use, however long its address is still in use.
    """
    return len(array)


def address_or_none(array: Any) -> Any:
    """The same, but None stays None; for use inside kernels."""
    return None if array is None else address(array)


@overload(address_or_none)
def _compiled_address_or_none(array: Any) -> Any:
    # By type, not by `if`: the result must be an integer or None, not something that may be either.
    def nothing(array: Any) -> Any:
        return None

    def place(array: Any) -> Any:
        return address(array)

    return nothing if isinstance(array, types.NoneType) else place
