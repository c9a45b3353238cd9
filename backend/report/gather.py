# SPDX-License-Identifier: Apache-2.0
"""What the report shows, read from the folders of a job. Missing parts (truth, swap, source) stay empty."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from backend import provenance
from backend.evaluation import metrics
from backend.evaluation.evaluate import load_render
from backend.evaluation.results import Evaluation, ViewScores
from backend.faceswap.source import read_photo
from interchange.capture import MANIFEST, Capture, View
from interchange.colour import srgb_from_linear
from interchange.errors import InputError
from interchange.landmarks import Points, read_landmarks

from .geometry import Stage, frontal_first, spread_views, stage
from .pictures import Box, Image, head_box

SWAP_REPORT = "swap.json"
STRIP_VIEWS = 5
"""Held-out views that get a before/after strip."""
_LANDMARK_LINES = ((0, 17), (17, 22), (22, 27), (27, 31), (31, 36), (36, 42), (42, 48), (48, 60), (60, 68))
_PORTRAIT = "portrait.png"  # in a folder without landmarks
_CLOSED = {(36, 42), (42, 48), (48, 60), (60, 68)}


@attrs.frozen(eq=False)
class Job:
    """The folders of one job; None where it has no such part."""

    double: Path
    capture: Capture
    swapped: Capture | None
    truth: Capture | None
    source: Path | None
    evaluation: Evaluation
    place: Stage

    @property
    def target_name(self) -> str:
        """The avatar's name, or the capture's."""
        return str(self.capture.avatar.get("name") or self.capture.name)


@attrs.frozen(eq=False)
class Strip:
    """One held-out view: whole pictures, the box to show, error maps in 8-bit levels, its scores."""

    view: View
    azimuth: float
    elevation: float
    pictures: dict[str, Image]
    box: Box
    errors: dict[str, Image]
    scores: ViewScores | None


@attrs.frozen(eq=False)
class Source:
    """The portrait (H, W, 3) and its landmarks as polylines of pixel coordinates, and points (N, 2)."""

    portrait: Image
    points: list[tuple[float, float]]
    lines: list[list[tuple[float, float]]]


def open_job(
    double: Path, capture: Path, swapped: Path | None, truth: Path | None, source: Path | None
) -> Job:
    """Load the manifests and the evaluation. Raises InputError where something that was named is missing or damaged."""
    loaded = Capture.load(capture).of_first_pose()  # one double is one pose
    return Job(
        Path(double),
        loaded,
        Capture.load(swapped) if swapped else None,
        Capture.load(truth) if truth else None,
        Path(source) if source else None,
        Evaluation.load(double),
        stage(loaded),
    )


def load_strips(job: Job, count: int = STRIP_VIEWS) -> list[Strip]:
    """Strips of held-out views spread over the azimuths."""
    chosen = spread_views(job.capture.held_out_views, job.place, count)
    return [load_strip(job, view) for view in chosen]


def frontal_strip(job: Job) -> Strip:
    """The held-out view nearest to the front."""
    return load_strip(job, frontal_first(job.capture.held_out_views, job.place)[0])


def load_strip(job: Job, view: View) -> Strip:
    """All pictures of one held-out view."""
    original = job.capture.load_view(view, ("mask",))
    pictures: dict[str, Image] = {"original": original.display()}
    if job.swapped:
        pictures["swapped"] = job.swapped.load_view(job.swapped.view(view.name), ()).display()
    pictures["fitted"] = load_render(job.double, view)
    if job.truth:
        pictures["truth"] = job.truth.load_view(job.truth.view(view.name), ()).display()
    goal = pictures.get("swapped", pictures["original"])
    errors = {"goal": metrics.error_levels(pictures["fitted"], goal)}
    if job.truth:
        errors["truth"] = metrics.error_levels(pictures["fitted"], pictures["truth"])
    mask = original.masks.get("face")
    scores = next((s for s in job.evaluation.views if s.name == view.name), None)
    return Strip(
        view,
        job.place.azimuth(view.camera),
        job.place.elevation(view.camera),
        pictures,
        head_box(mask, original.alpha),
        errors,
        scores,
    )


def load_source(folder: Path) -> Source | None:
    """The first photo, upright, and its landmarks; None when the folder holds neither."""
    files = sorted(folder.glob("landmarks*.json"))
    image, points = _landmarks(files[0]) if files else (_PORTRAIT, {})
    if not (folder / image).is_file():
        return None
    lines = []
    for first, stop in _LANDMARK_LINES:
        line = [points[i] for i in range(first, stop) if i in points]
        if len(line) == stop - first and (first, stop) in _CLOSED:
            line.append(line[0])
        if len(line) > 1:
            lines.append(line)
    colour, alpha = read_photo(folder / image)
    return Source(colour if alpha is None else colour * alpha[..., None], list(points.values()), lines)


def _landmarks(path: Path) -> tuple[str, Points]:
    try:
        return read_landmarks(path, fewest=0)
    except InputError as error:
        raise InputError(error.message, error.hint or "Mark the points again.") from error


def load_textures(job: Job) -> list[tuple[str, Image]]:
    """The head's base colour before and after the swap, display-referred; only those that exist as pictures."""
    found = []
    for label, capture in (("before", job.capture), ("after", job.swapped)):
        item = next((o for o in capture.objects if o.part == "head"), None) if capture else None
        if capture and item and item.texture and (capture.folder / item.texture).exists():
            found.append((label, srgb_from_linear(capture.load_texture(item)).astype(np.float32)))
    return found


