# SPDX-License-Identifier: GPL-3.0-or-later
"""What the add-on does when Blender refuses changes for a moment: it tries again, and nothing is lost or done twice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import bpy
import pytest

from blender_addon.capture.restore import Restore, close_later
from blender_addon.compat import changes_refused
from tests.blender_addon.refusing import while_drawing


@pytest.fixture
def camera() -> Any:
    """A data-block that can be changed."""
    made = bpy.data.cameras.new("seen")
    yield made
    bpy.data.cameras.remove(made)


def test_refusals_are_known(camera: Any) -> None:
    for action in (lambda: setattr(camera, "lens", 20.0), lambda: bpy.ops.object.select_all(action="SELECT")):
        with pytest.raises((AttributeError, RuntimeError)) as refusal:
            while_drawing(action)
        assert changes_refused(refusal.value)
    for error in (AttributeError("no attribute 'lens'"), RuntimeError("poll() failed"), ValueError("this state")):
        assert not changes_refused(error)


def test_what_could_not_be_taken_back_is_taken_back_by_closing_again(camera: Any) -> None:
    kept = Restore()
    kept.set(camera, "lens", 20.0)
    kept.set(camera, "shift_x", 0.25)
    with pytest.raises(AttributeError):
        while_drawing(kept.close)
    assert (camera.lens, camera.shift_x) == (20.0, 0.25)
    kept.close()
    assert (camera.lens, camera.shift_x) == (50.0, 0.0)


def test_closing_later_waits_until_changes_are_taken(camera: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    timers: list[Callable[[], float | None]] = []
    monkeypatch.setattr(bpy.app.timers, "register", lambda look, **_: timers.append(look), raising=False)
    kept, busy = Restore(), [True]
    kept.set(camera, "lens", 20.0)
    close_later(lambda: busy[0], kept.close)
    assert timers[0]() and camera.lens == 20.0
    busy[0] = False
    assert while_drawing(timers[0]) and camera.lens == 20.0
    assert timers[0]() is None and camera.lens == 50.0


def test_closing_later_does_not_hide_other_failures(monkeypatch: pytest.MonkeyPatch) -> None:
    timers: list[Callable[[], float | None]] = []
    monkeypatch.setattr(bpy.app.timers, "register", lambda look, **_: timers.append(look), raising=False)
    close_later(lambda: False, lambda: 1 / 0)  # type: ignore[arg-type, return-value]
    with pytest.raises(ZeroDivisionError):
        timers[0]()
