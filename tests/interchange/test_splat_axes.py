# SPDX-License-Identifier: Apache-2.0
"""Splats in other axes: means, shapes and the colour that changes with the view turn together."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import plyfile
import pytest

from interchange.cameras import SPLAT_FROM_BLENDER
from interchange.splats import SplatCloud
from interchange.splats.axes import flipped_yz, matrix_from_quaternion, moved, quaternion_from_matrix, sh_basis
from tests.interchange.clouds import FIELDS, covariances, glb_accessor, glb_parts, random_cloud, written


def _rotation(seed: int) -> np.ndarray:
    q, r = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    q = q * np.sign(np.diag(r))
    return q * np.linalg.det(q)


def _colour_towards(cloud: SplatCloud, directions: np.ndarray) -> np.ndarray:  # (M, 3) -> (N, M, 3)
    return np.einsum("mk,nkc->nmc", sh_basis(directions, cloud.degree), cloud.sh.astype(np.float64))


@pytest.mark.parametrize("seed", range(5))
def test_a_turned_cloud_looks_the_same_from_turned_directions(seed: int) -> None:
    cloud, rotation = random_cloud(20, 3), _rotation(seed)
    turned = moved(cloud, rotation, 2.0, np.array([1.0, 2, 3]))
    directions = np.random.default_rng(seed).normal(size=(30, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    np.testing.assert_allclose(
        _colour_towards(turned, directions @ rotation.T), _colour_towards(cloud, directions), atol=2e-6
    )
    np.testing.assert_allclose(turned.means, 2 * cloud.means @ rotation.T + [1, 2, 3], atol=1e-6)
    np.testing.assert_allclose(covariances(turned), 4 * rotation @ covariances(cloud) @ rotation.T, atol=1e-9)


def test_the_flip_of_y_and_z_is_half_a_turn_about_x() -> None:
    cloud = random_cloud(20, 3)
    flipped, turned = flipped_yz(cloud), moved(cloud, np.diag([1.0, -1, -1]))
    np.testing.assert_array_equal(flipped.means, turned.means)
    np.testing.assert_array_equal(flipped.sh, turned.sh)
    np.testing.assert_allclose(covariances(flipped), covariances(turned), atol=1e-12)
    for name in FIELDS:
        np.testing.assert_array_equal(getattr(flipped_yz(flipped), name), getattr(cloud, name))


def test_basis_is_orthonormal() -> None:
    """Independent of the constants: the integral of each product over the sphere, by a fine grid."""
    z = (np.arange(200) + 0.5) / 100 - 1
    angle = 2 * np.pi * np.arange(100) / 100
    z, angle = (grid.ravel() for grid in np.meshgrid(z, angle))
    radius = np.sqrt(1 - z * z)
    basis = sh_basis(np.stack([radius * np.cos(angle), radius * np.sin(angle), z], axis=1), 3)
    np.testing.assert_allclose(basis.T @ basis * (4 * np.pi / len(basis)), np.eye(16), atol=1e-3)


@pytest.mark.parametrize("seed", range(5))
def test_quaternion_of_a_matrix(seed: int) -> None:
    rotation = _rotation(seed)
    np.testing.assert_allclose(matrix_from_quaternion(quaternion_from_matrix(rotation)), rotation, atol=1e-12)
    half_turn = np.diag([-1.0, -1, 1])
    np.testing.assert_allclose(matrix_from_quaternion(quaternion_from_matrix(half_turn)), half_turn, atol=1e-12)


def _upright(degree: int = 1) -> SplatCloud:
    """One splat that is two metres up and three metres to the viewer's side in Blender (x right, z up, -y front)."""
    cloud = random_cloud(1, degree)
    cloud.means[0] = SPLAT_FROM_BLENDER @ [1.0, -3.0, 2.0]
    return cloud


def test_where_up_is_in_each_file(tmp_path: Path) -> None:
    """PLY: y down. SPZ and glTF: y up, the front towards +z. Read without our readers."""
    cloud = _upright()
    vertex = plyfile.PlyData.read(written(tmp_path / "s.ply", cloud))["vertex"]
    np.testing.assert_allclose([vertex[axis][0] for axis in "xyz"], [1, -2, -3], atol=1e-6)
    np.testing.assert_allclose(
        struct.unpack_from("<3f", written(tmp_path / "s.splat", cloud).read_bytes()), [1, -2, -3], atol=1e-6
    )
    packed = zlib.decompress(written(tmp_path / "s.spz", cloud).read_bytes(), 31)
    numbers = [int.from_bytes(packed[16 + 3 * i : 19 + 3 * i], "little", signed=True) for i in range(3)]
    np.testing.assert_allclose(np.array(numbers) / 2.0 ** packed[13], [1, 2, 3], atol=1e-4)
    document, binary = glb_parts(written(tmp_path / "s.glb", cloud))
    np.testing.assert_allclose(glb_accessor(document, binary, "POSITION"), [[1, 2, 3]], atol=1e-6)
    first_band = [
        glb_accessor(document, binary, f"KHR_gaussian_splatting:SH_DEGREE_1_COEF_{n}")[0] for n in range(3)
    ]  # y and z of the direction have changed their sign, x has not
    np.testing.assert_array_equal(first_band, cloud.sh[0, 1:4] * np.array([[-1], [-1], [1]], np.float32))
