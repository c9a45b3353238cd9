# SPDX-License-Identifier: GPL-3.0-or-later
"""Having Blender draw again, and no more of its window than has changed.

Measured in windows of 4.3.2 and 5.2.2: a tag on a region draws that region alone. A write to a property that has an
`update=` draws the whole window, whatever the function does, and one to a property without draws nothing: so what
timers write has none. An icon whose picture Blender reads by itself draws the whole window when it has come.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import bpy

CATEGORY = "Digidouble"
"""Our tab of the 3D view's sidebar."""


def redraw(_: Any = None, context: Any = None) -> None:
    """Have every 3D view and image editor draw again, overlays too: the `update=` of settings that views show."""
    for area in _areas(context, "VIEW_3D", "IMAGE_EDITOR"):
        area.tag_redraw()


def redraw_sidebars(_: Any = None, context: Any = None) -> None:
    """Have our tab draw again where it is open, and nothing else: the views beside it may be slow."""
    for area in _areas(context, "VIEW_3D"):
        for region in area.regions:
            is_open = region.type == "UI" and region.width > 1
            if is_open and getattr(region, "active_panel_category", CATEGORY) == CATEGORY:
                region.tag_redraw()


def _areas(context: Any, *kinds: str) -> Iterator[Any]:
    for window in (context or bpy.context).window_manager.windows:
        yield from (area for area in window.screen.areas if area.type in kinds)
