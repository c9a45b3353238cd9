# SPDX-License-Identifier: Apache-2.0
"""All tests of the add-on in other Blenders: DIGIDOUBLE_BLENDERS lists Blender executables and Pythons with bpy.

Each Blender runs one pytest a file of tests: if it crashes, the others still tell what they find.

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
    pytest.mark.timeout(1800),
    pytest.mark.skipif(not BLENDERS, reason="DIGIDOUBLE_BLENDERS names no Blender"),
]

FILES = sorted((ROOT / "tests/blender_addon").glob("test_*.py"))
RUNNER = "tests/blender_addon/inside_blender.py"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
@pytest.mark.parametrize("blender", BLENDERS)
def test_the_addon_in_another_blender(blender: str, file: Path) -> None:
    arguments = [RUNNER, "--", str(file.relative_to(ROOT)), "-m", "not gpu"]
    is_python = "python" in Path(blender).name
    command = [blender, *arguments] if is_python else [blender, "-b", "--factory-startup", "--python", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=1700)
    told = done.stdout[-6000:] + done.stderr[-2000:]
    assert done.returncode == 0, told
    assert "passed" in told or "skipped" in told, told  # a Blender that never came to pytest also ends well
