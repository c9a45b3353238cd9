# SPDX-License-Identifier: Apache-2.0
"""Arithmetic on vectors beyond the operators: select, min, max, roots, powers of two, logarithms, masks, sums."""

# Numba reads these functions' signatures: the first argument is its typing context, the rest are the operands' types.
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .types import (
    F32S,
    FLAGS,
    I32,
    I32S,
    LLVM_TYPES,
    MASK,
    VECTOR_WIDTH,
    VECTORS,
    as_vector,
    broadcast_value,
    constant,
    shuffle,
)  # fmt: skip

_WIDTH_BITS = ir.IntType(VECTOR_WIDTH)


@intrinsic
def broadcast(typing_context, x):
    """A scalar into every lane."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return broadcast_value(builder, context.cast(builder, args[0], sig.args[0], types.float32), "f32s")

    return F32S(x), generate


@intrinsic
def broadcast_int(typing_context, x):
    """An integer into every lane."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return broadcast_value(builder, context.cast(builder, args[0], sig.args[0], types.int32), "i32s")

    return I32S(x), generate


@intrinsic
def zeros(typing_context):
    """0.0 in every lane."""
    return F32S(), lambda context, builder, sig, args: constant("f32s", 0)


@intrinsic
def lane_numbers(typing_context):
    """0.0, 1.0, 2.0, ..."""
    numbers = ir.Constant(LLVM_TYPES["f32s"], [float(i) for i in range(VECTOR_WIDTH)])
    return F32S(), lambda context, builder, sig, args: numbers


@intrinsic
def select(typing_context, mask, x, y):
    """x where the mask is set, else y; scalars are broadcast."""
    vector = next((t for t in (x, y) if t in (F32S, I32S, MASK)), F32S)

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        a, b = (as_vector(context, builder, args[i], sig.args[i], vector.kind) for i in (1, 2))
        return builder.select(args[0], a, b)

    return VECTORS[vector.kind](mask, x, y), generate


def _extremum(symbol: str, x: Any, y: Any) -> Any:
    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        a, b = (as_vector(context, builder, v, t, "f32s") for v, t in zip(args, sig.args, strict=True))
        return builder.select(builder.fcmp_ordered(symbol, a, b), a, b)

    return F32S(x, y), generate


@intrinsic
def minimum(typing_context, x, y):
    """The smaller one; y where x is NaN."""
    return _extremum("<", x, y)


@intrinsic
def maximum(typing_context, x, y):
    """The larger one; y where x is NaN."""
    return _extremum(">", x, y)


def _unary(name: str, x: Any) -> Any:
    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        vector = LLVM_TYPES["f32s"]
        kind = ir.FunctionType(vector, [vector])
        return builder.call(cgutils.get_or_insert_function(builder.module, kind, f"{name}.v{VECTOR_WIDTH}f32"), args)

    return F32S(x), generate


@intrinsic
def square_root(typing_context, x):
    """NaN below zero."""
    return _unary("llvm.sqrt", x)


@intrinsic
def absolute(typing_context, x):
    """The sign bit cleared."""
    return _unary("llvm.fabs", x)


@intrinsic
def floor(typing_context, x):
    """Rounded towards minus infinity."""
    return _unary("llvm.floor", x)


@intrinsic
def to_int(typing_context, x):
    """Truncated; only for values well inside the range of 32 bits."""
    return I32S(x), lambda context, builder, sig, args: builder.fptosi(args[0], LLVM_TYPES["i32s"])


_EXP2 = (0.00132763556, 0.00967510402, 0.0555071363, 0.240221197, 0.693146967, 1.00000007)
_ROUND = 12582912.0  # 1.5 * 2^23: adding it leaves the rounded integer in the low mantissa bits


def _exp2(builder: Any, x: Any) -> Any:
    # No "nsz"-only trick: these additions carry no flags at all, or LLVM would cancel the rounding.
    shifted = builder.fadd(x, constant("f32s", _ROUND))
    fraction = builder.fsub(x, builder.fsub(shifted, constant("f32s", _ROUND)))
    exponent = builder.shl(builder.bitcast(shifted, LLVM_TYPES["i32s"]), constant("i32s", 23))
    result = constant("f32s", _EXP2[0])
    for c in _EXP2[1:]:
        result = builder.fadd(builder.fmul(result, fraction, flags=FLAGS), constant("f32s", c), flags=FLAGS)
    bits = builder.add(builder.bitcast(result, LLVM_TYPES["i32s"]), exponent)
    return builder.bitcast(bits, LLVM_TYPES["f32s"])


@intrinsic
def exp2(typing_context, x):
    """2^x for -125 <= x <= 125, relative error 2e-7 (minimax polynomial of degree 5 on [-1/2, 1/2])."""
    return F32S(x), lambda context, builder, sig, args: _exp2(builder, args[0])


