# SPDX-License-Identifier: GPL-3.0-or-later
"""Cameras for other trainers: transforms.json and COLMAP, of a rig that was not rendered, of the scene's own cameras,
or of a finished capture.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy.typing as npt

from .._interchange import cameras, capture, colmap, errors
from .place import capture_folder, is_complete
from .planning import plan_views
from .request import settings_from_panel

PICTURES = "images"
"""Folder that exported cameras expect the pictures in, where there are none yet."""


def export_source(context: Any, kind: str) -> tuple[capture.Capture, npt.NDArray | None]:
    """Views and points (N, 3), world, of what is exported. kind: RIG, or CAPTURE for the finished one.

    Raises InputError if there is none, or the rig cannot be placed.
    """
    if kind == "CAPTURE":
        folder = capture_folder(context)
        if not is_complete(folder):
            raise errors.InputError(f"There is no finished capture in {folder}.", "Capture first, or export the rig.")
        captured = capture.Capture.load(folder)
        return captured, captured.load_mesh().vertices
    plan = plan_views(context, settings_from_panel(context))
    return plan.as_capture(Path()), plan.points


def write_transforms(path: Path, source: capture.Capture, kind: str) -> int:
    """Write nerfstudio's transforms.json; how many frames it has. Paths of pictures are relative to the file.

    Raises InputError if it cannot be written.
    """
    transforms = source.nerfstudio_transforms()
    for frame in transforms["frames"]:
        frame["file_path"] = _picture(path.parent, source, frame["file_path"], kind)
    for key in ("train_filenames", "val_filenames", "test_filenames"):
        transforms[key] = [_picture(path.parent, source, name, kind) for name in transforms[key]]
    with _writable(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        capture.write_json(path, transforms)
    return len(transforms["frames"])


def write_colmap_model(folder: Path, source: capture.Capture, points: npt.NDArray | None) -> int:
    """Write a COLMAP text model (y down, as in captures); how many images it has. InputError if that cannot be done."""
    views = [(Path(view.preview).name, view.camera.in_splat_frame()) for view in source.views]
    if points is not None:
        points = points[:: 1 + len(points) // capture.MAX_POINTS] @ cameras.SPLAT_FROM_BLENDER.T
    with _writable(folder):
        colmap.write_colmap(folder, views, points)
    return len(views)


def _picture(base: Path, source: capture.Capture, name: str, kind: str) -> str:
    if kind != "CAPTURE":
        return f"{PICTURES}/{Path(name).name}"
    try:
        return Path(os.path.relpath(source.folder / name, base)).as_posix()
    except ValueError:  # another drive of Windows
        return (source.folder / name).as_posix()


@contextlib.contextmanager
def _writable(path: Path) -> Iterator[None]:
    """An OSError as the sentence that the path cannot be written."""
    try:
        yield
    except OSError as error:
        raise errors.InputError(
            f"{path} cannot be written ({error.strerror or error}).", "Choose another place."
        ) from error
