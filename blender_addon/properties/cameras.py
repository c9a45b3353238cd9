# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the cameras of a capture stand."""

from __future__ import annotations

import math

import bpy
from bpy.props import BoolProperty, EnumProperty, FloatProperty, IntProperty, PointerProperty

from ..redrawing import redraw

RIGS = (
    ("DOME", "Face Dome", "All around the head, denser in front of the face", "MESH_UVSPHERE", 0),
    ("SPHERE", "Even Sphere", "Evenly spread over a ball (Fibonacci)", "LIGHT_HEMI", 1),
    ("RINGS", "Rings", "Level rings of cameras; one ring is a turntable", "CON_CAMERASOLVER", 2),
    ("STAGE", "Light Stage", "Rows and columns around the face, as in a scanning rig", "CAMERA_DATA", 3),
    ("SCENE", "My Cameras", "Cameras of the scene: a collection, or those selected", "OUTLINER_OB_CAMERA", 4),
)


class DigidoubleCameras(bpy.types.PropertyGroup):
    """Where the cameras of a capture stand."""

    rig: EnumProperty(  # type: ignore[valid-type]
        name="Rig", items=RIGS, default="DOME", description="How the cameras are placed", update=redraw
    )
    train: IntProperty(  # type: ignore[valid-type]
        name="Views", default=48, min=1, max=10_000, soft_max=300, update=redraw,
        description="Views that the double is made from",
    )  # fmt: skip
    held_out: IntProperty(  # type: ignore[valid-type]
        name="Held Out", default=8, min=0, max=10_000, soft_max=50, update=redraw,
        description="Views kept apart to judge the double; it never sees them. Shown in orange",
    )  # fmt: skip
    low: FloatProperty(  # type: ignore[valid-type]
        name="Lowest", default=math.radians(-25), min=math.radians(-89), max=math.radians(89), subtype="ANGLE",
        update=redraw, description="Height of the lowest cameras, as an angle from the middle of the avatar",
    )  # fmt: skip
    high: FloatProperty(  # type: ignore[valid-type]
        name="Highest", default=math.radians(50), min=math.radians(-89), max=math.radians(89), subtype="ANGLE",
        update=redraw, description="Height of the highest cameras, as an angle from the middle of the avatar",
    )  # fmt: skip
    face_weight: FloatProperty(  # type: ignore[valid-type]
        name="Face Weight", default=2.0, min=0.0, max=20.0, soft_max=6.0, update=redraw,
        description="How much denser the cameras stand in front of the face than behind the head; 0 is even",
    )  # fmt: skip
    seed: IntProperty(  # type: ignore[valid-type]
        name="Seed", default=0, min=0, update=redraw, description="Turns the pattern of cameras"
    )
    per_ring: IntProperty(  # type: ignore[valid-type]
        name="Per Ring", default=24, min=1, max=2000, update=redraw, description="Cameras in each ring"
    )
    ring_count: IntProperty(  # type: ignore[valid-type]
        name="Rings", default=1, min=1, max=90, update=redraw,
        description="Number of rings between the lowest and the highest; a single one stands at the lowest",
    )  # fmt: skip
    rows: IntProperty(  # type: ignore[valid-type]
        name="Rows", default=4, min=1, max=90, update=redraw, description="Rows of cameras above each other"
    )
    columns: IntProperty(  # type: ignore[valid-type]
        name="Columns", default=9, min=1, max=360, update=redraw, description="Cameras in each row"
    )
    azimuth: FloatProperty(  # type: ignore[valid-type]
        name="To Each Side", default=math.radians(90), min=math.radians(1), max=math.pi, subtype="ANGLE",
        update=redraw, description="How far the rows reach to each side of the face; 180 is all around",
    )  # fmt: skip
    collection: PointerProperty(  # type: ignore[valid-type]
        name="Collection", type=bpy.types.Collection, update=redraw,
        description="Collection with the cameras to use. Empty: the selected cameras",
    )  # fmt: skip
    use_path: BoolProperty(  # type: ignore[valid-type]
        name="Along the Animation", default=False, update=redraw,
        description="Sample moving cameras over a range of frames; the avatar is held still",
    )  # fmt: skip
    path_start: IntProperty(name="Start", default=1, update=redraw, description="First frame")  # type: ignore[valid-type]
    path_end: IntProperty(name="End", default=48, update=redraw, description="Last frame")  # type: ignore[valid-type]
    path_step: IntProperty(  # type: ignore[valid-type]
        name="Step", default=1, min=1, update=redraw, description="Frames from one view to the next"
    )
    framing: EnumProperty(  # type: ignore[valid-type]
        name="Distance", default="AUTO", update=redraw,
        items=(("AUTO", "Frame the Avatar", "Each camera stands as near as it can while seeing the whole avatar"),
               ("FIXED", "Fixed", "All cameras stand at the same distance from the avatar's middle")),
        description="How far the cameras stand from the avatar",
    )  # fmt: skip
    distance: FloatProperty(  # type: ignore[valid-type]
        name="Metres", default=1.5, min=0.001, max=9999.0, subtype="DISTANCE", update=redraw,
        description="Distance of the cameras from the avatar's middle",
    )  # fmt: skip
    lens_mm: FloatProperty(  # type: ignore[valid-type]
        name="Lens", default=85.0, min=8.0, max=1000.0, subtype="DISTANCE_CAMERA", update=redraw,
        description="Focal length on a 36 mm sensor; long ones distort the face less",
    )  # fmt: skip
    width: IntProperty(  # type: ignore[valid-type]
        name="Width", default=512, min=16, max=8192, subtype="PIXEL", update=redraw, description="Pixels across"
    )
    height: IntProperty(  # type: ignore[valid-type]
        name="Height", default=512, min=16, max=8192, subtype="PIXEL", update=redraw, description="Pixels down"
    )
    preview: BoolProperty(  # type: ignore[valid-type]
        name="Show Cameras", default=False, update=redraw,
        description="Draw the cameras in the 3D view: training views blue, held-out ones orange",
    )  # fmt: skip


GROUPS = (DigidoubleCameras,)
