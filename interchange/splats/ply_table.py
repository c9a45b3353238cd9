# SPDX-License-Identifier: Apache-2.0
"""The PLY container: its header and its elements as tables, whatever they mean.

Binary files of either byte order. Counts in the header are never believed: a table ends where the file ends.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

import attrs
import numpy as np
import numpy.typing as npt

from ..errors import InputError
from .cloud import Array

NUMBER_TYPES = {
    "float": "f4", "float32": "f4", "double": "f8", "float64": "f8", "char": "i1", "int8": "i1", "uchar": "u1",
    "uint8": "u1", "short": "i2", "int16": "i2", "ushort": "u2", "uint16": "u2", "int": "i4", "int32": "i4",
    "uint": "u4", "uint32": "u4",
}  # fmt: skip
"""numpy's code for each type of number that a PLY header names."""

_CODES = {"f4": "f", "f8": "d", "i1": "b", "u1": "B", "i2": "h", "u2": "H", "i4": "i", "u4": "I"}
_LINES, _HEADER = 1000, 1 << 17


@attrs.frozen
class Property:
    """A column: its numpy type, and the type of its length if it is a list."""

    name: str
    kind: str
    length: str = ""


@attrs.define
class Element:
    """A table of the file: `count` rows, as the header claims."""

    name: str
    count: int
    properties: list[Property] = attrs.field(factory=list)

    def row(self, order: str, lengths: dict[str, int] | None = None) -> np.dtype:
        """The type of a row whose lists have these lengths: a list is its length, then its items."""
        fields: list[tuple] = []
        for item in self.properties:
            if item.length:
                fields.append((f"length of {item.name}", order + item.length))
                fields.append((item.name, order + item.kind, ((lengths or {})[item.name],)))
            else:
                fields.append((item.name, order + item.kind))
        return np.dtype(fields)


@attrs.define
class Header:
    """What the text at the head of the file says."""

    order: str = ""  # numpy's sign of the byte order: < or >
    comments: list[str] = attrs.field(factory=list)
    elements: list[Element] = attrs.field(factory=list)
    size: int = 0  # bytes

    def element(self, name: str) -> Element | None:
        """The first element of this name."""
        return next((e for e in self.elements if e.name == name), None)


def read_header(data: bytes, path: Path) -> Header:
    """The header of a PLY. InputError if it is none, or a text PLY; ValueError or IndexError if it is damaged."""
    if data[:3] != b"ply" or data[3:4] not in (b"\n", b"\r"):
        raise InputError(f"{path} is not a PLY file.", "Give the .ply of a splat cloud.")
    header, position = Header(), 0
    for _ in range(_LINES):
        end = data.find(b"\n", position, _HEADER)
        if end < 0:
            raise ValueError("no end of header")
        words = data[position:end].decode("ascii", "replace").split()
        position = end + 1
        if words == ["end_header"]:
            header.size = position
            break
        _take_line(header, words, path)
    else:
        raise ValueError("no end of header")
    if not header.order:
        raise ValueError("no format")
    return header


def _take_line(header: Header, words: list[str], path: Path) -> None:
    kind = words[0] if words else ""
    if kind == "format":
        if words[1] == "ascii":
            raise InputError(f"{path} is a text PLY.", "Save it as binary.")
        header.order = {"binary_little_endian": "<", "binary_big_endian": ">"}[words[1]]
    elif kind == "comment":
        header.comments.append(" ".join(words[1:]))
    elif kind == "element":
        header.elements.append(Element(words[1], int(words[2])))
        if header.elements[-1].count < 0:
            raise ValueError(f"{words[2]} of {words[1]}")
    elif kind == "property":
        known = NUMBER_TYPES.get
        numbers = known(words[1]), known(words[2]), known(words[3]) if len(words) > 3 else None
        if words[1] == "list" and numbers[1] and numbers[2]:
            header.elements[-1].properties.append(Property(words[4], numbers[2], numbers[1]))
        elif numbers[0]:
            header.elements[-1].properties.append(Property(words[2], numbers[0]))
        else:
            raise ValueError(f"the property type {words[1]}")


