# SPDX-License-Identifier: Apache-2.0
"""The classical swapper behind the common interface."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from backend.kernels.mesh_rasterization import Raster, rasterize
from interchange.cameras import Camera
from interchange.capture import Capture, ViewImages
from interchange.colour import linear_from_srgb, srgb_from_linear
from interchange.errors import Cancelled, Progress
from interchange.mesh import Mesh, Region

from ..registration import register
from ..sampling import sample_cubic
from ..settings import SwapSettings
from ..source import Photo, Source
from ..swapper import PreparedSwap, SwapperInfo
from .paste import painted_triangles, pasted, soft_mask
from .photo_face import face_of_photo
from .points import ControlPoints, FindPoints, SeenPoints, as_projected, control_points, see_points, signed_areas
from .warp import affine_by_triangle, shrunk

Floats = npt.NDArray[Any]
_HIDES_NOTHING = (Region.HAIR, Region.LASHES)
_FEWEST_VISIBLE = 0.35  # of the known landmarks
_FEWEST_DRAWN = 0.25  # of the face as the photo shows it
_WHOLE = 0.85
_FULL_SKIN = 0.95
_STEEPEST = 80.0  # degrees of yaw


@attrs.frozen(eq=False)
class PhotoFace:
    """A photo ready to be pasted: encoded (h, w, 4) sRGB and face mask, its points, its yaw in degrees."""

    encoded: npt.NDArray[np.float32]
    points: ControlPoints
    yaw: float


class ClassicalSwapper:
    """Landmarks, piecewise affine warp, colour transfer and pyramid paste, each view by itself."""

    info = SwapperInfo(
        name="classical",
        title="Classical paste, view by view",
        needs=(),
        licence="Apache-2.0",
        guarantees=(
            "landmarks come from the mesh: no face is missed, none is found where there is none",
            "views that show too little of the face stay bit by bit",
            "alpha, eyes, hair and every pixel outside the face mask stay bit by bit",
        ),
        per_view=True,
    )

    def __init__(self, find: FindPoints = as_projected) -> None:
        """`find` says where a view shows the points; what it depends on belongs in a digest of the caller's."""
        self._find = find

    def prepare(
        self,
        capture: Capture,
        source: Source,
        settings: SwapSettings,
        progress: Progress | None,
        cancelled: Callable[[], bool],
    ) -> PreparedSwap:
        """See Swapper."""
        mesh = capture.load_mesh()
        head, _ = capture.object_of_part("head")
        faces, listed = [], []
        for index, photo in enumerate(source.photos):
            if cancelled():
                raise Cancelled
            if progress:
                progress("photos", index / len(source.photos), f"Reading {photo.path.name}")
            face = prepare_photo(photo, mesh, settings)
            faces.append(face)
            points = {"landmarks": int(face.points.landmark.sum()), "anchors": int((~face.points.landmark).sum())}
            listed.append({"photo": photo.path.name, **photo.origin, **points, "yaw_degrees": face.yaw})
        paste = _Paste(faces, head, settings, self._find)
        grey = [f"{p.path.name} has no colour: the avatar's own skin tone is used." for p in source.photos if p.grey]
        # A face in the performer's tone on a neck in the avatar's would be a mask: this swapper matches the avatar.
        report = {"photos": listed, "tone": 0.0, "engine": "cpu", "engine_reason": "The classical swap uses the CPU."}
        return PreparedSwap(paste.change, None, report=report, warnings=grey, look=paste.look)


def prepare_photo(photo: Photo, mesh: Mesh, settings: SwapSettings) -> PhotoFace:
    """Register a photo, place its points, find its face. Raises InputError when the landmarks do not fit the mesh."""
    registration = register(mesh, photo, settings.smoothing)
    points = control_points(mesh, photo, registration)
    face = face_of_photo(photo, points)
    return PhotoFace(np.concatenate([srgb_from_linear(photo.image), face[..., None]], -1), points, registration.yaw)


