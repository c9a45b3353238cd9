# SPDX-License-Identifier: Apache-2.0
"""Faces of several methods in several views, one row a method: where people would rather look than read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from interchange.png import write_png

Floats = npt.NDArray[np.floating]
TILE, BAND = 240, 26  # pixels
_GROWN = 1.25  # the tile's side over the face's


def spread_views(faces: Sequence[Floats], yaws: Sequence[float], count: int) -> list[int]:
    """Indices of `count` views that show much of the face, evenly from one side to the other."""
    shown = [i for i, face in enumerate(faces) if face.sum() > 0.02 * face.size]
    ordered = sorted(shown, key=lambda i: yaws[i])
    if len(ordered) <= count:
        return ordered
    return [ordered[round(k)] for k in np.linspace(0, len(ordered) - 1, count)]


def contact_sheet(
    rows: Mapping[str, Sequence[Floats]], faces: Sequence[Floats], titles: Sequence[str]
) -> npt.NDArray[np.uint8]:
    """(h, w, 3): a row for each method with its pictures (H, W, 3) sRGB 0..1, cut to the face by its masks (H, W)."""
    windows = [_window(face) for face in faces]
    header = np.concatenate([_label(title, TILE) for title in titles], axis=1)
    lines = [header]
    for name, pictures in rows.items():
        tiles = [_tile(picture, window) for picture, window in zip(pictures, windows, strict=True)]
        line = np.concatenate(tiles, axis=1)
        lines += [_label(name, line.shape[1]), line]
    return np.concatenate(lines, axis=0)


def write_sheet(path: Path, sheet: npt.NDArray[np.uint8]) -> None:
    """As PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_png(path, sheet)


def _window(face: Floats) -> tuple[float, float, float]:
    """Middle column, middle row, half side."""
    rows, columns = np.nonzero(face > 0.2)
    half = max(np.ptp(rows), np.ptp(columns)) / 2 * _GROWN + 2
    return float(np.mean([columns.min(), columns.max()])), float(np.mean([rows.min(), rows.max()])), float(half)


def _tile(picture: Floats, window: tuple[float, float, float]) -> npt.NDArray[np.uint8]:
    x, y, half = window
    scale = 2 * half / TILE
    matrix = np.array([[scale, 0, x - half], [0, scale, y - half]])
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    cut = cv2.warpAffine(np.asarray(picture, np.float32), matrix, (TILE, TILE), flags=flags)
    return np.rint(np.clip(cut, 0, 1) * 255).astype(np.uint8)


def _label(text: str, width: int) -> npt.NDArray[np.uint8]:
    band = np.full((BAND, width, 3), 30, np.uint8)
    cv2.putText(band, text, (6, BAND - 8), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (230, 230, 230), 1, cv2.LINE_AA)
    return band
