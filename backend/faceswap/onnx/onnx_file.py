# SPDX-License-Identifier: Apache-2.0
"""The few things that have to be known of an ONNX file before it runs: inputs, outputs, and matrices kept inside.

An ONNX file is one protocol buffer. Its field numbers are frozen by the ONNX standard (onnx.proto: ModelProto,
GraphProto, TensorProto, ValueInfoProto), and what is read here is so little that it needs no package: a network can be
recognised, and a wrong one refused, without onnxruntime and without loading half a gigabyte.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import attrs
import numpy as np
import numpy.typing as npt

from interchange.errors import InputError

Found = TypeVar("Found")
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_GRAPH, _NODE, _INITIALIZER, _INPUT, _OUTPUT = 7, 1, 5, 11, 12
_NODE_OPERATION = 4
_TENSOR_DIMS, _TENSOR_TYPE, _TENSOR_FLOATS, _TENSOR_NAME, _TENSOR_RAW, _TENSOR_PLACE = 1, 2, 4, 8, 9, 14
_EXTERNAL = 1  # of TensorProto.DataLocation
DTYPES = {1: "float32", 10: "float16", 11: "float64", 6: "int32", 7: "int64", 2: "uint8"}
"""ONNX's element types by number, as numpy names them."""
_FLOATS = ("float32", "float16")


@attrs.frozen
class Border:
    """One input or output. shape: None where the file leaves it free."""

    name: str
    shape: tuple[int | None, ...]
    dtype: str

    def takes(self, shape: tuple[int | None, ...]) -> bool:
        """True if arrays of floats of this shape may cross it; a side that is None fits any."""
        if self.dtype not in _FLOATS or len(self.shape) != len(shape):
            return False
        return all(a is None or b is None or a == b for a, b in zip(self.shape, shape, strict=True))

    def __str__(self) -> str:
        sides = ", ".join("?" if side is None else str(side) for side in self.shape)
        return f"{self.name} [{sides}]"


@attrs.frozen
class Signature:
    """What a network takes and gives."""

    inputs: tuple[Border, ...]
    outputs: tuple[Border, ...]

    def __str__(self) -> str:
        return f"inputs {_listed(self.inputs)}, outputs {_listed(self.outputs)}"


def _listed(borders: tuple[Border, ...]) -> str:
    return " and ".join(map(str, borders[:4])) + (" and more" if len(borders) > 4 else "") or "none"


def read_signature(path: Path) -> Signature:
    """Inputs and outputs of an ONNX file. Raises InputError when it is missing, a folder, damaged, something else, or
    not all there is of the network."""

    def read(data: memoryview) -> Signature:
        graph = _graph(data)
        held = [value for number, value in graph if number == _INITIALIZER]
        if any(_is_elsewhere(value) for value in held):
            raise InputError(
                f"The model {path} keeps numbers in a second file, which its SHA-256 does not cover.",
                "Save it as one file.",
            )
        kept = {_text(value, _TENSOR_NAME) for value in held}
        inputs = [_border(value) for number, value in graph if number == _INPUT]
        outputs = [_border(value) for number, value in graph if number == _OUTPUT]
        # Old files list what they hold themselves among their inputs, too.
        return Signature(tuple(i for i in inputs if i.name not in kept), tuple(outputs))

    return _with_file(path, read)


def read_first_operations(path: Path, count: int) -> list[str]:
    """What the graph's first nodes do ("Conv", "Sub", ...), at most `count`. Raises InputError as `read_signature`."""

    def read(data: memoryview) -> list[str]:
        nodes = [value for number, value in _graph(data) if number == _NODE]
        return [_text(value, _NODE_OPERATION) for value in nodes[:count]]

    return _with_file(path, read)


def read_last_matrix(path: Path, rows: int, columns: int) -> npt.NDArray[np.float32] | None:
    """(rows, columns): the last matrix of that shape that an ONNX file holds, None if it holds none.

    Raises InputError as `read_signature` does.
    """

    def read(data: memoryview) -> npt.NDArray[np.float32] | None:
        held = [value for number, value in _graph(data) if number == _INITIALIZER]
        for value in reversed(held):
            matrix = _matrix(value, rows, columns)
            if matrix is not None:
                return matrix
        return None

    return _with_file(path, read)


