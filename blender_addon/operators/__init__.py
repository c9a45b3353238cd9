# SPDX-License-Identifier: GPL-3.0-or-later
"""One operator a file; this list is what gets registered."""

from __future__ import annotations

from . import import_splats

MODULES = (import_splats,)
