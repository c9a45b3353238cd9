# SPDX-License-Identifier: Apache-2.0
"""Where Gaussians begin: on the posed mesh, on depth maps, on given points, or at random inside the visual hull.

On a mesh each splat is a small flat disc along the normal, as wide as the distance to its neighbours, in the colour
that the pictures show there. Nothing has to be grown later, which is what makes the fit short (DESIGN, decision 3).
"""

from __future__ import annotations

from collections.abc import Callable

import attrs
import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from interchange.capture import Capture
from interchange.colour import srgb_from_linear
from interchange.errors import InputError
from interchange.mesh import Mesh
from interchange.splats import SH_C0, SplatCloud

from .dataset import Dataset, FitView, check_cameras_see, never, stop_if
from .sampling import Array, detail_of_faces, mean_colours, observe, sample_surface, surface_of, visible_faces
from .settings import FitSettings
from .view_dependence import sh_from_views

WIDTH = 0.6
"""Standard deviation of a new splat in units of the distance to the next one."""
FLATNESS = 0.1
"""Thickness of a new splat along the normal relative to its width."""
OPACITY = 0.5
"""Of a new splat on a surface. More hides what lies behind from the first steps' gradients."""
POINT_OPACITY = 0.3
"""Of a new splat that was not put on a known surface."""
TRAVEL = 4.0
"""How much farther a step may carry splats that start at random than those that start on the surface."""
DETAIL_RANGE = (0.3, 5.0)
"""Least and most detail that counts, in units of its mean."""
_HULL_BATCHES = 64
_NEIGHBOURS = 4  # of a sparse point: new ones are put on the lines to them
_NO_FACE = -1


@attrs.frozen(eq=False)
class Start:
    """A first cloud and where on the mesh each of its splats was born."""

    cloud: SplatCloud
    face: npt.NDArray[np.int32]  # (N,) triangle of the mesh, -1 without a mesh
    barycentric: npt.NDArray[np.float32]  # (N, 3)
    reach: float  # metres, the unit of the means' learning rate: the median spacing, more where splats must travel
    kind: str  # mesh, depth, points or random
    face_normals: npt.NDArray[np.float32] | None = None  # (F, 3) of the mesh, unit, zero for degenerate triangles


def initialise(dataset: Dataset, settings: FitSettings, cancelled: Callable[[], bool] = never) -> Start:
    """The first cloud by `settings.start`; "auto" takes mesh, depth, points, random: the first that the input has.

    Raises InputError when the chosen start is impossible or no camera sees the avatar, Cancelled when told to stop.
    """
    capture = dataset.capture
    pose = next((p for p in capture.poses if p.name == dataset.pose), None) if capture else None
    has_depth = any(v.depth is not None and (v.depth > 0).any() for v in dataset.train)
    has = {"mesh": pose is not None, "depth": has_depth, "points": dataset.points is not None, "random": True}
    kind = settings.start if settings.start != "auto" else next(name for name, there in has.items() if there)
    if not has[kind]:
        what = {"mesh": "mesh", "depth": "depth maps", "points": "points"}[kind]
        raise InputError(f"{dataset.folder} has no {what} to start from.", "Leave the start to the program (auto).")
    if capture is not None and kind == "mesh":
        return from_mesh(capture, capture.load_mesh(pose), dataset.train, settings, cancelled)
    if kind == "depth":
        points, colours = _depth_points(dataset.train, settings)
    elif kind == "points":
        points, colours = _given_points(dataset, settings)
    else:
        points, colours = _hull_points(dataset.train, settings, cancelled)
    cloud, spacing = from_points(points, colours, settings.sh_degree)
    no_face = np.full(len(points), _NO_FACE, np.int32)
    reach = TRAVEL * spacing if kind == "random" else spacing
    return Start(cloud, no_face, np.zeros((len(points), 3), np.float32), reach, kind)


