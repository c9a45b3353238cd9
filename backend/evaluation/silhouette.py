# SPDX-License-Identifier: Apache-2.0
"""Do two heads have one outline, and is it the performer's? Has the expression stayed?"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from backend.faceswap.shape.prior import ShapePrior
from backend.kernels.mesh_rasterization import rasterize
from interchange.cameras import Camera
from interchange.mesh import Mesh

FloatArray = npt.NDArray[np.floating]


def silhouette_iou(a: FloatArray, b: FloatArray) -> float:  # (H, W), (H, W) 0..1
    """Intersection over union of two coverages, soft: sum of the lesser over sum of the greater; 1 if there is none."""
    if a.shape != b.shape:
        raise ValueError(f"silhouettes of different shape cannot be compared: {a.shape} and {b.shape}")
    union = float(np.maximum(a, b).sum(dtype=np.float64))
    return float(np.minimum(a, b).sum(dtype=np.float64)) / union if union > 0 else 1.0


def mesh_silhouette(
    vertices: FloatArray, faces: npt.NDArray[np.integer], camera: Camera, samples: int = 3
) -> FloatArray:
    """(H, W) coverage 0..1 of a mesh (V, 3), (F, 3) in a view, `samples` a side and pixel."""
    covered = rasterize(vertices, faces, camera, samples).covered
    cells = covered.reshape(camera.height, samples, camera.width, samples)
    return np.asarray(cells.mean(axis=(1, 3), dtype=np.float32))


def performers_shape(target: Mesh, performer: Mesh, vertices: FloatArray) -> npt.NDArray[np.float64]:
    """(V, 3) what a perfect shape would be: the performer's own rest vertices in the target's place.

    Both meshes have one topology. The performer is laid over `vertices` (V, 3), the target's rest shape or what a swap
    made of it, by the similarity over the landmarks, because no photo tells a head's size and place from a camera's;
    towards skull and neck it fades into the target as a swap's offset does.
    """
    marked, wanted = performer.rest_vertices[performer.landmarks], vertices[target.landmarks]
    turn, _ = Rotation.align_vectors(wanted - wanted.mean(0), marked - marked.mean(0))
    turned = turn.apply(marked - marked.mean(0))
    size = (turned * (wanted - wanted.mean(0))).sum() / (turned**2).sum()
    laid = size * turn.apply(performer.rest_vertices - marked.mean(0)) + wanted.mean(0)
    anchors = target.rest_vertices[target.landmarks].astype(np.float64)
    reach = ShapePrior(anchors, float(np.linalg.norm(np.ptp(anchors, axis=0)))).reach(target.rest_vertices)
    return np.asarray(target.rest_vertices + reach[:, None] * (laid - target.rest_vertices), np.float64)


def expression_error(neutral: FloatArray, posed: FloatArray, keys: FloatArray, values: FloatArray) -> float:
    """How far the shape keys that a mesh shows are from those it was given: |found - given| / |given|.

    neutral (V, 3) and posed (P, V, 3): the mesh without and with expressions. keys (K, V, 3): how each shape key moves
    the untouched mesh at 1. values (P, K): the keys' given values; found are the least squares over all vertices.
    """
    moved = (posed - neutral).reshape(len(posed), -1)
    found = np.linalg.lstsq(keys.reshape(len(keys), -1).T, moved.T, rcond=None)[0].T
    return float(np.linalg.norm(found - values) / np.linalg.norm(values))


def keys_of(neutral: FloatArray, posed: FloatArray, values: FloatArray) -> npt.NDArray[np.float64]:
    """(K, V, 3) how each shape key moves a mesh at 1, out of as many or more poses (P, V, 3) with known values (P, K).
    ValueError if the poses do not tell the keys apart."""
    if np.linalg.matrix_rank(values) < values.shape[1]:
        raise ValueError(f"{len(values)} poses do not tell {values.shape[1]} shape keys apart")
    solved = np.linalg.lstsq(values, (posed - neutral).reshape(len(posed), -1), rcond=None)[0]
    return np.asarray(solved.reshape(-1, *neutral.shape), np.float64)
