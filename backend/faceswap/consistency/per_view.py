# SPDX-License-Identifier: Apache-2.0
"""Runs a per-view swapper over the training views and keeps its pictures, so that an interrupted swap goes on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs

from backend.kernels.exr_blocks import BLOCKS
from interchange.capture import Capture, View, ViewImages, read_view, write_view
from interchange.errors import Progress
from interchange.mesh import Mesh

from ..swapper import PreparedSwap
from ..view_loop import State, digest_of_view, run_views
from ..views import Floats

STATE = "state.json"


@attrs.frozen(eq=False)
class PerViewPictures:
    """What a per-view swapper made of each training view. folder: where the pictures are. notes: what the swapper says
    about each view, by name."""

    folder: Path
    notes: dict[str, Any]

    def load(self, view: View) -> Floats:
        """The swapped rgb (H, W, 3) of a view, linear, premultiplied."""
        return read_view(self.folder / f"{view.name}.exr", (), BLOCKS).rgb


def swap_each_view(
    capture: Capture,
    meshes: dict[str, Mesh],  # by pose
    prepared: PreparedSwap,
    folder: Path,
    key: str,
    start_from: Callable[[ViewImages, Mesh, View], Floats],
    threads: int | None,
    progress: Progress | None,
    cancelled: Callable[[], bool],
) -> PerViewPictures:
    """Swap the training views one by one, each from the rgb that `start_from` gives (its own, or an earlier round's).

    `key` is a digest of all that the pictures depend on beside the views. Pictures are kept as half floats, as a
    capture's are, so pixels that the swapper left alone are still known by their bits.
    """
    folder.mkdir(parents=True, exist_ok=True)
    state = State(folder / STATE, key)
    views = capture.train_views

    def finished(view: View) -> bool:
        known = state.views.get(view.name)
        return known is not None and (folder / f"{view.name}.exr").is_file() and known == digest_of_view(capture, view)

    kept = [v for v in views if finished(v)]
    state.begin([v.name for v in kept])

    def work(view: View) -> None:
        digest = digest_of_view(capture, view)
        images, mesh = capture.load_view(view, coder=BLOCKS), meshes[capture.pose_of(view).name]
        images = attrs.evolve(images, rgb=start_from(images, mesh, view))
        rgb = prepared.change(images, mesh, view.camera)
        note = prepared.look(images, mesh, view.camera) if prepared.look else None
        write_view(folder / f"{view.name}.exr", ViewImages(rgb=rgb, alpha=images.alpha), BLOCKS)
        state.finish(view.name, digest, note)

    try:
        run_views([v for v in views if v not in kept], work, threads, len(views), "each view", progress, cancelled)
    finally:
        state.flush()
    return PerViewPictures(folder, state.notes)
