# SPDX-License-Identifier: Apache-2.0
"""The report as the commands build it: evaluated first, turntable from the real engine."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

from backend.report.build import build_report, splat_renderer
from interchange.cameras import SPLAT_FROM_BLENDER
from interchange.errors import InputError
from interchange.splats import SplatCloud, write_ply
from tests.evaluation import scene


def test_splats_appear_where_the_capture_has_them(tmp_path: Path) -> None:
    """One red splat a little above and to the left of the ball's centre, seen from the front."""
    offset = np.array([0.03, 0.0, 0.05])  # the character's left is the picture's right
    mean = (scene.CENTRE + offset) @ SPLAT_FROM_BLENDER.T
    red = np.array([[[1.77, -1.77, -1.77]]])
    cloud = SplatCloud(mean[None], np.full((1, 3), np.log(0.008)), np.eye(4)[:1], np.full(1, 8.0), red)
    write_ply(tmp_path / "splats.ply", cloud)
    camera = scene.camera(0, 0, 96)
    image = splat_renderer(tmp_path / "splats.ply")(camera)
    assert image.shape == (96, 96, 3)
    (u, v), = camera.project((scene.CENTRE + offset)[None])[0]
    assert u > 48 > v
    y, x = np.unravel_index(image[..., 0].argmax(), image.shape[:2])
    assert abs(x + 0.5 - u) <= 1 and abs(y + 0.5 - v) <= 1
    assert image[y, x, 0] > 0.9 and image[y, x, 1:].max() < 0.1


def test_report_from_nothing_but_the_folders(tmp_path: Path) -> None:
    job = scene.write_job(tmp_path)
    report = build_report(job / "double", job / "capture", job / "swapped", job / "source", job / "truth")
    assert report.stat().st_size > 100_000
    assert (job / "double/metrics.json").exists()
    with PillowImage.open(job / "double/turntable.webp") as picture:
        assert picture.n_frames >= 36 and picture.size == (320, 320)


def test_a_double_without_splats_is_refused(tmp_path: Path) -> None:
    job = scene.write_job(tmp_path)
    (job / "double/splats.ply").unlink()
    with pytest.raises(InputError, match=r"splats\.ply"):
        build_report(job / "double", job / "capture", job / "swapped")
