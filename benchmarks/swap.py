# SPDX-License-Identifier: Apache-2.0
"""Swappers against the rendered true swap: is it the right face, do the views agree, is it sharp, does the rim show?

Renders a pair of sample avatars in Blender's environment (kept in --folder), swaps with every method, and measures in
all views that show the face. The target's own tone is kept everywhere, because a swap view by view can do no other.
Beside the table a contact sheet is written: look at it.
"""

from __future__ import annotations

import argparse
import importlib.util
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from backend.evaluation.tables import TRUE_SWAP, UNTOUCHED, Row
from backend.faceswap.onnx.models import ModelFolder
from backend.faceswap.registry import OnnxSwapper
from backend.faceswap.settings import SwapSettings
from backend.faceswap.source import Source, load_source
from backend.faceswap.swap import swap
from interchange.capture import Capture

from .bars import Bar, Outcome
from .contact_sheet import contact_sheet, spread_views, write_sheet
from .swap_fits import FITTED, fit_rows
from .swap_flicker import flicker_bars, flicker_rows
from .swap_floor import floor_lines, floor_rows
from .swap_measures import MethodRow, Views, cell, changed_outside, controls, lines_of, measure, over
from .swap_noise import SEEDS, noise_rows
from .swap_onnx import round_trip_lines, round_trips, stand_in_settings, write_stand_ins
from .swap_scene import Scene, SceneSettings, render_scene
from .swap_shape import expression_errors, portraits, shape_bars, shape_lines, shape_rows
from .swap_wobble import FUSED as WOBBLING_FUSED
from .swap_wobble import RAW as WOBBLING
from .swap_wobble import folder_of, summary, wobble_bars, wobble_lines, wobble_rows

