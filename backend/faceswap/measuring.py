# SPDX-License-Identifier: Apache-2.0
"""What one photo among many is worth: from where it sees the face, how much of it, how sharp, how bright.

Everything is told of patches of the face (the target's triangles), so that photos can be compared where they show the
same skin: a cheek has less to be sharp about than a brow. The mesh is laid over the photo by its camera alone, since
all photos of a turn are measured, and few of them are used.
"""

from __future__ import annotations

from typing import Any

import attrs
import cv2
import numpy as np
import numpy.typing as npt

from backend.kernels.mesh_rasterization import rasterize
from interchange.cameras import Camera
from interchange.colour import linear_from_srgb, srgb_from_linear
from interchange.errors import InputError
from interchange.mesh import Mesh

from .atlas import vertex_normals
from .regions import DRAW_REGION, NO_REGION
from .registration import Pose
from .sampling import sample_linear
from .source import DecodedPhoto
from .unprojection import GRAZING, SEE_THROUGH

Floats = npt.NDArray[Any]
_LUMINANCE = np.array([0.2126, 0.7152, 0.0722], np.float32)
_FACE = 512  # pixels that a face's landmarks span when it is measured, however large the photo
_FINE, _COARSE = 1.0, 2.5  # pixels there: standard deviations between which detail counts
_AROUND = 6.0  # pixels there: standard deviation of the window that detail is measured in
_DARKEST = 0.004  # linear: below, 8 bits hold no tone
_BRIGHTEST = 0.98  # display-referred
_MARGIN = 12  # pixels around the face
_BEHIND = 0.006  # metres of depth by which a patch may lie behind what is seen
_LARGEST = 4096  # pixels a side of the measured picture: a camera that fits nothing may put the face anywhere


@attrs.frozen(eq=False)
class Patches:
    """The face of the target in P patches. corners: (P, 3) vertex ids. share: (P,) of the face on the texture, sums to
    1. size: metres that the landmarks span."""

    corners: npt.NDArray[np.int32]
    share: npt.NDArray[np.float64]
    size: float

    @staticmethod
    def of(mesh: Mesh, head: int, painted: Floats | None = None) -> Patches:
        """The head's triangles inside the face region, or inside the `painted` (h, w) mask. Raises InputError when
        there are none."""
        mine = np.flatnonzero(mesh.face_object == head)
        uv = np.asarray(mesh.face_uvs[mine], np.float64)
        side, other = uv[:, 1] - uv[:, 0], uv[:, 2] - uv[:, 0]
        area = 0.5 * np.abs(side[:, 0] * other[:, 1] - side[:, 1] * other[:, 0])
        if painted is None:
            inside = np.clip(mesh.region_face[mesh.faces[mine]].mean(1), 0, 1)
        else:
            height, width = painted.shape
            at = uv.mean(1) * [width, height]
            inside = sample_linear(painted[..., None], np.stack([at[:, 0], height - at[:, 1]], 1))[:, 0]
        area = area * inside
        if not area.sum() > 0:
            raise InputError(NO_REGION, DRAW_REGION)
        known = mesh.rest_vertices[mesh.landmarks[mesh.landmarks >= 0]]
        kept = area > 0
        corners, share = mesh.faces[mine[kept]], area[kept] / area.sum()
        return Patches(corners, share, float(np.linalg.norm(np.ptp(known, axis=0))))


@attrs.frozen(eq=False)
class Measured:
    """A photo on the P patches.

    yaw, pitch: degrees, as of `Pose`. misfit: root mean square distance of the landmarks by the camera alone, in the
    face's size. seen: (P,) 0..1, visible and from the front, as an unprojected texel's weight is. detail: (P,)
    contrast of the finest structure, natural logarithm of luminance. brightness: (P,) linear luminance. clipped: share
    0..1 of what is seen that is too dark or too bright to have a tone. grey: the file holds no colour.
    """

    name: str
    yaw: float
    pitch: float
    misfit: float
    seen: npt.NDArray[np.float32]
    detail: npt.NDArray[np.float32]
    brightness: npt.NDArray[np.float32]
    clipped: float
    grey: bool