@intrinsic
def exp(typing_context, x):
    """e^x, clamped to 2^-125 .. 2^125."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        y = builder.fmul(args[0], constant("f32s", 1.4426950408889634))
        low, high = constant("f32s", -125.0), constant("f32s", 125.0)
        y = builder.select(builder.fcmp_ordered(">", y, low), y, low)
        return _exp2(builder, builder.select(builder.fcmp_ordered("<", y, high), y, high))

    return F32S(x), generate


_LOG = (
    7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1, -1.6668057665e-1,
    2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1,
)  # fmt: skip


@intrinsic
def log2(typing_context, x):
    """log2(x) of positive normal x, relative error 1e-7 (the polynomial of Cephes' logf, S. Moshier)."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        ints, floats = LLVM_TYPES["i32s"], LLVM_TYPES["f32s"]

        def multiply_add(a: Any, b: Any, c: Any) -> Any:
            return builder.fadd(builder.fmul(a, b, flags=FLAGS), c, flags=FLAGS)

        bits = builder.bitcast(args[0], ints)
        exponent = builder.ashr(builder.sub(bits, constant("i32s", 0x3F3504F3)), constant("i32s", 23))
        mantissa = builder.bitcast(builder.sub(bits, builder.shl(exponent, constant("i32s", 23))), floats)
        f = builder.fsub(mantissa, constant("f32s", 1.0))
        square = builder.fmul(f, f)
        series = constant("f32s", _LOG[0])
        for c in _LOG[1:]:
            series = multiply_add(series, f, constant("f32s", c))
        tail = multiply_add(builder.fmul(square, f), series, builder.fmul(square, constant("f32s", -0.5)))
        natural = builder.fadd(f, tail, flags=FLAGS)
        return multiply_add(natural, constant("f32s", 1.4426950408889634), builder.sitofp(exponent, floats))

    return F32S(x), generate


@intrinsic
def mask_bits(typing_context, mask):
    """Lane i of the mask as bit i of an unsigned integer."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.zext(builder.bitcast(args[0], _WIDTH_BITS), I32)

    return types.uint32(mask), generate


@intrinsic
def mask_from_bits(typing_context, bits):
    """Bit i of an integer as lane i of a mask."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        integer = context.cast(builder, args[0], sig.args[0], types.uint32)
        return builder.bitcast(builder.trunc(integer, _WIDTH_BITS), LLVM_TYPES["mask"])

    return MASK(bits), generate


@intrinsic
def invert(typing_context, mask):
    """Set lanes become clear and the other way round."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        ones = ir.Constant(LLVM_TYPES["mask"], [True] * VECTOR_WIDTH)
        return builder.xor(args[0], ones)

    return MASK(mask), generate


@intrinsic
def joined_from(typing_context, a, b, first):
    """VECTOR_WIDTH lanes of a followed by b, from lane `first` (a literal number) on."""
    if not isinstance(first, types.IntegerLiteral):
        return None
    lanes = list(range(first.literal_value, first.literal_value + VECTOR_WIDTH))
    return F32S(a, b, first), lambda context, builder, sig, args: shuffle(builder, args[0], args[1], lanes)


def _halves(builder: Any, v: Any, lanes: int) -> Any:
    low = shuffle(builder, v, v, list(range(lanes // 2)))
    high = shuffle(builder, v, v, list(range(lanes // 2, lanes)))
    return builder.fadd(low, high, flags=FLAGS)


@intrinsic
def lane_sum(typing_context, x):
    """The sum of all lanes, always added in the same order."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        value, lanes = args[0], VECTOR_WIDTH
        while lanes > 1:
            value, lanes = _halves(builder, value, lanes), lanes // 2
        return builder.extract_element(value, I32(0))

    return types.float32(x), generate


def eight_sums(builder: Any, vectors: list[Any]) -> Any:
    """The lane sums of eight vectors as one vector of 8 floats.

    A tree: each step adds two vectors so that one's half sums end up in the lanes whose number has a certain bit clear,
    the other's in those where it is set. Three steps leave VECTOR_WIDTH / 8 partial sums of each side by side.
    """
    half = VECTOR_WIDTH // 2
    lanes = range(VECTOR_WIDTH)
    while len(vectors) > 1:
        count = len(vectors) // 2
        joined = []
        for a, b in zip(vectors[:count], vectors[count:], strict=True):
            near = shuffle(builder, a, b, [i if not i & half else VECTOR_WIDTH + i - half for i in lanes])
            far = shuffle(builder, a, b, [i + half if not i & half else VECTOR_WIDTH + i for i in lanes])
            joined.append(builder.fadd(near, far, flags=FLAGS))
        vectors, half = joined, half // 2
    total = vectors[0]
    if VECTOR_WIDTH == 8:
        return total
    even, odd = shuffle(builder, total, total, list(lanes[::2])), shuffle(builder, total, total, list(lanes[1::2]))
    return builder.fadd(even, odd, flags=FLAGS)


@intrinsic
def trailing_zeros(typing_context, x):
    """The index of the lowest set bit of 64."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        kind = ir.FunctionType(ir.IntType(64), [ir.IntType(64), ir.IntType(1)])
        count = cgutils.get_or_insert_function(builder.module, kind, "llvm.cttz.i64")
        bits = context.cast(builder, args[0], sig.args[0], types.int64)
        return builder.call(count, [bits, ir.IntType(1)(1)])

    return types.int64(x), generate
