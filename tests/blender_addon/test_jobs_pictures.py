# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures of jobs as Blender's previews: the right way up, colours and alpha kept."""

from __future__ import annotations

import bpy.utils.previews
import numpy as np
import pytest

from blender_addon.jobs.pictures import ICON_EDGE, show_pixels


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_pixels_of_a_picture(channels: int) -> None:
    image = np.random.default_rng(1).integers(0, 256, (40, 60, channels), dtype=np.uint8)
    image[0, :, :1] = 255  # the top row is bright
    previews = bpy.utils.previews.new()
    try:
        preview = previews.new("picture")
        show_pixels(preview, image)
        assert tuple(preview.image_size) == (60, 40) and tuple(preview.icon_size) == (ICON_EDGE, ICON_EDGE)
        pixels = np.array(preview.image_pixels_float).reshape(40, 60, 4)[::-1]
    finally:
        bpy.utils.previews.remove(previews)
    alpha = image[..., -1:] / 255 if channels in (2, 4) else np.ones((40, 60, 1))
    colour = image[..., : 1 if channels < 3 else 3] / 255 * alpha
    rgba = np.concatenate([np.broadcast_to(colour, (40, 60, 3)), alpha], axis=2)
    np.testing.assert_allclose(pixels, rgba, atol=0.005)
