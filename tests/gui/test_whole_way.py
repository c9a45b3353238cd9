# SPDX-License-Identifier: GPL-3.0-or-later
"""From an avatar to its double in a real window, all by the mouse: the panel, the rig, a capture of 8 views at 128
pixels, a performer, a job on a local backend, the result.

DIGIDOUBLE_BLENDERS lists the Blenders; DIGIDOUBLE_GUI_FOLDER is a folder that they can see under the same path (for one
in a changed root), the system's temporary folder otherwise. Screenshots of each step stay there.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("cv2", reason="headers are found in screenshots: these tests run in the backend's environment")

from backend.blender_process import ROOT, blender_python  # noqa: E402
from interchange.errors import InputError  # noqa: E402
from interchange.local_server import stop_local_server  # noqa: E402
from tests.gui.window import Window, missing_tools  # noqa: E402

BLENDERS = [
    Path(path)
    for path in os.environ.get("DIGIDOUBLE_BLENDERS", "").split(os.pathsep)
    if path and "python" not in Path(path).name
]
LOCAL_BACKEND = ROOT / ".digidouble" / "service"
PANELS = 8
STATUS, AVATAR, CAMERAS, CAPTURE, PERFORMER, COMPUTE, JOBS, DOUBLE = range(PANELS)
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

FRONT = """
window = bpy.context.window_manager.windows[0]
area = next(area for area in window.screen.areas if area.type == "VIEW_3D")
region = next(region for region in area.regions if region.type == "WINDOW")
with bpy.context.temp_override(window=window, area=area, region=region):
    bpy.ops.view3d.view_axis(type="FRONT")
    bpy.ops.view3d.view_selected()
"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(not BLENDERS, reason="DIGIDOUBLE_BLENDERS names no Blender with a window"),
    pytest.mark.skipif(bool(missing_tools()), reason=f"not installed: {', '.join(missing_tools())}"),
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
    blender, folder = request.param, place / request.param.name
    (folder / "work").mkdir(parents=True, exist_ok=True)
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
    window.ask("largest_gap(True)")
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
