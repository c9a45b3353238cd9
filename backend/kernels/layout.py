# SPDX-License-Identifier: Apache-2.0
"""Memory layouts that several kernels share: the camera's numbers, the screen-space record, tiles and planes.

Record of a projected splat, 16 float32 = one cache line. With d = pixel centre - mean, log2(alpha) =
(C dy + B dx) dy + A dx^2 + LOG2_OPACITY, so a pixel costs one exp2 and no division.

Frames of the kernels are planar (4, rows, stride) float32, flattened: red, green, blue premultiplied, transmittance;
rows and stride are the height and width rounded up to whole tiles.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from interchange.cameras import Camera
from interchange.errors import InputError

TILE = 16
"""Pixels along a tile's side."""

MEAN_X, MEAN_Y, A, B, C, LOG2_OPACITY, SLOPE_Y, SLOPE_X, RED, GREEN, BLUE, HALF_WIDTH, HALF_HEIGHT, DEPTH = range(14)
"""Fields of the record; the first eight say which pixels it can reach. SLOPE_Y: the dy of the ellipse's widest dx is
SLOPE_Y dx; SLOPE_X the other way round. HALF_WIDTH, HALF_HEIGHT: half the sides of the exact box of {alpha >= 1/255},
in pixels."""

SUM_V, SUM_VX, SUM_VY, SUM_VXX, SUM_VXY, SUM_VYY, SUM_RED, SUM_GREEN, SUM_BLUE, SUM_DEPTH = range(10)
"""Fields of a gradient slot (16 float32): moments of v = alpha dL/dalpha over the tile's pixels, dL/dcolour, and
dL/ddepth (zero unless the loss asks for depth)."""

ROTATION, TRANSLATION, FOCAL_X, FOCAL_Y, CENTRE_X, CENTRE_Y, POSITION = 0, 9, 12, 13, 14, 15, 16
SLOPE_X_LOW, SLOPE_X_HIGH, SLOPE_Y_LOW, SLOPE_Y_HIGH, FRAME_WIDTH, FRAME_HEIGHT = range(19, 25)
CAMERA_SIZE = 32
"""Fields of a camera's float32 numbers; the SLOPE limits clamp x/z and y/z in the projection's Jacobian."""

EPS2D = np.float32(0.3)
"""Added to the diagonal of the screen-space covariance, pixels^2."""
MIN_COMPENSATION = np.float32(0.005**2)
"""Antialiased splats: opacity is multiplied by sqrt(det S / det(S + EPS2D I)), this being the least quotient, so that
a splat thinner than a pixel fades instead of growing (Mip-Splatting, Yu et al. 2024)."""
NEAR = np.float32(0.01)
"""Splats nearer than this planar depth are not drawn."""
MAX_ALPHA = np.float32(0.99)
LOG2_CUTOFF = np.float32(-7.994353436858858)
"""log2(1/255): smaller alphas are not blended."""
MIN_TRANSMITTANCE = np.float32(1e-4)
"""A splat that would leave less than this is not blended and ends its pixel."""
LOG2_E = np.float32(1.4426950408889634)

_JACOBIAN_MARGIN = 0.15


def camera_numbers(camera: Camera) -> npt.NDArray[np.float32]:
    """(32,) float32. InputError if the camera holds NaN, has skew or no focal length."""
    K = camera.K
    if not camera.is_finite() or K[0, 0] <= 0 or K[1, 1] <= 0:
        raise InputError("A camera holds NaN or a focal length that is not positive.", "Write the capture again.")
    if abs(K[0, 1]) > 1e-6 * K[0, 0]:
        raise InputError("A camera has skew, which the renderer does not know.", "Use square pixels without skew.")
    numbers = np.zeros(CAMERA_SIZE, np.float32)
    numbers[ROTATION : ROTATION + 9] = camera.world_to_camera[:3, :3].ravel()
    numbers[TRANSLATION : TRANSLATION + 3] = camera.world_to_camera[:3, 3]
    numbers[FOCAL_X : CENTRE_Y + 1] = K[0, 0], K[1, 1], K[0, 2], K[1, 2]
    numbers[POSITION : POSITION + 3] = camera.position
    numbers[SLOPE_X_LOW : SLOPE_Y_HIGH + 1] = jacobian_limits(K, camera.width, camera.height)
    numbers[FRAME_WIDTH : FRAME_HEIGHT + 1] = camera.width, camera.height
    return numbers


def jacobian_limits(K: npt.NDArray[np.float64], width: int, height: int) -> tuple[float, float, float, float]:
    """Lowest and highest x/z, lowest and highest y/z: the image plus 0.15 of its size beyond each edge (as gsplat)."""
    x_margin, y_margin = _JACOBIAN_MARGIN * width, _JACOBIAN_MARGIN * height
    return (
        -(K[0, 2] + x_margin) / K[0, 0], (width - K[0, 2] + x_margin) / K[0, 0],
        -(K[1, 2] + y_margin) / K[1, 1], (height - K[1, 2] + y_margin) / K[1, 1],
    )  # fmt: skip


def padded(size: int) -> int:
    """Pixels rounded up to whole tiles."""
    return -(-size // TILE) * TILE
