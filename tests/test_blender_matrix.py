# SPDX-License-Identifier: Apache-2.0
"""All tests of the add-on in other Blenders: DIGIDOUBLE_BLENDERS lists Blender executables and Pythons with bpy.

    DIGIDOUBLE_BLENDERS=/opt/blender-5.2/blender:/opt/bpy-4.2/bin/python pytest -m slow tests/test_blender_matrix.py
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
BLENDERS = [path for path in os.environ.get("DIGIDOUBLE_BLENDERS", "").split(os.pathsep) if path]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(not BLENDERS, reason="DIGIDOUBLE_BLENDERS names no Blender"),
]


@pytest.mark.parametrize("blender", BLENDERS)
def test_the_addon_in_another_blender(blender: str) -> None:
    if "python" in Path(blender).name:
        command = [blender, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/blender_addon"]
    else:
        runner = "tests/blender_addon/inside_blender.py"
        command = [blender, "-b", "--factory-startup", "--python", runner, "--", "tests/blender_addon"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=3500)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
