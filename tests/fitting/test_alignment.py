# SPDX-License-Identifier: Apache-2.0
"""The normal term: what it does to a fit. (How splats are turned: tests/kernels/regularization.)"""

import attrs
import numpy as np

from backend.fitting.fit import fit
from backend.fitting.settings import FitSettings
from backend.kernels.regularization.reference import splat_normals
from interchange.splats import read_ply

from .scene import make_capture

SETTINGS = FitSettings(iterations=120, splats=500, sh_degree=0, early_stop=False, evaluations=0, threads=1)


def _flatness(capture, out, weight):
    result = fit(capture.folder, out, attrs.evolve(SETTINGS, normal_weight=weight))
    cloud = read_ply(out / "splats.ply")
    outward = cloud.means - cloud.means.mean(axis=0)  # a ball
    outward /= np.linalg.norm(outward, axis=1, keepdims=True)
    normals = splat_normals(cloud.quats_wxyz, cloud.log_scales.argmin(axis=1))
    return float(np.abs((normals * outward).sum(axis=1)).mean()), result.psnr


def test_splats_of_a_fit_lie_flatter_with_it(tmp_path):
    capture = make_capture(tmp_path / "capture")
    loose, psnr = _flatness(capture, tmp_path / "loose", 0.0)
    flat, psnr_flat = _flatness(capture, tmp_path / "flat", 0.05)
    assert 1 - flat < 0.8 * (1 - loose)  # the ball's triangles are no ball: some angle is left
    assert psnr_flat > psnr - 1.5
