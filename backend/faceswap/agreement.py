# SPDX-License-Identifier: Apache-2.0
"""Several photos of one face brought to agree: what one shows at a place of the skin, the others show there too.

Landmarks alone leave the surface between them several millimetres off in depth, so each photo puts the same pore
elsewhere on the texture, and normals are off by ten degrees, which the light taken off by them leaves on the skin as
shade. Here the skin's own detail is matched between the photos, on the texture, where they are nearly alike: by dense
inverse search (Kroeger et al. 2016) on the logarithm of brightness without its broad part, so that light hardly
matters. Matches are triangulated along the rays of the photo that is nearest to the front, whose pixels stay where
they are, and the depths spread over the surface by a thin plate (bending energy on the mesh's graph). All photos
then share that surface and its normals; what a camera cannot explain shifts a photo's mesh parallel to its picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
import cv2
import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.optimize import least_squares
from scipy.sparse.linalg import splu
from scipy.spatial.transform import Rotation

from interchange.cameras import Camera
from interchange.mesh import Mesh

from .atlas import Atlas, vertex_normals
from .completion import laplacian
from .registration import Registration, register
from .sampling import sample_linear
from .shape.identity import identity_shape
from .source import Photo
from .unprojection import Unprojected, unproject

Floats = npt.NDArray[Any]
_LUMINANCE = np.array([0.2126, 0.7152, 0.0722], np.float32)
_BROAD = 0.008  # of the texture's width: standard deviation of what counts as light, not detail
_CONTRAST = 0.10  # natural logarithm: this much is white or black in the pictures that are matched
_FARTHEST = 0.03  # of the texture's width: matches beyond are none
_THERE_AND_BACK = 1.0  # texels by which a match and the way back may differ
_ALIKE = 0.4  # correlation of two patches from which on they are a match
_FEWEST = 500
_ENOUGH = 1500  # points that settle a camera
_ROUNDS = 3
_STAYS, _BENDS = 1e-4, 3.0
_FOCAL_SPREAD = 0.05  # natural logarithm, about what the landmarks gave
_MOST = 0.04  # of the face's size: no two faces' depths differ by more than the landmarks show


@attrs.frozen(eq=False)
class _Match:
    """Of one photo with the reference: texels (M,), where the photo shows what the reference shows there, pixels
    (M, 2), and how sure that is, weight (M,) 0..1."""

    texels: npt.NDArray[np.intp]
    pixels: Floats
    weight: Floats


def laid_over(
    mesh: Mesh, head: int, photos: Sequence[Photo], atlas: Atlas, wanted: npt.NDArray[np.bool_],
    smoothing: float | None = None,
) -> list[Registration]:  # fmt: skip
    """Register every photo; several photos by the performer's shape that their landmarks tell together, and then
    brought to agree on the `wanted` (T,) texels.

    Raises InputError when a photo does not fit the mesh, or the photos' landmarks show no one face.
    """
    fits = [register(mesh, photo, smoothing) for photo in photos]
    if len(fits) < 2:
        return fits
    shape = identity_shape(mesh, photos, fits)
    moved = attrs.evolve(mesh, rest_vertices=(mesh.rest_vertices + shape.offset).astype(np.float32))
    # How far landmarks can be trusted shows where the shape has not yet taken up what they agree on.
    fits = [register(moved, photo, fit.smoothing) for photo, fit in zip(photos, fits, strict=True)]
    return agree(mesh, head, photos, fits, atlas, wanted)


def agree(
    mesh: Mesh, head: int, photos: Sequence[Photo], fits: Sequence[Registration], atlas: Atlas,
    wanted: npt.NDArray[np.bool_],
) -> list[Registration]:  # fmt: skip
    """The registrations with one surface for all photos; as they are where too little can be matched."""
    front = int(np.argmin([abs(f.yaw) for f in fits]))
    part = atlas.part(wanted)
    seen = [unproject(p, f, mesh, part, np.ones(len(part.rows), bool)) for p, f in zip(photos, fits, strict=True)]
    details = [_detail(s, part) for s in seen]
    pixels = [f.camera.project(part.of_vertices(mesh, f.vertices).astype(np.float64))[0] for f in fits]
    matches: dict[int, _Match] = {}
    for i in range(len(fits)):
        if i != front:
            match = _match(details[front], details[i], seen[front].weight, seen[i].weight, pixels[i], part)
            if len(match.texels) >= _FEWEST:
                matches[i] = match
    if not matches:
        return list(fits)
    plate = _Plate.of(mesh, head, part)
    start = part.of_vertices(mesh, fits[front].vertices).astype(np.float64)
    rays = start - fits[front].camera.position
    rays /= np.linalg.norm(rays, axis=1, keepdims=True)
    cameras = {i: fits[i].camera for i in matches}
    size = float(np.linalg.norm(np.ptp(mesh.rest_vertices[mesh.landmarks[fits[front].ids]], axis=0)))
    depth = np.zeros(len(start))
    for _ in range(_ROUNDS):
        points = start + depth[:, None] * rays
        cameras = {i: _refined(cameras[i], fits[i].camera, points[m.texels], m) for i, m in matches.items()}
        slopes, goals = _depths(start, rays, depth, cameras, matches)
        on_vertices = plate.through(goals[:, None], slopes)[:, 0]
        depth = np.clip(part.of_vertices(mesh, on_vertices), -_MOST * size, _MOST * size).astype(np.float64)
    moved = np.array(fits[front].vertices, np.float64)
    outward = moved - fits[front].camera.position
    outward /= np.linalg.norm(outward, axis=1, keepdims=True)
    moved += np.clip(on_vertices, -_MOST * size, _MOST * size)[:, None] * outward
    normals = vertex_normals(moved, mesh.faces)
    result = []
    for i, fit in enumerate(fits):
        if i == front:
            result.append(attrs.evolve(fit, vertices=moved, normals=normals))
        elif i in matches:
            result.append(_laid(fit, cameras[i], moved, normals, matches[i], plate, mesh, part))
        else:
            result.append(fit)
    return result


def _detail(seen: Unprojected, atlas: Atlas) -> Floats:
    """(H, W, 2): logarithm of brightness without its broad part, and where it is known."""
    image = np.zeros((atlas.height, atlas.width, 2), np.float32)
    known = (seen.weight > 0.01).astype(np.float32)
    image[atlas.rows, atlas.columns, 0] = known * np.log(np.maximum(seen.colour @ _LUMINANCE, 2e-3))
    image[atlas.rows, atlas.columns, 1] = known
    soft = cv2.GaussianBlur(image, (0, 0), max(1.0, _BROAD * atlas.width))
    image[..., 0] = (image[..., 0] - soft[..., 0] / np.maximum(soft[..., 1], 1e-3)) * image[..., 1]
    return image


def _match(front: Floats, other: Floats, front_weight: Floats, other_weight: Floats, pixels: Floats, atlas: Atlas
           ) -> _Match:  # fmt: skip
    """Texels of the front photo found in another one."""
    a, b = (np.rint(127.5 + 127.5 * np.clip(d[..., 0] / _CONTRAST, -1, 1)).astype(np.uint8) for d in (front, other))
    there, back = _flow(a, b), _flow(b, a)
    at = atlas.positions()
    step = atlas.of_image(there).astype(np.float64)
    goal = at + step
    home = sample_linear(back, goal)
    table = np.zeros((atlas.height, atlas.width, 4), np.float32)
    table[atlas.rows, atlas.columns, :2], table[atlas.rows, atlas.columns, 2] = pixels, 1
    table[atlas.rows, atlas.columns, 3] = other_weight
    looked = sample_linear(table, goal)
    moved = cv2.remap(other, *_grid(there), cv2.INTER_LINEAR)
    like = atlas.of_image(_correlation(front[..., 0], moved[..., 0], front[..., 1] * moved[..., 1], atlas.width))
    sure = np.clip((like - _ALIKE) / (1 - _ALIKE), 0, 1) * np.exp(-(((step + home) ** 2).sum(1)) / _THERE_AND_BACK**2)
    sure *= np.sqrt(np.clip(front_weight * looked[:, 3], 0, 1))
    sure *= (looked[:, 2] > 0.999) & (np.linalg.norm(step, axis=1) < _FARTHEST * atlas.width)
    chosen = np.flatnonzero(sure > 0.02)
    return _Match(chosen, looked[chosen, :2].astype(np.float64), sure[chosen].astype(np.float64))


def _flow(a: npt.NDArray[np.uint8], b: npt.NDArray[np.uint8]) -> Floats:
    search: Any = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    return search.calc(a, b, None)


def _grid(flow: Floats) -> tuple[Floats, Floats]:
    rows, columns = np.mgrid[: flow.shape[0], : flow.shape[1]]
    return (columns + flow[..., 0]).astype(np.float32), (rows + flow[..., 1]).astype(np.float32)


def _correlation(a: Floats, b: Floats, known: Floats, width: int) -> Floats:
    """(H, W) of the two pictures' neighbourhoods, -1..1."""
    sigma = max(1.5, 0.005 * width)

    def mean(image: Floats) -> Floats:
        return cv2.GaussianBlur(image * known, (0, 0), sigma)

    # A grain of 1 % does not count as likeness.
    return mean(a * b) / np.sqrt((mean(a * a) + 1e-4 * known) * (mean(b * b) + 1e-4 * known) + 1e-12)


