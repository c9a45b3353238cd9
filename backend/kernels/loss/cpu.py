# SPDX-License-Identifier: Apache-2.0
"""L1 + D-SSIM + alpha L1 between a rendered frame and a target, and the gradient of their sum, in one pass.

SSIM (Wang, Bovik, Sheikh, Simoncelli 2004): 11x11 Gaussian window of sigma 1.5, K1 = 0.01, K2 = 0.03, colours 0..1,
each channel alone, mean over the frame. Both images are blurred *relative to the background*, x' = x - background,
with zeros outside the frame: the images go on with the background there, variances lose nothing to cancellation, and
where render and target are both empty the loss is exactly zero. So only a *box* around the subject and the splats is
computed, with the same result as for the whole frame.

The work is cut into patches of SEGMENT rows and STRIP columns of one channel. A patch runs down its rows, two at a
time, with three stages that follow each other 5 rows apart: blur x', x'^2 and x'y' along the row into a ring of 12 rows
(blur.py); from that ring's column sums SSIM and its slopes by the three blurred quantities, blurred along the row into
a second ring; from that ring's column sums the gradient. Nothing but the gradient goes through memory. Patches overlap
by the reach of the blurs. The target's own blurs are computed once a view and background.

A box is (x0, y0, x1, y1) in pixels, x0 and x1 multiples of 16. Target planes cover `region`, a box inside the frame;
outside of it the target is empty.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import prange

from ..buffers import address, keep, scratch
from ..jit import kernel, parallel_kernel
from ..layout import TILE
from ..simd import (
    VECTOR_WIDTH,
    absolute,
    broadcast,
    get,
    lane_numbers,
    lane_sum,
    load,
    select,
    store,
    take_ticket,
    zeros,
)  # fmt: skip
from .blur import (
    MARGIN,
    PITCH,
    REACH,
    RING,
    ROW_SIZE,
    STRIP,
    blur_row,
    cleared,
    column_sums,
    empty_row,
    gaussian_window,
    ring_places,
    window_vectors,
)  # fmt: skip

W = VECTOR_WIDTH
f = np.float32
C1, C2 = f(0.01**2), f(0.03**2)
SEGMENT = 64
"""Rows of a patch: fixed, so that the order of additions does not depend on the number of threads."""
L1, DSSIM, ALPHA = range(3)


@kernel
def patches_of(columns: int, rows: int) -> int:
    """The number of patches of one channel of a box."""
    return ((rows + SEGMENT - 1) // SEGMENT) * ((columns + STRIP - 1) // STRIP)


class Patch(NamedTuple):
    """A patch and what is compared in it. Planes are given by their addresses (simd/memory.py)."""

    channel: int
    x0: int
    y0: int
    x1: int
    y1: int
    box: Any  # four integers, as the next two
    inner: Any
    region: Any
    width: int  # of the frame
    stride: int  # of the frame's rows
    colour: int  # the channel's plane of the frame
    transmittance: int
    target: int  # the channel's plane of the target
    target_alpha: int
    target_mean: int
    target_variance: int
    weights: int  # 0: all 1
    gradient: int  # the channel's plane
    transmittance_gradient: int
    shade: Any  # the channel's background
    factors: Any  # of the sums in the loss


@kernel
def _four(box: Any) -> Any:
    return box[0], box[1], box[2], box[3]


@kernel
def _target_at(p: Patch, plane: int, x: int, y: int) -> Any:
    """A vector of one of the target's planes at (x, y); zero outside the region."""
    x0, y0, x1, y1 = p.region
    if x < x0 or x >= x1 or y < y0 or y >= y1:
        return zeros()
    return load(plane, (y - y0) * (x1 - x0) + x - x0)


@kernel
def _wanted_at(p: Patch, x: int, y: int) -> Any:
    """y' = premultiplied target - alpha background, a vector at (x, y)."""
    return _target_at(p, p.target, x, y) - _target_at(p, p.target_alpha, x, y) * p.shade


