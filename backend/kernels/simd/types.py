# SPDX-License-Identifier: Apache-2.0
"""Vector values for Numba: f32s, i32s and masks of VECTOR_WIDTH lanes, with their operators.

A value of these types is one LLVM vector. Scalars on one side of an operator are broadcast. Comparisons are ordered:
false where a lane is NaN. Multiplications and additions may be fused, nothing else is relaxed, so NaN and infinity
behave as IEEE says and rounding tricks survive.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import lower_builtin, models, register_model

from .width import VECTOR_WIDTH

FLAGS = ("contract", "nsz")

F32 = ir.FloatType()
I32 = ir.IntType(32)
LLVM_TYPES = {
    "f32s": ir.VectorType(F32, VECTOR_WIDTH),
    "i32s": ir.VectorType(I32, VECTOR_WIDTH),
    "mask": ir.VectorType(ir.IntType(1), VECTOR_WIDTH),
}


class Vector(types.Type):
    """The Numba type of a vector; `kind` is a key of LLVM_TYPES."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        super().__init__(name=f"{kind}x{VECTOR_WIDTH}")


F32S, I32S, MASK = Vector("f32s"), Vector("i32s"), Vector("mask")
VECTORS = {v.kind: v for v in (F32S, I32S, MASK)}


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager: Any, numba_type: Vector) -> None:
        super().__init__(manager, numba_type, LLVM_TYPES[numba_type.kind])


def constant(kind: str, value: float) -> ir.Constant:
    """The same number in every lane."""
    return ir.Constant(LLVM_TYPES[kind], [int(value) if kind == "i32s" else float(value)] * VECTOR_WIDTH)


def shuffle(builder: Any, a: Any, b: Any, lanes: list[int]) -> Any:
    """LLVM's shufflevector: lanes of a, then (from len(a) on) of b."""
    return builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(I32, len(lanes)), lanes))


def broadcast_value(builder: Any, scalar: Any, kind: str) -> Any:
    """An LLVM scalar of the kind's element type into every lane."""
    empty = ir.Constant(LLVM_TYPES[kind], ir.Undefined)
    return shuffle(builder, builder.insert_element(empty, scalar, I32(0)), empty, [0] * VECTOR_WIDTH)


def as_vector(context: Any, builder: Any, value: Any, numba_type: types.Type, kind: str) -> Any:
    """The LLVM value of an operand, broadcast if it is a scalar."""
    if isinstance(numba_type, Vector):
        return value
    scalar_type = types.int32 if kind == "i32s" else types.float32
    return broadcast_value(builder, context.cast(builder, value, numba_type, scalar_type), kind)


_SCALARS = (types.Number, types.IntegerLiteral)
Lowering = Callable[[Any, Any, Any], Any]


def _define(function: Any, lowerings: dict[str, Lowering], result: str | None = None) -> None:
    """Give a Python operator a meaning for vectors: one LLVM instruction a kind."""

    class Template(AbstractTemplate):
        def generic(self, args: Any, kws: Any) -> Any:
            if len(args) != 2:
                return None
            for kind in lowerings:
                vector = VECTORS[kind]
                if vector in args and all(a == vector or isinstance(a, _SCALARS) for a in args):
                    return signature(VECTORS[result or kind], *args)
            return None

    infer_global(function)(Template)

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        kind = next(t.kind for t in sig.args if isinstance(t, Vector))
        x, y = (as_vector(context, builder, a, t, kind) for a, t in zip(args, sig.args, strict=True))
        return lowerings[kind](builder, x, y)

    operands = (Vector, *_SCALARS)
    for left in operands:
        for right in operands:
            if Vector in (left, right):
                lower_builtin(function, left, right)(lower)


def _comparison(symbol: str) -> dict[str, Lowering]:
    return {
        "f32s": lambda b, x, y: b.fcmp_ordered(symbol, x, y),
        "i32s": lambda b, x, y: b.icmp_signed(symbol, x, y),
    }


def _define_operators() -> None:
    _define(operator.add, {"f32s": lambda b, x, y: b.fadd(x, y, flags=FLAGS), "i32s": lambda b, x, y: b.add(x, y)})
    _define(operator.sub, {"f32s": lambda b, x, y: b.fsub(x, y, flags=FLAGS), "i32s": lambda b, x, y: b.sub(x, y)})
    _define(operator.mul, {"f32s": lambda b, x, y: b.fmul(x, y, flags=FLAGS), "i32s": lambda b, x, y: b.mul(x, y)})
    _define(operator.truediv, {"f32s": lambda b, x, y: b.fdiv(x, y, flags=FLAGS)})
    _define(operator.lshift, {"i32s": lambda b, x, y: b.shl(x, y)})
    _define(operator.rshift, {"i32s": lambda b, x, y: b.ashr(x, y)})
    for symbol, function in ((">=", operator.ge), (">", operator.gt), ("<=", operator.le), ("<", operator.lt)):
        _define(function, _comparison(symbol), result="mask")
    _define(operator.and_, {kind: lambda b, x, y: b.and_(x, y) for kind in ("mask", "i32s")})
    _define(operator.or_, {kind: lambda b, x, y: b.or_(x, y) for kind in ("mask", "i32s")})


_define_operators()
