# SPDX-License-Identifier: GPL-3.0-or-later
"""A double that comes in a step at a time: it is the one that comes in at once, its threads know nothing of bpy, and
whatever ends it in between leaves nothing in the file.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import bpy
import numpy as np
import pytest

import blender_addon
from blender_addon.capture.capture import capture_avatar
from blender_addon.capture.rigs import Dome
from blender_addon.capture.settings import CaptureSettings, RenderSettings
from blender_addon.display import attributes, binding, double, follow, pointcloud
from blender_addon.display.attributes import read_attribute
from blender_addon.jobs.arrival import Arrivals
from blender_addon.jobs.desk import Desk
from blender_addon.jobs.records import IMPORTING, JobRecord
from blender_addon.steps import Stepped, at_once
from interchange.capture import Capture
from interchange.errors import InputError
from interchange.splats import write_ply
from tests.blender_addon.doubles import born_on, some_splats
from tests.blender_addon.refusing import while_drawing

COUNT = 400


@pytest.fixture(scope="module")
def captured(standin_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Capture:
    """A capture of that file."""
    folder: Path = tmp_path_factory.mktemp("capture")
    capture_avatar(folder, CaptureSettings(rig=Dome(1, 1), render=RenderSettings(size=64, samples=1)))
    return Capture.load(folder)


@pytest.fixture
def results(captured: Capture, standin_file: Path, tmp_path: Path) -> Iterator[Path]:
    """A job's results, and the file with the avatar open; the extension is turned on."""
    bpy.ops.wm.open_mainfile(filepath=str(standin_file))
    blender_addon.register()
    born_on(captured, tmp_path / "results" / "double", COUNT)
    yield tmp_path / "results"
    blender_addon.unregister()


MakeDesk = Callable[[Path, Capture | None], tuple[Desk, JobRecord]]


@pytest.fixture
def make_desk(tmp_path: Path) -> Iterator[MakeDesk]:
    """Gives a desk with a job whose double has just been fetched, by its results and capture."""
    made: list[Desk] = []

    def make(results: Path, captured: Capture | None) -> tuple[Desk, JobRecord]:
        desk = Desk(tmp_path / "user", lambda: tmp_path / "service")
        made.append(desk)
        folder = "" if captured is None else str(captured.folder)
        record = JobRecord("j", "job", "fit", "local", {}, folder, "", str(results), visit=desk.visit, fetched=True)
        record.move(IMPORTING)
        desk._claim(record)
        desk.records["j"] = record
        return desk, record

    yield make
    for desk in made:
        desk.ledger.close()  # its thread outlives the desk otherwise


def _bring_in(arrivals: Arrivals, desk: Desk, record: JobRecord) -> int:
    """Tick as Blender's timer would; how many ticks that took."""
    until, count = time.monotonic() + 30, 0
    while not record.ended:
        assert time.monotonic() < until, record
        arrivals.step(bpy.context, desk)
        time.sleep(0.002)
        count += 1
    return count


def _described(item: Any) -> dict[str, Any]:
    """All that makes a double."""
    data = item.data
    found = {f"attribute {a.name}": (a.data_type, a.domain, read_attribute(data, a.name)) for a in data.attributes}
    found |= {key: item[key] for key in (pointcloud.ANTIALIASED, pointcloud.MARK)}
    names = [m.name for m in item.modifiers], [m.node_group.name for m in item.modifiers], data.materials.keys()
    said = item.digidouble
    shown = said.mode, said.capture, said.follow, said.show_avatar, item.select_get(), bpy.context.object == item
    return found | {"names": names, "shown": shown, "place": [list(row) for row in item.matrix_world]}


def _blocks() -> dict[str, list[str]]:
    kinds = ("objects", "pointclouds", "node_groups", "materials", "scenes")
    return {kind: sorted(block.name for block in getattr(bpy.data, kind)) for kind in kinds}


def test_it_is_the_one_that_the_operator_brings_in(captured: Capture, results: Path, make_desk: MakeDesk) -> None:
    desk, record = make_desk(results, captured)
    assert _bring_in(Arrivals(waits=False, budget_s=0.0), desk, record) > 5
    assert record.message == "In the scene." and not record.problem
    stepped = bpy.context.object
    assert follow.is_bound(stepped) and len(stepped.data.points) == COUNT
    found, name = _described(stepped), stepped.name
    bpy.data.pointclouds.remove(stepped.data)
    for part in ("A", "A_eyes", "A_hair"):
        bpy.data.objects[part].hide_render = False
    path = str(results / "double" / "splats.ply")
    assert bpy.ops.digidouble.show_double(filepath=path, capture=str(captured.folder)) == {"FINISHED"}
    assert bpy.context.object.name == name
    np.testing.assert_equal(_described(bpy.context.object), found)
    assert list(_described(bpy.context.object)) == list(found), "in another order"


