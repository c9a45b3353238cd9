# SPDX-License-Identifier: Apache-2.0
"""The basis against the torch mirror and against orthonormality; gradients are tested through the engine."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from backend.kernels.jit import kernel
from backend.kernels.simd import VECTOR_WIDTH, load
from backend.kernels.spherical_harmonics import reference
from backend.kernels.spherical_harmonics.cpu import sh_basis


@kernel
def _basis(directions, coefficients, basis):
    x, y, z = load(directions, 0), load(directions, VECTOR_WIDTH), load(directions, 2 * VECTOR_WIDTH)
    sh_basis(x, y, z, coefficients, basis)


@pytest.mark.parametrize("coefficients", [1, 4, 9, 16])
def test_basis_matches_the_reference(coefficients):
    directions = np.random.default_rng(coefficients).normal(size=(3, VECTOR_WIDTH))
    directions /= np.linalg.norm(directions, axis=0)
    basis = np.zeros((16, VECTOR_WIDTH), np.float32)
    _basis(directions.astype(np.float32).ravel(), coefficients, basis.ravel())
    expected = reference.sh_basis(*torch.tensor(directions), coefficients)
    np.testing.assert_allclose(basis[:coefficients].T, expected, atol=2e-6)
    assert not basis[coefficients:].any()


def test_reference_basis_is_orthonormal_on_the_sphere():
    count = 20_000
    i = np.arange(count) + 0.5
    z, angle = 1 - 2 * i / count, np.pi * (1 + 5**0.5) * i  # Fibonacci points
    r = np.sqrt(1 - z * z)
    points = torch.tensor(np.stack([r * np.cos(angle), r * np.sin(angle), z]))
    basis = reference.sh_basis(*points, 16)
    np.testing.assert_allclose(basis.T @ basis * (4 * np.pi / count), np.eye(16), atol=1e-3)
