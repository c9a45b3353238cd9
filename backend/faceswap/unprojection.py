# SPDX-License-Identifier: Apache-2.0
"""From a photo to the texture: the colour that each texel of the face has in the photo, and how far to trust it."""

from __future__ import annotations

import attrs
import cv2
import numpy as np
import numpy.typing as npt

from backend.kernels.mesh_rasterization import rasterize
from interchange.cameras import Camera
from interchange.mesh import Mesh, Region

from .atlas import Atlas
from .registration import Registration
from .sampling import sample_cubic, sample_linear
from .source import Photo

Floats = npt.NDArray[np.floating]
_GRAZING = 0.2  # cosine between normal and view below which a texel tells nothing
_SEE_THROUGH = (Region.HAIR, Region.LASHES)  # the target's, not the performer's: they hide nothing in the photo


@attrs.frozen(eq=False)
class Unprojected:
    """A photo on the T texels of an atlas.

    colour: (T, 3) linear. weight: (T,) 0..1: visible, seen from the front, inside the photo. normals: (T, 3) world,
    of the mesh bent to the photo.
    """

    colour: npt.NDArray[np.float32]
    weight: npt.NDArray[np.float32]
    normals: npt.NDArray[np.float32]


def unproject(photo: Photo, registration: Registration, mesh: Mesh, atlas: Atlas) -> Unprojected:
    """Look every texel up in the photo, antialiased, with visibility by a depth buffer of the bent mesh."""
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
    weight = np.clip((cosine - _GRAZING) / (1 - _GRAZING), 0, 1) ** 2
    weight *= _visible(mesh, registration.vertices, camera, pixels, depth, atlas)
    weight *= _inside(pixels, camera)
    if alpha is not None:
        weight *= np.clip(sample_linear(alpha[..., None], pixels)[:, 0] * 2 - 1, 0, 1)
    colour = np.maximum(sample_cubic(image, pixels), 0)
    return Unprojected(colour, weight.astype(np.float32), normals)


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


def _visible(mesh: Mesh, vertices: Floats, camera: Camera, pixels: Floats, depth: Floats, atlas: Atlas) -> Floats:
    """(T,) 0..1; falls off softly towards the edges of what is seen."""
    opaque = ~np.isin(mesh.face_region, _SEE_THROUGH)
    nearest = rasterize(vertices, mesh.faces[opaque], camera).depth
    behind_nothing = np.where(nearest > 0, nearest, np.inf).astype(np.float32)
    farthest = cv2.dilate(np.where(nearest > 0, nearest, 0).astype(np.float32), np.ones((3, 3), np.uint8))
    column = np.clip(pixels[:, 0].astype(int), 0, camera.width - 1)
    row = np.clip(pixels[:, 1].astype(int), 0, camera.height - 1)
    # A surface seen at a slant changes depth within a pixel: what its neighbours reach is still itself, unless a
    # silhouette lies between.
    slack = np.minimum(farthest[row, column] - behind_nothing[row, column], 0.004) + 0.0015
    seen = (depth <= behind_nothing[row, column] + np.maximum(slack, 0.0015)) & (depth > 0)
    image = np.zeros((atlas.height, atlas.width), np.float32)
    image[atlas.rows, atlas.columns] = seen
    image = atlas.to_image(atlas.of_image(image)).astype(np.float32)
    reach = max(1, round(atlas.width / 400))
    soft = cv2.GaussianBlur(cv2.erode(image, np.ones((2 * reach + 1,) * 2, np.uint8)), (0, 0), reach)
    return atlas.of_image(soft) * seen
