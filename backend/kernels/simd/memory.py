# SPDX-License-Identifier: Apache-2.0
"""Loads and stores of vectors, blocks of pixels and records; unchecked: the caller keeps indices inside the array.

Arrays are one-dimensional, float32 or int32, contiguous; an index counts elements. Instead of an array every function
also takes the address of its first element (buffers.address): Numba counts references whenever an array changes hands,
with locked instructions that no inner loop can afford, and an integer has none. The caller keeps the array alive.
"""

# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .math import eight_sums
from .types import F32, F32S, I32, I32S, LLVM_TYPES, MASK, VECTOR_WIDTH, shuffle

BLOCK_WIDTH = 4
BLOCK_HEIGHT = VECTOR_WIDTH // BLOCK_WIDTH
"""A vector of pixels is a block: BLOCK_HEIGHT rows of 4 pixels, row by row."""

RECORD_SIZE = 16
"""Floats in a record: one cache line."""

_I64 = ir.IntType(64)
_WIDTH_BITS = ir.IntType(VECTOR_WIDTH)


def _pointer(
    context: Any, builder: Any, sig: Any, args: Any, llvm_type: Any, extra: Any = None, scale: int = 1, at: Any = None
) -> Any:
    """Address of element scale * args[1] + extra of the array args[0], a pointer to `llvm_type`; args[1] is an `at`."""
    if isinstance(sig.args[0], types.Integer):
        address = context.cast(builder, args[0], sig.args[0], types.int64)
        data = builder.inttoptr(address, F32.as_pointer())
    else:
        data = context.make_array(sig.args[0])(context, builder, args[0]).data
    index = context.cast(builder, args[1], at or sig.args[1], types.int64)
    if scale != 1:
        index = builder.mul(index, _I64(scale))
    if extra is not None:
        index = builder.add(index, extra)
    return builder.bitcast(builder.gep(data, [index], inbounds=True), llvm_type.as_pointer())


def _load(builder: Any, pointer: Any) -> Any:
    value = builder.load(pointer)
    value.align = 4
    return value


def _store(builder: Any, value: Any, pointer: Any) -> None:
    builder.store(value, pointer).align = 4


@intrinsic
def load(typing_context, array, index):
    """VECTOR_WIDTH floats from `index` on."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return _load(builder, _pointer(context, builder, sig, args, LLVM_TYPES["f32s"]))

    return F32S(array, index), generate


@intrinsic
def store(typing_context, array, index, value):
    """Write VECTOR_WIDTH floats (or integers into an int32 array) from `index` on."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        _store(builder, args[2], _pointer(context, builder, sig, args, LLVM_TYPES[sig.args[2].kind]))
        return context.get_dummy_value()

    return types.void(array, index, value), generate


@intrinsic
def load_ints(typing_context, array, index):
    """VECTOR_WIDTH integers from `index` on."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return _load(builder, _pointer(context, builder, sig, args, LLVM_TYPES["i32s"]))

    return I32S(array, index), generate


@intrinsic
def get(typing_context, array, index):
    """One float."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return _load(builder, _pointer(context, builder, sig, args, F32))

    return types.float32(array, index), generate


@intrinsic
def put(typing_context, array, index, value):
    """Write one float."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        scalar = context.cast(builder, args[2], sig.args[2], types.float32)
        _store(builder, scalar, _pointer(context, builder, sig, args, F32))
        return context.get_dummy_value()

    return types.void(array, index, value), generate


@intrinsic
def get_int(typing_context, array, index):
    """One 32-bit integer."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return _load(builder, _pointer(context, builder, sig, args, I32))

    return types.int32(array, index), generate