Image = npt.NDArray[np.float32]
UV, CLASSICAL, FUSED, OWN_TONE = "uv", "classical", "classical + consistency", "uv, performer's tone"
STAND_IN = "onnx stand-in, changes nothing"
# The truths are renders of the avatar with another skin and its own eyes, so the swaps keep them too.
METHODS: dict[str, dict[str, Any]] = {
    UV: {"swapper": "uv", "tone": 0.0, "eye_colour": 0.0},
    CLASSICAL: {"swapper": "classical", "consistency": False},
    FUSED: {"swapper": "classical", "consistency": True},
    STAND_IN: {"swapper": "onnx", "consistency": False},
    OWN_TONE: {"swapper": "uv", "tone": 1.0, "eye_colour": 0.0},
}
_NOISE_BARS = {1.0: 27.0, 2.0: 25.5}  # pixels: dB
_SHEET_VIEWS = 8
_WOBBLE_SHOWN = 2.0  # pixels


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which scene, where it is kept."""
    parser.add_argument("--folder", type=Path, metavar="DIR", help="keep renders and results here (default: a cache)")
    parser.add_argument("--quick", action="store_true", help="12 + 4 views at 192 pixels, not 40 + 8 at 384")
    parser.add_argument("--makehuman", type=Path, metavar="DIR", help="use MakeHuman heads")
    parser.add_argument("--target", metavar="NAME", help="identity of the target")
    parser.add_argument("--source", metavar="NAME", help="identity of the source")
    parser.add_argument("--sheet", type=Path, metavar="FILE", help="the contact sheet (default: sheet.png in --folder)")
    parser.add_argument("--seeds", type=int, choices=(1, 2, 3), default=len(SEEDS), help="of points found in each view")
    parser.add_argument("--noise", action="store_true", help=f"also landmarks 1 and 2 pixels off, {len(SEEDS)} seeds")
    parser.add_argument("--floor", action="store_true", help="also what the untouched avatar's disagreement is made of")
    parser.add_argument("--shape", action="store_true", help="also with the performer's shape: outlines, expressions")
    parser.add_argument("--fit", action="store_true", help="also fit splats to every method's views (table 1)")


def run(options: argparse.Namespace) -> Outcome:
    """Render, swap, measure; prints the tables as they come."""
    settings = SceneSettings.of(options.target, options.source, options.makehuman, options.quick)
    root = options.folder or Path(tempfile.gettempdir()) / "digidouble-benchmarks" / settings.name
    scene = render_scene(settings, root)
    capture, source = Capture.load(scene.capture), load_source(scene.source)
    models = write_stand_ins(root / "stand_ins") if _has_onnx() else None
    swapped = _swap_all(scene, root, models)
    views = Views.of(capture, scene)
    rgbs = controls(views, Capture.load(scene.truth), source)
    rgbs |= {name: views.of_result(result) for name, result in swapped.items()}
    painted = views.painted_goals(swapped[CLASSICAL])
    rows = measure(views, rgbs, painted)
    outside = {
        name: changed_outside(views, result, name == STAND_IN) for name, result in swapped.items() if name != OWN_TONE
    }
    tables: dict[str, Any] = {"swap": {name: attrs.asdict(row) for name, row in rows.items()}}
    bars = bars_of(rows, outside)
    print("\n".join(lines_of(rows, OWN_TONE)))
    wobbling = wobble_rows(
        scene, root, lambda result: measure(views, {"": views.of_result(result)}, painted)[""], SEEDS[: options.seeds]
    )
    tables["wobble"] = {name: summary(seeds) for name, seeds in wobbling.items()}
    bars += wobble_bars(wobbling, rows[TRUE_SWAP].agreement.change)
    print("\n".join(wobble_lines(wobbling)))
    rgbs |= {title.format(_WOBBLE_SHOWN): views.of_result(Capture.load(folder_of(root, _WOBBLE_SHOWN, SEEDS[0], one)))
             for title, one in ((WOBBLING, False), (WOBBLING_FUSED, True))}  # fmt: skip
    sheet = options.sheet or root / "sheet.png"
    tables["sheet"] = str(sheet)
    _write_sheet(sheet, views, {name: views.displayed(rgb) for name, rgb in rgbs.items()})
    if models is not None:
        bars += _measure_stand_ins(scene, root, views, source, models, tables)
    if options.floor:
        floor = floor_rows(scene, root, views)
        tables["floor"] = floor
        print("\n".join(floor_lines(floor)))
    if options.noise:
        bars += _measure_noise(scene, root, views, tables)
    if options.shape:
        shapes = shape_rows(scene, root, portraits(scene, root))
        errors = expression_errors(scene, root, root / "swapped" / "shape_one_portrait")
        tables["shape"] = {name: attrs.asdict(row) for name, row in shapes.items()}
        bars += shape_bars(shapes, errors)
        print("\n".join(shape_lines(shapes)))
    if options.fit:
        chosen = {name: swapped[name] for name in (*FITTED, STAND_IN) if name in swapped}
        fits = fit_rows(capture, chosen, Capture.load(scene.truth), root)
        tables["fit"] = {name: attrs.asdict(row) for name, row in fits.items()}
        bars += fit_bars(fits)
        print("\n".join(fit_lines(fits)))
    print(f"  contact sheet: {sheet}")
    return Outcome(bars, tables)


def _has_onnx() -> bool:
    missing = [name for name in ("onnx", "onnxruntime") if importlib.util.find_spec(name) is None]
    if missing:
        print(f"  without the rows of the onnx stand-ins: {' and '.join(missing)} not installed", flush=True)
    return not missing


def _swap_all(scene: Scene, root: Path, models: ModelFolder | None) -> dict[str, Capture]:
    swapped = {}
    for name, chosen in METHODS.items():
        settings, swapper = SwapSettings(**chosen), None
        if name == STAND_IN:
            if models is None:
                continue
            settings, swapper = stand_in_settings("blendswap_256", "unchanged"), OnnxSwapper(lambda: models)
        print(f"  swapping: {name}", flush=True)
        folder = root / "swapped" / name.replace(" ", "_").replace(",", "").replace("'", "")
        swap(scene.capture, scene.source, folder, settings, swapper=swapper)
        swapped[name] = Capture.load(folder)
    return swapped


def _measure_stand_ins(
    scene: Scene, root: Path, views: Views, source: Source, models: ModelFolder, tables: dict[str, Any]
) -> list[Bar]:
    """Networks that are none: fills in tables["flicker"] and ["round_trips"], returns the bars."""
    flickering = flicker_rows(scene, root, views, models)
    tables["flicker"] = {name: attrs.asdict(row) for name, row in flickering.items()}
    print("\n".join(lines_of(flickering)))
    trips = round_trips(views.capture, source, models)
    tables["round_trips"] = {name: attrs.asdict(row) for name, row in trips.items()}
    print("\n".join(round_trip_lines(trips)))
    return flicker_bars(flickering)


def _measure_noise(scene: Scene, root: Path, views: Views, tables: dict[str, Any]) -> list[Bar]:
    """Truth PSNR with landmarks off: fills in tables["noise"], returns the bars."""
    bars, tables["noise"] = [], {}
    chosen = {name: METHODS[name] for name in (UV, CLASSICAL, FUSED)}
    for pixels, bar in _NOISE_BARS.items():
        noisy = noise_rows(scene.capture, scene.source, root, chosen, pixels, views.truth_psnr)
        tables["noise"][f"{pixels:g} px"] = {name: attrs.asdict(row) for name, row in noisy.items()}
        bars.append(Bar(f"uv: truth PSNR, landmarks {pixels:g} px off", noisy[UV].mean, "dB", at_least=bar))
        print("\n".join(f"{name + f', {pixels:g} px off':<40}{r.mean:>8.2f} ± {r.sd:.2f} dB"
                        for name, r in noisy.items()))  # fmt: skip
    return bars


def bars_of(rows: Mapping[str, MethodRow], outside: Mapping[str, int]) -> list[Bar]:
    """The bars of the swap."""
    uv, raw, fused = rows[UV], rows[CLASSICAL], rows[FUSED]

    def above(a: float | None, b: float | None) -> float | None:
        return None if a is None or b is None else a - b

    return [
        Bar("uv: reprojection RMSE / untouched", uv.ratio, "x", at_most=1.5),
        Bar("uv: truth PSNR in the face", uv.truth.psnr_face, "dB", at_least=28),
        Bar("classical / + consistency: RMSE of whole pictures", over(raw.agreement.rmse, fused.agreement.rmse), "x"),
        Bar("classical / + consistency: RMSE of the change", over(raw.agreement.change, fused.agreement.change), "x"),
        Bar("classical: levels added to the floor", raw.added, "of 255"),
        Bar("classical + consistency: levels added", fused.added, "of 255"),
        Bar("classical + consistency above classical", above(fused.truth.psnr_face, raw.truth.psnr_face), "dB",
            at_least=2),  # fmt: skip
        Bar("the same where it is painted", above(fused.painted.psnr_face, raw.painted.psnr_face), "dB", at_least=2),
        *[Bar(f"{name}: pixels changed outside the mask", count, "", at_most=0) for name, count in outside.items()],
        Bar("table 2, uv: face", rows[OWN_TONE].source.psnr_face, "dB", at_least=18),
        Bar("table 2, uv: face above untouched",
            above(rows[OWN_TONE].source.psnr_face, rows[UNTOUCHED].source.psnr_face), "dB", at_least=3),
        Bar("table 2, uv: full frame", rows[OWN_TONE].source.psnr, "dB"),
    ]  # fmt: skip


def fit_bars(fits: Mapping[str, Row]) -> list[Bar]:
    """Table 1's bars: the paper's average for Gaussians (41.7 dB), never without sharpness."""
    uv = fits[f"{UV}: fit against its views"]
    return [
        Bar("table 1, uv: full frame", uv.psnr, "dB", at_least=41.7),
        Bar("table 1, uv: SSIM", uv.ssim, "", at_least=0.99),
        Bar("table 1, uv: sharpness", uv.sharpness, "", at_least=0.8),
    ]


def fit_lines(fits: Mapping[str, Row]) -> list[str]:
    """Table 1 for the terminal."""
    lines = [f"{'held-out views':<52}{'PSNR':>7}{'SSIM':>7}{'face':>7}{'sharp':>7}"]
    for name, row in fits.items():
        cells = (cell(row.psnr, 2), cell(row.ssim), cell(row.psnr_face, 2), cell(row.sharpness, 2))
        lines.append(f"{name:<52}" + "".join(f"{text:>7}" for text in cells))
    return lines


def _write_sheet(path: Path, views: Views, pictures: Mapping[str, list[Image]]) -> None:
    forward = np.array([v.camera.forward for v in views.capture.views])
    yaws = np.degrees(np.arctan2(-forward[:, 0], forward[:, 1])).tolist()
    chosen = spread_views(views.faces, yaws, _SHEET_VIEWS)
    rows = {name: [p[i] for i in chosen] for name, p in pictures.items()}
    titles = [f"{views.capture.views[i].name} {yaws[i]:+.0f}" for i in chosen]
    write_sheet(path, contact_sheet(rows, [views.faces[i] for i in chosen], titles))
