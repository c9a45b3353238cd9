# SPDX-License-Identifier: Apache-2.0
"""A head made in numpy, with everything that a capture holds, so that the swap can be measured against known truth.

Not a face that anybody would like, but one with a nose, sockets, chin, eyes, hair, UVs, landmarks and regions, lit by a
known light: `head` builds identity A or B (same topology and UVs), `paint` its skin, `render` a view with all passes.
"""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import attrs
import cv2
import numpy as np

from avatars.skin import IRIS_RADIUS
from backend.kernels.mesh_rasterization import interpolate, rasterize
from interchange.cameras import Camera, look_at
from interchange.capture import Capture, ObjectInfo, Pose, View, ViewImages, write_preview, write_view
from interchange.colour import linear_from_srgb, srgb_from_linear
from interchange.consent import sha256_of_file
from interchange.mesh import Mesh, Region
from interchange.png import write_png

RINGS, SEGMENTS = 73, 144  # 2.5 degrees
EYE_RINGS, EYE_SEGMENTS = 13, 24
CENTRE = np.array([0.0, 0.0, 1.5])
ATLAS_SIZE = 192  # texels a side of the fixture `atlas`


@attrs.frozen
class Shape:
    width: float = 0.076
    depth: float = 0.095
    height: float = 0.115
    nose: float = 0.022
    chin: float = 0.012
    cheeks: float = 0.004


@attrs.frozen
class Skin:
    tone: tuple[float, float, float] = (0.80, 0.60, 0.50)
    lips: tuple[float, float, float] = (0.70, 0.35, 0.35)
    brows: tuple[float, float, float] = (0.25, 0.16, 0.10)
    brow_lift: float = 0.0
    freckles: int = 0
    seed: int = 0


SHAPES = {"A": Shape(), "B": Shape(0.070, 0.092, 0.120, 0.018, 0.016, 0.007)}
SKINS = {
    "A": Skin(),
    "B": Skin((0.52, 0.35, 0.26), (0.48, 0.20, 0.20), (0.10, 0.07, 0.05), 2.0, 120, 1),
    "B in A's tone": Skin((0.80, 0.60, 0.50), (0.74, 0.34, 0.38), (0.15, 0.12, 0.10), 2.0, 120, 1),
}


@attrs.frozen
class Light:
    """Ambient plus Lambertian key and fill, linear RGB; `key` is where it comes from."""

    key: tuple[float, float, float] = (0.5, -1.0, 0.6)
    strength: float = 0.75
    ambient: float = 0.3
    fill: float = 0.2

    def on(self, normals: np.ndarray) -> np.ndarray:  # (..., 3)
        key = np.array(self.key) / np.linalg.norm(self.key)
        fill = np.array([-0.8, -0.5, 0.0]) / np.linalg.norm([-0.8, -0.5, 0.0])
        amount = self.strength * np.maximum(normals @ key, 0)
        amount = amount + self.fill * np.maximum(normals @ fill, 0)
        return amount[..., None] * np.array([1.0, 0.98, 0.95]) + self.ambient * np.array([0.95, 1.0, 1.05])


def _landmark_angles() -> np.ndarray:
    """(68, 2) azimuth (0 ahead, positive to the character's left = +x) and elevation in degrees."""
    jaw = [(a, -12 - 40 * np.cos(np.radians(a * 90 / 75)) ** 1.5) for a in np.linspace(-75, 75, 17)]
    brow = [(12.5, 27.5), (20, 30), (27.5, 30), (35, 27.5), (42.5, 22.5)]
    nose = [(0, 15), (0, 7.5), (0, 0), (0, -7.5)]
    nostrils = [(-10, -12.5), (-5, -15), (0, -15), (5, -15), (10, -12.5)]
    eye = [(15, 10), (22.5, 15), (30, 15), (35, 10), (30, 5), (22.5, 5)]  # inner corner, over the top, outer, below
    right = [(-a, e) for a, e in (eye[3], eye[2], eye[1], eye[0], eye[5], eye[4])]
    outer = [(-20, -30), (-12.5, -25), (-5, -22.5), (0, -25), (5, -22.5), (12.5, -25), (20, -30)]
    outer += [(12.5, -35), (7.5, -37.5), (0, -37.5), (-7.5, -37.5), (-12.5, -35)]
    inner = [(-15, -30), (-7.5, -27.5), (0, -27.5), (7.5, -27.5), (15, -30), (7.5, -32.5), (0, -32.5), (-7.5, -32.5)]
    points = jaw + [(-a, e) for a, e in brow[::-1]] + brow + nose + nostrils + right + eye + outer + inner
    return np.array(points, float)


