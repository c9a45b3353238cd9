# SPDX-License-Identifier: Apache-2.0
"""Whole fits by the CUDA engine's own sources on the stand-in device: what happens between steps, where splats are."""

from __future__ import annotations

import attrs
import numpy as np
import pytest

from backend.fitting import engines
from backend.fitting.fit import fit
from backend.fitting.settings import FitSettings
from backend.kernels.cuda.engine import CudaEngine
from interchange.splats import read_ply

from ..kernels.cuda.emulated import compiler
from .scene import make_capture

pytestmark = pytest.mark.skipif(compiler() is None, reason="g++ is not installed: it compiles the CUDA sources here")

SETTINGS = FitSettings(
    iterations=90, splats=200, sh_degree=1, early_stop=False, evaluations=2, checkpoint_every_s=1e9, threads=1,
    engine="cpu", rate_scale=2.0,
)  # fmt: skip
VARIANTS = {
    "all that stays on the device": {"scale_decay": 0.001, "opacity_decay": 0.002},
    "default": {"densify": "default", "splats": 300, "max_splats": 450, "rate_scale": 1.0},
    "mcmc": {"densify": "mcmc", "max_splats": 300},
    "doubting": {"robust": 0.1, "colour_affine": True, "normal_weight": 0.0},
}


class Named(CudaEngine):
    """By the name that was asked for, so that digests agree."""

    name = "cpu"


@pytest.mark.parametrize("name", VARIANTS)
def test_a_fit_ends_where_the_cpu_engines_ends(device, tmp_path, monkeypatch, name):
    capture = make_capture(tmp_path / "capture", train=4, held_out=2, size=40)
    settings = attrs.evolve(SETTINGS, **VARIANTS[name])
    theirs = fit(capture.folder, tmp_path / "cpu", settings)
    engine = Named(device)
    monkeypatch.setattr(engines, "CpuEngine", lambda *arguments: engine)
    launched = len(device.launches)
    mine = fit(capture.folder, tmp_path / "cuda", settings)
    kernels = set(device.launches[launched:])
    assert kernels & {"decay", "align", "wander", "rearrange"} == {
        "all that stays on the device": {"decay", "align"}, "default": {"align", "rearrange"},
        "mcmc": {"decay", "align", "wander", "rearrange"}, "doubting": set(),
    }[name]  # fmt: skip
    print(f"{name}: {mine.psnr:.2f} dB, on the CPU {theirs.psnr:.2f} dB")
    assert abs(mine.psnr - theirs.psnr) < 0.15 and mine.psnr > 22
    clouds = [read_ply(tmp_path / folder / "splats.ply") for folder in ("cpu", "cuda")]
    assert abs(len(clouds[0]) - len(clouds[1])) <= 0.05 * len(clouds[0])
    assert abs(np.median(clouds[0].log_scales) - np.median(clouds[1].log_scales)) < 0.05
