# SPDX-License-Identifier: Apache-2.0
"""Laying the target's mesh over a photo: camera from landmarks, then a smooth warp that takes them home.

The camera is a pinhole with an unknown focal length (the photo's field of view), found by a search over focal lengths
with a PnP solution each, and refined with a robust loss. What is left over is the difference of two people's shapes: it
is spread over the surface by a spline in three dimensions (spline.py), so that nose and cheek, neighbours in the
picture but not on the face, may move apart. Vertices move parallel to the picture only.
"""

from __future__ import annotations

import attrs
import cv2
import numpy as np
import numpy.typing as npt
from scipy.optimize import least_squares
from scipy.spatial.transform import Rotation

from interchange.cameras import Camera
from interchange.errors import InputError
from interchange.mesh import Mesh

from .atlas import vertex_normals
from .source import FEWEST_LANDMARKS, DecodedPhoto, Photo
from .spline import fit_spline

Floats = npt.NDArray[np.floating]
AnyPhoto = Photo | DecodedPhoto
_FOCALS = np.geomspace(0.8, 8.0, 16)  # in units of the photo's longer side: 64 to 7 degrees
_USUAL_FOCAL = 2.2  # a portrait lens
_FOCAL_SPREAD = 0.15  # natural logarithm: landmarks of another person's shape say little about a lens
_STRAY = 0.2  # of the face's size: beyond any difference between two people
_MISFIT = 0.1


@attrs.frozen(eq=False)
class Registration:
    """How the target's mesh lies over a photo.

    camera: of the photo, in the capture's world. vertices, normals: (V, 3) of the mesh bent to the photo. ids: (L,)
    landmarks used. rigid_rms: pixels between landmarks and photo with the camera alone; final_rms: after the warp.
    face_size: pixels, the diagonal of the landmarks' box. yaw: degrees, positive when the face turns to its left.
    smoothing: how little the landmarks were trusted.
    """

    camera: Camera
    vertices: npt.NDArray[np.floating]
    normals: npt.NDArray[np.float64]
    ids: npt.NDArray[np.intp]
    rigid_rms: float
    final_rms: float
    face_size: float
    yaw: float
    smoothing: float


@attrs.frozen(eq=False)
class Pose:
    """How a photo sees the target's mesh as it is, by landmarks alone; this is the cheap part of a registration.

    camera: of the photo, in the capture's world. ids: (L,) landmarks known to both. offset: (L, 2) pixels from where
    the camera puts them to where the photo has them. face_size: pixels, the diagonal of the landmarks' box. yaw, pitch:
    degrees, positive when the face turns to its left, and up; roll is not in them.
    """

    camera: Camera
    ids: npt.NDArray[np.intp]
    offset: Floats
    face_size: float
    yaw: float
    pitch: float

    @property
    def rms(self) -> float:
        """Root mean square of the offsets, pixels."""
        return _rms(self.offset)


def find_pose(mesh: Mesh, photo: AnyPhoto) -> Pose:
    """Find a photo's camera by its landmarks. They may still not form a face: `check_strays` tells.

    Raises InputError when fewer than five landmarks are known to both, they span too few pixels or lie mirrored.
    """
    ids = np.array([i for i in sorted(photo.landmarks) if mesh.landmarks[i] >= 0], np.intp)
    if len(ids) < FEWEST_LANDMARKS:
        raise InputError(
            f"The avatar and the photo {photo.path} share {len(ids)} landmarks; {FEWEST_LANDMARKS} are needed.",
            "Place more points, or check the avatar's landmarks.",
        )
    pixels = np.array([photo.landmarks[i] for i in ids])
    rest = np.asarray(mesh.rest_vertices, np.float64)
    points = rest[mesh.landmarks[ids]]
    face_size = float(np.linalg.norm(np.ptp(pixels, axis=0)))
    _check_spread(face_size, photo)
    outward = vertex_normals(rest, mesh.faces)[mesh.landmarks[ids]].mean(0)
    _check_handedness(points, pixels, outward, photo)
    camera = _fit_camera(points, pixels, *photo.size)
    offset = pixels - camera.project(points)[0]
    return Pose(camera, ids, offset, face_size, _yaw(camera, points, outward), _pitch(camera, points))


def register(mesh: Mesh, photo: Photo, smoothing: float | None = None) -> Registration:
    """Fit the rest mesh to a photo's landmarks. smoothing: 0 hits them exactly, more trusts them less, None finds out
    how far they can be trusted.

    Raises InputError when fewer than five landmarks are known to both, or they lie mirrored, swapped or nowhere near
    a face.
    """
    pose = find_pose(mesh, photo)
    check_strays(pose, photo)
    camera, marked = pose.camera, mesh.landmarks[pose.ids]
    rest = np.asarray(mesh.rest_vertices, np.float64)
    vertices, smoothing = _warp(rest, rest[marked], pose.offset, camera, smoothing)
    after = camera.project(vertices[marked])[0] - np.array([photo.landmarks[i] for i in pose.ids])
    return Registration(
        camera=camera,
        vertices=vertices,
        normals=vertex_normals(vertices, mesh.faces),
        ids=pose.ids,
        rigid_rms=pose.rms,
        final_rms=_rms(after),
        face_size=pose.face_size,
        yaw=pose.yaw,
        smoothing=smoothing,
    )