@attrs.frozen(eq=False)
class _Plate:
    """Fields on the head's vertices that follow values on texels and bend as little as they can."""

    vertices: npt.NDArray[np.intp]
    corner: npt.NDArray[np.intp]
    atlas: Atlas
    bending: sparse.csc_matrix
    count: int

    @staticmethod
    def of(mesh: Mesh, head: int, atlas: Atlas) -> _Plate:
        faces = mesh.faces[mesh.face_object == head]
        used, local = np.unique(faces, return_inverse=True)
        index_of = np.full(len(mesh.vertices), -1, np.intp)
        index_of[used] = np.arange(len(used))
        graph = laplacian(local.reshape(faces.shape), mesh.rest_vertices[used])
        bending = sparse.csc_matrix(graph @ graph)
        return _Plate(used, index_of[mesh.faces[atlas.faces]], atlas, bending, len(mesh.vertices))

    def through(self, values: Floats, weight: Floats) -> Floats:  # (T, C), (T,)
        """(V, C) at the mesh's vertices; towards 0 far from what is known."""
        size = len(self.vertices)
        amount = self.atlas.weights * weight[:, None]
        gathered = np.bincount(self.corner.ravel(), amount.ravel(), size)
        sums = [np.bincount(self.corner.ravel(), (amount * v[:, None]).ravel(), size) for v in values.T]
        unit = max(float(np.median(gathered[gathered > 0])), 1e-9)
        system = sparse.diags(gathered / unit + _STAYS) + _BENDS * self.bending
        solved = splu(sparse.csc_matrix(system)).solve(np.stack(sums, axis=1) / unit)
        result = np.zeros((self.count, values.shape[1]))
        result[self.vertices] = solved
        return result


