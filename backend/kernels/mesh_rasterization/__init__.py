# SPDX-License-Identifier: Apache-2.0
"""Triangles to samples: which face lies under each sample of a view (or of a UV layout), where on it, how far away.

`cpu` is the compiled kernel, `reference` the same in plain numpy; both give equal bits. The way is homogeneous
rasterization (Olano and Greer, "Triangle Scan Conversion using 2D Homogeneous Coordinates", 1997): edge functions come
from the corners before the perspective division, so nothing has to be clipped and the weights are perspective-correct.
"""

from .cpu import Raster, covered_samples, interpolate, rasterize, rasterize_uv

__all__ = ["Raster", "covered_samples", "interpolate", "rasterize", "rasterize_uv"]
