# SPDX-License-Identifier: GPL-3.0-or-later
"""How and where a capture is rendered."""

from __future__ import annotations

import bpy


class DigidoubleCapture(bpy.types.PropertyGroup):
    """How and where a capture is rendered."""


GROUPS = (DigidoubleCapture,)
