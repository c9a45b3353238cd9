# SPDX-License-Identifier: GPL-3.0-or-later
"""A capture by EEVEE beside the artist's window, by the mouse: what it delivers is compared with the same by Cycles.

EEVEE draws with the same graphics driver as the window does, which renders of other engines do not.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np

from backend.evaluation.metrics import psnr
from interchange.capture import Capture
from interchange.colour import srgb_from_linear
from tests.gui.conftest import MARKS

if TYPE_CHECKING:
    from tests.gui.window import Window

pytestmark = MARKS
PANELS, CAPTURE = 8, 3
VIEWS, SIZE = 4, 128
PREPARE = """
scene = bpy.context.scene
bpy.ops.digidouble.avatar_use(name="Ada")
cameras, capture = scene.digidouble.cameras, scene.digidouble.capture
cameras.train, cameras.held_out, cameras.width, cameras.height = {train}, 1, {size}, {size}
capture.samples, capture.engine = 16, {engine!r}
"""


def test_eevee_captures_beside_the_window(window: Window) -> None:
    def value(expression: str) -> Any:
        return window.ask(f"digidouble = bpy.context.window_manager.digidouble; answer = {expression}")

    def capture(engine: str) -> Capture:
        window.ask(PREPARE.format(train=VIEWS - 1, size=SIZE, engine=engine))
        window.open_only(CAPTURE, PANELS)
        window.click("digidouble.capture(")
        window.wait(lambda: value("digidouble.activity.running"), 20, f"the start of {engine}")
        window.wait(lambda: 0 < value("digidouble.activity.fraction") < 1, 240, f"the progress of {engine}")
        window.picture(window.folder / "pictures" / f"capturing_{engine.lower()}.png")
        window.wait(lambda: not value("digidouble.activity.running"), 600, f"the end of {engine}")
        assert value("digidouble.problem") == ""
        folder = window.folder / "work" / "digidouble" / "Ada" / "capture"
        kept = folder.rename(folder.with_name(f"capture_{engine.lower()}"))
        return Capture.load(kept)

    for _ in range(3):  # a tab can be opened once it has been drawn
        window.ask("open_tab('Digidouble')")
        time.sleep(1)
    eevee, cycles = capture("EEVEE"), capture("CYCLES")
    assert eevee.renderer["engine"] == "EEVEE" and len(eevee.views) == VIEWS
    for view, same in zip(eevee.views, cycles.views, strict=True):
        ours, theirs = eevee.load_view(view), cycles.load_view(same)
        assert np.abs(ours.alpha - theirs.alpha).mean() < 0.02, view.name
        whole = (ours.alpha > 0.999) & (theirs.alpha > 0.999)
        assert whole.sum() > 1000, view.name
        both = (ours.depth > 0) & (theirs.depth > 0)
        off = np.abs(ours.depth - theirs.depth)[both] / theirs.depth[both]
        assert np.median(off) < 5e-5 and np.quantile(off, 0.95) < 1e-3, view.name
        assert np.median(np.abs(ours.albedo - theirs.albedo)[whole]) < 0.06, view.name
        drawn = [srgb_from_linear(np.clip(images.rgb, 0, 1)) for images in (ours, theirs)]
        assert psnr(*drawn) > 20, f"{view.name}: {psnr(*drawn):.1f} dB"
