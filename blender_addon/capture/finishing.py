# SPDX-License-Identifier: GPL-3.0-or-later
"""From a render's passes to a view's files, in pieces short enough for a window. NumPy and files, no bpy."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from .._interchange import cameras, capture, mesh
from .passes import images_from_passes
from .pixels import TOLERANCE, Hits, find_hits, object_coverage, view_masks
from .settings import LAYERS


def finish_view(
    manifest: capture.Capture,
    view: capture.View,
    captured: mesh.Mesh,
    grabbed: dict[str, npt.NDArray[np.float32]],
    denoised: bool,
    layers: tuple[str, ...],
) -> Iterator[None]:
    """Write preview and EXR of a view, a piece a step. Raises OSError if they cannot be written."""
    jittered = manifest.renderer.get("engine") == "EEVEE"
    images = images_from_passes(grabbed, denoised=denoised)
    yield
    hits = find_view_hits(view.camera, captured, images, jittered=jittered)
    yield
    add_masks(images, hits, captured, manifest.objects, grabbed)
    yield
    for layer in LAYERS:
        if layer not in layers:
            setattr(images, layer, None)
    capture.write_preview(manifest.folder / view.preview, images)
    yield
    capture.write_view(manifest.folder / view.exr, images)


def find_view_hits(
    camera: cameras.Camera, captured: mesh.Mesh, images: capture.ViewImages, *, jittered: bool
) -> Hits:
    """What each pixel's centre shows of the mesh. jittered: depth is that of a sample somewhere near the centre
    (EEVEE); it is made exact here.
    """
    assert images.depth is not None
    # a sample may lie a pixel's diagonal off, and surfaces slope
    tolerance = 3 / float(camera.K[0, 0]) if jittered else TOLERANCE
    hits = find_hits(camera, captured.vertices, captured.faces, images.depth, tolerance)
    if jittered:
        images.depth = exact_depth(camera, captured, hits, images.depth)
    return hits


def add_masks(
    images: capture.ViewImages,
    hits: Hits,
    captured: mesh.Mesh,
    objects: list[capture.ObjectInfo],
    grabbed: dict[str, Any],
) -> None:
    """Masks and UV of a view out of its passes (rows top-down, Blender's names) and the mesh that it shows."""
    levels = [grabbed[name] for name in sorted(grabbed) if name.startswith("CryptoObject")]
    coverage = [object_coverage(levels, item.name) for item in objects]
    images.masks = view_masks(coverage, [item.part for item in objects], hits, captured)
    images.uv = hits.interpolate(captured.face_uvs)


def exact_depth(camera: cameras.Camera, captured: mesh.Mesh, hits: Hits, depth: npt.NDArray) -> npt.NDArray:
    """Planar depth (H, W) at the pixels' centres: of the triangle that is there, else what was rendered."""
    _, z = camera.project(captured.vertices)
    exact = hits.interpolate_vertices(z.astype(np.float32), captured.faces)
    return np.where(hits.face >= 0, exact, depth).astype(np.float32)
