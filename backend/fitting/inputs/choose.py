# SPDX-License-Identifier: Apache-2.0
"""Which reader a folder wants, by what lies in it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from interchange.cameras import Camera
from interchange.capture import MANIFEST, Capture
from interchange.errors import InputError, Progress

from ..dataset import Dataset, load_dataset, never
from .colmap import model_folder, read_colmap
from .photos import PhotoSet, load_photos
from .transforms_json import is_transforms, read_transforms

LONGEST = 800
"""Pixels on the longer side that photos are scaled down to; a capture's pictures are taken as they are.

A view costs about 56 bytes a pixel while it is fitted."""


def load_input(
    path: Path | str, progress: Progress | None = None, cancelled: Callable[[], bool] = never, longest: int = LONGEST
) -> Dataset:
    """All pictures of a capture, a swapped folder, a transforms.json folder or a COLMAP model, in the splat frame.

    Raises InputError if it is none of these, or says what in it cannot be used; Cancelled when told to stop.
    """
    path = Path(path)
    photos = _read_photos(path)
    if photos is None:
        return load_dataset(Capture.load(path), progress, cancelled)
    return load_photos(photos, longest, progress, cancelled)


def check_own_files(path: Path | str) -> None:
    """Raise InputError (INPUT_PATH) if photos, masks or points that a folder's files name lie outside of it.

    For folders that came from somebody else: their transforms.json must not make us read another one's pictures.
    """
    path = Path(path)
    photos = _read_photos(path)
    if photos is None:
        return  # a capture's paths are checked with its manifest
    listed = photos.train + photos.held_out
    files = [p.picture for p in listed] + [p.mask for p in listed if p.mask is not None]
    for file in files + ([] if photos.point_file is None else [photos.point_file]):
        if not file.resolve().is_relative_to(path.resolve()):
            raise InputError(
                f"The fit's input names {file.name}, which is not in its folder.", "Put all files into one folder.",
                "INPUT_PATH",
            )  # fmt: skip


def load_cameras(path: Path | str) -> list[tuple[str, Camera]]:
    """Names and cameras (splat frame) of all views of anything that `load_input` reads; no picture is decoded."""
    path = Path(path)
    photos = _read_photos(path)
    if photos is None:
        return [(view.name, view.camera.in_splat_frame()) for view in Capture.load(path).views]
    return [(photo.name, photo.camera) for photo in photos.train + photos.held_out]


def _read_photos(path: Path) -> PhotoSet | None:
    """None for a capture. A capture holds a transforms.json too, so it is looked for first."""
    if not path.exists():
        raise InputError(f"{path} is missing.", "Check its name.")
    if (path / MANIFEST).is_file():
        return None
    if is_transforms(path):
        return read_transforms(path)
    if path.is_dir() and model_folder(path) is not None:
        return read_colmap(path)
    raise InputError(
        f"{path} holds neither a capture (capture.json), nor a transforms.json, nor a COLMAP model (sparse/0).",
        "Give one of these folders.",
    )
