# SPDX-License-Identifier: Apache-2.0
"""All views' observations as one list ordered by texel, which is how they are compared and fused."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from .observations import Observations

Floats = npt.NDArray[Any]


@attrs.frozen(eq=False)
class Samples:
    """N samples of T texels by K views. texel, view: (N,), ordered by texel. colour: (N, 3) encoded sRGB. weight: (N,).
    start: (T + 1,) where each texel's samples begin."""

    texel: npt.NDArray[np.int32]
    view: npt.NDArray[np.int32]
    colour: npt.NDArray[np.float32]
    weight: npt.NDArray[np.float32]
    start: npt.NDArray[np.int64]
    views: int

    @staticmethod
    def of(observed: Sequence[Observations], texels: int) -> Samples:
        """Gather what `observed` holds, one item a view, of an atlas of so many texels."""
        texel = np.concatenate([o.texels for o in observed])
        view = np.repeat(np.arange(len(observed), dtype=np.int32), [len(o.texels) for o in observed])
        order = np.argsort(texel, kind="stable")
        start = np.zeros(texels + 1, np.int64)
        np.cumsum(np.bincount(texel, minlength=texels), out=start[1:])
        colour = np.concatenate([o.colour for o in observed])[order]
        weight = np.concatenate([o.weight for o in observed])[order]
        return Samples(texel[order], view[order], colour, weight, start, len(observed))

    def only(self, views: npt.NDArray[np.bool_]) -> Samples:  # (K,)
        """The samples of some views; the others count 0 samples, and views keep their numbers."""
        keep = views[self.view]
        texel = self.texel[keep]
        start = np.zeros_like(self.start)
        np.cumsum(np.bincount(texel, minlength=len(start) - 1), out=start[1:])
        return Samples(texel, self.view[keep], self.colour[keep], self.weight[keep], start, self.views)

    def coloured(self, gain: Floats, bias: Floats) -> Samples:  # (K, 3), (K, 3)
        """The same with each view's colours corrected."""
        colour = self.colour * gain[self.view].astype(np.float32) + bias[self.view].astype(np.float32)
        return attrs.evolve(self, colour=colour)

    def of_view(self, view: int) -> npt.NDArray[np.intp]:
        """Indices of a view's samples, ordered by texel."""
        return np.flatnonzero(self.view == view)
