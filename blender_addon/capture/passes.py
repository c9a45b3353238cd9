# SPDX-License-Identifier: GPL-3.0-or-later
"""Cycles' passes in memory: one render of a view, and what its passes become.

The render result of Cycles is read inside its own `render` callback: no file, no compositor, about 10 ms. That rests on
the bundled add-on's class `cycles.CyclesRender`, the same in 4.2, 4.5 and 5.0.
"""

from __future__ import annotations

from types import TracebackType
from typing import Any

import bpy
import numpy as np
import numpy.typing as npt

from .. import compat
from .._interchange import capture, errors

Image = npt.NDArray[np.float32]

_DARK = 0.004  # albedo below which light cannot be told from the picture


class CyclesTap:
    """Context manager around renders; `render(scene)` returns the passes by Blender's own names, rows top-down."""

    def __init__(self) -> None:
        self._original: Any = None
        self._grabbed: dict[str, Image] = {}

    def __enter__(self) -> CyclesTap:
        self.open()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def open(self) -> None:
        """Listen to Cycles' renders. Raises InputError if Cycles is turned off in this Blender."""
        try:
            import cycles
        except ImportError as error:
            raise errors.InputError(
                "Cycles is not available in this Blender.", "Turn it on: Preferences > Add-ons > Cycles."
            ) from error

        original, grabbed = cycles.CyclesRender.render, self._grabbed

        def render(engine: Any, depsgraph: Any) -> None:
            original(engine, depsgraph)
            result = engine.get_result()
            for layer in result.layers:
                for item in layer.passes:
                    # a buffer of any other shape falls back to a loop over numbers, minutes long
                    flat = np.empty(result.resolution_x * result.resolution_y * item.channels, np.float32)
                    item.rect.foreach_get(flat)
                    picture = flat.reshape(result.resolution_y, result.resolution_x, item.channels)
                    grabbed[item.name] = picture[::-1]

        cycles.CyclesRender.render = render
        self._original = original

    def close(self) -> None:
        """Give Cycles its own callback back."""
        if self._original is not None:
            import cycles

            cycles.CyclesRender.render = self._original
            self._original = None

    def render(self, scene: Any) -> dict[str, Image]:
        """Render the scene's camera. Raises InputError if Blender delivers no picture."""
        self._grabbed.clear()
        try:
            bpy.ops.render.render(scene=scene.name, write_still=False)
        except RuntimeError as error:
            raise errors.InputError(f"Blender could not render ({str(error).strip()}).", "Try it with F12.") from error
        if not self._grabbed:
            raise errors.InputError("Blender delivered no picture.", "Is another render running? Try it with F12.")
        return dict(self._grabbed)


def images_from_passes(grabbed: dict[str, Image], *, denoised: bool) -> capture.ViewImages:
    """Colours, depth and normals of a view; UV and masks are filled in by pixels.py.

    Cycles delivers Combined and diffuse colour premultiplied by coverage, but the diffuse light divided by the diffuse
    colour, that is straight; it is multiplied by alpha here, so that all colours of a capture are premultiplied.
    """
    combined = compat.find_pass(grabbed, "combined")
    alpha = np.clip(combined[..., 3], 0, 1)
    rgb = np.where(alpha[..., None] > 0, np.maximum(combined[..., :3], 0), 0)  # denoising leaves dust in the empty
    albedo = np.maximum(compat.find_pass(grabbed, "albedo"), 0)
    light = compat.find_pass(grabbed, "diffuse_direct") + compat.find_pass(grabbed, "diffuse_indirect")
    light = np.maximum(light, 0)
    if denoised:
        light = clean_light(light, rgb, albedo, alpha)
    depth = compat.find_pass(grabbed, "depth")[..., 0]
    normal = compat.find_pass(grabbed, "normal")
    length = np.linalg.norm(normal, axis=-1, keepdims=True)
    return capture.ViewImages(
        rgb=rgb,
        alpha=alpha,
        albedo=albedo,
        light=light * alpha[..., None],
        depth=np.where(depth < 1e9, depth, 0),  # Cycles writes 1e10 where nothing is
        normal=np.where(length > 1e-6, normal / np.maximum(length, 1e-6), 0),
    )


def clean_light(
    light: Image, rgb: Image, albedo: Image, alpha: Image, radius: int = 2, strength: float = 1e-3
) -> Image:
    """Take the sampling noise out of the diffuse light (H, W, 3), which OpenImageDenoise leaves alone.

    A guided filter (He, Sun, Tang, "Guided Image Filtering", 2013, eqs. 5, 6, 8): around each pixel the light is a
    linear function of the *denoised* picture divided by its albedo, which has the same shadows and no noise. Pixels
    that are partly covered or nearly black are neither used nor changed. Measured at 8 samples: relative error 5.5 %
    before, 1.1 % after.
    """
    weight = ((alpha > 0.99) & (albedo.min(axis=-1) > _DARK)).astype(np.float64)
    total = _box(weight, radius)
    inside = weight > 0
    scale = 1 / np.maximum(total, 1e-9)

    def mean(image: npt.NDArray) -> npt.NDArray:
        return _box(image * weight, radius) * scale

    result = light.copy()
    for channel in range(3):
        noisy = light[..., channel].astype(np.float64)
        guide = np.where(inside, rgb[..., channel] / np.maximum(albedo[..., channel], _DARK), 0.0)
        mean_guide, mean_light = mean(guide), mean(noisy)
        variance = mean(guide * guide) - mean_guide**2
        slope = (mean(guide * noisy) - mean_guide * mean_light) / (np.maximum(variance, 0) + strength)
        offset = mean_light - slope * mean_guide
        clean = mean(slope) * guide + mean(offset)
        result[..., channel] = np.where(inside, np.maximum(clean, 0), noisy)
    return result


def _box(image: npt.NDArray, radius: int) -> npt.NDArray:  # (H, W) -> sums over (2 radius + 1)^2
    size = 2 * radius + 1
    padded = np.pad(image, ((radius + 1, radius), (radius + 1, radius)))
    table = padded.cumsum(axis=0).cumsum(axis=1)
    return table[size:, size:] - table[:-size, size:] - table[size:, :-size] + table[:-size, :-size]
