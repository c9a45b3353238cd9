# SPDX-License-Identifier: GPL-3.0-or-later
"""Run pytest in a Blender's own Python: `blender -b --factory-startup --python inside_blender.py -- FILES`; also in a
Python with bpy: `python inside_blender.py -- FILES`. The exit code is pytest's.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WARNINGS = ("-W", "ignore::pytest.PytestConfigWarning")
"""Blenders of distributions have pytest without plugins, and so do not know the option `timeout`."""

if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    os.chdir(ROOT)
    import pytest

    arguments = sys.argv[sys.argv.index("--") + 1 :]
    code = pytest.main(["-q", "-p", "no:cacheprovider", *WARNINGS, *arguments])
    sys.stdout.flush()
    sys.stderr.flush()
    # Blender's own exit code says nothing of a script; and bpy 4.2 crashes when its Python ends after any property
    # with an update function was registered.
    os._exit(int(code))
