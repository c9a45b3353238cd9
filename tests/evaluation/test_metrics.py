# SPDX-License-Identifier: Apache-2.0
"""Metrics against slow references written another way, and against values known in advance."""

from __future__ import annotations

import numpy as np
import pytest

from backend.evaluation import metrics
from backend.kernels.similarity.cpu import C1, C2
from backend.kernels.similarity.reference import ssim_terms


def pictures(seed: int = 0, height: int = 40, width: int = 48) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    base = rng.random((height, width, 3))
    for axis in (0, 1):  # smooth, or SSIM sees nothing but noise
        base = (base + np.roll(base, 1, axis) + np.roll(base, 2, axis)) / 3
    return base, np.clip(base + 0.05 * rng.normal(size=base.shape), 0, 1)


def slow_ssim_map(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Windows cut out one by one, weighted moments, zero outside the frame."""
    offsets = np.arange(-5, 6)
    window = np.exp(-(offsets[:, None] ** 2 + offsets[None] ** 2) / (2 * 1.5**2))
    window /= window.sum()
    result = np.zeros_like(a)
    pa, pb = (np.pad(x, ((5, 5), (5, 5), (0, 0))) for x in (a, b))
    for y in range(a.shape[0]):
        for x in range(a.shape[1]):
            for c in range(a.shape[2]):
                wa, wb = pa[y : y + 11, x : x + 11, c], pb[y : y + 11, x : x + 11, c]
                ma, mb = (window * wa).sum(), (window * wb).sum()
                va, vb = (window * (wa - ma) ** 2).sum(), (window * (wb - mb) ** 2).sum()
                cov = (window * (wa - ma) * (wb - mb)).sum()
                top = (2 * ma * mb + 0.01**2) * (2 * cov + 0.03**2)
                result[y, x, c] = top / ((ma**2 + mb**2 + 0.01**2) * (va + vb + 0.03**2))
    return result


def test_psnr_of_a_constant_difference_is_known() -> None:
    a = np.full((8, 8, 3), 0.5)
    assert metrics.psnr(a, a + 0.1) == pytest.approx(20.0)
    assert metrics.psnr(a, a + 1 / 255) == pytest.approx(20 * np.log10(255))
    assert metrics.psnr(a, a) == metrics.PSNR_CEILING


def test_masked_psnr_counts_only_and_softly_what_the_mask_holds() -> None:
    a = np.zeros((2, 2, 3))
    b = a.copy()
    b[0, 0], b[0, 1] = 0.1, 0.3
    mask = np.array([[1.0, 0.5], [0.0, 0.0]])
    expected = (1.0 * 0.1**2 + 0.5 * 0.3**2) / 1.5
    assert metrics.mse(a, b, mask) == pytest.approx(expected)
    assert metrics.psnr(a, b, mask) == pytest.approx(-10 * np.log10(expected))


def test_a_black_frame_raises_psnr_by_its_share() -> None:
    a, b = pictures()
    frame_a, frame_b = (np.pad(x, ((20, 20), (24, 24), (0, 0))) for x in (a, b))
    assert metrics.psnr(frame_a, frame_b) - metrics.psnr(a, b) == pytest.approx(10 * np.log10(4))


def test_ssim_map_equals_the_slow_reference() -> None:
    a, b = pictures(1, 17, 19)
    slow = slow_ssim_map(a, b)
    for edge in (0, 5):
        luminance, structure = ssim_terms(a, b, metrics.gaussian_window(), edge)
        np.testing.assert_allclose(luminance * structure, slow[edge : 17 - edge, edge : 19 - edge], atol=1e-9)
    mask = np.random.default_rng(2).random((17, 19))
    assert metrics.ssim(a, b) == pytest.approx(slow.mean())
    assert metrics.ssim(a, b, mask) == pytest.approx((slow.mean(axis=2) * mask).sum() / mask.sum())
    inner = mask[5:-5, 5:-5]
    assert metrics.ssim(a, b, mask, "valid") == pytest.approx(
        (slow[5:-5, 5:-5].mean(axis=2) * inner).sum() / inner.sum()
    )


def test_ssim_equals_torch_convolution() -> None:
    torch = pytest.importorskip("torch")
    a, b = pictures(3, 64, 50)
    ta, tb = (torch.from_numpy(x).permute(2, 0, 1)[:, None] for x in (a, b))
    window = torch.from_numpy(np.outer(metrics.gaussian_window(), metrics.gaussian_window()))[None, None]

    def blur(x: object) -> object:
        return torch.nn.functional.conv2d(x, window, padding=5)

    ma, mb = blur(ta), blur(tb)
    va, vb, cov = blur(ta * ta) - ma**2, blur(tb * tb) - mb**2, blur(ta * tb) - ma * mb
    top = (2 * ma * mb + C1) * (2 * cov + C2)
    expected = (top / ((ma**2 + mb**2 + C1) * (va + vb + C2))).mean().item()
    assert metrics.ssim(a, b) == pytest.approx(expected, abs=1e-9)
    assert metrics.ssim(a.astype(np.float32), b.astype(np.float32)) == pytest.approx(expected, abs=1e-6)


def test_ssim_of_constants_is_the_luminance_term() -> None:
    a, b = np.full((30, 30, 3), 0.4), np.full((30, 30, 3), 0.6)
    expected = (2 * 0.24 + 1e-4) / (0.16 + 0.36 + 1e-4)
    assert metrics.ssim(a, b, padding="valid") == pytest.approx(expected)
    assert metrics.ssim(a, a) == pytest.approx(1.0)


def test_ms_ssim_is_the_product_over_scales() -> None:
    a, b = pictures(4, 50, 60)  # 2 ** 2 * 11 <= 50 < 2 ** 3 * 11: three scales
    weights = np.array(metrics.MS_WEIGHTS[:3]) / sum(metrics.MS_WEIGHTS[:3])
    product = np.ones(3)
    for scale, weight in enumerate(weights):
        if scale == 2:
            value = slow_ssim_map(a, b)[5:-5, 5:-5]
        else:  # contrast-structure alone: SSIM of pictures whose local luminance term is divided out
            ma, mb = (np.stack([_slow_mean(x[..., c]) for c in range(3)], -1) for x in (a, b))
            luminance = (2 * ma * mb + C1) / (ma**2 + mb**2 + C1)
            value = slow_ssim_map(a, b)[5:-5, 5:-5] / luminance
        product *= value.mean(axis=(0, 1)) ** weight
        a, b = _halved(a), _halved(b)
    assert metrics.ms_ssim(*pictures(4, 50, 60)) == pytest.approx(product.mean(), abs=1e-9)
    assert metrics.ms_ssim(*[pictures(4, 200, 180)[0]] * 2) == pytest.approx(1.0)
    with pytest.raises(ValueError, match="11"):
        metrics.ms_ssim(np.zeros((10, 20, 3)), np.zeros((10, 20, 3)))


def _halved(x: np.ndarray) -> np.ndarray:
    height, width = x.shape[0] // 2, x.shape[1] // 2
    return x[: 2 * height, : 2 * width].reshape(height, 2, width, 2, 3).mean(axis=(1, 3))


def _slow_mean(x: np.ndarray) -> np.ndarray:
    ndimage = pytest.importorskip("scipy.ndimage")
    return ndimage.gaussian_filter(x, 1.5, mode="constant", truncate=5 / 1.5)[5:-5, 5:-5]


def test_sharpness_falls_with_blur_and_ignores_what_the_mask_leaves_out() -> None:
    ndimage = pytest.importorskip("scipy.ndimage")
    sharp, _ = pictures(5)
    blurred = ndimage.gaussian_filter(sharp, (1, 1, 0))
    assert metrics.sharpness(sharp, sharp) == pytest.approx(1.0)
    assert metrics.sharpness(blurred, sharp) < 0.5
    assert metrics.sharpness(0.5 * sharp, sharp) == pytest.approx(0.25)  # an energy: amplitude squared
    mask = np.zeros(sharp.shape[:2])
    mask[20:30, 20:30] = 1
    halfway = sharp.copy()
    halfway[:8] = 0
    assert metrics.sharpness(halfway, sharp, mask) == pytest.approx(1.0)
    assert metrics.sharpness(sharp, np.zeros_like(sharp)) == 0.0


def test_eight_bit_round_trip_clips_and_rounds() -> None:
    values = metrics.through_8_bit(np.array([-0.2, 0.0, 0.5, 100.4 / 255, 1.7]))
    np.testing.assert_allclose(values * 255, [0, 0, 128, 100, 255], atol=1e-4)


def test_error_levels_are_in_eight_bit_steps() -> None:
    a = np.zeros((2, 2, 3))
    b = a.copy()
    b[0, 0] = np.array([3, 6, 9]) / 255
    np.testing.assert_allclose(metrics.error_levels(a, b), [[6, 0], [0, 0]], atol=1e-4)


def test_misuse_is_refused() -> None:
    a, b = pictures()
    with pytest.raises(ValueError, match="shape"):
        metrics.psnr(a, b[1:])
    with pytest.raises(ValueError, match="empty"):
        metrics.psnr(a, b, np.zeros(a.shape[:2]))
    with pytest.raises(ValueError, match="padding"):
        metrics.ssim(a, b, padding="reflect")
