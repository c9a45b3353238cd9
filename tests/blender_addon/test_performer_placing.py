# SPDX-License-Identifier: GPL-3.0-or-later
"""From mouse and keyboard events to the landmark file. The window is made up; photo, folder and all the rest are not.
What only a real window can show is tried in one, by hand and by the tests of the windows.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import bpy
import pytest

import blender_addon
from blender_addon.performer import placing, scheme, state_of
from interchange.landmarks import read_landmarks
from tests.blender_addon.performers import photo
from tests.blender_addon.test_performer_marking import FlatView

WIDTH, HEIGHT = 1200, 800  # of the region; the photo of 200 x 160 lies in its right part, 4 region pixels a photo pixel
ORIGIN = (380.0, 700.0)  # its top left corner in the region


class View:
    """An Image Editor of no window."""

    def __init__(self, window: Any, area: Any, image: Any) -> None:
        left, top = -ORIGIN[0] / 800, 1 + (HEIGHT - ORIGIN[1]) / 640
        self.region = FlatView((left, top - HEIGHT / 640, left + WIDTH / 800, top), WIDTH, HEIGHT)
        self.area = SimpleNamespace(header_text_set=self.tell)
        self.image, self.is_there, self.is_shown, self.closed, self.header = image, True, True, False, ""

    def tell(self, text: str | None) -> None:
        self.header = text

    def fit(self, taken: float) -> None:
        pass

    def redraw(self) -> None:
        pass

    def contains(self, event: Any) -> bool:
        return 0 <= event.x < WIDTH and 0 <= event.y < HEIGHT

    def position(self, event: Any) -> tuple[float, float]:
        return event.x, event.y

    def free_sides(self) -> tuple[float, float, float]:
        return 0.0, float(WIDTH), float(HEIGHT)

    def close(self) -> None:
        self.closed = True


def region(x: float, y: float) -> tuple[float, float]:
    """From photo pixels to the region."""
    return ORIGIN[0] + 4 * x, ORIGIN[1] - 4 * y


class Hand:
    """Somebody with a mouse and a keyboard."""

    def __init__(self, session: placing.Placing) -> None:
        self.session, self.at = session, (0.0, 0.0)

    def event(self, kind: str, value: str = "PRESS", **keys: bool) -> str:
        pressed = {"ctrl": False, "shift": False, "oskey": False} | keys
        return self.session.handle(SimpleNamespace(type=kind, value=value, x=self.at[0], y=self.at[1], **pressed))

    def click(self, at: tuple[float, float]) -> str:
        self.move(at)
        self.event("LEFTMOUSE", "PRESS")
        return self.event("LEFTMOUSE", "RELEASE")

    def move(self, at: tuple[float, float]) -> str:
        self.at = at
        return self.event("MOUSEMOVE", "NOTHING")

    def press_button(self, action: str) -> str:
        rect = next(b.rect for b in self.session._overlay().buttons if b.action == action)
        return self.click((rect.left + 3, rect.bottom + 3))


@pytest.fixture
def folder(empty: Any, tmp_path: Path) -> Iterator[Path]:
    blender_addon.register()
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "film.blend"))
    bpy.ops.digidouble.performer_add(name="Jane")
    bpy.ops.digidouble.performer_add_photos(filepath=str(photo(tmp_path / "front.png")))
    yield tmp_path / "digidouble/performers/Jane"
    blender_addon.unregister()


@pytest.fixture
def session(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[placing.Placing]:
    monkeypatch.setattr(placing, "ImageView", View)
    context = SimpleNamespace(window=None, area=None, preferences=SimpleNamespace(system=SimpleNamespace(ui_scale=1.0)))
    session = placing.Placing(context, bpy.context.scene.digidouble.performers[0], "front.png")
    yield session
    session.close()
    assert not bpy.data.images and session._view.closed


def saved(folder: Path) -> dict[int, tuple[float, float]]:
    return read_landmarks(folder / "landmarks.json", fewest=0)[1]


PLACES = {30: (100, 90), 36: (70, 60), 45: (130, 60), 48: (80, 120), 54: (120, 120)}


def test_five_clicks_and_enter_make_a_source(session: placing.Placing, folder: Path) -> None:
    hand = Hand(session)
    assert "click the tip of the nose" in session._view.header
    for count, index in enumerate(scheme.BEST_FIVE, 1):
        assert hand.click(region(*PLACES[index])) == "mine"
        assert len(saved(folder)) == count  # at once
    assert saved(folder) == {i: pytest.approx(at) for i, at in PLACES.items()}
    assert "5 of 68 placed" in session._view.header
    assert hand.event("RET") == "over"
    assert state_of(bpy.context.scene.digidouble.performers[0]).problem == "There is no consent record yet."


def test_a_drag_saves_when_the_button_goes_up_even_outside(session: placing.Placing, folder: Path) -> None:
    hand = Hand(session)
    hand.click(region(100, 90))
    hand.move(region(100, 90))
    hand.event("LEFTMOUSE", "PRESS")
    assert hand.move(region(110, 95)) == "mine" and saved(folder)[30] == pytest.approx((100, 90))
    hand.move((WIDTH + 50, 10))
    assert hand.event("LEFTMOUSE", "RELEASE") == "mine"
    assert saved(folder)[30] == pytest.approx((200, 160))  # held at the photo's corner


def test_keys_delete_undo_skip_and_end(session: placing.Placing, folder: Path) -> None:
    hand = Hand(session)
    hand.click(region(100, 90))
    hand.click(region(70, 60))
    hand.move(region(100.5, 90.5))
    hand.event("X")
    assert set(saved(folder)) == {36}
    hand.event("BACK_SPACE")
    assert set(saved(folder)) == {30, 36}
    hand.event("Z", ctrl=True)
    assert set(saved(folder)) == {30}
    assert session.marking.current == 36
    hand.event("TAB")
    assert session.marking.current == 45
    hand.event("TAB", shift=True)
    assert session.marking.current == 36
    hand.event("BACK_SPACE")
    assert not (folder / "landmarks.json").exists()
    assert hand.event("ESC") == "over"


def test_the_board_answers_when_the_button_goes_up_on_it(session: placing.Placing, folder: Path) -> None:
    hand = Hand(session)
    for at in PLACES.values():
        hand.click(region(*at))
    assert hand.press_button("guess") == "mine" and len(saved(folder)) == 68
    assert hand.press_button("undo") == "mine" and len(saved(folder)) == 5
    assert hand.click(session._overlay().chart[8]) == "mine" and session.marking.current == 8
    board = session._overlay().box
    assert hand.click((board.left + 2, board.bottom + 2)) == "mine" and len(saved(folder)) == 5
    rect = session._overlay().buttons[0].rect
    hand.move((rect.left + 3, rect.bottom + 3))
    hand.event("LEFTMOUSE", "PRESS")
    hand.move(region(150, 150))
    assert hand.event("LEFTMOUSE", "RELEASE") == "mine" and len(saved(folder)) == 5  # thought better of it
    assert hand.press_button("done") == "over"


def test_zoom_timers_and_what_lies_elsewhere_are_left_to_blender(session: placing.Placing) -> None:
    hand = Hand(session)
    hand.at = region(50, 50)
    for kind in ("WHEELUPMOUSE", "MIDDLEMOUSE", "TRACKPADPAN", "TIMER", "TIMERREGION", "HOME"):
        assert hand.event(kind) == "pass"
    hand.at = (-5.0, 10.0)
    for kind in ("LEFTMOUSE", "ESC", "RET", "X"):
        assert hand.event(kind) == "pass"
    assert session.marking.points == {}


def test_it_waits_in_another_workspace_and_ends_with_its_area_or_image(session: placing.Placing) -> None:
    hand = Hand(session)
    session._view.is_shown = False
    assert hand.click(region(100, 90)) == "pass" and session.marking.points == {}
    session._view.is_shown = True
    session._view.is_there = False
    assert hand.event("TIMER") == "over"
    session._view.is_there = True
    bpy.data.images.remove(session._picture.image)
    assert hand.event("TIMER") == "over"
