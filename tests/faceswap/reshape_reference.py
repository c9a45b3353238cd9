# SPDX-License-Identifier: Apache-2.0
"""A reshaped view in whole frames of numpy and OpenCV: slow, short, what `shape.reshape` must agree with."""

from __future__ import annotations

import cv2
import numpy as np

from backend.faceswap.views import filter_taps
from backend.kernels.mesh_rasterization import interpolate, rasterize
from interchange.mesh import Region

STILL_PX, HIDDEN, OUTLINE_PX, SOLID, SAMPLES = 2e-3, 0.003, 6.0, 0.6, 3
WIDTHS, ENOUGH, ANY = (1.0, 2.0, 4.0, 8.0, 16.0, 64.0), 0.05, 1e-6


class Continuation:
    def __init__(self, known):
        self.distance, label = cv2.distanceTransformWithLabels(
            (~known).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
        )
        rows, columns = np.nonzero(known)
        order = np.zeros(int(label.max()) + 1, np.intp)
        order[label[known]] = np.arange(len(rows))
        self.nearest = rows[order[label]], columns[order[label]]

    def of(self, image):
        return image[self.nearest]


def spread_from(image, seen, wanted):
    """(H, W, C), (H, W) 0 or 1, (H, W): the whole picture blurred by each width, taken where the width suffices."""
    result, done = Continuation(seen > 0).of(image), ~wanted
    for width in WIDTHS:
        share = cv2.GaussianBlur(seen, (0, 0), width)
        blurred = cv2.GaussianBlur(image * seen[..., None], (0, 0), width).reshape(image.shape)
        fresh = (share > (ENOUGH if width < WIDTHS[-1] else ANY)) & ~done
        result[fresh] = (blurred / np.maximum(share, 1e-6)[..., None])[fresh]
        done |= fresh
    return result


def at_old_place(image, step):
    """Bicubic within the range of what lies around."""
    rows, columns = np.indices(image.shape[:2], dtype=np.float32)
    x, y = columns + step[..., 0], rows + step[..., 1]

    def taken(picture, how):
        return cv2.remap(picture, x, y, how, borderMode=cv2.BORDER_REPLICATE).reshape(image.shape)

    around = np.ones((3, 3), np.uint8)
    low, high = (taken(f(image, around), cv2.INTER_NEAREST) for f in (cv2.erode, cv2.dilate))
    return np.clip(taken(image, cv2.INTER_CUBIC), low, high)


def filtered_coverage(mesh, camera):
    solid = mesh.faces[mesh.face_region != Region.LASHES]
    covered = rasterize(mesh.vertices, solid, camera, SAMPLES).covered.astype(np.float64)
    taps = filter_taps(SAMPLES).astype(np.float64)
    before = (len(taps) - SAMPLES) // 2
    kept = cv2.sepFilter2D(covered, -1, taps, taps, anchor=(before, before), borderType=cv2.BORDER_REPLICATE)
    return kept[::SAMPLES, ::SAMPLES].astype(np.float32)


def way_back(before, after, mesh, camera):
    covered = after.covered
    old_points = interpolate(after, np.asarray(mesh.vertices, np.float32)[mesh.faces])
    pixels, depth = camera.project(old_points[covered].astype(np.float64))
    way = np.zeros((camera.height, camera.width, 2), np.float32)
    way[covered] = pixels - camera.pixel_centres().reshape(camera.height, camera.width, 2)[covered]
    column, row = (np.clip(pixels[:, i].astype(int), 0, n - 1) for i, n in ((0, camera.width), (1, camera.height)))
    farthest = cv2.dilate(np.where(before.covered, before.depth, 0).astype(np.float32), np.ones((3, 3), np.uint8))
    hidden = np.zeros(covered.shape, bool)
    hidden[covered] = depth > farthest[row, column] + HIDDEN
    beyond = Continuation(covered)
    fade = np.clip(2 - beyond.distance / OUTLINE_PX, 0, 1)[..., None]
    return (beyond.of(way) * fade).astype(np.float32), hidden


def reshaped(images, mesh, moved, camera):
    """rgb, alpha and masks of the new view, by name; the pixels that changed and those of the holes."""
    before, after = (rasterize(m.vertices, m.faces, camera) for m in (mesh, moved))
    way, hidden = way_back(before, after, mesh, camera)
    changed = np.hypot(way[..., 0], way[..., 1]) > STILL_PX
    old_coverage, coverage = (filtered_coverage(m, camera) for m in (mesh, moved))
    ratio = np.clip(images.alpha / np.maximum(old_coverage, 1e-3), 0, 1)[..., None]
    density = at_old_place(Continuation(old_coverage > SOLID).of(ratio), way)[..., 0]
    alpha = np.where(changed, np.clip(density * coverage, 0, 1), images.alpha)
    solid = Continuation((old_coverage > SOLID) & (images.alpha > 1e-3))
    owner = np.where(after.covered, mesh.face_object[after.face], -1)
    holes = hidden & changed

    def follow(image):
        image = image.reshape(*changed.shape, -1)
        found = at_old_place(solid.of((image / np.maximum(images.alpha, 1e-3)[..., None]).astype(np.float32)), way)
        for part in np.unique(owner[holes]):
            target, seen = holes & (owner == part), (owner == part) & ~holes
            if seen.any():
                found = np.where(target[..., None], spread_from(found, seen.astype(np.float32), target), found)
        return np.where(changed[..., None], found * alpha[..., None], image)

    masks = {name: follow(mask)[..., 0].clip(0, 1) for name, mask in images.masks.items()}
    return {"rgb": follow(images.rgb), "alpha": alpha, **masks}, changed, holes
