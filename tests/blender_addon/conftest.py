# SPDX-License-Identifier: GPL-3.0-or-later
"""An empty Blender and a stand-in avatar for each test."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

bpy = pytest.importorskip("bpy", reason="these tests run in Blender's environment")

from interchange.capture import Capture  # noqa: E402
from tests.blender_addon.jobs_office import office, rooms  # noqa: E402, F401 (fixtures for all tests of jobs)
from tests.blender_addon.standin import build_standin  # noqa: E402


@pytest.fixture
def empty() -> Any:
    """An empty file; returns the scene."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    return bpy.context.scene


@pytest.fixture(scope="module")
def standin_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The stand-in in a file, since its polygons come in another order each time that it is built."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    build_standin("A")
    path: Path = tmp_path_factory.mktemp("file") / "avatar.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(path))
    return path


@pytest.fixture
def addon(empty: Any) -> Iterator[Any]:
    """The add-on, registered in an empty file; yields its avatar settings."""
    import blender_addon

    blender_addon.register()
    yield bpy.context.scene.digidouble.avatar
    blender_addon.unregister()


@pytest.fixture
def standin(empty: Any) -> Any:
    """The stand-in avatar's collection in an otherwise empty file."""
    return build_standin("A")


def another_blender() -> list[str]:
    """The command that runs a script, whose name comes next, in one more Blender like this one."""
    path = bpy.app.binary_path
    return [path, "-b", "--factory-startup", "--python-exit-code", "3", "--python"] if path else [sys.executable]


@pytest.fixture(scope="session")
def eevee(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Skips where EEVEE cannot draw: without OpenGL it takes Blender down, so another one tries."""
    script = tmp_path_factory.mktemp("eevee") / "try.py"
    script.write_text(_TRY_EEVEE)
    done = subprocess.run([*another_blender(), str(script)], capture_output=True, text=True, timeout=300)
    if "drawn" not in done.stdout:
        pytest.skip("EEVEE draws nothing on this computer without a window")


_TRY_EEVEE = """
import bpy
scene = bpy.context.scene
scene.render.engine = "BLENDER_EEVEE_NEXT" if (4, 2, 0) <= bpy.app.version < (5, 0, 0) else "BLENDER_EEVEE"
scene.render.resolution_x = scene.render.resolution_y = 8
bpy.ops.render.render()
print("drawn", flush=True)
"""


@pytest.fixture(scope="module")
def captured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Capture]:
    """A small capture of the stand-in, posed and with an expression, shared by the tests of one file."""
    from blender_addon.capture.capture import capture_avatar
    from blender_addon.capture.rigs import Dome
    from blender_addon.capture.settings import CaptureSettings, PoseSettings, RenderSettings

    bpy.ops.wm.read_factory_settings(use_empty=True)
    build_standin("A")
    folder: Path = tmp_path_factory.mktemp("capture")
    settings = CaptureSettings(
        rig=Dome(3, 1),
        render=RenderSettings(size=128, samples=4),
        pose=PoseSettings({"smile": 0.5}, {"head": (0.0, 0.0, 12.0)}),
    )
    capture_avatar(folder, settings)
    yield Capture.load(folder)
