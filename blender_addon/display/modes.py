# SPDX-License-Identifier: GPL-3.0-or-later
"""How a double is shown: modifiers on its object (hide, follow, draw, in this order) and what Cycles needs for them."""

from __future__ import annotations

from typing import Any

import attrs

from .. import compat
from .filter_nodes import BOX, DENSITY, FAINT, LARGE, USE_BOX, filter_group
from .pointcloud import ANTIALIASED, cloud_degree
from .splat_nodes import ANTIALIASED as TRAINED_SO
from .splat_nodes import BALLS, CARDS, DISPLAY, PIXEL, splats_group

FILTER, SPLATS = "Filter", "Splats"
POINTS_MODE, SPLATS_MODE, NATIVE_MODE = "POINTS", "SPLATS", "NATIVE"
SHAPES = {"CARDS": CARDS, "BALLS": BALLS}
_HITS, _SURE_HITS = 256, 128
_FOCAL_IN_PIXELS = "2 * tan(angle / 2) / (max(width, height) * percentage / 100)"
_DRIVEN = {
    "angle": "camera.data.angle", "width": "render.resolution_x", "height": "render.resolution_y",
    "percentage": "render.resolution_percentage",
}  # fmt: skip


@attrs.frozen
class Look:
    """What an artist sets. density 0..1, least_opacity 0..1, largest: standard deviation in metres, 0 for no limit.

    box: object whose cube -1..1 is kept, or None. as_display: colours for the view transform Raw.
    """

    mode: str = POINTS_MODE
    shape: str = "CARDS"
    density: float = 1.0
    least_opacity: float = 0.0
    largest: float = 0.0
    box: Any | None = None
    as_display: bool = False

    @property
    def hides(self) -> bool:
        """Whether any splat may be hidden."""
        return self.density < 1 or self.least_opacity > 0 or self.largest > 0 or self.box is not None


def show(item: Any, scene: Any, look: Look) -> None:
    """Bring a splat object into this look."""
    _show_filter(item, look)
    drawing = item.modifiers.get(SPLATS)
    if look.mode != SPLATS_MODE:
        if drawing is not None:
            drawing.show_viewport = drawing.show_render = False
    else:
        _show_splats(item, scene, look)
    if compat.has_native_splats():
        compat.show_native_splats(item.data, look.mode == NATIVE_MODE)


def prepare_cycles(scene: Any) -> None:
    """Let rays pass through many splats, and not by chance, which would be noise. Higher settings are kept."""
    cycles = getattr(scene, "cycles", None)
    if cycles is not None:
        cycles.transparent_max_bounces = max(cycles.transparent_max_bounces, _HITS)
        cycles.min_transparent_bounces = max(cycles.min_transparent_bounces, _SURE_HITS)


def _show_filter(item: Any, look: Look) -> None:
    modifier = item.modifiers.get(FILTER)
    if not look.hides:
        if modifier is not None:
            modifier.show_viewport = modifier.show_render = False
        return
    if modifier is None:
        modifier = item.modifiers.new(FILTER, "NODES")
        modifier.node_group, modifier.show_expanded = filter_group(), False
        item.modifiers.move(len(item.modifiers) - 1, 0)
    for name, value in (
        (DENSITY, look.density), (FAINT, look.least_opacity), (LARGE, look.largest if look.largest > 0 else 1e9),
        (USE_BOX, look.box is not None), (BOX, look.box),
    ):  # fmt: skip
        compat.set_modifier_input(modifier, name, value)
    modifier.show_viewport = modifier.show_render = True


def _show_splats(item: Any, scene: Any, look: Look) -> None:
    modifier = item.modifiers.get(SPLATS)
    if modifier is None:
        modifier = item.modifiers.new(SPLATS, "NODES")
        modifier.show_expanded = False
    last = len(item.modifiers) - 1
    if item.modifiers[last] != modifier:
        item.modifiers.move(item.modifiers.find(SPLATS), last)
    group = splats_group(SHAPES[look.shape], cloud_degree(item))
    if modifier.node_group != group:
        modifier.node_group = group
    compat.set_modifier_input(modifier, TRAINED_SO, bool(item.get(ANTIALIASED, False)))
    compat.set_modifier_input(modifier, DISPLAY, look.as_display)
    _drive_pixel(item, modifier, scene)
    modifier.show_viewport = modifier.show_render = True
    prepare_cycles(scene)


def _drive_pixel(item: Any, modifier: Any, scene: Any) -> None:
    """Have the size of a pixel follow the active camera's lens and the render's resolution."""
    path = compat.modifier_input_path(modifier, PIXEL)
    found = next((d for d in item.animation_data.drivers if d.data_path == path), None) if item.animation_data else None
    if found is not None and scene.camera is not None and found.driver.is_valid and _scene_of(found.driver) == scene:
        return  # making it anew would have Blender sort its dependencies at every move of a slider
    item.driver_remove(path)
    if scene.camera is None or scene.camera.type != "CAMERA":
        compat.set_modifier_input(modifier, PIXEL, 0.0)
        return
    driver = item.driver_add(path).driver
    driver.type, driver.expression = "SCRIPTED", _FOCAL_IN_PIXELS
    for name, source in _DRIVEN.items():
        variable = driver.variables.new()
        variable.name, variable.type = name, "SINGLE_PROP"
        variable.targets[0].id_type = "SCENE"
        variable.targets[0].id, variable.targets[0].data_path = scene, source
    driver.expression = _FOCAL_IN_PIXELS  # once more, now that its variables are known


def _scene_of(driver: Any) -> Any | None:
    return driver.variables[0].targets[0].id if len(driver.variables) else None