def _with_file(path: Path, read: Callable[[memoryview], Found]) -> Found:
    """`read` of the file's bytes, which are mapped, not loaded; the map goes when nothing refers to it any more."""
    try:
        with open(path, "rb") as file:
            return read(memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)))
    except FileNotFoundError:
        raise InputError(f"The model {path} is missing.", "Check its name.") from None
    except OSError as error:
        raise InputError(f"The model {path} cannot be read ({error.strerror or error}).", "Check it.") from error
    except ValueError as error:  # UnicodeDecodeError among them
        raise InputError(f"{path} is damaged, or no ONNX network ({error}).", "Copy it again.") from error


def _graph(data: memoryview) -> list[tuple[int, memoryview]]:
    """Fields of the graph, by number; raises ValueError if there is none."""
    for number, value in _fields(data):
        if number == _GRAPH and isinstance(value, memoryview):
            fields = [(n, v) for n, v in _fields(value) if isinstance(v, memoryview)]
            if any(n == _OUTPUT for n, _ in fields):
                return fields
    raise ValueError("it holds no graph")


def _fields(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """(number, value) of a protocol buffer's message; raises ValueError when it ends too soon."""
    position = 0
    while position < len(data):
        key, position = _varint(data, position)
        number, kind = key >> 3, key & 7
        if number == 0:
            raise ValueError("a field without a number")
        if kind == _VARINT:
            value, position = _varint(data, position)
            yield number, value
            continue
        if kind == _BYTES:
            length, position = _varint(data, position)
        elif kind in (_FIXED64, _FIXED32):
            length = 8 if kind == _FIXED64 else 4
        else:
            raise ValueError(f"a field of kind {kind}")
        if position + length > len(data):
            raise ValueError("it ends too soon")
        yield number, data[position : position + length]
        position += length


def _varint(data: memoryview, position: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if position >= len(data):
            raise ValueError("it ends too soon")
        byte = data[position]
        position += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, position
    raise ValueError("a number without end")


def _message(data: memoryview, number: int) -> memoryview | None:
    for found, value in _fields(data):
        if found == number and isinstance(value, memoryview):
            return value
    return None


def _text(data: memoryview, number: int) -> str:
    value = _message(data, number)
    return "" if value is None else bytes(value).decode("utf-8")


def _is_elsewhere(tensor: memoryview) -> bool:
    return any(number == _TENSOR_PLACE and value == _EXTERNAL for number, value in _fields(tensor))


def _border(data: memoryview) -> Border:  # ValueInfoProto: name 1, type 2; TypeProto: tensor_type 1
    kind = _message(data, 2)
    tensor = None if kind is None else _message(kind, 1)
    if tensor is None:
        return Border(_text(data, 1), (), "")
    dtype = next((v for n, v in _fields(tensor) if n == 1 and isinstance(v, int)), 0)
    shape = _message(tensor, 2)
    sides = [] if shape is None else [_side(v) for n, v in _fields(shape) if n == 1 and isinstance(v, memoryview)]
    return Border(_text(data, 1), tuple(sides), DTYPES.get(dtype, "other"))


def _side(data: memoryview) -> int | None:
    """A dimension: its number, None where it is free (a name, nothing, or not above 0)."""
    value = next((v for n, v in _fields(data) if n == 1 and isinstance(v, int)), 0)
    return value if 0 < value < 1 << 31 else None


def _dims(data: memoryview) -> list[int]:
    sides: list[int] = []
    for number, value in _fields(data):
        if number != _TENSOR_DIMS:
            continue
        if isinstance(value, int):
            sides.append(value)
            continue
        position = 0
        while position < len(value):  # packed
            side, position = _varint(value, position)
            sides.append(side)
    return sides


def _matrix(data: memoryview, rows: int, columns: int) -> npt.NDArray[np.float32] | None:
    """A TensorProto as an array if it is a matrix of floats of that shape, kept in the file itself."""
    if _dims(data) != [rows, columns]:
        return None
    dtype = next((v for n, v in _fields(data) if n == _TENSOR_TYPE and isinstance(v, int)), 0)
    raw = _message(data, _TENSOR_RAW)
    if raw is None and dtype == 1:
        raw = _message(data, _TENSOR_FLOATS)  # packed little-endian floats, the same bytes
    width = {1: 4, 10: 2}.get(dtype, 0)
    if raw is None or not width or len(raw) != rows * columns * width:
        return None
    return np.frombuffer(bytes(raw), f"<f{width}").reshape(rows, columns).astype(np.float32)
