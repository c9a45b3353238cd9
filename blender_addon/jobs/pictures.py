# SPDX-License-Identifier: GPL-3.0-or-later
"""The newest picture of each job, as an icon for panels; it is no data-block, so the artist's file stays clean."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy.utils.previews


class Pictures:
    """One preview collection; older pictures of a job leave it when a newer one comes."""

    def __init__(self) -> None:
        self._collection: Any = None
        self._shown: dict[str, tuple[int, str]] = {}

    def icon(self, job_id: str, number: int, path: Path) -> int:
        """The icon id of picture `number` of a job, 0 if there is none. Reads the file once a picture."""
        if number <= 0 or bpy.app.background:
            return 0
        if self._collection is None:
            self._collection = bpy.utils.previews.new()
        shown = self._shown.get(job_id)
        if shown is None or shown[0] != number:
            name = f"{job_id} {number}"
            picture = self._collection.load(name, str(path), "IMAGE")
            picture.image_size[:]  # asking reads it now; read later, by Blender, the whole window is drawn again for it
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
