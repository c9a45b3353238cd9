# SPDX-License-Identifier: Apache-2.0
"""The ball of `scene.py` as other programs would have left it: transforms.json folders and COLMAP models.

Everything is written from positions and directions by formulas of their own, never by the code under test.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from scipy.spatial.transform import Rotation

from interchange.cameras import Camera

from .scene import CENTRE, RADIUS, ball_camera, paint, trace


def around(count: int, size: int = 48) -> list[Camera]:
    """Cameras on the spiral of `scene.make_capture`."""
    return [ball_camera(2 * np.pi * (i * 0.618034 % 1), 0.9 * (i * 0.754878 % 1) - 0.3, size) for i in range(count)]


def straight_rgba(camera: Camera) -> np.ndarray:
    """(H, W, 4) uint8 sRGB with straight alpha, in OpenCV's order B G R A."""
    images = trace(camera)
    alpha = images.alpha[..., None]
    linear = np.clip(images.rgb / np.maximum(alpha, 1e-6), 0, 1)
    encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.rint(np.concatenate([encoded[..., ::-1], alpha], axis=2) * 255).astype(np.uint8)


def opengl_matrix(camera: Camera) -> list[list[float]]:
    """Camera to world with right, up and back as columns, from what the camera looks at."""
    towards = CENTRE - camera.position
    back = -towards / np.linalg.norm(towards)
    right = np.cross([0, 0, 1], back)
    right /= np.linalg.norm(right)
    matrix = np.eye(4)
    matrix[:3] = np.stack([right, np.cross(back, right), back, camera.position], axis=1)
    return matrix.tolist()


def pixel_of(camera: Camera, points: np.ndarray) -> np.ndarray:  # (N, 3) Blender's world
    """(N, 2) pixels of world points, from position, aim and focal length alone."""
    matrix = np.array(opengl_matrix(camera))
    right, up, back = matrix[:3, :3].T
    offset = points - camera.position
    depth = -(offset @ back)
    u = camera.width / 2 + camera.K[0, 0] * (offset @ right) / depth
    v = camera.height / 2 - camera.K[1, 1] * (offset @ up) / depth
    return np.stack([u, v], axis=1)


def frame_of(camera: Camera, picture: str) -> dict[str, Any]:
    """One entry of `frames`, with intrinsics of its own."""
    return {
        "file_path": picture, "w": camera.width, "h": camera.height, "fl_x": camera.K[0, 0], "fl_y": camera.K[1, 1],
        "cx": camera.width / 2, "cy": camera.height / 2, "transform_matrix": opengl_matrix(camera),
    }  # fmt: skip


