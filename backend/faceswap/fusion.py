# SPDX-License-Identifier: Apache-2.0
"""Several photos of one face as one: tones as the mean of all, detail from the photo that sees a place best.

A plain mean would blur: no two photos are laid over the face so exactly that pores and lashes meet. So each photo is
split in two bands (Burt and Adelson 1983); the broad one, in which photos differ by what is left of their light, is
averaged, the fine one is taken whole from one photo, with soft borders between them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
import cv2
import numpy as np
import numpy.typing as npt

from .atlas import Atlas

Floats = npt.NDArray[Any]
_BROAD = 0.012  # of the texture's width: standard deviation that parts the bands
_BORDER = 0.004  # of the texture's width: how softly one photo's detail goes over into another's
_ENOUGH = 20_000  # texels that settle a median
_TOGETHER = 50  # texels that two photos must share for their exposures to be compared


@attrs.frozen(eq=False)
class Layer:
    """One photo on the texels: albedo (T, 3) linear, trust (T,) 0..1: how far it may be used at all, quality (T,) from
    0: how well it sees them, to be compared with other photos'."""

    albedo: npt.NDArray[np.float32]
    trust: npt.NDArray[np.float32]
    quality: npt.NDArray[np.float32]


def fuse(
    layers: Sequence[Layer], core: npt.NDArray[np.bool_], atlas: Atlas, leading: int = 0
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Albedo (T, 3) and trust (T,) of all photos together, in the tone of the `leading` one; core (T,) is plain
    skin. A face that is turned away shows more gloss, so its photo should not lead."""
    if len(layers) == 1:
        return layers[0].albedo, layers[0].trust
    gains = _exposures(layers, core, leading)
    albedos = [layer.albedo * gain for layer, gain in zip(layers, gains, strict=True)]
    broad = [_broad(a, layer.trust, atlas) for a, layer in zip(albedos, layers, strict=True)]
    usable = np.stack([layer.trust * layer.quality for layer in layers])
    tone = _mean(broad, usable**2)
    detail = _mean([a - b for a, b in zip(albedos, broad, strict=True)], _best(usable, atlas))
    trust = np.max([layer.trust for layer in layers], axis=0)
    return np.clip(tone + detail, 0, 1).astype(np.float32), trust


def _exposures(layers: Sequence[Layer], core: npt.NDArray[np.bool_], leading: int) -> Floats:
    """(P, 3) factors that bring all photos to the leading one's tone: of every two photos that see the same skin the
    medians are compared, and all the comparisons are met as well as can be (least squares of logarithms)."""
    count = len(layers)
    rows, values = [], []
    for i in range(count):
        for j in range(i):
            both = np.flatnonzero((layers[i].trust > 0.5) & (layers[j].trust > 0.5) & core)
            if len(both) < _TOGETHER:
                continue
            weight = np.sqrt(len(both))
            both = both[:: len(both) // _ENOUGH + 1]
            ratio = np.maximum(layers[j].albedo[both], 1e-3) / np.maximum(layers[i].albedo[both], 1e-3)
            row = np.zeros(count)
            row[i], row[j] = 1, -1
            rows.append(weight * row)
            values.append(weight * np.log(np.median(ratio, axis=0)))
    # The leading photo settles the tone; a photo that shares no skin with the others stays as it is.
    rows += [1e6 * np.eye(count)[leading], *(1e-3 * np.eye(count))]
    values += [np.zeros(3)] * (count + 1)
    return np.exp(np.linalg.lstsq(np.array(rows), np.array(values), rcond=None)[0])


def _broad(albedo: Floats, trust: Floats, atlas: Atlas) -> Floats:
    """(T, 3) the albedo without its detail, from trusted texels only."""
    image = np.zeros((atlas.height, atlas.width, 4), np.float32)
    image[atlas.rows, atlas.columns, :3] = albedo * trust[:, None]
    image[atlas.rows, atlas.columns, 3] = trust
    soft = atlas.of_image(cv2.GaussianBlur(image, (0, 0), max(1.0, _BROAD * atlas.width)))
    return np.where(soft[:, 3:] > 1e-4, soft[:, :3] / np.maximum(soft[:, 3:], 1e-4), albedo)


def _best(usable: Floats, atlas: Atlas) -> Floats:  # (P, T)
    """(P, T) shares of the photos in the detail: the best one's 1, but for soft borders."""
    best = usable.argmax(0)
    image = np.zeros((atlas.height, atlas.width, len(usable)), np.float32)
    image[atlas.rows, atlas.columns, best] = 1
    soft = cv2.GaussianBlur(image, (0, 0), max(0.5, _BORDER * atlas.width))
    return atlas.of_image(soft.reshape(image.shape)).T * (usable > 0)


def _mean(values: Sequence[Floats], weights: Floats) -> Floats:  # P times (T, 3), (P, T)
    total = sum(w[:, None] * v for w, v in zip(weights, values, strict=True))
    return total / np.maximum(weights.sum(0), 1e-9)[:, None]
