# SPDX-License-Identifier: GPL-3.0-or-later
"""How a splat cloud is shown."""

from __future__ import annotations

import bpy


class DigidoubleDouble(bpy.types.PropertyGroup):
    """How a splat cloud is shown."""


GROUPS = (DigidoubleDouble,)
