# SPDX-License-Identifier: Apache-2.0
"""Landmarker and face detector out of the models folder: named or found there, checked, opened, and used on a photo."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from interchange.errors import InputError
from interchange.landmarks import check_size

from ..source import read_photo
from .face_detector import FaceDetector
from .landmark_kinds import (
    FIRST_NODES,
    LandmarkKind,
    check_detector,
    is_detector,
    landmarker_of,
    other_points,
    recognise_landmarker,
)
from .landmarker import Found, Landmarker, find_landmarks
from .models import ModelFile, ModelFolder
from .onnx_file import Signature, read_first_operations, read_signature
from .session import open_network
from .settings import AUTO, CPU, NONE

_BEHIND = np.float32(0.5)  # grey, display-referred, where a photo is transparent
_WANTED = "Put 2dfan4.onnx (FAN) or 1k3d68.onnx (InsightFace) there; docs/formats/models.md says what is known of them."


@attrs.frozen
class Choice:
    """Which networks are used. landmarker: a file's name, or auto: what lies in the folder, FAN before 1k3d68, since
    it has scores. detector: the same, or none. providers: of onnxruntime, in order, for the landmarker; OpenCV runs the
    detector on the CPU."""

    landmarker: str = AUTO
    detector: str = AUTO
    providers: tuple[str, ...] = (CPU,)


@attrs.frozen
class Chosen:
    """Files that a choice led to, nothing opened yet. detector: None without one."""

    landmarker: ModelFile
    kind: LandmarkKind
    entry: str
    detector: ModelFile | None


@attrs.frozen(eq=False)
class LandmarkNetworks:
    """Opened. found_by: what landmark files say of points that these find (interchange/landmarks.py)."""

    landmarker: Landmarker
    detector: FaceDetector | None
    found_by: tuple[dict[str, str], ...]
    provider: str
    warnings: tuple[str, ...] = ()


def choose(folder: ModelFolder, choice: Choice) -> Chosen:
    """Look up or look for the networks. InputError for one that is missing, or is something else."""
    name = _first_landmarker(folder) if choice.landmarker == AUTO else choice.landmarker
    landmarker = folder.file(name)
    signature = read_signature(landmarker.path)
    kind = recognise_landmarker(signature, name, read_first_operations(landmarker.path, FIRST_NODES))
    detector = None
    if choice.detector == AUTO:
        detector = next((folder.file(n) for n, s in _signatures(folder) if is_detector(s)), None)
    elif choice.detector != NONE:
        detector = folder.file(choice.detector)
        check_detector(read_signature(detector.path), detector.name)
    return Chosen(landmarker, kind, signature.inputs[0].name, detector)


def open_chosen(chosen: Chosen, choice: Choice, runtime: Any) -> LandmarkNetworks:
    """Open them. InputError when one cannot run as asked; `runtime`: the module onnxruntime."""
    net = open_network(chosen.landmarker, choice.providers, runtime, threads=0)
    landmarker = Landmarker(net, chosen.kind, chosen.landmarker.name, chosen.entry)
    detector = None if chosen.detector is None else FaceDetector(chosen.detector)
    found_by = [_entry("landmarker", chosen.landmarker, chosen.kind.id)]
    if chosen.detector is not None:
        found_by.append(_entry("detector", chosen.detector, "yunet"))
    warnings = tuple(f"{sentence} {net.provider} is used." for sentence in net.passed_over)
    return LandmarkNetworks(landmarker, detector, tuple(found_by), net.provider, warnings)


def find_in_photo(
    path: Path, networks: LandmarkNetworks, cancelled: Callable[[], bool] = lambda: False
) -> tuple[npt.NDArray[np.float32], Found]:
    """(h, w, 3) the photo upright, RGB display-referred 0..1 over grey, and its points.

    Raises InputError for a file that is no usable photo, and as `find_landmarks` does; Cancelled.
    """
    colour, alpha = read_photo(path)
    check_size(path, colour.shape[1], colour.shape[0])
    picture = colour if alpha is None else _BEHIND + alpha[..., None] * (colour - _BEHIND)
    picture = np.ascontiguousarray(picture, np.float32)
    return picture, find_landmarks(picture, networks.landmarker, networks.detector, str(path), cancelled)


def _first_landmarker(folder: ModelFolder) -> str:
    there = [(name, landmarker_of(signature)) for name, signature in _signatures(folder)]
    known = sorted((not kind.heatmaps, name) for name, kind in there if kind is not None)
    if known:
        return known[0][1]
    for name, signature in _signatures(folder):
        if (other := other_points(signature)) is not None:
            raise InputError(f"There is no landmarker in {folder.path} but {name}, which gives {other}.", _WANTED)
    raise InputError(f"There is no landmarker in {folder.path}.", _WANTED)


def _signatures(folder: ModelFolder) -> Iterator[tuple[str, Signature]]:
    """Of all files that can be read; damaged ones are told by `digidouble models`."""
    for name in folder.names():
        try:
            yield name, read_signature(folder.path / name)
        except InputError:
            continue


def _entry(role: str, file: ModelFile, kind: str) -> dict[str, str]:
    return {"role": role, "file": file.name, "sha256": file.sha256, "kind": kind}
