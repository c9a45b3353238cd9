# SPDX-License-Identifier: Apache-2.0
"""Contact sheets of avatars: `python -m avatars.procedural.preview --kind procedural --out DIR`.

One PNG an identity: front, 45 degrees, profile, and a row of expressions, rendered with Cycles on the CPU.
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from mathutils import Vector

from interchange.errors import InputError

from .. import SHAPE_KEYS, AvatarHandle, AvatarSpec, build, identities

VIEWS = (0.0, 45.0, 90.0)
_LIGHTS = (((-0.6, -1.0, 0.75), 13.0, 0.4), ((0.9, -0.7, 0.3), 4.5, 0.8), ((0.3, 1.0, 0.8), 9.0, 0.5))


def empty_scene(size: int, samples: int) -> None:
    """A fresh file with a soft world, three lights, a portrait lens and Cycles set up."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    scene.world = bpy.data.worlds.new("World")
    scene.world.use_nodes = True
    background = scene.world.node_tree.nodes["Background"]
    background.inputs["Color"].default_value = (0.30, 0.31, 0.33, 1.0)
    background.inputs["Strength"].default_value = 0.55
    scene.render.engine = "CYCLES"
    scene.cycles.samples = samples
    scene.cycles.use_denoising = True
    scene.cycles.max_bounces = 3
    scene.render.resolution_x = scene.render.resolution_y = size
    scene.view_settings.view_transform = "Standard"
    camera = bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera"))
    camera.data.lens, camera.data.clip_start = 85.0, 0.01
    scene.collection.objects.link(camera)
    scene.camera = camera


def light(around: Vector) -> None:
    """Key, fill and rim light about a point."""
    for place, power, size in _LIGHTS:
        lamp = bpy.data.lights.new("Light", "AREA")
        lamp.energy, lamp.size = power, size
        obj = bpy.data.objects.new("Light", lamp)
        obj.location = around + Vector(place)
        obj.rotation_euler = (-Vector(place)).to_track_quat("-Z", "Y").to_euler()
        bpy.context.scene.collection.objects.link(obj)


def shoot(target: Vector, azimuth: float, distance: float, scratch: Path) -> np.ndarray:
    """One view as (size, size, 4) float32 rows bottom-up; azimuth in degrees, 0 = from the front."""
    scene = bpy.context.scene
    angle = math.radians(azimuth)
    away = Vector((math.sin(angle), -math.cos(angle), 0.0))
    scene.camera.location = target + away * distance
    scene.camera.rotation_euler = (-away).to_track_quat("-Z", "Y").to_euler()
    scene.render.filepath = str(scratch)
    bpy.ops.render.render(write_still=True)
    image = bpy.data.images.load(str(scratch))
    pixels = np.empty(image.size[0] * image.size[1] * 4, np.float32)
    image.pixels.foreach_get(pixels)
    bpy.data.images.remove(image)
    scratch.unlink()
    return pixels.reshape(scene.render.resolution_y, scene.render.resolution_x, 4)


def save(pixels: np.ndarray, path: Path) -> None:
    """Write (h, w, 4) bottom-up display values as PNG."""
    image = bpy.data.images.new("sheet", pixels.shape[1], pixels.shape[0])
    image.pixels.foreach_set(np.ascontiguousarray(pixels, np.float32).ravel())
    image.filepath_raw, image.file_format = str(path), "PNG"
    image.save()
    bpy.data.images.remove(image)


def sheet(handle: AvatarHandle, out: Path) -> None:
    """Views and expressions of an avatar in the current scene, as one PNG."""
    scratch = out.with_suffix(".part.png")
    eyes = Vector(handle.eye_centre)
    light(eyes)
    head = eyes + Vector((0.0, 0.05, -0.045))
    views = [shoot(head, azimuth, 0.98, scratch) for azimuth in VIEWS]
    face = eyes + Vector((0.0, 0.0, -0.035))
    faces = []
    for key in SHAPE_KEYS:
        handle.set_expression({key: 1.0})
        faces.append(shoot(face, 25.0, 0.62, scratch))
        handle.set_expression({key: 0.0})
    size = views[0].shape[0]
    half = size * len(VIEWS) // 4
    small = [_shrunk(tile, half) for tile in faces]
    rows = [np.concatenate(small[4:8], axis=1), np.concatenate(small[:4], axis=1), np.concatenate(views, axis=1)]
    width = min(row.shape[1] for row in rows)
    save(np.concatenate([row[:, :width] for row in rows]), out)


def _shrunk(tile: np.ndarray, size: int) -> np.ndarray:
    take = (np.arange(size) + 0.5) * tile.shape[0] / size
    take = take.astype(np.int64)
    return tile[take][:, take]


def main(arguments: list[str] | None = None) -> int:
    """The command line. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="avatars.procedural.preview", description=__doc__)
    parser.add_argument("--kind", default="procedural", help="procedural or makehuman")
    parser.add_argument("--identity", action="append", help="only this one (may be given again)")
    parser.add_argument("--data", type=Path, help="folder of the MakeHuman files")
    parser.add_argument("--out", type=Path, required=True, help="folder for the PNGs")
    parser.add_argument("--size", type=int, default=384, help="pixels of one view")
    parser.add_argument("--samples", type=int, default=16, help="Cycles samples a pixel")
    parser.add_argument("--seed", type=int, default=0, help="small variations of shape and skin")
    options: Any = parser.parse_args(arguments)
    try:
        options.out.mkdir(parents=True, exist_ok=True)
        for identity in options.identity or identities(options.kind, options.data):
            empty_scene(options.size, options.samples)
            spec = AvatarSpec(options.kind, identity, "Preview", seed=options.seed, data_dir=options.data)
            path = options.out / f"{identity}.png"
            sheet(build(spec), path)
            print(path)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