def read_tables(header: Header, data: bytes, names: Sequence[str]) -> dict[str, npt.NDArray]:
    """Structured arrays of the elements of these names. One that the file cuts short has the rows that are there.

    Raises ValueError or struct.error if an element before them is cut short.
    """
    found: dict[str, npt.NDArray] = {}
    position = header.size
    for element in header.elements:
        if len(found) == len(names):
            break
        if element.name in names and element.name not in found:
            found[element.name] = _rows(header, element, data, position)
            if len(found[element.name]) < element.count:
                break
            position += found[element.name].nbytes
        else:
            position = _after(header, element, data, position)
    return found


def _rows(header: Header, element: Element, data: bytes, position: int) -> npt.NDArray:
    lengths = _first_lengths(header, element, data, position)
    row = element.row(header.order, lengths)
    there = (len(data) - position) // row.itemsize if row.itemsize else 0
    table = np.frombuffer(data, row, min(element.count, max(0, there)), position)
    for name, length in lengths.items():
        if (table[f"length of {name}"] != length).any():
            raise ValueError(f"the lists {name} have different lengths")
    return table


def _first_lengths(header: Header, element: Element, data: bytes, position: int) -> dict[str, int]:
    """Lengths of the lists in the first row; splat files that have lists at all repeat them in every row."""
    lengths: dict[str, int] = {}
    for item in element.properties if element.count else ():
        if item.length:
            lengths[item.name], position = _list_length(header, item, data, position)
            position += lengths[item.name] * int(item.kind[1])
        else:
            position += int(item.kind[1])
    return lengths if lengths or element.count else {p.name: 0 for p in element.properties if p.length}


def _list_length(header: Header, item: Property, data: bytes, position: int) -> tuple[int, int]:
    length = struct.unpack_from(header.order + _CODES[item.length], data, position)[0]
    if not isinstance(length, int) or length < 0:
        raise ValueError(f"a list of length {length}")
    return length, position + int(item.length[1])


def _after(header: Header, element: Element, data: bytes, position: int) -> int:
    """Where the next element begins."""
    if not any(p.length for p in element.properties):
        end = position + element.count * sum(int(p.kind[1]) for p in element.properties)
        if end > len(data):
            raise ValueError(f"it ends inside {element.name}")
        return end
    if element.count > len(data):  # each row has at least the byte of a length
        raise ValueError(f"it ends inside {element.name}")
    for _ in range(element.count):
        for item in element.properties:
            if item.length:
                length, position = _list_length(header, item, data, position)
                position += length * int(item.kind[1])
            else:
                position += int(item.kind[1])
    if position > len(data):
        raise ValueError(f"it ends inside {element.name}")
    return position


def columns(table: npt.NDArray, names: Sequence[str]) -> Array:
    """(N, len(names)) float32 of some columns. Numbers too large for float32 become infinite."""
    kinds = {table.dtype[name] for name in table.dtype.names or ()}
    if kinds == {np.dtype("<f4")}:
        every = list(table.dtype.names or ())
        places = [every.index(name) for name in names]
        matrix = table.view("<f4").reshape(len(table), -1)
        if places == list(range(places[0], places[0] + len(places))):
            return np.ascontiguousarray(matrix[:, places[0] : places[0] + len(places)])
        return np.take(matrix, places, axis=1)
    result = np.empty((len(table), len(names)), np.float32)
    with np.errstate(over="ignore"):
        for i, name in enumerate(names):
            result[:, i] = table[name]
    return result


def render_mode_comment(antialiased: bool) -> str:
    """How the splats were trained, as brush, nerfstudio and splat-transform note it in a comment."""
    return f"SplatRenderMode: {'mip' if antialiased else 'default'}"


def is_antialiased(comments: list[str]) -> bool:
    """Whether a comment says that the splats were trained with the compensation of Mip-Splatting."""
    return any(comment.split() == ["SplatRenderMode:", "mip"] for comment in comments)