@kernel
def _rendered_at(p: Patch, x: int, y: int) -> Any:
    """x' = colour + (transmittance - 1) background, a vector at (x, y)."""
    place = y * p.stride + x
    return (load(p.transmittance, place) - 1.0) * p.shade + load(p.colour, place)


@kernel
def _weight_at(p: Patch, x: int, y: int) -> Any:
    """Pixel weights, zero beyond the right edge of the frame."""
    if p.weights == 0:
        return select((lane_numbers() + f(x)) < f(p.width), 1.0, 0.0)
    return load(p.weights, y * p.stride + x)


@kernel
def _alpha_difference(p: Patch, x: int, y: int) -> Any:
    return 1.0 - load(p.transmittance, y * p.stride + x) - _target_at(p, p.target_alpha, x, y)


@kernel
def _blur_target_patch(p: Patch, taps: Any, rows: int, ring: int) -> None:
    left, right = max(p.region[0], p.x0 - MARGIN), min(p.region[2], p.x1 + MARGIN)
    width = p.region[2] - p.region[0]
    for step in range(0, p.y1 - p.y0 + 2 * REACH, 2):
        for y in range(p.y0 - REACH + step, p.y0 - REACH + step + 2):
            place = (y - p.y0 + REACH) % RING * 2 * PITCH
            if y < p.region[1] or y >= p.region[3]:
                empty_row(ring, place, 2)
                continue
            for x in range(left, right, W):
                wanted = _wanted_at(p, x, y)
                store(rows, x - p.x0 + 2 * MARGIN, wanted)
                store(rows, ROW_SIZE + x - p.x0 + 2 * MARGIN, wanted * wanted)
            for quantity in range(2):
                blur_row(rows, quantity * ROW_SIZE, p.x1 - p.x0, taps, ring, place + quantity * PITCH)
        if step < 2 * REACH:
            continue
        places = ring_places(step - 2 * REACH, 2)
        row = p.y0 + step - 2 * REACH
        for x in range(p.x0, p.x1, W):
            mean, below = column_sums(ring, x - p.x0 + MARGIN, places, taps)
            square, square_below = column_sums(ring, PITCH + x - p.x0 + MARGIN, places, taps)
            place = (row - p.region[1]) * width + x - p.region[0]
            store(p.target_mean, place, mean)
            store(p.target_variance, place, square - mean * mean)
            if row + 1 < p.y1:
                store(p.target_mean, place + width, below)
                store(p.target_variance, place + width, square_below - below * below)


@kernel
def _blur_target_worker(
    unit: int, strips: int, target: Any, region: Any, background: Any, window: Any, blurs: Any
) -> int:
    channel, patch = unit % 3, unit // 3
    x0, y0 = region[0] + patch % strips * STRIP, region[1] + patch // strips * SEGMENT
    plane = 4 * (region[2] - region[0]) * (region[3] - region[1])
    rows, ring = cleared(2 * ROW_SIZE), cleared(RING * 2 * PITCH)
    colours, means = address(target), address(blurs)
    bounds = _four(region)
    p = Patch(
        channel, x0, y0, min(region[2], x0 + STRIP), min(region[3], y0 + SEGMENT), bounds, bounds, bounds, 0, 0, 0, 0,
        colours + channel * plane, colours + 3 * plane, means + channel * plane, means + (3 + channel) * plane, 0, 0, 0,
        get(background, channel), (f(0), f(0), f(0)),
    )  # fmt: skip
    _blur_target_patch(p, window_vectors(window), address(rows), address(ring))
    return keep(rows) + keep(ring)


@parallel_kernel
def blur_target(
    threads: int,
    target: Any,  # 4 planes over the region: premultiplied colour, alpha
    region: Any,  # (4,) int64
    background: Any,  # (3,)
    window: Any,  # (11,)
    blurs: Any,  # 6 planes over the region: blurred y' of 3 channels, variance of 3 channels; out
) -> None:
    """What SSIM needs of the target alone."""
    strips = (region[2] - region[0] + STRIP - 1) // STRIP
    patches = patches_of(region[2] - region[0], region[3] - region[1])
    for unit in prange(3 * patches):
        _blur_target_worker(unit, strips, target, region, background, window, blurs)


