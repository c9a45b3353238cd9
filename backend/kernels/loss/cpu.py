# SPDX-License-Identifier: Apache-2.0
"""L1 + D-SSIM + alpha L1 between a rendered frame and a target, and the gradient of their sum.

SSIM (Wang, Bovik, Sheikh, Simoncelli 2004): 11x11 Gaussian window of sigma 1.5, K1 = 0.01, K2 = 0.03, colours 0..1,
each channel alone, mean over the frame. Both images are blurred *relative to the background*, x' = x - background,
with zeros outside the frame: the images go on with the background there, variances lose nothing to cancellation, and
where render and target are both empty the loss is exactly zero. So only a *box* around the subject and the splats is
computed, with the same result as for the whole frame.

Every blur is separable and runs down a stretch of rows: a row is blurred horizontally once, kept in a ring of 11 rows,
and each output row is a weighted sum of the ring. The target's own blurs are computed once a view and background.

A box is (x0, y0, x1, y1) in pixels, x0 and x1 multiples of 16. Target planes cover `region`, a box inside the frame;
outside of it the target is empty.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from ..buffers import scratch
from ..jit import kernel, parallel_kernel
from ..layout import TILE
from ..simd import (
    VECTOR_WIDTH,
    absolute,
    broadcast,
    get,
    get_int,
    joined_from,
    lane_numbers,
    lane_sum,
    load,
    put_int,
    select,
    store,
    take_ticket,
    zeros,
)  # fmt: skip

W = VECTOR_WIDTH
f = np.float32
TAPS = 11
REACH = TAPS // 2
C1, C2 = f(0.01**2), f(0.03**2)
MARGIN = 16
"""Zero columns left and right of a row that is about to be blurred."""
SEGMENT = 32
"""Rows of a stretch: fixed, so that the order of additions does not depend on the number of threads."""
L1, DSSIM, ALPHA = range(3)


def gaussian_window() -> np.ndarray:
    """(11,) float32, sums to 1."""
    offsets = np.arange(TAPS) - REACH
    window = np.exp(-(offsets**2) / (2 * 1.5**2))
    return (window / window.sum()).astype(np.float32)


@kernel
def _cleared(size: int) -> Any:
    array = scratch(size)
    array[:] = 0
    return array


@kernel
def _blur_aligned(rows: Any, source: int, width: int, window: Any, ring: Any, target: int) -> None:
    """One row with shifts between registers: nearly every unaligned load of 64 bytes would straddle two cache lines."""
    before, here = load(rows, source - W), load(rows, source)
    for x in range(0, width, W):
        after = load(rows, source + x + W)
        total = joined_from(before, here, 11) * get(window, 0)
        total = joined_from(before, here, 12) * get(window, 1) + total
        total = joined_from(before, here, 13) * get(window, 2) + total
        total = joined_from(before, here, 14) * get(window, 3) + total
        total = joined_from(before, here, 15) * get(window, 4) + total
        total = here * get(window, 5) + total
        total = joined_from(here, after, 1) * get(window, 6) + total
        total = joined_from(here, after, 2) * get(window, 7) + total
        total = joined_from(here, after, 3) * get(window, 8) + total
        total = joined_from(here, after, 4) * get(window, 9) + total
        total = joined_from(here, after, 5) * get(window, 10) + total
        store(ring, target + x, total)
        before, here = here, after


@kernel
def _blur_row(rows: Any, quantities: int, width: int, window: Any, ring: Any, row: int) -> None:
    """Blur `quantities` rows (each with MARGIN zeros around) horizontally into the ring's place for image row `row`."""
    place = row % TAPS * quantities * width
    for quantity in range(quantities):
        source = quantity * (width + 2 * MARGIN) + MARGIN - REACH
        target = place + quantity * width
        if W == 16:
            _blur_aligned(rows, source + REACH, width, window, ring, target)
        else:
            for x in range(0, width, W):
                total = load(rows, source + x) * get(window, 0)
                for tap in range(1, TAPS):
                    total = load(rows, source + x + tap) * get(window, tap) + total
                store(ring, target + x, total)


@kernel
def _empty_row(quantities: int, width: int, ring: Any, row: int) -> None:
    """The place for image row `row`, outside the box, holds zeros."""
    place = row % TAPS * quantities * width
    for x in range(place, place + quantities * width, W):
        store(ring, x, zeros())


@kernel
def _blur_columns(ring: Any, quantities: int, width: int, window: Any, row: int, places: Any, blurred: Any) -> None:
    """The vertical half for image row `row`, when the ring holds the rows row - 5 .. row + 5."""
    for tap in range(TAPS):
        put_int(places, tap, (row - REACH + tap) % TAPS * quantities * width)
    for x in range(0, quantities * width, W):
        total = load(ring, get_int(places, 0) + x) * get(window, 0)
        for tap in range(1, TAPS):
            total = load(ring, get_int(places, tap) + x) * get(window, tap) + total
        store(blurred, x, total)


