# SPDX-License-Identifier: GPL-3.0-or-later
"""An Image Editor for one photo: found or made out of a 3D view, given back as it was; and where its pixels lie."""

from __future__ import annotations

from typing import Any

import attrs
import bpy

Point = tuple[float, float]

_ROOM = (400, 300)
_FILLED = 0.97  # of the room, so that the photo's edges can be seen
# nothing lies over the photo and no brush is in the hand
_SHOWN = {"mode": "VIEW", "show_region_ui": False, "show_region_toolbar": False, "show_gizmo": False}


@attrs.frozen
class PixelMap:
    """From pixels of a photo (y down, centres at +0.5) to pixels of an editor's region (y up) and back.

    origin: where the photo's top left corner lies in the region; scale: region pixels a photo pixel, in x and y.
    """

    origin: Point
    scale: Point

    @staticmethod
    def of(region: Any, width: int, height: int) -> PixelMap:
        """As the region shows an image of this size now. `view_to_region` would round; two corners do not."""
        left, bottom = region.view2d.region_to_view(0, 0)
        right, top = region.view2d.region_to_view(region.width, region.height)
        across, up = region.width / (right - left), region.height / (top - bottom)  # region pixels an image
        return PixelMap((-left * across, (1 - bottom) * up), (across / width, up / height))

    def to_region(self, at: Point) -> Point:
        """From the photo to the region."""
        return self.origin[0] + at[0] * self.scale[0], self.origin[1] - at[1] * self.scale[1]

    def to_photo(self, at: Point) -> Point:
        """From the region to the photo."""
        return (at[0] - self.origin[0]) / self.scale[0], (self.origin[1] - at[1]) / self.scale[1]

    def reach(self, pixels: float) -> float:
        """How many photo pixels this many region pixels are."""
        return pixels / max(self.scale[0], 1e-9)


class ImageView:
    """An area of the window that shows a photo: an Image Editor that is open, or else the area that is given (a 3D
    view, say), turned into one. `close` gives it back.
    """

    def __init__(self, window: Any, area: Any, image: Any) -> None:
        self.window = window
        editor = _largest_editor(window, bpy.context.preferences.system.ui_scale)
        self.area = editor or area
        self._type_before = self.area.ui_type
        if editor is None:
            self.area.ui_type = "IMAGE_EDITOR"
        space = self.area.spaces.active
        self._image_before = "" if space.image is None else space.image.name
        self._before = {name: getattr(space, name) for name in _SHOWN}
        for name, value in _SHOWN.items():
            setattr(space, name, value)
        space.image = image
        self._fitted = False

    @property
    def region(self) -> Any:
        """The part of the area that shows the picture."""
        return next(region for region in self.area.regions if region.type == "WINDOW")

    @property
    def is_there(self) -> bool:
        """False once the artist has closed the area or made something else of it."""
        areas = (area for screen in bpy.data.screens for area in screen.areas)
        return any(self.area == area for area in areas) and self.area.type == "IMAGE_EDITOR"

    @property
    def is_shown(self) -> bool:
        """False while the window shows another workspace."""
        return any(self.area == area for area in self.window.screen.areas)

    def fit(self, taken: float) -> None:
        """Show the whole photo beside what takes the region's left side, once the area has been laid out.

        Zoom and pan count in the image's own pixels, from the middle of the region.
        """
        region, image = self.region, self.area.spaces.active.image
        if self._fitted or region.width < 10 or image is None:
            return
        room = (max(region.width - taken, region.width / 2), region.height)
        zoom = _FILLED * min(side / pixels for side, pixels in zip(room, image.size, strict=True))
        with bpy.context.temp_override(window=self.window, area=self.area, region=region):
            bpy.ops.image.view_all()  # to the middle
            bpy.ops.image.view_zoom_ratio(ratio=zoom)
            bpy.ops.image.view_pan(offset=((room[0] - region.width) / 2 / zoom, 0.0))
        self._fitted = True

    def contains(self, event: Any) -> bool:
        """True if the mouse is over the picture and not over a sidebar or header that lies on it."""
        return next((r for r in _regions_under(self.area, event)), None) == self.region

    def position(self, event: Any) -> Point:
        """The mouse in the region, at the middle of its pixel."""
        region = self.region
        return event.mouse_x - region.x + 0.5, event.mouse_y - region.y + 0.5

    def free_sides(self) -> tuple[float, float, float]:
        """Left, right and top of what headers and tools, which lie on the region, leave free of it."""
        here = self.region
        left, right, top = 0.0, float(here.width), float(here.height)
        for other in self.area.regions:
            if other == here or other.width <= 1 or not here.y < other.y + other.height <= here.y + here.height:
                continue
            if other.type == "TOOLS":
                left = max(left, float(other.x + other.width - here.x))
            elif other.type in ("HEADER", "TOOL_HEADER") and other.y > here.y + here.height / 2:
                top = min(top, float(other.y - here.y))
        return left, right, top

    def redraw(self) -> None:
        """Have it drawn again."""
        self.area.tag_redraw()

    def close(self) -> None:
        """Give the area back as it was."""
        if not self.is_there:
            return
        self.area.header_text_set(None)
        space = self.area.spaces.active
        space.image = bpy.data.images.get(self._image_before)
        for name, value in self._before.items():
            setattr(space, name, value)
        if self._type_before != "IMAGE_EDITOR":
            self.area.ui_type = self._type_before


def _largest_editor(window: Any, scale: float) -> Any | None:
    """The Image Editor of the window that has the most room, if it is enough to see a face in."""
    width, height = (side * scale for side in _ROOM)
    editors = [area for area in window.screen.areas
               if area.ui_type == "IMAGE_EDITOR" and area.width >= width and area.height >= height]  # fmt: skip
    return max(editors, key=lambda area: area.width * area.height, default=None)


def _regions_under(area: Any, event: Any) -> list[Any]:
    """The regions below the mouse, those that lie on top first (they overlap the picture)."""
    under = [r for r in area.regions if r.x <= event.mouse_x < r.x + r.width and r.y <= event.mouse_y < r.y + r.height
             and r.width > 1 and r.height > 1]  # fmt: skip
    return sorted(under, key=lambda region: region.type == "WINDOW")