def load_choice(job: Job) -> dict[str, list[tuple[str, str]]] | None:
    """Names of the photos that the swap has kept and left_out, and why, as swap.json tells it; None where it used all
    of them, or nothing is told."""
    try:
        report = json.loads((job.swapped.folder / SWAP_REPORT).read_text(encoding="utf-8")) if job.swapped else {}
        choice = report.get("choice")
        if not choice:
            return None
        return {key: [(str(p["photo"]), str(p.get("reason", ""))) for p in choice[key]] for key in ("kept", "left_out")}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def load_curves(double: Path) -> Mapping[str, Sequence[float]] | None:
    """The training curves; None without a file. Raises InputError when it is damaged."""
    path = double / "curves.json"
    if not path.exists():
        return None
    try:
        curves = json.loads(path.read_text(encoding="utf-8"))
        lengths = {len(curves[key]) for key in ("iteration", "loss", "psnr")}
        clean = {key: [np.nan if v is None else float(v) for v in curves[key]] for key in ("iteration", "loss", "psnr")}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} is damaged ({error!r}).", "Run the fit again.") from error
    if len(lengths) != 1:
        raise InputError(f"{path} is damaged: its curves have different lengths.", "Run the fit again.")
    return clean if lengths != {0} else None


def load_consent(source: Path | None) -> dict[str, Any] | None:
    """What may be shown of the consent record; None without one. The description of the use only where no person is."""
    if source is None or not (source / "consent.json").exists():
        return None
    summary = {"use": None, "granted_by": None} | provenance.consent_summary(source / "consent.json")
    if summary["kind"] == "synthetic":
        record = json.loads((source / "consent.json").read_bytes())
        summary |= {"use": record.get("use"), "granted_by": record.get("granted_by")}
    return summary


def digests(job: Job) -> list[tuple[str, str]]:
    """SHA-256 of the files that everything else hangs on, by name."""
    named = {"capture/capture.json": job.capture.folder / MANIFEST, "double/splats.ply": job.double / "splats.ply"}
    if job.swapped:
        named["swapped/capture.json"] = job.swapped.folder / MANIFEST
    if job.source:
        photos = [_landmarks(path)[0] for path in sorted(job.source.glob("landmarks*.json"))]
        named |= {f"source/{name}": job.source / name for name in (*(photos or [_PORTRAIT]), "consent.json")}
    return [(name, provenance.sha256_file(path)) for name, path in sorted(named.items()) if path.exists()]