@kernel
def _read_row(p: Patch, y: int, rows: int, ring: int, place: int, taps: Any) -> Any:
    """First stage: image row y, blurred along the row, into the ring; sums of L1 over the patch's own pixels."""
    if y < p.box[1] or y >= p.box[3]:
        empty_row(ring, place, 3)
        return f(0), f(0)
    l1, l1_alpha = zeros(), zeros()
    own_row = y >= p.y0 and y < p.y1
    for x in range(max(p.box[0], p.x0 - MARGIN), min(p.box[2], p.x1 + MARGIN), W):
        rendered, wanted = _rendered_at(p, x, y), _wanted_at(p, x, y)
        at = x - p.x0 + 2 * MARGIN
        store(rows, at, rendered)
        store(rows, ROW_SIZE + at, rendered * rendered)
        store(rows, 2 * ROW_SIZE + at, rendered * wanted)
        if own_row and x >= p.x0 and x < p.x1:
            weight = _weight_at(p, x, y)
            l1 = l1 + absolute(rendered - wanted) * weight
            if p.channel == 0:
                l1_alpha = l1_alpha + absolute(_alpha_difference(p, x, y)) * weight
    for quantity in range(3):
        blur_row(rows, quantity * ROW_SIZE, p.x1 - p.x0, taps, ring, place + quantity * PITCH)
    return lane_sum(l1), lane_sum(l1_alpha)


@kernel
def _ssim(p: Patch, x: int, y: int, mx: Any, xx: Any, xy: Any, slopes: int, at: int) -> Any:
    """weight (1 - SSIM) at (x, y) from blurred x', x'^2, x'y'; writes the slopes of weight SSIM by these three."""
    my, var_y = _target_at(p, p.target_mean, x, y), _target_at(p, p.target_variance, x, y)
    var_x, cov = xx - mx * mx, xy - mx * my
    mean_x, mean_y = mx + p.shade, my + p.shade
    a1, a2 = mean_x * mean_y * 2.0 + C1, cov * 2.0 + C2
    b1, b2 = mean_x * mean_x + mean_y * mean_y + C1, var_x + var_y + C2
    inverse = 1.0 / (b1 * b2)
    ssim = a1 * a2 * inverse
    weight = _weight_at(p, x, y)
    d_xy = a1 * inverse * 2.0
    d_xx = 0.0 - ssim * b1 * inverse
    d_mean = (mean_y * a2 - ssim * mean_x * b2) * inverse * 2.0 - my * d_xy - mx * d_xx * 2.0
    store(slopes, at, weight * d_mean)
    store(slopes, ROW_SIZE + at, weight * d_xx)
    store(slopes, 2 * ROW_SIZE + at, weight * d_xy)
    return weight * (1.0 - ssim)


@kernel
def _slope_rows(p: Patch, y: int, ring: int, places: Any, taps: Any, slopes: int) -> Any:
    """Second stage: SSIM's slopes in the rows y and y + 1 into `slopes` (two times three rows); sums over each row."""
    upper, lower = zeros(), zeros()
    in_box, below_in_box = y >= p.box[1] and y < p.box[3], y + 1 >= p.box[1] and y + 1 < p.box[3]
    for x in range(max(p.box[0], p.x0 - MARGIN), min(p.box[2], p.x1 + MARGIN), W):
        at = x - p.x0 + MARGIN
        mean, mean_below = column_sums(ring, at, places, taps)
        square, square_below = column_sums(ring, PITCH + at, places, taps)
        product, product_below = column_sums(ring, 2 * PITCH + at, places, taps)
        own = x >= p.x0 and x < p.x1
        if in_box:
            value = _ssim(p, x, y, mean, square, product, slopes, at + MARGIN)
            if own:
                upper = upper + value
        if below_in_box:
            value = _ssim(p, x, y + 1, mean_below, square_below, product_below, slopes, 3 * ROW_SIZE + at + MARGIN)
            if own:
                lower = lower + value
    return lane_sum(upper), lane_sum(lower)


