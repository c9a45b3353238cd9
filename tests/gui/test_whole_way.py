# SPDX-License-Identifier: GPL-3.0-or-later
"""From an avatar to its double in a real window, all by the mouse: the panel, the rig, a capture of 8 views at 128
pixels, a performer, a job on a local backend, the result.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tests.gui.conftest import MARKS

if TYPE_CHECKING:
    from tests.gui.window import Window

PANELS = 8
STATUS, AVATAR, CAMERAS, CAPTURE, PERFORMER, COMPUTE, JOBS, DOUBLE = range(PANELS)

FRONT = """
window = bpy.context.window_manager.windows[0]
area = next(area for area in window.screen.areas if area.type == "VIEW_3D")
region = next(region for region in area.regions if region.type == "WINDOW")
with bpy.context.temp_override(window=window, area=area, region=region):
    bpy.ops.view3d.view_axis(type="FRONT")
    bpy.ops.view3d.view_selected()
"""

pytestmark = MARKS


def test_from_avatar_to_double(window: Window) -> None:
    def value(expression: str) -> object:
        return window.ask(f"digidouble = bpy.context.window_manager.digidouble; answer = {expression}")

    def idle() -> bool:
        return not value("digidouble.activity.running")

    def step(number: int, picture: str) -> None:
        window.open_only(number, PANELS)
        window.picture(window.folder / "pictures" / f"{picture}.png")

    def number(path: str, amount: int) -> None:
        x, y = window.find(path)
        window.mouse(x + 20, y)
        time.sleep(0.2)
        window.mouse(x + 20, y, "click", "--repeat", "2", "--delay", "60", "1")
        time.sleep(0.5)
        window.key("ctrl+a")
        window.type(str(amount))
        window.key("Return")
        time.sleep(0.4)

    for _ in range(3):  # a tab can be opened once it has been drawn
        window.ask("open_tab('Digidouble')")
        time.sleep(1)
    assert len(window.headers()) >= PANELS - 2

    step(AVATAR, "1_no_avatar")
    x, y = window.find("avatar.head")
    window.mouse(x, y - 30)  # the menu "Use This Avatar" above it
    time.sleep(0.3)
    window.mouse(x, y - 30, "click", "1")
    time.sleep(0.8)
    window.mouse(x - 30, y - 3)
    time.sleep(0.3)
    window.mouse(x - 30, y - 3, "click", "1")
    window.wait(lambda: value("bpy.context.scene.digidouble.avatar.collection_name(bpy.context)") == "Ada", 20, "Ada")
    step(AVATAR, "2_avatar")

    step(CAMERAS, "3_cameras")
    wanted = {"train": 6, "held_out": 2, "width": 128, "height": 128}
    for name, amount in wanted.items():
        number(f"cameras.{name}", amount)
    cameras = value(f"[getattr(bpy.context.scene.digidouble.cameras, name) for name in {list(wanted)}]")
    assert cameras == list(wanted.values())

    step(CAPTURE, "4_capture")
    number("capture.samples", 8)
    window.click("digidouble.capture(")
    window.wait(lambda: not idle(), 20, "the capture's start")
    window.wait(lambda: 0 < value("digidouble.activity.fraction") < 1, 120, "the capture's progress")
    window.picture(window.folder / "pictures" / "5_capturing.png")
    window.wait(idle, 240, "the capture's end")
    assert value("digidouble.problem") == ""
    capture = window.folder / "work" / "digidouble" / "Ada" / "capture"
    assert (capture / "capture.json").exists() and len(list((capture / "views").glob("*.exr"))) == 8
    step(CAPTURE, "6_captured")

    step(PERFORMER, "7_no_performer")
    window.click("performer_from_avatar")
    window.wait(lambda: value("len(bpy.context.scene.digidouble.performers)") == 1, 240, "the performer's portrait")
    step(PERFORMER, "8_performer")

    step(COMPUTE, "9_compute")
    window.click("backend_start")
    window.wait(lambda: value("digidouble.compute.backends[0].reached"), 90, "the local backend")
    step(COMPUTE, "10_backend")
    window.click("job_submit")
    window.wait(lambda: value("len(digidouble.compute.jobs)"), 30, "the job")
    step(JOBS, "11_job")
    seen = set()
    ended = ("DONE", "FAILED", "CANCELLED")

    def over() -> bool:
        job = "digidouble.compute.jobs[0]"
        state, fraction = value(f"[{job}.state, {job}.fraction]")  # type: ignore[misc]
        seen.add(round(fraction, 2))
        if len(seen) == 6:
            window.picture(window.folder / "pictures" / "12_job_at_work.png")
        return state in ended

    window.wait(over, 600, "the job's end")
    assert value("digidouble.compute.jobs[0].state") == "DONE", value("digidouble.compute.jobs[0].headline")
    assert len(seen) > 4, f"progress was seen at {sorted(seen)} only"
    window.wait(lambda: value("[o.name for o in bpy.data.objects if o.type == 'POINTCLOUD']"), 30, "the double")
    window.ask(FRONT)
    step(DOUBLE, "13_double")
