# SPDX-License-Identifier: Apache-2.0
"""Blending against the dense float64 reference."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from backend.kernels.engine import CpuEngine
from backend.kernels.parameters import SplatParameters
from interchange.splats import SplatCloud

from .scenes import camera_for, doubtful_pixels, random_cloud, reference_render

BACKGROUND = (0.2, 0.5, 0.8)


@pytest.mark.parametrize(
    ("count", "size", "scale", "seed"),
    [(192, (70, 50), 0.025, 1), (192, (64, 48), 0.025, 2), (40, (33, 17), 0.2, 3), (500, (50, 70), 0.006, 4),
     (1500, (40, 40), 0.06, 5)],
)  # fmt: skip
def test_image_and_alpha_match_the_reference(count, size, scale, seed):
    cloud = random_cloud(count, 1, seed, scale)
    parameters = SplatParameters.from_cloud(cloud)
    camera = camera_for(*size)
    image, alpha = CpuEngine(count, *size, 1).render(parameters, camera, BACKGROUND)
    block = torch.tensor(parameters.block[:, :count].astype(np.float64))
    colour, transmittance = reference_render(block, 4, camera)
    expected = (colour + transmittance[..., None] * torch.tensor(BACKGROUND)).numpy()
    sure = ~doubtful_pixels(block, 4, camera)
    assert sure.mean() > 0.95
    assert image.shape == (size[1], size[0], 3) and alpha.shape == (size[1], size[0])
    np.testing.assert_allclose(image[sure], expected[sure], atol=1e-4)
    np.testing.assert_allclose(alpha[sure], 1 - transmittance.numpy()[sure], atol=1e-4)
    assert np.abs(image - expected).max() < 0.02  # even at a cutoff not more than one splat of 1/255 or so


def _one_splat(opacity_logit: float, count: int = 1, spacing: float = 0.0) -> SplatParameters:
    return SplatParameters.from_cloud(SplatCloud(
        means=np.array([[0, 0, -spacing * i] for i in range(count)], np.float64),
        log_scales=np.full((count, 3), np.log(0.2)), quats_wxyz=np.tile([1.0, 0, 0, 0], (count, 1)),
        opacity_logits=np.full(count, opacity_logit), sh=np.full((count, 1, 3), 1.0),
    ))  # fmt: skip


def test_alpha_is_clamped_and_pixels_stop():
    camera = camera_for(32, 32)
    engine = CpuEngine(16, 32, 32, 0)
    _, alpha = engine.render(_one_splat(20.0), camera)
    assert alpha.max() == pytest.approx(0.99, abs=1e-6)
    _, alpha = engine.render(_one_splat(20.0, count=3, spacing=0.01), camera)
    assert 0.9985 < alpha.max() <= 1 - 1e-4 + 1e-6  # a third splat would leave less than 1e-4: not blended


def test_nothing_in_view_is_background():
    parameters = _one_splat(3.0)
    parameters.block[0] = 100
    image, alpha = CpuEngine(1, 40, 30, 0).render(parameters, camera_for(40, 30), BACKGROUND)
    assert (alpha == 0).all()
    np.testing.assert_array_equal(image, np.broadcast_to(np.float32(BACKGROUND), image.shape))


def test_coincident_splats_blend_in_the_order_of_their_columns():
    parameters = _one_splat(0.0, count=2)
    parameters.block[11:14, 0], parameters.block[11:14, 1] = 1.5, -1.5
    image, alpha = CpuEngine(2, 33, 33, 0).render(parameters, camera_for(33, 33))
    assert alpha.max() == pytest.approx(0.75, abs=0.01)
    white = 0.5 + 1.5 * 0.28209479
    black = 0.5 - 1.5 * 0.28209479
    assert image.max() == pytest.approx(0.5 * white + 0.25 * black, abs=0.01)
