# SPDX-License-Identifier: GPL-3.0-or-later
"""The one door to `interchange`, which lies in two places: beside the add-on in the repository, and inside it in the
extension's zip (an extension may only import from its own package). Everything in the add-on imports it from here.
"""

from __future__ import annotations

import importlib
import importlib.util
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from interchange import cameras, capture, colour, errors, exr, mesh, png, splats
else:
    _inside = f"{__package__}.interchange"
    _root = _inside if importlib.util.find_spec(_inside) else "interchange"
    cameras, capture, colour, errors, exr, mesh, png, splats = (
        importlib.import_module(f"{_root}.{name}")
        for name in ("cameras", "capture", "colour", "errors", "exr", "mesh", "png", "splats")
    )

__all__ = ["cameras", "capture", "colour", "errors", "exr", "mesh", "png", "splats"]
