# SPDX-License-Identifier: Apache-2.0
"""The rasterizer on a GPU: what is launched so that each sample knows its nearest face: the faces of `cpu`.

The kernels, `cuda/nearest_faces.cu`, compute in double precision without fused multiply-adds, as the CPU does.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from ..cuda.device import Device
from ..cuda.launches import Clear, Launch, Operation, Pointer
from ..cuda.memory import Buffers
from ..cuda.sources import MESH_THREADS, SWAP, Variant

VARIANT = Variant(program=SWAP)
_FACE_BYTES = 96  # struct Face of face.cuh
_LARGE_BLOCKS = 1024
DEPTH_PASS, INDEX_PASS = 0, 1


def grid(threads: int) -> tuple[int, int, int]:
    """Blocks for so many threads."""
    return max(1, -(-threads // MESH_THREADS)), 1, 1


def face_sizes(vertices: int, faces: int) -> dict[str, int]:
    """Bytes of what a mesh needs, by name: `vertices` (V, 3) float64 in samples times depth, and `faces` (F, 3) int32
    come from the host; the rest is made anew in each view."""
    return {"vertices": 24 * vertices, "faces": 12 * faces, "prepared": _FACE_BYTES * faces, "large": 4 * (faces + 1)}


def sample_sizes(samples: int) -> dict[str, int]:
    """Bytes of what so many samples need, by name. codes: ~face as uint32, 0 where nothing is."""
    return {"nearest": 8 * samples, "codes": 4 * samples}


def nearest_faces(faces: int, width: int, height: int, at: Mapping[str, int]) -> list[Operation]:
    """From `vertices` and `faces` to `codes`, (height, width) samples."""
    samples = width * height
    prepared, large, nearest, codes = (Pointer(at[name]) for name in ("prepared", "large", "nearest", "codes"))
    operations: list[Operation] = [Clear(at["large"], 4), Clear(at["nearest"], 8 * samples)]
    operations += [
        Clear(at["codes"], 4 * samples),
        Launch("prepare_faces", grid(faces), MESH_THREADS,
               (Pointer(at["vertices"]), Pointer(at["faces"]), faces, width, height, prepared, large)),
    ]  # fmt: skip
    for number in (DEPTH_PASS, INDEX_PASS):
        operations += [
            Launch("nearest_small", grid(faces), MESH_THREADS, (prepared, faces, width, nearest, codes, number)),
            Launch("nearest_large", (_LARGE_BLOCKS, 1, 1), MESH_THREADS,
                   (prepared, large, width, height, nearest, codes, number)),
        ]  # fmt: skip
    return operations


def rasterize_faces(
    device: Device, vertices: npt.NDArray, faces: npt.NDArray, width: int, height: int
) -> npt.NDArray[np.int32]:  # (V, 3): x*z, y*z, z; (F, 3)
    """(height, width) the nearest face under each sample, -1 where nothing is: `Raster.face` of the CPU."""
    buffers = Buffers(device)
    try:
        buffers.add({**face_sizes(len(vertices), len(faces)), **sample_sizes(width * height)})
        device.upload(buffers.at["vertices"], np.ascontiguousarray(vertices, np.float64))
        device.upload(buffers.at["faces"], np.ascontiguousarray(faces, np.int32))
        device.execute(device.load(VARIANT), nearest_faces(len(faces), width, height, buffers.at))
        codes = np.empty((height, width), np.uint32)
        device.download(buffers.at["codes"], codes)
    finally:
        buffers.free()
    return np.where(codes == 0, -1, (~codes).astype(np.int32)).astype(np.int32)
