# SPDX-License-Identifier: Apache-2.0
"""Distances that follow the eye: FLIP where its package is installed, LPIPS where the user brings the weights.

Neither is part of Digidouble: FLIP is NVIDIA's own program, an optional package; LPIPS (Zhang et al. 2018) is a trained
network whose weights are not ours to give. A figure that cannot be computed is None, and `not_available` says why.
"""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from backend.kernels.similarity import box_of_content
from interchange.errors import InputError

Image = npt.NDArray[np.floating]
Distance = Callable[[Image, Image], float]
"""Of a picture to its reference, both (H, W, 3) display-referred 0..1; 0 where they are equal."""

PIXELS_PER_DEGREE = 67.0
"""FLIP's viewing condition: its authors' default, 0.7 m from a display of 3840 pixels on 0.7 m."""
_FLIP_MARGIN = 32
"""Pixels; FLIP's widest filter reaches 10 at this viewing condition."""
NO_FLIP = "the package flip-evaluator is not installed"
NO_LPIPS = "no weights were given (--lpips FILE.onnx)"


@attrs.frozen
class Judges:
    """The distances that can be computed here, and why the others cannot."""

    flip: Distance | None
    lpips: Distance | None
    not_available: dict[str, str]  # name of the figure: reason
    lpips_sha256: str | None = None  # of the user's weights

    def scores(self, picture: Image, reference: Image) -> dict[str, float | None]:
        """flip and lpips of (H, W, 3) pictures; None where not available."""
        return {
            "flip": None if self.flip is None else self.flip(picture, reference),
            "lpips": None if self.lpips is None else self.lpips(picture, reference),
        }


def find_judges(lpips_weights: Path | None = None) -> Judges:
    """What is installed and given. Raises InputError if `lpips_weights` are given and cannot be used."""
    flip = find_flip()
    reasons = {} if flip else {"flip": NO_FLIP}
    if lpips_weights is None:
        return Judges(flip, None, reasons | {"lpips": NO_LPIPS})
    lpips = load_lpips(lpips_weights)
    return Judges(flip, lpips, reasons, hashlib.sha256(lpips_weights.read_bytes()).hexdigest())


def find_flip() -> Distance | None:
    """LDR-FLIP (Andersson et al. 2020), mean over the picture, 0..1; None if its package is not installed."""
    try:
        package = importlib.import_module("flip_evaluator")
    except ImportError:
        return None

    def flip(picture: Image, reference: Image) -> float:
        # Where both are black around them there is no difference, which takes as long to find out as any other.
        x0, y0, x1, y1 = box_of_content(picture, reference, _FLIP_MARGIN)
        if x0 == x1:
            return 0.0
        part = np.s_[y0:y1, x0:x1]
        a, b = (np.ascontiguousarray(np.clip(image[part], 0, 1), np.float32) for image in (reference, picture))
        _, mean, _ = package.evaluate(
            a, b, "LDR", inputsRGB=True, applyMagma=False, parameters={"ppd": PIXELS_PER_DEGREE}
        )
        return float(mean) * a[..., 0].size / picture[..., 0].size

    return flip


def load_lpips(path: Path) -> Distance:
    """An ONNX network with two inputs (1, 3, H, W), RGB in -1..1, whose first output's mean is the distance.

    That is the form of the authors' network when it is exported. Raises InputError when onnxruntime is not installed or
    the file is missing, damaged or of another form.
    """
    try:
        runtime = importlib.import_module("onnxruntime")
    except ImportError:
        raise InputError(
            f"LPIPS needs the package onnxruntime to read {path}.", "Install it, or leave --lpips out."
        ) from None
    if not path.is_file():
        raise InputError(f"The LPIPS weights {path} are missing.", "Check the file's name.")
    try:
        session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        names = [item.name for item in session.get_inputs()]
    except Exception as error:  # onnxruntime's errors have no common class but Exception
        raise InputError(f"{path} is no ONNX network ({_short(error)}).", "Export the network again.") from error
    if len(names) != 2:
        raise InputError(f"The network {path} has {len(names)} inputs, not two pictures.", "Export LPIPS itself.")

    def lpips(picture: Image, reference: Image) -> float:
        inputs = {name: _as_network_input(image) for name, image in zip(names, (picture, reference), strict=True)}
        return _run(session, inputs, path)

    return lpips


def _run(session: Any, inputs: dict[str, npt.NDArray[np.float32]], path: Path) -> float:
    try:
        value = float(np.mean(session.run(None, inputs)[0]))
    except Exception as error:
        raise InputError(
            f"The network {path} does not take pictures of this size ({_short(error)}).", "Export it with free sizes."
        ) from error
    if not np.isfinite(value):
        raise InputError(f"The network {path} gives {value}.", "Export it again.")
    return value


def _as_network_input(image: Image) -> npt.NDArray[np.float32]:  # (H, W, 3) 0..1
    """(1, 3, H, W) -1..1."""
    return np.ascontiguousarray(np.clip(image, 0, 1).transpose(2, 0, 1)[None] * 2 - 1, np.float32)


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:120]
