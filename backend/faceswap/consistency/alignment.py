# SPDX-License-Identifier: Apache-2.0
"""Views that show one face in slightly different places, moved to where they agree before they are fused.

A swapper that looks for the face in every view finds it a pixel or two off, another way each time; a warp between
points is off between them. A mean of such views is blurred, and detail taken from one of them does not sit on it. So
each view's skin is slid over the texture until it matches what the views have in common (Lucas and Kanade 1981, on a
lattice of bilinear patches held together by a membrane). Only what differs between views can be found: the mean of all
moves is nought at every node, so that the face stays where the views have it on average.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
import cv2
import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.sparse.linalg import splu

from ..atlas import Atlas
from .lattice import Lattice
from .observations import Observations

Floats = npt.NDArray[Any]
_SCALES = (3.0, 1.5, 1.5)  # blur in pixels of a view, a round each
_STEPS = 4  # of Gauss and Newton in a round
_BROAD = 6.0  # times the blur: what is broader is light, not a feature
_STIFF = 20.0  # of the membrane, against what the features say
_PULL = 0.03  # to staying where it is
_FAR = 2.0  # deviations from which on a difference counts less
_SOFT = 1.0 / 255  # differences are not let below this
_SEEN = 1e-3  # weight
_LUMA = np.array([0.2126, 0.7152, 0.0722], np.float32)


@attrs.frozen(eq=False)
class Moves:
    """How far views are moved. nodes: (K, N, 2) x, y in the lattice's pixels, at its nodes."""

    nodes: npt.NDArray[np.float64]
    lattice: Lattice

    def applied(self, view: int, observed: Observations) -> Observations:
        """A view's observations, moved; texels that it then no longer shows are dropped."""
        if not len(observed.texels):
            return observed
        lattice = self.lattice
        tall, wide = lattice.full
        move = cv2.resize(lattice.moves(self.nodes[view]), (wide, tall), interpolation=cv2.INTER_LINEAR) * lattice.step
        shown = np.ones((len(observed.texels), 1), np.float32)
        image = lattice.image(observed.texels, np.concatenate([observed.colour, observed.weight[:, None], shown], 1))
        places = _places(move)
        colour = np.asarray(cv2.remap(image[..., :3], *places, cv2.INTER_CUBIC), np.float32)
        weight = np.asarray(cv2.remap(np.ascontiguousarray(image[..., 3]), *places, cv2.INTER_LINEAR), np.float32)
        inside = cv2.erode(image[..., 4], np.ones((3, 3), np.uint8))  # as far as a cubic look-up reaches
        whole = cv2.remap(inside, *places, cv2.INTER_LINEAR) > 0.999
        at = lattice.rows, lattice.columns
        texels = np.flatnonzero(whole[at]).astype(np.int32)
        return Observations(texels, np.clip(colour[at][texels], 0, 1), weight[at][texels], observed.pixels)

    def size(self, view: int) -> float:
        """Root mean square of a view's moves, in texels."""
        return self.lattice.step * float(np.sqrt((self.nodes[view] ** 2).sum(1).mean()))


