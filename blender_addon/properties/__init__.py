# SPDX-License-Identifier: GPL-3.0-or-later
"""What the add-on remembers: `Scene.digidouble` is saved with the file, `WindowManager.digidouble` lasts for a session,
`Object.digidouble` belongs to one splat cloud.

One file a step of the work; parts are registered before the groups that hold them.
"""

from __future__ import annotations

import bpy
from bpy.props import CollectionProperty, IntProperty, PointerProperty

from . import avatar, cameras, capture, compute, double, performer, session

PARTS = (avatar, cameras, capture, performer, compute, double, session)


class DigidoubleScene(bpy.types.PropertyGroup):
    """Everything that an artist sets for a double, step by step."""

    avatar: PointerProperty(type=avatar.DigidoubleAvatar)  # type: ignore[valid-type]
    cameras: PointerProperty(type=cameras.DigidoubleCameras)  # type: ignore[valid-type]
    capture: PointerProperty(type=capture.DigidoubleCapture)  # type: ignore[valid-type]
    performers: CollectionProperty(type=performer.DigidoublePerformer)  # type: ignore[valid-type]
    active_performer: IntProperty(default=0, min=0)  # type: ignore[valid-type]
    job: PointerProperty(type=compute.DigidoubleJobSettings)  # type: ignore[valid-type]


def register() -> None:
    """Register all groups and hang them on Blender's types."""
    for part in PARTS:
        for group in part.GROUPS:
            bpy.utils.register_class(group)
    bpy.utils.register_class(DigidoubleScene)
    bpy.types.Scene.digidouble = PointerProperty(type=DigidoubleScene)
    bpy.types.WindowManager.digidouble = PointerProperty(type=session.DigidoubleSession)
    bpy.types.Object.digidouble = PointerProperty(type=double.DigidoubleDouble)


def unregister() -> None:
    """Take all of it away; what a file has saved stays in the file."""
    del bpy.types.Object.digidouble, bpy.types.WindowManager.digidouble, bpy.types.Scene.digidouble
    bpy.utils.unregister_class(DigidoubleScene)
    for part in reversed(PARTS):
        for group in reversed(part.GROUPS):
            bpy.utils.unregister_class(group)
