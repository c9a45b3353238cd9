# SPDX-License-Identifier: GPL-3.0-or-later
"""The newest picture of each job, as an icon for panels; it is no data-block, so the artist's file stays clean.

The pixels are handed to Blender. Where it is given a file, it reads that in the background and then draws its whole
window anew, the 3D views too: measured on software OpenGL, twice 80 ms for each picture of a job instead of none.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy.utils.previews
import numpy as np
import numpy.typing as npt

from .._interchange import errors, png

ICON_EDGE = 32


def show_pixels(preview: Any, image: npt.NDArray[np.uint8]) -> None:
    """Make an image preview of (H, W, 1..4) uint8 sRGB, alpha straight: large, and small as an icon."""
    rgba = np.full((*image.shape[:2], 4), 1.0, np.float32)
    colour = image.astype(np.float32) / 255
    if image.shape[2] in (2, 4):
        rgba[..., 3:] = colour[..., -1:]
        colour = colour[..., :-1]
    rgba[..., :3] = colour * rgba[..., 3:]  # Blender's icons are premultiplied
    rows, columns = (np.linspace(0, size - 1, ICON_EDGE).round().astype(int) for size in image.shape[:2])
    small = rgba[np.ix_(rows, columns)]
    preview.image_size = image.shape[1::-1]
    preview.image_pixels_float.foreach_set(np.ascontiguousarray(rgba[::-1]).ravel())  # Blender's rows go up
    preview.icon_size = (ICON_EDGE, ICON_EDGE)
    preview.icon_pixels_float.foreach_set(np.ascontiguousarray(small[::-1]).ravel())


class Pictures:
    """One preview collection; older pictures of a job leave it when a newer one comes."""

    def __init__(self) -> None:
        self._collection: Any = None
        self._shown: dict[str, tuple[int, str]] = {}

    def icon(self, job_id: str, number: int, path: Path) -> int:
        """The icon id of picture `number` of a job, 0 if there is none to be read. Reads the file once a picture."""
        if number <= 0 or bpy.app.background:
            return 0
        if self._collection is None:
            self._collection = bpy.utils.previews.new()
        shown = self._shown.get(job_id)
        if shown is None or shown[0] != number:
            name = f"{job_id} {number}"
            try:
                image = png.read_png(path)
            except errors.InputError:  # a newer one is being put in its place, or somebody cleared up
                return 0 if shown is None else int(self._collection[shown[1]].icon_id)
            show_pixels(self._collection.new(name), image)
            if shown is not None:
                del self._collection[shown[1]]
            self._shown[job_id] = (number, name)
        return int(self._collection[self._shown[job_id][1]].icon_id)

    def close(self) -> None:
        """Give all back."""
        if self._collection is not None:
            bpy.utils.previews.remove(self._collection)
            self._collection = None
        self._shown.clear()