@attrs.frozen(eq=False)
class _Picture:
    """A view, or what all have in common, on the lattice's pixels: brightness and weight (h, w)."""

    value: npt.NDArray[np.float32]
    weight: npt.NDArray[np.float32]

    @staticmethod
    def of(small: Floats, blur: float) -> _Picture:
        """From brightness times weight, and weight (h, w, 2)."""
        return _Picture(_blurred(small[..., 0], small[..., 1], blur), small[..., 1])

    def moved(self, move: Floats) -> _Picture:
        """Looked up at every pixel + move (h, w, 2)."""
        places = _places(move)
        value = cv2.remap(self.value, *places, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        weight = cv2.remap(self.weight, *places, cv2.INTER_LINEAR)
        return _Picture(np.asarray(value, np.float32), np.asarray(weight, np.float32))


def align(observed: Sequence[Observations], atlas: Atlas, step: float) -> Moves:
    """Find how far each view has to be moved to match what all have in common. Their colours have to match already.

    step: side of a view's pixel in texels.
    """
    lattice = Lattice.of(atlas, step)
    small = [_small(lattice, o) for o in observed]
    nodes = np.zeros((len(observed), lattice.count, 2))
    for blur in _SCALES:
        pictures = [_Picture.of(own, blur) for own in small]
        goal = _in_common([p.moved(lattice.moves(n)) for p, n in zip(pictures, nodes, strict=True)])
        found = [_matched(lattice, own, goal, n, blur) for own, n in zip(pictures, nodes, strict=True)]
        nodes = np.stack([f[0] for f in found])
        said = np.stack([f[1] for f in found])[..., None]
        nodes -= (said * nodes).sum(0) / np.maximum(said.sum(0), 1e-9)
        nodes[said.sum((1, 2)) == 0] = 0
    return Moves(nodes, lattice)


def _small(lattice: Lattice, observed: Observations) -> npt.NDArray[np.float32]:
    """(h, w, 2) brightness times weight, and weight, on the lattice's pixels."""
    values = np.stack([observed.colour @ _LUMA * observed.weight, observed.weight], axis=1)
    return lattice.shrunk(lattice.image(observed.texels, values))


def _in_common(pictures: Sequence[_Picture]) -> _Picture:
    """A robust mean: the farther a view is from the others, the less it counts."""
    value, weight = np.stack([p.value for p in pictures]), np.stack([p.weight for p in pictures])
    believed = weight
    for _ in range(_STEPS):
        mean = (believed * value).sum(0) / np.maximum(believed.sum(0), 1e-6)
        believed = weight / np.hypot(value - mean, _SOFT)
    return _Picture(mean, np.minimum(weight.sum(0), 1))


def _matched(
    lattice: Lattice, own: _Picture, goal: _Picture, nodes: Floats, blur: float
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """The nodes (N, 2) by which a view matches the goal best, and (N,) how much it says at each."""
    said = np.zeros(len(nodes))
    for _ in range(_STEPS):
        moved = own.moved(lattice.moves(nodes))
        weight = moved.weight * goal.weight
        if not (weight > _SEEN).any():
            return np.zeros_like(nodes), said
        error = moved.value - goal.value
        error = error - _blurred(error * weight, weight, _BROAD * blur)
        usual = 1.4826 * float(np.median(np.abs(error[weight > _SEEN]))) + _SOFT
        believed = weight / (1 + (error / (_FAR * usual)) ** 2)
        down, across = np.gradient(0.5 * (moved.value + goal.value))
        said = np.asarray(lattice.basis.T @ weight.ravel(), np.float64)
        nodes = nodes + _step(lattice, nodes, error, across, down, believed)
    return nodes, said


def _step(
    lattice: Lattice, nodes: Floats, error: Floats, across: Floats, down: Floats, weight: Floats
) -> npt.NDArray[np.float64]:
    """(N, 2) of Gauss and Newton: the squared error, the membrane's tension and the pull to nought together."""
    basis = lattice.basis
    x, y, e, w = (image.ravel().astype(np.float64) for image in (across, down, error, weight))

    def gathered(values: Floats) -> Any:
        return basis.T @ basis.multiply((w * values)[:, None]).tocsr()

    mixed = gathered(x * y)
    data = sparse.block_array([[gathered(x * x), mixed], [mixed, gathered(y * y)]]).tocsc()
    diagonal = data.diagonal()
    unit = float(diagonal.sum()) / max(int((diagonal > 0).sum()), 1) + 1e-12
    held = unit * sparse.block_diag([_STIFF * lattice.tension + _PULL * sparse.eye_array(len(nodes))] * 2)
    right = np.concatenate([basis.T @ (w * x * e), basis.T @ (w * y * e)]) + held @ nodes.T.ravel()
    return np.asarray(splu(sparse.csc_matrix(data + held)).solve(-right), np.float64).reshape(2, -1).T


def _blurred(amount: Floats, weight: Floats, blur: float) -> npt.NDArray[np.float32]:
    """(h, w) a weighted mean of the neighbourhood, of value times weight."""
    both = np.stack([amount, weight], axis=-1).astype(np.float32)
    soft = cv2.GaussianBlur(both, (0, 0), blur, borderType=cv2.BORDER_CONSTANT)
    return np.asarray(soft[..., 0] / np.maximum(soft[..., 1], 1e-4), np.float32)


def _places(move: Floats) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Columns and rows (h, w) that a move (h, w, 2) leads every pixel to."""
    rows, columns = np.mgrid[: move.shape[0], : move.shape[1]]
    return (columns + move[..., 0]).astype(np.float32), (rows + move[..., 1]).astype(np.float32)
