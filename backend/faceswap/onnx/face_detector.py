# SPDX-License-Identifier: Apache-2.0
"""Faces in a photo by the user's own YuNet, which OpenCV runs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from interchange.errors import InputError

from .face_crop import Box
from .models import ModelFile

Floats = npt.NDArray[Any]
_LONGEST = 640
"""Pixels a side that a photo has at most when it is looked at: YuNet knows faces from 10 to 300 pixels."""
_LEAST_SCORE = 0.6
_OVERLAP = 0.3  # of boxes that are taken for one face
_MOST = 5000


class FaceDetector:
    """An opened detector. Raises InputError if OpenCV cannot read the file."""

    def __init__(self, file: ModelFile) -> None:
        self.file = file
        try:
            with _quiet():
                self._network = cv2.FaceDetectorYN.create(
                    str(file.path), "", (_LONGEST, _LONGEST), _LEAST_SCORE, _OVERLAP, _MOST
                )
        except cv2.error as error:
            what = f"OpenCV cannot read the detector {file.path} ({_short(error)})."
            raise InputError(what, "Copy it again.") from error

    def __call__(self, picture: Floats) -> list[Box]:  # (H, W, 3) RGB display-referred 0..1
        """The faces of a photo, largest first, in its pixels. InputError when the detector fails."""
        height, width = picture.shape[:2]
        factor = max(max(height, width) / _LONGEST, 1.0)
        size = (max(round(width / factor), 1), max(round(height / factor), 1))
        pixels = np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8)[..., ::-1]
        small = cv2.resize(np.ascontiguousarray(pixels), size, interpolation=cv2.INTER_AREA)
        try:
            with _quiet():
                self._network.setInputSize(size)
                _, rows = self._network.detect(small)
        except cv2.error as error:
            raise InputError(f"The detector {self.file.name} failed ({_short(error)}).", "Check the file.") from error
        across, down = width / size[0], height / size[1]
        boxes = [
            Box(row[0] * across, row[1] * down, row[2] * across, row[3] * down, row[-1])
            for row in np.asarray([] if rows is None else rows, np.float64).reshape(-1, 15).tolist()
        ]
        if not all(np.isfinite([b.left, b.top, b.width, b.height]).all() for b in boxes):
            raise InputError(f"The detector {self.file.name} gives NaN or infinite numbers.", "Take another.")
        return sorted(boxes, key=lambda box: -box.area)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without what OpenCV says on the terminal: what is wrong comes as an exception."""
    before = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        cv2.utils.logging.setLogLevel(before)


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:160]