@intrinsic
def put_int(typing_context, array, index, value):
    """Write one 32-bit integer."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        scalar = context.cast(builder, args[2], sig.args[2], types.int32)
        _store(builder, scalar, _pointer(context, builder, sig, args, I32))
        return context.get_dummy_value()

    return types.void(array, index, value), generate


def _mask_pointer(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    """Address of the VECTOR_WIDTH bits number args[1] of the array args[0]."""
    first = context.get_constant(types.int64, 0)
    start = _pointer(context, builder, sig, (args[0], first), ir.IntType(8), at=types.int64)
    index = context.cast(builder, args[1], sig.args[1], types.int64)
    place = builder.gep(start, [builder.mul(index, _I64(VECTOR_WIDTH // 8))])
    return builder.bitcast(place, _WIDTH_BITS.as_pointer())


@intrinsic
def load_mask(typing_context, array, index):
    """The mask whose lanes are the bits VECTOR_WIDTH * index .. of an int32 array."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        bits = builder.load(_mask_pointer(context, builder, sig, args))
        bits.align = 1
        return builder.bitcast(bits, LLVM_TYPES["mask"])

    return MASK(array, index), generate


@intrinsic
def store_mask(typing_context, array, index, mask):
    """The opposite of load_mask."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        bits = builder.bitcast(args[2], _WIDTH_BITS)
        builder.store(bits, _mask_pointer(context, builder, sig, args)).align = 1
        return context.get_dummy_value()

    return types.void(array, index, mask), generate


@intrinsic
def get_long(typing_context, array, index):
    """64 bits: the elements 2 index and 2 index + 1 of an int32 array."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return _load(builder, _pointer(context, builder, sig, args, _I64, scale=2))

    return types.int64(array, index), generate


@intrinsic
def put_long(typing_context, array, index, value):
    """The opposite of get_long."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        value = context.cast(builder, args[2], sig.args[2], types.int64)
        _store(builder, value, _pointer(context, builder, sig, args, _I64, scale=2))
        return context.get_dummy_value()

    return types.void(array, index, value), generate


@intrinsic
def take_ticket(typing_context, array, index):
    """Add one to an int32 counter that threads share; its value before."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.atomic_rmw("add", _pointer(context, builder, sig, args, I32), I32(1), "monotonic")

    return types.int32(array, index), generate


@intrinsic
def prefetch(typing_context, array, index):
    """Ask for the cache line of an element that will be read soon."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        pointer = _pointer(context, builder, sig, args, ir.IntType(8))
        kind = ir.FunctionType(ir.VoidType(), [pointer.type, I32, I32, I32])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        builder.call(function, [pointer, I32(0), I32(3), I32(1)])
        return context.get_dummy_value()

    return types.void(array, index), generate


def _row_pointers(context: Any, builder: Any, sig: Any, args: Any) -> list[Any]:
    """Addresses of the BLOCK_HEIGHT rows of 4 blocks side by side in an image whose row length is args[2]."""
    row_type = ir.VectorType(F32, 4 * BLOCK_WIDTH)
    stride = context.cast(builder, args[2], sig.args[2], types.int64)
    return [
        _pointer(context, builder, sig, args, row_type, builder.mul(stride, _I64(row))) for row in range(BLOCK_HEIGHT)
    ]


def _joined(builder: Any, parts: list[Any]) -> Any:
    """Vectors of one size, one after the other, as one vector."""
    while len(parts) > 1:
        lanes = list(range(2 * parts[0].type.count))
        parts = [shuffle(builder, a, b, lanes) for a, b in zip(parts[::2], parts[1::2], strict=True)]
    return parts[0]


@intrinsic
def load_four_blocks(typing_context, array, index, stride):
    """Four blocks of pixels side by side in an image, the first at `index`: a tuple of 4 vectors.

    Rows of an image often lie a power of two apart, so that one pushes the other out of the cache: hence whole rows.
    """

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        rows = [_load(builder, p) for p in _row_pointers(context, builder, sig, args)]
        blocks = []
        for first in range(0, 4 * BLOCK_WIDTH, BLOCK_WIDTH):
            lanes = list(range(first, first + BLOCK_WIDTH))
            blocks.append(_joined(builder, [shuffle(builder, row, row, lanes) for row in rows]))
        return context.make_tuple(builder, sig.return_type, blocks)

    return types.UniTuple(F32S, 4)(array, index, stride), generate


@intrinsic
def store_four_blocks(typing_context, array, index, stride, blocks):
    """The opposite of load_four_blocks."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        blocks = cgutils.unpack_tuple(builder, args[3], 4)
        for row, pointer in enumerate(_row_pointers(context, builder, sig, args)):
            lanes = list(range(row * BLOCK_WIDTH, (row + 1) * BLOCK_WIDTH))
            _store(builder, _joined(builder, [shuffle(builder, b, b, lanes) for b in blocks]), pointer)
        return context.get_dummy_value()

    return types.void(array, index, stride, blocks), generate


