# SPDX-License-Identifier: Apache-2.0
"""A small photo studio around an avatar: three lights, a soft world, a portrait camera, Cycles set-up."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path
from typing import Any

import bpy
import numpy as np
import numpy.typing as npt
from mathutils import Vector

from interchange.png import read_png

from .materials import node_tree

_LIGHTS = {  # place relative to the face (m), power (W), size (m)
    "key": ((0.8, -1.2, 0.6), 14.0, 0.8),
    "fill": ((-1.0, -0.9, 0.2), 6.0, 1.0),
    "rim": ((0.3, 1.1, 0.8), 7.0, 1.2),
}
_BEHIND_EYES = Vector((0.0, 0.055, -0.02))
"""From between the eyes to about the middle of the head, metres."""


def new_studio(size: int = 512, samples: int = 16) -> Any:
    """An empty file with world, camera and render settings; returns the scene. Whatever was open is dropped."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    scene.world = bpy.data.worlds.new("Studio")
    background = next(node for node in node_tree(scene.world).nodes if node.type == "BACKGROUND")
    background.inputs["Color"].default_value = (0.70, 0.75, 0.80, 1.0)
    background.inputs["Strength"].default_value = 0.35
    scene.render.engine = "CYCLES"
    scene.cycles.samples = samples
    scene.cycles.use_adaptive_sampling = False
    scene.cycles.use_denoising = True
    scene.cycles.max_bounces = 3
    scene.render.resolution_x = scene.render.resolution_y = size
    scene.view_settings.view_transform = "Standard"
    camera = bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera"))
    camera.data.lens, camera.data.clip_start = 85.0, 0.01
    scene.collection.objects.link(camera)
    scene.camera = camera
    return scene


def light_face(eye_centre: npt.NDArray) -> None:  # (3,)
    """Key, fill and rim light around a face that looks along -Y."""
    for name, (place, power, size) in _LIGHTS.items():
        lamp = bpy.data.lights.new(name, "AREA")
        lamp.energy, lamp.size = power, size
        obj = bpy.data.objects.new(name, lamp)
        obj.location = Vector(eye_centre) + _BEHIND_EYES + Vector(place)
        obj.rotation_euler = (-Vector(place)).to_track_quat("-Z", "Y").to_euler()
        bpy.context.scene.collection.objects.link(obj)


def aim(eye_centre: npt.NDArray, azimuth: float = 0.0, distance: float = 0.85) -> None:
    """Put the scene's camera at `azimuth` degrees (0 = in front, 90 = at the character's left), metres away."""
    angle = math.radians(azimuth)
    direction = Vector((math.sin(angle), -math.cos(angle), 0.0))
    camera = bpy.context.scene.camera
    camera.location = Vector(eye_centre) + _BEHIND_EYES + direction * distance
    camera.rotation_euler = (-direction).to_track_quat("-Z", "Y").to_euler()


def photograph() -> npt.NDArray[np.uint8]:
    """Render the scene: (H, W, 3) sRGB, row 0 = top."""
    scene = bpy.context.scene
    scene.render.image_settings.file_format = "PNG"
    scene.render.image_settings.color_mode = "RGB"
    scene.render.image_settings.color_depth = "8"
    with tempfile.TemporaryDirectory() as folder:
        scene.render.filepath = str(Path(folder) / "view.png")
        bpy.ops.render.render(write_still=True)
        return read_png(scene.render.filepath)[..., :3]
