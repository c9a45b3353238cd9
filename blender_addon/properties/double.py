# SPDX-License-Identifier: GPL-3.0-or-later
"""How a splat cloud is shown."""

from __future__ import annotations

from typing import Any

import bpy
from bpy.props import BoolProperty, EnumProperty, FloatProperty, PointerProperty, StringProperty

from .. import compat
from ..display import follow, modes

_NATIVE = ("NATIVE", "Blender's Own", "Drawn by Blender itself, which knows splats from version 5.3 on")
_MODES = [
    ("POINTS", "Points", "Coloured dots: instant, for placing and animating"),
    ("SPLATS", "Splats", "As they are meant to look; see it in Rendered view or a render"),
]


def _modes(_: Any, context: Any) -> list[tuple[str, str, str]]:
    return _MODES_WITH_NATIVE if compat.has_native_splats() else _MODES


_MODES_WITH_NATIVE = [*_MODES, _NATIVE]


def look_of(item: Any) -> modes.Look:
    """What the panel says about a splat object."""
    said = item.digidouble
    box = said.crop_box if said.use_crop and said.crop_box is not None else None
    return modes.Look(
        said.mode or modes.POINTS_MODE, said.shape, said.density, said.least_opacity, said.largest, box,
        said.raw_colours,
    )  # fmt: skip


def _show(said: Any, context: Any) -> None:
    item = said.id_data
    if item.type == "POINTCLOUD":
        modes.show(item, context.scene, look_of(item))


def _follows(said: Any) -> bool:
    return follow.is_following(said.id_data)


def _set_following(said: Any, value: bool) -> None:
    follow.set_following(said.id_data, value)


def _avatar_is_shown(said: Any) -> bool:
    return follow.avatar_is_shown(said.id_data)


def _show_avatar(said: Any, value: bool) -> None:
    follow.show_avatar(said.id_data, value)


def _is_box(_: Any, item: Any) -> bool:
    return item.type in ("EMPTY", "MESH")


class DigidoubleDouble(bpy.types.PropertyGroup):
    """How a splat cloud is shown."""

    mode: EnumProperty(name="Show As", items=_modes, update=_show)  # type: ignore[valid-type]
    shape: EnumProperty(  # type: ignore[valid-type]
        name="Drawn As",
        items=[
            ("CARDS", "For the Camera", "Exact and quick from the active camera; slanted from elsewhere"),
            ("BALLS", "All Round", "Right from every side, also in mirrors; slower"),
        ],
        update=_show,
    )
    density: FloatProperty(  # type: ignore[valid-type]
        name="Density", description="Share of the splats that is shown; the others cover for them",
        default=1.0, min=0.01, max=1.0, subtype="FACTOR", update=_show,
    )  # fmt: skip
    least_opacity: FloatProperty(  # type: ignore[valid-type]
        name="Hide Fainter Than", description="Splats that are less opaque are hidden",
        default=0.0, min=0.0, max=1.0, subtype="FACTOR", update=_show,
    )  # fmt: skip
    largest: FloatProperty(  # type: ignore[valid-type]
        name="Hide Larger Than", description="Splats that are larger are hidden; 0 hides none",
        default=0.0, min=0.0, soft_max=0.1, precision=4, subtype="DISTANCE", update=_show,
    )  # fmt: skip
    use_crop: BoolProperty(  # type: ignore[valid-type]
        name="Crop", description="Hide what is outside the crop box", default=False, update=_show
    )
    crop_box: PointerProperty(  # type: ignore[valid-type]
        name="Crop Box", description="Splats outside are hidden; meant for the double as captured, before it is posed",
        type=bpy.types.Object, poll=_is_box, update=_show,
    )  # fmt: skip
    raw_colours: BoolProperty(  # type: ignore[valid-type]
        name="Colours for Raw View",
        description="Mix colours as splat viewers do. Needs the View Transform Raw, in which other objects look wrong",
        default=False, update=_show,
    )  # fmt: skip
    follow: BoolProperty(  # type: ignore[valid-type]
        name="Follow the Avatar", description="Move with the avatar's bones and expressions",
        get=_follows, set=_set_following,
    )  # fmt: skip
    show_avatar: BoolProperty(  # type: ignore[valid-type]
        name="Show the Avatar", description="Also show the avatar's mesh, in the viewport and in renders",
        get=_avatar_is_shown, set=_show_avatar,
    )  # fmt: skip
    capture: StringProperty(  # type: ignore[valid-type]
        name="Capture", description="The capture folder that this double was made from", subtype="DIR_PATH"
    )


GROUPS = (DigidoubleDouble,)
