# SPDX-License-Identifier: Apache-2.0
"""Skin tones: statistics of skin, and maps that lead from one skin's to another's.

`mkl`: the optimal transport between two Gaussians, x' = m1 + (x - m0) T with T = S0^-1/2 (S0^1/2 S1 S0^1/2)^1/2 S0^-1/2
(Pitié and Kokaram 2007, the linear Monge-Kantorovitch map). `reinhard`: mean and deviation per channel in CIE Lab
(Reinhard et al. 2001). `histogram`, `idt`, `sot`: of whole distributions, see transport.py. All are given encoded sRGB
and are held back from amplifying or flattening a skin's texture.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import cv2
import numpy as np
import numpy.typing as npt

from interchange.colour import linear_from_srgb, srgb_from_linear

from .transport import histogram_map, idt_map, sot_map

Floats = npt.NDArray[Any]
ColourMap = Callable[[Floats], Floats]
Transport = Callable[[Floats, Floats, Floats], Floats]
METHODS = ("mkl", "reinhard", "histogram", "idt", "sot", "none")
_GAIN = (0.6, 1.6)  # how far the spread of a skin's colours may change
_ENOUGH = 40_000  # colours that settle the statistics of a skin
_SAMPLES = 4000  # colours that settle a distribution
_NOISE = (2.0 / 255) ** 2  # added to covariances: a skin of one flat colour has none


@attrs.frozen(eq=False)
class SkinStatistics:
    """Mean (3,) and covariance (3, 3) of encoded sRGB 0..1, the same in Lab (mean and deviation, (3,) each), and some
    of the colours themselves, samples (N, 3)."""

    mean: npt.NDArray[np.float64]
    covariance: npt.NDArray[np.float64]
    lab_mean: npt.NDArray[np.float64]
    lab_deviation: npt.NDArray[np.float64]
    count: int
    samples: npt.NDArray[np.float64]


Method = Callable[[SkinStatistics, SkinStatistics], ColourMap]


def skin_statistics(colours: Floats, weight: Floats | None = None) -> SkinStatistics:  # (N, 3) sRGB, (N,)
    """Robust statistics: what lies far from the bulk (hairs, nostrils, lips' edge) is left out, three rounds.

    At least one colour must have a weight.
    """
    weight = np.ones(len(colours)) if weight is None else np.asarray(weight, np.float64)
    chosen = np.flatnonzero(weight > 0)
    chosen = chosen[:: len(chosen) // _ENOUGH + 1]
    colours, weight = np.asarray(colours[chosen], np.float64), weight[chosen]
    centre = np.median(colours, axis=0)
    keep = weight.copy()
    for _ in range(3):
        distance = np.linalg.norm(colours - centre, axis=1)
        scale = max(float(np.median(distance[keep > 0])), 0.01)
        keep = weight * (distance < 3.5 * scale)
        centre = (colours * keep[:, None]).sum(0) / keep.sum()
    away = colours - centre
    covariance = (away * keep[:, None]).T @ away / keep.sum()
    kept = colours[keep > 0]
    lab = _lab(kept)
    return SkinStatistics(
        centre, covariance, lab.mean(0), lab.std(0), len(kept), kept[:: len(kept) // _SAMPLES + 1]
    )


def colour_map(start: SkinStatistics, goal: SkinStatistics, method: str = "mkl", amount: float = 1.0) -> ColourMap:
    """The map (N, 3) sRGB -> (N, 3) sRGB that moves `amount` (0..1) of the way from one skin to the other.

    For `mkl` that is the geodesic between both Gaussians (McCann's interpolation), so two maps that meet in the middle
    meet exactly.
    """
    if method == "none" or amount == 0:
        return lambda colours: colours
    whole = _METHODS[method](start, goal)

    def partly(colours: Floats) -> Floats:
        return np.clip(colours + amount * (whole(colours) - colours), 0, 1).astype(np.float32)

    return partly


def face_map(start: SkinStatistics, goal: SkinStatistics, method: str = "mkl", amount: float = 1.0) -> ColourMap:
    """Like `colour_map`, for whole faces: what is not skin (brows, lips, nostrils) is brought along by one gain a
    channel in linear light, which keeps dark dark. A map made for skin would lead it to colours that no face has."""
    skin = colour_map(start, goal, method, amount)
    if method == "none" or amount == 0:
        return skin
    gain = (linear_from_srgb(goal.mean) / np.maximum(linear_from_srgb(start.mean), 1e-4)) ** amount

    def moved(colours: Floats) -> Floats:
        scaled = srgb_from_linear(linear_from_srgb(np.asarray(colours, np.float32)) * gain)
        share = membership(colours, start)[:, None]
        return np.clip(scaled + share * (skin(colours) - scaled), 0, 1).astype(np.float32)

    return moved


def membership(colours: Floats, statistics: SkinStatistics) -> npt.NDArray[np.float32]:  # (N, 3)
    """(N,) 0..1: how much a colour belongs to this skin; soft, 1 within three deviations, 0 beyond seven."""
    spread = statistics.covariance + (6 / 255) ** 2 * np.eye(3)
    away = np.asarray(colours, np.float64) - statistics.mean
    distance = np.sqrt(np.maximum((away * np.linalg.solve(spread, away.T).T).sum(1), 0))
    return np.clip((7 - distance) / 4, 0, 1).astype(np.float32)


def _root(matrix: Floats, power: float) -> Floats:
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.maximum(values, 1e-12) ** power) @ vectors.T


def _transport(start: Floats, goal: Floats) -> Floats:  # (3, 3) covariances
    half, inverse = _root(start, 0.5), _root(start, -0.5)
    return inverse @ _root(half @ goal @ half, 0.5) @ inverse


def _mkl(start: SkinStatistics, goal: SkinStatistics) -> ColourMap:
    noise = _NOISE * np.eye(3)
    transport = _transport(start.covariance + noise, goal.covariance + noise)
    values, vectors = np.linalg.eigh(transport)
    transport = (vectors * np.clip(values, *_GAIN)) @ vectors.T
    return lambda colours: (colours - start.mean) @ transport + goal.mean


def _reinhard(start: SkinStatistics, goal: SkinStatistics) -> ColourMap:
    noise = 0.8  # Lab units, the same two grey levels
    gain = np.clip((goal.lab_deviation + noise) / (start.lab_deviation + noise), *_GAIN)

    def moved(colours: Floats) -> Floats:
        lab = (_lab(colours) - start.lab_mean) * gain + goal.lab_mean
        return cv2.cvtColor(lab[None].astype(np.float32), cv2.COLOR_Lab2RGB)[0]

    return moved


def _histogram(start: SkinStatistics, goal: SkinStatistics) -> ColourMap:
    return lambda colours: histogram_map(start.samples, goal.samples, colours)


def _after_mkl(move: Transport) -> Method:
    """What `mkl` leaves is moved on. It alone says how far a texture's spread may change: the goal is brought to it."""

    def method(start: SkinStatistics, goal: SkinStatistics) -> ColourMap:
        first = _mkl(start, goal)
        begun = first(start.samples)
        noise = _NOISE * np.eye(3)
        kept = _transport(np.cov(goal.samples.T) + noise, np.cov(begun.T) + noise)
        aims = (goal.samples - goal.samples.mean(0)) @ kept + goal.mean
        return lambda colours: move(begun, aims, first(colours))

    return method


_METHODS: dict[str, Method] = {
    "mkl": _mkl, "reinhard": _reinhard, "histogram": _histogram, "idt": _after_mkl(idt_map),
    "sot": _after_mkl(sot_map),
}  # fmt: skip


def _lab(colours: Floats) -> Floats:
    return cv2.cvtColor(np.asarray(colours, np.float32)[None], cv2.COLOR_RGB2Lab)[0].astype(np.float64)
