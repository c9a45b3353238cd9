# SPDX-License-Identifier: Apache-2.0
"""Small random scenes and their float64 reference, for the kernel tests."""

from __future__ import annotations

import numpy as np
import torch

from backend.kernels import parameters as rows
from backend.kernels.binning.reference import sort_by_depth
from backend.kernels.loss.reference import compare
from backend.kernels.parameters import SplatParameters
from backend.kernels.projection.reference import project
from backend.kernels.rasterization.reference import expected_depth, near_cutoff, rasterize
from backend.kernels.rasterizer import LossWeights, Rasterizer, Target
from interchange.cameras import Camera, look_at
from interchange.splats import SplatCloud

SIZE = (70, 50)


def random_cloud(count: int, degree: int, seed: int, scale: float = 0.025) -> SplatCloud:
    """A ball of splats of all opacities, with some special ones: behind, off-screen, huge, faint, coincident."""
    rng = np.random.default_rng(seed)
    coefficients = (degree + 1) ** 2
    cloud = SplatCloud(
        means=rng.normal(size=(count, 3)) * 0.12,
        log_scales=np.log(scale) + rng.normal(size=(count, 3)) * 0.6,
        quats_wxyz=rng.normal(size=(count, 4)),
        opacity_logits=rng.normal(size=count) * 2 + 0.5,
        sh=rng.normal(size=(count, coefficients, 3)) * np.where(np.arange(coefficients) == 0, 0.8, 0.2)[:, None],
    )
    if count >= 16:
        cloud.means[0] = (0, 0, 3)  # behind the camera
        cloud.means[1] = (9, 0, 0)  # off-screen
        cloud.means[2], cloud.log_scales[2] = (0.75, 0.1, 0.2), np.log(0.3)  # off-screen, but reaches in: J is clamped
        cloud.log_scales[3], cloud.opacity_logits[3] = np.log(0.5), -2.0  # fills the frame
        cloud.opacity_logits[4] = -5.45  # alpha just above the cutoff
        cloud.opacity_logits[5] = -9.0  # never drawn
        cloud.means[6], cloud.means[7] = cloud.means[8], cloud.means[8]  # equal depths
        cloud.log_scales[9] = (np.log(0.3), np.log(1e-4), np.log(1e-4))  # a needle
    return cloud


def camera_for(width: int, height: int, eye: tuple[float, float, float] = (0.3, 0.2, 1.0)) -> Camera:
    """A camera that looks at the ball, its principal point off the centre."""
    focal = 1.5 * height
    K = np.array([[focal, 0, width / 2 + 0.3], [0, focal, height / 2 - 0.2], [0, 0, 1.0]])
    return look_at(eye, (0, 0, 0), (0, 1, 0), K, width, height)


def reference_render(
    block: torch.Tensor, coefficients: int, camera: Camera, antialiased: bool = False
) -> tuple[torch.Tensor, torch.Tensor]:
    """Premultiplied colour (H, W, 3) and transmittance (H, W)."""
    projected = project(block, coefficients, camera, antialiased)
    return rasterize(projected, sort_by_depth(projected), camera.width, camera.height)


def doubtful_pixels(
    block: torch.Tensor, coefficients: int, camera: Camera, band: float = 5e-6, antialiased: bool = False
) -> np.ndarray:
    """(H, W) bool: where float32 and float64 may disagree about a cutoff."""
    projected = project(block, coefficients, camera, antialiased)
    return near_cutoff(projected, sort_by_depth(projected), camera.width, camera.height, band).numpy()


