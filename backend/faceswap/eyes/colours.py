# SPDX-License-Identifier: Apache-2.0
"""From the performer's iris pixels to the avatar's iris: one colour of all eyes and photos, on the avatar's fibres."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from interchange.colour import linear_from_srgb, srgb_from_linear

from .avatar import EyeTexture
from .photo import MeasuredIris

Floats = npt.NDArray[Any]
_BRIGHTEST = 1.7  # times the iris' usual lightness: what fibres may reach
_LEAST_CHROMA = 0.3
_PUPIL_SHARE = 0.2  # of the iris' lightness: the pupil is darker than that


def joined_colour(irises: Sequence[MeasuredIris]) -> npt.NDArray[np.float32]:
    """(3,) Lab: the weighted median of all eyes' pixels, by channel; each eye counts as its weight, however large."""
    labs = [lab_of(srgb_from_linear(iris.albedo)) for iris in irises]
    weights = np.concatenate([np.full(len(lab), i.weight / len(lab)) for lab, i in zip(labs, irises, strict=True)])
    pixels = np.concatenate(labs)
    return np.array([_weighted_median(pixels[:, c], weights) for c in range(3)], np.float32)


def recoloured(texture: EyeTexture, goal: Floats, strength: float) -> npt.NDArray[np.uint8]:
    """The eyes' texture with irises of the colour `goal` (3,) Lab. Lightness keeps its proportions within the iris,
    hues their differences; pupil, white and all else keep their bits."""
    encoded = texture.pixels.astype(np.float32) / 255
    lab, usual = lab_of(encoded), usual_colour(texture)
    new = _moved(lab, usual, goal)
    rim = lab_of(srgb_from_linear(_moved_rim(linear_from_srgb(encoded), texture, usual, goal)))
    new += texture.rim[..., None] * (rim - new)
    # Fibres that reach into the pupil's circle are iris; what is as dark as the pupil is not.
    off_pupil = np.clip(lab[..., 0] / (_PUPIL_SHARE * max(float(usual[0]), 1.0)) - 0.5, 0, 1)
    amount = (strength * texture.ring * off_pupil)[..., None]
    changed = cv2.cvtColor(lab + amount * (new - lab), cv2.COLOR_Lab2RGB)
    return np.where(amount > 0, np.rint(np.clip(changed, 0, 1) * 255).astype(np.uint8), texture.pixels)


def _moved(lab: Floats, usual: Floats, goal: Floats) -> npt.NDArray[np.float32]:
    """Lab colours (..., 3) of an iris whose usual one is to become `goal`."""
    chroma = [float(np.hypot(*colour[1:])) for colour in (goal, usual)]
    kept = float(np.clip(chroma[0] / max(chroma[1], 1e-3), _LEAST_CHROMA, 1))
    lightness = goal[0] * np.clip(lab[..., 0] / max(float(usual[0]), 1.0), 0, _BRIGHTEST)
    # What is darker than usual is less colourful too: Lab's a and b of a dimmed colour shrink as its lightness does.
    dimmed = np.clip(lightness / max(float(goal[0]), 1.0), 0, 1)[..., None]
    hue = dimmed * (goal[1:] + kept * (lab[..., 1:] - usual[1:]))
    return np.concatenate([np.clip(lightness, 0, 98)[..., None], hue], axis=-1).astype(np.float32)


def _moved_rim(linear: Floats, texture: EyeTexture, usual: Floats, goal: Floats) -> npt.NDArray[np.float32]:
    """(h, w, 3) linear, for the iris' outer rim, whose texels are the iris' edge mixed with the white: only the edge's
    share of each is moved, or the mixed ones would become a halo."""
    if not texture.edge.any() or not texture.white.any():
        return np.asarray(linear, np.float32)
    edge, white = (np.median(linear[where], axis=0) for where in (texture.edge, texture.white))
    moved = encoded_of(_moved(lab_of(srgb_from_linear(edge)), usual, goal))
    shade = linear.mean(-1)
    share = np.clip((white.mean() - shade) / max(float(white.mean() - edge.mean()), 0.02), 0, 1)
    share *= np.clip(shade / max(float(edge.mean()), 1e-4), 0, 1)  # what is darker than the edge has less to move
    return np.maximum(linear + share[..., None] * (linear_from_srgb(moved) - edge), 0).astype(np.float32)


def usual_colour(texture: EyeTexture) -> npt.NDArray[np.float32]:
    """(3,) Lab, median of the avatar's irises."""
    return np.median(lab_of(texture.pixels[texture.band] / np.float32(255)), axis=0).astype(np.float32)


def usual_white(texture: EyeTexture) -> npt.NDArray[np.float64]:
    """(3,) linear, median of the brighter half of the white around the irises."""
    linear = linear_from_srgb(texture.pixels[texture.white] / np.float32(255))
    shade = linear.mean(-1)
    return np.median(linear[shade >= np.median(shade)], axis=0).astype(np.float64)


def lab_of(encoded: Floats) -> npt.NDArray[np.float32]:  # (..., 3) sRGB 0..1
    """(..., 3) CIE Lab under D65, L 0..100."""
    flat = np.ascontiguousarray(encoded, np.float32).reshape(1, -1, 3)
    return np.asarray(cv2.cvtColor(flat, cv2.COLOR_RGB2Lab), np.float32).reshape(encoded.shape)


def encoded_of(lab: Floats) -> npt.NDArray[np.float32]:  # (3,)
    """(3,) sRGB 0..1 of one Lab colour."""
    flat = np.asarray(lab, np.float32).reshape(1, 1, 3)
    return np.clip(cv2.cvtColor(flat, cv2.COLOR_Lab2RGB), 0, 1).reshape(3).astype(np.float32)


def _weighted_median(values: Floats, weights: Floats) -> float:
    order = np.argsort(values)
    summed = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(summed, summed[-1] / 2)])
