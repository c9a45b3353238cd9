# SPDX-License-Identifier: Apache-2.0
"""What an evaluation found: the classes, and the files metrics.json and evaluation.json (docs/formats/double.md)."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import cattrs

from interchange.capture import read_json, write_json
from interchange.errors import InputError

from .tables import Row

METRICS_FILE, EVALUATION_FILE = "metrics.json", "evaluation.json"
EVALUATION_FORMAT, EVALUATION_VERSION = "digidouble-evaluation", 1
STAGES = ("install", "capture", "transfer", "swap", "fit", "import", "total")
"""The stages whose wall-clock seconds metrics.json holds, in the order of the job."""


@attrs.frozen
class ViewCounts:
    """Number of views by split."""

    train: int
    held_out: int


@attrs.frozen
class HeldOut:
    """Fit against the pictures that it should reproduce, held-out views, means over views. Says nothing of identity."""

    psnr: float
    ssim: float
    psnr_face: float | None
    sharpness: float | None


@attrs.frozen
class Perceptual:
    """Fit against the same pictures, whole frame, by figures that follow the eye; None where not available."""

    ms_ssim: float | None = None
    flip: float | None = None
    lpips: float | None = None
    not_available: dict[str, str] = attrs.field(factory=dict)  # name of a figure: why it could not be computed
    lpips_sha256: str | None = None  # of the user's weights: figures of different ones cannot be compared


@attrs.frozen
class Truth:
    """A picture set against the rendered true swap, held-out views, in the face mask; None without a truth."""

    psnr_face: float | None = None
    ssim_face: float | None = None


@attrs.frozen
class CrossView:
    """Reprojection RMSE in 8-bit levels of the swapped views, and of the untouched capture at the same pixels."""

    reprojection_rmse: float | None = None
    floor: float | None = None


@attrs.frozen
class Metrics:
    """metrics.json, with exactly its keys; None (null) where a figure is unknown."""

    timing_s: dict[str, float | None]
    views: ViewCounts
    size: list[int]
    splats: int
    held_out: HeldOut
    truth: Truth
    consistency: CrossView
    perceptual: Perceptual = attrs.field(factory=Perceptual)  # files of earlier versions have none

    def save(self, double_folder: Path) -> Path:
        """Write metrics.json."""
        path = Path(double_folder) / METRICS_FILE
        write_json(path, cattrs.unstructure(self))
        return path

    @staticmethod
    def load(double_folder: Path) -> Metrics:
        """Read metrics.json. Raises InputError when it is missing or not what `save` wrote."""
        path = Path(double_folder) / METRICS_FILE
        try:
            return cattrs.structure(json.loads(path.read_text(encoding="utf-8")), Metrics)
        except FileNotFoundError:
            raise InputError(f"{path} is missing.", "Evaluate the double first.") from None
        except (ValueError, OSError, KeyError, TypeError, AttributeError, cattrs.BaseValidationError) as error:
            raise InputError(f"{path} is damaged ({type(error).__name__}).", "Evaluate the double again.") from error


@attrs.frozen
class ViewScores:
    """One held-out view. `swap_*` and `untouched_*` are the two controls: the swap itself and avatar A, as rendered."""

    name: str
    psnr: float
    ssim: float
    ms_ssim: float
    psnr_float: float
    psnr_face: float | None = None
    ssim_face: float | None = None
    sharpness: float | None = None
    truth_psnr_face: float | None = None
    truth_ssim_face: float | None = None
    truth_sharpness: float | None = None
    swap_psnr_face: float | None = None
    swap_ssim_face: float | None = None
    untouched_psnr_face: float | None = None
    untouched_ssim_face: float | None = None
    flip: float | None = None
    lpips: float | None = None


@attrs.frozen
class Evaluation:
    """All figures of one double. `ceiling` is the swap against the truth, `untouched` avatar A against the truth."""

    metrics: Metrics
    views: list[ViewScores]
    ms_ssim: float
    ssim_face: float | None
    ceiling: Truth
    untouched: Truth
    truth_sharpness: float | None
    consistency_pairs: int
    consistency_samples: int
    spread: dict[str, float] = attrs.field(factory=dict)
    tables: dict[str, dict[str, Row]] = attrs.field(factory=dict)  # by table, by row; earlier files have none

    @property
    def gain_over_untouched(self) -> float | None:
        """dB by which the fit is nearer to the truth than the untouched avatar is; None without a truth."""
        fit, before = self.metrics.truth.psnr_face, self.untouched.psnr_face
        return None if fit is None or before is None else fit - before

    def save(self, double_folder: Path) -> None:
        """Write metrics.json and evaluation.json."""
        self.metrics.save(double_folder)
        value = cattrs.unstructure(self)
        value.pop("metrics")
        header = {"format": EVALUATION_FORMAT, "version": EVALUATION_VERSION}
        write_json(Path(double_folder) / EVALUATION_FILE, header | value)

    @staticmethod
    def load(double_folder: Path) -> Evaluation:
        """Read both files. Raises InputError when one is missing or damaged."""
        path = Path(double_folder) / EVALUATION_FILE
        value = read_json(path, EVALUATION_FORMAT, EVALUATION_VERSION)
        metrics = Metrics.load(double_folder)
        try:
            views = cattrs.structure(value.pop("views"), list[ViewScores])
            plain = cattrs.structure(value | {"metrics": cattrs.unstructure(metrics), "views": []}, Evaluation)
            return attrs.evolve(plain, views=views)
        except (ValueError, KeyError, TypeError, AttributeError, cattrs.BaseValidationError) as error:
            raise InputError(f"{path} is damaged ({type(error).__name__}).", "Evaluate the double again.") from error


def empty_timings() -> dict[str, float | None]:
    """All stages, none known."""
    return dict.fromkeys(STAGES)


def merged_timings(known: Mapping[str, float | None], more: Mapping[str, float | None]) -> dict[str, float | None]:
    """`known` with the figures of `more` over it (None there changes nothing). Raises ValueError for other stages."""
    strange = (known.keys() | more.keys()) - set(STAGES)
    if strange:
        raise ValueError(f"unknown stages in timings: {', '.join(sorted(strange))}; known: {', '.join(STAGES)}")
    result = empty_timings() | dict(known)
    for stage, seconds in more.items():
        if seconds is not None:
            if not math.isfinite(seconds) or seconds < 0:
                raise ValueError(f"the time of {stage} is {seconds}")
            result[stage] = round(float(seconds), 3)
    return result


def merge_timings(double_folder: Path, timings: Mapping[str, float | None]) -> Metrics:
    """Put seconds by stage into an existing metrics.json; stages that are not given keep what they have."""
    metrics = Metrics.load(double_folder)
    metrics = attrs.evolve(metrics, timing_s=merged_timings(metrics.timing_s, timings))
    metrics.save(double_folder)
    return metrics


def rounded(value: Any, digits: int = 4) -> Any:
    """A float for a JSON file; None stays None."""
    return None if value is None else round(float(value), digits)
