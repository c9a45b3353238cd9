# SPDX-License-Identifier: Apache-2.0
"""The fused loss against torch on the whole frame, without splats: frames are written straight into the engine."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from backend.kernels.layout import padded
from backend.kernels.loss.cpu import SEGMENT, STRIP, blur_target, compare, gaussian_window, patches_of
from backend.kernels.loss.reference import compare as reference_compare
from backend.kernels.loss.reference import gaussian_window as reference_window
from backend.kernels.views import SSIM_REACH, grown_box, joined_box, prepare_view
from interchange.errors import InputError

from .scenes import camera_for


def _shape(rng, height, width, box):
    """A random premultiplied picture inside box (x0, y0, x1, y1) and its alpha."""
    x0, y0, x1, y1 = box
    alpha = np.zeros((height, width), np.float32)
    alpha[y0:y1, x0:x1] = np.clip(rng.random((y1 - y0, x1 - x0)) * 1.6, 0, 1)
    return (rng.random((height, width, 3)) * alpha[..., None]).astype(np.float32), alpha


def _run(colour, alpha, busy, view, background, factors, threads=2):
    height, width = alpha.shape
    frame = np.zeros((4, padded(height), padded(width)), np.float32)
    frame[3] = 1
    frame[:3, :height, :width] = colour.transpose(2, 0, 1)
    frame[3, :height, :width] = 1 - alpha
    gradient = np.zeros_like(frame)
    shade, window = np.asarray(background, np.float32), gaussian_window()
    blur_target(threads, view.target, view.region, shade, window, view.blurs)
    box = grown_box(joined_box(busy, view.region), SSIM_REACH, width, height)
    sums = np.zeros((3 * patches_of(int(box[2] - box[0]), int(box[3] - box[1])), 3))
    compare(
        threads, width, height, box, busy, frame.ravel(), view.target, view.blurs, view.region, view.weights, shade,
        window, np.asarray(factors, np.float32), gradient.ravel(), sums,
    )  # fmt: skip
    return sums.sum(axis=0), gradient[:, :height, :width]


@pytest.mark.parametrize(
    ("size", "subject", "splats", "background", "weighted"),
    [
        ((70, 50), (20, 8, 50, 40), (0, 0, 80, 50), (0, 0, 0), False),
        ((70, 50), (0, 0, 70, 50), (0, 0, 80, 50), (0.3, 0.9, 0.1), True),
        ((96, 80), (40, 30, 60, 44), (32, 16, 64, 48), (0, 0, 0), False),
        ((96, 80), (5, 30, 20, 44), (64, 48, 96, 80), (1, 1, 1), True),  # subject and splats apart
        ((17, 9), (3, 3, 4, 4), (0, 0, 32, 9), (0.5, 0.5, 0.5), False),
        ((STRIP + 70, 30), (0, 0, STRIP + 70, 30), (0, 0, STRIP + 80, 30), (0.1, 0.2, 0.3), True),  # two strips
        ((40, 2 * SEGMENT + 5), (5, 3, 33, 120), (0, 16, 48, 2 * SEGMENT + 5), (0.7, 0.2, 0.3), False),
    ],
)
def test_loss_and_gradient_match_torch(size, subject, splats, background, weighted):
    width, height = size
    rng = np.random.default_rng(width + subject[0])
    target, target_alpha = _shape(rng, height, width, subject)
    visible = (splats[0], splats[1], min(splats[2], width), splats[3])
    colour, alpha = _shape(rng, height, width, visible)
    weights = rng.random((height, width)).astype(np.float32) if weighted else None
    view = prepare_view(camera_for(width, height), target, target_alpha, weights)
    pixels = width * height
    mix = np.array([0.8, 0.2, 0.4])
    factors = mix / (3 * pixels, 3 * pixels, pixels)
    busy = np.array(splats, np.int64)
    sums, gradient = _run(colour, alpha, busy, view, background, factors)

    c = torch.tensor(colour.astype(np.float64), requires_grad=True)
    t = torch.tensor(1 - alpha.astype(np.float64), requires_grad=True)
    ones = np.ones((height, width)) if weights is None else weights
    inputs = [torch.tensor(np.asarray(a, np.float64)) for a in (target, target_alpha, background, ones)]
    terms = reference_compare(c, t, *inputs)
    loss = sum(m * term for m, term in zip(mix, terms, strict=True))
    d_colour, d_t = torch.autograd.grad(loss, (c, t))
    expected = [float(term.detach()) for term in terms]
    np.testing.assert_allclose(sums / (3 * pixels, 3 * pixels, pixels), expected, rtol=3e-6, atol=1e-7)
    inside = np.s_[visible[1] : visible[3], visible[0] : visible[2]]
    mine = gradient.transpose(1, 2, 0)[inside]
    scale = np.abs(d_colour.numpy()).max()
    np.testing.assert_allclose(mine[..., :3], d_colour.numpy()[inside], atol=3e-5 * scale)
    whole_t = mine[..., 3] + mine[..., :3] @ np.asarray(background)
    np.testing.assert_allclose(whole_t, d_t.numpy()[inside], atol=3e-5 * np.abs(d_t.numpy()).max() + 1e-12)


def test_equal_pictures_cost_nothing():
    rng = np.random.default_rng(1)
    picture, alpha = _shape(rng, 50, 70, (10, 10, 60, 45))
    view = prepare_view(camera_for(70, 50), picture, alpha)
    sums, gradient = _run(picture, alpha, np.array([0, 0, 80, 50]), view, (0.2, 0.4, 0.6), (0, 1, 0))
    assert sums[0] < 1e-3 and sums[2] < 1e-3 and abs(sums[1]) < 0.05  # of 10500 pixels and channels
    assert np.abs(gradient).max() < 0.02


def test_loss_does_not_depend_on_threads():
    rng = np.random.default_rng(2)
    target = _shape(rng, 150, 120, (10, 10, 110, 140))
    render = _shape(rng, 150, 120, (0, 0, 120, 150))
    view = prepare_view(camera_for(120, 150), *target)
    results = [_run(*render, np.array([0, 0, 128, 150]), view, (0, 0, 0), (1, 1, 1), t) for t in (1, 2, 1)]
    for sums, gradient in results[1:]:
        np.testing.assert_array_equal(sums, results[0][0])
        np.testing.assert_array_equal(gradient, results[0][1])


def test_window_is_the_standard_one():
    published = [0.00102838, 0.00759876, 0.03600077, 0.10936069, 0.21300554, 0.26601172]
    np.testing.assert_allclose(gaussian_window()[:6], published, atol=1e-8)
    np.testing.assert_allclose(gaussian_window(), reference_window(), atol=1e-8)


def test_views_are_cropped_and_checked():
    picture = np.zeros((50, 70, 3), np.float32)
    alpha = np.zeros((50, 70), np.float32)
    camera = camera_for(70, 50)
    empty = prepare_view(camera, picture, alpha)
    assert empty.target.size == 0 and empty.region.tolist() == [0, 0, 0, 0]
    alpha[20:22, 30:40] = 1
    view = prepare_view(camera, picture, alpha)
    assert view.region.tolist() == [16, 15, 48, 27]
    assert view.target.size == 4 * 12 * 32
    with pytest.raises(InputError, match="shape"):
        prepare_view(camera, picture[:40], alpha)
    picture[0, 0, 0] = np.nan
    with pytest.raises(InputError, match="NaN"):
        prepare_view(camera, picture, alpha)
