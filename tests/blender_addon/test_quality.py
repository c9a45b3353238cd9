# SPDX-License-Identifier: GPL-3.0-or-later
"""Are the pictures clean enough? Noise must not limit a fit at 36 dB, nor the light that a swap multiplies with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from blender_addon import compat
from blender_addon.capture.capture import capture_avatar
from blender_addon.capture.rigs import Dome
from blender_addon.capture.settings import CaptureSettings, RenderSettings
from interchange.capture import ViewImages


def one_view(folder: Path, samples: int, denoise: bool) -> ViewImages:
    render = RenderSettings(size=128, samples=samples, denoise=denoise)
    manifest = capture_avatar(folder, CaptureSettings(rig=Dome(1, 0, low=0, high=20, seed=7), render=render))
    return manifest.load_view(manifest.views[0])


@pytest.mark.skipif(not compat.has_denoiser(), reason="this Blender has no OpenImageDenoise, as its panel says")
def test_default_quality_is_clean(standin: Any, tmp_path: Path) -> None:
    truth = one_view(tmp_path / "truth", 128, False)
    fast = one_view(tmp_path / "fast", 8, True)
    raw = one_view(tmp_path / "raw", 8, False)

    def psnr(images: ViewImages) -> float:
        return float(-10 * np.log10(np.mean((images.display() - truth.display()) ** 2)))

    assert psnr(fast) > 40 and psnr(fast) > psnr(raw) + 1
    skin = (truth.masks["skin"] > 0.999) & (fast.masks["skin"] > 0.999)
    assert skin.sum() > 1000
    cleaned, noisy = (np.sqrt(np.mean((images.light - truth.light)[skin] ** 2)) for images in (fast, raw))
    assert cleaned < 0.5 * noisy and cleaned < 0.03 * truth.light[skin].mean()
