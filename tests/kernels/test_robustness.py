# SPDX-License-Identifier: Apache-2.0
"""Gradients over many random scenes with every oddity in them, and on a CPU that knows no AVX."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from backend.kernels.engine import CpuEngine, SplatParameters
from backend.kernels.rasterizer import LossWeights

from .scenes import GROUPS, camera_for, doubtful_pixels, random_cloud, reference_gradients

ROOT = Path(__file__).resolve().parents[2]
COUNT = 160
MIX = LossWeights(ssim=0.0, alpha=0.3)  # SSIM would reach around the weights


def _case(seed):
    """Degree, antialiasing, size, scale and cloud of a random scene; sizes leave partial tiles."""
    rng = np.random.default_rng(seed)
    degree, antialiased = seed % 4, bool(seed // 4 % 2)
    size = int(rng.integers(20, 75)), int(rng.integers(20, 60))
    cloud = random_cloud(COUNT, degree, seed, scale=float(10 ** rng.uniform(-2.3, -1.3)))
    cloud.log_scales[9] = np.log(0.1), np.log(0.005), np.log(0.002)  # a needle that float32 can follow
    cloud.opacity_logits[10:20] = rng.uniform(-5.5, -4.0, 10)  # nearly transparent
    cloud.means[20:24] = cloud.means[24]  # coincident
    cloud.antialiased = antialiased
    return cloud, size


def _errors(seed):
    """Per group of parameters, the largest error over the largest gradient; weights hide the pixels at a cutoff."""
    cloud, size = _case(seed)
    rng = np.random.default_rng(seed + 1000)
    parameters, camera = SplatParameters.from_cloud(cloud), camera_for(*size)
    engine = CpuEngine(COUNT, *size, parameters.sh_degree)
    block = torch.tensor(parameters.block[:, :COUNT].astype(np.float64))
    coefficients = (parameters.sh_degree + 1) ** 2
    doubtful = doubtful_pixels(block, coefficients, camera, antialiased=parameters.antialiased)
    alpha = rng.random(doubtful.shape).astype(np.float32)
    target = (rng.random((*doubtful.shape, 3)) * alpha[..., None]).astype(np.float32)
    weights = np.where(doubtful, 0, rng.random(doubtful.shape)).astype(np.float32)
    background = tuple(rng.random(3).tolist())
    view = engine.prepare_view(camera, target, alpha, weights)
    result, gradient = engine.gradients(parameters, view, background, MIX)
    expected, reference = reference_gradients(
        parameters, camera, target, alpha, background, MIX, weights
    )  # fmt: skip
    assert result.loss == pytest.approx(expected[0], rel=1e-4)
    return {
        name: float(np.abs(gradient[rows, :COUNT] - reference[rows]).max() / np.abs(reference[rows]).max())
        for name, rows in GROUPS.items()
        if len(reference[rows])
    }


@pytest.mark.parametrize("seed", range(16))
def test_gradients_over_random_scenes(seed):
    errors = _errors(seed)
    assert max(errors.values()) < 1e-4, errors


_CHILD = """
import json
import numpy as np
from backend.kernels.engine import AdamState, CpuEngine, SplatParameters
from backend.kernels.simd import VECTOR_WIDTH
from tests.kernels.scenes import camera_for, random_cloud
from tests.kernels.test_robustness import _errors
cloud = random_cloud(192, 1, 1)
image, alpha = CpuEngine(192, 70, 50, 1).render(SplatParameters.from_cloud(cloud), camera_for(70, 50))
rows = [image[::7, ::9].ravel().tolist(), alpha[::7, ::9].ravel().tolist()]
print(json.dumps([VECTOR_WIDTH, rows, max(_errors(3).values())]))
"""


@pytest.mark.slow
def test_a_cpu_without_avx_gives_the_same_results(tmp_path):
    environment = {**os.environ, "NUMBA_CPU_NAME": "nehalem", "NUMBA_CPU_FEATURES": "+sse4.2,+popcnt",
                   "NUMBA_CACHE_DIR": str(tmp_path)}  # fmt: skip
    environment.pop("DIGIDOUBLE_VECTOR_WIDTH", None)
    done = subprocess.run(
        [sys.executable, "-c", _CHILD], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=280
    )
    assert done.returncode == 0, done.stderr[-500:]
    width, rows, error = json.loads(done.stdout)
    image, alpha = CpuEngine(192, 70, 50, 1).render(
        SplatParameters.from_cloud(random_cloud(192, 1, 1)), camera_for(70, 50)
    )
    assert width == 8
    np.testing.assert_allclose(rows[0], image[::7, ::9].ravel(), atol=1e-4)
    np.testing.assert_allclose(rows[1], alpha[::7, ::9].ravel(), atol=1e-4)
    assert error < 1e-4
