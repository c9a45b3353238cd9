# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from backend.faceswap.blending import laplacian_blend


def soft_disc(size: int = 128, inner: float = 30, outer: float = 50) -> np.ndarray:
    y, x = np.mgrid[:size, :size] - size / 2 + 0.5
    return np.clip((outer - np.hypot(x, y)) / (outer - inner), 0, 1).astype(np.float32)


@pytest.mark.parametrize("levels", [0, 3, 5, 20])
def test_outside_the_mask_not_a_bit_changes(levels: int) -> None:
    generator = np.random.default_rng(0)
    front, back = generator.random((2, 128, 128, 3)).astype(np.float32)
    mask = soft_disc()
    blended = laplacian_blend(front, back, mask, levels)
    assert_array_equal(blended[mask == 0], back[mask == 0])
    assert np.abs(blended - back)[mask == 1].mean() > 0.1


def test_equal_pictures_stay_and_a_full_mask_takes_all() -> None:
    image = np.random.default_rng(1).random((96, 64, 3)).astype(np.float32)
    assert_allclose(laplacian_blend(image, image, soft_disc(128)[:96, :64]), image, atol=2e-6)
    assert_allclose(laplacian_blend(image, 0 * image, np.ones((96, 64))), image, atol=2e-6)


def test_detail_comes_over_a_narrow_band_and_tone_over_a_wide_one() -> None:
    mask = (soft_disc(256, 79, 81) > 0.5).astype(np.float32)
    back = np.zeros((256, 256, 3), np.float32)
    tone = laplacian_blend(back + 1, back, mask)[128, 128:, 0]
    checks = np.indices((256, 256)).sum(0)[..., None] % 2 * 2.0 - 1
    detail = laplacian_blend(back + checks.astype(np.float32), back, mask)[128, 128:, 0]

    def width(profile: np.ndarray) -> int:
        return int(((profile > 0.1) & (profile < 0.9)).sum())

    assert width(tone) > 8
    assert width(np.abs(detail)) <= 4
    assert tone[:24].min() > 0.95