@attrs.frozen(eq=False)
class _Paste:
    """The work on views."""

    faces: list[PhotoFace]
    head: int
    settings: SwapSettings
    find: FindPoints

    def look(self, images: ViewImages, mesh: Mesh, camera: Camera) -> dict[str, Any]:
        """What of the face is taken in a view, and why not more."""
        face, seen, _ = self._see(mesh, camera)
        marks = face.points.landmark
        visible, known = int(seen.visible[marks].sum()), int(marks.sum())
        reason = _left_alone(seen, visible, known)
        taken = "nothing" if reason else ("whole" if seen.share >= _WHOLE else "part")
        report = {"taken": taken, "share": round(seen.share, 3), "visible_landmarks": visible,
                  "yaw_degrees": round(seen.yaw, 1)}  # fmt: skip
        return {**report, "reason": reason} if reason else report

    def change(self, images: ViewImages, mesh: Mesh, camera: Camera) -> npt.NDArray[np.float32]:
        """See PreparedSwap."""
        face, seen, raster = self._see(mesh, camera)
        marks = face.points.landmark
        if _left_alone(seen, int(seen.visible[marks].sum()), int(marks.sum())):
            return images.rgb
        triangle = painted_triangles(face.points, seen, camera.height, camera.width)
        solid = _solid(mesh)
        on_head = raster.covered & (mesh.face_object[solid][raster.face] == self.head)
        skin = np.minimum(images.masks.get("skin", images.alpha), images.alpha) * on_head
        warped = _warped(face, seen, np.where(skin > 0, triangle, -1))
        known, width = warped[..., 3] > _FULL_SKIN, float(np.ptp(seen.pixels[seen.visible, 0]))
        allowed = (skin > _FULL_SKIN) & ((triangle >= 0) | (images.masks.get("face", images.alpha) > 0.5))
        mask = soft_mask(known, allowed, width) * np.float32(self.settings.strength)
        if not (known & (mask > 0)).any():
            return images.rgb
        alpha = images.alpha[..., None]
        back = srgb_from_linear(np.clip(images.rgb / np.maximum(alpha, 1e-6), 0, 1))
        result = pasted(warped[..., :3], back, known, mask, self.settings.harmonize, self.settings.levels)
        linear = linear_from_srgb(np.clip(result, 0, 1)) * alpha
        return np.where(mask[..., None] > 0, linear, images.rgb).astype(np.float32)

    def _see(self, mesh: Mesh, camera: Camera) -> tuple[PhotoFace, SeenPoints, Raster]:
        """The photo that shows the face from nearest where the camera stands, and its points in the view."""
        raster = rasterize(mesh.vertices, mesh.faces[_solid(mesh)], camera)
        seen = [see_points(face.points, mesh, camera, raster, self.find) for face in self.faces]
        best = int(np.argmin([abs(abs_turn(s.yaw - f.yaw)) for s, f in zip(seen, self.faces, strict=True)]))
        return self.faces[best], seen[best], raster


def abs_turn(degrees: float) -> float:
    """The same turn within -180..180."""
    return (degrees + 180) % 360 - 180


def _solid(mesh: Mesh) -> npt.NDArray[np.intp]:
    return np.flatnonzero(~np.isin(mesh.face_region, _HIDES_NOTHING))


def _left_alone(seen: SeenPoints, visible: int, known: int) -> str:
    """Why a view is left alone; empty if it is not."""
    if abs(seen.yaw) > 100:
        return "seen from behind"
    if abs(seen.yaw) > _STEEPEST:
        return f"the face is turned {abs(seen.yaw):.0f} degrees away"
    if visible < _FEWEST_VISIBLE * known:
        return f"{visible} of {known} landmarks are visible"
    if seen.share < _FEWEST_DRAWN:
        return f"{seen.share:.0%} of the face could be drawn without smearing"
    return ""


def _warped(face: PhotoFace, seen: SeenPoints, triangle: npt.NDArray[np.int32]) -> npt.NDArray[np.float32]:
    """The photo (H, W, 4) pulled over the pixels that lie in a triangle (H, W), antialiased; zeros elsewhere."""
    result = np.zeros((*triangle.shape, 4), np.float32)
    rows, columns = np.nonzero(triangle >= 0)
    if not len(rows):
        return result
    points = face.points
    at = np.stack([columns + 0.5, rows + 0.5], axis=1)
    there = affine_by_triangle(seen.pixels, points.photo, points.triangles, triangle[rows, columns], at)
    areas = [np.abs(signed_areas(p, points.triangles[seen.drawn])).sum() for p in (seen.pixels, points.photo)]
    small = shrunk(face.encoded, float(np.sqrt(areas[0] / areas[1])))
    factor = np.array([small.shape[1] / face.encoded.shape[1], small.shape[0] / face.encoded.shape[0]])
    result[rows, columns] = np.clip(sample_cubic(small, there * factor), 0, 1)
    return result
