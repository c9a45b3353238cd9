# SPDX-License-Identifier: Apache-2.0
"""`python -m backend.kernels.compile`: compile every CPU kernel now, so that the first fit does not wait for it.

Started in the background while Blender renders; the results lie in Numba's cache beside the sources.
"""

from __future__ import annotations

import contextlib
import os

import numpy as np

from interchange.cameras import Camera

from .agreement import affine_sums, count_bits, matched, residual
from .engine import compile_kernels
from .exr_blocks import BLOCKS
from .observation import add_colours, add_equations, look_up, sum_neighbours
from .parameters import PADDING, ROW_SH
from .regularization import align, decay, wander
from .similarity import similarity_sums


def compile_helpers() -> None:
    """The kernels beside the engine's, on a point and a few pixels: what places splats, what changes them between steps
    and what measures pictures."""
    camera = Camera(np.array([[8.0, 0, 8], [0, 8, 8], [0, 0, 1]]), np.eye(4), 16, 16)
    points, normals = np.array([[0.0, 0, 2]]), np.array([[0.0, 0, 1]])
    ones, picture = np.ones((16, 16), np.float32), np.full((16, 16, 3), 0.5, np.float32)
    index, _, colour, weight, _ = look_up(points, normals, camera, ones, 3 * ones, picture)
    total, gram, moment = np.zeros((1, 3)), np.zeros((1, 4, 4), np.float32), np.zeros((1, 4, 3), np.float32)
    add_colours(index, colour, weight, 0, 1, points, True, total, np.ones(1))
    add_equations(index, colour, weight, 0, 1, points, camera.position, points, gram, moment)
    sum_neighbours(gram.reshape(1, -1), np.zeros((1, 1), np.int64), np.empty((1, 16), np.float32))
    block, flat = np.zeros((ROW_SH + 3, PADDING), np.float32), np.array([[0, 0, 1]], np.float32)
    decay(block, PADDING, 0.9, 0.0)
    align(block, 0.1, flat, np.zeros(PADDING, np.int32))
    wander(block, PADDING, 0.1, 1.0, 0, 1)
    same, plane = np.eye(3, 4, dtype=np.float32), np.empty((16, 16), np.float32)
    affine_sums(picture, ones, picture, np.zeros((0, 0), np.uint8), np.zeros((4, 4)), np.zeros((4, 3)))
    matched(picture, ones, same, np.empty_like(picture))
    residual(picture, ones, same, picture, plane)
    count_bits(plane.astype(np.float16).view(np.uint16), ones, 0.5, np.zeros(1 << 16, np.int64))
    similarity_sums(picture, picture, np.full(11, 1 / 11), ones)
    packed = BLOCKS.differences(np.zeros(4, np.uint8))
    BLOCKS.place(np.frombuffer(packed.tobytes(), np.uint8), np.array([[0, 2, 0]]), np.zeros((1, 4), np.uint8))


if __name__ == "__main__":
    with contextlib.suppress(AttributeError, OSError):  # the render goes first; Windows has no nice
        os.nice(5)
    compile_kernels()
    compile_helpers()