def test_threads_never_touch_blender(captured: Capture, results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Guard:
        """bpy for the main thread alone."""

        def __getattr__(self, name: str) -> Any:
            assert threading.current_thread() is threading.main_thread(), f"bpy.{name} in a thread"
            return getattr(bpy, name)

    for module in (attributes, binding, double, follow, pointcloud):
        monkeypatch.setattr(module, "bpy", Guard(), raising=False)
    stepped = Stepped(double.showing(results, captured.folder, bpy.context.scene))
    while stepped.step():
        time.sleep(0.001)
    assert stepped.result.follows


def test_whatever_ends_it_in_between_leaves_nothing(captured: Capture, results: Path, tmp_path: Path) -> None:
    at_once(double.showing(results, captured.folder, bpy.context.scene))  # node groups and material stay
    bpy.data.pointclouds.remove(bpy.data.pointclouds[0])
    before, seen, number = _blocks(), set(), 0
    while True:
        stepped = Stepped(double.showing(results, captured.folder, bpy.context.scene), budget_s=0.0)
        steps = 0
        while steps < number and (more := stepped.step()):
            time.sleep(0.001)
            steps += 1
        if number and not more:
            break
        seen.add(len(bpy.data.pointclouds))
        bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "saved.blend"), copy=True)
        with bpy.data.libraries.load(str(tmp_path / "saved.blend")) as (there, _):
            assert not there.pointclouds and "Digidouble Follow" not in there.node_groups
        stepped.close()
        assert _blocks() == before, number
        number += 4
    assert seen == {0, 1}, "no step was met in which the data is half built"
    assert len(_blocks()["pointclouds"]) == 1


def test_a_cancelled_one_is_dropped(captured: Capture, results: Path, make_desk: MakeDesk) -> None:
    desk, record = make_desk(results, captured)
    arrivals, before = Arrivals(waits=False), _blocks()
    assert arrivals.step(bpy.context, desk)
    desk.cancel(record)
    assert record.ended and not arrivals.step(bpy.context, desk)
    assert record.message == "Fetched." and _blocks() == before


def test_another_file_gets_nothing_of_it(captured: Capture, results: Path, make_desk: MakeDesk) -> None:
    desk, record = make_desk(results, captured)
    arrivals = Arrivals(waits=False)
    while not bpy.data.pointclouds:
        assert arrivals.step(bpy.context, desk)
    bpy.ops.wm.read_factory_settings(use_empty=True)
    arrivals.drop()
    desk.file_opened()
    assert not arrivals.step(bpy.context, desk)
    assert record.message == "Fetched. Open its scene and press Import." and not bpy.data.pointclouds


def _undo(arrivals: Arrivals) -> None:
    arrivals.drop()  # what the handler does before an undo


def _delete(_: Arrivals) -> None:
    bpy.data.pointclouds.remove(bpy.data.pointclouds[0])


@pytest.mark.parametrize("happens", [_undo, _delete])
def test_it_begins_again_after(happens: Any, captured: Capture, results: Path, make_desk: MakeDesk) -> None:
    desk, record = make_desk(results, captured)
    arrivals = Arrivals(waits=False, budget_s=0.0)
    while not bpy.data.pointclouds:
        assert arrivals.step(bpy.context, desk)
    happens(arrivals)
    _bring_in(arrivals, desk, record)
    assert record.message == "In the scene." and len(bpy.data.pointclouds) == 1
    assert len(bpy.context.object.data.points) == COUNT


