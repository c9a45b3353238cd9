# SPDX-License-Identifier: Apache-2.0
"""What a swapped view says about the skin: its change of colour, divided by the light, looked up at the texels seen.

This is `views.exchange_skin` backwards: seen = rendered albedo / k, new = seen + (swapped - before) / (k light). So
light and gloss of the scene are not taken for skin, and a swapped view of which only the pixels are known will do.
"""

from __future__ import annotations

from typing import Any

import attrs
import cv2
import numpy as np
import numpy.typing as npt

from interchange.cameras import Camera
from interchange.capture import ViewImages
from interchange.colour import srgb_from_linear
from interchange.errors import InputError
from interchange.mesh import Mesh

from ..atlas import Atlas
from ..sampling import sample_cubic, sample_linear
from ..views import NO_PASSES, Skins, as_rendered, filtered_skin, passed_share, smooth_light, straight_light

Floats = npt.NDArray[Any]
_GRAZING = 0.25  # cosine between normal and view below which a texel is not looked up
_FEATHER = 0.05  # of the side of the changed area: a swapper's own soft rim is a mixture of both skins
_SLOPE = 4.0  # depth that a pixel's neighbours may differ by, in pixel footprints a pixel
_TOLERANCE = 2.0  # footprints by which a texel may miss the depth
_DARK = 0.05  # of the usual light: there the skin cannot be told from the gloss on it
_FULL_SKIN = 0.95
_BRIGHTEST = 1.2


@attrs.frozen(eq=False)
class Observations:
    """A view on M of an atlas's texels. texels: (M,) indices. colour: (M, 3) encoded sRGB of the skin. weight: (M,)
    0..1: squared cosine, less at the rim of what was changed and in the dark. pixels: that were trusted."""

    texels: npt.NDArray[np.int32]
    colour: npt.NDArray[np.float32]
    weight: npt.NDArray[np.float32]
    pixels: int = 0


@attrs.frozen(eq=False)
class Surface:
    """An atlas's T texels in the world: positions and unit normals (T, 3) of one pose."""

    positions: npt.NDArray[np.float64]
    normals: npt.NDArray[np.float64]

    @staticmethod
    def of(mesh: Mesh, atlas: Atlas) -> Surface:
        """Of the posed mesh."""
        normals = atlas.of_vertices(mesh, mesh.normals).astype(np.float64)
        normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)
        return Surface(atlas.of_vertices(mesh, mesh.vertices).astype(np.float64), normals)


def observe(
    images: ViewImages, changed: Floats, mesh: Mesh, head: int, camera: Camera, surface: Surface, skins: Skins,
    noisy_light: bool,
) -> Observations:  # fmt: skip
    """Look the texels up in a view whose rgb a swapper has made `changed` (H, W, 3) from `images`.

    Texels that it does not show, or that it left as they were, are not in the result. Raises InputError when the view
    has no light, albedo or depth pass.
    """
    if images.light is None or images.albedo is None or images.depth is None:
        raise InputError(NO_PASSES, "Capture again with them, or swap with --no-consistency.")
    touched = (changed != images.rgb).any(-1)
    nothing = np.zeros(0, np.float32)
    if not touched.any():
        return Observations(nothing.astype(np.int32), nothing.reshape(0, 3), nothing)
    skin, trust = _skin_behind(images, changed, touched, mesh, head, camera, skins, noisy_light)
    texels, pixels, cosine = _seen(surface, camera, images.depth, trust > 0)
    weight = cosine**2 * sample_linear(trust[..., None], pixels)[:, 0]
    keep = weight > 1e-3
    colour = srgb_from_linear(np.clip(sample_cubic(skin, pixels[keep]), 0, 1))
    return Observations(
        texels[keep].astype(np.int32), colour, weight[keep].astype(np.float32), int((trust > 0).sum())
    )


def _skin_behind(
    images: ViewImages, changed: Floats, touched: npt.NDArray[np.bool_], mesh: Mesh, head: int, camera: Camera,
    skins: Skins, noisy_light: bool,
) -> tuple[Floats, npt.NDArray[np.float32]]:  # fmt: skip
    """The skin (H, W, 3) linear that would look `changed` in this light, and how far to trust it (H, W) 0..1."""
    assert images.albedo is not None
    difference, old, coverage = filtered_skin(mesh, head, camera, skins, 2)
    _, old = as_rendered(difference, old, coverage, images)
    share = images.masks.get("skin", coverage)
    passed = passed_share(images.albedo, old, share)[..., None]
    light = smooth_light(images, touched) if noisy_light else straight_light(images)
    brightness = light.mean(-1)
    usual = max(float(np.median(brightness[touched])), 1e-6)
    skin = (images.albedo + (changed - images.rgb) / np.maximum(light, _DARK * usual)) / passed
    lit = np.clip(brightness / (4 * _DARK * usual) - 0.25, 0, 1)
    whole = touched & (share > _FULL_SKIN) & (coverage > _FULL_SKIN)
    feather = max(1.5, _FEATHER * float(np.sqrt(touched.sum())))
    away = cv2.distanceTransform(np.pad(whole, 1).astype(np.uint8), cv2.DIST_L2, 5)[1:-1, 1:-1]
    trust = np.clip(away / feather, 0, 1) ** 2 * lit
    return np.clip(skin, 0, _BRIGHTEST), trust.astype(np.float32)


def _seen(
    surface: Surface, camera: Camera, depth: Floats, usable: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[np.intp], Floats, Floats]:
    """Texels that the view shows from the front, on usable pixels away from depth edges: indices, pixels, cosines."""
    towards = camera.position - surface.positions
    cosine = (surface.normals * towards).sum(1) / np.linalg.norm(towards, axis=1)
    texels = np.flatnonzero(cosine > _GRAZING)
    pixels, z = camera.project(surface.positions[texels])
    inside = (z > 0) & (pixels >= 0.5).all(1) & (pixels < [camera.width - 0.5, camera.height - 0.5]).all(1)
    texels, pixels, z = texels[inside], pixels[inside], z[inside]
    footprint = 1 / camera.K[0, 0]  # of depth: the width of a pixel
    three = np.ones((3, 3), np.uint8)
    low, high = cv2.erode(depth, three), cv2.dilate(depth, three)
    smooth = usable & (low > 0) & (high - low < 2 * _SLOPE * footprint * depth)
    column, row = pixels.astype(int).T
    good = smooth[row, column]
    texels, pixels, z = texels[good], pixels[good], z[good]
    there = sample_linear(depth[..., None], pixels)[:, 0]
    good = np.abs(there - z) < _TOLERANCE * footprint * z
    texels = texels[good]
    return texels, pixels[good], cosine[texels]
