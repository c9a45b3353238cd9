# SPDX-License-Identifier: GPL-3.0-or-later
"""Find Points in a real window, by the mouse: stopped by ESC, then let run, then corrected where it leads to."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.gui.conftest import MARKS

if TYPE_CHECKING:
    from tests.gui.window import Window

PANELS, PERFORMER = 8, 4
pytestmark = MARKS


@pytest.fixture
def networks(place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A models folder, which Blender gets to know by the environment, and a photo in it. Before the window opens."""
    from PIL import Image

    nets = pytest.importorskip("tests.faceswap.onnx.landmark_networks")
    folder = place / "networks"
    folder.mkdir(parents=True, exist_ok=True)
    nets.write_fan(folder / nets.FAN)
    image = nets.paint(400, 500, nets.face_points(210, 250, 230, 14))
    Image.fromarray(np.rint(image * 255).astype(np.uint8)).save(folder / "me.png")
    monkeypatch.setenv("DIGIDOUBLE_MODELS", str(folder))
    return folder


def test_points_are_found_and_put_before_the_artist(networks: Path, window: Window) -> None:
    def value(expression: str) -> object:
        return window.ask(f"digidouble = bpy.context.window_manager.digidouble; answer = {expression}")

    for _ in range(3):  # a tab can be opened once it has been drawn
        window.ask("open_tab('Digidouble')")
        time.sleep(1)
    window.ask("bpy.ops.digidouble.performer_add()")
    window.ask(f"bpy.ops.digidouble.performer_add_photos(filepath={str(networks / 'me.png')!r})")
    folder = Path(str(window.ask("answer = bpy.path.abspath(bpy.context.scene.digidouble.performers[0].folder)")))
    window.open_only(PERFORMER, PANELS)
    window.picture(window.folder / "pictures" / "find_1_photo.png")

    window.click("performer_landmarks_find")
    window.wait(lambda: value("digidouble.activity.running"), 10, "the start")
    window.picture(window.folder / "pictures" / "find_2_looking.png")
    window.key("Escape")
    window.wait(lambda: not value("digidouble.activity.running"), 10, "the stop")
    time.sleep(1.0)
    assert not list(folder.glob("landmarks*.json")) and value("digidouble.problem") == ""

    window.click("performer_landmarks_find")
    window.wait(lambda: list(folder.glob("landmarks*.json")), 60, "the points")
    editors = (
        "[a.spaces.active.image.name for a in bpy.context.window_manager.windows[0].screen.areas "
        "if a.ui_type == 'IMAGE_EDITOR']"
    )
    window.wait(lambda: "me.png" in str(window.ask(f"answer = {editors}")), 20, "the photo in the image editor")
    time.sleep(1.0)
    window.picture(window.folder / "pictures" / "find_3_points.png")
    assert value("digidouble.problem") == ""
    window.mouse(640, 500)
    window.key("Return")
    window.wait(lambda: not window.ask(f"answer = {editors}"), 20, "the 3D view again")
    window.picture(window.folder / "pictures" / "find_4_done.png")