@kernel
def _sign_times(x: Any, size: Any) -> Any:
    return select(x > 0.0, broadcast(size), select(x < 0.0, broadcast(-size), zeros()))


@kernel
def _gradient_at(p: Patch, x: int, y: int, by_mean: Any, by_square: Any, by_product: Any) -> None:
    """dL/dimage at (x, y) from the blurred slopes; channel 0 also writes dL/dtransmittance of the alpha term."""
    rendered, wanted, weight = _rendered_at(p, x, y), _wanted_at(p, x, y), _weight_at(p, x, y)
    d_ssim = wanted * by_product + (rendered * by_square * 2.0 + by_mean)
    value = _sign_times(rendered - wanted, p.factors[L1]) * weight - d_ssim * p.factors[DSSIM]
    store(p.gradient, y * p.stride + x, value)
    if p.channel == 0:
        value = _sign_times(_alpha_difference(p, x, y), -p.factors[ALPHA]) * weight
        store(p.transmittance_gradient, y * p.stride + x, value)


@kernel
def _gradient_rows(p: Patch, y: int, ring: int, places: Any, taps: Any) -> None:
    """Third stage: the gradient of the rows y and y + 1 where it is wanted."""
    upper = y >= p.inner[1] and y < p.inner[3]
    lower = y + 1 < p.y1 and y + 1 >= p.inner[1] and y + 1 < p.inner[3]
    if not (upper or lower):
        return
    for x in range(max(p.inner[0], p.x0), min(p.inner[2], p.x1), W):
        at = x - p.x0 + MARGIN
        by_mean, by_mean_below = column_sums(ring, at, places, taps)
        by_square, by_square_below = column_sums(ring, PITCH + at, places, taps)
        by_product, by_product_below = column_sums(ring, 2 * PITCH + at, places, taps)
        if upper:
            _gradient_at(p, x, y, by_mean, by_square, by_product)
        if lower:
            _gradient_at(p, x, y + 1, by_mean_below, by_square_below, by_product_below)


@kernel
def _blur_slopes(p: Patch, y: int, slopes: int, ring: int, first: int, taps: Any) -> None:
    """Between second and third stage: both rows of slopes, blurred along themselves, into the second ring."""
    for row in range(2):
        place = (first + row) % RING * 3 * PITCH
        if y + row < p.box[1] or y + row >= p.box[3]:
            empty_row(ring, place, 3)
        else:
            for quantity in range(3):
                source = (3 * row + quantity) * ROW_SIZE
                blur_row(slopes, source, p.x1 - p.x0, taps, ring, place + quantity * PITCH)


@kernel
def _compare_patch(p: Patch, taps: Any, rows: int, slopes: int, ring: int, slope_ring: int) -> Any:
    """Run down the patch; sums of L1, DSSIM and ALPHA over its own pixels."""
    sum_l1, sum_dssim, sum_alpha = 0.0, 0.0, 0.0
    for step in range(0, p.y1 - p.y0 + 4 * REACH, 2):
        y = p.y0 - 2 * REACH + step
        for row in range(2):
            l1, l1_alpha = _read_row(p, y + row, rows, ring, (step + row) % RING * 3 * PITCH, taps)
            sum_l1 += l1
            sum_alpha += l1_alpha
        if step < 2 * REACH:
            continue
        y -= REACH
        upper, lower = _slope_rows(p, y, ring, ring_places(step - 2 * REACH, 3), taps, slopes)
        if y >= p.y0 and y < p.y1:
            sum_dssim += upper
        if y + 1 >= p.y0 and y + 1 < p.y1:
            sum_dssim += lower
        _blur_slopes(p, y, slopes, slope_ring, step - 2 * REACH, taps)
        if step >= 4 * REACH:
            _gradient_rows(p, y - REACH, slope_ring, ring_places(step - 4 * REACH, 3), taps)
    return sum_l1, sum_dssim, sum_alpha


