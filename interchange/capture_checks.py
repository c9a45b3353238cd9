# SPDX-License-Identifier: Apache-2.0
"""What must hold for a capture's manifest to be worked with; it may have been edited or come from elsewhere.

Names become file names of results, so they must not lead out of a folder.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .cameras import Camera
from .errors import InputError
from .paths import check_relative_path

if TYPE_CHECKING:
    from .capture import Capture, View

SPLITS = ("train", "held_out")
_LARGEST_SIDE = 32768  # pixels


def check_manifest(capture: Capture) -> None:
    """Raises InputError for unusable names, paths, splits or cameras."""
    for view in capture.views:
        _check_view(view)
    for kind, names in (("views", [v.name for v in capture.views]), ("poses", [p.name for p in capture.poses])):
        twice = sorted({n for n in names if names.count(n) > 1})
        if twice:
            raise InputError(f"There are two {kind} called {twice[0]}.")
    for path in [p.mesh for p in capture.poses] + [o.texture for o in capture.objects if o.texture is not None]:
        check_relative_path(path)
    for item in capture.objects:
        if len(item.base_color) != 3 or not np.isfinite(item.base_color).all():
            raise InputError(f"The base colour of {item.name} is not three numbers.")


def _check_view(view: View) -> None:
    check_relative_path(view.exr)
    check_relative_path(view.preview)
    if "/" in check_relative_path(view.name):
        raise InputError(f"A view cannot be called {view.name!r}.")
    if view.split not in SPLITS:
        raise InputError(f'The view {view.name} has split "{view.split}", not one of {", ".join(SPLITS)}.')
    problem = _problem_of(view.camera)
    if problem:
        raise InputError(f"The camera of view {view.name} {problem}.")


def _problem_of(camera: Camera) -> str:
    if not camera.is_finite():
        return "holds NaN or infinite numbers"
    if not (0 < camera.width <= _LARGEST_SIDE and 0 < camera.height <= _LARGEST_SIDE):
        return f"has a picture of {camera.width} x {camera.height} pixels"
    if camera.K[0, 0] <= 0 or camera.K[1, 1] <= 0:
        return "has no positive focal length"
    turn = camera.rotation
    if not np.allclose(turn @ turn.T, np.eye(3), atol=1e-3) or np.linalg.det(turn) < 0:
        return "has a world_to_camera that is no rigid transform"
    if not np.allclose(camera.world_to_camera[3], [0, 0, 0, 1], atol=1e-6):
        return "has a world_to_camera whose last row is not 0 0 0 1"
    return ""
