# SPDX-License-Identifier: Apache-2.0
"""Whose face is it? Nearest neighbours among known faces, told by descriptors that are published formulas.

A recogniser that was trained would need weights, which are not ours to ship, and may share its training with whatever
it judges. These need none and know nothing of any swap: *hog* (gradients) and *lbp* (micro-texture) look at structure
and are blind to skin tone, *colour* looks at tone alone. They are weaker than a trained recogniser, so a figure of
theirs means something only beside how well they tell real pictures apart, and is called *synthetic* identity retrieval.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs
import cv2
import numpy as np
import numpy.typing as npt

from .controls import similarity

Floats = npt.NDArray[Any]
Picture = npt.NDArray[np.float32]
SIZE = 112
"""Edge of an aligned face in pixels."""
_TEMPLATE = np.array([[0.31, 0.36], [0.69, 0.36], [0.50, 0.60], [0.345, 0.80], [0.655, 0.80]])
_OVAL = ((0.5, 0.55), (0.46, 0.50))  # centre and half axes of what of a crop is face, and not hair or background
_LUMA = np.array([0.2126, 0.7152, 0.0722], np.float32)
_WINDOWS = 7  # a side, of lbp and colour
_CELL, _ORIENTATIONS, _CLIP = 8, 9, 0.2


@attrs.frozen
class Descriptor:
    """describe: aligned face (SIZE, SIZE, 3) sRGB 0..1 to (D,). distances: (Q, D), (N, D) to (Q, N), small is alike.
    tone_free: blind to skin tone."""

    name: str
    tone_free: bool
    describe: Callable[[Picture], Floats]
    distances: Callable[[Floats, Floats], Floats]


@attrs.frozen
class Retrieval:
    """top1: share of queries whose nearest face is their own, by the sum of distances over all views. single: the same
    by one view at a time, mean. rank: mean place of the own face, 1 = nearest. found: index of the nearest face of
    each query."""

    top1: float
    single: float
    rank: float
    found: tuple[int, ...]


def five_points(landmarks: Mapping[int, Sequence[float]]) -> npt.NDArray[np.float64]:
    """(5, 2) eyes, nose tip, corners of the mouth out of 68 points by iBUG number. KeyError if one is missing."""
    at = {i: np.asarray(landmarks[i], np.float64) for i in (*range(36, 48), 30, 48, 54)}
    eyes = [np.mean([at[i] for i in range(first, first + 6)], axis=0) for first in (36, 42)]
    return np.stack([*eyes, at[30], at[48], at[54]])


def aligned_face(picture: Floats, points: Floats) -> Picture:
    """(SIZE, SIZE, 3): the face moved, turned and scaled so that its five points come nearest to fixed places.

    picture: (H, W, 3) sRGB 0..1. points: (5, 2) pixels, centres at +0.5.
    """
    matrix = similarity(points, _TEMPLATE * SIZE)
    scale = float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))
    source: Floats = np.asarray(picture, np.float32)
    if scale < 0.8:
        source = cv2.GaussianBlur(source, (0, 0), 0.4 / scale)
    centres = matrix.copy()
    centres[:, 2] += matrix[:, :2] @ [0.5, 0.5] - 0.5  # OpenCV's pixel centres lie at whole numbers
    crop = cv2.warpAffine(source, centres, (SIZE, SIZE), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(np.clip(crop, 0, 1), np.float32)


def retrieve(descriptor: Descriptor, queries: Sequence[Sequence[Picture]], gallery: Sequence[Sequence[Picture]],
             own: Sequence[int] | None = None) -> Retrieval:  # fmt: skip
    """Look each query up in the gallery. Both are lists of people, each a list of aligned faces, one a view, in the
    same order of views. own: index in the gallery of each query's own face; None: the same index.

    Raises ValueError if the numbers of views differ.
    """
    views = {len(person) for person in [*queries, *gallery]}
    if len(views) != 1:
        raise ValueError(f"people with different numbers of views cannot be compared: {sorted(views)}")
    wanted = np.arange(len(queries)) if own is None else np.asarray(own)
    each = []
    for view in range(views.pop()):
        asked, known = (np.stack([descriptor.describe(p[view]) for p in people]) for people in (queries, gallery))
        each.append(descriptor.distances(asked, known))
    total = np.sum(each, axis=0)
    single = float(np.mean([distances.argmin(1) == wanted for distances in each]))
    own_distance = total[np.arange(len(wanted)), wanted][:, None]
    found = total.argmin(1)
    return Retrieval(
        round(float((found == wanted).mean()), 4), round(single, 4),
        round(float((total < own_distance).sum(1).mean() + 1), 3), tuple(int(i) for i in found),
    )  # fmt: skip


def hog(face: Picture) -> Floats:
    """Histograms of oriented gradients (Dalal and Triggs 2005): cells of 8 pixels, 9 unsigned orientations, blocks of
    2 x 2 cells normalised with clipping at 0.2; blocks weigh as the oval covers them."""
    luma = face @ _LUMA
    dy, dx = np.gradient(luma.astype(np.float64))
    strength, angle = np.hypot(dx, dy), np.arctan2(dy, dx) % np.pi * _ORIENTATIONS / np.pi
    low = np.floor(angle)
    cells = SIZE // _CELL
    histograms = np.zeros((cells, cells, _ORIENTATIONS))
    for bins, share in ((low, 1 - (angle - low)), (low + 1, angle - low)):
        for orientation in range(_ORIENTATIONS):
            here = strength * share * (bins.astype(int) % _ORIENTATIONS == orientation)
            histograms[..., orientation] += here.reshape(cells, _CELL, cells, _CELL).sum((1, 3))
    blocks = np.concatenate([histograms[y : cells - 1 + y, x : cells - 1 + x] for y in (0, 1) for x in (0, 1)], -1)
    blocks = np.minimum(blocks / np.sqrt((blocks**2).sum(-1, keepdims=True) + 1e-4), _CLIP)
    blocks /= np.sqrt((blocks**2).sum(-1, keepdims=True) + 1e-8)
    weight = _shares(cells)
    weight = (weight[1:, 1:] + weight[:-1, 1:] + weight[1:, :-1] + weight[:-1, :-1]) / 4
    return (np.sqrt(weight)[..., None] * blocks).ravel()


def lbp(face: Picture) -> Floats:
    """Uniform local binary patterns of 8 neighbours 2 pixels away, histograms in 7 x 7 windows (Ahonen, Hadid,
    Pietikainen 2006); windows weigh as the oval covers them. Any rising change of brightness leaves it as it is."""
    luma = np.ascontiguousarray(face @ _LUMA, np.float32)
    columns, rows = np.meshgrid(np.arange(SIZE, dtype=np.float32), np.arange(SIZE, dtype=np.float32))
    code = np.zeros(luma.shape, int)
    for bit in range(8):
        turn = 2 * np.pi * bit / 8
        x, y = (np.float32(2 * f(turn)) for f in (np.cos, np.sin))
        there = cv2.remap(luma, columns + x, rows + y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
        code |= (there >= luma).astype(int) << bit
    windows = _UNIFORM[code].reshape(_WINDOWS, SIZE // _WINDOWS, _WINDOWS, SIZE // _WINDOWS).swapaxes(1, 2)
    histograms = np.stack([np.bincount(w, minlength=59) / len(w) for w in windows.reshape(_WINDOWS**2, -1)])
    return (_shares(_WINDOWS).reshape(-1, 1) * histograms).ravel()


def colour(face: Picture) -> Floats:
    """Mean CIELAB colours of 7 x 7 windows; windows weigh as the oval covers them."""
    lab = cv2.cvtColor(np.ascontiguousarray(face, np.float32), cv2.COLOR_RGB2Lab)
    cells = lab.reshape(_WINDOWS, SIZE // _WINDOWS, _WINDOWS, SIZE // _WINDOWS, 3).mean((1, 3))
    return (np.sqrt(_shares(_WINDOWS))[..., None] * cells).ravel().astype(np.float64)


def _cosine_about_gallery(queries: Floats, gallery: Floats) -> Floats:
    """1 - cosine after the gallery's mean is taken off both, as eigenfaces do: what all faces share tells nobody."""
    middle = gallery.mean(0)
    a, b = (x - middle for x in (queries, gallery))
    lengths = np.linalg.norm(a, axis=1)[:, None] * np.linalg.norm(b, axis=1)[None]
    return 1 - a @ b.T / np.maximum(lengths, 1e-12)


