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


@attrs.frozen
class Headline:
    """One of the three numbers that matter, in words that need no manual."""

    title: str
    value: str
    unit: str
    note: str
    holds: bool | None


def headlines(evaluation: Evaluation) -> list[Headline]:
    """Right face, faithful fit, views that agree: what the terminal and the report's top show.

    A fit's own PSNR never stands without its sharpness; without a truth or a swap the figures left are shown.
    """
    m = evaluation.metrics
    known = {bar.name: bar for bar in bars(evaluation)}
    found = []
    gain = evaluation.gain_over_untouched
    if m.truth.psnr_face is not None and gain is not None:
        right = known["truth.psnr_face"].holds and known["truth.gain"].holds
        note = f"PSNR in the face against the true swap: {gain:+.1f} dB over the untouched avatar"
        found.append(Headline("Right face", f"{m.truth.psnr_face:.1f}", "dB", note, right))
    sharp = "" if m.held_out.sharpness is None else f", at {m.held_out.sharpness:.0%} of their sharpness"
    note = f"PSNR at unseen cameras against the pictures it was made from{sharp}"
    found.append(Headline("Faithful fit", f"{m.held_out.psnr:.1f}", "dB", note, known["held_out.psnr"].holds))
    agreement, floor = m.consistency.reprojection_rmse, m.consistency.floor
    if agreement is not None and floor is not None:
        note = f"cross-view error in 8-bit levels; an untouched render has {floor:.2f}"
        found.append(Headline("Views agree", f"{agreement:.2f}", "levels", note, known["consistency.ratio"].holds))
    if len(found) < 3 and m.held_out.psnr_face is not None:
        value, holds = f"{m.held_out.psnr_face:.1f}", known["held_out.psnr_face"].holds
        found.append(Headline("In the face", value, "dB", "PSNR at unseen cameras, inside the face mask alone", holds))
    return found
