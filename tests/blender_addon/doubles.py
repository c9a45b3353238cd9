# SPDX-License-Identifier: GPL-3.0-or-later
"""Small doubles for the display's tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from interchange.cameras import SPLAT_FROM_BLENDER
from interchange.capture import Capture
from interchange.splats import SplatCloud, write_ply


def some_splats(count: int = 200, degree: int = 2, seed: int = 0) -> SplatCloud:
    """Splats of all kinds around the origin, quaternions of any length."""
    rng = np.random.default_rng(seed)
    return SplatCloud(
        rng.normal(size=(count, 3)), rng.normal(size=(count, 3)) - 4, rng.normal(size=(count, 4)) * 3,
        rng.normal(size=count) * 3, rng.normal(size=(count, (degree + 1) ** 2, 3)), antialiased=degree % 2 == 0,
    )  # fmt: skip


def born_on(captured: Capture, folder: Path, count: int = 400, seed: int = 0) -> tuple[SplatCloud, Any, Any]:
    """A double's folder with splats up to 2 mm off the captured mesh; the cloud, their faces and barycentrics."""
    rng = np.random.default_rng(seed)
    mesh = captured.load_mesh()
    face = rng.integers(0, len(mesh.faces), count).astype(np.int32)
    barycentric = rng.dirichlet([1, 1, 1], count).astype(np.float32)
    points = np.einsum("ni,nij->nj", barycentric, mesh.vertices[mesh.faces[face]])
    points = points + rng.uniform(-0.002, 0.002, points.shape)
    cloud = some_splats(count, 1, seed)
    cloud.means[:] = points @ SPLAT_FROM_BLENDER.T
    cloud.log_scales[:] = rng.normal(-6, 0.3, (count, 3))
    folder.mkdir(parents=True, exist_ok=True)
    write_ply(folder / "splats.ply", cloud)
    np.savez_compressed(folder / "binding.npz", face=face, barycentric=barycentric, pose=np.array("rest"))
    return cloud, face, barycentric
