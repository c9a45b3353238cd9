# SPDX-License-Identifier: Apache-2.0
"""glTF 2.0 with KHR_gaussian_splatting (ratified 2026): floats as trained, in a file that 3D programs open.

Specification: github.com/KhronosGroup/glTF, extensions/2.0/Khronos/KHR_gaussian_splatting. A POINTS primitive has
POSITION and KHR_gaussian_splatting:ROTATION (x y z w), :SCALE (linear), :OPACITY (0..1), :SH_DEGREE_l_COEF_n (r g b);
COLOR_0 is for programs that do not know the extension. glTF is y up and its front is +z, which is RUB here: a double
exported so lies in its avatar as Blender's own glTF exporter writes that.
"""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from . import quantisation as q
from .axes import flipped_yz
from .cloud import SH_C0, Array, SplatCloud
from .gltf_document import Document, placed_primitives

EXTENSION = "KHR_gaussian_splatting"
_POINTS, _FLOAT, _BYTE, _ARRAY_BUFFER = 0, 5126, 5121, 34962
_TYPE_OF_WIDTH = {1: "SCALAR", 3: "VEC3", 4: "VEC4"}
_LEAST_OPACITY, _MOST_OPACITY = 1e-30, 1 - 2.0**-25  # the nearest float32 to 1 stands for 1
_RENDER_MODE = "SplatRenderMode"  # in the primitive's extras, with the values of the PLY comment
_COLOUR_SPACE = "srgb_rec709_display"
_MOST_PLACED = 10_000_000  # a small file can show one mesh in thousands of places


def encode_glb(cloud: SplatCloud) -> Iterator[bytes]:
    """One binary file."""
    document, blocks = _document(cloud)
    text = json.dumps(document, separators=(",", ":")).encode("ascii")
    text += b" " * (-len(text) % 4)
    binary = document["buffers"][0]["byteLength"]
    yield struct.pack("<4sII", b"glTF", 2, 12 + 8 + len(text) + 8 + binary)
    yield struct.pack("<I4s", len(text), b"JSON") + text + struct.pack("<I4s", binary, b"BIN\0")
    yield from blocks


def encode_gltf(cloud: SplatCloud) -> Iterator[bytes]:
    """One text file: the numbers are inside it, base64."""
    document, blocks = _document(cloud)
    packed = base64.b64encode(b"".join(blocks)).decode("ascii")
    document["buffers"][0]["uri"] = "data:application/octet-stream;base64," + packed
    yield json.dumps(document, separators=(",", ":")).encode("ascii")


def _document(cloud: SplatCloud) -> tuple[dict[str, Any], list[bytes]]:
    """The JSON and the parts of its one buffer, each of a multiple of four bytes."""
    views: list[dict[str, Any]] = []
    accessors: list[dict[str, Any]] = []
    names: dict[str, int] = {}
    blocks: list[bytes] = []
    start = 0
    for name, values in _attributes(flipped_yz(cloud)):
        block = np.ascontiguousarray(values).tobytes()
        views.append({"buffer": 0, "byteOffset": start, "byteLength": len(block), "target": _ARRAY_BUFFER})
        accessor = {
            "bufferView": len(accessors), "componentType": _BYTE if values.dtype == np.uint8 else _FLOAT,
            "count": len(values), "type": _TYPE_OF_WIDTH[values.shape[1]],
        }  # fmt: skip
        if values.dtype == np.uint8:
            accessor["normalized"] = True
        if name == "POSITION":
            accessor |= {"min": values.min(axis=0).tolist(), "max": values.max(axis=0).tolist()}
        names[name] = len(accessors)
        accessors.append(accessor)
        blocks.append(block)
        start += len(block)
    splatting = {"kernel": "ellipse", "colorSpace": _COLOUR_SPACE, "projection": "perspective",
                 "sortingMethod": "cameraDistance"}  # fmt: skip
    primitive: dict[str, Any] = {"mode": _POINTS, "attributes": names, "extensions": {EXTENSION: splatting}}
    if cloud.antialiased:
        primitive["extras"] = {_RENDER_MODE: "mip"}
    return {
        "asset": {"version": "2.0", "generator": "Digidouble"}, "extensionsUsed": [EXTENSION], "scene": 0,
        "scenes": [{"nodes": [0]}], "nodes": [{"mesh": 0}], "meshes": [{"primitives": [primitive]}],
        "accessors": accessors, "bufferViews": views, "buffers": [{"byteLength": start}],
    }, blocks  # fmt: skip


def _attributes(cloud: SplatCloud) -> Iterator[tuple[str, Array]]:
    opacities = q.opacity_from_logit(cloud.opacity_logits)
    rgba = np.concatenate([0.5 + SH_C0 * cloud.sh[:, 0], opacities[:, None]], axis=1)
    yield "POSITION", cloud.means.astype("<f4")
    yield "COLOR_0", q.quantised(rgba * 255, 255).astype(np.uint8)
    yield f"{EXTENSION}:ROTATION", np.roll(q.unit_quaternions(cloud.quats_wxyz), -1, axis=1).astype("<f4")
    yield f"{EXTENSION}:SCALE", q.scale_from_log(cloud.log_scales).astype("<f4")
    yield f"{EXTENSION}:OPACITY", opacities.astype("<f4")[:, None]
    for name, k in _sh_names(cloud.degree):
        yield name, cloud.sh[:, k].astype("<f4")


