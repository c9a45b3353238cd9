# SPDX-License-Identifier: Apache-2.0
"""Writes double/report.html with everything in it, double/turntable.webp and double/strip.png."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jinja2
import markupsafe
import numpy as np

from backend import provenance
from backend.evaluation.bars import bars, headlines
from backend.evaluation.results import STAGES
from interchange.cameras import Camera
from interchange.errors import Cancelled, InputError, Progress

from . import gather, pictures, plots
from .geometry import turntable_cameras

REPORT, TURNTABLE, STRIP = "report.html", "turntable.webp", "strip.png"
LIMIT_BYTES = 8_000_000
Render = Callable[[Camera], pictures.Image]
_STRIP_SIDE = 384  # pixels: twice what a strip's picture takes on the widest page, for dense screens
_LABELS = {"original": "Original", "swapped": "Swapped", "fitted": "Fitted double", "truth": "True swap"}
_STAGE_WORDS = {
    "install": "installation", "capture": "capture in Blender", "transfer": "transfer", "swap": "face swap",
    "fit": "fit", "import": "import into Blender",
}  # fmt: skip


def write_report(
    double_folder: Path,
    capture_folder: Path,
    swapped_folder: Path | None = None,
    truth_folder: Path | None = None,
    source_folder: Path | None = None,
    render: Render | None = None,
    versions: Mapping[str, str] | None = None,
    created: datetime | None = None,
    progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Path:
    """Write the report of an evaluated double (metrics.json and evaluation.json must exist) and return its path.

    render: camera (Blender world, like those of the capture) -> (H, W, 3) display-referred 0..1 over black; draws the
    turntable. Without it an existing turntable.webp is shown, or none. versions: what to name as software; by default
    what is installed. Raises InputError for damaged or missing files, Cancelled when told to stop; an earlier report
    stays until the new one is complete.
    """
    tell, stop = progress or (lambda *_: None), cancelled or (lambda: False)
    tell("report", 0.0, "reading the job")
    job = gather.open_job(double_folder, capture_folder, swapped_folder, truth_folder, source_folder)
    if not job.capture.held_out_views:
        raise InputError(f"The capture {capture_folder} has no held-out views.", "Capture again with some held out.")
    if render is not None:
        _turntable(job, render, tell, stop)
    tell("report", 0.6, "pictures")
    source = gather.load_source(job.source) if job.source else None
    hero = gather.frontal_strip(job)
    pictures.save_strip(job.double / STRIP, _hero_panels(job, hero, source))
    if stop():
        raise Cancelled
    context = _context(job, hero, source)
    context["versions"] = dict(versions or provenance.software_versions())
    context["created"] = (created or datetime.now(UTC)).astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
    tell("report", 0.9, "page")
    page = _environment().get_template("report.html.j2").render(context)
    path = job.double / REPORT
    temporary = path.with_name(path.name + ".part")
    temporary.write_text(page, encoding="utf-8")
    os.replace(temporary, path)
    tell("report", 1.0, f"{path.name} written")
    return path


def _turntable(job: gather.Job, render: Render, tell: Progress, stop: Callable[[], bool]) -> None:
    frames = []
    cameras = turntable_cameras(job.capture, job.place)
    for index, camera in enumerate(cameras):
        if stop():
            raise Cancelled
        tell("report", 0.6 * index / len(cameras), "turntable")
        frames.append(np.asarray(render(camera), np.float32))
    pictures.save_turntable(job.double / TURNTABLE, frames)


def _hero_panels(
    job: gather.Job, hero: gather.Strip, source: gather.Source | None
) -> list[tuple[str, pictures.Image]]:
    """Original, source, swapped and fitted, all cropped to the head."""
    shown = {name: pictures.crop(picture, hero.box) for name, picture in hero.pictures.items()}
    panels = [("Target, as captured", shown["original"])]
    if source:
        panels.append(("Source portrait", _head_of(source)))
    if "swapped" in shown:
        panels.append(("Swapped", shown["swapped"]))
    return [*panels, ("Fitted double", shown["fitted"])]


def _head_of(source: gather.Source) -> pictures.Image:
    """The portrait cropped to the landmarks, framed like the views."""
    if len(source.points) < 5:
        return source.portrait
    mask = np.zeros(source.portrait.shape[:2])
    points = np.array(source.points)
    low = np.clip(np.floor(points.min(axis=0)).astype(int), 0, None)
    high = np.ceil(points.max(axis=0)).astype(int)
    tall = high[1] - low[1]
    mask[max(low[1] - tall // 3, 0) : high[1] + 1, low[0] : high[0] + 1] = 1  # landmarks end at the brows
    return pictures.crop(source.portrait, pictures.head_box(mask, mask))


def _context(job: gather.Job, hero: gather.Strip, source: gather.Source | None) -> dict[str, Any]:
    evaluation, curves = job.evaluation, gather.load_curves(job.double)
    strips = gather.load_strips(job)
    scales = {
        kind: pictures.error_scale([pictures.crop(s.errors[kind], s.box) for s in strips]) for kind in hero.errors
    }
    turntable = job.double / TURNTABLE
    consent = gather.load_consent(job.source)
    networks = provenance.networks_of(job.swapped.folder if job.swapped else None)
    return {
        "target": job.target_name,
        "source_name": consent["subject"] if consent else None,
        "swap": job.swapped is not None,
        "consent": consent,
        "metrics": evaluation.metrics,
        "evaluation": evaluation,
        "headlines": headlines(evaluation),
        "bars": bars(evaluation),
        "hero": [{"label": t, "src": pictures.data_uri(p, longest=480)} for t, p in _hero_panels(job, hero, source)],
        "strips": [_strip_context(s, scales) for s in strips],
        "strip_columns": 0 if not strips else len(strips[0].pictures) + len(strips[0].errors),
        "scales": scales,
        "gradient": pictures.error_gradient(),
        "turntable": pictures.bytes_uri(turntable.read_bytes(), "image/webp") if turntable.exists() else None,
        "curves": [_svg(p) for p in plots.training_curves(curves)] if curves else [],
        "seconds": None if not curves else evaluation.metrics.timing_s.get("fit"),
        "azimuth_plot": _azimuth_plot(job),
        "camera_map": [_svg(p) for p in plots.camera_map(job.capture.views, job.place)],
        "source": _source_context(source) if source else None,
        "choice": gather.load_choice(job),
        "textures": [
            {"label": label, "src": pictures.data_uri(t, longest=512)} for label, t in gather.load_textures(job)
        ],
        "timings": _timing_context(evaluation.metrics.timing_s),
        "digests": gather.digests(job),
        "source_type": provenance.source_type(job.swapped is not None, networks).rsplit("/", 1)[-1],
        "actions": provenance.default_actions(
            job.swapped is not None, networks=networks, views=provenance.views_action(job.capture.folder),
            swapped=provenance.swap_action(job.swapped.folder if job.swapped else None),
        ),
        "engine": provenance.engine_sentence(job.double),
        "renderer": {k: v for k, v in job.capture.renderer.items() if isinstance(v, (str, int, float, bool))},
    }


def _strip_context(strip: gather.Strip, scales: Mapping[str, int]) -> dict[str, Any]:
    shown = [
        {"label": _LABELS[name], "src": pictures.data_uri(pictures.crop(picture, strip.box), longest=_STRIP_SIDE)}
        for name, picture in strip.pictures.items()
    ]
    for kind, levels in strip.errors.items():
        part = pictures.crop(levels, strip.box)
        image = pictures.error_picture(part, scales[kind])
        against = "truth" if kind == "truth" else ("swapped" if "swapped" in strip.pictures else "original")
        label = f"Error to {against}"
        shown.append({"label": label, "src": pictures.data_uri(image, lossless=True, longest=_STRIP_SIDE)})
    return {"name": strip.view.name, "azimuth": strip.azimuth, "elevation": strip.elevation, "pictures": shown,
            "scores": strip.scores}  # fmt: skip


def _azimuth_plot(job: gather.Job) -> markupsafe.Markup | None:
    """None with fewer than three views that show the face: no trend to see."""
    scores = {s.name: s for s in job.evaluation.views if s.psnr_face is not None}
    views = [v for v in job.capture.held_out_views if v.name in scores]
    if len(views) < 3:
        return None
    azimuths = [job.place.azimuth(v.camera) for v in views]
    goal = "swapped views" if job.swapped else "capture"
    series: dict[str, list[float | None]] = {f"fit against {goal}": [scores[v.name].psnr_face for v in views]}
    if job.truth:
        series["fit against true swap"] = [scores[v.name].truth_psnr_face for v in views]
        series["untouched avatar"] = [scores[v.name].untouched_psnr_face for v in views]
    return _svg(plots.scores_by_azimuth(azimuths, series))


def _source_context(source: gather.Source) -> dict[str, Any]:
    height, width = source.portrait.shape[:2]
    lines = [" ".join(f"{x:.1f},{y:.1f}" for x, y in line) for line in source.lines]
    return {
        "src": pictures.data_uri(source.portrait, longest=640),
        "width": width,
        "height": height,
        "points": source.points,
        "lines": lines,
        "unit": max(width, height) / 300,
    }


def _timing_context(timings: Mapping[str, float | None]) -> dict[str, Any]:
    """Stages with their share of the longest; the total is the measured one, or the sum of what is known."""
    known = [(stage, timings.get(stage)) for stage in STAGES if stage != "total"]
    longest = max([s for _, s in known if s is not None], default=0.0)
    rows = [
        {"stage": stage, "words": _STAGE_WORDS[stage], "seconds": seconds, "share": (seconds or 0) / (longest or 1)}
        for stage, seconds in known
    ]
    return {"rows": rows, "total": timings.get("total"), "any": longest > 0}


def _svg(text: str) -> markupsafe.Markup:
    return markupsafe.Markup(text)


def _environment() -> jinja2.Environment:
    loader = jinja2.FileSystemLoader(Path(__file__).parent / "templates")
    environment = jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["number"] = lambda value, digits=2: "–" if value is None else f"{value:.{digits}f}"
    environment.filters["duration"] = _duration
    environment.filters["thousands"] = lambda value: f"{value:,}".replace(",", "\u202f")
    return environment


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "–"
    if seconds < 90:
        return f"{seconds:.1f} s"
    return f"{int(seconds // 60)} min {round(seconds % 60):02d} s"
