# SPDX-License-Identifier: Apache-2.0
"""A tiny capture made without Blender: a painted, softly lit ball, ray traced exactly, with its mesh and depth."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from interchange.cameras import Camera, look_at
from interchange.capture import Capture, ObjectInfo, Pose, View, ViewImages, write_preview, write_view
from interchange.mesh import Mesh, Region

RADIUS = 0.12
CENTRE = np.array([0.02, -0.01, 1.6])  # Blender's world, away from the origin
_LIGHT = np.array([0.4, -0.8, 0.45])


def paint(directions: np.ndarray) -> np.ndarray:  # (N, 3) unit, from the centre
    """(N, 3) linear colours of the lit ball, smooth, and different everywhere."""
    x, y, z = directions.T
    albedo = np.stack([0.45 + 0.3 * np.sin(4 * x + z), 0.4 + 0.25 * np.cos(5 * z), 0.35 + 0.25 * np.sin(3 * y)], axis=1)
    light = 0.6 + 0.4 * directions @ (_LIGHT / np.linalg.norm(_LIGHT))
    return np.clip(albedo, 0.05, 0.9) * light[:, None]


def ball_mesh(rings: int = 16, degenerate: bool = True) -> Mesh:
    """The ball as a UV sphere; its poles, and one more triangle, have no area."""
    theta = np.linspace(0, np.pi, rings + 1)
    phi = np.linspace(0, 2 * np.pi, 2 * rings, endpoint=False)
    t, p = (a.ravel() for a in np.meshgrid(theta, phi, indexing="ij"))
    normals = np.stack([np.sin(t) * np.sin(p), -np.sin(t) * np.cos(p), np.cos(t)], axis=1)
    around = len(phi)
    a, b = (i.ravel() for i in np.meshgrid(np.arange(rings), np.arange(around), indexing="ij"))
    after = (b + 1) % around
    corner = [a * around + b, (a + 1) * around + b, (a + 1) * around + after, a * around + after]
    faces = np.concatenate([np.stack([corner[0], corner[i], corner[i + 1]], axis=1) for i in (1, 2)])
    if degenerate:
        faces = np.concatenate([faces, [[0, 0, 5]]])
    count = len(normals)
    uv = np.stack([p / (2 * np.pi), 1 - t / np.pi], axis=1)
    return Mesh(
        vertices=CENTRE + RADIUS * normals,
        rest_vertices=CENTRE + RADIUS * normals,
        normals=normals,
        faces=faces,
        face_uvs=uv[faces],
        face_object=np.zeros(len(faces)),
        face_region=np.full(len(faces), int(Region.SKIN)),
        region_face=(normals[:, 1] < -0.6).astype(np.float32),
        region_lips=np.zeros(count),
        region_brows=np.zeros(count),
        bone_index=np.zeros((count, 4)),
        bone_weight=np.zeros((count, 4)),
        landmarks=np.full(68, -1),
    )


def trace(camera: Camera, samples: int = 3) -> ViewImages:
    """The ball seen by a camera, averaged over samples x samples rays a pixel; depth at pixel centres."""
    height, width = camera.height, camera.width
    rgba = np.zeros((height * width, 4))
    for dy in range(samples):
        for dx in range(samples):
            shift = (np.array([dx, dy]) + 0.5) / samples - 0.5
            hit, normal, _ = _hits(camera, camera.pixel_centres() + shift)
            rgba[hit] += np.concatenate([paint(normal[hit]), np.ones((hit.sum(), 1))], axis=1) / samples**2
    hit, normal, depth = _hits(camera, camera.pixel_centres())
    face = (hit & (normal[:, 1] < -0.6)).astype(np.float32)
    picture = rgba.reshape(height, width, 4).astype(np.float32)
    return ViewImages(
        rgb=picture[..., :3],
        alpha=picture[..., 3],
        depth=np.where(hit, depth, 0).reshape(height, width).astype(np.float32),
        masks={"face": face.reshape(height, width)},
    )


def _hits(camera: Camera, uv: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    far = camera.unproject(uv, np.ones(len(uv)))
    rays = far - camera.position  # of planar depth 1, so the ray's parameter is the depth
    offset = camera.position - CENTRE
    a, b, c = (rays**2).sum(1), rays @ offset, offset @ offset - RADIUS**2
    root = b**2 - a * c
    depth = (-b - np.sqrt(np.maximum(root, 0))) / a
    return root > 0, (offset + depth[:, None] * rays) / RADIUS, depth


def ball_camera(azimuth: float, elevation: float, size: int = 64, target: np.ndarray = CENTRE) -> Camera:
    """A camera around the ball, angles in radians; azimuth 0 is in front (-Y)."""
    towards = [np.sin(azimuth) * np.cos(elevation), -np.cos(azimuth) * np.cos(elevation), np.sin(elevation)]
    K = np.array([[1.8 * size, 0, size / 2], [0, 1.8 * size, size / 2], [0, 0, 1]])
    return look_at(target + 0.6 * np.array(towards), target, np.array([0, 0, 1.0]), K, size, size)


def make_capture(folder: Path, train: int = 10, held_out: int = 2, size: int = 64, mesh: bool = True) -> Capture:
    """Write the capture folder; views stand on a golden-ratio spiral."""
    for name in ("views", "previews", "meshes"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    capture = Capture(folder, "ball", [], [], [ObjectInfo("ball", "head", 0, 1)])
    ball_mesh().save(folder / "meshes" / "rest.npz")
    if mesh:
        capture.poses.append(Pose("rest", "meshes/rest.npz"))
    for i in range(train + held_out):
        split = "train" if i < train else "held_out"
        camera = ball_camera(2 * np.pi * (i * 0.618034 % 1), 0.9 * (i * 0.754878 % 1) - 0.3, size)
        add_view(capture, f"{split}_{i:02d}", split, camera, trace(camera))
    capture.save_manifest()
    return capture


def add_view(capture: Capture, name: str, split: str, camera: Camera, images: ViewImages) -> None:
    """Write one view's files and append it to the manifest (which is not saved)."""
    write_view(capture.folder / f"views/{name}.exr", images)
    write_preview(capture.folder / f"previews/{name}.png", images)
    capture.views.append(View(name, split, "rest", camera, f"views/{name}.exr", f"previews/{name}.png"))
