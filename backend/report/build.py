# SPDX-License-Identifier: Apache-2.0
"""The report of a double as the commands build it: measured first where that is missing, turntable from the splats."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from backend.evaluation.evaluate import evaluate
from backend.evaluation.results import EVALUATION_FILE
from backend.kernels.engine import CpuEngine
from backend.kernels.parameters import SplatParameters
from interchange.cameras import Camera
from interchange.errors import Progress
from interchange.splats import read_ply

from .pictures import Image
from .write import Render, write_report


def build_report(
    double: Path,
    capture: Path,
    swapped: Path | None = None,
    source: Path | None = None,
    truth: Path | None = None,
    progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Path:
    """Write double/report.html, turntable.webp and strip.png; evaluates the double if nobody has yet.

    Raises InputError for missing or damaged folders, Cancelled when told to stop.
    """
    if not (Path(double) / EVALUATION_FILE).exists():
        evaluate(capture, swapped, double, truth, progress=progress, cancelled=cancelled)
    render = splat_renderer(Path(double) / "splats.ply")
    return write_report(
        double, capture, swapped, truth, source, render=render, progress=progress, cancelled=cancelled
    )


def splat_renderer(ply: Path) -> Render:
    """A function that renders a splat file at cameras of the capture's world: (H, W, 3) 0..1 over black."""
    cloud = read_ply(ply)
    parameters = SplatParameters.from_cloud(cloud)
    engine = CpuEngine(len(cloud), 320, 320, cloud.degree)

    def render(camera: Camera) -> Image:
        return engine.render(parameters, camera.in_splat_frame())[0]

    return render
