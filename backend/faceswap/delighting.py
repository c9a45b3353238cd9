# SPDX-License-Identifier: Apache-2.0
"""Taking a photo's light off the skin: what is left is an estimate of albedo.

On skin of one colour, radiance is albedo times a smooth function of the normal: nine spherical harmonics hold 98 % of
any distant light's irradiance (Ramamoorthi and Hanrahan 2001). They are fitted robustly, so that brows, lips, moles,
highlights and cast shadows do not pull. Albedo and light share a factor that no photo can tell apart; the convention
that settles it: *a white card that faces the key light reads 1.0*, in each channel: the 95th percentile of the shading
over the visible face is set to 1. An exposure other than that makes the skin lighter or darker by as much.
"""

from __future__ import annotations

import attrs
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]
_LUMINANCE = np.array([0.2126, 0.7152, 0.0722])
_FLOOR = 0.08  # of the brightest: light never gets darker than that, or noise in deep shadow would be blown up
_ROUNDS = 15
_HUES = 0.6  # natural logarithm of green or blue over red: skin beyond is none
_RIDGE = 1e-4 * np.array([0.0, 1, 1, 1, 10, 10, 10, 10, 10])


@attrs.frozen(eq=False)
class Shading:
    """coefficients: (9, 3) of the spherical harmonics (polynomial form, see `harmonics`), linear RGB, scaled so that
    the brightest skin reads 1. exposure: (3,) what the fit was divided by, the skin's own colour among it. outliers:
    share of the skin that the fit left aside."""

    coefficients: npt.NDArray[np.float64]
    exposure: npt.NDArray[np.float64]
    outliers: float

    def on(self, normals: Floats) -> npt.NDArray[np.float32]:  # (T, 3) unit
        """(T, 3) light on a white surface."""
        return np.maximum(harmonics(normals) @ self.coefficients, _FLOOR).astype(np.float32)


def harmonics(normals: Floats) -> npt.NDArray[np.float64]:  # (T, 3) unit
    """(T, 9) polynomials 1, y, z, x, xy, yz, 3z²-1, xz, x²-y²: the harmonics to degree 2 up to constant factors."""
    x, y, z = np.asarray(normals, np.float64).T
    return np.stack([np.ones_like(x), y, z, x, x * y, y * z, 3 * z * z - 1, x * z, x * x - y * y], axis=1)


def fit_shading(colour: Floats, normals: Floats, weight: Floats) -> Shading:  # (T, 3), (T, 3), (T,)
    """Fit the light on texels of skin (weight 0 elsewhere): Tukey's biweight, scaled by the median residual.

    Needs a few hundred texels with weight; raises ValueError with fewer than 50.
    """
    chosen = np.flatnonzero(weight > 1e-3)
    if len(chosen) < 50:
        raise ValueError("too little visible skin to fit a light")
    if len(chosen) > 60_000:  # more adds nothing to nine unknowns
        chosen = chosen[:: len(chosen) // 60_000 + 1]
    basis, values = harmonics(normals[chosen]), np.asarray(colour[chosen], np.float64)
    prior, robust = np.asarray(weight[chosen], np.float64), np.ones(len(chosen))
    prior *= _of_one_hue(values, prior)
    coefficients = np.zeros((9, 3))
    for _ in range(_ROUNDS):
        share = prior * robust
        normal = basis.T @ (basis * share[:, None]) + np.diag(_RIDGE) * share.sum()
        coefficients = np.linalg.solve(normal, basis.T @ (values * share[:, None]))
        fitted = np.maximum(basis @ coefficients, 1e-4)
        # Relative errors: a dark patch in the shade errs as much as one in the light.
        error = (values / fitted) @ _LUMINANCE - 1
        scale = max(1.4826 * float(np.median(np.abs(error - np.median(error)))), 0.02)
        robust = np.clip(1 - (error / (4 * scale)) ** 2, 0, 1) ** 2
        # Noise grows with the light, so what is dark counts for more.
        brightness = fitted @ _LUMINANCE
        robust /= np.maximum(brightness, 0.05 * brightness.max())
    inlying = np.abs(error) < 4 * scale
    exposure = np.percentile(fitted[inlying], 95, axis=0)
    return Shading(coefficients / exposure, exposure, float(1 - inlying.mean()))


def _of_one_hue(colour: Floats, weight: Floats) -> npt.NDArray[np.float64]:  # (T, 3), (T,)
    """(T,) 0..1: how near each colour's hue is to the usual one. Light changes brightness far more than hue; hair that
    falls over a cheek has another hue, and taken for skin it would be taken for shade."""
    logs = np.log(np.maximum(colour, 1e-4))
    hue = logs[:, 1:] - logs[:, :1]
    order = np.argsort(hue, axis=0)
    share = np.cumsum(weight[order], axis=0) / weight.sum()
    usual = np.array([hue[order[np.searchsorted(share[:, c], 0.5), c], c] for c in range(2)])
    away = np.abs(hue - usual).max(1)
    return np.clip(1 - (away / _HUES) ** 2, 0.001, 1) ** 2


def remove_light(
    colour: Floats, normals: Floats, shading: Shading, gloss: float | Floats = 0.0
) -> npt.NDArray[np.float32]:  # (T, 3), (T, 3) unit
    """(T, 3) albedo estimate, linear, from 0; above 1 where the fitted light is too dark; gloss as below."""
    return without_gloss(colour / shading.on(normals), gloss)


def without_gloss(reflectance: Floats, gloss: float | Floats) -> npt.NDArray[np.float32]:  # (T, 3), () or (T,)
    """Reflectance (T, 3) without `gloss`, the colourless share of light that the surface itself reflects (Fresnel's
    factor at normal incidence is 0.020 to 0.028 for skin's indices of 1.33 to 1.4). On dark skin it is as much as half
    of what a photo shows; it is taken off, but never more than three quarters of a channel."""
    taken = np.asarray(gloss)[..., None]
    return np.maximum(reflectance - taken, 0.25 * reflectance).astype(np.float32)
