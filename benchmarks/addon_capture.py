# SPDX-License-Identifier: GPL-3.0-or-later
"""A capture against a bare script that renders the same views with the same settings, memory over many views, and
cameras against Blender's own projection.

Runs in a Python that has bpy: `python benchmarks/addon_capture.py --json FILE`, from the repository's root. The bare
script sets a camera, calls Blender's render operator and has Blender write its own multilayer EXR, with the same
passes, nothing else: no masks, no exact UVs, no preview, no resuming. Wall time is taken in turns, capture and bare
script, and the medians are compared; processor time is given beside it, as it does not depend on what else runs.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))


def measure(
    folder: Path, rounds: int = 3, views: int = 16, size: int = 256, samples: int = 32, many: int = 100
) -> dict[str, float]:
    """Figures of the stand-in avatar: overhead (share of the bare script's wall time), overhead_cpu, seconds a view of
    both, and growth_mb, resident memory from the tenth to the last of `many` views at 128 pixels; camera_error_px, see
    `camera_error`; camera_error_large_px, see `camera_error_large`.
    """
    import bpy

    from blender_addon.capture.capture import CaptureJob
    from blender_addon.capture.rigs import Dome
    from blender_addon.capture.settings import CaptureSettings, RenderSettings
    from blender_addon.jobs.machine import run
    from tests.blender_addon.standin import build_standin

    bpy.ops.wm.read_factory_settings(use_empty=True)
    build_standin("A", segments=96, image_size=1024)
    _light(bpy)
    settings = CaptureSettings(rig=Dome(views, 0), render=RenderSettings(size=size, samples=samples))
    times: dict[str, list[tuple[float, float]]] = {"capture": [], "bare": []}
    _bare(bpy, folder / "warm", settings, 1)  # the first render of a process loads kernels
    for number in range(rounds):
        job = CaptureJob(folder / f"capture{number}", settings, bpy.context)
        times["capture"].append(_timed(lambda job=job: run(job, "capture")))  # type: ignore[misc]
        times["bare"].append(_timed(lambda n=number: _bare(bpy, folder / f"bare{n}", settings, views)))  # type: ignore[misc]
    walls = {name: median(wall for wall, _ in found) for name, found in times.items()}
    cpus = {name: median(cpu for _, cpu in found) for name, found in times.items()}
    tiny = CaptureSettings(rig=Dome(many, 0), render=RenderSettings(size=128, samples=1))
    return {
        "overhead": walls["capture"] / walls["bare"] - 1,
        "overhead_cpu": cpus["capture"] / cpus["bare"] - 1,
        "capture_s_a_view": walls["capture"] / views,
        "bare_s_a_view": walls["bare"] / views,
        "growth_mb": _growth(CaptureJob(folder / "many", tiny, bpy.context)),
        "many": many,
        "camera_error_px": camera_error(),
        "camera_error_large_px": camera_error_large(),
    }


def camera_error() -> float:
    """Largest distance in pixels between our projection of points and Blender's (calc_matrix_camera): all sensor fits,
    portrait, shifts, pixel aspect, parents, scale. The cases are the tests', see there why pictures are small.
    """
    import bpy
    import numpy as np

    from blender_addon.capture.rig_cameras import read_camera
    from tests.blender_addon import test_projection as cases

    worst = 0.0
    for fit in cases.FITS:
        bpy.ops.wm.read_factory_settings(use_empty=True)
        scene = bpy.context.scene
        worst = max(worst, cases.worst_error(cases.make_camera(scene), scene, fit, cases.EXACT))
    for kind in ("parent", "uniform parent", "scaled camera", "offset parent"):
        bpy.ops.wm.read_factory_settings(use_empty=True)
        scene = bpy.context.scene
        item = cases.make_camera(scene)
        cases.place_under_parents(scene, item, kind)
        scene.render.resolution_x, scene.render.resolution_y = 8, 16
        bpy.context.view_layer.update()
        points = cases.near_points(item)
        ours, _ = read_camera(item, 8, 16).project(points)
        worst = max(worst, float(np.abs(ours - cases.blenders_pixels(item, scene, points)).max()))
    return worst


def camera_error_large() -> float:
    """The same at 1920 and 4096 pixels, where Blender's matrix rounds too much to be the judge: against Blender's
    formulas in double precision.
    """
    import bpy

    from tests.blender_addon import test_projection as cases

    worst = 0.0
    for fit in cases.FITS:
        bpy.ops.wm.read_factory_settings(use_empty=True)
        scene = bpy.context.scene
        worst = max(worst, cases.worst_of_large(cases.make_camera(scene), scene, fit)[0])
    return worst


def _timed(work: Callable[[], Any]) -> tuple[float, float]:
    """Wall and processor seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def _light(bpy: Any) -> None:
    """A lamp and a world, so that neither side has to put up lights."""
    lamp = bpy.data.objects.new("lamp", bpy.data.lights.new("lamp", "AREA"))
    bpy.context.scene.collection.objects.link(lamp)
    lamp.location, lamp.rotation_euler, lamp.data.energy = (0.5, -2.0, 1.0), (1.2, 0.0, 0.2), 40.0
    bpy.context.scene.world = bpy.data.worlds.new("world")


def _bare(bpy: Any, folder: Path, settings: Any, views: int) -> None:
    """The bare script: settings, a camera, Blender's own render and file, view after view."""
    from blender_addon import compat
    from blender_addon.capture.planning import plan_views
    from blender_addon.capture.restore import Restore
    from blender_addon.capture.scene import CameraMan, set_up_render
    from blender_addon.capture.stage import Stage

    plan = plan_views(bpy.context, settings)
    with Restore() as restore:
        stage = Stage(restore, bpy.context.scene, bpy.context.view_layer)
        set_up_render(stage, settings.render, waits=True)
        image = stage.scene.render.image_settings
        compat.use_multilayer_exr(image)
        image.color_depth, image.exr_codec = "16", "ZIP"
        camera_man = CameraMan(restore, stage)
        for view in plan.views[:views]:
            camera_man.place(view.camera)
            stage.scene.render.filepath = str(folder / f"{view.name}.exr")
            with bpy.context.temp_override(scene=stage.scene):
                bpy.ops.render.render(write_still=True)


def _growth(job: Any) -> float:
    """Megabytes of resident memory from the tenth view to the last."""
    early = late = 0.0
    try:
        while job.step():
            if len(job.rendered) == 10:
                early = _resident_mb()
            late = _resident_mb()
    finally:
        job.close()
    return late - early


def _resident_mb() -> float:
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return pages * resource.getpagesize() / 1e6


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures to this file")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="captures and bare scripts in turn")
    parser.add_argument("--views", type=int, default=16, metavar="N", help="a capture")
    parser.add_argument("--size", type=int, default=256, metavar="PIXELS", help="edge of a picture")
    parser.add_argument("--samples", type=int, default=32, metavar="N", help="a pixel")
    parser.add_argument("--many", type=int, default=100, metavar="N", help="views over which memory is watched")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(Path(folder), options.rounds, options.views, options.size, options.samples, options.many)
    for name, value in figures.items():
        print(f"FIGURE {name} {value:.4f}")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
