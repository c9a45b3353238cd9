# SPDX-License-Identifier: Apache-2.0
"""Why views of an avatar that nobody has touched disagree: its floor of the cross-view error, taken apart.

The same views are rendered once more with many samples; then, one after another, left out: gloss, the share of the
skin's colour that the gloss lets through (Fresnel), pixels that are not skin alone, light. Rows are levels, not shares:
causes add up in quadrature, and not quite, as they are not independent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs
import cv2
import numpy as np
import numpy.typing as npt

from backend.blender_process import run_blender
from backend.evaluation import consistency
from backend.faceswap.textures import as_linear, working_texture
from backend.faceswap.views import Skins, as_rendered, filtered_skin, passed_share, smooth_light
from backend.whole_job import ADDON
from interchange.capture import Capture, ViewImages
from interchange.colour import srgb_from_linear

from .swap_measures import Views
from .swap_scene import Scene

Image = npt.NDArray[np.float32]
SAMPLES = 192
"""Sixteen times the benchmark's."""
_WHOLE = 0.9  # of the face mask, in the pixel and all around it
_SAMPLES = 3  # a side and pixel


def floor_rows(scene: Scene, root: Path, views: Views) -> dict[str, float | None]:
    """Cross-view error in levels, row by row with less of what makes views disagree. Renders the target again."""
    folder = root / f"capture_{SAMPLES}_samples"
    if not (folder / "capture.json").exists():
        print(f"  rendering {folder.name}", flush=True)
        size = str(views.capture.views[0].camera.width)
        run_blender(ADDON, ("capture", "--blend", root / "target.blend", "--cameras-of", scene.capture, "--out", folder,
                            "--size", size, "--samples", str(SAMPLES)), log=root / "blender.log")  # fmt: skip
    smooth = Capture.load(folder)
    return taken_apart(views, smooth, [smooth.load_view(smooth.view(v.name)) for v in views.capture.views])


def taken_apart(views: Views, smooth: Capture, images: Sequence[ViewImages]) -> dict[str, float | None]:
    """`images`: the views' with many samples."""
    albedo = [_albedo(i) for i in images]
    light = [smooth_light(i) for i in images]
    passed = _passed(smooth, views, images)
    even = [np.broadcast_to(0.7 * i.alpha[..., None], i.rgb.shape) for i in images]
    whole = [
        attrs.evolve(s, usable=s.usable & (cv2.erode(i.masks["face"], np.ones((3, 3), np.uint8)) > _WHOLE))
        for s, i in zip(views.surfaces, views.images, strict=True)
    ]
    rows: dict[str, float | None] = {}
    rows["as captured"] = _error(views, views.surfaces, [i.rgb for i in views.images])
    rows[f"{SAMPLES} samples a pixel"] = _error(views, views.surfaces, [i.rgb for i in images])
    lit = [a * w for a, w in zip(albedo, light, strict=True)]
    rows["... and without gloss"] = _error(views, views.surfaces, lit)
    skin = [x / k for x, k in zip(lit, passed, strict=True)]
    rows["... and without Fresnel's share"] = _error(views, views.surfaces, skin)
    rows["... and only pixels of skin alone"] = _error(views, whole, skin)
    flat = [a / k * e for a, k, e in zip(albedo, passed, even, strict=True)]
    rows["... and in even light: the skin resampled"] = _error(views, whole, flat)
    return rows


def _albedo(images: ViewImages) -> Image:
    assert images.albedo is not None
    return images.albedo


def _passed(smooth: Capture, views: Views, images: Sequence[ViewImages]) -> list[Image]:
    """(H, W, 1) by view: which part of the skin's colour is seen."""
    head, item = smooth.object_of_part("head")
    mesh, skin = smooth.load_mesh(), as_linear(working_texture(smooth.load_texture(item), None))
    found = []
    for view, seen in zip(views.capture.views, images, strict=True):
        difference, old, coverage = filtered_skin(mesh, head, view.camera, Skins.of(skin, skin), _SAMPLES)
        _, old = as_rendered(difference, old, coverage, seen)
        found.append(passed_share(_albedo(seen), old, seen.masks["skin"])[..., None])
    return found


def _error(views: Views, surfaces: Sequence[consistency.ViewSurface], rgbs: Sequence[Image]) -> float | None:
    pairs = consistency.select_pairs([s.camera for s in surfaces], [v.pose for v in views.capture.views])
    pictures = [srgb_from_linear(np.clip(rgb, 0, 1)) for rgb in rgbs]
    return consistency.reprojection(surfaces, [pictures], pairs).rmse[0]


def floor_lines(rows: Mapping[str, float | None]) -> list[str]:
    """The table for the terminal."""
    return [f"{'the untouched avatar: cross-view error':<46}{'levels':>8}"] + [
        f"{name:<46}{'-' if value is None else f'{value:.2f}':>8}" for name, value in rows.items()
    ]