def reference_gradients(
    parameters: SplatParameters, camera: Camera, target: np.ndarray, target_alpha: np.ndarray, background: tuple,
    mix: LossWeights, weights: np.ndarray | None, depth: np.ndarray | None = None,
) -> tuple[tuple[float, ...], np.ndarray]:  # fmt: skip
    """Loss terms and dL/dblock (11 + 3 K, count) by autograd in float64."""
    block = torch.tensor(parameters.block[:, : parameters.count], dtype=torch.float64, requires_grad=True)
    projected = project(block, (parameters.sh_degree + 1) ** 2, camera, parameters.antialiased)
    order = sort_by_depth(projected)
    colour, transmittance = rasterize(projected, order, camera.width, camera.height)
    ones = np.ones(target_alpha.shape) if weights is None else weights
    tensors = [torch.tensor(np.asarray(a, np.float64)) for a in (target, target_alpha, background, ones)]
    l1, dssim, alpha = compare(colour, transmittance, *tensors)
    loss = (1 - mix.ssim) * l1 + mix.ssim * dssim + mix.alpha * alpha
    if depth is not None:
        known = np.isfinite(depth) & (depth > 0)
        wanted = torch.tensor(np.where(known, depth, 0)).double() * tensors[1]
        difference = (expected_depth(projected, order, camera.width, camera.height) - wanted).abs()
        loss = loss + mix.depth / mix.length * (difference * torch.tensor(known) * tensors[3]).mean()
    (gradient,) = torch.autograd.grad(loss, block)
    return tuple(float(v.detach()) for v in (loss, l1, dssim, alpha)), gradient.numpy()


GROUPS = {
    "mean": slice(rows.ROW_MEAN, rows.ROW_QUAT),
    "quat": slice(rows.ROW_QUAT, rows.ROW_LOG_SCALE),
    "log_scale": slice(rows.ROW_LOG_SCALE, rows.ROW_OPACITY),
    "opacity": slice(rows.ROW_OPACITY, rows.ROW_SH),
    "sh_base": slice(rows.ROW_SH, rows.ROW_SH + 3),
    "sh_rest": slice(rows.ROW_SH + 3, None),
}


def scene(
    degree: int, seed: int, count: int = 192, size=SIZE, scale: float = 0.025, antialiased: bool = False
) -> tuple[SplatParameters, Camera]:
    """Random splats and a camera."""
    cloud = random_cloud(count, degree, seed, scale)
    if count >= 16:  # float32 cannot follow the gradient of a needle 3000 times as long as wide
        cloud.log_scales[9] = np.log(0.1), np.log(0.005), np.log(0.002)
    cloud.antialiased = antialiased
    return SplatParameters.from_cloud(cloud), camera_for(*size)


def target_near(engine: Rasterizer, parameters: SplatParameters, camera: Camera, seed: int, weighted=False) -> Target:
    """A target that is near the render in some rows and far in others, with an empty margin."""
    rng = np.random.default_rng(seed)
    image, _ = engine.render(parameters, camera)
    alpha = np.clip(rng.random(image.shape[:2]) * 1.5, 0, 1)
    rgb = rng.random(image.shape)
    rgb[5:25] = image[5:25] * 0.9 + 0.02
    alpha[:, :9] = 0
    weights = np.random.default_rng(seed).random(alpha.shape).astype(np.float32) if weighted else None
    return Target(camera, (rgb * alpha[..., None]).astype(np.float32), alpha.astype(np.float32), weights)


def odd_scene(seed: int) -> tuple[SplatParameters, Target]:
    """Few or many splats, some of whose numbers are NaN, infinite, huge or tiny, and a target of any size."""
    rng = np.random.default_rng(seed)
    count, size = int(rng.integers(1, 300)), (int(rng.integers(1, 130)), int(rng.integers(1, 90)))
    cloud = random_cloud(count, 1, seed, scale=float(10 ** rng.uniform(-4, 1)))
    for array in (cloud.means, cloud.log_scales, cloud.quats_wxyz, cloud.opacity_logits, cloud.sh):
        flat = array.reshape(-1)
        chosen = rng.random(flat.size) < 0.02
        flat[chosen] = rng.choice([np.nan, np.inf, -np.inf, 1e38, -1e38, 0, 1e-38, 88], size=int(chosen.sum()))
    target = Target(camera_for(*size), rng.random((size[1], size[0], 3)).astype(np.float32))
    return SplatParameters.from_cloud(cloud), target