def _transpose(builder: Any, rows: list[Any]) -> list[Any]:
    """Transpose n vectors of n lanes by swapping ever larger off-diagonal squares; of m n lanes: each n lanes alone."""
    count = len(rows)
    step = 1
    while step < count:
        result = list(rows)
        for i in range(count):
            if i & step:
                continue
            a, b = rows[i], rows[i + step]
            size = a.type.count
            lanes = range(size)
            result[i] = shuffle(builder, a, b, [j if not j & step else size + j - step for j in lanes])
            result[i + step] = shuffle(builder, a, b, [j + step if not j & step else size + j for j in lanes])
        rows, step = result, step * 2
    return rows


@intrinsic
def store_records(typing_context, array, index, fields):
    """Write VECTOR_WIDTH records of 16 floats, one a lane; `fields` is a tuple of 16 vectors."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        columns = cgutils.unpack_tuple(builder, args[2], RECORD_SIZE)
        for first in range(0, RECORD_SIZE, VECTOR_WIDTH):
            for lane, row in enumerate(_transpose(builder, columns[first : first + VECTOR_WIDTH])):
                where = _I64(lane * RECORD_SIZE + first)
                _store(builder, row, _pointer(context, builder, sig, args, LLVM_TYPES["f32s"], where))
        return context.get_dummy_value()

    return types.void(array, index, fields), generate


@intrinsic
def load_records(typing_context, array, index):
    """The opposite of store_records: a tuple of 16 vectors."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        fields: list[Any] = []
        for first in range(0, RECORD_SIZE, VECTOR_WIDTH):
            rows = []
            for lane in range(VECTOR_WIDTH):
                where = _I64(lane * RECORD_SIZE + first)
                rows.append(_load(builder, _pointer(context, builder, sig, args, LLVM_TYPES["f32s"], where)))
            fields += _transpose(builder, rows)
        return context.make_tuple(builder, sig.return_type, fields)

    return types.UniTuple(F32S, RECORD_SIZE)(array, index), generate


@intrinsic
def load_records_at(typing_context, array, starts, index):
    """The first 8 fields of the VECTOR_WIDTH records that begin at the elements starts[index..]: 8 vectors."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        array_type, starts_type, index_type = sig.args
        eight = ir.VectorType(F32, 8)
        rows = []
        for lane in range(VECTOR_WIDTH):
            places = types.void(starts_type, index_type)
            start = _load(builder, _pointer(context, builder, places, args[1:], I32, _I64(lane)))
            records = types.void(array_type, types.int32)
            rows.append(_load(builder, _pointer(context, builder, records, (args[0], start), eight)))
        if VECTOR_WIDTH == 16:
            rows = [shuffle(builder, a, b, list(range(16))) for a, b in zip(rows[:8], rows[8:], strict=True)]
        return context.make_tuple(builder, sig.return_type, _transpose(builder, rows))

    return types.UniTuple(F32S, 8)(array, starts, index), generate


@intrinsic
def store_eight_sums(typing_context, array, index, vectors):
    """Write the lane sums of a tuple of 8 vectors to 8 floats from `index` on."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        sums = eight_sums(builder, cgutils.unpack_tuple(builder, args[2], 8))
        _store(builder, sums, _pointer(context, builder, sig, args, ir.VectorType(F32, 8)))
        return context.get_dummy_value()

    return types.void(array, index, vectors), generate
