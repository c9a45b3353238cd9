# SPDX-License-Identifier: Apache-2.0
"""What belongs to a head beside its skin: eyes, teeth, tongue, lashes; each a mesh that follows the morphed human."""

from __future__ import annotations

from collections.abc import Callable

import attrs
import numpy as np
import numpy.typing as npt

from ..skin import IRIS_RADIUS
from .files import Clothes, Obj, blender_from_makehuman

Float = npt.NDArray[np.floating]
Int = npt.NDArray[np.int64]

_UPPER_RIM = (6844, 6841, 6838, 6785, 6784, 6790, 6793, 6796, 6799, 6802)
_LOWER_RIM = (6834, 6831, 6828, 6825, 6820, 6817, 6814, 6811)
"""Base vertices along the left lids' rims, from the inner corner outwards."""

_UPPER_TEETH_DROP = 0.0038
"""Metres."""

_EYE_HELPER = {"left": (14598, 14669), "right": (14670, 14741)}


@attrs.frozen(eq=False)
class PartMesh:
    """A part: fit(human (V, 3) in the files' axes and units) -> (n, 3) in Blender's. weight_ids (n,): the base vertex
    whose bone weights each vertex takes; uvs per face corner.
    """

    faces: list[list[int]]
    uvs: Float
    fit: Callable[[Float], Float]
    weight_ids: Int


def eyeballs(mesh: Obj, clothes: Clothes) -> PartMesh:
    """Both eyeballs without their transparent corneas; UVs of both lie on the one disc of `skin.paint_iris`.

    The data's irises are hollow, for the cornea to bend light over them; without it they are made round, with the
    cornea's slight bulge, so that the highlight and the iris look right from the side.
    """
    faces, uvs = [], []
    for face, corners in zip(mesh.faces, mesh.face_uvs, strict=True):
        uv = mesh.uvs[corners]
        if uv[:, 0].min() > 0.86 and uv[:, 1].max() < 0.13:
            continue  # the cornea's corner of the texture
        faces.append(face)
        centre = np.array([0.2915, 0.2910]) if uv.sum() < len(uv) * 0.996 else np.array([0.7050, 0.7035])
        uvs.append(0.5 + (uv - centre) * (IRIS_RADIUS / 0.1150))
    used, faces = _compact(faces)
    off_axis = np.zeros(len(used))  # distance from the pupil in UV units
    for face, uv in zip(faces, uvs, strict=True):
        off_axis[face] = np.hypot(*(uv - 0.5).T)
    own = Clothes(clothes.ids[used], clothes.weights[used], clothes.offsets[used], clothes.references)

    def fit(human: Float) -> Float:
        points = blender_from_makehuman(own.fit(human))
        for side in (points[:, 0] > 0, points[:, 0] < 0):
            points[side] = _rounded(points[side], off_axis[side])
        return points

    return PartMesh(faces, np.concatenate(uvs), fit, own.ids[:, 0])


def _rounded(points: Float, off_axis: Float) -> Float:
    """One eyeball with its iris put on the sphere of its white, bulging by 5 % at the pupil."""
    white = points[(off_axis > 1.25 * IRIS_RADIUS) & (off_axis < 2.2 * IRIS_RADIUS)]
    rows = np.concatenate([2 * white, np.ones((len(white), 1))], axis=1)
    solution = np.linalg.lstsq(rows, (white**2).sum(axis=1), rcond=None)[
        0
    ]  # |p - c|^2 = r^2, linear in c and r^2 - |c|^2
    centre = solution[:3]
    radius = np.sqrt(solution[3] + centre @ centre)
    inner = off_axis < 1.25 * IRIS_RADIUS
    bulge = 0.05 * np.cos(0.5 * np.pi * np.clip(off_axis[inner] / (1.25 * IRIS_RADIUS), 0, 1)) ** 2
    direction = points[inner] - centre
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    result = points.copy()
    result[inner] = centre + direction * (radius * (1 + bulge))[:, None]
    return result


def teeth(base: Obj) -> PartMesh:
    """Both rows of teeth. The upper one is lowered, for in the data it hides behind the lip of a wide open mouth."""
    part = _helper_part(base, ("helper-upper-teeth", "helper-lower-teeth"))
    upper = np.isin(part.weight_ids, _helper_part(base, ("helper-upper-teeth",)).weight_ids)
    shift = np.where(upper[:, None], (0.0, 0.0, -_UPPER_TEETH_DROP), 0.0)
    return attrs.evolve(part, fit=lambda human: part.fit(human) + shift)


def tongue(base: Obj) -> PartMesh:
    """The tongue. Expression targets leave it where it is, so it is tied to the lower teeth instead: it follows
    the affine motion of the row (fitted along the depth of the mouth) from the neutral base mesh.
    """
    part = _helper_part(base, ("helper-tongue",))
    row = _helper_part(base, ("helper-lower-teeth",))
    rest_row, rest = row.fit(base.vertices), part.fit(base.vertices)
    scale = np.ptp(rest_row[:, 1])

    def fit(human: Float) -> Float:
        moved = row.fit(human) - rest_row
        depth = np.stack([np.ones(len(rest_row)), (rest_row[:, 1] - rest_row[:, 1].mean()) / scale], axis=1)
        motion = np.linalg.lstsq(depth, moved, rcond=None)[0]
        return rest + np.stack([np.ones(len(rest)), (rest[:, 1] - rest_row[:, 1].mean()) / scale], axis=1) @ motion

    return attrs.evolve(part, fit=fit)


