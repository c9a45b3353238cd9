# SPDX-License-Identifier: Apache-2.0
"""The consistency stage: a per-view swapper goes in, a swap whose views show one skin comes out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from backend.kernels.exr_blocks import BLOCKS
from interchange.capture import Capture, View, ViewImages
from interchange.errors import Progress
from interchange.mesh import Mesh

from ..atlas import Atlas, build_atlas
from ..engines import OpenDevice, ViewEngine, choose_device, open_gpu, open_view_engine
from ..regions import Regions, face_regions
from ..settings import SwapSettings
from ..swapper import PreparedSwap
from ..textures import as_bytes, as_linear, working_texture
from ..view_loop import run_views
from ..views import Floats, Skins, exchange_skin
from .observations import Observations, Surface, observe
from .per_view import PerViewPictures, swap_each_view
from .skin import FusedSkin, fuse_views, tells_enough

LARGEST = 2048
"""Texels a side of the skin: finer ones than the views' pixels hold nothing."""

NOTHING = "The swapper changed none of the training views: none shows enough of the face."


@attrs.frozen(eq=False)
class _Target:
    """The avatar as the stage sees it. old8: (h, w, 3) its skin. atlas: the face's texels.
    surfaces: by pose. noisy: whether the light pass is."""

    capture: Capture
    meshes: dict[str, Mesh]
    head: int
    old8: npt.NDArray[np.uint8]
    atlas: Atlas
    regions: Regions
    surfaces: dict[str, Surface]
    noisy: bool

    def mesh_of(self, view: View) -> Mesh:
        return self.meshes[self.capture.pose_of(view).name]

    def skins(self, new8: npt.NDArray[np.uint8]) -> Skins:
        return Skins.of(as_linear(self.old8), as_linear(new8))


def make_consistent(
    capture: Capture,
    prepared: PreparedSwap,
    folder: Path,
    key: str,
    settings: SwapSettings,
    progress: Progress | None,
    cancelled: Callable[[], bool],
    open_device: OpenDevice = open_gpu,
) -> PreparedSwap:
    """Swap the training views with `prepared`, fuse them into one skin, return the swap that puts it into all views.

    folder: for the per-view pictures, which an interrupted run finds again; key: digest of all that they depend on.
    Held-out views take no part in the skin. If the swapper changes none of the views there is nothing to agree on, and
    it is returned as it is, with a warning. Raises InputError when passes are missing.
    """
    choice = choose_device(settings.engine, open_device, progress)
    target = _target(capture, settings)
    new8, pictures, fused = target.old8, None, None
    for number in range(1, settings.rounds + 1):
        pictures = swap_each_view(
            capture, target.meshes, prepared, folder / f"round_{number}", f"{key} {number}",
            _start_of_round(target, new8, number, settings.samples), settings.threads, progress, cancelled,
        )  # fmt: skip
        observed = _observe_all(target, pictures, settings.threads, progress, cancelled)
        if not any(tells_enough(o) for o in observed):
            return attrs.evolve(prepared, warnings=[*prepared.warnings, NOTHING], close=lambda: None)
        fused = fuse_views(
            observed, _texels(target), target.regions, target.meshes[capture.poses[0].name], target.head,
            target.atlas, settings.evenness if settings.delight else 0.0,
        )  # fmt: skip
        new8 = _skin_image(target, fused)
    assert pictures is not None and fused is not None
    cameras = [view.camera for view in capture.views]
    engine = open_view_engine(
        choice, settings.engine == "cuda", target.head, target.skins(new8), settings.samples, target.noisy, cameras
    )
    report = {
        **prepared.report, **_engines(prepared, engine), "views": _notes(capture, prepared, pictures, fused),
        "consistency": _summary(fused, settings.rounds) | {"engine": engine.name, "engine_reason": engine.reason},
    }  # fmt: skip
    mask = np.zeros(target.old8.shape[:2], np.float32)
    mask[target.atlas.rows, target.atlas.columns] = fused.seen * target.regions.face
    return PreparedSwap(
        engine.change, new8, as_bytes(mask), {**prepared.pictures, **_pictures(target, new8)}, report,
        [*prepared.warnings, *_warnings(capture, fused)], engine.close, digest=prepared.digest,
    )  # fmt: skip


