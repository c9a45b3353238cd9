# SPDX-License-Identifier: Apache-2.0
"""A glTF 2.0 document: its buffers, its numbers and where its scene places things. Nothing in it is believed."""

from __future__ import annotations

import base64
import json
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from ..errors import InputError
from ..paths import join_inside
from .axes import matrix_from_quaternion, moved
from .cloud import Array, SplatCloud

Place = Callable[[SplatCloud], SplatCloud]

_COMPONENTS = {5120: "<i1", 5121: "<u1", 5122: "<i2", 5123: "<u2", 5126: "<f4"}
_WIDTHS = {"SCALAR": 1, "VEC3": 3, "VEC4": 4}
_MOST_NODES = 10_000


@attrs.define
class Document:
    """The JSON of a glTF file, the file's path and the binary chunk of a .glb."""

    content: dict[str, Any]
    path: Path
    binary: memoryview | None
    _buffers: dict[int, memoryview] = attrs.field(factory=dict)

    @classmethod
    def parse(cls, text: bytes, path: Path, binary: memoryview | None) -> Document:
        """InputError if it is not JSON or not glTF 2."""
        try:
            content = json.loads(text)
        except ValueError as error:
            raise InputError(f"{path} is not a glTF file ({error}).", "Export it again.") from error
        version = content.get("asset", {}).get("version") if isinstance(content, dict) else None
        if not isinstance(version, str) or not version.startswith("2."):
            raise InputError(f"{path} is not a glTF 2 file.", "Export it again.")
        return cls(content, path, binary)

    def item(self, kind: str, index: Any) -> dict[str, Any]:
        """Entry `index` of a list of the document. ValueError if there is none."""
        entries = self.content.get(kind, [])
        if not isinstance(index, int) or not 0 <= index < len(entries) or not isinstance(entries[index], dict):
            raise ValueError(f"no {kind}[{index}]")
        return dict(entries[index])

    def accessor(self, index: Any, width: int) -> Array:
        """(count, width) float32; normalised integers become fractions. ValueError if it leaves its buffer."""
        accessor = self.item("accessors", index)
        if "sparse" in accessor or "bufferView" not in accessor:
            raise InputError(f"{self.path} has a sparse accessor.", "Export it without.")
        kind = np.dtype(_COMPONENTS[accessor["componentType"]])
        if _WIDTHS.get(accessor["type"]) != width:
            raise ValueError(f"accessor {index} is {accessor['type']}")
        view = self.item("bufferViews", accessor["bufferView"])
        stride = view.get("byteStride", kind.itemsize * width)
        count, row = _natural(accessor["count"]), kind.itemsize * width
        start = _natural(view.get("byteOffset", 0)) + _natural(accessor.get("byteOffset", 0))
        end = _natural(view.get("byteOffset", 0)) + _natural(view["byteLength"])
        data = self._buffer(view["buffer"])
        if end > len(data) or stride < row or (count and start + (count - 1) * stride + row > end):
            raise ValueError(f"accessor {index} leaves its buffer")
        values = np.ndarray((count, width), kind, data, start, (stride, kind.itemsize)).astype(np.float32)
        if kind.kind == "f" or not accessor.get("normalized"):
            return values
        return np.maximum(values / np.iinfo(kind).max, -1)

    def _buffer(self, index: Any) -> memoryview:
        if index not in self._buffers:
            buffer = self.item("buffers", index)
            uri = buffer.get("uri")
            if uri is None and (index != 0 or self.binary is None):
                raise ValueError(f"buffer {index} is nowhere")
            self._buffers[index] = memoryview(self._fetch(uri)) if uri is not None else self.binary or memoryview(b"")
        return self._buffers[index]

    def _fetch(self, uri: str) -> bytes:
        """Data inside the document, or a file below its folder."""
        if uri.startswith("data:"):
            head, _, text = uri.partition(",")
            if not head.endswith(";base64"):
                raise ValueError("a buffer that is not base64")
            return base64.b64decode(text, validate=True)
        if ":" in uri.split("/")[0]:
            raise InputError(f"{self.path} needs {uri[:80]}, which is not on this machine.", "Export it as .glb.")
        file = join_inside(self.path.parent, urllib.parse.unquote(uri))
        if not file.is_file():
            raise InputError(f"{self.path} needs {file.name}, which is missing.", "Copy it beside, or export as .glb.")
        return file.read_bytes()


def placed_primitives(document: Document) -> Iterator[tuple[dict[str, Any], Place]]:
    """Each primitive that the scene shows, and the function that puts a cloud where its node is.

    Without a scene, every mesh as it is. ValueError for nodes that contain themselves; InputError for a node whose
    scale is not the same along all axes, or that mirrors.
    """
    scenes = document.content.get("scenes")
    if not scenes:
        for mesh in document.content.get("meshes", []):
            yield from ((primitive, lambda cloud: cloud) for primitive in mesh["primitives"])
        return
    roots = document.item("scenes", document.content.get("scene", 0)).get("nodes", [])
    waiting = [(index, np.eye(4)) for index in reversed(roots)]
    for _ in range(_MOST_NODES):
        if not waiting:
            return
        index, parent = waiting.pop()
        node = document.item("nodes", index)
        matrix = parent @ _local_matrix(node)
        if "mesh" in node:
            place = _place(matrix, document.path)
            for primitive in document.item("meshes", node["mesh"])["primitives"]:
                yield primitive, place
        waiting += [(child, matrix) for child in reversed(node.get("children", []))]
    raise ValueError("its nodes contain themselves, or are too many")


def _local_matrix(node: dict[str, Any]) -> Array:
    if "matrix" in node:
        matrix = np.array(node["matrix"], np.float64).reshape(4, 4).T  # column by column in the file
    else:
        x, y, z, w = node.get("rotation", (0, 0, 0, 1))
        matrix = np.eye(4)
        matrix[:3, :3] = matrix_from_quaternion(np.array([w, x, y, z])) * np.array(node.get("scale", (1, 1, 1)))
        matrix[:3, 3] = node.get("translation", (0, 0, 0))
    if not np.isfinite(matrix).all():
        raise ValueError("a node's transform is not finite")
    return matrix


def _place(matrix: Array, path: Path) -> Place:
    if np.array_equal(matrix, np.eye(4)):
        return lambda cloud: cloud
    scales = np.linalg.norm(matrix[:3, :3], axis=0)
    scale = float(scales.mean())
    rotation = matrix[:3, :3] / (scale or 1)
    if not np.allclose(rotation.T @ rotation, np.eye(3), atol=1e-4) or np.linalg.det(rotation) < 0:
        raise InputError(
            f"{path} has splats in a node that stretches or mirrors them.", "Apply its transform and export again."
        )
    return lambda cloud: moved(cloud, rotation, scale, matrix[:3, 3])


def _natural(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"{value!r} where a count is expected")
    return value
