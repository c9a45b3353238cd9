# SPDX-License-Identifier: Apache-2.0
"""Find the facial points of photos with a network of your own, and draw them to be looked at.

No network comes with Digidouble; docs/formats/models.md says which are known. Photos stay on this computer.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from backend.faceswap.landmark_picture import write_landmark_picture
from backend.faceswap.onnx.landmark_networks import LandmarkNetworks, find_in_photo
from backend.terminal import Terminal
from interchange.errors import InputError
from interchange.landmarks import read_landmark_file, write_landmarks
from interchange.mesh import LANDMARK_COUNT

from . import _arguments, _landmark_arguments

DRAWN = "drawn"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this command."""
    _arguments.add_photos(parser)
    _landmark_arguments.add_networks(parser)
    _arguments.add_out(parser, "the folder for landmarks*.json, with the pictures in drawn/")


def run(options: argparse.Namespace, terminal: Terminal) -> int:
    """A landmark file and a picture for each photo. One that has no face ends it; what was found before stays."""
    for photo in options.photo:
        if not photo.is_file():
            raise InputError(f"{photo} is missing.", "Check the file's name.")
    names = landmark_names(options.photo)
    for name in names:
        _check_free(options.out / name)
    networks = _landmark_arguments.open_networks(options, terminal)
    options.out.mkdir(parents=True, exist_ok=True)
    progress = terminal.progress("landmarks")
    for index, (photo, name) in enumerate(zip(options.photo, names, strict=True)):
        progress("landmarks", index / len(names), f"Looking at {photo.name}")
        drawing = options.out / DRAWN / f"{Path(name).stem}.png"
        count = find_and_write(photo, networks, options.out / name, drawing, terminal)
        terminal.say(f"{photo.name}: {count} of {LANDMARK_COUNT} points")
    terminal.say(f"Wrote {options.out}; look at {options.out / DRAWN}")
    return 0


def find_and_write(
    photo: Path, networks: LandmarkNetworks, path: Path, drawing: Path | None, terminal: Terminal
) -> int:
    """Find a photo's points, write the landmark file and the drawing; how many points. Raises InputError, OSError."""
    picture, found = find_in_photo(photo, networks)
    for sentence in found.warnings:
        terminal.say(f"Note: {sentence}")
    write_landmarks(path, photo.name, found.points, networks.found_by)
    if drawing is not None:
        write_landmark_picture(drawing, picture, found.points, found.scores)
    return len(found.points)


def landmark_names(photos: Sequence[Path]) -> list[str]:
    """Names of the landmark files of several photos: landmarks.json for the first, which a swap reads first."""
    names: list[str] = []
    for photo in photos:
        stem = f"landmarks_{photo.stem}" if names else "landmarks"
        names.append(_arguments.free_name(stem, ".json", names))
    return names


def _check_free(path: Path) -> None:
    """InputError for a file whose points a network has not found: somebody has placed them."""
    if path.exists() and not read_landmark_file(path, fewest=0).found_by:
        raise InputError(f"{path} holds points that were placed by hand.", "Choose another --out, or move it away.")