def check_strays(pose: Pose, photo: AnyPhoto) -> None:
    """InputError that names the landmarks which lie nowhere near where a face has them."""
    error = np.linalg.norm(pose.offset, axis=1) / pose.face_size
    strays = [int(i) for i in pose.ids[error > _STRAY]]
    if strays:
        listed = ", ".join(map(str, strays[:6]))
        raise InputError(
            f"In {photo.path} landmark {listed} does not lie where a face has it.", "Look for swapped or stray points."
        )
    if np.sqrt((error**2).mean()) > _MISFIT:
        raise InputError(f"The landmarks of {photo.path} do not form a face.", "Check their order (68-point scheme).")


def _rms(offset: Floats) -> float:
    return float(np.sqrt((offset**2).sum(1).mean()))


def _yaw(camera: Camera, points: Floats, outward: Floats) -> float:
    towards = camera.position - points.mean(0)
    angle = np.arctan2(towards[0], -towards[1]) - np.arctan2(outward[0], -outward[1])
    return float(-np.degrees((angle + np.pi) % (2 * np.pi) - np.pi))


def _pitch(camera: Camera, points: Floats) -> float:
    towards = camera.position - points.mean(0)  # the head stands upright at rest
    return float(np.degrees(np.arctan2(-towards[2], np.hypot(towards[0], towards[1]))))


def _check_spread(face_size: float, photo: AnyPhoto) -> None:
    if face_size < 40:
        raise InputError(
            f"The landmarks of {photo.path} span only {face_size:.0f} pixels, too few to take a face from.",
            "Crop or scale the photo, or check the coordinates.",
        )


def _check_handedness(points: Floats, pixels: Floats, outward: Floats, photo: AnyPhoto) -> None:
    """Mirrored photos, or left and right exchanged: the flat map from face to photo then turns the face over."""
    outward = outward / np.linalg.norm(outward)
    right = np.cross([0.0, 0.0, 1.0], outward)  # in the picture of somebody who looks at the face
    right /= np.linalg.norm(right)
    down = np.cross(right, outward)
    flat = np.stack([points @ right, points @ down, np.ones(len(points))], axis=1)
    solution = np.linalg.lstsq(flat, pixels, rcond=None)[0][:2]
    turned = np.linalg.det(solution) / max(float((solution**2).sum() / 2), 1e-12)
    if turned < -0.05:
        raise InputError(
            f"The landmarks of {photo.path} lie mirrored: the character's right side must be at the picture's left.",
            "Exchange left and right points, flip the photo back, or use one that shows the face from the front.",
        )


def _camera(parameters: Floats, width: int, height: int) -> Camera:  # (7,) rotation vector, translation, log focal
    world_to_camera = np.eye(4)
    world_to_camera[:3, :3] = Rotation.from_rotvec(parameters[:3]).as_matrix()
    world_to_camera[:3, 3] = parameters[3:6]
    focal = np.exp(parameters[6]) * max(width, height)
    return Camera([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]], world_to_camera, width, height)


def _residuals(parameters: Floats, points: Floats, pixels: Floats, width: int, height: int, unit: float) -> Floats:
    """Reprojection errors in units of 3 % of the face (what two people's shapes differ by), and the focal prior."""
    uv, depth = _camera(parameters, width, height).project(points)
    errors = np.where(depth[:, None] > 1e-6, (uv - pixels) / unit, 1e3)
    return np.append(errors.ravel(), (parameters[6] - np.log(_USUAL_FOCAL)) / _FOCAL_SPREAD)


def _fit_camera(points: Floats, pixels: Floats, width: int, height: int) -> Camera:
    unit = 0.03 * float(np.linalg.norm(np.ptp(pixels, axis=0)))
    arguments = (points, pixels, width, height, unit)
    best, best_cost = None, np.inf
    for focal in _FOCALS:
        start = _solve_pose(points, pixels, focal * max(width, height), width, height)
        if start is None:
            continue
        start = np.append(start, np.log(focal))
        cost = np.log1p(_residuals(start, *arguments) ** 2).sum()
        if cost < best_cost:
            best, best_cost = start, cost
    if best is None:
        raise InputError("No camera fits the landmarks.", "Check their order (68-point scheme).")
    fit = least_squares(_residuals, best, loss="soft_l1", x_scale="jac", args=arguments, max_nfev=200)
    return _camera(fit.x, width, height)


def _solve_pose(points: Floats, pixels: Floats, focal: float, width: int, height: int) -> Floats | None:
    """(6,) rotation vector and translation with the points in front of the camera, or None."""
    K = np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]])
    try:
        found, turns, moves, _ = cv2.solvePnPGeneric(points, pixels, K, None, flags=cv2.SOLVEPNP_SQPNP)
    except cv2.error:  # degenerate: the avatar's landmarks all lie in one place, say
        return None
    for turn, move in zip(turns, moves, strict=True) if found else ():
        depth = (points @ cv2.Rodrigues(turn)[0].T + move.ravel())[:, 2]
        if np.isfinite(depth).all() and (depth > 0).all():
            return np.concatenate([turn.ravel(), move.ravel()])
    return None


def _warp(
    rest: Floats, points: Floats, offset: Floats, camera: Camera, smoothing: float | None
) -> tuple[Floats, float]:
    """(V, 3) vertices moved parallel to the picture so that `points` (L, 3) move by `offset` (L, 2) pixels, and the
    smoothing used."""
    depth = camera.project(points)[1]
    shift = offset * depth[:, None] / np.array([camera.K[0, 0], camera.K[1, 1]])
    spline = fit_spline(points, shift, smoothing)
    return rest + spline.at(rest) @ camera.rotation[:2], spline.smoothing