def _depths(start: Floats, rays: Floats, depth: Floats, cameras: dict[int, Camera], matches: dict[int, _Match]
            ) -> tuple[Floats, Floats]:  # fmt: skip
    """(T,) weights and (T,) depths along the rays at which all photos show what they were matched by."""
    weights, sums = np.zeros(len(start)), np.zeros(len(start))
    for i, match in matches.items():
        t = match.texels
        here = start[t] + depth[t, None] * rays[t]
        pixel = cameras[i].project(here)[0]
        slope = (cameras[i].project(here + 1e-4 * rays[t])[0] - pixel) / 1e-4
        error = match.pixels - pixel
        steep = (slope**2).sum(1)
        along = (slope * error).sum(1) / np.maximum(steep, 1e-9)
        scale = max(1.4826 * float(np.median(np.abs(along))), 1e-6)
        weight = match.weight * steep / (1 + (along / (2 * scale)) ** 2)  # Cauchy: a wrong match pulls little
        weights[t] += weight
        sums[t] += weight * (along + depth[t])
    return weights / max(float(weights.max()), 1e-12), sums / np.maximum(weights, 1e-12)


def _refined(camera: Camera, first: Camera, points: Floats, match: _Match) -> Camera:
    """The camera that shows the points where they were matched, best; `first` holds its focal length."""
    every = max(1, len(points) // _ENOUGH)
    points, pixels, weight = points[::every], match.pixels[::every], np.sqrt(match.weight[::every])
    focal = first.K[0, 0]

    def made(x: Floats) -> Camera:
        w2c = np.eye(4)
        w2c[:3, :3] = Rotation.from_rotvec(x[:3]).as_matrix() @ camera.rotation
        centre = points.mean(0)
        w2c[:3, 3] = camera.to_camera(centre[None])[0] + x[3:6] - w2c[:3, :3] @ centre
        K = np.array(camera.K)
        K[0, 0] = K[1, 1] = focal * np.exp(x[6])
        return Camera(K, w2c, camera.width, camera.height)

    def residuals(x: Floats) -> Floats:
        error = (made(x).project(points)[0] - pixels) * weight[:, None]
        return np.append(error.ravel(), np.sqrt(len(points)) * x[6] / _FOCAL_SPREAD)

    begin = np.zeros(7)
    begin[6] = np.log(camera.K[0, 0] / focal)
    return made(least_squares(residuals, begin, loss="soft_l1", x_scale="jac", max_nfev=30).x)


def _laid(fit: Registration, camera: Camera, moved: Floats, normals: Floats, match: _Match, plate: _Plate, mesh: Mesh,
          atlas: Atlas) -> Registration:  # fmt: skip
    """The common surface laid over a photo: by its camera, then parallel to the picture to where the matches are, and
    where there are none to where the landmarks had it."""
    before = fit.camera.project(np.asarray(fit.vertices, np.float64))[0]
    now, depth = camera.project(moved)
    at_texels = camera.project(atlas.of_vertices(mesh, moved).astype(np.float64))[0]
    prior = before - now
    values, weight = np.zeros((len(at_texels), 2)), np.zeros(len(at_texels))
    expected = atlas.of_vertices(mesh, prior)
    values[match.texels] = match.pixels - at_texels[match.texels] - expected[match.texels]
    weight[match.texels] = match.weight
    shift = prior + plate.through(values, weight)
    shift = shift * depth[:, None] / np.array([camera.K[0, 0], camera.K[1, 1]])
    return attrs.evolve(fit, camera=camera, vertices=moved + shift @ camera.rotation[:2], normals=normals)
