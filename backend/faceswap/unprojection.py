# SPDX-License-Identifier: Apache-2.0
"""From a photo to the texture: the colour that each texel of the face has in the photo, and how far to trust it."""

from __future__ import annotations

from typing import Any

import attrs
import cv2
import numpy as np
import numpy.typing as npt

from backend.kernels.mesh_rasterization import Raster, rasterize
from interchange.cameras import Camera
from interchange.mesh import Mesh, Region

from .atlas import Atlas, smooth_normals
from .registration import Registration
from .sampling import sample_cubic, sample_linear
from .source import Photo

Floats = npt.NDArray[Any]
GRAZING = 0.2  # cosine between normal and view below which a texel tells nothing
_EYE_RIM = 0.008  # of the face's size
_SILHOUETTE_RIM = 0.008  # of the face's size: two people's outlines never agree, so keep off them
_FOLDS = 5  # rounds of smoothing that take folds off the normals
_SAME_SURFACE = 0.008  # metres of depth between neighbouring pixels
SEE_THROUGH = (Region.HAIR, Region.LASHES)  # the target's, not the performer's: they hide nothing in the photo


@attrs.frozen(eq=False)
class Unprojected:
    """A photo on the T texels of an atlas.

    colour: (T, 3) linear. weight: (T,) 0..1: visible, seen from the front, inside the photo. normals: (T, 3) world,
    of the mesh bent to the photo, without its fine folds: two people's lids and nostrils never fold alike, and the
    wrong fold's shade is worse than none.
    """

    colour: npt.NDArray[np.float32]
    weight: npt.NDArray[np.float32]
    normals: npt.NDArray[np.float32]


def unproject(
    photo: Photo, registration: Registration, mesh: Mesh, atlas: Atlas, wanted: npt.NDArray[np.bool_]
) -> Unprojected:  # wanted: (T,)
    """Look the `wanted` texels up in the photo, antialiased, with visibility by a depth buffer of the bent mesh; the
    others get weight 0."""
    part = atlas.part(wanted)
    seen = _unproject(photo, registration, mesh, part)
    result = Unprojected(*(np.zeros((len(wanted), *v.shape[1:]), np.float32) for v in attrs.astuple(seen)))
    for whole, values in zip(attrs.astuple(result), attrs.astuple(seen), strict=True):
        whole[wanted] = values
    return result


def _unproject(photo: Photo, registration: Registration, mesh: Mesh, atlas: Atlas) -> Unprojected:
    positions = atlas.of_vertices(mesh, registration.vertices).astype(np.float64)
    normals = atlas.of_vertices(mesh, registration.normals)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)
    photo_camera = registration.camera
    image, alpha = photo.image, photo.alpha
    # Where the photo has more pixels than the texture has texels it is scaled down first, or it would alias.
    shrink = min(1.0, 1.0 / _pixels_per_texel(atlas, photo_camera.project(positions)[0], normals))
    camera = photo_camera
    if shrink < 0.9:
        camera = photo_camera.scaled(shrink)
        image, alpha = _shrunk(image, camera), None if alpha is None else _shrunk(alpha, camera)
    pixels, depth = camera.project(positions)
    towards = camera.position - positions
    cosine = (normals * towards).sum(1) / np.linalg.norm(towards, axis=1)
    weight = np.clip((cosine - GRAZING) / (1 - GRAZING), 0, 1) ** 2
    weight *= _visible(mesh, registration, camera, pixels, depth, atlas)
    weight *= _inside(pixels, camera)
    if alpha is not None:
        weight *= np.clip(sample_linear(alpha[..., None], pixels)[:, 0] * 2 - 1, 0, 1)
    colour = np.maximum(sample_cubic(image, pixels), 0)
    broad = atlas.of_vertices(mesh, smooth_normals(registration.normals, mesh.faces, _FOLDS))
    broad /= np.maximum(np.linalg.norm(broad, axis=1, keepdims=True), 1e-9)
    return Unprojected(colour, weight.astype(np.float32), broad)


def _shrunk(image: Floats, camera: Camera) -> Floats:
    return cv2.resize(image, (camera.width, camera.height), interpolation=cv2.INTER_AREA)


def _pixels_per_texel(atlas: Atlas, pixels: Floats, normals: Floats) -> float:
    """Typical length in photo pixels of a step of one texel."""
    right_neighbour = (np.diff(atlas.columns) == 1) & (np.diff(atlas.rows) == 0) & (np.diff(atlas.faces) == 0)
    steps = np.linalg.norm(np.diff(pixels, axis=0)[right_neighbour], axis=1)
    return float(np.percentile(steps, 75)) if len(steps) else 1.0


def _inside(pixels: Floats, camera: Camera) -> Floats:
    border = np.minimum(pixels, [camera.width, camera.height] - pixels).min(1)
    return np.clip(border - 1, 0, 1)


def _visible(
    mesh: Mesh, registration: Registration, camera: Camera, pixels: Floats, depth: Floats, atlas: Atlas
) -> Floats:
    """(T,) 0..1; falls off softly towards the edges of what is seen."""
    face_size = registration.face_size * camera.width / registration.camera.width
    opaque = np.flatnonzero(~np.isin(mesh.face_region, SEE_THROUGH))
    raster = rasterize(registration.vertices, mesh.faces[opaque], camera)
    nearest = np.where(raster.covered, raster.depth, np.inf).astype(np.float32)
    farthest = cv2.dilate(np.where(raster.covered, raster.depth, 1e6).astype(np.float32), np.ones((3, 3), np.uint8))
    column = np.clip(pixels[:, 0].astype(int), 0, camera.width - 1)
    row = np.clip(pixels[:, 1].astype(int), 0, camera.height - 1)
    # A surface seen at a slant changes depth within a pixel: what its neighbours reach is still itself, unless a
    # silhouette lies between.
    slack = np.clip(farthest[row, column] - nearest[row, column], 0, _SAME_SURFACE / 2) + 0.0015
    seen = (depth <= nearest[row, column] + slack) & (depth > 0)
    seen &= ~_near_eyes(mesh.face_region[opaque], raster, face_size)[row, column]
    inner = (farthest - nearest < _SAME_SURFACE).astype(np.uint8)
    rim = max(1.0, _SILHOUETTE_RIM * face_size)
    away = np.clip(cv2.distanceTransform(inner, cv2.DIST_L2, 3) / rim - 1, 0, 1)
    image = np.zeros((atlas.height, atlas.width), np.float32)
    image[atlas.rows, atlas.columns] = seen
    image = image[atlas.nearest_row, atlas.nearest_column]
    reach = max(1, round(atlas.width / 400))
    soft = cv2.GaussianBlur(cv2.erode(image, np.ones((2 * reach + 1,) * 2, np.uint8)), (0, 0), reach)
    return atlas.of_image(soft) * seen * away[row, column]


def _near_eyes(region: npt.NDArray[np.uint8], raster: Raster, face_size: float) -> npt.NDArray[np.bool_]:
    """(H, W) the eyes and a rim around them: lids never lie so exactly that no white would get onto them."""
    on_eye = (raster.covered & (region[raster.face] == Region.EYE)).astype(np.uint8)
    rim = max(1, round(_EYE_RIM * face_size))
    return cv2.dilate(on_eye, np.ones((2 * rim + 1,) * 2, np.uint8)) > 0
