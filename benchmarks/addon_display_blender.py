# SPDX-License-Identifier: GPL-3.0-or-later
"""The half of `addon_display` that runs in Blender's environment: one command a figure, JSON or NumPy files out."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from mathutils import Euler, Matrix

from blender_addon.capture.passes import CyclesTap
from blender_addon.capture.scene import set_blender_camera
from blender_addon.display import edits, modes
from blender_addon.display.pointcloud import add_splats
from interchange.cameras import Camera
from interchange.splats import read_splats


def time_import(options: argparse.Namespace) -> dict[str, list[float]]:
    """Seconds from a file to an object that the dependency graph has evaluated, and of going back to points mode."""
    imported, toggled = [], []
    for _ in range(options.rounds):
        scene = _empty()
        start = time.perf_counter()
        cloud = read_splats(options.splats)
        finite = cloud.finite()
        item = add_splats(cloud if finite.all() else cloud.subset(finite), scene)
        bpy.context.view_layer.update()
        imported.append(time.perf_counter() - start)
        modes.show(item, scene, modes.Look(least_opacity=0.5))
        bpy.context.view_layer.update()
        start = time.perf_counter()
        modes.show(item, scene, modes.Look())
        bpy.context.view_layer.update()
        toggled.append(time.perf_counter() - start)
    return {"import": imported, "toggle": toggled}


def draw(options: argparse.Namespace) -> dict[str, float]:
    """Write the linear, premultiplied RGBA of splats as Cycles draws them from a camera (JSON: K, matrix, size)."""
    scene = _empty()
    item = add_splats(read_splats(options.splats), scene)
    said = json.loads(options.camera.read_text())
    camera = Camera(said["K"], said["world_to_camera"], said["width"], said["height"])
    _look_through(scene, camera)
    modes.show(item, scene, modes.Look(modes.SPLATS_MODE, options.shape, as_display=options.raw))
    start = time.perf_counter()
    np.save(options.out, _render(scene, options.samples))
    seconds = time.perf_counter() - start
    if options.applied is not None:
        # turned, moved, enlarged and mirrored: drawn as an object's transform, then as the splats' own
        spot = Matrix.Translation((0.02, 0.01, -0.03)) @ Euler((0.1, -0.2, 0.5)).to_matrix().to_4x4()
        item.matrix_world = spot @ Matrix.Diagonal((-1.1, 1.1, 1.1, 1)) @ item.matrix_world
        bpy.context.view_layer.update()
        before = _render(scene, options.samples)
        edits.apply_transform(item)
        bpy.context.view_layer.update()
        np.save(options.applied, np.stack([before, _render(scene, options.samples)]))
    return {"seconds": seconds}


def _empty() -> Any:
    bpy.ops.wm.read_factory_settings(use_empty=True)
    return bpy.context.scene


def _look_through(scene: Any, camera: Camera) -> None:
    item = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
    scene.collection.objects.link(item)
    set_blender_camera(item, camera)
    scene.camera = item
    scene.render.resolution_x, scene.render.resolution_y = camera.width, camera.height
    scene.render.resolution_percentage = 100


def _render(scene: Any, samples: int) -> Any:
    scene.render.engine, scene.render.film_transparent = "CYCLES", True
    cycles = scene.cycles
    cycles.samples, cycles.use_denoising, cycles.use_adaptive_sampling, cycles.seed = samples, False, False, 0
    cycles.max_bounces = 0
    cycles.min_transparent_bounces = 256  # none by chance: few samples are enough
    with CyclesTap() as tap:
        return tap.render(scene)["Combined"].copy()


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("import")
    command.add_argument("--rounds", type=int, default=5)
    command.set_defaults(run=time_import)
    pictures = commands.add_parser("draw")
    pictures.add_argument("--camera", type=Path, required=True)
    pictures.add_argument("--out", type=Path, required=True)
    pictures.add_argument("--applied", type=Path)
    pictures.add_argument("--samples", type=int, default=4)
    pictures.add_argument("--shape", choices=sorted(modes.SHAPES), default="CARDS")
    pictures.add_argument("--raw", action="store_true")
    pictures.set_defaults(run=draw)
    for item in (command, pictures):
        item.add_argument("--splats", type=Path, required=True)
        item.add_argument("--json", type=Path, required=True)
    options = parser.parse_args()
    options.json.write_text(json.dumps(options.run(options)))


if __name__ == "__main__":
    main()
