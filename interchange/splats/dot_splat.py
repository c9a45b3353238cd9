# SPDX-License-Identifier: Apache-2.0
"""The .splat file of antimatter15's web viewer: 32 bytes a splat, no header, no view-dependent colour.

Layout: github.com/antimatter15/splat (MIT), convert.py. Splats keep their order; that viewer sorts by itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from . import quantisation as q
from .cloud import SH_C0, SplatCloud

ROW = np.dtype([("mean", "<f4", 3), ("scale", "<f4", 3), ("rgba", "u1", 4), ("wxyz", "u1", 4)])
_OPACITY_LIMIT = 1e-6  # what a byte of 0 stands for (and 255 for 1 less this), so that logits stay finite


def encode(cloud: SplatCloud) -> Iterator[bytes | memoryview]:
    """The file. Colours outside 0..1 are clipped, as a screen would."""
    rows = np.empty(len(cloud), ROW)
    rows["mean"] = cloud.means
    rows["scale"] = q.scale_from_log(cloud.log_scales)
    rows["rgba"][:, :3] = q.quantised((0.5 + SH_C0 * cloud.sh[:, 0]) * 255, 255)
    rows["rgba"][:, 3] = q.quantised(q.opacity_from_logit(cloud.opacity_logits) * 255, 255)
    rows["wxyz"] = q.quantised(q.unit_quaternions(cloud.quats_wxyz) * 128 + 128, 255)
    yield rows.view(np.uint8).data


def decode(data: bytes, path: Path) -> SplatCloud:
    """The cloud, SH degree 0."""
    if len(data) % ROW.itemsize:
        raise ValueError(f"{len(data)} bytes are no multiple of {ROW.itemsize}")
    rows = np.frombuffer(data, ROW)
    colours = rows["rgba"] / 255
    return SplatCloud(
        rows["mean"], q.log_from_scale(rows["scale"]),
        q.unit_quaternions(rows["wxyz"].astype(np.float32) - 128),
        q.logit_from_opacity(colours[:, 3], _OPACITY_LIMIT, 1 - _OPACITY_LIMIT),
        ((colours[:, :3] - 0.5) / SH_C0)[:, None],
    )  # fmt: skip
