# SPDX-License-Identifier: Apache-2.0
"""A rendered view after its mesh has moved, without rendering again: every pixel looks up where its surface was.

Both meshes are known, so the way back from a pixel of the new view is exact: surface point, its old place, its old
pixel. Outlines are not looked up but drawn: colours are taken off their coverage and continued beyond the old outline,
looked up, and put under the moved mesh's own antialiased coverage. What the old view could not see is filled from the
same part's neighbourhood. Pixels whose surface stays keep every bit.
"""

from __future__ import annotations

from typing import Any

import attrs
import cv2
import numpy as np
import numpy.typing as npt

from backend.kernels.mesh_rasterization import Raster, interpolate, rasterize
from interchange.cameras import Camera
from interchange.capture import ViewImages
from interchange.mesh import Mesh, Region

from ..views import filtered_coverage
from .filling import Continuation, spread_from

Floats = npt.NDArray[Any]
Mask = npt.NDArray[np.bool_]
_STILL_PX = 2e-3  # a shorter way changes no 8-bit picture
_HIDDEN = 0.003  # metres behind what the old view shows: another surface lay in front
_OUTLINE_PX = 6.0  # how far beyond an outline the way back is continued
_SOLID = 0.6  # coverage from which on a pixel's colour is its own
_SAMPLES = 3


def reshape_view(images: ViewImages, mesh: Mesh, moved: Mesh, camera: Camera) -> ViewImages:
    """The view of `moved` made from the view of `mesh` (same topology): colours, light, alpha, masks; depth and UV are
    those of the moved mesh, exact at pixel centres."""
    before = rasterize(mesh.vertices, mesh.faces, camera)
    after = rasterize(moved.vertices, moved.faces, camera)
    way, hidden = _way_back(before, after, mesh, camera)
    changed = np.hypot(way[..., 0], way[..., 1]) > _STILL_PX
    if not changed.any():
        return images
    solid = np.flatnonzero(mesh.face_region != Region.LASHES)  # thinner than a pixel, and seen through
    old_coverage, coverage = (filtered_coverage(m.vertices, m.faces[solid], camera, _SAMPLES) for m in (mesh, moved))
    look_up = _Lookup(images.alpha, old_coverage, way, hidden & changed, after, mesh)
    alpha = np.clip(look_up.density * coverage, 0, 1)

    def follow(image: Floats) -> Floats:
        """A picture that is premultiplied by alpha."""
        under, where = (alpha, changed) if image.ndim == 2 else (alpha[..., None], changed[..., None])
        return np.where(where, look_up.straight(image) * under, image).astype(np.float32)

    result = attrs.evolve(
        images,
        rgb=follow(images.rgb),
        alpha=np.where(changed, alpha, images.alpha).astype(np.float32),
        albedo=None if images.albedo is None else follow(images.albedo),
        light=None if images.light is None else follow(images.light),
        normal=None if images.normal is None else _unit(follow(images.normal)),
        masks={name: np.clip(follow(mask), 0, 1) for name, mask in images.masks.items()},
    )
    if images.depth is not None:
        result.depth = np.where(changed, after.depth, images.depth).astype(np.float32)
    if images.uv is not None:
        uv = interpolate(after, mesh.face_uvs)
        result.uv = np.where(changed[..., None], uv, images.uv).astype(np.float32)
    return result


def _way_back(before: Raster, after: Raster, mesh: Mesh, camera: Camera) -> tuple[Floats, Mask]:
    """(H, W, 2) pixels from each pixel of the new view to its surface in the old one, and where that was hidden."""
    old_points = interpolate(after, np.asarray(mesh.vertices, np.float32)[mesh.faces])
    height, width = after.face.shape
    covered = after.covered
    pixels, depth = camera.project(old_points[covered].astype(np.float64))
    centres = camera.pixel_centres().reshape(height, width, 2)
    way = np.zeros((height, width, 2), np.float32)
    way[covered] = pixels - centres[covered]
    column = np.clip(pixels[:, 0].astype(int), 0, width - 1)
    row = np.clip(pixels[:, 1].astype(int), 0, height - 1)
    farthest = cv2.dilate(np.where(before.covered, before.depth, 0).astype(np.float32), np.ones((3, 3), np.uint8))
    hidden = np.zeros((height, width), bool)
    hidden[covered] = depth > farthest[row, column] + _HIDDEN
    beyond = Continuation(covered)
    fade = np.clip(2 - beyond.distance / _OUTLINE_PX, 0, 1)[..., None]
    return (beyond.of(way) * fade).astype(np.float32), hidden


class _Lookup:
    """Pictures of the old view at the places of the new one.

    density (H, W): alpha over coverage, 1 for what is opaque.
    """

    def __init__(
        self, alpha: Floats, coverage: Floats, way: Floats, hidden: Mask, after: Raster, mesh: Mesh
    ) -> None:
        height, width = alpha.shape
        columns, rows = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
        self._x, self._y = columns + way[..., 0], rows + way[..., 1]
        self._alpha, self._holes = alpha, _holes(hidden, after, mesh)
        self._solid = Continuation((coverage > _SOLID) & (alpha > 1e-3))
        ratio = np.clip(alpha / np.maximum(coverage, 1e-3), 0, 1)
        self.density = self._at_new_place(Continuation(coverage > _SOLID).of(ratio))

    def straight(self, image: Floats) -> Floats:
        """A premultiplied picture without its coverage, at the new places, holes filled."""
        alpha = self._alpha if image.ndim == 2 else self._alpha[..., None]
        found = self._at_new_place(self._solid.of((image / np.maximum(alpha, 1e-3)).astype(np.float32)))
        for target, seen in self._holes:
            where = target if found.ndim == 2 else target[..., None]
            found = np.where(where, spread_from(found, seen, target), found)
        return found

    def _at_new_place(self, image: Floats) -> Floats:
        """Bicubic, but never outside the range of what lies around: a cubic overshoots at edges."""
        image = np.ascontiguousarray(image, np.float32)

        def taken(picture: Floats, how: int) -> Floats:
            return cv2.remap(picture, self._x, self._y, how, borderMode=cv2.BORDER_REPLICATE)

        around = np.ones((3, 3), np.uint8)
        low, high = (taken(f(image, around), cv2.INTER_NEAREST) for f in (cv2.erode, cv2.dilate))
        return np.clip(taken(image, cv2.INTER_CUBIC), low, high)


def _holes(hidden: Mask, after: Raster, mesh: Mesh) -> list[tuple[Mask, Floats]]:
    """For each object: where it was hidden, and where it can be seen (1) in the new view."""
    if not hidden.any():
        return []
    owner = np.where(after.covered, mesh.face_object[after.face], -1)
    parts = [(hidden & (owner == part), ((owner == part) & ~hidden).astype(np.float32)) for part in np.unique(owner)]
    return [(target, seen) for target, seen in parts if target.any() and seen.any()]


def _unit(normal: Floats) -> Floats:
    length = np.linalg.norm(normal, axis=-1, keepdims=True)
    return np.where(length > 1e-6, normal / np.maximum(length, 1e-6), 0).astype(np.float32)
