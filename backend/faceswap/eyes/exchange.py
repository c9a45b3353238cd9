# SPDX-License-Identifier: Apache-2.0
"""Putting new irises into views, by the rule of `views.exchange_skin`, in a window around the eyes alone."""

from __future__ import annotations

from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from interchange.cameras import Camera
from interchange.capture import ViewImages
from interchange.mesh import Mesh

from ..views import exchange_skin
from .making import MadeEyes

Floats = npt.NDArray[Any]
_MARGIN = 12  # pixels around the eyes: what filters look at
_LAYERS = ("rgb", "alpha", "albedo", "light", "depth", "normal", "uv")


@attrs.frozen(eq=False)
class EyeExchange:
    """Changes the eyes of views; may be called from any thread. samples, noisy_light: as in `views.exchange_skin`."""

    made: MadeEyes
    samples: int
    noisy_light: bool

    def change(self, rgb: Floats, images: ViewImages, mesh: Mesh, camera: Camera) -> Floats:
        """`rgb` (H, W, 3), the view with its new skin, with new irises too; images: of the view as captured. Pixels
        that see no iris keep their bits."""
        result = rgb
        for index, skins in self.made.skins.items():
            window = _window(mesh.vertices[self.made.vertices[index]], camera)
            if window is None:
                continue
            part, view = _cut(images, window), _cut_camera(camera, window)
            if "eye" in part.masks and not part.masks["eye"].any():
                continue
            changed = exchange_skin(part, mesh, index, view, skins, self.samples, self.noisy_light, "eye")
            differs = (changed != part.rgb).any(-1, keepdims=True)
            if not differs.any():
                continue
            result = result.copy() if result is rgb else result
            old = result[window]
            # Where lids and iris share a pixel, both changes add up.
            result[window] = np.where(differs, np.maximum(old + (changed - part.rgb), 0), old)
        return result


def _window(vertices: Floats, camera: Camera) -> tuple[slice, slice] | None:
    """Rows and columns of the part of a view that may show points (N, 3); None if it shows none."""
    pixels, depth = camera.project(vertices)
    pixels = pixels[depth > 1e-6]
    if not len(pixels):
        return None
    low = np.maximum(np.floor(pixels.min(0)).astype(int) - _MARGIN, 0)
    high = np.minimum(np.ceil(pixels.max(0)).astype(int) + _MARGIN, (camera.width, camera.height))
    if (high - low).min() <= 0:
        return None
    return slice(low[1], high[1]), slice(low[0], high[0])


def _cut(images: ViewImages, window: tuple[slice, slice]) -> ViewImages:
    layers = {name: getattr(images, name) for name in _LAYERS}
    cut: dict[str, Any] = {n: None if v is None else np.ascontiguousarray(v[window]) for n, v in layers.items()}
    return ViewImages(**cut, masks={name: np.ascontiguousarray(mask[window]) for name, mask in images.masks.items()})


def _cut_camera(camera: Camera, window: tuple[slice, slice]) -> Camera:
    rows, columns = window
    K = np.array(camera.K, np.float64)
    K[0, 2] -= columns.start
    K[1, 2] -= rows.start
    return Camera(K, camera.world_to_camera, columns.stop - columns.start, rows.stop - rows.start)
