# SPDX-License-Identifier: Apache-2.0
"""Projected records, depths and tile rectangles against the float64 reference."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from backend.kernels import layout
from backend.kernels.engine import CpuEngine
from backend.kernels.layout import camera_numbers
from backend.kernels.parameters import SplatParameters
from backend.kernels.projection.reference import project
from backend.kernels.simd import RECORD_SIZE
from interchange.cameras import Camera
from interchange.errors import InputError

from .scenes import camera_for, random_cloud


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_records_match_the_reference(degree):
    parameters = SplatParameters.from_cloud(random_cloud(192, degree, seed=degree))
    camera = camera_for(70, 50)
    engine = CpuEngine(192, 70, 50, degree)
    engine.render(parameters, camera)
    buffers = engine._splats
    records = buffers.records[: 192 * RECORD_SIZE].reshape(192, RECORD_SIZE).astype(np.float64)
    expected = project(torch.tensor(parameters.block[:, :192].astype(np.float64)), (degree + 1) ** 2, camera)
    front = expected.drawn.numpy()
    conics = np.linalg.inv(expected.covariances.numpy())

    def check(columns, values, rtol=2e-5, atol=2e-5):
        np.testing.assert_allclose(records[front][:, columns], values[front], rtol=rtol, atol=atol)

    log2_e = np.log2(np.e)
    check([layout.MEAN_X, layout.MEAN_Y], expected.means.numpy(), atol=1e-3)
    check([layout.A], -0.5 * log2_e * conics[:, 0, 0][:, None], rtol=2e-4)
    check([layout.B], -log2_e * conics[:, 0, 1][:, None], rtol=2e-4)
    check([layout.C], -0.5 * log2_e * conics[:, 1, 1][:, None], rtol=2e-4)
    check([layout.LOG2_OPACITY], np.log2(expected.opacities.numpy())[:, None])
    check([layout.RED, layout.GREEN, layout.BLUE], expected.colours.numpy())
    np.testing.assert_allclose(buffers.depths[:192][front], expected.depths.numpy()[front], rtol=1e-6)


def test_what_must_not_be_drawn_is_not_drawn():
    cloud = random_cloud(64, 1, seed=3)
    broken = {
        "mean": (cloud.means, 20), "scale": (cloud.log_scales, 21), "quat": (cloud.quats_wxyz, 22),
        "opacity": (cloud.opacity_logits, 23), "sh": (cloud.sh, 24),
    }  # fmt: skip
    for array, index in broken.values():
        array[index] = np.nan
    cloud.quats_wxyz[25] = 0
    cloud.log_scales[26] = 200
    cloud.means[27] = np.inf
    cloud.means[28] = 3e38
    parameters = SplatParameters.from_cloud(cloud)
    engine = CpuEngine(64, 70, 50, 1)
    image, alpha = engine.render(parameters, camera_for(70, 50))
    drawn = np.zeros(64, bool)
    drawn[parameters.order] = engine._splats.rect_high[:64] >= 0
    assert not drawn[[0, 1, 5, *range(20, 26), 27, 28]].any()  # 0 behind, 1 off-screen, 5 below the cutoff
    assert drawn[[2, 3, 9]].all()  # off-screen but reaching in, huge, needle
    assert np.isfinite(image).all() and np.isfinite(alpha).all()


def test_unusable_cameras_are_refused_in_one_sentence():
    camera = camera_for(20, 20)
    K = camera.K.copy()
    K[0, 1] = 5
    with pytest.raises(InputError, match="skew"):
        camera_numbers(Camera(K, camera.world_to_camera, 20, 20))
    pose = camera.world_to_camera.copy()
    pose[0, 3] = np.nan
    with pytest.raises(InputError, match="NaN"):
        camera_numbers(Camera(camera.K, pose, 20, 20))
