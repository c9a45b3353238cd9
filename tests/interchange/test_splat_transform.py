# SPDX-License-Identifier: Apache-2.0
"""Clouds under affine maps: covariances and colours against their definitions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from interchange.errors import InputError
from interchange.splats import SplatCloud, is_even, read_splats, transformed, turned_each
from interchange.splats.axes import matrix_from_quaternion, quaternions_from_matrices, sh_basis


def _cloud(count: int = 200, degree: int = 3) -> SplatCloud:
    rng = np.random.default_rng(0)
    return SplatCloud(
        rng.normal(size=(count, 3)), rng.normal(-2, 1, (count, 3)), rng.normal(size=(count, 4)) * 3,
        rng.normal(size=count), rng.normal(size=(count, (degree + 1) ** 2, 3)),
    )  # fmt: skip


def _rotations(count: int) -> np.ndarray:
    return matrix_from_quaternion(np.random.default_rng(1).normal(size=(count, 4)))


def _covariances(cloud: SplatCloud) -> np.ndarray:
    axes = matrix_from_quaternion(cloud.quats_wxyz) * cloud.scales.astype(np.float64)[:, None, :]
    return axes @ axes.transpose(0, 2, 1)


@pytest.mark.parametrize("kind", ["turn", "grow", "mirror", "stretch", "shear"])
def test_covariances_are_those_of_the_map(kind: str) -> None:
    linear = _rotations(1)[0] * {"turn": 1, "grow": 2.5}.get(kind, 1)
    linear = linear @ np.diag({"mirror": [1, -1, 1], "stretch": [1, 4, 0.2]}.get(kind, [1, 1, 1]))
    linear = linear @ (np.array([[1, 0.7, 0], [0, 1, 0], [0, -0.3, 1]]) if kind == "shear" else np.eye(3))
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = linear, [1, 2, 3]
    cloud = _cloud()
    moved = transformed(cloud, matrix)
    expected = linear @ _covariances(cloud) @ linear.T
    size = np.abs(expected).max(axis=(1, 2))
    assert (np.abs(_covariances(moved) - expected).max(axis=(1, 2)) < 1e-4 * size).all()
    np.testing.assert_allclose(moved.means, cloud.means @ linear.T + [1, 2, 3], atol=1e-5)
    assert is_even(linear) == (kind in ("turn", "grow", "mirror"))
    if is_even(linear):
        turn = linear / np.cbrt(abs(np.linalg.det(linear)))
        d = np.array([[0.36, -0.48, 0.8]])
        before, after = (np.einsum("k,nkc->nc", sh_basis(x, 3)[0], c.sh) for x, c in ((d, cloud), (d @ turn.T, moved)))
        np.testing.assert_allclose(after, before, atol=1e-4)


def test_each_splat_turns_by_its_own_rotation() -> None:
    cloud, rotations = _cloud(), _rotations(200)
    turned = turned_each(cloud.sh, rotations)
    d = np.array([0.36, -0.48, 0.8])
    before = np.einsum("k,nkc->nc", sh_basis(d[None], 3)[0], cloud.sh)
    np.testing.assert_allclose(np.einsum("nk,nkc->nc", sh_basis(rotations @ d, 3), turned), before, atol=1e-4)
    same = np.broadcast_to(rotations[0], rotations.shape)
    matrix = np.eye(4)
    matrix[:3, :3] = rotations[0]
    np.testing.assert_allclose(turned_each(cloud.sh, same), transformed(cloud, matrix).sh, atol=1e-5)


def test_quaternions_of_all_kinds_of_rotations() -> None:
    halves = [np.diag(d).astype(float) for d in ((1, -1, -1), (-1, 1, -1), (-1, -1, 1), (1, 1, 1))]
    rotations = np.concatenate([_rotations(500), np.stack(halves)])
    np.testing.assert_allclose(matrix_from_quaternion(quaternions_from_matrices(rotations)), rotations, atol=1e-12)


def test_a_map_that_flattens_is_refused() -> None:
    for matrix in (np.diag([1, 1, 0, 1.0]), np.full((4, 4), np.nan)):
        with pytest.raises(InputError, match="flattens"):
            transformed(_cloud(3), matrix)


def test_a_pointer_or_an_empty_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.ply").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    with pytest.raises(InputError, match="Git LFS pointer"):
        read_splats(tmp_path / "a.ply")
    (tmp_path / "b.splat").write_bytes(b"")
    with pytest.raises(InputError, match="is empty"):
        read_splats(tmp_path / "b.splat")
