# SPDX-License-Identifier: GPL-3.0-or-later
"""What a capture will cost: pixels, disk, time. No bpy."""

from __future__ import annotations

import attrs

from .settings import RenderSettings

PACE_S = 2.0
"""Seconds a million samples took on two slow cores (Cycles, one bounce, denoised), until a capture has measured it."""

_BYTES = {"picture": 8, "masks": 8, "albedo": 6, "light": 6, "depth": 4, "normal": 6, "uv": 8}  # a pixel
_PACKED = 0.31
"""Share that is left after ZIP, measured on a head that fills about half of pictures of 128 pixels."""


@attrs.frozen
class Budget:
    """views, megapixels in all, megabytes on disk, seconds of rendering."""

    views: int
    megapixels: float
    megabytes: float
    seconds: float

    @property
    def duration(self) -> str:
        """In words."""
        if self.seconds < 90:
            return f"{max(round(self.seconds), 1)} s"
        if self.seconds < 5400:
            return f"{round(self.seconds / 60)} min"
        return f"{self.seconds / 3600:.1f} h"

    @property
    def size(self) -> str:
        """In words."""
        return f"{self.megabytes:.0f} MB" if self.megabytes < 1000 else f"{self.megabytes / 1000:.1f} GB"


def estimate(render: RenderSettings, views: int, layers: set[str], pace: float = 0.0) -> Budget:
    """pace: measured seconds a million samples, 0 if none was."""
    width, height = render.pixels
    pixels = width * height * views
    weight = _BYTES["picture"] + _BYTES["masks"] + sum(_BYTES[layer] for layer in layers)
    return Budget(
        views,
        pixels / 1e6,
        pixels * weight * _PACKED / 1e6,
        pixels * render.samples / 1e6 * (pace or PACE_S),
    )