@pytest.mark.parametrize("when", ["all along", "when its object is made", "when it is shown"])
def test_it_comes_once_though_blender_refuses_changes_for_a_while(
    when: str, captured: Capture, results: Path, make_desk: MakeDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk, record = make_desk(results, captured)
    arrivals, before, refused = Arrivals(waits=False), len(bpy.data.objects), []

    def refusing(function: Callable[..., Any]) -> Callable[..., Any]:
        def called(*arguments: Any) -> Any:
            refused.append(len(refused) < 3)
            return while_drawing(lambda: function(*arguments)) if refused[-1] else function(*arguments)

        return called

    if when == "all along":
        until = time.monotonic() + 1
        while time.monotonic() < until:
            assert while_drawing(lambda: arrivals.step(bpy.context, desk))
    elif when == "when its object is made":
        monkeypatch.setattr(double, "new_object", refusing(double.new_object))
    else:
        monkeypatch.setattr("blender_addon.jobs.arrival.settle", refusing(double.settle))
    _bring_in(arrivals, desk, record)
    assert refused in ([], [True, True, True, False]) and not desk.surprises
    assert record.message == "In the scene." and not record.problem
    assert len(bpy.data.pointclouds) == 1 and len(bpy.data.objects) == before + 1
    assert bpy.context.object.digidouble.follow and bpy.context.object.select_get()


def test_it_waits_for_the_artists_hands(captured: Capture, results: Path, make_desk: MakeDesk) -> None:
    desk, record = make_desk(results, captured)
    arrivals = Arrivals(waits=False, budget_s=0.0)
    while not bpy.data.pointclouds:
        assert arrivals.step(bpy.context, desk)
    bpy.context.view_layer.objects.active = bpy.data.objects["A"]
    bpy.ops.object.mode_set(mode="EDIT")
    assert not arrivals.step(bpy.context, desk)
    assert record.message == "Imports when you are back in Object Mode." and not bpy.data.pointclouds
    bpy.ops.object.mode_set(mode="OBJECT")
    _bring_in(arrivals, desk, record)
    assert record.message == "In the scene."


def test_what_goes_wrong_is_said_on_the_job(
    captured: Capture, results: Path, monkeypatch: pytest.MonkeyPatch, make_desk: MakeDesk
) -> None:
    path = results / "double" / "splats.ply"
    whole = path.read_bytes()
    for content, words in ((whole[:-50], "ends after"), (None, "is not there any more")):
        path.unlink()
        if content is not None:
            path.write_bytes(content)
        desk, record = make_desk(results, captured)
        _bring_in(Arrivals(waits=False), desk, record)
        assert words in record.problem and not bpy.data.pointclouds
        if content is None:
            path.write_bytes(whole)
    desk, record = make_desk(results, None)
    monkeypatch.setattr(double, "new_object", lambda *_: 1 / 0)
    _bring_in(Arrivals(waits=False), desk, record)
    assert "Something went wrong inside Digidouble" in record.problem
    assert isinstance(desk.surprises[0].error, ZeroDivisionError)


def test_an_avatar_that_is_away_is_said_on_the_job(captured: Capture, results: Path, make_desk: MakeDesk) -> None:
    for item in [o for o in bpy.data.objects if o.type == "MESH"]:
        bpy.data.objects.remove(item)
    desk, record = make_desk(results, captured)
    _bring_in(Arrivals(waits=False), desk, record)
    assert record.message.startswith("In the scene. The double does not follow the avatar: the avatar 'A' is not in")
    assert not bpy.context.object.modifiers


def test_splats_that_are_not_finite_are_left_out_wherever_they_hang(captured: Capture, results: Path) -> None:
    """Looking for the surface nearest to one that lies nowhere was a traceback."""
    cloud, face, barycentric = born_on(captured, results / "double", COUNT)
    cloud.means[3], cloud.log_scales[7, 1], face[3] = np.inf, np.nan, -1
    write_ply(results / "double" / "splats.ply", cloud)
    np.savez(results / "double" / "binding.npz", face=face, barycentric=barycentric, pose=np.array("rest"))
    shown = double.show_double(results, captured.folder, bpy.context.scene)
    assert shown.follows and shown.notes[0] == "2 splats with NaN or infinite numbers were left out."
    kept = np.delete(np.arange(COUNT), [3, 7])
    np.testing.assert_array_equal(read_attribute(shown.item.data, "position"), cloud.means[kept])
    assert (read_attribute(shown.item.data, follow.PART)[:, 0] >= 0).all()


def test_a_half_built_cloud_is_removed_when_an_attribute_fails(empty: Any) -> None:
    attributes = pointcloud.splat_attributes(some_splats(20))
    with pytest.raises(InputError):
        steps = pointcloud.new_data("half", attributes)
        next(steps)
        assert len(bpy.data.pointclouds) == 1
        steps.throw(InputError("No."))
    assert not bpy.data.pointclouds
