# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the backend is installed on this computer. No bpy."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from ._interchange import errors

HOME_VARIABLE = "DIGIDOUBLE_HOME"


def find_backend(preference: str) -> Path:
    """The checkout in which install.py has run: that of the preferences, of the environment, or around this package.

    Raises InputError if none of them is complete.
    """
    named = preference.strip() or os.environ.get(HOME_VARIABLE, "").strip()
    home = Path(named) if named else Path(__file__).resolve().parent.parent
    if backend_python(home).exists() and (home / "backend" / "cli.py").is_file():
        return home
    raise errors.InputError(
        f"The folder {named} holds no backend." if named else "No backend is installed on this computer.",
        "Run python3 install.py install, then choose its folder in the add-on's preferences.",
    )


def backend_python(home: Path) -> Path:
    """The backend environment's interpreter in a checkout."""
    return home / ".digidouble" / "backend" / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
