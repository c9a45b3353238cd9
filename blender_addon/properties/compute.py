# SPDX-License-Identifier: GPL-3.0-or-later
"""What is asked of the backend."""

from __future__ import annotations

import bpy


class DigidoubleJobSettings(bpy.types.PropertyGroup):
    """What is asked of the backend."""


GROUPS = (DigidoubleJobSettings,)
