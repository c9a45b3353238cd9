# SPDX-License-Identifier: Apache-2.0
"""Spherical harmonics in torch, obviously right; for tests."""

from __future__ import annotations

import torch
from torch import Tensor


def sh_basis(x: Tensor, y: Tensor, z: Tensor, coefficients: int) -> Tensor:  # (N,) each, unit directions
    """(N, coefficients): real spherical harmonics with the Condon-Shortley signs of 3D Gaussian Splatting."""
    xx, yy, zz = x * x, y * y, z * z
    basis = [
        torch.full_like(x, 0.28209479177387814),
        -0.4886025119029199 * y,
        0.4886025119029199 * z,
        -0.4886025119029199 * x,
        1.0925484305920792 * x * y,
        -1.0925484305920792 * y * z,
        0.31539156525252005 * (2 * zz - xx - yy),
        -1.0925484305920792 * x * z,
        0.5462742152960396 * (xx - yy),
        -0.5900435899266435 * y * (3 * xx - yy),
        2.890611442640554 * x * y * z,
        -0.4570457994644658 * y * (4 * zz - xx - yy),
        0.3731763325901154 * z * (2 * zz - 3 * xx - 3 * yy),
        -0.4570457994644658 * x * (4 * zz - xx - yy),
        1.445305721320277 * z * (xx - yy),
        -0.5900435899266435 * x * (xx - 3 * yy),
    ]
    return torch.stack(basis[:coefficients], dim=-1)


def sh_colours(sh: Tensor, basis: Tensor) -> Tensor:  # (N, K, 3), (N, K)
    """(N, 3) colours before the clamp at zero."""
    return 0.5 + (basis[:, :, None] * sh).sum(dim=1)
