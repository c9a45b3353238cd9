# SPDX-License-Identifier: Apache-2.0
"""The evaluation of a double: folders in, metrics.json and evaluation.json out (protocol: docs/formats/double.md).

Three questions, kept apart because each alone can be fooled. *held_out*: does the fit reproduce the pictures that it
was made from, at cameras it never saw? (Blur helps; identity does not matter.) *truth*: is it the right face, against
B's skin rendered on A's mesh? *consistency*: did the pictures agree with each other in the first place?
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import attrs
import numpy as np
import numpy.typing as npt

from backend.faceswap.source import list_source, load_photo
from backend.kernels.exr_blocks import BLOCKS
from interchange.capture import Capture, View, ViewImages
from interchange.errors import InputError, Progress
from interchange.png import read_png

from . import consistency, metrics, tables
from .held_out_tables import held_out_tables
from .perceptual import Judges, find_judges
from .results import (
    CrossView,
    Evaluation,
    HeldOut,
    Metrics,
    Perceptual,
    Truth,
    ViewCounts,
    ViewScores,
    empty_timings,
    merged_timings,
    rounded,
)
from .side_by_side import side_by_side

Image = npt.NDArray[np.float32]
Renders = Mapping[str, Image]
_LAYERS = ("depth", "mask")
@attrs.frozen(eq=False)
class _Folders:
    capture: Capture
    swapped: Capture
    truth: Capture | None
    double: Path


def evaluate(
    capture_folder: Path,
    swapped_folder: Path | None,
    double_folder: Path,
    truth_folder: Path | None = None,
    renders: Renders | None = None,
    timings: Mapping[str, float | None] | None = None,
    progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
    lpips: Path | None = None,
    source_folder: Path | None = None,
    source_views_folder: Path | None = None,
) -> Evaluation:
    """Measure a double and write double/metrics.json and double/evaluation.json.

    capture_folder: the untouched avatar. swapped_folder: what the fit was made from; None for a plain fit of the
    capture. truth_folder: the true swap's held-out views, in capture form; None where no truth exists. renders: the
    fit's held-out pictures by view name, (H, W, 3) display-referred 0..1 over black; None reads
    double/renders/<view>.png. timings: seconds by stage, merged over those that metrics.json already holds.
    lpips: the user's ONNX weights of LPIPS; None leaves that figure out. source_folder: the photo, for the control that
    pastes it rigidly. source_views_folder: the source's own avatar seen by the same cameras, for table 2. Raises
    InputError for missing or damaged files or pictures of the wrong size, Cancelled when told to stop.
    """
    tell, stop = progress or (lambda *_: None), cancelled or (lambda: False)
    judges = find_judges(lpips)
    capture = Capture.load(capture_folder).of_first_pose()  # one double is one pose
    folders = _Folders(
        capture,
        Capture.load(swapped_folder) if swapped_folder else capture,
        Capture.load(truth_folder) if truth_folder else None,
        Path(double_folder),
    )
    if not capture.held_out_views:
        raise InputError(f"The capture {capture_folder} has no held-out views.", "Capture again with some held out.")
    scores: list[ViewScores] = []
    tell("evaluate", 0.0, "held-out views")
    for score in side_by_side(
        lambda view: _score_view(folders, view, _fitted(folders.double, view, renders), judges),
        capture.held_out_views, stop,
    ):  # fmt: skip
        scores.append(score)
        tell("evaluate", 0.6 * len(scores) / len(capture.held_out_views), f"held-out view {score.name}")
    tell("evaluate", 0.6, "cross-view consistency")
    agreement = _consistency(folders, swapped_folder is not None, stop)
    evaluation = _summary(folders, scores, agreement, timings or {}, judges)
    own = Capture.load(source_views_folder) if source_views_folder else None
    photo = load_photo(list_source(source_folder).files[0]) if source_folder else None
    fitted = {v.name: _fitted(folders.double, v, renders) for v in capture.held_out_views}
    rows = held_out_tables(folders.capture, folders.swapped, folders.truth, own, photo, fitted)
    evaluation = attrs.evolve(evaluation, tables=rows)
    evaluation.save(folders.double)
    tell("evaluate", 1.0, "metrics.json written")
    return evaluation


def count_splats(ply: Path) -> int:
    """Number of splats that a PLY's header announces. Raises InputError when the file is missing or no PLY."""
    try:
        with open(ply, "rb") as file:
            header = file.read(65536).split(b"end_header", 1)[0]
        line = next(row for row in header.splitlines() if row.startswith(b"element vertex"))
        return int(line.split()[2])
    except FileNotFoundError:
        raise InputError(f"{ply} is missing.", "Run the fit first.") from None
    except (StopIteration, ValueError, IndexError) as error:
        raise InputError(f"{ply} is damaged: its header names no vertices.", "Run the fit again.") from error


