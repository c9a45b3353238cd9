# SPDX-License-Identifier: GPL-3.0-or-later
"""How and where a capture is rendered, and in which poses."""

from __future__ import annotations

from typing import Any

import bpy
from bpy.props import (
    BoolProperty,
    CollectionProperty,
    EnumProperty,
    FloatProperty,
    IntProperty,
    PointerProperty,
    StringProperty,
)

from ..redrawing import redraw

LAYERS = (
    ("albedo", "Colour", "The skin's own colour without light; a face swap needs it"),
    ("light", "Light", "The light that falls on the surface; a face swap needs it"),
    ("depth", "Depth", "Distance from the camera; the fit and the swap use it"),
    ("normal", "Normals", "Which way the surface looks"),
    ("uv", "UV", "Where on the texture each pixel lies; a face swap needs it"),
)
POSES = (
    ("CURRENT", "As It Stands", "One pose: the avatar as it is at the current frame", "ARMATURE_DATA", 0),
    ("FRAMES", "Frames", "A range of frames of the timeline", "TIME", 1),
    ("ACTIONS", "Actions", "Frames out of chosen actions", "ACTION", 2),
    ("EXPRESSIONS", "Expressions", "Random expressions out of the avatar's shape keys", "SHAPEKEY_DATA", 3),
)


class DigidoubleAction(bpy.types.PropertyGroup):
    """One action of the list."""

    action: PointerProperty(type=bpy.types.Action, name="Action", description="An action to take poses from")  # type: ignore[valid-type]


class DigidoubleCapture(bpy.types.PropertyGroup):
    """How and where a capture is rendered, and in which poses."""

    engine: EnumProperty(  # type: ignore[valid-type]
        name="Engine", default="CYCLES", update=redraw,
        items=(("CYCLES", "Cycles", "Path tracing: exact light and edges"),
               ("EEVEE", "EEVEE", "Fast on a graphics card; light is less exact")),
        description="What renders the views",
    )  # fmt: skip
    samples: IntProperty(  # type: ignore[valid-type]
        name="Samples", default=32, min=1, max=65536, soft_max=1024, update=redraw,
        description="Samples a pixel: more are cleaner and take longer",
    )  # fmt: skip
    bounces: IntProperty(  # type: ignore[valid-type]
        name="Bounces", default=1, min=0, max=64, description="How often light is passed on between surfaces (Cycles)"
    )
    denoise: BoolProperty(  # type: ignore[valid-type]
        name="Denoise", default=True, description="Clean the pictures with OpenImageDenoise (Cycles)"
    )
    layers: EnumProperty(  # type: ignore[valid-type]
        name="Passes", items=LAYERS, options={"ENUM_FLAG"}, default={name for name, _, _ in LAYERS}, update=redraw,
        description="What is written beside the picture and its masks. A swap needs colour, light, depth and UV",
    )  # fmt: skip
    poses: EnumProperty(name="Poses", items=POSES, default="CURRENT", update=redraw)  # type: ignore[valid-type]
    frame_start: IntProperty(name="Start", default=1, update=redraw, description="First frame")  # type: ignore[valid-type]
    frame_end: IntProperty(name="End", default=10, update=redraw, description="Last frame")  # type: ignore[valid-type]
    frame_step: IntProperty(  # type: ignore[valid-type]
        name="Step", default=1, min=1, update=redraw, description="Frames from one pose to the next"
    )
    actions: CollectionProperty(type=DigidoubleAction)  # type: ignore[valid-type]
    per_action: IntProperty(  # type: ignore[valid-type]
        name="Poses Each", default=4, min=1, max=1000, update=redraw, description="Poses taken out of each action"
    )
    expression_count: IntProperty(  # type: ignore[valid-type]
        name="Expressions", default=8, min=1, max=1000, update=redraw,
        description="How many; the first is the neutral face",
    )  # fmt: skip
    expression_keys: IntProperty(  # type: ignore[valid-type]
        name="Keys Each", default=3, min=1, max=50, description="Up to how many shape keys are mixed at a time"
    )
    expression_strength: FloatProperty(  # type: ignore[valid-type]
        name="Strength", default=0.8, min=0.05, max=1.0, subtype="FACTOR",
        description="How far a shape key goes at most",
    )  # fmt: skip
    expression_seed: IntProperty(  # type: ignore[valid-type]
        name="Seed", default=0, min=0, description="The same seed gives the same expressions"
    )
    spread: EnumProperty(  # type: ignore[valid-type]
        name="Views", default="EVERY", update=redraw,
        items=(("EVERY", "Every Camera for Each Pose", "The whole rig sees each pose"),
               ("SPREAD", "Spread Cameras over Poses", "Each pose is seen by its share of the cameras")),
        description="Which cameras see which pose",
    )  # fmt: skip
    without_landmarks: BoolProperty(  # type: ignore[valid-type]
        name="Without Landmarks", default=False,
        description="Capture an avatar without face landmarks; its face cannot be swapped then",
    )  # fmt: skip
    folder: StringProperty(  # type: ignore[valid-type]
        name="Folder", subtype="DIR_PATH", update=redraw,
        description="Where the capture goes. Empty: beside the .blend file",
    )  # fmt: skip
    pace: FloatProperty(default=0.0, min=0.0, options={"HIDDEN"})  # type: ignore[valid-type]

    def chosen_actions(self) -> list[Any]:
        """The actions of the list, each once."""
        found: list[Any] = []
        for item in self.actions:
            if item.action is not None and item.action not in found:
                found.append(item.action)
        return found


GROUPS = (DigidoubleAction, DigidoubleCapture)