def _directions(azimuth: np.ndarray, elevation: np.ndarray) -> np.ndarray:  # degrees
    a, e = np.radians(azimuth), np.radians(elevation)
    return np.stack([np.sin(a) * np.cos(e), -np.cos(a) * np.cos(e), np.sin(e)], -1)


def _bump(azimuth: np.ndarray, elevation: np.ndarray, a: float, e: float, wide: float, high: float) -> np.ndarray:
    return np.exp(-(((azimuth - a) / wide) ** 2) - ((elevation - e) / high) ** 2)


def _surface(azimuth: np.ndarray, elevation: np.ndarray, shape: Shape) -> np.ndarray:
    d = _directions(azimuth, elevation)
    base = d * np.array([shape.width, shape.depth, shape.height])
    out = shape.nose * (
        _bump(azimuth, elevation, 0, -7, 7, 7) + 0.5 * _bump(azimuth, elevation, 0, 4, 6, 9)
    ) + shape.chin * _bump(azimuth, elevation, 0, -52, 20, 12)
    for side in (-1, 1):
        out = out - 0.008 * _bump(azimuth, elevation, 25 * side, 10, 12, 8)
        out = out + shape.cheeks * _bump(azimuth, elevation, 42 * side, -8, 16, 14)
        out = out + 0.004 * _bump(azimuth, elevation, 26 * side, 27, 20, 6)
    out = out + 0.004 * _bump(azimuth, elevation, 0, -30, 16, 8)
    return CENTRE + base + d * out[..., None]


def _grid(rings: int = RINGS, segments: int = SEGMENTS) -> tuple[np.ndarray, np.ndarray]:
    elevation, azimuth = np.meshgrid(np.linspace(-90, 90, rings), np.linspace(-180, 180, segments + 1), indexing="ij")
    return azimuth[:, :-1], elevation[:, :-1]


def texture_angles(size: int) -> tuple[np.ndarray, np.ndarray]:
    """(size, size) azimuth and elevation in degrees of each texel."""
    u, v = np.meshgrid((np.arange(size) + 0.5) / size, 1 - (np.arange(size) + 0.5) / size)
    return (u - 0.02) / 0.96 * 360 - 180, (v - 0.02) / 0.96 * 180 - 90


def _sheet(rings: int = RINGS, segments: int = SEGMENTS) -> tuple[np.ndarray, np.ndarray]:
    """Faces and their UVs of the closed latitude-longitude grid."""
    i, j = np.meshgrid(np.arange(rings - 1), np.arange(segments), indexing="ij")
    k = (j + 1) % segments
    a, b, c, d = i * segments + j, i * segments + k, (i + 1) * segments + k, (i + 1) * segments + j

    def uv(ring: np.ndarray, segment: np.ndarray) -> np.ndarray:
        return np.stack([0.02 + 0.96 * segment / segments, 0.02 + 0.96 * ring / (rings - 1)], -1)

    uvs = [uv(i, j), uv(i, j + 1), uv(i + 1, j + 1), uv(i + 1, j)]
    faces = np.concatenate([np.stack([a, b, c], -1), np.stack([a, c, d], -1)]).reshape(-1, 3)
    face_uvs = np.concatenate([np.stack([uvs[0], uvs[1], uvs[2]], 2), np.stack([uvs[0], uvs[2], uvs[3]], 2)])
    return faces, face_uvs.reshape(-1, 3, 2)


def vertex_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    cross, normals = np.cross(b - a, c - a), np.zeros_like(vertices)
    for i in range(3):
        np.add.at(normals, faces[:, i], cross)
    return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)


