# SPDX-License-Identifier: Apache-2.0
"""Photos in other colours than sRGB: telephones write Display P3, studios Adobe RGB, and say so in a profile (ICC).

Read as sRGB, skin in Display P3 is ten levels of 255 too pale in red.
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms

Floats = npt.NDArray[Any]
_ROUNDING = 1  # level of 255 by which a profile of sRGB itself may differ from ours


def in_srgb(encoded: Floats, profile: bytes) -> Floats:  # (H, W, 3) 0..1
    """The same colours encoded as sRGB, clipped to its gamut; unchanged, bit by bit, if the profile is sRGB's or is
    not one of RGB. Raises ValueError for a profile that cannot be read.

    lcms gets 8 bits, and what it changes is added: so 16 bits keep their fineness.
    """
    try:
        own = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if own.profile.xcolor_space.strip() != "RGB":
            return encoded
        goal = ImageCms.createProfile("sRGB")
        intent = ImageCms.Intent.RELATIVE_COLORIMETRIC
        transform = ImageCms.buildTransform(own, goal, "RGB", "RGB", intent)
        before = np.rint(np.clip(encoded, 0, 1) * 255).astype(np.uint8)
        moved = ImageCms.applyTransform(Image.fromarray(before), transform)
    except (ImageCms.PyCMSError, OSError, TypeError) as error:
        raise ValueError(str(error)) from error
    change = np.asarray(moved, np.int16) - before
    if np.abs(change).max(initial=0) <= _ROUNDING:
        return encoded
    return np.clip(encoded + change.astype(np.float32) / np.float32(255), 0, 1)
