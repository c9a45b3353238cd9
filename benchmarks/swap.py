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
import cv2
import numpy as np
import numpy.typing as npt

from backend.evaluation import consistency
from backend.evaluation.controls import pasted_rigidly
from backend.evaluation.tables import MIN_FACE, RIGID, TRUE_SWAP, UNTOUCHED, Goal, Row, score
from backend.faceswap.onnx.models import ModelFolder
from backend.faceswap.registry import OnnxSwapper
from backend.faceswap.settings import SwapSettings
from backend.faceswap.source import Source, load_source
from backend.faceswap.swap import swap
from backend.kernels.mesh_rasterization import interpolate, rasterize
from interchange.capture import Capture, ViewImages
from interchange.mesh import Region

from .bars import Bar, Outcome
from .contact_sheet import contact_sheet, spread_views, write_sheet
from .swap_fits import FITTED, fit_rows
from .swap_noise import SEEDS, noise_rows
from .swap_onnx import round_trip_lines, round_trips, stand_in_settings, write_stand_ins
from .swap_scene import Scene, SceneSettings, render_scene
from .swap_shape import expression_errors, portraits, shape_bars, shape_lines, shape_rows

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
_MASK_REACH = 2  # pixels by which the renderer's pixel filter carries a change past the mask


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which scene, where it is kept."""
    parser.add_argument("--folder", type=Path, metavar="DIR", help="keep renders and results here (default: a cache)")
    parser.add_argument("--quick", action="store_true", help="12 + 4 views at 192 pixels, not 40 + 8 at 384")
    parser.add_argument("--makehuman", type=Path, metavar="DIR", help="use MakeHuman heads")
    parser.add_argument("--target", metavar="NAME", help="identity of the target")
    parser.add_argument("--source", metavar="NAME", help="identity of the source")
    parser.add_argument("--sheet", type=Path, metavar="FILE", help="the contact sheet (default: sheet.png in --folder)")
    parser.add_argument("--noise", action="store_true", help=f"also landmarks 1 and 2 pixels off, {len(SEEDS)} seeds")
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
    views = _Views.of(capture, scene)
    pictures = _pictures(views, swapped, source)
    rows = measure(views, pictures)
    sheet = options.sheet or root / "sheet.png"
    _write_sheet(sheet, views, pictures)
    outside = {name: _changed_outside(views, result) for name, result in swapped.items() if name != OWN_TONE}
    tables: dict[str, Any] = {"swap": {name: attrs.asdict(row) for name, row in rows.items()}, "sheet": str(sheet)}
    bars = bars_of(rows, outside)
    print("\n".join(lines_of(rows)))
    if models is not None:
        trips = round_trips(capture, source, models)
        tables["round_trips"] = {name: attrs.asdict(row) for name, row in trips.items()}
        print("\n".join(round_trip_lines(trips)))
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


def _measure_noise(scene: Scene, root: Path, views: _Views, tables: dict[str, Any]) -> list[Bar]:
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


@attrs.frozen
class MethodRow:
    """truth: against the rendered true swap. source: against the source's own views (table 2). rmse, floor: cross-view
    error in 8-bit levels, and the untouched avatar's. added: what the swap adds to it, in quadrature."""

    truth: Row
    source: Row
    rmse: float | None
    floor: float | None

    @property
    def ratio(self) -> float | None:
        """rmse over floor."""
        return None if self.rmse is None or not self.floor else self.rmse / self.floor

    @property
    def added(self) -> float | None:
        """Levels: sqrt(rmse^2 - floor^2), 0 where the swap disagrees less than the avatar itself."""
        if self.rmse is None or self.floor is None:
            return None
        return float(np.sqrt(max(self.rmse**2 - self.floor**2, 0.0)))


