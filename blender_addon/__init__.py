# SPDX-License-Identifier: GPL-3.0-or-later
"""Digidouble's Blender extension. This file only registers; nothing is imported before Blender asks for it."""

from __future__ import annotations


def register() -> None:
    """Called by Blender when the extension is turned on."""
    from . import registration

    registration.register()


def unregister() -> None:
    """Called by Blender when the extension is turned off."""
    from . import registration

    registration.unregister()