def _target(capture: Capture, settings: SwapSettings) -> _Target:
    head, item = capture.object_of_part("head")
    meshes = {pose.name: capture.load_mesh(pose) for pose in capture.poses}
    mesh = meshes[capture.poses[0].name]
    texture = capture.load_texture(item)
    size = settings.texture_size or (LARGEST if texture.shape[1] > LARGEST else None)
    old8 = working_texture(texture, size)
    atlas = build_atlas(mesh, head, *old8.shape[:2])
    atlas = atlas.part(atlas.of_vertices(mesh, mesh.region_face) > 0)
    regions = face_regions(mesh, atlas)
    surfaces = {name: Surface.of(mesh, atlas) for name, mesh in meshes.items()}
    noisy = not capture.renderer.get("denoise", False)
    return _Target(capture, meshes, head, old8, atlas, regions, surfaces, noisy)


def _texels(target: _Target) -> Floats:
    """The old skin (T, 3) encoded."""
    return target.atlas.of_image(target.old8).astype(np.float32) / 255


def _start_of_round(
    target: _Target, new8: npt.NDArray[np.uint8], number: int, samples: int
) -> Callable[[ViewImages, Mesh, View], Floats]:
    """The first round swaps the views as they are, a later one as the round before made them."""
    if number == 1:
        return lambda images, mesh, view: images.rgb
    skins = target.skins(new8)
    return lambda images, mesh, view: exchange_skin(
        images, mesh, target.head, view.camera, skins, samples, target.noisy
    )


def _observe_all(
    target: _Target, pictures: PerViewPictures, threads: int | None, progress: Progress | None,
    cancelled: Callable[[], bool],
) -> list[Observations]:  # fmt: skip
    """What each training view says, in their order."""
    skins = target.skins(target.old8)
    found: dict[str, Observations] = {}

    def look(view: View) -> None:
        images = target.capture.load_view(view, coder=BLOCKS)
        surface = target.surfaces[target.capture.pose_of(view).name]
        found[view.name] = observe(
            images, pictures.load(view), target.mesh_of(view), target.head, view.camera, surface, skins, target.noisy
        )

    views = target.capture.train_views
    run_views(views, look, threads, len(views), "one skin", progress, cancelled)
    return [found[view.name] for view in views]


def _skin_image(target: _Target, fused: FusedSkin) -> npt.NDArray[np.uint8]:
    """The whole texture; a change goes on past the islands' edges, and where there is none bytes stay."""
    old = target.old8.astype(np.float32) / 255
    change = np.zeros_like(old)
    change[target.atlas.rows, target.atlas.columns] = fused.skin - _texels(target)
    return as_bytes(old + change[target.atlas.nearest_row, target.atlas.nearest_column])


def _notes(
    capture: Capture, prepared: PreparedSwap, pictures: PerViewPictures, fused: FusedSkin
) -> dict[str, Any]:
    """By view: what the swapper has said about it, and of training views what became of it. The swapper's own reason
    comes first."""
    notes: dict[str, Any] = {name: dict(note) for name, note in prepared.report.get("views", {}).items()}
    for view, note in zip(capture.train_views, fused.views, strict=True):
        notes[view.name] = {**note, **notes.get(view.name, {}), **pictures.notes.get(view.name, {})}
    return notes


def _engines(prepared: PreparedSwap, engine: ViewEngine) -> dict[str, Any]:
    """What changed the views that the swap writes, and one sentence that names it for each part of the way there."""
    own = {key: prepared.report[key] for key in ("engine", "engine_reason") if key in prepared.report}
    first = own.get("engine_reason", "Each view is swapped by itself.").rstrip(".")
    reason = f"{first}; one skin is fused from it on the CPU; all views are made anew by {engine.name}: {engine.reason}"
    return {"engine": engine.name, "engine_reason": reason, "per_view": own}


def _summary(fused: FusedSkin, rounds: int) -> dict[str, Any]:
    known = [note["residual"] for note in fused.views if note["used"]]
    return {
        "rounds": rounds,
        "views_used": len(known),
        "residual_levels": round(float(np.mean(known)), 3),
        "face_seen": round(float(fused.seen.mean()), 4),
    }


def _warnings(capture: Capture, fused: FusedSkin) -> list[str]:
    dropped = [
        f"{view.name}: {note['reason']}"
        for view, note in zip(capture.train_views, fused.views, strict=True)
        if not note["used"] and "residual" in note
    ]
    return [f"Left out because they disagree with the others: {'; '.join(dropped)}."] if dropped else []


def _pictures(target: _Target, new8: npt.NDArray[np.uint8]) -> dict[str, npt.NDArray[np.uint8]]:
    """For strip.png, cut to the face: texture before, texture after."""
    rows, columns = target.atlas.rows[target.regions.face > 0.02], target.atlas.columns[target.regions.face > 0.02]
    window = np.s_[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    return {"before": target.old8[window], "after": new8[window]}
