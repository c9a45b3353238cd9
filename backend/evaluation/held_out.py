# SPDX-License-Identifier: Apache-2.0
"""The figures of a fit against a picture that it never saw, as the fit itself takes them.

The evaluation of a double (`evaluate`) asks more: it knows the capture, the swap and the truth. These need the picture
alone, so that photos with cameras have figures too.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from .metrics import WINDOW, ms_ssim, psnr, ssim, through_8_bit
from .perceptual import Judges

Image = npt.NDArray[np.floating]
FIGURES = ("psnr", "ssim", "ms_ssim", "flip", "psnr_face")


def held_out_scores(fitted: Image, goal: Image, face: Image | None, judges: Judges) -> dict[str, float | None]:
    """`FIGURES` of two pictures (H, W, 3) 0..1 over black, both through 8 bits; None where there is no such figure.

    face: (H, W) soft mask or None.
    """
    shown, wanted = through_8_bit(fitted), through_8_bit(goal)
    return {
        "psnr": psnr(shown, wanted),
        "ssim": ssim(shown, wanted),
        "ms_ssim": ms_ssim(shown, wanted) if min(shown.shape[:2]) >= WINDOW else None,
        "flip": judges.flip(shown, wanted) if judges.flip else None,
        "psnr_face": psnr(shown, wanted, face) if face is not None and face.sum() > 0 else None,
    }


def mean_scores(scores: Sequence[dict[str, float | None]]) -> dict[str, float | None]:
    """Means of `FIGURES` over the views that have them; None where none has."""
    known = {name: [value for s in scores if (value := s[name]) is not None] for name in FIGURES}
    return {name: float(np.mean(values)) if values else None for name, values in known.items()}