def _sh_names(degree: int) -> list[tuple[str, int]]:
    """Attribute of each coefficient, and its place."""
    places = [(band, n) for band in range(degree + 1) for n in range(2 * band + 1)]
    return [(f"{EXTENSION}:SH_DEGREE_{band}_COEF_{n}", band**2 + n) for band, n in places]


def decode_glb(data: bytes, path: Path) -> SplatCloud:
    """The splats of a .glb."""
    if data[:4] != b"glTF":
        raise InputError(f"{path} is not a GLB file.", "Give the .glb of a splat cloud.")
    version, total = struct.unpack_from("<II", data, 4)
    if version != 2:
        raise InputError(f"{path} is glTF {version}; 2 is read.", "Export it again.")
    if total > len(data):
        raise InputError(f"The splat file {path} ends after {len(data)} of {total} bytes.", "Copy it again.")
    chunks: list[tuple[bytes, memoryview]] = []
    position = 12
    while position < total and len(chunks) < 2:
        size, kind = struct.unpack_from("<I4s", data, position)
        if position + 8 + size > total:
            raise ValueError("a chunk is longer than the file")
        chunks.append((kind, memoryview(data)[position + 8 : position + 8 + size]))
        position += 8 + size
    if not chunks or chunks[0][0] != b"JSON":
        raise ValueError("its first chunk is no JSON")
    binary = chunks[1][1] if len(chunks) > 1 and chunks[1][0] == b"BIN\0" else None
    return _cloud(Document.parse(bytes(chunks[0][1]), path, binary), path)


def decode_gltf(data: bytes, path: Path) -> SplatCloud:
    """The splats of a .gltf, with its buffers inside or in files beside it."""
    return _cloud(Document.parse(data, path, None), path)


def _cloud(document: Document, path: Path) -> SplatCloud:
    """All splat primitives of the scene, in the places that its nodes give them, as one cloud."""
    clouds: list[SplatCloud] = []
    for primitive, place in placed_primitives(document):
        splatting = primitive.get("extensions", {}).get(EXTENSION)
        if splatting is None:
            continue
        _check(splatting, primitive, path)
        clouds.append(place(_primitive(document, primitive)))
        if len(clouds) > 1 and sum(map(len, clouds)) > _MOST_PLACED:
            raise InputError(f"{path} shows more than {_MOST_PLACED} splats in several places.", "Export each alone.")
    if not clouds:
        raise InputError(f"{path} holds no Gaussian splats.", f"Only {EXTENSION} is read from glTF.")
    return flipped_yz(_joined(clouds))


def _joined(clouds: list[SplatCloud]) -> SplatCloud:
    """One cloud out of several; bands that one lacks are zero."""
    if len(clouds) == 1:
        return clouds[0]
    sh = np.zeros((sum(map(len, clouds)), max(cloud.sh.shape[1] for cloud in clouds), 3), np.float32)
    start = 0
    for cloud in clouds:
        sh[start : start + len(cloud), : cloud.sh.shape[1]] = cloud.sh
        start += len(cloud)
    return SplatCloud(
        np.concatenate([c.means for c in clouds]), np.concatenate([c.log_scales for c in clouds]),
        np.concatenate([c.quats_wxyz for c in clouds]), np.concatenate([c.opacity_logits for c in clouds]), sh,
        all(c.antialiased for c in clouds),
    )  # fmt: skip


def _check(splatting: dict[str, Any], primitive: dict[str, Any], path: Path) -> None:
    kernel, space = splatting.get("kernel"), splatting.get("colorSpace")
    if kernel != "ellipse":
        raise InputError(f"{path} has splats with the kernel {kernel!r}.", "Only ellipse is read.")
    if space != _COLOUR_SPACE:
        raise InputError(f"{path} has splats in the colour space {space!r}.", f"Only {_COLOUR_SPACE} is read.")
    if splatting.get("extensions"):
        used = ", ".join(splatting["extensions"])
        raise InputError(f"{path} has compressed splats ({used}).", "Export it without compression.")
    if primitive.get("mode", 4) != _POINTS:
        raise ValueError("splats that are no points")


def _primitive(document: Document, primitive: dict[str, Any]) -> SplatCloud:
    names = primitive["attributes"]
    degree = max(band for band in range(4) if band == 0 or f"{EXTENSION}:SH_DEGREE_{band}_COEF_0" in names)
    sh = [document.accessor(names[name], 3) for name, _ in _sh_names(degree)]
    opacities = document.accessor(names[f"{EXTENSION}:OPACITY"], 1)[:, 0]
    return SplatCloud(
        document.accessor(names["POSITION"], 3),
        q.log_from_scale(document.accessor(names[f"{EXTENSION}:SCALE"], 3)),
        np.roll(document.accessor(names[f"{EXTENSION}:ROTATION"], 4), 1, axis=1),
        q.logit_from_opacity(opacities, _LEAST_OPACITY, _MOST_OPACITY),
        np.stack(sh, axis=1), (primitive.get("extras") or {}).get(_RENDER_MODE) == "mip",
    )  # fmt: skip
