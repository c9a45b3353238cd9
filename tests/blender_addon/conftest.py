# SPDX-License-Identifier: GPL-3.0-or-later
"""An empty Blender and a stand-in avatar for each test."""

from __future__ import annotations

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
