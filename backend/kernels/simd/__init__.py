# SPDX-License-Identifier: Apache-2.0
"""Explicit SIMD for Numba: vector types with operators (types.py), arithmetic (math.py), memory (memory.py).

Numba's own vectoriser does not cope with branches over pixels; plain loops are three times slower than these.
"""

from .math import (
    absolute,
    broadcast,
    broadcast_int,
    exp,
    exp2,
    floor,
    invert,
    joined_from,
    lane_numbers,
    lane_sum,
    log2,
    mask_bits,
    mask_from_bits,
    maximum,
    minimum,
    select,
    square_root,
    to_int,
    trailing_zeros,
    zeros,
)  # fmt: skip
from .memory import (
    BLOCK_HEIGHT,
    BLOCK_WIDTH,
    RECORD_SIZE,
    get,
    get_int,
    get_long,
    load,
    load_four_blocks,
    load_ints,
    load_mask,
    load_records,
    load_records_at,
    prefetch,
    put,
    put_int,
    put_long,
    store,
    store_eight_sums,
    store_four_blocks,
    store_mask,
    store_records,
    take_ticket,
)  # fmt: skip
from .width import VECTOR_WIDTH

__all__ = [
    "BLOCK_HEIGHT", "BLOCK_WIDTH", "RECORD_SIZE", "VECTOR_WIDTH", "absolute", "broadcast", "broadcast_int", "exp",
    "exp2", "floor", "get", "get_int", "get_long", "invert", "joined_from", "lane_numbers", "lane_sum", "load",
    "load_four_blocks", "load_ints", "load_mask", "load_records", "load_records_at", "log2", "mask_bits",
    "mask_from_bits", "maximum", "minimum", "prefetch", "put", "put_int", "put_long", "select", "square_root", "store",
    "store_eight_sums", "store_four_blocks", "store_mask", "store_records", "take_ticket", "to_int", "trailing_zeros",
    "zeros",
]  # fmt: skip
