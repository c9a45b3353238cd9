# SPDX-License-Identifier: Apache-2.0
"""Doubles in Blender: seconds to import, Cycles' picture of splats against the rasterizer's, Apply Transform."""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from backend.blender_process import run_blender
from backend.evaluation.metrics import psnr
from backend.fitting.fit import fit
from backend.fitting.settings import FitSettings
from backend.kernels.engine import CpuEngine
from backend.kernels.parameters import SplatParameters
from interchange.cameras import Camera
from interchange.capture import Capture
from interchange.colour import srgb_from_linear
from interchange.errors import InputError
from interchange.png import write_png
from interchange.splats import SplatCloud, read_splats, write_splats

from .bars import Bar

SIZE, SPLATS, SAMPLES = 256, 20_000, 2
_IMPORTS = ((1_000_000, 0), (200_000, 3))
Array = np.ndarray[Any, Any]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this benchmark."""
    parser.add_argument("--capture", type=Path, metavar="DIR", help="a capture, to judge pictures of a double of it")
    parser.add_argument("--double", type=Path, metavar="FILE", help="its double (default: one is fitted)")
    parser.add_argument("--pictures", type=Path, metavar="DIR", help="where to write side-by-side pictures")


def run(options: argparse.Namespace) -> list[Bar]:
    """Import times always; pictures where a capture is given."""
    with tempfile.TemporaryDirectory() as folder:
        bars = list(import_bars(Path(folder)))
        if options.capture:
            bars += picture_bars(Path(folder), options.capture, options.double, options.pictures)
    return bars


def import_bars(folder: Path) -> Iterator[Bar]:
    """PLY files of a million splats of degree 0 and 200,000 of degree 3: best of five rounds, and their median."""
    for count, degree in _IMPORTS:
        rng = np.random.default_rng(0)
        path = folder / "many.ply"
        write_splats(path, SplatCloud(
            rng.normal(0, 0.2, (count, 3)), rng.normal(-5, 0.5, (count, 3)), rng.normal(size=(count, 4)),
            rng.normal(0, 2, count), rng.normal(0, 0.2, (count, (degree + 1) ** 2, 3)),
        ))  # fmt: skip
        seconds = _in_blender(folder, "import", "--splats", path)
        name = f"{count // 1000}k splats, SH {degree}"
        yield Bar(f"PLY to object, {name}, best", min(seconds["import"]), "s", at_most=2.0)
        yield Bar(f"PLY to object, {name}, typical", median(seconds["import"]), "s", at_most=2.0)
        yield Bar(f"to points mode, {name}, best", min(seconds["toggle"]), "s", at_most=0.2)
        yield Bar(f"to points mode, {name}, typical", median(seconds["toggle"]), "s", at_most=0.2)


def picture_bars(folder: Path, captured: Path, double: Path | None, pictures: Path | None) -> list[Bar]:
    """A held-out view of a double, by Cycles and by the rasterizer; and Apply Transform before and after.

    Both pictures are display-referred over black. Raises InputError for a capture without held-out views.
    """
    capture = Capture.load(captured)
    if not capture.held_out_views:
        raise InputError(f"{captured} has no held-out views.", "Capture with some.")
    if double is None:
        double = fit(captured, folder / "fit", FitSettings(splats=SPLATS, iterations=600)).folder / "splats.ply"
    cloud = read_splats(double)
    view = min(capture.held_out_views, key=lambda v: v.camera.position[1])  # the face is along -y
    camera = view.camera.scaled(SIZE / max(view.camera.width, view.camera.height))
    said = {"K": camera.K.tolist(), "world_to_camera": camera.world_to_camera.tolist(), "width": camera.width,
            "height": camera.height}  # fmt: skip
    (folder / "camera.json").write_text(json.dumps(said))
    wanted = _rasterized(cloud, camera)
    bars, shown = [Bar("splats of the double", len(cloud))], [wanted]
    ways: dict[str, list[str]] = {
        "cards": ["--applied", str(folder / "applied.npy")], "balls": ["--shape", "BALLS"], "cards for Raw": ["--raw"]
    }  # fmt: skip
    for name, extra in ways.items():
        files = ["--camera", str(folder / "camera.json"), "--out", str(folder / "drawn.npy"), "--samples", str(SAMPLES)]
        result = _in_blender(folder, "draw", "--splats", double, *files, *extra)
        drawn = _display(np.load(folder / "drawn.npy"), raw="Raw" in name)
        bars.append(Bar(f"Cycles against the rasterizer, {name}", psnr(drawn, wanted), "dB",
                        at_least=24.0 if name == "cards" else None))  # fmt: skip
        bars.append(Bar(f"Cycles, {name}, {SIZE} x {SIZE}, {SAMPLES} samples", result["seconds"], "s"))
        shown.append(drawn)
    before, after = (_display(picture, raw=False) for picture in np.load(folder / "applied.npy"))
    bars.append(Bar("Apply Transform, before against after", psnr(before, after), "dB", at_least=45.0))
    if pictures is not None:
        pictures.mkdir(parents=True, exist_ok=True)
        difference = np.clip(4 * np.abs(shown[1] - wanted), 0, 1)
        row = np.concatenate([wanted, shown[1], difference], axis=1)
        write_png(pictures / "splats_in_cycles.png", np.rint(row * 255).astype(np.uint8))
    return bars


def _rasterized(cloud: SplatCloud, camera: Camera) -> Array:
    engine = CpuEngine(len(cloud), camera.width, camera.height, cloud.degree)
    return np.clip(engine.render(SplatParameters.from_cloud(cloud), camera.in_splat_frame())[0], 0, 1)


def _display(picture: Array, *, raw: bool) -> Array:
    """Over black, as an 8-bit PNG with alpha from Blender is shown: encoded first, then multiplied by alpha."""
    rgb, alpha = picture[..., :3], np.clip(picture[..., 3:], 0, 1)
    if raw:
        return np.clip(rgb, 0, 1)
    return np.asarray(srgb_from_linear(np.clip(rgb / np.maximum(alpha, 1e-6), 0, 1)) * alpha)


def _in_blender(folder: Path, command: str, *arguments: str | Path) -> dict[str, Any]:
    out = folder / "figures.json"
    run_blender("benchmarks.addon_display_blender", [command, *arguments, "--json", out])
    return dict(json.loads(out.read_text()))
