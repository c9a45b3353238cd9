# SPDX-License-Identifier: GPL-3.0-or-later
"""What the panel shows of source folders without reading them for every redraw: states, digests, thumbnails."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Hashable
from datetime import date
from pathlib import Path
from typing import Any

import bpy.utils.previews
import numpy as np

from ..redrawing import redraw_sidebars
from .folder import FolderState, PhotoFacts, PhotoState, facts_of, look
from .photo_header import upright

_FRESH_S = 0.5
_ROOM = 500  # photos whose digests are remembered


class Gallery:
    """Looks at folders at most twice a second, reads them only when a file in them has changed, and keeps the photos'
    thumbnails until `close`."""

    def __init__(self, clock: Callable[[], float], today: Callable[[], date] = date.today) -> None:
        self._clock, self._today = clock, today
        self._facts: dict[tuple[str, int, int], PhotoFacts] = {}
        self._states: dict[Path, tuple[float, Hashable, FolderState]] = {}
        self._previews: Any = None

    def state(self, folder: Path) -> FolderState:
        """The state of a folder, at most half a second old."""
        now = self._clock()
        when, files, state = self._states.get(folder, (-_FRESH_S, None, None))
        if state is not None and now - when < _FRESH_S:
            return state
        present = self._today(), _files_of(folder)
        if state is None or present != files:
            state = look(folder, self._today(), self._facts_of)
        self._states[folder] = now, present, state
        return state

    def forget(self) -> None:
        """Something has just been changed: read the folders again, now."""
        self._states.clear()
        redraw_sidebars()

    def thumbnail(self, photo: PhotoState) -> int:
        """Icon id of a small upright picture; 0 where there is none."""
        if photo.facts.header is None:
            return 0
        if self._previews is None:
            self._previews = bpy.utils.previews.new()
        if photo.facts.digest not in self._previews:
            self._load_thumbnail(photo)
        return int(self._previews[photo.facts.digest].icon_id)

    def close(self) -> None:
        """Free the thumbnails."""
        if self._previews is not None:
            bpy.utils.previews.remove(self._previews)
            self._previews = None
        self._states.clear()
        self._facts.clear()

    def _load_thumbnail(self, photo: PhotoState) -> None:
        header, name = photo.facts.header, photo.facts.digest
        assert header is not None
        if header.orientation == 1:
            self._previews.load(name, str(photo.path), "IMAGE")
            return
        stored = self._previews.load(f"{name} stored", str(photo.path), "IMAGE")
        width, height = stored.image_size  # asking loads it
        pixels = np.empty(width * height * 4, np.float32)
        stored.image_pixels_float.foreach_get(pixels)
        # Blender's rows go from the bottom up
        turned = upright(pixels.reshape(height, width, 4)[::-1], header.orientation)[::-1]
        preview = self._previews.new(name)
        preview.image_size = (turned.shape[1], turned.shape[0])
        preview.image_pixels_float.foreach_set(np.ascontiguousarray(turned).ravel())

    def _facts_of(self, path: Path) -> PhotoFacts:
        try:
            status = path.stat()
        except OSError:
            return facts_of(path)
        key = (str(path), status.st_mtime_ns, status.st_size)
        if key not in self._facts:
            if len(self._facts) >= _ROOM:
                self._facts.clear()
            self._facts[key] = facts_of(path)
        return self._facts[key]


def _files_of(folder: Path) -> Hashable:
    """What tells whether anything in a folder has changed: names, times and sizes."""
    try:
        with os.scandir(folder) as entries:
            stats = [(entry.name, entry.stat()) for entry in entries]
    except OSError:  # not there, or a broken link in it: `look` has the words
        return object()
    return frozenset((name, stat.st_mtime_ns, stat.st_size) for name, stat in stats)


GALLERY = Gallery(time.monotonic)
"""The one that all panels draw from; empty until then, closed when the extension goes. Blender gives a panel nothing
to keep things in from one draw to the next."""
