# SPDX-License-Identifier: Apache-2.0
"""Cameras and points as a COLMAP text model, for other trainers.

Poses are written in the splat frame (y down): a trainer that takes COLMAP's world as it is, as they all do, makes
splats that lie as ours do.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from .cameras import Camera
from .splats.axes import quaternion_from_matrix
from .whole_files import whole_file

Array = npt.NDArray[np.floating]


def write_colmap(
    folder: Path | str, views: Sequence[tuple[str, Camera]], points: Array | None = None, colours: Array | None = None
) -> None:
    """Write cameras.txt, images.txt and points3D.txt.

    views: the picture's name and its camera, in the splat frame. points: (N, 3) splat frame; colours: (N, 3) sRGB 0..1,
    grey where None. Numbers are written so that reading gives the same bits; rotations pass through a quaternion.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    lenses: dict[tuple[str, ...], int] = {}
    images = []
    for number, (name, camera) in enumerate(views, 1):
        K = camera.K
        key = (str(camera.width), str(camera.height), *_words((K[0, 0], K[1, 1], K[0, 2], K[1, 2])))
        lens = lenses.setdefault(key, len(lenses) + 1)
        pose = _words((*quaternion_from_matrix(camera.rotation), *camera.translation))
        images += [" ".join((str(number), *pose, str(lens), name)), ""]
    cameras = [" ".join((str(number), "PINHOLE", *key)) for key, number in lenses.items()]
    _write(folder / "cameras.txt", "CAMERA_ID MODEL WIDTH HEIGHT FX FY CX CY", cameras)
    _write(folder / "images.txt", "IMAGE_ID QW QX QY QZ TX TY TZ CAMERA_ID NAME, then its points", images)
    points = np.zeros((0, 3)) if points is None else np.asarray(points, np.float64)
    levels = np.full(points.shape, 128) if colours is None else np.rint(np.clip(colours, 0, 1) * 255).astype(int)
    lines = [
        " ".join((str(number), *_words(point), *(str(v) for v in level), "0"))
        for number, (point, level) in enumerate(zip(points.tolist(), levels.tolist(), strict=True), 1)
    ]
    _write(folder / "points3D.txt", "POINT3D_ID X Y Z R G B ERROR TRACK", lines)


def _words(numbers: Iterable[float]) -> list[str]:
    return [repr(float(number)) for number in numbers]


def _write(path: Path, columns: str, lines: Sequence[str]) -> None:
    with whole_file(path) as file:
        file.write("\n".join([f"# {columns}", *lines, ""]).encode())
