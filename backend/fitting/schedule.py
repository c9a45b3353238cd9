# SPDX-License-Identifier: Apache-2.0
"""What changes in the course of a run: learning rates, order of views, background.

All are functions of the step alone, so a resumed run needs no random generator's state: it goes on exactly as the
undisturbed one would.
"""

from __future__ import annotations

import functools

import numpy as np

from .settings import FitSettings

MEANS_RATE = 0.06
"""First rate of the means in units of the distance between neighbouring splats: those on a mesh need not go far."""
QUATS_RATE = 1.8e-2
LOG_SCALES_RATE = 6e-2
OPACITY_RATE = 0.24
COLOUR_RATE = 3.6e-2
SH_REST_RATIO = 0.2
"""Rate of the higher SH bands relative to the constant one; 3DGS has 0.05, for runs forty times as long."""
USUAL_STEPS, LENGTH_POWER = 900, 0.45
"""Runs longer than this have lower rates, by this power of the length: 0.7 of them at 2000 steps, 0.34 at 10,000."""
FINAL = 0.1
"""What the rates have fallen to at the end of the run, exponentially."""
MEANS_FINAL = 0.03
SH_START = 0.1
"""Part of the run after which higher SH bands begin to move, so that the base colour settles first."""
FULL_SIZE, COARSER = 0.25, 3.0
"""Part of the run after which pictures have their full size, and how much earlier each coarser size ends."""
SH_GROWTH = 0.15
"""Part of the run after which the degree of the spherical harmonics rises by one, if it began lower."""
_PAGE = 64  # steps whose backgrounds are drawn together: a GPU's step is shorter than the making of a generator
DENSIFY_BEGIN, DENSIFY_END = 0.05, 0.6
"""Part of the run in which splats are added or moved."""


def learning_rates(settings: FitSettings, reach: float, fraction: float, steps: int) -> dict[str, float]:
    """Rates per parameter group at `fraction` 0..1 of a run of `steps`; `reach`: metres, as in `Start`.

    First values: measured as best for up to USUAL_STEPS on heads that start from their mesh. Longer runs begin lower:
    3DGS, which runs forty times as long, has about a tenth of them.
    """
    scale = settings.rate_scale * min(1.0, (USUAL_STEPS / max(steps, 1)) ** LENGTH_POWER)
    fall = scale * FINAL**fraction
    colour = COLOUR_RATE * fall
    return {
        "means": MEANS_RATE * reach * scale * MEANS_FINAL**fraction,
        "quats": QUATS_RATE * fall,
        "log_scales": LOG_SCALES_RATE * fall,
        "opacity_logits": OPACITY_RATE * fall,
        "sh_base": colour,
        "sh_rest": colour * SH_REST_RATIO if fraction >= SH_START else 0.0,
    }


def level_at(fraction: float, settings: FitSettings) -> int:
    """By how many halvings pictures are smaller at `fraction` 0..1 of the run: full size comes after FULL_SIZE."""
    level = 0
    while level < settings.coarse_levels and fraction < FULL_SIZE / COARSER**level:
        level += 1
    return level


def sh_degree_at(fraction: float, settings: FitSettings) -> int:
    """The degree of the spherical harmonics at `fraction` 0..1 of the run."""
    start = settings.sh_degree if settings.sh_start_degree is None else settings.sh_start_degree
    return min(settings.sh_degree, start + int(fraction / SH_GROWTH))


def settled_after(settings: FitSettings) -> float:
    """Part of the run before which a loss that does not fall means nothing: pictures, bands or splats still change."""
    start = settings.sh_degree if settings.sh_start_degree is None else settings.sh_start_degree
    parts = [
        FULL_SIZE if settings.coarse_levels else 0.0,
        SH_GROWTH * max(0, settings.sh_degree - start),
        DENSIFY_END if settings.densify != "none" else 0.0,
    ]
    return max(parts)


def view_index(iteration: int, view_count: int, seed: int) -> int:
    """Which view step `iteration` (from 1) uses: every view once an epoch, each epoch in a new order."""
    epoch, place = divmod(iteration - 1, view_count)
    return _order(epoch, view_count, seed)[place]


@functools.lru_cache(maxsize=4)
def _order(epoch: int, view_count: int, seed: int) -> list[int]:
    return [int(view) for view in np.random.default_rng([seed, 1, epoch]).permutation(view_count)]


def background(iteration: int, settings: FitSettings) -> tuple[float, float, float]:
    """sRGB 0..1 that step `iteration` puts behind picture and render: random, or black if not wanted."""
    if not settings.random_background:
        return (0.0, 0.0, 0.0)
    page, place = divmod(iteration, _PAGE)
    return _backgrounds(page, settings.seed)[place]


@functools.lru_cache(maxsize=4)
def _backgrounds(page: int, seed: int) -> list[tuple[float, float, float]]:
    colours = np.random.default_rng([seed, 2, page]).random((_PAGE, 3))
    return [(float(red), float(green), float(blue)) for red, green, blue in colours]
