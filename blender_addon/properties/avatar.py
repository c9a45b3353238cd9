# SPDX-License-Identifier: GPL-3.0-or-later
"""Which avatar is captured."""

from __future__ import annotations

import bpy


class DigidoubleAvatar(bpy.types.PropertyGroup):
    """Which avatar is captured."""


GROUPS = (DigidoubleAvatar,)