def _helper_part(base: Obj, groups: tuple[str, ...]) -> PartMesh:
    """Faces of helper groups of the base mesh as they are."""
    chosen = [i for i, group in enumerate(base.groups) if group in groups]
    used, faces = _compact([base.faces[i] for i in chosen])
    uvs = np.concatenate([base.uvs[base.face_uvs[i]] for i in chosen])
    return PartMesh(faces, uvs, lambda human: blender_from_makehuman(human[used]), used)


def _compact(faces: list[list[int]]) -> tuple[Int, list[list[int]]]:
    used = sorted({vertex for face in faces for vertex in face})
    number = {vertex: i for i, vertex in enumerate(used)}
    return np.array(used), [[number[v] for v in face] for face in faces]


def lashes(base: Obj, fullness: float, seed: int) -> PartMesh:
    """Single lashes as thin curved blades on the lids' rims; they turn with the lids. fullness 0..1."""
    mirror = mirror_vertices(base.vertices, np.array(_UPPER_RIM + _LOWER_RIM))
    rng = np.random.default_rng([seed, 5])
    rows: list[_LashRow] = []
    for side, sign in (("left", 1.0), ("right", -1.0)):
        for rim, upper in ((_UPPER_RIM, True), (_LOWER_RIM, False)):
            ids = np.array(rim) if side == "left" else np.array([mirror[v] for v in rim])
            rows.append(_LashRow(ids, _EYE_HELPER[side], sign, upper, fullness, rng))
    blades = sum(len(row.at) for row in rows)
    faces = []
    for blade in range(blades):
        a = 5 * blade
        faces += [[a, a + 1, a + 3, a + 2], [a + 2, a + 3, a + 4]]
    uvs = np.tile(
        np.array([[0, 0], [1, 0], [0.75, 0.5], [0.25, 0.5], [0.25, 0.5], [0.75, 0.5], [0.5, 1.0]]), (blades, 1)
    )

    def fit(human: Float) -> Float:
        points = blender_from_makehuman(human)
        return np.concatenate([row.blades(points) for row in rows])

    return PartMesh(faces, uvs, fit, np.concatenate([row.weight_ids() for row in rows]))


class _LashRow:
    """The lashes of one lid."""

    def __init__(
        self, ids: Int, eye: tuple[int, int], sign: float, upper: bool, fullness: float, rng: np.random.Generator
    ) -> None:
        count = int((34 if upper else 20) * (0.7 + 0.5 * fullness))
        self.ids, self.eye, self.sign, self.upper = ids, eye, sign, upper
        self.at = np.sort(np.clip((np.arange(count) + rng.uniform(-0.35, 0.35, count)) / (count - 1), 0.0, 0.999))
        reach = np.interp(self.at, [0, 0.25, 0.7, 1], [0.35, 0.75, 1.0, 0.75])
        self.length = (0.0072 if upper else 0.0038) * (0.8 + 0.35 * fullness) * reach * rng.uniform(0.8, 1.1, count)
        self.splay = np.interp(self.at, [0, 0.5, 1], [-0.25, 0.15, 0.75]) + rng.normal(0, 0.10, count)
        self.width = 0.00017 if upper else 0.00012

    def _segment(self) -> tuple[Int, Float]:
        place = self.at * (len(self.ids) - 1)
        first = place.astype(np.int64)
        return first, (place - first)[:, None]

    def blades(self, points: Float) -> Float:
        """(5 blades, 3): two root points, two middle points and the tip of each lash."""
        first, t = self._segment()
        a, b = points[self.ids[first]], points[self.ids[first + 1]]
        root = a + (b - a) * t
        along = (b - a) / np.linalg.norm(b - a, axis=1, keepdims=True)
        centre = points[self.eye[0] : self.eye[1] + 1].mean(axis=0)
        outward = root - centre
        outward /= np.linalg.norm(outward, axis=1, keepdims=True)
        lid = np.cross(along, outward) * (self.sign if self.upper else -self.sign)  # away from the opening
        lid /= np.linalg.norm(lid, axis=1, keepdims=True)
        aside = np.array([self.sign, 0, 0]) * self.splay[:, None]
        start = 0.92 * outward + 0.05 * lid + 0.6 * aside
        curl = 0.55 * lid - 0.10 * outward + 0.2 * aside
        length = self.length[:, None]
        middle = root + length * (0.5 * start + 0.25 * curl)
        tip = root + length * (start + curl)
        half = along * self.width
        return np.stack([root - half, root + half, middle - 0.75 * half, middle + 0.75 * half, tip], axis=1).reshape(
            -1, 3
        )

    def weight_ids(self) -> Int:
        first, _ = self._segment()
        return np.repeat(self.ids[first], 5)


def mirror_vertices(vertices: Float, ids: Int) -> dict[int, int]:
    """Base vertex -> its mirror image (the nearest vertex to the point with x negated)."""
    result = {}
    for vertex in ids.tolist():
        goal = vertices[vertex] * (-1, 1, 1)
        result[vertex] = int(np.linalg.norm(vertices[:13380] - goal, axis=1).argmin())
    return result
