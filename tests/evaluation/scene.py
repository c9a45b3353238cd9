# SPDX-License-Identifier: Apache-2.0
"""A small world with an exact answer: a textured ball, ray traced, as capture, swap, truth and double folders."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from interchange.cameras import SPLAT_FROM_BLENDER, Camera, look_at
from interchange.capture import Capture, ObjectInfo, Pose, View, ViewImages, write_preview, write_view
from interchange.colour import linear_from_srgb
from interchange.mesh import Mesh
from interchange.png import write_png
from interchange.splats import SplatCloud, write_ply

RADIUS = 0.1
CENTRE = np.array([0.0, 0.0, 1.6])
Texture = Callable[[np.ndarray], np.ndarray]  # unit directions (N, 3) -> display sRGB (N, 3) 0..1


def texture_a(direction: np.ndarray) -> np.ndarray:
    waves = np.sin(direction * np.array([7.0, 5.0, 6.0]) + np.array([0.3, 1.1, 2.0]))
    return np.clip(0.5 + 0.25 * waves + 0.1 * np.sin(9 * direction[:, 2:]), 0, 1)


def texture_b(direction: np.ndarray) -> np.ndarray:
    return np.clip(texture_a(direction)[:, ::-1] * 0.8 + 0.1 * np.cos(11 * direction[:, :1]), 0, 1)


def camera(azimuth: float, elevation: float = 0.0, size: int = 64, distance: float = 0.8) -> Camera:
    """Azimuth in degrees from the face's direction (-Y), growing towards +X."""
    a, e = np.radians(azimuth), np.radians(elevation)
    direction = np.array([np.sin(a) * np.cos(e), -np.cos(a) * np.cos(e), np.sin(e)])
    K = np.array([[3.2 * size, 0, size / 2], [0, 3.2 * size, size / 2], [0, 0, 1.0]])
    return look_at(CENTRE + distance * direction, CENTRE, np.array([0.0, 0.0, 1.0]), K, size, size)