def measure(photo: DecodedPhoto, pose: Pose, mesh: Mesh, patches: Patches) -> Measured:
    """Measure a photo whose pose is known."""
    rest = np.asarray(mesh.rest_vertices, np.float64)
    centres = rest[patches.corners].mean(1)
    image, alpha, camera = _at_one_size(photo, pose.camera, centres, patches.size)
    pixels, depth = camera.project(centres)
    seen = _facing(mesh, patches, centres, camera) * _visible(rest, mesh, camera, pixels, depth)
    if alpha is not None:
        seen *= np.clip(sample_linear(alpha[..., None], pixels)[:, 0] * 2 - 1, 0, 1)
    luminance = np.maximum(image @ _LUMINANCE, 0)
    table = np.stack([_detail(luminance), luminance, _without_tone(image, luminance)], -1)
    detail, brightness, toneless = sample_linear(table, pixels).T
    weight = seen * patches.share
    clipped = float((toneless * weight).sum() / max(float(weight.sum()), 1e-9))
    return Measured(
        photo.path.name, pose.yaw, pose.pitch, pose.rms / pose.face_size, seen.astype(np.float32), detail, brightness,
        clipped, photo.grey,
    )  # fmt: skip


def _at_one_size(
    photo: DecodedPhoto, camera: Camera, centres: Floats, size: float
) -> tuple[Floats, Floats | None, Camera]:
    """The face cut out of the photo and scaled so that it spans `_FACE` pixels: linear image, alpha, camera."""
    pixels, depth = camera.project(centres)
    scale = _FACE / (camera.K[0, 0] / max(float(np.median(depth)), 1e-6) * size)
    margin = _MARGIN / scale
    low = np.clip(np.floor(pixels.min(0) - margin), 0, [camera.width - 1, camera.height - 1]).astype(int)
    high = np.clip(np.ceil(pixels.max(0) + margin), low + 1, [camera.width, camera.height]).astype(int)
    window = np.s_[low[1] : high[1], low[0] : high[0]]
    width, height = np.clip(np.rint((high - low) * scale), 1, _LARGEST).astype(int).tolist()
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    image = cv2.resize(linear_from_srgb(photo.colour[window]), (width, height), interpolation=way)
    alpha: Floats | None = photo.alpha
    if alpha is not None:
        alpha = cv2.resize(np.ascontiguousarray(alpha[window]), (width, height), interpolation=way)
    K = np.array(camera.K)
    K[:2, 2] -= low
    K[:2] *= (np.array([width, height]) / (high - low))[:, None]
    return image, alpha, Camera(K, camera.world_to_camera, width, height)


def _facing(mesh: Mesh, patches: Patches, centres: Floats, camera: Camera) -> Floats:
    """(P,) 0..1 by the angle between a patch and the view; smooth normals, as texels have them."""
    normals = vertex_normals(np.asarray(mesh.rest_vertices, np.float64), mesh.faces)[patches.corners].mean(1)
    towards = camera.position - centres
    lengths = np.linalg.norm(normals, axis=1) * np.linalg.norm(towards, axis=1)
    cosine = (normals * towards).sum(1) / np.maximum(lengths, 1e-12)
    facing: Floats = np.clip((cosine - GRAZING) / (1 - GRAZING), 0, 1) ** 2
    return facing


def _visible(rest: Floats, mesh: Mesh, camera: Camera, pixels: Floats, depth: Floats) -> Floats:
    """(P,) 1 where nothing of the mesh lies before a patch, and the photo shows it."""
    raster = rasterize(rest, mesh.faces[~np.isin(mesh.face_region, SEE_THROUGH)], camera)
    nearest = np.where(raster.covered, raster.depth, np.inf)
    column, row = np.floor(pixels).astype(int).T
    inside = (column >= 0) & (row >= 0) & (column < camera.width) & (row < camera.height) & (depth > 0)
    column, row = np.clip(column, 0, camera.width - 1), np.clip(row, 0, camera.height - 1)
    seen: Floats = (inside & (depth <= nearest[row, column] + _BEHIND)).astype(np.float64)
    return seen


def _detail(luminance: Floats) -> Floats:
    """(h, w) local contrast between two scales, of the logarithm: a dark photo is as sharp as a bright one."""
    logarithm = np.log(np.maximum(luminance, _DARKEST))
    band = cv2.GaussianBlur(logarithm, (0, 0), _FINE) - cv2.GaussianBlur(logarithm, (0, 0), _COARSE)
    return np.sqrt(np.maximum(cv2.GaussianBlur(band * band, (0, 0), _AROUND), 0))


def _without_tone(image: Floats, luminance: Floats) -> Floats:
    bright = srgb_from_linear(image.max(-1)) > _BRIGHTEST
    return (bright | (luminance < _DARKEST)).astype(np.float32)
