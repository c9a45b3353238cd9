# SPDX-License-Identifier: Apache-2.0
"""What of the face a view shows: projected landmarks, hidden ones told by depth, and the region that may change."""

from __future__ import annotations

from typing import Any

import attrs
import cv2
import numpy as np
import numpy.typing as npt

from backend.kernels.mesh_rasterization import Raster, rasterize
from interchange.cameras import Camera
from interchange.capture import ViewImages
from interchange.errors import InputError
from interchange.mesh import LANDMARK_COUNT, Mesh, Region

from .templates import NEEDED, five_points

Floats = npt.NDArray[Any]
JAW = 17
"""Landmarks before this one lie on the jaw, which is seen from behind, too."""
_SLACK = 0.012  # metres: lashes lie in front of lids
_FEWEST = 0.4  # of the landmarks inside the face; an exact profile shows more than half
_SMALLEST = 16.0  # pixels from eyes to mouth


@attrs.frozen(eq=False)
class Sight:
    """A face in a view. points: (5, 2) pixels, centres at +0.5, hidden ones too: the mesh knows where they are. seen:
    share of the landmarks inside the face that nothing hides. left_alone: why the view is not swapped, None if it is.
    raster: the mesh at the view's pixel centres."""

    points: npt.NDArray[np.float64]
    seen: float
    left_alone: str | None
    raster: Raster


def check_landmarks(mesh: Mesh) -> None:
    """InputError unless the mesh knows the landmarks that crops are aligned by."""
    missing = [i for i in NEEDED if mesh.landmarks[i] < 0]
    if missing:
        raise InputError(
            f"The avatar lacks the landmarks {', '.join(map(str, missing))}, by which the swapper onnx aligns.",
            "Place eyes (36 to 47), nose tip (30) and corners of the mouth (48, 54) on the avatar.",
        )


def look(mesh: Mesh, camera: Camera) -> Sight:
    """Where a view shows the face. The mesh must have the landmarks that `check_landmarks` asks for."""
    raster = rasterize(mesh.vertices, mesh.faces, camera)
    pixels, depth = camera.project(mesh.vertices[mesh.landmarks])
    inner = np.arange(LANDMARK_COUNT) >= JAW
    asked = inner & (mesh.landmarks >= 0)
    visible = _visible(pixels, depth, raster) & asked
    seen = float(visible.sum() / max(asked.sum(), 1))
    points = five_points(pixels)
    return Sight(points, seen, _why_not(points, depth, seen), raster)


def _visible(pixels: Floats, depth: Floats, raster: Raster) -> npt.NDArray[np.bool_]:
    """(N,) in the picture, and no surface clearly in front; a pixel's neighbours count as the surface itself, because
    landmarks lie between pixel centres."""
    height, width = raster.face.shape
    inside = (pixels >= 0).all(1) & (pixels[:, 0] < width) & (pixels[:, 1] < height) & (depth > 0)
    surface = np.where(raster.covered, raster.depth, np.float32(1e6))
    farthest = cv2.dilate(surface, np.ones((3, 3), np.uint8))
    where = np.where(inside[:, None], pixels, 0).astype(int)
    return inside & (depth <= farthest[where[:, 1], where[:, 0]] + _SLACK)


def _why_not(points: Floats, depth: Floats, seen: float) -> str | None:
    if depth.min() <= 0:
        return "The camera stands inside or behind the face."
    if seen < _FEWEST:
        return f"Only {100 * seen:.0f} % of the facial landmarks can be seen."
    size = np.linalg.norm(points[:2].mean(0) - points[3:].mean(0))
    if size < _SMALLEST:
        return f"The face is too small: {size:.0f} pixels from eyes to mouth."
    return None


def region_mask(images: ViewImages, mesh: Mesh, raster: Raster) -> npt.NDArray[np.float32]:
    """(H, W) 0..1: coverage of what a new face may replace: the face's skin, the eyes, lashes and the open mouth.

    Hair, clothes and whatever else hides the face is left out, because coverages are the renderer's own. Raises
    InputError when the capture has no face mask.
    """
    if "face" not in images.masks:
        raise InputError("The capture has no face mask, which the swapper onnx needs.", "Capture again with masks.")
    masks = images.masks
    region = masks["face"] + masks.get("eye", np.float32(0))
    if {"skin", "eye", "hair"} <= masks.keys():
        unnamed = np.clip(images.alpha - masks["skin"] - masks["eye"] - masks["hair"], 0, 1)
        inner = np.isin(mesh.face_region, (Region.MOUTH, Region.LASHES))
        there = (raster.covered & inner[raster.face]).astype(np.uint8)
        region = region + unnamed * (cv2.dilate(there, np.ones((3, 3), np.uint8)) > 0)
    return np.clip(region, 0, np.clip(images.alpha, 0, 1)).astype(np.float32)
