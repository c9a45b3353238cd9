# SPDX-License-Identifier: Apache-2.0
"""Moving one cloud of colours onto another one, of whatever form: maps that are found on samples and hold everywhere.

`histogram`: each channel for itself. `idt`: the same along the axes of many random turns, one after the other, which
leads to the whole distribution (Pitié, Kokaram and Dahyot 2007). `sot`: along many directions at once, a little each
time (sliced optimal transport, Bonneel et al. 2015). What they find is laid down on a lattice of colours and smoothed
there, in place of Pitié's regraining: neighbouring colours stay neighbours, so that grain and banding are not blown up.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[Any]
_QUANTILES = (np.arange(64) + 0.5) / 64
_SLOPES = (0.6, 1.6)  # how far a channel's spread may change
_LATTICE = 24  # colours a side
_MARGIN = 0.04  # around the samples
_SMOOTH = 1.2  # lattice steps
_TURNS = 16
_STEPS, _DIRECTIONS = 10, 24


def histogram_map(start: Floats, goal: Floats, colours: Floats) -> Floats:  # (N, C), (M, C), (K, C)
    """(K, C) colours with each channel moved as start's distribution goes over into goal's."""
    return np.stack([_match(start[:, c], goal[:, c], colours[:, c]) for c in range(start.shape[1])], axis=1)


def idt_map(start: Floats, goal: Floats, colours: Floats) -> Floats:  # (N, 3), (M, 3), (K, 3) encoded 0..1
    """(K, 3) by iterated turns."""
    return _by_lattice(start, colours, lambda lattice: _iterate(start, goal, lattice))


def sot_map(start: Floats, goal: Floats, colours: Floats) -> Floats:  # (N, 3), (M, 3), (K, 3) encoded 0..1
    """(K, 3) by slices."""
    return _by_lattice(start, colours, lambda lattice: _slice(start, goal, lattice))


def _match(start: Floats, goal: Floats, values: Floats) -> Floats:  # (N,), (M,), (K,)
    """(K,) values moved along quantiles, steepness kept within bounds; beyond the ends the map goes on straight."""
    places, goals = np.quantile(start, _QUANTILES), np.quantile(goal, _QUANTILES)
    step = np.maximum(np.diff(places), 1e-6)
    climb = np.clip(np.diff(goals) / step, *_SLOPES) * step
    curve = np.concatenate([[0.0], np.cumsum(climb)])
    along = places[0] + np.concatenate([[0.0], np.cumsum(step)])
    moved = [
        np.interp(v, along, curve) + np.minimum(v - along[0], 0) + np.maximum(v - along[-1], 0) for v in (start, values)
    ]
    return moved[1] + goal.mean() - moved[0].mean()


def _iterate(start: Floats, goal: Floats, colours: Floats) -> Floats:
    generator = np.random.default_rng(0)
    for _ in range(_TURNS):
        turn = np.linalg.qr(generator.normal(size=(3, 3)))[0]
        aims = goal @ turn
        # Colours first: their map is read off the samples before these move.
        colours = histogram_map(start @ turn, aims, colours @ turn) @ turn.T
        start = histogram_map(start @ turn, aims, start @ turn) @ turn.T
    return colours


def _slice(start: Floats, goal: Floats, colours: Floats) -> Floats:
    generator = np.random.default_rng(0)
    for _ in range(_STEPS):
        ways = generator.normal(size=(_DIRECTIONS, 3))
        ways /= np.linalg.norm(ways, axis=1, keepdims=True)
        step_start, step_colours = np.zeros_like(start), np.zeros_like(colours)
        for way in ways:
            places, aims, asked = start @ way, goal @ way, colours @ way
            step_start += (_match(places, aims, places) - places)[:, None] * way
            step_colours += (_match(places, aims, asked) - asked)[:, None] * way
        # Directions all around share a move among three axes.
        start, colours = start + step_start * (3 / _DIRECTIONS), colours + step_colours * (3 / _DIRECTIONS)
    return colours


def _by_lattice(start: Floats, colours: Floats, move: Callable[[Floats], Floats]) -> Floats:
    """(K, 3) colours plus a displacement that is known on a lattice around the samples and smooth between them; beyond
    it goes on as at the lattice's edge."""
    from scipy import ndimage  # here: settings import this room, and the command line shall start at once

    low, high = start.min(0) - _MARGIN, start.max(0) + _MARGIN
    axes = [np.linspace(a, b, _LATTICE) for a, b in zip(low, high, strict=True)]
    lattice = np.stack(np.meshgrid(*axes, indexing="ij"), -1)
    shift = (move(lattice.reshape(-1, 3)) - lattice.reshape(-1, 3)).reshape(lattice.shape)
    shift = ndimage.gaussian_filter(shift, (_SMOOTH, _SMOOTH, _SMOOTH, 0), mode="nearest")
    at = ((colours - low) / (high - low) * (_LATTICE - 1)).T
    moved = [ndimage.map_coordinates(shift[..., c], at, order=1, mode="nearest") for c in range(3)]
    return colours + np.stack(moved, axis=1)