def from_mesh(
    capture: Capture, mesh: Mesh, views: list[FitView], settings: FitSettings, cancelled: Callable[[], bool] = never
) -> Start:
    """Flat splats on the parts of the posed mesh that the views see. Degenerate triangles are passed over."""
    surface = surface_of(mesh)
    if not (surface.areas > 0).any():
        raise InputError(f"The mesh of {capture.folder} has no triangle with an area.", "Check the avatar's mesh.")
    good_corners = np.unique(surface.faces[surface.areas > 0])
    check_cameras_see(surface.vertices[good_corners], views)
    visible = visible_faces(surface, views, cancelled)
    if not (visible & (surface.areas > 0)).any():
        raise InputError(
            f"No picture of {capture.folder} shows the mesh where its cameras say that it is.",
            "Mesh and pictures do not belong together: capture again.",
        )
    detail = None
    if settings.detail_density > 0:
        shown = detail_of_faces(surface, views, cancelled)
        detail = np.clip(shown, *DETAIL_RANGE) ** settings.detail_density
    samples = sample_surface(surface, visible, settings.splats, settings.face_density, settings.seed, detail)
    observations = observe(samples.points, samples.normals, views, cancelled)
    colours, seen = mean_colours(len(samples.points), observations)
    if not seen.all():
        hidden = ~seen
        colours[hidden] = _base_colours(capture, mesh, samples.face[hidden], samples.barycentric[hidden])
    width = np.log(WIDTH * samples.spacing)
    log_scales = np.stack([width, width, width + np.log(FLATNESS)], axis=1)
    cloud = _cloud(samples.points, log_scales, _quats_along(samples.normals), OPACITY, colours, settings.sh_degree)
    stop_if(cancelled)
    cloud.sh = sh_from_views(samples.points, colours, observations, settings.sh_degree, cancelled)
    reach, normals = float(np.median(samples.spacing)), surface.face_normals.astype(np.float32)
    return Start(cloud, samples.face, samples.barycentric, reach, "mesh", normals)


def from_points(points: Array, colours: Array, sh_degree: int) -> tuple[SplatCloud, float]:  # (N, 3), (N, 3) sRGB
    """Round splats at given points (splat frame), as wide as the distance to their three nearest neighbours.

    Returns the cloud and the median spacing. Width: square root of the mean squared distance (Kerbl et al. 2023).
    """
    points = np.asarray(points, np.float64)
    if len(points) > 1:
        neighbours = min(4, len(points))
        distance, _ = cKDTree(points).query(points, k=neighbours)
        spacing = np.sqrt((distance[:, 1:] ** 2).mean(axis=1))
    else:
        spacing = np.array([0.01])
    typical = max(float(np.median(spacing)), 1e-7)
    spacing = np.clip(spacing, typical * 1e-2, typical * 10)
    log_scales = np.repeat(np.log(WIDTH * spacing)[:, None], 3, axis=1)
    upright = np.tile([1.0, 0.0, 0.0, 0.0], (len(points), 1))
    return _cloud(points, log_scales, upright, POINT_OPACITY, colours, sh_degree), typical


def _cloud(points: Array, log_scales: Array, quats: Array, opacity: float, colours: Array, degree: int) -> SplatCloud:
    sh = np.zeros((len(points), (degree + 1) ** 2, 3))
    sh[:, 0] = (colours - 0.5) / SH_C0
    logits = np.full(len(points), np.log(opacity / (1 - opacity)))
    return SplatCloud(points, log_scales, quats, logits, sh)


def _quats_along(normals: Array) -> Array:  # (N, 3) unit
    """(N, 4) wxyz: the shortest rotation of the z axis onto each normal."""
    x, y, z = normals.T
    quats = np.stack([1 + z, -y, x, np.zeros_like(x)], axis=1)
    quats[z < -0.999999] = (0, 1, 0, 0)
    return np.asarray(quats / np.linalg.norm(quats, axis=1, keepdims=True))


def _base_colours(capture: Capture, mesh: Mesh, face: npt.NDArray, barycentric: Array) -> Array:
    """(N, 3) sRGB of points that no picture shows: their object's texture, without light."""
    colours = np.full((len(face), 3), 0.5)
    uv = np.einsum("nk,nkc->nc", barycentric, mesh.face_uvs[face])
    for number, item in enumerate(capture.objects):
        mine = mesh.face_object[face] == number
        if mine.any():
            texture = capture.load_texture(item)
            height, width = texture.shape[:2]
            column = np.clip((uv[mine, 0] % 1 * width).astype(int), 0, width - 1)
            row = np.clip(((1 - uv[mine, 1] % 1) * height).astype(int), 0, height - 1)
            colours[mine] = srgb_from_linear(texture[row, column])
    return np.clip(colours, 0, 1)


def _depth_points(views: list[FitView], settings: FitSettings) -> tuple[Array, Array]:
    """Random covered pixels of all views, brought into space by their depth."""
    points, colours = [], []
    for view in views:
        if view.depth is None:
            continue
        row, column = np.nonzero((view.depth > 0) & (view.alpha > 0.5))
        uv = np.stack([column + 0.5, row + 0.5], axis=1)
        points.append(view.camera.unproject(uv, view.depth[row, column]))
        colours.append(view.rgb[row, column] / view.alpha[row, column, None])
    everything, colour = np.concatenate(points), np.concatenate(colours)
    rng = np.random.default_rng([settings.seed, 0])
    chosen = rng.permutation(len(everything))[: settings.splats]
    return everything[chosen], np.clip(colour[chosen], 0, 1)


