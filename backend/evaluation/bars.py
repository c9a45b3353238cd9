# SPDX-License-Identifier: Apache-2.0
"""The bars that the project sets itself for the main job, held against one evaluation."""

from __future__ import annotations

import attrs

from .results import Evaluation

PSNR_BAR, SSIM_BAR, PSNR_FACE_BAR = 36.0, 0.97, 30.0
TRUTH_BAR, GAIN_BAR = 24.0, 4.0
CONSISTENCY_FACTOR = 2.0
TOTAL_SECONDS_BAR = 300.0


@attrs.frozen
class Bar:
    """One figure against its bar; `at_least` tells the direction; value None = not measured, which never holds."""

    name: str
    value: float | None
    unit: str
    bar: float
    at_least: bool
    meaning: str

    @property
    def holds(self) -> bool | None:
        """None where the figure is unknown."""
        if self.value is None:
            return None
        return self.value >= self.bar if self.at_least else self.value <= self.bar


def bars(evaluation: Evaluation) -> list[Bar]:
    """Every bar of the main job. Figures that the job could not measure are listed without a value."""
    m = evaluation.metrics
    floor = m.consistency.floor
    ratio = m.consistency.reprojection_rmse / floor if m.consistency.reprojection_rmse is not None and floor else None
    return [
        Bar("held_out.psnr", m.held_out.psnr, "dB", PSNR_BAR, True, "fit against its own pictures, unseen cameras"),
        Bar("held_out.ssim", m.held_out.ssim, "", SSIM_BAR, True, "structure, whole frame"),
        Bar("held_out.psnr_face", m.held_out.psnr_face, "dB", PSNR_FACE_BAR, True, "inside the face mask alone"),
        Bar("truth.psnr_face", m.truth.psnr_face, "dB", TRUTH_BAR, True, "fit against the true swap, in the face"),
        Bar("truth.gain", evaluation.gain_over_untouched, "dB", GAIN_BAR, True, "nearer the truth than avatar A is"),
        Bar("consistency.ratio", ratio, "x floor", CONSISTENCY_FACTOR, False, "cross-view error over that of a render"),
        Bar("timing_s.total", m.timing_s.get("total"), "s", TOTAL_SECONDS_BAR, False, "the whole job, wall clock"),
    ]
