# SPDX-License-Identifier: GPL-3.0-or-later
"""Blenders with windows for the tests beside: an artist's who has just installed the extension.

DIGIDOUBLE_BLENDERS lists the Blenders; DIGIDOUBLE_GUI_FOLDER is a folder that they can see under the same path (for one
in a changed root), the system's temporary folder otherwise. Screenshots of each step stay there.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from backend.blender_process import ROOT, blender_python
from interchange.errors import InputError
from interchange.local_server import stop_local_server

if TYPE_CHECKING:
    from tests.gui.window import Window

BLENDERS = [
    Path(path)
    for path in os.environ.get("DIGIDOUBLE_BLENDERS", "").split(os.pathsep)
    if path and "python" not in Path(path).name
]
LOCAL_BACKEND = ROOT / ".digidouble" / "service"
AVATARS = """
import sys
sys.path.insert(0, sys.argv[2])
import bpy
import avatars
from avatars.spec import AvatarSpec

bpy.ops.wm.read_factory_settings()
for item in [item for item in bpy.data.objects if item.type in ("MESH", "CAMERA", "LIGHT")]:
    bpy.data.objects.remove(item)
avatars.build(AvatarSpec("procedural", "ada", "Ada"))
avatars.build(AvatarSpec("procedural", "bruno", "Bruno")).armature.location.x = 0.6
bpy.ops.wm.save_as_mainfile(filepath=sys.argv[1])
"""

TOOLS = ("Xvfb", "xdotool", "import")
MISSING = [tool for tool in TOOLS if shutil.which(tool) is None]
MARKS = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(find_spec("cv2") is None, reason="headers are found in screenshots with OpenCV"),
    pytest.mark.skipif(not BLENDERS, reason="DIGIDOUBLE_BLENDERS names no Blender with a window"),
    pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}"),
]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where files, settings and screenshots go."""
    named = os.environ.get("DIGIDOUBLE_GUI_FOLDER")
    return Path(named) if named else tmp_path_factory.mktemp("gui")


@pytest.fixture(scope="module")
def package(place: Path) -> Path:
    """The extension's zip, made as `install.py addon` makes it."""
    try:
        blender_python()
    except InputError as error:
        pytest.skip(str(error))
    place.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "backend.cli", "addon", "--no-install", "--out", str(place / "dist")]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return max((place / "dist").glob("*.zip"), key=lambda path: path.stat().st_mtime)


@pytest.fixture(params=BLENDERS, ids=lambda path: path.name)
def window(
    request: pytest.FixtureRequest, place: Path, package: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Window]:
    """A Blender of an artist who has just installed the extension, with two avatars in the open file."""
    from tests.gui.window import Window  # needs OpenCV

    blender, folder = request.param, place / request.param.name
    shutil.rmtree(folder / "work", ignore_errors=True)  # of a run before: a capture would go on where it was
    (folder / "work").mkdir(parents=True)
    monkeypatch.setenv("BLENDER_USER_RESOURCES", str(folder / "user"))
    monkeypatch.setenv("DIGIDOUBLE_HOME", str(ROOT))
    install = [str(blender), "--command", "extension", "install-file", "-r", "user_default", "-e", str(package)]
    subprocess.run(install, check=True, capture_output=True, timeout=120)
    blend = folder / "work" / "avatars.blend"
    subprocess.run([str(blender_python()), "-c", AVATARS, str(blend), str(ROOT)], check=True, capture_output=True)
    stop_local_server(LOCAL_BACKEND)  # of an artist or a test before
    with Window(blender, folder, 90 + BLENDERS.index(blender), (str(blend),)) as window:
        yield window
    stop_local_server(LOCAL_BACKEND)