def _chi_squared(queries: Floats, gallery: Floats) -> Floats:
    return np.stack([((q - gallery) ** 2 / np.maximum(q + gallery, 1e-12)).sum(1) for q in queries])


def _euclidean(queries: Floats, gallery: Floats) -> Floats:
    return np.stack([np.linalg.norm(q - gallery, axis=1) for q in queries])


def _shares(cells: int) -> Floats:
    """(cells, cells) how much of each the oval covers."""
    at = (np.arange(SIZE) + 0.5) / SIZE
    (x, y), (a, b) = _OVAL
    inside = ((at[None] - x) / a) ** 2 + ((at[:, None] - y) / b) ** 2 < 1
    return inside.reshape(cells, SIZE // cells, cells, SIZE // cells).mean((1, 3))


def _uniform_labels() -> npt.NDArray[np.intp]:
    """(256,) 0..57 for codes with at most two changes around the circle, 58 for all others."""
    labels = np.full(256, 58)
    changes = [bin(code ^ (code >> 1 | (code & 1) << 7)).count("1") for code in range(256)]
    uniform = [code for code in range(256) if changes[code] <= 2]
    labels[uniform] = np.arange(len(uniform))
    return labels


_UNIFORM = _uniform_labels()
HOG = Descriptor("hog", True, hog, _cosine_about_gallery)
LBP = Descriptor("lbp", True, lbp, _chi_squared)
COLOUR = Descriptor("colour", False, colour, _euclidean)
DESCRIPTORS = (HOG, LBP, COLOUR)
