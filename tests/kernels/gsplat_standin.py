# SPDX-License-Identifier: Apache-2.0
"""gsplat's building blocks in plain torch on the CPU, for what the engine `gsplat` does around them.

The same names, arguments, shapes and meaning as gsplat 1.5.3 has them; every splat on every pixel, any float type.
"""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import torch

from backend.kernels.gsplat.build import Kernels
from backend.kernels.gsplat.engine import GsplatEngine
from backend.kernels.layout import jacobian_limits
from backend.kernels.projection.reference import rotation_matrices
from backend.kernels.spherical_harmonics.reference import sh_basis


def fully_fused_projection(
    means, covars, quats, scales, viewmats, Ks, width, height, eps2d, near_plane, calc_compensations, opacities
):  # (P, 3), None, (P, 4), (P, 3), (1, 4, 4), (1, 3, 3)
    assert covars is None and viewmats.shape == (1, 4, 4) and Ks.shape == (1, 3, 3)
    R, t, K = viewmats[0, :3, :3], viewmats[0, :3, 3], Ks[0]
    x, y, z = (means @ R.T + t).unbind(-1)
    low_x, high_x, low_y, high_y = jacobian_limits(K.numpy().astype("float64"), width, height)
    rx, ry, zero = (x / z).clamp(low_x, high_x), (y / z).clamp(low_y, high_y), torch.zeros_like(z)
    J = torch.stack([K[0, 0] / z, zero, -K[0, 0] * rx / z, zero, K[1, 1] / z, -K[1, 1] * ry / z], -1).reshape(-1, 2, 3)
    U = J @ R @ (rotation_matrices(quats) * scales[:, None, :])
    bare = U @ U.transpose(1, 2)
    covariances = bare + eps2d * torch.eye(2)
    quotients = torch.linalg.det(bare) / torch.linalg.det(covariances)
    compensations = quotients.clamp_min(1e-12).sqrt() if calc_compensations else None
    inverse = torch.linalg.inv(covariances)
    centres = torch.stack([K[0, 0] * x / z + K[0, 2], K[1, 1] * y / z + K[1, 2]], -1)
    with torch.no_grad():
        shown = opacities if compensations is None else opacities * compensations
        reach = (2 * (shown * 255).clamp_min(1).log()).sqrt()[:, None]
        radii = (reach * torch.stack([covariances[:, 0, 0], covariances[:, 1, 1]], -1).sqrt()).ceil()
        outside = ((centres + radii <= 0) | (centres - radii >= torch.tensor([width, height]))).any(-1)
        radii[outside | (z < near_plane)] = 0
    conics = torch.stack([inverse[:, 0, 0], inverse[:, 0, 1], inverse[:, 1, 1]], -1)
    return radii.int()[None], centres[None], z[None], conics[None], compensations


def spherical_harmonics(degree, dirs, coeffs, masks):  # (1, P, 3), (1, P, K, 3), (1, P)
    assert coeffs.shape[2] == (degree + 1) ** 2 and masks.shape == dirs.shape[:2]
    x, y, z = (dirs[0] / dirs[0].norm(dim=-1, keepdim=True)).unbind(-1)
    return (sh_basis(x, y, z, coeffs.shape[2])[..., None] * coeffs[0]).sum(dim=1)[None]


def isect_tiles(means2d, radii, depths, tile_size, tile_width, tile_height):
    """Instead of tile lists: the splats in view, nearest first."""
    order = torch.argsort(depths[0].detach(), stable=True)
    order = order[(radii[0, order] > 0).all(dim=-1)]
    return None, order, order


def isect_offset_encode(isect_ids, n_images, tile_width, tile_height):
    return torch.zeros(n_images, tile_height, tile_width, dtype=torch.int32)


def rasterize_to_pixels(means2d, conics, colors, opacities, width, height, tile_size, offsets, flatten_ids):
    assert offsets.shape == (1, -(-height // tile_size), -(-width // tile_size))
    centres, conics, colors, opacities = (v[0, flatten_ids] for v in (means2d, conics, colors, opacities))
    dx = torch.arange(width)[None, :, None] + 0.5 - centres[:, 0]
    dy = torch.arange(height)[:, None, None] + 0.5 - centres[:, 1]
    sigma = 0.5 * (conics[:, 0] * dx * dx + conics[:, 2] * dy * dy) + conics[:, 1] * dx * dy
    alpha = (opacities * torch.exp(-sigma)).clamp_max(0.99)
    alpha = alpha * (alpha >= 1 / 255)
    alpha = alpha * (torch.cumprod(1 - alpha, dim=-1) > 1e-4)
    after = torch.cumprod(1 - alpha, dim=-1)
    before = torch.cat([torch.ones(height, width, 1), after[..., :-1]], dim=-1)
    colour = ((alpha * before)[..., None] * colors).sum(dim=-2)
    left = after[..., -1:] if len(flatten_ids) else torch.ones(height, width, 1)
    return colour[None], 1 - left[None]


@torch.no_grad()
def adam(param, param_grad, exp_avg, exp_avg_sq, valid, lr, b1, b2, eps):
    """The formula of gsplat's kernel: no bias correction."""
    assert all(t.is_contiguous() for t in (param, param_grad, exp_avg, exp_avg_sq, valid))
    m, v = b1 * exp_avg + (1 - b1) * param_grad, b2 * exp_avg_sq + (1 - b2) * param_grad**2
    for tensor, value in ((param, param - lr * m / (v.sqrt() + eps)), (exp_avg, m), (exp_avg_sq, v)):
        tensor[valid] = value[valid]


STANDIN = SimpleNamespace(
    __version__="stand-in", fully_fused_projection=fully_fused_projection, spherical_harmonics=spherical_harmonics,
    isect_tiles=isect_tiles, isect_offset_encode=isect_offset_encode, rasterize_to_pixels=rasterize_to_pixels,
    cuda=SimpleNamespace(_wrapper=SimpleNamespace(adam=adam)),
)  # fmt: skip


class EngineOnCpu(GsplatEngine):
    """The engine with the stand-in below it."""

    def __init__(self, free_bytes: int = 10**9, **options) -> None:
        super().__init__(Kernels(STANDIN, Path("standin"), Path("standin")), device=torch.device("cpu"), **options)
        self._free = free_bytes

    def device_name(self) -> str:
        return "CPU"

    def free_bytes(self) -> int:
        return self._free