def load_render(double_folder: Path, view: View) -> Image:
    """The fit's picture of a view, (H, W, 3) 0..1 over black, from double/renders. InputError if missing or damaged."""
    path = Path(double_folder) / "renders" / f"{view.name}.png"
    if not path.exists():
        raise InputError(f"The fit's picture {path} is missing.", "Run the fit again: it renders the held-out views.")
    picture = read_png(path)
    return np.asarray(np.broadcast_to(picture[..., :3], (*picture.shape[:2], 3)), np.float32) / np.float32(255)


def _fitted(double_folder: Path, view: View, renders: Renders | None) -> Image:
    if renders is not None and view.name not in renders:
        raise InputError(f"There is no render of the held-out view {view.name}.", "Render all held-out views.")
    picture = load_render(double_folder, view) if renders is None else np.asarray(renders[view.name], np.float32)
    expected = (view.camera.height, view.camera.width, 3)
    if picture.shape != expected:
        raise InputError(
            f"The fit's picture of {view.name} has shape {picture.shape}, its view {expected}.", "Run the fit again."
        )
    return picture


def _score_view(folders: _Folders, view: View, fitted: Image, judges: Judges) -> ViewScores:
    goal_images = folders.swapped.load_view(folders.swapped.view(view.name), _LAYERS, BLOCKS)
    goal = goal_images.display()
    face = _face_mask(folders, view, goal_images)
    fit8, goal8 = metrics.through_8_bit(fitted), metrics.through_8_bit(goal)
    scores = ViewScores(
        name=view.name,
        psnr=metrics.psnr(fit8, goal8),
        ssim=metrics.ssim(fit8, goal8),
        ms_ssim=metrics.ms_ssim(fit8, goal8),
        psnr_float=metrics.psnr(fitted, goal),
        **judges.scores(fit8, goal8),
    )
    if face is None:
        return scores
    scores = attrs.evolve(
        scores,
        psnr_face=metrics.psnr(fit8, goal8, face),
        ssim_face=metrics.ssim(fit8, goal8, face),
        sharpness=metrics.sharpness(fit8, goal8, face),
    )
    if folders.truth is None:
        return scores
    truth8 = metrics.through_8_bit(folders.truth.load_view(folders.truth.view(view.name), (), BLOCKS).display())
    before8 = metrics.through_8_bit(folders.capture.load_view(view, (), BLOCKS).display())
    return attrs.evolve(
        scores,
        truth_psnr_face=metrics.psnr(fit8, truth8, face),
        truth_ssim_face=metrics.ssim(fit8, truth8, face),
        truth_sharpness=metrics.sharpness(fit8, truth8, face),
        swap_psnr_face=metrics.psnr(goal8, truth8, face),
        swap_ssim_face=metrics.ssim(goal8, truth8, face),
        untouched_psnr_face=metrics.psnr(before8, truth8, face),
        untouched_ssim_face=metrics.ssim(before8, truth8, face),
    )


def _face_mask(folders: _Folders, view: View, images: ViewImages) -> Image | None:
    """mask.face of the swapped view, else of the capture's; None where it shows no more than a sliver of the face."""
    face = images.masks.get("face")
    if face is None:
        face = folders.capture.load_view(view, ("mask",), BLOCKS).masks.get("face")
    return None if face is None or face.sum() < tables.MIN_FACE * face.size else face


