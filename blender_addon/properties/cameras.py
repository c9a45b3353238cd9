# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the cameras of a capture stand."""

from __future__ import annotations

import bpy


class DigidoubleCameras(bpy.types.PropertyGroup):
    """Where the cameras of a capture stand."""


GROUPS = (DigidoubleCameras,)