def head(identity: str = "A", mouth_open: float = 0.0) -> Mesh:
    """Head, two eyes, a cap of hair; `mouth_open` moves the posed chin, not the rest vertices."""
    shape = SHAPES[identity]
    azimuth, elevation = (g.ravel() for g in _grid())
    rest = _surface(azimuth, elevation, shape)
    faces, face_uvs = _sheet()
    parts = [(rest, faces, face_uvs, 0)]
    for side in (-1, 1):
        socket = _surface(np.array([25.0 * side]), np.array([10.0]), shape)[0]
        centre = CENTRE + (socket - CENTRE) * 0.93
        eye = _directions(*(g.ravel() for g in _grid(EYE_RINGS, EYE_SEGMENTS))) * 0.0125
        parts.append((centre + eye, *_sheet(EYE_RINGS, EYE_SEGMENTS), 1))
    above = (elevation[faces] > 45).all(1) | (np.abs(azimuth[faces]) > 100).all(1) & (elevation[faces] > -20).all(1)
    parts.append((CENTRE + (rest - CENTRE) * 1.06, faces[above], face_uvs[above], 2))
    counts = np.cumsum([0] + [len(p[0]) for p in parts])
    rest_all = np.concatenate([p[0] for p in parts])
    faces_all = np.concatenate([p[1] + o for p, o in zip(parts, counts, strict=False)])
    posed = rest_all.copy()
    posed[: len(rest), 2] -= 0.012 * mouth_open * _bump(azimuth, elevation, 0, -55, 40, 18)
    soft = np.clip((1 - np.hypot(azimuth / 78, (elevation + 5) / 62)) / 0.2, 0, 1)
    mouth = np.hypot(azimuth / 20, (elevation + 30) / 7.5) < 1
    angles = _landmark_angles()
    distance = (azimuth[:, None] - angles[:, 0]) ** 2 + (elevation[:, None] - angles[:, 1]) ** 2
    count, objects = len(rest_all), np.concatenate([np.full(len(p[1]), p[3]) for p in parts])
    pad = np.zeros(count - len(rest))
    face_region = np.array([Region.SKIN, Region.EYE, Region.HAIR])[objects]
    inner = (soft[faces] > 0.5).all(1)
    face_region[: len(faces)][inner] = Region.FACE
    return Mesh(
        vertices=posed, rest_vertices=rest_all, normals=vertex_normals(posed, faces_all), faces=faces_all,
        face_uvs=np.concatenate([p[2] for p in parts]), face_object=objects, face_region=face_region,
        region_face=np.concatenate([soft, pad]), region_lips=np.concatenate([mouth, pad]),
        region_brows=np.zeros(count), bone_index=np.zeros((count, 4)), bone_weight=np.zeros((count, 4)),
        landmarks=distance.argmin(0),
    )  # fmt: skip


def looking(mesh: Mesh, left: float = 0.0, up: float = 0.0) -> Mesh:
    """The head with eyes whose UVs show `avatars.skin.paint_iris` seen from the front, irises 5.85 mm in radius, turned
    by degrees. The balls stand out more, and more ahead, so that the irises are seen whole."""
    axis = _directions(np.array(left), np.array(up))
    right = np.cross(axis, [0.0, 0.0, 1.0])  # of the picture's, so to the character's left
    right /= np.linalg.norm(right)
    upward = np.cross(right, axis)
    uvs, shift = mesh.face_uvs.copy(), np.zeros_like(mesh.vertices)
    own = np.flatnonzero(mesh.face_object == 1)
    corners = mesh.vertices[mesh.faces[own]].astype(np.float64)
    for side in (-1, 1):
        here = corners[..., 0].mean(1) * side > 0
        ball = np.unique(corners[here].reshape(-1, 3), axis=0)
        offset = (corners[here] - (ball.min(0) + ball.max(0)) / 2) / 0.00585 * IRIS_RADIUS
        uvs[own[here]] = 0.5 + np.stack([offset @ right, offset @ upward], axis=-1)
        shift[np.unique(mesh.faces[own[here]])] = (0.002 * side, -0.008, 0.0)
    return attrs.evolve(
        mesh, face_uvs=uvs, vertices=mesh.vertices + shift, rest_vertices=mesh.rest_vertices + shift
    )  # fmt: skip


def paint(identity: str, size: int = 256) -> np.ndarray:
    """(size, size, 3) sRGB skin image."""
    skin = SKINS[identity]
    generator = np.random.default_rng(skin.seed)
    azimuth, elevation = texture_angles(size)
    image = np.ones((size, size, 3)) * np.array(skin.tone)
    for sigma, amount in ((size / 20, 0.5), (size / 160, 0.05)):
        noise = cv2.GaussianBlur(generator.normal(0, 1, (size, size)), (0, 0), sigma)
        image += (noise / noise.std() * 0.02 * amount)[..., None]
    blush = sum(_bump(azimuth, elevation, 40 * s, -12, 16, 12) for s in (-1, 1))
    image += blush[..., None] * np.array([0.03, -0.02, -0.015])
    for _ in range(skin.freckles):
        a, e = generator.uniform(-50, 50), generator.uniform(-25, 35)
        image -= 0.08 * _bump(azimuth, elevation, a, e, 1.0, 1.0)[..., None]

    def cover(amount: np.ndarray, colour: tuple[float, float, float]) -> None:
        image[:] = image + amount[..., None] * (np.array(colour) - image)

    for side in (-1, 1):
        arch = 27.5 + skin.brow_lift - ((azimuth * side - 26) / 9) ** 2
        along = np.clip((16 - np.abs(azimuth * side - 27)) / 2, 0, 1)
        cover(np.clip((2.2 - np.abs(elevation - arch)) / 0.8, 0, 1) * along, skin.brows)
        cover(np.clip((7 - np.hypot(azimuth - side * 6, (elevation + 15) * 2)) / 4, 0, 0.5), (0.2, 0.1, 0.1))
    cover(np.clip((1 - np.hypot(azimuth / 20, (elevation + 30) / 7.5)) / 0.15, 0, 1), skin.lips)
    return np.clip(image, 0, 1)