def _consistency(folders: _Folders, swap: bool, stop: Callable[[], bool]) -> consistency.Consistency:
    """Over all views, training and held out: swapped pictures first, the untouched capture second.

    Each over the surface that it shows: a swap may have moved the face.
    """

    def look(view: View) -> tuple[_Look, _Look] | None:
        images = folders.capture.load_view(view, _LAYERS, BLOCKS)
        before = _look_at(view, images, images)
        if not swap:
            return None if before is None else (before, before)
        changed = folders.swapped.load_view(folders.swapped.view(view.name), _LAYERS, BLOCKS)
        after = _look_at(view, changed, images)
        return None if before is None or after is None else (after, before)

    seen = list(side_by_side(look, folders.capture.views, stop))
    known = [view for view in seen if view is not None]
    if len(known) < len(seen):
        return consistency.Consistency((None, None), 0, 0)
    after, before = zip(*known, strict=True)
    pairs = consistency.select_pairs([one.surface.camera for one in after], [v.pose for v in folders.capture.views])
    if all(a.shows_the_same_as(b) for a, b in known):
        both = [[one.picture for one in looks] for looks in (after, before)]
        return consistency.reprojection([one.surface for one in after], both, pairs, stop)
    found, floor = (
        consistency.reprojection([one.surface for one in looks], [[one.picture for one in looks]], pairs, stop)
        for looks in (after, before)
    )
    return attrs.evolve(found, rmse=found.rmse + floor.rmse)


@attrs.frozen(eq=False)
class _Look:
    """A view's picture (H, W, 3), and the surface in it."""

    surface: consistency.ViewSurface
    picture: Image

    def shows_the_same_as(self, other: _Look) -> bool:
        a, b = self.surface, other.surface
        return np.array_equal(a.usable, b.usable) and np.array_equal(a.depth, b.depth)


def _look_at(view: View, images: ViewImages, captured: ViewImages) -> _Look | None:
    """What is missing in a swapped view is as captured; None without depth or face."""
    depth = images.depth if images.depth is not None else captured.depth
    face = images.masks.get("face", captured.masks.get("face"))
    if depth is None or face is None:
        return None
    return _Look(consistency.surface(view.camera, depth, face, images.alpha), images.display())


def _summary(
    folders: _Folders,
    scores: list[ViewScores],
    agreement: consistency.Consistency,
    timings: Mapping[str, float | None],
    judges: Judges,
) -> Evaluation:
    def mean(field: str) -> float | None:
        return rounded(_mean(getattr(s, field) for s in scores))

    def required(field: str) -> float:
        return round(float(np.mean([getattr(s, field) for s in scores])), 4)

    first = folders.capture.held_out_views[0].camera
    after, before = agreement.rmse
    found = Metrics(
        timing_s=merged_timings(_earlier_timings(folders.double), timings),
        views=ViewCounts(len(folders.capture.train_views), len(folders.capture.held_out_views)),
        size=[first.width, first.height],
        splats=count_splats(folders.double / "splats.ply"),
        held_out=HeldOut(required("psnr"), required("ssim"), mean("psnr_face"), mean("sharpness")),
        truth=Truth(mean("truth_psnr_face"), mean("truth_ssim_face")),
        consistency=CrossView(rounded(after), rounded(before)),
        perceptual=_perceptual(mean, judges),
    )
    spread = {
        field.name: round(float(np.std(values)), 4)
        for field in attrs.fields(ViewScores)
        if field.name != "name" and None not in (values := [getattr(s, field.name) for s in scores])
    }
    return Evaluation(
        metrics=found,
        views=scores,
        ms_ssim=required("ms_ssim"),
        ssim_face=mean("ssim_face"),
        ceiling=Truth(mean("swap_psnr_face"), mean("swap_ssim_face")),
        untouched=Truth(mean("untouched_psnr_face"), mean("untouched_ssim_face")),
        truth_sharpness=mean("truth_sharpness"),
        consistency_pairs=agreement.pairs,
        consistency_samples=agreement.samples,
        spread=spread,
    )


def _perceptual(mean: Callable[[str], float | None], judges: Judges) -> Perceptual:
    return Perceptual(mean("ms_ssim"), mean("flip"), mean("lpips"), judges.not_available, judges.lpips_sha256)


def _mean(values: Iterable[float | None]) -> float | None:
    """Mean over the views that have a figure: a view from behind shows no face."""
    known = [v for v in values if v is not None]
    return float(np.mean(known)) if known else None


def _earlier_timings(double_folder: Path) -> dict[str, float | None]:
    try:
        return Metrics.load(double_folder).timing_s
    except InputError:
        return empty_timings()  # the first evaluation, or a damaged file that is about to be replaced
