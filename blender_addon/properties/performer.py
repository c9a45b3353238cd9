# SPDX-License-Identifier: GPL-3.0-or-later
"""A performer: photos, landmarks, consent record, kept in a source folder."""

from __future__ import annotations

import bpy


class DigidoublePerformer(bpy.types.PropertyGroup):
    """A performer: photos, landmarks, consent record, kept in a source folder."""


GROUPS = (DigidoublePerformer,)
