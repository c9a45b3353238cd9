# SPDX-License-Identifier: Apache-2.0
"""What crosses a landmarker's border, slowly and by other means: float64, loops, nothing of backend.faceswap.onnx."""

from __future__ import annotations

import math

import numpy as np

from . import reference


def fan_crop(left: float, top: float, width: float, height: float) -> tuple[float, float, float]:
    """Middle and side of FAN's crop of a box: https://github.com/1adrianb/face-alignment, api.py, in words."""
    return left + width / 2, top + height / 2 - 0.12 * height, 200 * (width + height) / 195


def space_crop(left: float, top: float, width: float, height: float) -> tuple[float, float, float]:
    """Middle and side of InsightFace's crop of a box."""
    return left + width / 2, top + height / 2, 1.5 * max(width, height)


def tensor(picture: np.ndarray, crop: tuple[float, float, float], degrees: float, kind: str) -> np.ndarray:
    """(1, 3, S, S) of the square around (x, y) that is turned by `degrees`; kind: fan, space or raw."""
    size = 256 if kind == "fan" else 192
    x, y, side = crop
    step, turn = side / size, math.radians(degrees)
    matrix = np.empty((2, 3))
    for axis, (along, across) in enumerate([(math.cos(turn), -math.sin(turn)), (math.sin(turn), math.cos(turn))]):
        corner = (x, y)[axis] - (along + across) * side / 2  # where the square begins, centres at +0.5
        matrix[axis] = along * step, across * step, corner + (along + across) * step / 2 - 0.5
    # Beyond the photo there is black: as many rows and columns of it as the crop could ask for.
    around = int(side) + 4
    framed = np.pad(picture, ((around, around), (around, around), (0, 0)))
    values = reference.warp(framed, matrix + [[0, 0, around]], size, size)
    if kind == "space":
        values = (values * 255 - 127.5) / 128
    if kind == "raw":
        values = values * 255
    return np.stack([values[..., channel] for channel in range(3)])[None]


def to_photo(point: tuple[float, float], crop: tuple[float, float, float], degrees: float, size: int) -> list[float]:
    """A point of the crop's pixels, centres at +0.5, in the photo's."""
    x, y, side = crop
    along, across = (point[0] / size - 0.5) * side, (point[1] / size - 0.5) * side
    turn = math.radians(degrees)
    return [x + along * math.cos(turn) - across * math.sin(turn), y + along * math.sin(turn) + across * math.cos(turn)]


def peak(heatmap: np.ndarray) -> tuple[float, float, float]:
    """x, y in heatmap pixels, centres at +0.5, and the height: mean shift within 7 x 7 around the highest pixel."""
    height, width = heatmap.shape
    best, at = -math.inf, (0, 0)
    for row in range(height):
        for column in range(width):
            if heatmap[row, column] > best:
                best, at = heatmap[row, column], (row, column)
    x, y = at[1] + 0.5, at[0] + 0.5
    for _ in range(10):
        total = across = down = 0.0
        for row in range(max(at[0] - 3, 0), min(at[0] + 4, height)):
            for column in range(max(at[1] - 3, 0), min(at[1] + 4, width)):
                distance = (column + 0.5 - x) ** 2 + (row + 0.5 - y) ** 2
                value = max(heatmap[row, column], 0.0) * math.exp(-distance / (2 * 1.5**2))
                total, across, down = total + value, across + value * (column + 0.5), down + value * (row + 0.5)
        x, y = across / total, down / total
    return x, y, best
