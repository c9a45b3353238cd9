# SPDX-License-Identifier: Apache-2.0
"""The pictures that a fit is measured by: a capture's views decoded, checked and brought into the splat frame."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol, TypeVar

import attrs
import numpy as np
import numpy.typing as npt

from backend.kernels.exr_blocks import BLOCKS
from interchange.cameras import Camera
from interchange.capture import Capture, View
from interchange.errors import Cancelled, InputError, Progress

Image = npt.NDArray[np.float32]
Array = npt.NDArray[np.floating]
Listed = TypeVar("Listed", bound="_Named")
Loaded = TypeVar("Loaded")
MOST_THREADS = 16
"""Pictures decoded at a time; each takes some 100 MB at 1024 x 1024 while that lasts."""
EMPTY_ALPHA = 1 / 255
"""A pixel with less coverage than this is empty: an 8-bit picture would not show it."""


def never() -> bool:
    """The default of every `cancelled` argument."""
    return False


def stop_if(cancelled: Callable[[], bool]) -> None:
    """Raise Cancelled when told to stop."""
    if cancelled():
        raise Cancelled


@attrs.frozen(eq=False)
class FitView:
    """One picture and its camera, ready for the trainer."""

    name: str
    camera: Camera  # in the splat frame (y down)
    rgb: Image  # (H, W, 3) display-referred sRGB 0..1, premultiplied by alpha: as seen over black
    alpha: Image  # (H, W) 0..1
    depth: Image | None  # (H, W) planar z in metres, 0 where nothing is
    face: Image | None  # (H, W) soft mask of the face 0..1; held-out views only

    @property
    def is_empty(self) -> bool:
        """True if nothing can be seen in the picture."""
        return not bool((self.alpha > EMPTY_ALPHA).any())


@attrs.frozen(eq=False)
class Dataset:
    """All views of one subject, and what they were read from: a capture's pose, or photos with their cameras."""

    train: list[FitView]
    held_out: list[FitView]
    pose: str  # of the capture; "" without one
    digest: str  # SHA-256 over pictures, cameras, mesh and points: changes when anything that the fit reads changes
    notes: list[str]  # sentences for the user about views that were left out
    folder: Path  # where it was read, for messages
    capture: Capture | None = None  # the way to mesh and textures; None for photos
    points: Array | None = None  # (N, 3) splat frame: a sparse cloud of the surface to start from
    point_colours: Array | None = None  # (N, 3) sRGB 0..1


def load_dataset(
    capture: Capture, progress: Progress | None = None, cancelled: Callable[[], bool] = never,
    threads: int | None = None,
) -> Dataset:  # fmt: skip
    """Decode a capture's (or swapped folder's) views in a thread pool of `threads`, None for one a core.

    Raises InputError, naming the view, when there is no training view, a camera or picture holds NaN or infinity, a
    file is damaged, or all training pictures are transparent; Cancelled when told to stop.
    """
    views, notes = _views_of_first_pose(capture)
    for view in views:
        _check_camera(view)
    loaded = decode_all(views, lambda view: _load(capture, view), progress, cancelled, threads)
    train = [v for (v, _), view in zip(loaded, views, strict=True) if view.split == "train"]
    held_out = [v for (v, _), view in zip(loaded, views, strict=True) if view.split == "held_out"]
    seen, left_out = views_that_show(
        train, capture.folder, "Check that the cameras see the avatar, then capture again."
    )
    digest = _digest(capture, views, [picture_hash for _, picture_hash in loaded])
    return Dataset(seen, held_out, views[0].pose, digest, notes + left_out, capture.folder, capture=capture)


class _Named(Protocol):
    @property
    def name(self) -> str: ...