def _given_points(dataset: Dataset, settings: FitSettings) -> tuple[Array, Array]:
    """The input's sparse points, brought to `settings.splats`: some of them, or more put between near neighbours."""
    assert dataset.points is not None
    points = np.asarray(dataset.points, np.float64)
    colours = np.full((len(points), 3), 0.5) if dataset.point_colours is None else dataset.point_colours
    colours = np.clip(np.asarray(colours, np.float64), 0, 1)
    hint = "Cameras and points do not belong together: export both again."
    check_cameras_see(points, dataset.train, f"any of the {len(points)} points", hint)
    rng = np.random.default_rng([settings.seed, 0])
    missing = settings.splats - len(points)
    if missing <= 0 or len(points) < 2:
        chosen = rng.permutation(len(points))[: settings.splats]
        return points[chosen], colours[chosen]
    neighbours = min(_NEIGHBOURS, len(points) - 1)
    _, near = cKDTree(points).query(points, k=neighbours + 1)
    first = rng.integers(len(points), size=missing)
    second = near[first, rng.integers(1, neighbours + 1, size=missing)]
    share = rng.uniform(0.1, 0.9, (missing, 1))
    between = [(1 - share) * values[first] + share * values[second] for values in (points, colours)]
    return np.concatenate([points, between[0]]), np.concatenate([colours, between[1]])


def _hull_points(
    views: list[FitView], settings: FitSettings, cancelled: Callable[[], bool]
) -> tuple[Array, Array]:
    """Random points that no picture shows as empty: the visual hull (Laurentini 1994), sampled by rejection."""
    centre, radius = common_sphere(views)
    rng = np.random.default_rng([settings.seed, 0])
    kept: list[Array] = []
    count = 0
    for _ in range(_HULL_BATCHES):
        stop_if(cancelled)
        points: Array = centre + radius * rng.uniform(-1, 1, (max(4 * settings.splats, 20_000), 3))
        points = points[_inside_hull(points, views)]
        kept.append(points)
        count += len(points)
        if count >= settings.splats:
            break
    if count == 0:
        raise InputError(
            "No place in space is covered by all pictures that should show it.",
            "Check the cameras and the pictures' alpha, or give the capture a mesh.",
        )
    points = np.concatenate(kept)[: settings.splats]
    colours, _ = mean_colours(len(points), observe(points, None, views, cancelled))
    return points, colours


def _inside_hull(points: Array, views: list[FitView]) -> npt.NDArray[np.int64]:
    """Indices of the points that no view shows as empty and half of the views have in frame."""
    left = np.arange(len(points))
    met = np.zeros(len(points), int)
    for view in views:  # most points fall out at the first views, so the later ones cost little
        uv, depth = view.camera.project(points[left])
        size = (view.camera.width, view.camera.height)
        in_frame = (depth > 1e-6) & (uv >= 0).all(axis=1) & (uv < size).all(axis=1)
        column, row = uv[in_frame].astype(np.int64).T
        keep = np.ones(len(left), bool)
        keep[in_frame] = view.alpha[row, column] > 0.05
        met[left] += in_frame
        left = left[keep]
    return left[met[left] >= max(1, len(views) // 2)]


def common_sphere(views: list[FitView]) -> tuple[Array, float]:
    """Centre and radius of what the cameras look at: the point nearest to all their axes, and their frames there."""
    projectors = [np.eye(3) - np.outer(v.camera.forward, v.camera.forward) for v in views]
    right = sum((p @ v.camera.position for p, v in zip(projectors, views, strict=True)), np.zeros(3))
    centre = np.linalg.lstsq(np.sum(projectors, axis=0), right, rcond=1e-6)[0]
    depths = np.array([view.camera.to_camera(centre[None])[0, 2] for view in views])
    if (depths <= 0).any():
        first = views[0].camera
        distance = max(float(np.linalg.norm(first.position)), 1.0)
        centre, depths = first.position + distance * first.forward, np.full(len(views), distance)
    frames = [max(v.camera.width / v.camera.K[0, 0], v.camera.height / v.camera.K[1, 1]) for v in views]
    return centre, float(np.median(depths * frames) / 2)