@attrs.frozen(eq=False)
class _Views:
    """All views of the target, with what they are compared to."""

    capture: Capture
    images: list[ViewImages]
    truth: list[Goal]
    source: list[Goal]

    @staticmethod
    def of(capture: Capture, scene: Scene) -> _Views:
        images = [capture.load_view(v) for v in capture.views]
        goals = [
            _goals(capture, images, Capture.load(folder), shared)
            for folder, shared in ((scene.truth, False), (scene.source_views, True))
        ]
        return _Views(capture, images, *goals)

    @property
    def faces(self) -> list[Image]:
        return [i.masks["face"] for i in self.images]

    def truth_psnr(self, result: Capture) -> float:
        """dB in the face against the true swap, mean over views."""
        pictures = [result.load_view(result.view(v.name), ()).display() for v in self.capture.views]
        value = score(pictures, self.truth).psnr_face
        assert value is not None  # some view shows the face, or there would be no swap
        return value


def _goals(capture: Capture, images: list[ViewImages], goal: Capture, shared: bool) -> list[Goal]:
    """shared: measured only where the goal shows a face too, not its hair."""
    result = []
    for view, seen in zip(capture.views, images, strict=True):
        other = goal.load_view(goal.view(view.name), ("mask",))
        face = np.minimum(seen.masks["face"], other.masks["face"]) if shared else seen.masks["face"]
        visible = face.sum() >= MIN_FACE * face.size
        result.append(Goal(other.display(), face if visible else None, seen.masks["skin"], seen.display()))
    return result


def _pictures(views: _Views, swapped: Mapping[str, Capture], source: Source) -> dict[str, list[Image]]:
    meshes = {pose.name: views.capture.load_mesh(pose) for pose in views.capture.poses}
    rigid = []
    for view, images in zip(views.capture.views, views.images, strict=True):
        rgb = pasted_rigidly(source.photos[0], images, meshes[view.pose], view.camera)
        rigid.append(attrs.evolve(images, rgb=rgb).display())
    found = {UNTOUCHED: [i.display() for i in views.images], RIGID: rigid}
    found[TRUE_SWAP] = [np.asarray(goal.picture, np.float32) for goal in views.truth]
    for name, capture in swapped.items():
        found[name] = [capture.load_view(capture.view(v.name), ()).display() for v in views.capture.views]
    return found


def measure(views: _Views, pictures: Mapping[str, list[Image]]) -> dict[str, MethodRow]:
    """A row for each set of pictures; the face's figures over the views that show it."""
    cameras = [v.camera for v in views.capture.views]
    surfaces = [
        consistency.surface(camera, _depth(i), i.masks["face"], i.alpha)
        for camera, i in zip(cameras, views.images, strict=True)
    ]
    pairs = consistency.select_pairs(cameras, [v.pose for v in views.capture.views])
    agreement = consistency.reprojection(surfaces, list(pictures.values()), pairs)
    errors = dict(zip(pictures, agreement.rmse, strict=True))
    return {
        name: MethodRow(score(p, views.truth), score(p, views.source), errors[name], errors[UNTOUCHED])
        for name, p in pictures.items()
    }


def _depth(images: ViewImages) -> Image:
    assert images.depth is not None
    return images.depth


def _changed_outside(views: _Views, result: Capture) -> int:
    """Pixels that a method has changed though no part of the face region comes near them, of all views. The region is
    taken from the mesh without its hair: the rendered mask misses slivers of skin between strands."""
    total = 0
    meshes = {pose.name: views.capture.load_mesh(pose) for pose in views.capture.poses}
    reach = np.ones((2 * _MASK_REACH + 1,) * 2, np.uint8)
    for view, before in zip(views.capture.views, views.images, strict=True):
        mesh = meshes[view.pose]
        bare = mesh.faces[~np.isin(mesh.face_region, (Region.HAIR, Region.LASHES))]
        face = interpolate(rasterize(mesh.vertices, bare, view.camera), mesh.region_face[bare][..., None])[..., 0]
        near = np.maximum((face > 0).astype(np.uint8), before.masks["face"] > 0)
        outside = cv2.dilate(near, reach) == 0
        after = result.load_view(result.view(view.name), ())
        total += int(((before.rgb != after.rgb).any(-1) & outside).sum())
    return total