@kernel
def _compare_worker(
    tickets: Any, width: int, height: int, box: Any, inner: Any, frame: Any, target: Any, blurs: Any, region: Any,
    weights: Any, background: Any, window: Any, factors: Any, gradient: Any, sums: Any,
) -> int:  # fmt: skip
    stride = (width + TILE - 1) // TILE * TILE
    plane = 4 * stride * ((height + TILE - 1) // TILE) * TILE  # bytes
    target_plane = 4 * (region[2] - region[0]) * (region[3] - region[1])
    rows, slopes = cleared(3 * ROW_SIZE), cleared(6 * ROW_SIZE)
    ring, slope_ring = scratch(RING * 3 * PITCH), scratch(RING * 3 * PITCH)
    taps = window_vectors(window)
    strips = (box[2] - box[0] + STRIP - 1) // STRIP
    colours, wanted, means, out = address(frame), address(target), address(blurs), address(gradient)
    weight = address(weights) if weights.size > 0 else 0
    units = len(sums)
    while True:
        unit = take_ticket(tickets, 0)
        if unit >= units:
            break
        channel, patch = unit % 3, unit // 3
        x0, y0 = box[0] + patch % strips * STRIP, box[1] + patch // strips * SEGMENT
        rows[:] = 0  # patches differ in the columns that they never write
        slopes[:] = 0
        p = Patch(
            channel, x0, y0, min(box[2], x0 + STRIP), min(box[3], y0 + SEGMENT), _four(box), _four(inner),
            _four(region), width, stride, colours + channel * plane, colours + 3 * plane,
            wanted + channel * target_plane, wanted + 3 * target_plane, means + channel * target_plane,
            means + (3 + channel) * target_plane, weight, out + channel * plane, out + 3 * plane,
            get(background, channel), (get(factors, L1), get(factors, DSSIM), get(factors, ALPHA)),
        )  # fmt: skip
        sums[unit, L1], sums[unit, DSSIM], sums[unit, ALPHA] = _compare_patch(
            p, taps, address(rows), address(slopes), address(ring), address(slope_ring)
        )
    return keep(rows) + keep(slopes) + keep(ring) + keep(slope_ring)


@parallel_kernel
def compare(
    threads: int,
    width: int,
    height: int,
    box: Any,  # (4,) int64: everything that is not empty in render or target, and 5 pixels around, within the frame
    inner: Any,  # (4,) int64 box inside `box` where the gradient is wanted
    frame: Any,  # 4 planes of the rasterizer
    target: Any,  # 4 planes over the region
    blurs: Any,  # of blur_target with the same background
    region: Any,  # (4,) int64, inside the box
    weights: Any,  # a padded plane of pixel weights, zero outside the frame; or empty: all 1
    background: Any,  # (3,)
    window: Any,  # (11,)
    factors: Any,  # (3,) float32: what the sums of L1, DSSIM and ALPHA are multiplied by in the loss
    gradient: Any,  # 4 planes: dL/dimage, dL/dtransmittance of the alpha term; out, in `inner` only
    sums: Any,  # (3 * patches of the box, 3) float64 zeros; sums of L1, DSSIM and ALPHA, out
) -> None:
    """The loss and its gradient."""
    tickets = np.zeros(1, np.int32)
    for _ in prange(threads):
        _compare_worker(
            tickets, width, height, box, inner, frame, target, blurs, region, weights, background, window, factors,
            gradient, sums,
        )  # fmt: skip


__all__ = ["ALPHA", "DSSIM", "L1", "blur_target", "compare", "gaussian_window", "patches_of"]
