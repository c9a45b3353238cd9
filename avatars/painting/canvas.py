# SPDX-License-Identifier: Apache-2.0
"""The state of a painting: pigment fields that make the skin's colour, and coats of paint over it.

Skin is coloured by two absorbers, melanin and blood, whose fields the features add to: colour = tone * exp(-(melanin *
a_melanin + blood * a_blood)), in linear light (Beer-Lambert with constant path length; the coefficients follow the
trend of Jacques, "Optical properties of biological tissues", 2013, integrated by eye over the sRGB primaries). The
same variation then suits every skin tone.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from interchange.colour import linear_from_srgb, srgb_from_linear

from .chart import Chart
from .noise import Noise

Float = npt.NDArray[np.floating]

MELANIN = np.array([0.62, 1.0, 1.35], np.float32)
BLOOD = np.array([0.10, 1.0, 0.80], np.float32)


class Canvas:
    """One skin in the making: `points`, `chart` and `noise` to paint by, `melanin` and `blood` to add to."""

    def __init__(self, points: Float, chart: Chart, noise: Noise, rng: np.random.Generator) -> None:
        self.points, self.chart, self.noise, self.rng = points, chart, noise, rng
        self.melanin = np.zeros(len(points), np.float32)
        self.blood = np.zeros(len(points), np.float32)
        self._coats: list[tuple[npt.NDArray | slice, Float, Float]] = []

    def coat(self, colour: npt.NDArray, opacity: Float, ids: npt.NDArray | slice = slice(None)) -> None:
        """Lay an sRGB colour (3,) over the skin with opacity 0..1 (n,), at all texels or at `ids`."""
        self._coats.append((ids, linear_from_srgb(np.asarray(colour, np.float32)), np.clip(opacity, 0, 1)))

    def finish(self, tone: npt.NDArray) -> Float:  # (3,) sRGB
        """The painted texels: (N, 3) sRGB 0..1."""
        absorbed = self.melanin[:, None] * MELANIN + self.blood[:, None] * BLOOD
        linear = linear_from_srgb(np.asarray(tone, np.float32)) * np.exp(-absorbed)
        for ids, colour, opacity in self._coats:
            linear[ids] += (colour - linear[ids]) * opacity[:, None]
        return np.clip(srgb_from_linear(linear), 0, 1).astype(np.float32)