def bars_of(rows: Mapping[str, MethodRow], outside: Mapping[str, int]) -> list[Bar]:
    """The bars of the swap."""
    uv, raw, fused = rows[UV], rows[CLASSICAL], rows[FUSED]

    def over(a: float | None, b: float | None) -> float | None:
        return None if a is None or not b else a / b

    def above(a: float | None, b: float | None) -> float | None:
        return None if a is None or b is None else a - b

    return [
        Bar("uv: reprojection RMSE / untouched", uv.ratio, "x", at_most=1.5),
        Bar("uv: truth PSNR in the face", uv.truth.psnr_face, "dB", at_least=28),
        Bar("classical / + consistency: reprojection RMSE", over(raw.rmse, fused.rmse), "x", at_least=8),
        Bar("classical: levels added to the floor", raw.added, "of 255"),
        Bar("classical + consistency: levels added", fused.added, "of 255"),
        Bar("classical + consistency above classical", above(fused.truth.psnr_face, raw.truth.psnr_face), "dB",
            at_least=2),  # fmt: skip
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


def lines_of(rows: Mapping[str, MethodRow]) -> list[str]:
    """The table for the terminal."""
    titles = ("SSIM", "RMSE", "/floor", "added", "sharp", "jump")
    head = f"{'':<26}{'truth dB':>14}" + "".join(f"{title:>7}" for title in titles)
    lines = [head + f"{'ring dE':>8}{'table 2 dB':>11}"]
    for name, row in rows.items():
        truth = row.truth
        if name == OWN_TONE:
            truth = Row(psnr=0, ssim=0)  # it is right to differ from a truth in the avatar's tone
        spread = truth.sd.get("psnr_face")
        mean = "-" if truth.psnr_face is None else f"{truth.psnr_face:.2f} ± {spread:.1f}"
        cells = [_cell(truth.ssim_face, 3, 7), _cell(row.rmse, 2, 7), _cell(row.ratio, 2, 7), _cell(row.added, 2, 7),
                 _cell(truth.sharpness, 2, 7), _cell(truth.seam_jump, 2, 7), _cell(truth.seam_difference, 2, 8),
                 _cell(row.source.psnr_face, 2, 11)]  # fmt: skip
        lines.append(f"{name:<26}{mean:>14}" + "".join(cells))
    return lines


def fit_lines(fits: Mapping[str, Row]) -> list[str]:
    """Table 1 for the terminal."""
    lines = [f"{'held-out views':<52}{'PSNR':>7}{'SSIM':>7}{'face':>7}{'sharp':>7}"]
    for name, row in fits.items():
        cells = [_cell(row.psnr, 2, 7), _cell(row.ssim, 3, 7), _cell(row.psnr_face, 2, 7), _cell(row.sharpness, 2, 7)]
        lines.append(f"{name:<52}" + "".join(cells))
    return lines


def _cell(value: float | None, digits: int, width: int) -> str:
    return f"{'-' if value is None else f'{value:.{digits}f}':>{width}}"


def _write_sheet(path: Path, views: _Views, pictures: Mapping[str, list[Image]]) -> None:
    forward = np.array([v.camera.forward for v in views.capture.views])
    yaws = np.degrees(np.arctan2(-forward[:, 0], forward[:, 1])).tolist()
    chosen = spread_views(views.faces, yaws, _SHEET_VIEWS)
    rows = {name: [p[i] for i in chosen] for name, p in pictures.items()}
    titles = [f"{views.capture.views[i].name} {yaws[i]:+.0f}" for i in chosen]
    write_sheet(path, contact_sheet(rows, [views.faces[i] for i in chosen], titles))