def decode_all(
    views: Sequence[Listed], load: Callable[[Listed], Loaded], progress: Progress | None,
    cancelled: Callable[[], bool], threads: int | None,
) -> list[Loaded]:  # fmt: skip
    """`load` of every view, in a thread pool (None: one thread a core), in order. Raises what it raises, and Cancelled
    when told to stop."""
    loaded: list[Loaded] = []
    with ThreadPoolExecutor(threads or min(os.cpu_count() or 1, MOST_THREADS)) as pool:
        try:
            for view, found in zip(views, pool.map(load, views), strict=True):
                stop_if(cancelled)
                loaded.append(found)
                if progress:
                    progress("fit", 0.0, f"reading pictures: {len(loaded)} of {len(views)} ({view.name})")
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return loaded


def views_that_show(train: list[FitView], folder: Path, hint: str) -> tuple[list[FitView], list[str]]:
    """The training views that are not empty, and a note if some are. InputError with `hint` if all are."""
    seen = [view for view in train if not view.is_empty]
    if not seen:
        raise InputError(f"All {len(train)} training pictures of {folder} are fully transparent.", hint)
    missing = len(train) - len(seen)
    return seen, [f"{missing} of {len(train)} training views show nothing and were left out."] if missing else []


def check_cameras_see(
    points: npt.NDArray,  # (P, 3) splat frame
    views: list[FitView],
    what: str = "the avatar",
    hint: str = "Aim the cameras at the avatar, then capture again.",
) -> None:
    """Raise InputError, naming `what`, if no view has one of the points in front of it and inside its frame."""
    for view in views:
        uv, depth = view.camera.project(points)
        size = (view.camera.width, view.camera.height)
        if ((depth > 0) & (uv >= 0).all(axis=1) & (uv <= size).all(axis=1)).any():
            return
    raise InputError(f"None of the {len(views)} training cameras has {what} in its frame.", hint)


def _views_of_first_pose(capture: Capture) -> tuple[list[View], list[str]]:
    if not capture.train_views:
        raise InputError(f"The capture {capture.folder} has no training views.", "Capture at least one.")
    pose = capture.train_views[0].pose
    views = [v for v in capture.views if v.pose == pose]
    if len(views) == len(capture.views):
        return views, []
    left_out = len(capture.views) - len(views)
    return views, [f"{left_out} views show poses other than {pose} and were left out: one double is one pose."]


def _check_camera(view: View) -> None:
    if not view.camera.is_finite():
        raise InputError(f"The camera of view {view.name} holds NaN or infinite numbers.", "Capture that view again.")
    if not (view.camera.K[0, 0] > 0 and view.camera.K[1, 1] > 0):
        raise InputError(f"The camera of view {view.name} has no positive focal length.", "Capture that view again.")


def _load(capture: Capture, view: View) -> tuple[FitView, str]:
    layers = ("depth", "mask") if view.split == "held_out" else ("depth",)
    images = capture.load_view(view, layers, BLOCKS)
    alpha = np.clip(images.alpha, 0, 1).astype(np.float32)
    depth = None if images.depth is None else np.where(np.isfinite(images.depth), images.depth, 0).astype(np.float32)
    face = images.masks.get("face") if view.split == "held_out" else None
    fit_view = FitView(view.name, view.camera.in_splat_frame(), images.display(), alpha, depth, face)
    return fit_view, hashlib.sha256((capture.folder / view.exr).read_bytes()).hexdigest()


def _digest(capture: Capture, views: list[View], picture_hashes: list[str]) -> str:
    digest = hashlib.sha256()
    for view, picture_hash in zip(views, picture_hashes, strict=True):
        camera = view.camera
        digest.update(f"{view.name} {view.split} {picture_hash} {camera.width} {camera.height}\n".encode())
        digest.update(camera.K.tobytes() + camera.world_to_camera.tobytes())
    for pose in capture.poses:
        path = capture.folder / pose.mesh
        if pose.name == views[0].pose and path.is_file():
            digest.update(path.read_bytes())
    for item in capture.objects:  # splats that no picture shows take their colours from these
        digest.update(f"{item.base_color} {item.texture}\n".encode())
        if item.texture is not None and (capture.folder / item.texture).is_file():
            digest.update((capture.folder / item.texture).read_bytes())
    return digest.hexdigest()
