# SPDX-License-Identifier: Apache-2.0
"""Lenses of real cameras, and pictures freed of their distortion.

The distortion is OpenCV's rational model, which the perspective models of COLMAP and nerfstudio are cases of. With
x, y = X/Z, Y/Z and r2 = x^2 + y^2:

    x' = x (1 + k1 r2 + k2 r2^2 + k3 r2^3) / (1 + k4 r2 + k5 r2^2 + k6 r2^3) + 2 p1 x y + p2 (r2 + 2 x^2)
    y' = y (1 + k1 r2 + k2 r2^2 + k3 r2^3) / (1 + k4 r2 + k5 r2^2 + k6 r2^3) + p1 (r2 + 2 y^2) + 2 p2 x y

The splat engines know pinholes alone, so pictures are resampled once, when they are read.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
from attrs import evolve, frozen

from interchange.errors import InputError

Image = npt.NDArray[np.float32]
Matrix = npt.NDArray[np.float64]

_HALF_PIXEL = np.array([[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]])
"""Our pixel centres lie at +0.5, as COLMAP's and nerfstudio's do; OpenCV's lie at whole numbers."""
MAX_ASPECT_ERROR = 0.01
"""How far the sides' ratio of a picture may be from its camera's: what rounding in a scaled-down picture makes."""

FARTHEST = 1e12
"""Units that a camera may stand from the origin; more is damage, and overflows."""
MAX_BEYOND = 0.05
"""How far, in sides of the picture, an undistorted picture may look past the distorted one's edge."""


@frozen
class Lens:
    """Intrinsics in pixels, centres at +0.5, and OpenCV's distortion k1 k2 p1 p2 k3 k4 k5 k6."""

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float
    distortion: tuple[float, ...] = ()

    @property
    def K(self) -> Matrix:  # noqa: N802 (the field's own name)
        """(3, 3)."""
        return np.array([[self.fx, 0, self.cx], [0, self.fy, self.cy], [0, 0, 1]])

    @property
    def is_pinhole(self) -> bool:
        """True if nothing is to be undistorted."""
        return not any(self.distortion)

    def check(self, name: str) -> None:
        """Raise InputError, naming the camera or view, if this is no usable lens."""
        numbers = (self.fx, self.fy, self.cx, self.cy, *self.distortion)
        if not np.isfinite(numbers).all() or np.abs(numbers).max() > FARTHEST:
            raise InputError(f"The camera of {name} holds NaN or infinite numbers.", "Calibrate it again.")
        if not (self.fx > 0 and self.fy > 0):
            raise InputError(f"The camera of {name} has no positive focal length.", "Calibrate it again.")
        if not (0 < self.width <= 65_536 and 0 < self.height <= 65_536):
            raise InputError(f"The camera of {name} has {self.width} x {self.height} pixels.", "Calibrate it again.")

    def scaled_to(self, width: int, height: int) -> Lens:
        """The same lens for pictures of another size; both axes on their own, as the sides were rounded."""
        a, b = width / self.width, height / self.height
        return evolve(
            self, width=width, height=height, fx=self.fx * a, cx=self.cx * a, fy=self.fy * b, cy=self.cy * b
        )

    def fits(self, width: int, height: int) -> bool:
        """True if a picture of that size can be one of this lens, scaled or not."""
        return abs(width * self.height / (height * self.width) - 1) <= MAX_ASPECT_ERROR or (
            abs(width - self.width * height / self.height) <= 1  # tiny pictures: a pixel of rounding is more than that
        )

    def pinhole(self) -> Matrix:
        """(3, 3) K of the undistorted picture: of the same size, the widest that shows no place outside the old one."""
        if self.is_pinhole:
            return self.K
        size = (self.width, self.height)
        new, _ = cv2.getOptimalNewCameraMatrix(self.K - _HALF_PIXEL, np.array(self.distortion), size, 0)
        if not (np.isfinite(new).all() and new[0, 0] > 0 and new[1, 1] > 0 and self._shows_itself(new)):
            raise InputError(f"The distortion {self.distortion} cannot be undone.", "Undistort the pictures before.")
        return np.asarray(new + _HALF_PIXEL, np.float64)

    def _shows_itself(self, new: npt.NDArray) -> bool:
        """True if a pinhole's picture (K in OpenCV's pixels) shows only what the distorted one holds, or nearly."""
        x, y = np.meshgrid(np.linspace(0, self.width - 1, 33), np.linspace(0, self.height - 1, 33))
        rays = np.stack([(x - new[0, 2]) / new[0, 0], (y - new[1, 2]) / new[1, 1], np.ones_like(x)], axis=-1)
        still = np.zeros(3)
        place, _ = cv2.projectPoints(
            rays.reshape(-1, 3), still, still, self.K - _HALF_PIXEL, np.array(self.distortion, np.float64)
        )
        beyond = np.abs((place.reshape(-1, 2) + 0.5) / (self.width, self.height) - 0.5) - 0.5
        return bool((beyond < MAX_BEYOND).all())

    def undistort(self, image: Image) -> Image:  # (H, W, C), premultiplied
        """The picture as the pinhole of `pinhole` sees it, by bicubic interpolation, clipped to 0..1."""
        if self.is_pinhole:
            return image
        size = (self.width, self.height)
        across, down = cv2.initUndistortRectifyMap(
            self.K - _HALF_PIXEL, np.array(self.distortion), None, self.pinhole() - _HALF_PIXEL, size, cv2.CV_32FC1
        )
        found = cv2.remap(image, across, down, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(np.clip(found, 0, 1), np.float32)
