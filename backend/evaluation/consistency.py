# SPDX-License-Identifier: Apache-2.0
"""Cross-view consistency: does one surface point look the same in all views that see it?

For views i and j up to 30 degrees apart, pixels of the face in i are lifted to the world by their exact depth,
projected into j, tested against j's depth for occlusion and compared with j's bilinear sample there. The root mean
square over all pixels, channels, pairs and both directions is the reprojection RMSE, in 8-bit levels. View-dependent
shading and resampling keep it above zero for any real render: the same figure for the untouched capture is the `floor`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs
import numpy as np
import numpy.typing as npt

from interchange.cameras import Camera

from .side_by_side import side_by_side

FloatArray = npt.NDArray[np.floating]
BoolArray = npt.NDArray[np.bool_]

MAX_ANGLE = 30.0
"""Degrees between the viewing directions of a pair."""
MAX_PAIRS = 160
"""Pairs compared at most; chosen evenly over the list sorted by angle, so the choice never changes."""
MAX_SLOPE = 4.0
"""A pixel whose neighbours differ in depth by more than this many pixel footprints a pixel is an edge or grazing."""
DEPTH_TOLERANCE = 2.0
"""Footprints (depth / focal length) by which a projected depth may miss the depth map before it counts as occluded."""
_OPAQUE = 0.99
_INSIDE = 0.5


@attrs.frozen(eq=False)
class ViewSurface:
    """What consistency needs of a view: camera, planar depth (H, W) metres (0 = nothing), and usable pixels (H, W)."""

    camera: Camera
    depth: FloatArray
    usable: BoolArray


@attrs.frozen
class Consistency:
    """Reprojection RMSE in 8-bit levels, one a picture set; None where no two views share a visible face pixel."""

    rmse: tuple[float | None, ...]
    pairs: int
    samples: int


def surface(camera: Camera, depth: FloatArray, face: FloatArray, alpha: FloatArray) -> ViewSurface:  # (H, W) each
    """Usable pixels: inside the face mask, opaque, neither on a depth edge nor seen at a grazing angle."""
    usable = (face > _INSIDE) & (alpha >= _OPAQUE) & (depth > 0) & ~depth_edges(depth, camera)
    return ViewSurface(camera, depth.astype(np.float64), usable)


def depth_edges(depth: FloatArray, camera: Camera) -> BoolArray:  # (H, W)
    """(H, W) true where the 3x3 neighbourhood spans more depth than a surface of slope `MAX_SLOPE` would, or a hole."""
    padded = np.pad(depth, 1, mode="edge")
    height, width = depth.shape
    around = [padded[y : y + height, x : x + width] for y in range(3) for x in range(3)]
    low, high = np.minimum.reduce(around), np.maximum.reduce(around)
    footprint = depth / camera.K[0, 0]
    return (low <= 0) | (high - low > 2 * MAX_SLOPE * footprint)


def select_pairs(cameras: Sequence[Camera], poses: Sequence[str], max_pairs: int = MAX_PAIRS) -> list[tuple[int, int]]:
    """Index pairs of views of one pose at most `MAX_ANGLE` apart; at most `max_pairs`, spread over the angles."""
    forward = np.array([camera.forward for camera in cameras]).reshape(-1, 3)
    angle = np.degrees(np.arccos(np.clip(forward @ forward.T, -1, 1)))
    near = [
        (float(angle[i, j]), i, j)
        for i in range(len(cameras))
        for j in range(i + 1, len(cameras))
        if poses[i] == poses[j] and angle[i, j] <= MAX_ANGLE + 1e-6
    ]
    near.sort()
    if len(near) > max_pairs:
        near = [near[k] for k in np.linspace(0, len(near) - 1, max_pairs).round().astype(int)]
    return [(i, j) for _, i, j in near]


def reprojection(
    surfaces: Sequence[ViewSurface], picture_sets: Sequence[Sequence[FloatArray]], pairs: Sequence[tuple[int, int]],
    stop: Callable[[], bool] = lambda: False,
) -> Consistency:  # fmt: skip
    """Reprojection RMSE of several picture sets over the same surface, pairs and pixels.

    surfaces: one a view. picture_sets[s][v]: (H, W, 3) display-referred 0..1 of view v in set s (say capture and swap).
    Raises Cancelled when told to stop.
    """
    stacked = [np.concatenate(pictures, axis=-1) for pictures in zip(*picture_sets, strict=True)]
    sets = len(picture_sets)

    def compare(way: tuple[int, int]) -> tuple[FloatArray, int]:
        """Squared differences of each set, and over how many pixels."""
        source, goal = way
        pixels, uv = _correspondences(surfaces[source], surfaces[goal])
        if len(pixels) == 0:
            return np.zeros(sets), 0
        channels = stacked[source].shape[-1]
        there = bilinear(stacked[goal], uv)
        difference = stacked[source].reshape(-1, channels)[pixels].astype(np.float64) - there
        return (difference**2).reshape(len(pixels), sets, -1).mean(axis=2).sum(axis=0), len(pixels)

    found = list(side_by_side(compare, [way for i, j in pairs for way in ((i, j), (j, i))], stop))
    total = sum((squares for squares, _ in found), np.zeros(sets))
    samples = sum(count for _, count in found)
    used = sum(there[1] + back[1] > 0 for there, back in zip(found[::2], found[1::2], strict=True))
    if samples == 0:
        return Consistency((None,) * sets, 0, 0)
    return Consistency(tuple(float(x) for x in 255 * np.sqrt(total / samples)), used, samples)


def bilinear(image: FloatArray, uv: FloatArray) -> FloatArray:  # (H, W, C), (N, 2) pixels with centres at +0.5
    """(N, C) samples between pixel centres; uv must lie at least half a pixel inside the frame."""
    x, y = uv[:, 0] - 0.5, uv[:, 1] - 0.5
    x0 = np.clip(np.floor(x).astype(int), 0, image.shape[1] - 2)
    y0 = np.clip(np.floor(y).astype(int), 0, image.shape[0] - 2)
    fx, fy = (x - x0)[:, None], (y - y0)[:, None]
    top = image[y0, x0] * (1 - fx) + image[y0, x0 + 1] * fx
    bottom = image[y0 + 1, x0] * (1 - fx) + image[y0 + 1, x0 + 1] * fx
    return top * (1 - fy) + bottom * fy


def _correspondences(source: ViewSurface, goal: ViewSurface) -> tuple[npt.NDArray[np.intp], FloatArray]:
    """Flat pixel indices of `source` seen by `goal` too, and where: uv (N, 2)."""
    pixels = np.flatnonzero(source.usable)
    centres = np.stack([pixels % source.camera.width, pixels // source.camera.width], axis=1) + 0.5
    world = source.camera.unproject(centres, source.depth.ravel()[pixels])
    uv, depth = goal.camera.project(world)
    width, height = goal.camera.width, goal.camera.height
    inside = (depth > 0) & (uv > 0.5).all(axis=1) & (uv[:, 0] < width - 0.5) & (uv[:, 1] < height - 0.5)
    pixels, uv, depth = pixels[inside], uv[inside], depth[inside]
    x0 = np.clip(np.floor(uv[:, 0] - 0.5).astype(int), 0, width - 2)
    y0 = np.clip(np.floor(uv[:, 1] - 0.5).astype(int), 0, height - 2)
    whole = goal.usable  # all four neighbours must be usable, or a sample would mix in hair or background
    clean = whole[y0, x0] & whole[y0, x0 + 1] & whole[y0 + 1, x0] & whole[y0 + 1, x0 + 1]
    pixels, uv, depth = pixels[clean], uv[clean], depth[clean]
    if len(pixels) == 0:
        return pixels, uv
    found = bilinear(goal.depth[..., None], uv)[:, 0]
    seen = np.abs(found - depth) <= DEPTH_TOLERANCE * depth / goal.camera.K[0, 0]
    return pixels[seen], uv[seen]
