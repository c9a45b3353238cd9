# SPDX-License-Identifier: Apache-2.0
"""The two tables of ImplicitDeepfake (arXiv 2402.06390), each with controls that show what its figures are worth.

*Table 1*: a fit's pictures at unseen cameras against the swapped views there. It tells how well the fit follows the
swap, and is best for the blurriest, least correct one; hence sharpness beside it, and figures in the face alone beside
those of the whole frame, which background makes better. *Table 2*: the same pictures against the source's own avatar,
seen by the same cameras; hair, head and clothes differ, so the whole frame is low for everybody. Controls: the
untouched target, the photo pasted rigidly, the true swap.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from . import metrics
from .seam import changed_region, seam

Image = npt.NDArray[np.floating]
TABLE_1, TABLE_2, TRUTH = "table_1", "table_2", "truth"
MIN_FACE = 0.001
"""Share of the frame that the face mask must cover for a view to have figures of its own for the face."""
UNTOUCHED, RIGID, TRUE_SWAP = "untouched", "pasted rigidly", "true swap"


@attrs.frozen
class Row:
    """Means over views, and how far views spread (sd). Face figures: over the views that show a face; None without."""

    psnr: float
    ssim: float
    psnr_face: float | None = None
    ssim_face: float | None = None
    sharpness: float | None = None
    seam_jump: float | None = None
    seam_difference: float | None = None
    sd: dict[str, float] = attrs.field(factory=dict)


@attrs.frozen(eq=False)
class Goal:
    """What one view is compared with. picture: (H, W, 3) sRGB 0..1. face, skin: (H, W) soft masks of the target's view,
    None where it shows no face. untouched: (H, W, 3) that view; a row's seam is where it begins to differ from it."""

    picture: Image
    face: Image | None
    skin: Image | None = None
    untouched: Image | None = None


def score(pictures: Sequence[Image], goals: Sequence[Goal]) -> Row:
    """One row: pictures (H, W, 3) sRGB 0..1 against the goals, both through 8 bits."""
    found = [_figures(p, g) for p, g in zip(pictures, goals, strict=True)]
    values = {name: [f[name] for f in found if name in f] for name in (f.name for f in attrs.fields(Row))}
    means = {name: round(float(np.mean(v)), 4) for name, v in values.items() if v}
    return Row(**means, sd={name: round(float(np.std(v)), 4) for name, v in values.items() if v})


def table(rows: Mapping[str, Sequence[Image]], goals: Sequence[Goal]) -> dict[str, Row]:
    """A row for each set of pictures."""
    return {name: score(pictures, goals) for name, pictures in rows.items()}


def _figures(picture: Image, goal: Goal) -> dict[str, Any]:
    ours, wanted = metrics.through_8_bit(picture), metrics.through_8_bit(goal.picture)
    found: dict[str, Any] = {"psnr": metrics.psnr(ours, wanted), "ssim": metrics.ssim(ours, wanted)}
    if goal.face is None:
        return found
    found["psnr_face"] = metrics.psnr(ours, wanted, goal.face)
    found["ssim_face"] = metrics.ssim(ours, wanted, goal.face)
    found["sharpness"] = metrics.sharpness(ours, wanted, goal.face)
    if goal.skin is not None and goal.untouched is not None:
        rim = seam(ours, wanted, changed_region(ours, metrics.through_8_bit(goal.untouched)), goal.skin)
        if rim is not None:
            found |= {"seam_jump": rim.gradient_jump, "seam_difference": rim.ring_difference}
    return found


_COLUMNS = (
    ("psnr", "PSNR", 2), ("ssim", "SSIM", 3), ("psnr_face", "in face", 2), ("ssim_face", "in face", 3),
    ("sharpness", "sharp", 2), ("seam_jump", "jump", 2), ("seam_difference", "ring dE", 2),
)  # fmt: skip
_TITLES = {TABLE_1: "against the swapped views", TABLE_2: "against the source's head", TRUTH: "against the true swap"}
LEGEND = """PSNR in dB and SSIM, then both in the face alone: higher is nearer. sharp: 1 is as sharp as what it is
compared with. jump, ring dE: the seam around the new face, 0 is none; - where there is nothing to measure."""
"""Of table_lines, for those who see them for the first time."""


def table_lines(name: str, rows: Mapping[str, Row]) -> list[str]:
    """A table for the terminal."""
    lines = [f"{_TITLES[name]:<28}" + "".join(f"{title:>9}" for _, title, _ in _COLUMNS)]
    for row, figures in rows.items():
        cells = [(getattr(figures, column), digits) for column, _, digits in _COLUMNS]
        lines.append(f"{row:<28}" + "".join(f"{'-' if v is None else f'{v:.{d}f}':>9}" for v, d in cells))
    return lines
