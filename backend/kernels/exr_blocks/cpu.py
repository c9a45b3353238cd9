# SPDX-License-Identifier: Apache-2.0
"""Packing and unpacking the bytes of EXR blocks in few calls, which run without Python's lock.

numpy needs some fifty operations a block and takes the lock anew after each: with sixteen threads at work, handing it
on took longer than the work. A call here releases it once.
"""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt
from isal import igzip_lib, isal_zlib

Bytes = npt.NDArray[np.uint8]
_LOW_BYTES, _ONES = np.uint64(0x00FF00FF00FF00FF), np.uint64(0x0001000100010001)  # of 16-bit lanes
_HALVES, _BYTE = np.uint64(0x8000800080008000), np.uint64(0xFF)
_LEVEL = 2  # of 0 to 3: captured views are as small as with zlib, in a seventh of the time
_7, _8, _48 = np.uint64(7), np.uint64(8), np.uint64(48)


class CompiledBlocks:
    """See `interchange.exr.Blocks`; may be called from any thread. Deflate is that of Intel's ISA-L."""

    def deflate(self, data: Bytes) -> bytes:  # (N,)
        """See `Blocks.deflate`."""
        return isal_zlib.compress(data.data, _LEVEL)

    def inflate(self, packed: memoryview, most: int) -> bytes:
        """See `Blocks.inflate`."""
        try:
            return isal_zlib.decompressobj().decompress(packed, most)
        except igzip_lib.IsalError as error:  # type: ignore[misc]  # the stubs have an instance for the class
            raise ValueError(str(error)) from None

    def differences(self, raw: Bytes) -> Bytes:  # (N,)
        """See `Blocks.differences`."""
        result = np.empty(len(raw), np.uint8)
        _differences(raw, result)
        return result

    def place(self, packed: Bytes, spans: npt.NDArray[np.int64], out: Bytes) -> None:  # (N,), (S, 3), (rows, bytes)
        """See `Blocks.place`."""
        _place(packed, np.empty(len(packed), np.uint8), spans, out)


@numba.njit(cache=True, nogil=True)
def _differences(raw: Bytes, result: Bytes) -> None:
    half = len(raw) // 2
    if half == 0:
        return
    result[0] = raw[0]
    for i in range(1, half):
        result[i] = raw[2 * i] - raw[2 * i - 2] + 128
    result[half] = raw[1] - raw[2 * half - 2] + 128
    for i in range(1, half):
        result[half + i] = raw[2 * i + 1] - raw[2 * i - 1] + 128


@numba.njit(cache=True, nogil=True)
def _place(packed: Bytes, sums: Bytes, spans: npt.NDArray[np.int64], out: Bytes) -> None:
    _sum_up(packed, sums)
    rows = len(out)
    width = len(packed) // 2 // rows
    even, odd = sums[: rows * width].reshape(rows, width), sums[rows * width :].reshape(rows, width)
    for row in range(rows):
        for s in range(len(spans)):
            start, stop, place = spans[s]
            _interleave(even[row, start:stop], odd[row, start:stop], out[row, 2 * place : 2 * (place + stop - start)])


@numba.njit(cache=True, nogil=True)
def _interleave(even: Bytes, odd: Bytes, out: Bytes) -> None:
    for k in range(len(even)):
        out[2 * k] = even[k]
        out[2 * k + 1] = odd[k]


@numba.njit(cache=True, nogil=True)
def _sum_up(packed: Bytes, sums: Bytes) -> None:
    """Running sums modulo 256, with 128 more in every second one: each difference was stored with 128 added.

    Eight bytes at a time in a 64-bit word, as four lanes of 16 bits, even and odd bytes apart.
    """
    words, result = packed[: len(packed) // 8 * 8].view(np.uint64), sums[: len(packed) // 8 * 8].view(np.uint64)
    total = np.uint64(0)
    for i in range(len(words)):
        odd = (words[i] >> _8) & _LOW_BYTES
        pairs = ((words[i] & _LOW_BYTES) + odd + total) * _ONES
        result[i] = (((pairs - odd) & _LOW_BYTES) | ((pairs & _LOW_BYTES) << _8)) ^ _HALVES
        total = (pairs >> _48) & _BYTE
    for i in range(len(words) * 8, len(packed)):
        total = (total + np.uint64(packed[i])) & _BYTE
        sums[i] = total ^ (np.uint64(i & 1) << _7)
