# SPDX-License-Identifier: GPL-3.0-or-later
"""A photo as an image of Blender that stands upright, for as long as it is looked at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy
import numpy as np
import numpy.typing as npt

from .._interchange import errors
from .photo_header import PhotoHeader, read_header, upright

_LONGEST_TURNED = 3072
"""A photo that has to be turned is shown at most this large: it costs 16 bytes a pixel."""


class PhotoImage:
    """`image` shows the photo upright; `close` takes it out of the file again. width, height: of the upright photo in
    pixels, which are the image's own unless it had to be turned and is huge.

    Raises InputError if Blender cannot show the photo.
    """

    def __init__(self, path: Path) -> None:
        header = read_header(path)
        self.width, self.height = header.width, header.height
        image = _load(path)
        if header.orientation != 1:
            image = _turned(image, header, path.name)
        self._name = image.name

    @property
    def image(self) -> Any | None:
        """The image; asked for by name each time, since an undo elsewhere makes new objects of all of them."""
        return bpy.data.images.get(self._name)

    def close(self) -> None:
        """Take the image away; harmless if somebody else has done so."""
        if (image := self.image) is not None:
            bpy.data.images.remove(image)


def pixels_of(image: Any) -> npt.NDArray[np.float32]:
    """(h, w, 4) values 0..1 as Blender holds them, first row on top."""
    width, height = image.size
    flat = np.empty(width * height * 4, np.float32)
    image.pixels.foreach_get(flat)
    return flat.reshape(height, width, 4)[::-1]


def _load(path: Path) -> Any:
    try:
        image = bpy.data.images.load(str(path), check_existing=False)
    except RuntimeError as error:
        raise errors.InputError(f"Blender cannot load the photo {path.name}.", "Save it as PNG again.") from error
    if not image.size[0]:
        bpy.data.images.remove(image)
        raise errors.InputError(f"Blender cannot read the photo {path.name}.", "Save it as PNG again.")
    return image


def _turned(stored: Any, header: PhotoHeader, name: str) -> Any:
    """A new image with upright pixels instead of `stored`, which is removed."""
    try:
        longest = max(stored.size)
        if longest > _LONGEST_TURNED:
            factor = _LONGEST_TURNED / longest
            stored.scale(*(max(1, round(side * factor)) for side in stored.size))
        rows = upright(pixels_of(stored), header.orientation)
        image = bpy.data.images.new(name, rows.shape[1], rows.shape[0], alpha=True)
        image.colorspace_settings.name = stored.colorspace_settings.name
        image.pixels.foreach_set(np.ascontiguousarray(rows[::-1]).ravel())
        image.update()
        return image
    finally:
        bpy.data.images.remove(stored)