def write_transforms(folder: Path, cameras: Sequence[Camera], **top: Any) -> Path:
    """images/frame_NNN.png and transforms.json."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    frames = []
    for i, camera in enumerate(cameras):
        name = f"images/frame_{i:03d}.png"
        cv2.imwrite(str(folder / name), straight_rgba(camera))
        frames.append(frame_of(camera, name))
    (folder / "transforms.json").write_text(json.dumps({**top, "frames": frames}))
    return folder


def change_json(path: Path, change: Any) -> None:
    """Rewrite a JSON file after `change(content)`."""
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def write_synthetic(folder: Path, counts: dict[str, int], size: int = 48) -> Path:
    """A synthetic NeRF scene: camera_angle_x, three files, names without suffix."""
    first = 0
    cameras = around(sum(counts.values()), size)
    for split, count in counts.items():
        (folder / split).mkdir(parents=True, exist_ok=True)
        frames = []
        for i, camera in enumerate(cameras[first : first + count]):
            cv2.imwrite(str(folder / f"{split}/r_{i}.png"), straight_rgba(camera))
            frames.append({"file_path": f"./{split}/r_{i}", "transform_matrix": opengl_matrix(camera)})
        angle = 2 * np.arctan(0.5 * size / cameras[0].K[0, 0])
        content = {"camera_angle_x": float(angle), "frames": frames}
        (folder / f"transforms_{split}.json").write_text(json.dumps(content))
        first += count
    return folder


def surface_points(count: int) -> tuple[np.ndarray, np.ndarray]:
    """(N, 3) points on the ball in Blender's world and their colours (N, 3) 0..255."""
    directions = np.random.default_rng(5).normal(size=(count, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    linear = np.clip(paint(directions), 0, 1)
    return CENTRE + RADIUS * directions, np.rint(255 * (1.055 * linear ** (1 / 2.4) - 0.055)).astype(int)


def colmap_pose(camera: Camera) -> tuple[list[float], list[float]]:
    """Quaternion w x y z and translation: OpenCV axes, the world turned to y-down by (x, y, z) -> (x, -z, y)."""
    right, up, back = np.array(opengl_matrix(camera))[:3, :3].T
    turned = [[a[0], -a[2], a[1]] for a in (right, -up, -back)]  # the camera's axes in the y-down world
    x, y, z = camera.position
    quat = Rotation.from_matrix(turned).as_quat()
    return [quat[3], quat[0], quat[1], quat[2]], (-np.array(turned) @ [x, -z, y]).tolist()


def write_colmap_model(
    folder: Path, cameras: Sequence[Camera], binary: bool, model: str = "PINHOLE", parameters: Sequence[float] = (),
    points: int = 400,
) -> Path:  # fmt: skip
    """images/view_NNN.png and sparse/0 with one camera a view; `parameters` replace those of a centred pinhole."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    (folder / "sparse/0").mkdir(parents=True, exist_ok=True)
    lenses, images = [], []
    for i, camera in enumerate(cameras):
        name = f"view_{i:03d}.png"
        cv2.imwrite(str(folder / "images" / name), straight_rgba(camera))
        numbers = list(parameters) or [camera.K[0, 0], camera.K[1, 1], camera.width / 2, camera.height / 2]
        lenses.append((i + 1, model, camera.width, camera.height, numbers))
        images.append((i + 1, *colmap_pose(camera), i + 1, name))
    positions, colours = surface_points(points)
    cloud = [([x, -z, y], colour.tolist()) for (x, y, z), colour in zip(positions, colours, strict=True)]
    (_write_binary if binary else _write_text)(folder / "sparse/0", lenses, images, cloud)
    return folder


def _write_text(folder: Path, lenses: list, images: list, cloud: list) -> None:
    rows = [f"{i} {model} {w} {h} " + " ".join(map(repr, map(float, n))) for i, model, w, h, n in lenses]
    (folder / "cameras.txt").write_text("\n".join(["# Camera list", *rows]) + "\n")
    rows = []
    for k, (i, quat, translation, lens, name) in enumerate(images):
        pose = " ".join(repr(float(v)) for v in (*quat, *translation))
        rows += [f"{i} {pose} {lens} {name}", "1.5 2.5 -1 3.0 4.0 7" if k % 2 else ""]
    (folder / "images.txt").write_text("\n".join(["# Image list", *rows]) + "\n")
    rows = [
        f"{i} " + " ".join(map(repr, map(float, p))) + " " + " ".join(map(str, c)) + " 0.5 1 2 3 4"
        for i, (p, c) in enumerate(cloud)
    ]
    (folder / "points3D.txt").write_text("\n".join(["# Points", *rows]) + "\n")


def _write_binary(folder: Path, lenses: list, images: list, cloud: list) -> None:
    number = {"SIMPLE_PINHOLE": 0, "PINHOLE": 1, "SIMPLE_RADIAL": 2, "RADIAL": 3, "OPENCV": 4, "OPENCV_FISHEYE": 5}
    data = struct.pack("<Q", len(lenses))
    for i, model, width, height, values in lenses:
        data += struct.pack(f"<iiQQ{len(values)}d", i, number[model], width, height, *values)
    (folder / "cameras.bin").write_bytes(data)
    data = struct.pack("<Q", len(images))
    for k, (i, quat, translation, lens, name) in enumerate(images):
        data += struct.pack("<i7di", i, *quat, *translation, lens) + name.encode() + b"\0"
        data += struct.pack("<Q", k % 3) + struct.pack("<ddq", 1.0, 2.0, -1) * (k % 3)
    (folder / "images.bin").write_bytes(data)
    data = struct.pack("<Q", len(cloud))
    for i, (point, colour) in enumerate(cloud):
        data += struct.pack("<Q3d3BdQ", i, *point, *colour, 0.5, i % 4) + struct.pack("<ii", 1, 2) * (i % 4)
    (folder / "points3D.bin").write_bytes(data)