def dome_camera(azimuth: float, elevation: float, size: int, distance: float = 0.85) -> Camera:
    focal = 2.5 * size
    K = np.array([[focal, 0, size / 2], [0, focal, size / 2], [0, 0, 1.0]])
    position = CENTRE + _directions(np.array(azimuth), np.array(elevation)) * distance
    return look_at(position, CENTRE, np.array([0, 0, 1.0]), K, size, size)


OBJECT_COLOURS = {1: (0.7, 0.7, 0.7), 2: (0.03, 0.02, 0.015)}


def render(mesh: Mesh, skin: np.ndarray, camera: Camera, light: Light, samples: int = 4, noise: float = 0.0,
           gloss: float = 0.02, eyes: np.ndarray | None = None) -> ViewImages:  # fmt: skip
    """All passes of one view: `skin` is linear (h, w, 3); 4 % of it stays at the surface, `gloss` is what that adds.
    eyes: their linear texture, if they have one."""
    raster = rasterize(mesh.vertices, mesh.faces, camera, samples)
    seen = raster.covered
    normal = interpolate(raster, mesh.normals[mesh.faces])
    normal /= np.maximum(np.linalg.norm(normal, axis=-1, keepdims=True), 1e-9)
    uv = interpolate(raster, mesh.face_uvs)
    albedo = _looked_up(skin, uv)
    item = np.where(seen, mesh.face_object[raster.face], -1)
    for index, colour in OBJECT_COLOURS.items():
        albedo[item == index] = colour
    if eyes is not None:
        albedo[item == 1] = _looked_up(eyes, uv)[item == 1]
    shading = light.on(normal)
    key = np.array(light.key) / np.linalg.norm(light.key)
    view_direction = camera.position - interpolate(raster, mesh.vertices[mesh.faces])
    half = view_direction / np.linalg.norm(view_direction, axis=-1, keepdims=True) + key
    half /= np.linalg.norm(half, axis=-1, keepdims=True)
    shine = gloss * (shading.mean(-1) + np.maximum((normal * half).sum(-1), 0) ** 12)

    def pixels(values: np.ndarray) -> np.ndarray:
        values = values * seen.reshape(seen.shape + (1,) * (values.ndim - 2))
        shape = (camera.height, samples, camera.width, samples, *values.shape[2:])
        return values.reshape(shape).mean((1, 3)).astype(np.float32)

    centre = slice(samples // 2, None, samples)
    face = interpolate(raster, mesh.region_face[mesh.faces][..., None])[..., 0]
    generator = np.random.default_rng(5)
    measured = pixels(shading)
    measured = measured * np.maximum(1 + noise * generator.normal(0, 1, measured.shape), 0)
    return ViewImages(
        rgb=pixels(0.96 * albedo * shading + shine[..., None]), alpha=pixels(np.ones(seen.shape)),
        albedo=pixels(0.96 * albedo), light=measured.astype(np.float32), depth=raster.depth[centre, centre],
        normal=np.where(seen[..., None], normal, 0)[centre, centre], uv=uv[centre, centre],
        masks={"face": pixels(face), "skin": pixels(item == 0), "eye": pixels(item == 1), "hair": pixels(item == 2)},
    )  # fmt: skip


def _looked_up(texture: np.ndarray, uv: np.ndarray) -> np.ndarray:
    x, y = uv[..., 0] * texture.shape[1] - 0.5, (1 - uv[..., 1]) * texture.shape[0] - 0.5
    return cv2.remap(texture.astype(np.float32), x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def write_capture(folder: Path, identity: str = "A", skin: np.ndarray | None = None, views: tuple = (-40, 0, 50),
                  size: int = 112, light: Light = Light(), noise: float = 0.0, mouth_open: float = 0.0,
                  texture_size: int = 256, eyes: np.ndarray | None = None) -> Capture:  # fmt: skip
    """A capture folder of a head; views alternate in height, the last is held out. eyes: (h, w, 3) sRGB, laid out as
    `looking` does it."""
    mesh = head(identity, mouth_open)
    mesh = mesh if eyes is None else looking(mesh)
    skin = paint(identity, texture_size) if skin is None else skin
    for part in ("views", "previews", "meshes", "textures"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    mesh.save(folder / "meshes/rest.npz")
    encoded = np.rint(skin * 255).astype(np.uint8)
    write_png(folder / "textures/head.png", encoded)
    linear = linear_from_srgb(encoded.astype(np.float32) / 255)
    textures, painted = {"head": "textures/head.png"}, None
    if eyes is not None:
        textures["eyes"] = "textures/eyes.png"
        write_png(folder / "textures/eyes.png", np.rint(eyes * 255).astype(np.uint8))
        painted = linear_from_srgb(np.rint(eyes * 255).astype(np.float32) / 255)
    items = []
    for index, azimuth in enumerate(views):
        camera = dome_camera(azimuth, 12 * (index % 2), size)
        images = render(mesh, linear, camera, light, noise=noise, eyes=painted)
        name = f"view_{index:03d}"
        write_view(folder / f"views/{name}.exr", images)
        write_preview(folder / f"previews/{name}.png", images)
        split = "held_out" if index == len(views) - 1 else "train"
        items.append(View(name, split, "rest", camera, f"views/{name}.exr", f"previews/{name}.png"))
    starts = [int(np.flatnonzero(mesh.face_object == i)[0]) for i in range(3)]
    counts = [int((mesh.face_object == i).sum()) for i in range(3)]
    objects = [
        ObjectInfo(name, part, start, count, textures.get(part),
                   list(OBJECT_COLOURS.get(i, (0.8, 0.8, 0.8))))
        for i, (name, part, start, count) in enumerate(
            zip(("head", "eyes", "hair"), ("head", "eyes", "hair"), starts, counts, strict=True))
    ]  # fmt: skip
    capture = Capture(folder, "synthetic", items, [Pose("rest", "meshes/rest.npz")], objects, {"name": identity})
    capture.save_manifest()
    return capture


def write_source(folder: Path, identity: str = "B", size: int = 360, azimuth: float = 0.0, light: Light = Light(),
                 noise_px: float = 0.0, seed: int = 0, eyes: np.ndarray | None = None,
                 gaze: tuple[float, float] = (0.0, 0.0), samples: int = 4) -> Path:  # fmt: skip
    """A source folder: well-exposed portrait on grey, landmarks with noise, a synthetic consent record. eyes: (h, w, 3)
    sRGB; gaze: degrees to the character's left and up."""
    folder.mkdir(parents=True, exist_ok=True)
    mesh = head(identity)
    camera = dome_camera(azimuth, 2.0, size, 0.8)
    painted = None
    if eyes is not None:
        mesh, painted = looking(mesh, *gaze), linear_from_srgb(eyes)
    images = render(mesh, linear_from_srgb(paint(identity, 512)), camera, light, samples, eyes=painted)
    white_card = np.percentile(images.light[images.masks["face"] > 0.9], 95)  # the convention of delighting.py
    over_grey = images.rgb / white_card + (1 - images.alpha[..., None]) * 0.2
    portrait = np.rint(srgb_from_linear(np.clip(over_grey, 0, 1)) * 255).astype(np.uint8)
    write_png(folder / "portrait.png", portrait)
    points = camera.project(mesh.vertices[mesh.landmarks])[0]
    points = points + np.random.default_rng(seed).normal(0, noise_px, points.shape)
    write_landmarks(folder, points)
    write_consent(folder)
    return folder


def write_landmarks(folder: Path, points: np.ndarray, ids: list[int] | None = None) -> None:
    listed = {str(i): [float(x), float(y)] for i, (x, y) in enumerate(points) if ids is None or i in ids}
    value = {"format": "digidouble-landmarks", "version": 1, "image": "portrait.png", "points": listed}
    (folder / "landmarks.json").write_text(json.dumps(value))


FOUND_BY = [{"role": "landmarker", "file": "2dfan4.onnx", "sha256": "ab" * 32, "kind": "2dfan4"}]
"""What a landmark file says of points that a network has found."""


def write_consent(folder: Path, **changes: object) -> None:
    value = {
        "format": "digidouble-consent", "version": 1, "kind": "synthetic", "subject": "avatar B",
        "granted_by": "nobody: the avatar is made by code", "authority": "synthetic", "use": "tests",
        "operations": ["swap"], "expires": None,
        "source_sha256": {"portrait.png": sha256_of_file(folder / "portrait.png")},
    }  # fmt: skip
    (folder / "consent.json").write_text(json.dumps(value | changes))


TODAY = date(2026, 1, 1)