def trace(view: Camera, texture: Texture) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Display colour (H, W, 3) over black, depth (H, W) planar, hit (H, W): one ray a pixel centre, no antialiasing."""
    shape = (view.height, view.width)
    ray = view.unproject(view.pixel_centres(), np.ones(view.width * view.height)) - view.position
    offset = view.position - CENTRE
    a, b, c = (ray * ray).sum(1), ray @ offset, offset @ offset - RADIUS**2
    root = b * b - a * c
    hit = root > 0
    depth = np.where(hit, (-b - np.sqrt(np.maximum(root, 0))) / a, 0)
    direction = (offset + depth[:, None] * ray) / RADIUS
    colour = texture(direction) * hit[:, None]
    return colour.reshape(*shape, 3).astype(np.float32), depth.reshape(shape).astype(np.float32), hit.reshape(shape)


def images(view: Camera, texture: Texture) -> ViewImages:
    colour, depth, hit = trace(view, texture)
    world = view.unproject(view.pixel_centres(), depth.ravel()).reshape(*depth.shape, 3)
    face = (hit & (world[..., 1] < CENTRE[1] - 0.2 * RADIUS)).astype(np.float32)
    return ViewImages(
        rgb=linear_from_srgb(colour),
        alpha=hit.astype(np.float32),
        depth=depth,
        masks={"face": face, "skin": hit.astype(np.float32)},
    )


def ring(size: int = 64) -> list[tuple[str, str, Camera]]:
    """(name, split, camera): 10 training and 3 held-out views in front of the ball."""
    train = [(f"t{i:02d}", "train", camera(-67.5 + 15 * i, 12 * (-1) ** i, size)) for i in range(10)]
    return train + [(f"h{i:02d}", "held_out", camera(a, 0, size)) for i, a in enumerate((-35, 4, 40))]


def triangle_mesh() -> Mesh:
    corners = np.array([[0, 0, 1.6], [0.1, 0, 1.6], [0, 0, 1.7]], np.float32)
    return Mesh(
        vertices=corners,
        rest_vertices=corners,
        normals=np.tile(np.array([0, -1, 0], np.float32), (3, 1)),
        faces=np.array([[0, 1, 2]]),
        face_uvs=np.array([[[0, 0], [1, 0], [0, 1]]]),
        face_object=np.zeros(1),
        face_region=np.ones(1),
        region_face=np.ones(3),
        region_lips=np.zeros(3),
        region_brows=np.zeros(3),
        bone_index=np.zeros((3, 4)),
        bone_weight=np.zeros((3, 4)),
        landmarks=np.full(68, -1),
    )


def write_capture(folder: Path, texture: Texture, name: str, size: int = 64, held_out_only: bool = False) -> Path:
    for sub in ("views", "previews", "meshes", "textures"):
        (folder / sub).mkdir(parents=True, exist_ok=True)
    triangle_mesh().save(folder / "meshes/rest.npz")
    skin = np.linspace(0, 255, 32 * 32 * 3).reshape(32, 32, 3) * texture(np.array([[0.0, -1.0, 0.0]]))[0]
    write_png(folder / "textures/head.png", skin.astype(np.uint8))
    views = []
    for view_name, split, view_camera in ring(size):
        if held_out_only and split == "train":
            continue
        passes = images(view_camera, texture)
        exr, preview = f"views/{view_name}.exr", f"previews/{view_name}.png"
        write_view(folder / exr, passes)
        write_preview(folder / preview, passes)
        views.append(View(view_name, split, "rest", view_camera, exr, preview))
    objects = [ObjectInfo("head", "head", 0, 1, "textures/head.png")]
    capture = Capture(folder, name, views, [Pose("rest", "meshes/rest.npz")], objects, {"name": name})
    capture.save_manifest()
    return folder


def write_double(folder: Path, capture: Capture, texture: Texture, error: float = 0.01) -> Path:
    """Renders of the held-out views with a smooth error of `error`, a cloud and a training curve."""
    (folder / "renders").mkdir(parents=True, exist_ok=True)
    for view in capture.held_out_views:
        colour, _, hit = trace(view.camera, texture)
        wobble = error * np.sin(np.arange(view.camera.width) / 5)[None, :, None]
        picture = np.clip(colour + wobble * hit[..., None], 0, 1)
        write_png(folder / f"renders/{view.name}.png", np.rint(picture * 255).astype(np.uint8))
    rng = np.random.default_rng(7)
    means = (rng.normal(size=(50, 3)) * 0.03 + CENTRE) @ SPLAT_FROM_BLENDER.T
    cloud = SplatCloud(means, np.full((50, 3), -5.0), rng.normal(size=(50, 4)), np.zeros(50), np.zeros((50, 1, 3)))
    write_ply(folder / "splats.ply", cloud)
    steps = list(range(0, 500, 50))
    curves = {
        "iteration": steps,
        "loss": [0.2 / (1 + i / 50) for i in steps],
        "psnr": [20 + 3 * np.log1p(i / 50) for i in steps],
        "seconds": [0.02 * i for i in steps],
    }
    (folder / "curves.json").write_text(json.dumps(curves))
    return folder


def write_source(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    colour, _, _ = trace(camera(0, 0, 96), texture_b)
    write_png(folder / "portrait.png", np.rint(colour * 255).astype(np.uint8))
    points = {str(i): [20.0 + i % 9 * 6, 20.0 + i // 9 * 6] for i in range(68)}
    landmarks = {"format": "digidouble-landmarks", "version": 1, "image": "portrait.png", "points": points}
    (folder / "landmarks.json").write_text(json.dumps(landmarks))
    digest = hashlib.sha256((folder / "portrait.png").read_bytes()).hexdigest()
    consent = {
        "format": "digidouble-consent", "version": 1, "kind": "synthetic", "subject": "Ball B <not a person>",
        "granted_by": "the authors", "authority": "synthetic", "use": "tests of the evaluation", "operations": ["swap"],
        "expires": None, "source_sha256": {"portrait.png": digest},
    }  # fmt: skip
    (folder / "consent.json").write_text(json.dumps(consent))
    return folder


def write_job(root: Path, size: int = 64) -> Path:
    """capture/, swapped/, truth/, source/ and double/ under `root`; the swap equals the truth, the fit nearly so."""
    write_capture(root / "capture", texture_a, "ball A", size)
    write_capture(root / "swapped", texture_b, "ball A", size)
    write_capture(root / "truth", texture_b, "ball A", size, held_out_only=True)
    write_source(root / "source")
    write_double(root / "double", Capture.load(root / "capture"), texture_b)
    return root
