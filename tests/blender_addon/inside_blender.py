# SPDX-License-Identifier: GPL-3.0-or-later
"""Run pytest in a Blender's own Python: `blender -b --factory-startup --python inside_blender.py -- FILES`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    os.chdir(ROOT)
    import pytest

    arguments = sys.argv[sys.argv.index("--") + 1 :]
    code = pytest.main(["-q", "-p", "no:cacheprovider", "-W", "default", *arguments])
    sys.stdout.flush()
    os._exit(int(code))  # Blender's own exit code says nothing of a script
