# SPDX-License-Identifier: Apache-2.0
"""Where the networks want the face in their crop: five points, as shares of the crop's edge."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[Any]

# Left eye, right eye, nose, left and right corner of the mouth; left is the picture's left. As the networks' users
# publish them; insightface's 112 pixel points, divided, are arcface_112_v2.
TEMPLATES: dict[str, tuple[tuple[float, float], ...]] = {
    "arcface_112_v1": ((0.35473214, 0.45658929), (0.64526786, 0.45658929), (0.50000000, 0.61154464),
                       (0.37913393, 0.77687500), (0.62086607, 0.77687500)),
    "arcface_112_v2": ((0.34191607, 0.46157411), (0.65653393, 0.45983393), (0.50022500, 0.64050536),
                       (0.37097589, 0.82469196), (0.63151696, 0.82325089)),
    "arcface_128": ((0.36167656, 0.40387734), (0.63696719, 0.40235469), (0.50019687, 0.56044219),
                    (0.38710391, 0.72160547), (0.61507734, 0.72034453)),
    "dfl_whole_face": ((0.35342266, 0.39285716), (0.62797622, 0.39285716), (0.48660713, 0.54017860),
                       (0.38839287, 0.68750011), (0.59821427, 0.68750011)),
    "ffhq_512": ((0.37691676, 0.46864664), (0.62285697, 0.46912813), (0.50123859, 0.61331904),
                 (0.39308822, 0.72541100), (0.61150205, 0.72490465)),
    "mtcnn_512": ((0.36562865, 0.46733799), (0.63305391, 0.46585885), (0.50019127, 0.61942959),
                  (0.39032951, 0.77598822), (0.61178945, 0.77476328)),
}  # fmt: skip

FIVE_OF_68: tuple[tuple[int, ...], ...] = (tuple(range(36, 42)), tuple(range(42, 48)), (30,), (48,), (54,))
"""Which of the 68 landmarks (iBUG order) each of the five points is the mean of."""

NEEDED = tuple(sorted(i for group in FIVE_OF_68 for i in group))


def five_points(landmarks: Floats) -> npt.NDArray[np.float64]:  # (68, 2 or 3)
    """(5, 2 or 3): eyes as the means of their six points, nose tip, corners of the mouth."""
    return np.stack([np.asarray(landmarks, np.float64)[list(group)].mean(0) for group in FIVE_OF_68])


def template_points(name: str, size: int, crop_scale: float = 1.0) -> npt.NDArray[np.float64]:
    """(5, 2) pixel indices (0 is the first pixel's centre) in a crop of `size`; `crop_scale` above 1 shows more around
    the face."""
    return (0.5 + (np.array(TEMPLATES[name]) - 0.5) / crop_scale) * size