@kernel
def _target_at(target: Any, channel: int, region: Any, x: int, y: int) -> Any:
    """A vector of a target's plane at frame position (x, y); zeros outside the region."""
    if x < region[0] or x >= region[2] or y < region[1] or y >= region[3]:
        return zeros()
    width, height = region[2] - region[0], region[3] - region[1]
    return load(target, (channel * height + y - region[1]) * width + x - region[0])


@kernel
def _rendered_at(frame: Any, channel: int, width: int, height: int, x: int, y: int, background: Any) -> Any:
    """x' = colour + (transmittance - 1) background, a vector at (x, y)."""
    stride = (width + TILE - 1) // TILE * TILE
    plane = stride * ((height + TILE - 1) // TILE) * TILE
    place = y * stride + x
    return load(frame, channel * plane + place) + (load(frame, 3 * plane + place) - 1.0) * get(background, channel)


@kernel
def _wanted_at(target: Any, channel: int, region: Any, x: int, y: int, background: Any) -> Any:
    """y' = premultiplied target - alpha background, a vector at (x, y)."""
    colour = _target_at(target, channel, region, x, y)
    return colour - _target_at(target, 3, region, x, y) * get(background, channel)


@kernel
def _weight_at(weights: Any, width: int, x: int, y: int) -> Any:
    """Pixel weights, zero beyond the right edge of the frame; an empty array stands for ones."""
    inside = (lane_numbers() + f(x)) < f(width)
    if weights.size == 0:
        return select(inside, 1.0, 0.0)
    return load(weights, y * ((width + TILE - 1) // TILE * TILE) + x)


@kernel
def _blur_target_segment(
    channel: int, y0: int, y1: int, target: Any, region: Any, background: Any, window: Any, blurs: Any
) -> None:
    width, height = region[2] - region[0], region[3] - region[1]
    rows = _cleared(2 * (width + 2 * MARGIN))
    ring = scratch(TAPS * 2 * width)
    blurred, places = scratch(2 * width), np.empty(TAPS, np.int32)
    for y in range(y0 - REACH, y1 + REACH):
        if y < region[1] or y >= region[3]:
            _empty_row(2, width, ring, y + TAPS)
        else:
            for x in range(0, width, W):
                wanted = _wanted_at(target, channel, region, region[0] + x, y, background)
                store(rows, MARGIN + x, wanted)
                store(rows, width + 3 * MARGIN + x, wanted * wanted)
            _blur_row(rows, 2, width, window, ring, y + TAPS)
        row = y - REACH
        if row >= y0:
            _blur_columns(ring, 2, width, window, row + TAPS, places, blurred)
            place = (channel * height + row - region[1]) * width
            for x in range(0, width, W):
                mean = load(blurred, x)
                store(blurs, place + x, mean)
                store(blurs, 3 * height * width + place + x, load(blurred, width + x) - mean * mean)


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
    segments = (region[3] - region[1] + SEGMENT - 1) // SEGMENT
    for unit in prange(3 * segments):
        y0 = region[1] + unit // 3 * SEGMENT
        y1 = min(region[3], y0 + SEGMENT)
        _blur_target_segment(unit % 3, y0, y1, target, region, background, window, blurs)


@kernel
def _ssim_row(
    blurred: Any, channel: int, x0: int, y: int, columns: int, width: int, blurs: Any, region: Any, weights: Any,
    shift: Any, slopes: Any, slope_place: int, slope_plane: int,
) -> Any:  # fmt: skip
    """Sum of weight (1 - SSIM) of one row; writes d/dmean, d/dE[x'^2], d/dE[x'y'] of weight SSIM into `slopes`."""
    total = zeros()
    for x in range(0, columns, W):
        mx, my = load(blurred, x), _target_at(blurs, channel, region, x0 + x, y)
        var_x = load(blurred, columns + x) - mx * mx
        var_y = _target_at(blurs, 3 + channel, region, x0 + x, y)
        cov = load(blurred, 2 * columns + x) - mx * my
        mean_x, mean_y = mx + shift, my + shift
        a1, a2 = mean_x * mean_y * 2.0 + C1, cov * 2.0 + C2
        b1, b2 = mean_x * mean_x + mean_y * mean_y + C1, var_x + var_y + C2
        inverse = 1.0 / (b1 * b2)
        ssim = a1 * a2 * inverse
        weight = _weight_at(weights, width, x0 + x, y)
        total = total + weight * (1.0 - ssim)
        d_xy = a1 * inverse * 2.0
        d_xx = 0.0 - ssim * b1 * inverse
        d_mean = (mean_y * a2 - ssim * mean_x * b2) * inverse * 2.0 - my * d_xy - mx * d_xx * 2.0
        store(slopes, slope_place + x, weight * d_mean)
        store(slopes, slope_place + slope_plane + x, weight * d_xx)
        store(slopes, slope_place + 2 * slope_plane + x, weight * d_xy)
    return lane_sum(total)


@kernel
def _compare_segment(
    channel: int, y0: int, y1: int, width: int, height: int, box: Any, frame: Any, target: Any, blurs: Any, region: Any,
    weights: Any, background: Any, window: Any, slopes: Any, sums: Any,
) -> None:  # fmt: skip
    """The loss over the rows y0..y1 of one channel (channel 0 does the alpha as well)."""
    columns = box[2] - box[0]
    plane = columns * (box[3] - box[1])
    rows = _cleared(3 * (columns + 2 * MARGIN))
    ring = scratch(TAPS * 3 * columns)
    blurred, places = scratch(3 * columns), np.empty(TAPS, np.int32)
    frame_plane = (width + TILE - 1) // TILE * TILE * ((height + TILE - 1) // TILE) * TILE
    stride = (width + TILE - 1) // TILE * TILE
    for y in range(y0 - REACH, y1 + REACH):
        if y < box[1] or y >= box[3]:
            _empty_row(3, columns, ring, y + TAPS)
        else:
            l1, l1_alpha = zeros(), zeros()
            for x in range(0, columns, W):
                rendered = _rendered_at(frame, channel, width, height, box[0] + x, y, background)
                wanted = _wanted_at(target, channel, region, box[0] + x, y, background)
                store(rows, MARGIN + x, rendered)
                store(rows, columns + 3 * MARGIN + x, rendered * rendered)
                store(rows, 2 * columns + 5 * MARGIN + x, rendered * wanted)
                weight = _weight_at(weights, width, box[0] + x, y)
                l1 = l1 + absolute(rendered - wanted) * weight
                if channel == 0:
                    alpha = 1.0 - load(frame, 3 * frame_plane + y * stride + box[0] + x)
                    difference = alpha - _target_at(target, 3, region, box[0] + x, y)
                    l1_alpha = l1_alpha + absolute(difference) * weight
            _blur_row(rows, 3, columns, window, ring, y + TAPS)
            if y >= y0 and y < y1:
                sums[L1] += lane_sum(l1)
                sums[ALPHA] += lane_sum(l1_alpha)
        row = y - REACH
        if row >= y0:
            _blur_columns(ring, 3, columns, window, row + TAPS, places, blurred)
            sums[DSSIM] += _ssim_row(
                blurred, channel, box[0], row, columns, width, blurs, region, weights, get(background, channel), slopes,
                channel * 3 * plane + (row - box[1]) * columns, plane,
            )  # fmt: skip


@kernel
def _compare_worker(
    tickets: Any, units: int, width: int, height: int, box: Any, frame: Any, target: Any, blurs: Any, region: Any,
    weights: Any, background: Any, window: Any, slopes: Any, sums: Any,
) -> None:  # fmt: skip
    while True:
        unit = take_ticket(tickets, 0)
        if unit >= units:
            break
        y0 = box[1] + unit // 3 * SEGMENT
        y1 = min(box[3], y0 + SEGMENT)
        _compare_segment(
            unit % 3, y0, y1, width, height, box, frame, target, blurs, region, weights, background, window, slopes,
            sums[unit],
        )  # fmt: skip


@parallel_kernel
def compare(
    threads: int,
    width: int,
    height: int,
    box: Any,  # (4,) int64: everything that is not empty in render or target, and 5 pixels around, within the frame
    frame: Any,  # 4 planes of the rasterizer
    target: Any,  # 4 planes over the region
    blurs: Any,  # of blur_target with the same background
    region: Any,  # (4,) int64, inside the box
    weights: Any,  # a padded plane of pixel weights, zero outside the frame; or empty: all 1
    background: Any,  # (3,)
    window: Any,  # (11,)
    slopes: Any,  # 9 planes over the box: derivatives of SSIM by its blurred inputs, out
    sums: Any,  # (3 * segments of the box, 3) float64 zeros; sums of L1, DSSIM and ALPHA, out
) -> None:
    """The loss."""
    units = 3 * ((box[3] - box[1] + SEGMENT - 1) // SEGMENT)
    tickets = np.zeros(1, np.int32)
    for _ in prange(threads):
        _compare_worker(
            tickets, units, width, height, box, frame, target, blurs, region, weights, background, window, slopes, sums
        )


@kernel
def _sign_times(x: Any, size: Any) -> Any:
    return select(x > 0.0, broadcast(size), select(x < 0.0, broadcast(-size), zeros()))


@kernel
def _differentiate_segment(
    channel: int, y0: int, y1: int, width: int, height: int, box: Any, inner: Any, frame: Any, target: Any, region: Any,
    weights: Any, background: Any, window: Any, slopes: Any, factors: Any, gradient: Any,
) -> None:  # fmt: skip
    """dL/dimage over the rows y0..y1 of one channel; channel 0 also writes dL/dtransmittance of the alpha term."""
    box_columns, columns = box[2] - box[0], inner[2] - inner[0]
    box_plane = box_columns * (box[3] - box[1])
    stride = (width + TILE - 1) // TILE * TILE
    frame_plane = stride * ((height + TILE - 1) // TILE) * TILE
    rows = _cleared(3 * (box_columns + 2 * MARGIN))
    ring = scratch(TAPS * 3 * box_columns)
    blurred, places = scratch(3 * box_columns), np.empty(TAPS, np.int32)
    k_l1, k_ssim, k_alpha = get(factors, L1), -get(factors, DSSIM), -get(factors, ALPHA)
    for y in range(y0 - REACH, y1 + REACH):
        if y < box[1] or y >= box[3]:
            _empty_row(3, box_columns, ring, y + TAPS)
        else:
            for quantity in range(3):
                source = (channel * 3 + quantity) * box_plane + (y - box[1]) * box_columns
                place = quantity * (box_columns + 2 * MARGIN) + MARGIN
                for x in range(0, box_columns, W):
                    store(rows, place + x, load(slopes, source + x))
            _blur_row(rows, 3, box_columns, window, ring, y + TAPS)
        row = y - REACH
        if row < y0:
            continue
        _blur_columns(ring, 3, box_columns, window, row + TAPS, places, blurred)
        for x in range(inner[0], inner[0] + columns, W):
            rendered = _rendered_at(frame, channel, width, height, x, row, background)
            wanted = _wanted_at(target, channel, region, x, row, background)
            weight = _weight_at(weights, width, x, row)
            i = x - box[0]
            d_ssim = load(blurred, i) + rendered * load(blurred, box_columns + i) * 2.0
            d_ssim = d_ssim + wanted * load(blurred, 2 * box_columns + i)
            place = row * stride + x
            value = _sign_times(rendered - wanted, k_l1) * weight + d_ssim * k_ssim
            store(gradient, channel * frame_plane + place, value)
            if channel == 0:
                difference = 1.0 - load(frame, 3 * frame_plane + place) - _target_at(target, 3, region, x, row)
                store(gradient, 3 * frame_plane + place, _sign_times(difference, k_alpha) * weight)


@kernel
def _differentiate_worker(
    tickets: Any, units: int, width: int, height: int, box: Any, inner: Any, frame: Any, target: Any, region: Any,
    weights: Any, background: Any, window: Any, slopes: Any, factors: Any, gradient: Any,
) -> None:  # fmt: skip
    while True:
        unit = take_ticket(tickets, 0)
        if unit >= units:
            break
        y0 = inner[1] + unit // 3 * SEGMENT
        y1 = min(inner[3], y0 + SEGMENT)
        _differentiate_segment(
            unit % 3, y0, y1, width, height, box, inner, frame, target, region, weights, background, window, slopes,
            factors, gradient,
        )  # fmt: skip


@parallel_kernel
def differentiate(
    threads: int,
    width: int,
    height: int,
    box: Any,  # of compare
    inner: Any,  # (4,) int64 box inside `box` where the gradient is wanted
    frame: Any,
    target: Any,
    region: Any,
    weights: Any,
    background: Any,
    window: Any,
    slopes: Any,  # of compare
    factors: Any,  # (3,) float32: what the sums of L1, DSSIM and ALPHA are multiplied by in the loss
    gradient: Any,  # 4 planes: dL/dimage, dL/dtransmittance of the alpha term; out
) -> None:
    """The gradient of the loss."""
    units = 3 * ((inner[3] - inner[1] + SEGMENT - 1) // SEGMENT)
    tickets = np.zeros(1, np.int32)
    for _ in prange(threads):
        _differentiate_worker(
            tickets, units, width, height, box, inner, frame, target, region, weights, background, window, slopes,
            factors, gradient,
        )  # fmt: skip


__all__ = ["ALPHA", "DSSIM", "L1", "blur_target", "compare", "differentiate", "gaussian_window"]
