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
import numpy as np
import numpy.typing as npt

from backend.kernels.mesh_rasterization import Raster, interpolate, rasterize
from interchange.cameras import Camera
from interchange.capture import ViewImages
from interchange.mesh import Mesh

from .coverage import filtered_coverages
from .lookup import Lookup
from .way_back import way_back

Floats = npt.NDArray[Any]
Mask = npt.NDArray[np.bool_]
_STILL_PX = 2e-3  # a shorter way changes no 8-bit picture
_SAMPLES = 3


def reshape_view(images: ViewImages, mesh: Mesh, moved: Mesh, camera: Camera) -> ViewImages:
    """The view of `moved` made from the view of `mesh` (same topology): colours, light, alpha, masks; depth and UV are
    those of the moved mesh, exact at pixel centres."""
    before = rasterize(mesh.vertices, mesh.faces, camera)
    after = rasterize(moved.vertices, moved.faces, camera)
    way = way_back(before, after, mesh, camera)
    changed = np.hypot(way.step[..., 0], way.step[..., 1]) > _STILL_PX
    if not changed.any():
        return images
    coverages = filtered_coverages(mesh, moved, camera, _SAMPLES)
    look_up = Lookup(images.alpha, *coverages, way.step, changed, _holes(way.hidden & changed, after, mesh))
    result = attrs.evolve(
        images,
        rgb=look_up.of(images.rgb),
        alpha=look_up.alpha,
        albedo=None if images.albedo is None else look_up.of(images.albedo),
        light=None if images.light is None else look_up.of(images.light),
        normal=None if images.normal is None else _unit(look_up.of(images.normal)),
        masks={name: np.clip(look_up.of(mask), 0, 1) for name, mask in images.masks.items()},
    )
    if images.depth is not None:
        result.depth = np.where(changed, after.depth, images.depth).astype(np.float32)
    if images.uv is not None:
        uv = interpolate(after, mesh.face_uvs)
        result.uv = np.where(changed[..., None], uv, images.uv).astype(np.float32)
    return result


def _holes(hidden: Mask, after: Raster, mesh: Mesh) -> list[tuple[Mask, Mask]]:
    """For each object: where it was hidden, and where it can be seen in the new view."""
    parts = np.unique(mesh.face_object[after.face[hidden]])
    owner = np.where(after.covered, mesh.face_object[after.face], -1)
    pairs = [(hidden & (owner == part), (owner == part) & ~hidden) for part in parts]
    return [(target, seen) for target, seen in pairs if seen.any()]


def _unit(normal: Floats) -> Floats:
    length = np.linalg.norm(normal, axis=-1, keepdims=True)
    return np.where(length > 1e-6, normal / np.maximum(length, 1e-6), 0).astype(np.float32)
