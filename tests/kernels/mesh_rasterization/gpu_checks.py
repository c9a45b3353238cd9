# SPDX-License-Identifier: Apache-2.0
"""What the rasterizer must do on any device, the stand-in or a GPU: the CPU's faces, bit by bit."""

from __future__ import annotations

import attrs
import numpy as np
from numpy.testing import assert_array_equal

from backend.kernels.cuda.device import Device
from backend.kernels.mesh_rasterization import cpu, reference
from backend.kernels.mesh_rasterization.gpu import rasterize_faces
from interchange.cameras import Camera

from .test_mesh_rasterization import camera, soup, sphere


def homogeneous(vertices: np.ndarray, view: Camera, samples: int = 1) -> tuple[np.ndarray, int, int]:
    view = view.scaled(samples)
    return view.to_camera(vertices) @ view.K.T, view.width, view.height


def check_agreement(
    device: Device, vertices: np.ndarray, faces: np.ndarray, view: Camera, samples: int = 1, slow: bool = False
) -> np.ndarray:
    """Device, CPU and (if `slow`) numpy give one picture; returns its faces."""
    local, width, height = homogeneous(vertices, view, samples)
    seen = rasterize_faces(device, local, faces, width, height)
    assert_array_equal(seen, cpu.rasterize_homogeneous(local[faces], width, height).face)
    if slow:
        assert_array_equal(seen, reference.rasterize_homogeneous(local[faces], width, height).face)
    return seen


def check_soup(device: Device, seed: int, samples: int) -> None:
    vertices, faces = soup(40, seed)
    assert (check_agreement(device, vertices, faces, camera(), samples, slow=True) >= 0).mean() > 0.1


def check_partial_tiles(device: Device) -> None:
    """Frames that no block or strip divides."""
    vertices, faces = soup(30, 5)
    for width, height in ((37, 1), (1, 37), (53, 41), (130, 17)):
        K = np.array([[40.0, 0, width / 2], [0, 40.0, height / 2], [0, 0, 1]])
        view = attrs.evolve(camera(), K=K, width=width, height=height)
        assert (check_agreement(device, vertices, faces, view, slow=True) >= 0).any()


def check_tiny_and_large_faces(device: Device) -> None:
    """A fine ball before a wall of two triangles: faces below a sample, and faces of thousands."""
    ball, ball_faces = sphere(60, 90)
    wall = np.array([[-9.0, 1.5, -9], [9, 1.5, -9], [9, 1.5, 9], [-9, 1.5, 9]])
    vertices = np.concatenate([ball * 0.7, wall])
    faces = np.concatenate([ball_faces, len(ball) + np.array([[0, 1, 2], [0, 2, 3]])])
    seen = check_agreement(device, vertices, faces, camera(64), 2)
    assert (seen >= 0).all() and 0.2 < (seen < len(ball_faces)).mean() < 0.8


def check_behind_the_camera(device: Device) -> None:
    floor = np.array([[-50.0, 40.0, -1.0], [50.0, 40.0, -1.0], [0.0, -60.0, -1.0]])
    seen = check_agreement(device, floor, np.array([[0, 1, 2]]), camera(), slow=True)
    assert (seen[-1] == 0).all() and (seen[0] == -1).all()
    vertices, faces = sphere(8, 8)
    assert (check_agreement(device, vertices - [0, 50, 0], faces, camera()) == -1).all()
    assert (check_agreement(device, vertices + [100, 0, 0], faces, camera()) == -1).all()
    check_agreement(device, vertices - [0, 3, 0], faces, camera(), slow=True)  # the camera is inside


def check_broken_faces(device: Device) -> None:
    with np.errstate(all="ignore"):  # numpy's matmul and the reference warn of what is broken here
        _check_broken_faces(device)


def _check_broken_faces(device: Device) -> None:
    corners = [[0, 0, 0], [0, 0, 0], [1, 0, 0], [np.nan, 0, 0], [0, 0, 1], [np.inf, 0, 0], [1e308, 0, 1e308]]
    vertices = np.array(corners)
    broken = np.array([[0, 1, 2], [0, 2, 3], [0, 4, 3], [0, 4, 5], [0, 2, 6], [3, 3, 3]])
    assert (check_agreement(device, vertices, broken, camera(), slow=True) == -1).all()
    good = np.concatenate([broken, [[0, 2, 4]], broken])
    assert set(np.unique(check_agreement(device, vertices, good, camera(), slow=True))) == {-1, 6}


def check_nothing(device: Device) -> None:
    assert (check_agreement(device, np.zeros((3, 3)), np.zeros((0, 3), int), camera()) == -1).all()


def check_equal_depth(device: Device) -> None:
    """On equal depth the lower index wins, in whatever order the faces come."""
    square = np.array([[-1, 0, -1], [1, 0, -1], [1, 0, 1], [-1, 0, 1.0]])
    faces = np.array([[0, 1, 2], [0, 2, 3]])
    view = camera(40, (0.0, -3.0, 0.0))
    same = np.concatenate([faces] * 5)
    assert set(np.unique(check_agreement(device, square, same, view))) <= {-1, 0, 1}
    near = np.concatenate([square, square - [0, 0.5, 0]])
    assert set(np.unique(check_agreement(device, near, np.concatenate([same, faces + 4]), view))) <= {-1, 10, 11}


def check_determinism(device: Device) -> None:
    vertices, faces = soup(300, 9)
    local, width, height = homogeneous(vertices, camera(), 2)
    first = rasterize_faces(device, local, faces, width, height)
    for _ in range(3):
        assert_array_equal(rasterize_faces(device, local, faces, width, height), first)


CHECKS = (
    check_partial_tiles, check_tiny_and_large_faces, check_behind_the_camera, check_broken_faces, check_nothing,
    check_equal_depth, check_determinism,
)  # fmt: skip
