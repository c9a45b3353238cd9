# SPDX-License-Identifier: Apache-2.0
"""Smooth value noise in 3D from a small periodic lattice of random numbers."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Float = npt.NDArray[np.floating]
_EDGE = 32


class Noise:
    """Value noise, the same for the same seed; about 0 on average, within -1..1."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self._lattice = rng.uniform(-1, 1, _EDGE**3).astype(np.float32)
        self._offsets = rng.uniform(0, _EDGE, (16, 3)).astype(np.float32)

    def at(self, points: Float, period: float | tuple[float, float, float], channel: int = 0) -> Float:  # (N, 3)
        """Noise at points (metres) whose bumps are about `period` metres apart: (N,). `channel` picks another field."""
        grid = points / np.asarray(period, np.float32) + self._offsets[channel % 16]
        floor = np.floor(grid)
        f = (grid - floor).astype(np.float32)
        f = f * f * (3 - 2 * f)
        low = floor.astype(np.int32) & (_EDGE - 1)
        high = (low + 1) & (_EDGE - 1)
        x0, x1 = low[:, 0] * (_EDGE * _EDGE), high[:, 0] * (_EDGE * _EDGE)
        y0, y1 = low[:, 1] * _EDGE, high[:, 1] * _EDGE
        z0, z1 = low[:, 2], high[:, 2]
        take = self._lattice.take
        fx, fy, fz = f[:, 0], f[:, 1], f[:, 2]

        def along_z(base: npt.NDArray) -> Float:
            a = take(base + z0)
            return a + (take(base + z1) - a) * fz

        near = along_z(x0 + y0)
        near += (along_z(x0 + y1) - near) * fy
        far = along_z(x1 + y0)
        far += (along_z(x1 + y1) - far) * fy
        return near + (far - near) * fx

    def fractal(self, points: Float, period: float, octaves: int, channel: int = 0) -> Float:
        """Sum of octaves, each at half the period and half the height, scaled back to -1..1: (N,)."""
        total = np.zeros(len(points), np.float32)
        for octave in range(octaves):
            total += self.at(points, period / 2**octave, channel + octave) * 0.5**octave
        return total / (2 - 0.5 ** (octaves - 1))
