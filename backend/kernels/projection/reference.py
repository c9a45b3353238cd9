# SPDX-License-Identifier: Apache-2.0
"""Projection of splats in torch, obviously right; for tests. Differentiable, any float type."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from interchange.cameras import Camera

from ..layout import jacobian_limits
from ..parameters import ROW_LOG_SCALE, ROW_MEAN, ROW_OPACITY, ROW_QUAT, ROW_SH
from ..spherical_harmonics.reference import sh_basis, sh_colours

EPS2D = 0.3
NEAR = 0.01
MIN_COMPENSATION = 0.005**2


class Projected(NamedTuple):
    """N splats on the screen."""

    means: Tensor  # (N, 2) pixels
    covariances: Tensor  # (N, 2, 2) pixels^2, with EPS2D
    opacities: Tensor  # (N,), times the compensation if antialiased
    colours: Tensor  # (N, 3) >= 0
    depths: Tensor  # (N,) planar
    drawn: Tensor  # (N,) bool: in front of the near plane, every number finite


def rotation_matrices(quats: Tensor) -> Tensor:  # (N, 4) wxyz, any length
    """(N, 3, 3)."""
    w, x, y, z = (quats / quats.norm(dim=-1, keepdim=True)).unbind(-1)
    rows = [
        1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
        2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
        2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
    ]  # fmt: skip
    return torch.stack(rows, dim=-1).reshape(-1, 3, 3)


def project(block: Tensor, coefficients: int, camera: Camera, antialiased: bool = False) -> Projected:
    # block: (11 + 3 K, N)
    """The formulas of EWA splatting, one matrix at a time."""
    R, t, K = (torch.as_tensor(m.copy()).to(block) for m in (camera.rotation, camera.translation, camera.K))
    means = block[ROW_MEAN:ROW_QUAT].T
    local = means @ R.T + t
    X, Y, Z = local.unbind(-1)
    x_low, x_high, y_low, y_high = jacobian_limits(camera.K, camera.width, camera.height)
    rx, ry = (X / Z).clamp(x_low, x_high), (Y / Z).clamp(y_low, y_high)
    zero = torch.zeros_like(Z)
    J = torch.stack([K[0, 0] / Z, zero, -K[0, 0] * rx / Z, zero, K[1, 1] / Z, -K[1, 1] * ry / Z], -1).reshape(-1, 2, 3)
    M = rotation_matrices(block[ROW_QUAT:ROW_LOG_SCALE].T) * block[ROW_LOG_SCALE:ROW_OPACITY].T.exp()[:, None, :]
    U = J @ R @ M
    bare = U @ U.transpose(1, 2)
    covariances = bare + EPS2D * torch.eye(2).to(block)
    opacities = torch.sigmoid(block[ROW_OPACITY])
    if antialiased:
        quotients = torch.linalg.det(bare) / torch.linalg.det(covariances)
        opacities = opacities * quotients.clamp_min(MIN_COMPENSATION).sqrt()
    screen = torch.stack([K[0, 0] * X / Z + K[0, 2], K[1, 1] * Y / Z + K[1, 2]], -1)
    offset = means + R.T @ t  # mean - camera position
    x, y, z = (offset / offset.norm(dim=-1, keepdim=True)).unbind(-1)
    sh = block[ROW_SH:].T.reshape(-1, coefficients, 3)
    colours = sh_colours(sh, sh_basis(x, y, z, coefficients)).clamp_min(0)
    drawn = (Z > NEAR) & torch.isfinite(block).all(dim=0)
    return Projected(screen, covariances, opacities, colours, Z, drawn)
