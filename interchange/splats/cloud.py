# SPDX-License-Identifier: Apache-2.0
"""A cloud of 3D Gaussians in memory: what every splat file is read into and written from (docs/formats/splats.md)."""

from __future__ import annotations

from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from ..errors import InputError

SH_C0 = 0.28209479177387814
"""The constant band of spherical harmonics: colour = 0.5 + SH_C0 * f_dc."""

Array = npt.NDArray[Any]


def _array(*shape: int | None) -> Any:
    def convert(value: Any) -> Array:
        array = np.ascontiguousarray(value, dtype=np.float32)
        if array.ndim != len(shape) or any(s is not None and s != n for s, n in zip(shape, array.shape, strict=True)):
            raise InputError(f"A splat array has shape {array.shape} where {shape} is expected.")
        return array

    return attrs.field(converter=convert)


@attrs.define(eq=False)
class SplatCloud:
    """N Gaussians in the splat frame (y down, metres). Colours are display-referred sRGB, as viewers expect.

    Raises InputError if the arrays do not belong together.
    """

    means: Array = _array(None, 3)  # (N, 3)
    log_scales: Array = _array(None, 3)  # (N, 3) natural log of the standard deviation along each own axis
    quats_wxyz: Array = _array(None, 4)  # (N, 4) not necessarily normalised
    opacity_logits: Array = _array(None)  # (N,)
    sh: Array = _array(None, None, 3)  # (N, K, 3), K = (degree + 1)^2, sh[:, 0] is f_dc
    antialiased: bool = False  # rendered with the screen-space compensation of Mip-Splatting

    def __attrs_post_init__(self) -> None:
        lengths = {len(a) for a in (self.means, self.log_scales, self.quats_wxyz, self.opacity_logits, self.sh)}
        if len(lengths) != 1:
            raise InputError("The arrays of a splat cloud have different lengths.")
        if self.sh.shape[1] not in (1, 4, 9, 16):
            raise InputError(f"A splat cloud has {self.sh.shape[1]} SH coefficients; 1, 4, 9 or 16 are possible.")

    def __len__(self) -> int:
        return len(self.means)

    @property
    def degree(self) -> int:
        """SH degree 0..3."""
        return int(np.sqrt(self.sh.shape[1])) - 1

    @property
    def opacities(self) -> Array:
        """(N,) 0..1."""
        with np.errstate(over="ignore"):  # far below zero the exponential is infinite and the opacity 0, as it should
            return 1 / (1 + np.exp(-self.opacity_logits))

    @property
    def scales(self) -> Array:
        """(N, 3) linear, metres."""
        return np.exp(self.log_scales)

    def subset(self, keep: npt.NDArray) -> SplatCloud:  # (N,) bool or indices
        """The splats chosen by a mask or by indices."""
        return SplatCloud(
            self.means[keep], self.log_scales[keep], self.quats_wxyz[keep], self.opacity_logits[keep], self.sh[keep],
            self.antialiased,
        )  # fmt: skip

    def finite(self) -> npt.NDArray[np.bool_]:
        """(N,) True where no number of the splat is NaN or infinite."""
        good = np.isfinite(self.opacity_logits)
        for block in (self.means, self.log_scales, self.quats_wxyz, self.sh):
            if not np.isfinite(block).all():
                good &= np.isfinite(block).reshape(len(self), -1).all(axis=1)
        return np.asarray(good)
