# SPDX-License-Identifier: GPL-3.0-or-later
"""The one door to `interchange`, which lies in two places: beside the add-on in the repository, and inside it in the
extension's zip (an extension may only import from its own package). Everything in the add-on imports it from here.
"""

from __future__ import annotations

import importlib
import importlib.util
from typing import TYPE_CHECKING, Any

_inside = f"{__package__}.interchange"
_root = _inside if importlib.util.find_spec(_inside) else "interchange"

if TYPE_CHECKING:
    from interchange import (
        cameras,
        capture,
        colmap,
        colour,
        consent,
        errors,
        exr,
        landmarks,
        mean_face,
        mesh,
        paths,
        png,
        service_errors,
        splats,
        whole_files,
    )
else:
    for _name in (
        "cameras", "capture", "colmap", "colour", "consent", "errors", "exr", "landmarks", "mean_face", "mesh",
        "paths", "png", "service_errors", "splats", "whole_files",
    ):  # fmt: skip
        globals()[_name] = importlib.import_module(f"{_root}.{_name}")


def network(name: str) -> Any:
    """A module of `interchange` that talks to the backend ("client", "local_server", ...), imported when it is needed.

    Raises InputError if the ZeroMQ module is missing or was built for another Python: the rest of the add-on works.
    """
    try:
        return importlib.import_module(f"{_root}.{name}")
    except ImportError as error:
        raise errors.InputError(
            f"The Python module {error.name or 'zmq'} cannot be loaded, so no backend can be reached.",
            "Install the extension's zip again: Preferences > Get Extensions > Install from Disk.",
        ) from error


__all__ = [
    "cameras", "capture", "colmap", "colour", "consent", "errors", "exr", "landmarks", "mean_face", "mesh", "network",
    "paths", "png", "service_errors", "splats", "whole_files",
]  # fmt: skip
