# SPDX-License-Identifier: Apache-2.0
"""Do two heads have one outline?"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from backend.kernels.mesh_rasterization import rasterize
from interchange.cameras import Camera

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
