# SPDX-License-Identifier: GPL-3.0-or-later
"""Placing points without a window: what a click means, what is asked next, where the guesses lie."""

from __future__ import annotations

import math

import numpy as np
import pytest

from blender_addon.performer import checks, overlay, scheme
from blender_addon.performer.image_view import PixelMap
from blender_addon.performer.marking import Marking
from interchange.mean_face import MEAN_FACE, misfit, suggest, turned

WIDTH, HEIGHT, REACH = 800, 900, 8.0
MIRROR = [*range(16, -1, -1), *range(26, 16, -1), 27, 28, 29, 30, *range(35, 30, -1), 45, 44, 43, 42, 47, 46,
          39, 38, 37, 36, 41, 40, *range(54, 47, -1), 59, 58, 57, 56, 55, *range(64, 59, -1), 67, 66, 65]  # fmt: skip


def face(yaw: float = 0.0, size: float = 300.0, distance: float = 8.0, bend: float = 0.0) -> dict:
    """The mean face, or another (bend), through a pinhole."""
    points = MEAN_FACE * [1 + bend, 1 - bend, 1 + bend]
    angle = math.radians(yaw)
    turn = np.array([[math.cos(angle), 0, math.sin(angle)], [0, 1, 0], [-math.sin(angle), 0, math.cos(angle)]])
    seen = (points - points.mean(axis=0)) @ turn.T
    flat = seen[:, :2] / (1 + seen[:, 2:] / distance) * size + [WIDTH / 2, HEIGHT / 2]
    return {i: (float(x), float(y)) for i, (x, y) in enumerate(flat)}


def click(marking: Marking, at: tuple[float, float]) -> None:
    assert marking.press(at, REACH)
    marking.release()


def drag(marking: Marking, start: tuple[float, float], end: tuple[float, float]) -> bool:
    assert marking.press(start, REACH)
    for part in (0.3, 0.7, 1.0):
        marking.move((start[0] + part * (end[0] - start[0]), start[1] + part * (end[1] - start[1])), REACH)
    return marking.release()


def five(points: dict) -> dict:
    return {i: points[i] for i in scheme.BEST_FIVE}


def test_every_point_is_asked_for_once_and_has_a_name_of_its_own() -> None:
    assert sorted(scheme.ORDER) == list(range(68))
    assert len({scheme.name_of(i) for i in scheme.ORDER}) == 68
    assert sorted({i for ids, _ in scheme.LINES for i in ids}) == list(range(68))


def test_names_say_the_side_of_the_picture_where_the_mean_face_has_the_point() -> None:
    for index in range(68):
        name, x = scheme.name_of(index), MEAN_FACE[index, 0]
        assert not ("at the picture's left" in name and x >= 0), name
        assert not ("at the picture's right" in name and x <= 0), name


def test_the_mean_face_is_symmetric() -> None:
    np.testing.assert_allclose(MEAN_FACE[MIRROR] * [-1, 1, 1], MEAN_FACE, atol=1e-9)


def test_clicks_place_the_best_five_in_order_then_go_on() -> None:
    marking, points = Marking({}, WIDTH, HEIGHT), face()
    for index in scheme.BEST_FIVE:
        assert marking.current == index
        click(marking, points[index])
    assert marking.points == five(points) and marking.missing == 0
    assert marking.current == scheme.ORDER[5]
    assert set(marking.guesses) == set(range(68)) - set(scheme.BEST_FIVE)


def test_a_click_beside_the_photo_does_nothing() -> None:
    marking = Marking({}, WIDTH, HEIGHT)
    for at in ((-1, 5), (5, HEIGHT + 1), (WIDTH + 0.5, 5)):
        assert not marking.press(at, REACH)
        assert not marking.release()
    assert marking.points == {} and not marking.undo()


def test_a_point_is_dragged_and_stays_on_the_photo() -> None:
    points = face()
    marking = Marking(five(points), WIDTH, HEIGHT)
    asked = marking.current
    start = points[30]
    assert drag(marking, (start[0] + 3, start[1]), (start[0] + 43, start[1] - 20))
    assert marking.points[30] == pytest.approx((start[0] + 40, start[1] - 20))  # held where it was gripped
    assert marking.current == asked
    assert drag(marking, marking.points[30], (WIDTH + 500, -300))
    assert marking.points[30] == (WIDTH, 0)


def test_a_click_on_a_point_chooses_it_and_the_next_click_moves_it() -> None:
    marking, points = Marking(five(face()), WIDTH, HEIGHT), face()
    assert marking.press(points[48], REACH) and not marking.release()
    assert marking.current == 48 and marking.points == five(points)
    click(marking, (points[48][0] - 30, points[48][1]))
    assert marking.points[48] == (points[48][0] - 30, points[48][1])


def test_a_trembling_hand_moves_nothing() -> None:
    marking, points = Marking(five(face()), WIDTH, HEIGHT), face()
    assert not drag(marking, points[48], (points[48][0] + 2, points[48][1] + 1))
    assert marking.points == five(points) and not marking.undo()


def test_a_guess_becomes_a_point_when_it_is_dragged_not_when_clicked_beside() -> None:
    marking = Marking(five(face()), WIDTH, HEIGHT)
    asked, chin = marking.current, marking.guesses[8]
    click(marking, chin)
    assert marking.points[asked] == chin and 8 not in marking.points
    assert marking.undo() and asked not in marking.points
    assert drag(marking, chin, (chin[0] + 5, chin[1] + 40))
    assert marking.points[8] == pytest.approx((chin[0] + 5, chin[1] + 40)) and marking.current == asked


def test_deleting_and_undo_go_back_step_by_step() -> None:
    points = face()
    marking = Marking({}, WIDTH, HEIGHT)
    for index in scheme.BEST_FIVE:
        click(marking, points[index])
    assert marking.delete(points[45], REACH) and 45 not in marking.points and marking.current == 45
    assert not marking.delete((1, 1), REACH)
    assert not marking.guesses
    assert marking.undo() and marking.points == five(points) and marking.guesses
    for left in (4, 3, 2, 1, 0):
        assert marking.undo() and len(marking.points) == left
    assert not marking.undo() and marking.current == scheme.ORDER[0]


def test_all_guesses_can_be_taken_at_once() -> None:
    marking = Marking(five(face()), WIDTH, HEIGHT)
    assert marking.accept_guesses() == 63 and len(marking.points) == 68 and not marking.guesses
    assert marking.accept_guesses() == 0
    assert marking.undo() and len(marking.points) == 5


def test_skipping_goes_round_in_both_directions() -> None:
    marking = Marking({}, WIDTH, HEIGHT)
    marking.skip(-1)
    assert marking.current == scheme.ORDER[-1]
    marking.skip()
    marking.skip()
    assert marking.current == scheme.ORDER[1]


@pytest.mark.parametrize("yaw", [0, 25, -45, 60])
@pytest.mark.parametrize("bend", [0.0, 0.06])
def test_guesses_come_close_from_five_points_and_closer_from_more(yaw: float, bend: float) -> None:
    truth = face(yaw, bend=bend)

    def misses(ids: tuple[int, ...]) -> list[float]:
        guesses = suggest({i: truth[i] for i in ids})
        return [math.dist(guesses[i], truth[i]) / 400 for i in scheme.ORDER[35:] if i in guesses]

    few, many = misses(scheme.BEST_FIVE), misses((*scheme.ORDER[:25], 8, 0, 16))
    assert max(few) < 0.08 and max(many) < 0.08
    assert np.mean(many) < np.mean(few) < 0.03


def test_a_mirrored_set_is_told_and_gets_no_guesses() -> None:
    points = five(face(20))
    mirrored = {i: (WIDTH - x, y) for i, (x, y) in points.items()}
    assert turned(points) > 0.8 and turned(mirrored) < -0.8
    assert not Marking(mirrored, WIDTH, HEIGHT).guesses
    assert "mirrored" in checks.problem_of("a.png", mirrored, WIDTH, HEIGHT)


def test_what_the_backend_would_refuse_is_said_before() -> None:
    points = face()
    assert checks.problem_of("a.png", points, WIDTH, HEIGHT) is None
    assert checks.problem_of("a.png", {}, WIDTH, HEIGHT) == "a.png has no landmarks yet."
    few = {i: points[i] for i in (30, 36, 45)}
    assert checks.problem_of("a.png", few, WIDTH, HEIGHT) == "a.png has 3 of at least 5 landmarks."
    assert "Landmark 3 lies outside a.png" in checks.problem_of("a.png", points | {3: (-1.0, 5.0)}, WIDTH, HEIGHT)
    tiny = {i: (x / 20, y / 20) for i, (x, y) in points.items()}
    assert "too few" in checks.problem_of("a.png", tiny, WIDTH, HEIGHT)


def test_a_stray_is_a_remark_that_names_it() -> None:
    points = face()
    assert checks.remark_of("a.png", points) is None
    strayed = points | {54: (points[54][0], points[54][1] - 200)}
    assert max(misfit(strayed), key=misfit(strayed).get) == 54
    assert "point 54 (corner of the mouth at the picture's right)" in checks.remark_of("a.png", strayed)
    assert "larger photo" in checks.remark_of("a.png", {i: (x / 5, y / 5) for i, (x, y) in points.items()})


def test_the_board_finds_its_buttons_and_the_points_of_its_chart() -> None:
    marking = Marking(five(face()), WIDTH, HEIGHT)
    board = overlay.lay_out(marking, overlay.Rect(10, 0, 1000, 600), 1.25)
    assert [b.action for b in board.buttons] == ["done", "undo", "skip", "guess"]
    for button in board.buttons:
        middle = (button.rect.left + button.rect.width / 2, button.rect.bottom + button.rect.height / 2)
        assert board.button_at(middle) == button.action and board.box.holds(middle)
    assert all(board.box.holds(at) for at in board.chart) and all(board.box.holds(at) for _, at in board.lines)
    assert board.button_at((5000, 5)) is None and board.chart_at((5000, 5)) is None
    assert board.chart_at(board.chart[17]) == 17
    assert "5 of 68" in board.lines[0][0]
    small = overlay.lay_out(marking, overlay.Rect(0, 0, 500, 300), 1.25)
    assert not small.chart and small.chart_at((5, 5)) is None and small.box.bottom > 0
    assert all(small.box.holds((button.rect.left, button.rect.bottom)) for button in small.buttons)
    for index in range(68):
        first, second = overlay.split(scheme.name_of(index))
        assert max(len(first), len(second)) <= 32, (first, second)
        assert f"{first} {second}".strip() == scheme.name_of(index)


class FlatView:
    """A region whose view is a given rectangle of the image, as Blender's View2D has it."""

    def __init__(self, rectangle: tuple[float, float, float, float], width: int, height: int) -> None:
        self.rectangle, self.width, self.height = rectangle, width, height
        self.view2d = self

    def region_to_view(self, x: float, y: float) -> tuple[float, float]:
        left, bottom, right, top = self.rectangle
        return left + x / self.width * (right - left), bottom + y / self.height * (top - bottom)


def test_region_and_photo_pixels_are_each_others_inverse() -> None:
    pixels = PixelMap.of(FlatView((-0.2, -0.1, 1.3, 1.05), 1000, 700), WIDTH, HEIGHT)
    for at in ((0.5, 0.5), (WIDTH / 3, HEIGHT / 7), (WIDTH, HEIGHT)):
        assert pixels.to_photo(pixels.to_region(at)) == pytest.approx(at)
    # the photo's top left corner is the image's (0, 1) in Blender's view
    assert pixels.to_region((0, 0)) == pytest.approx((0.2 / 1.5 * 1000, (1 + 0.1) / 1.15 * 700))
    assert pixels.to_region((WIDTH, HEIGHT)) == pytest.approx((1.2 / 1.5 * 1000, 0.1 / 1.15 * 700))
    assert pixels.reach(8) == pytest.approx(8 * 1.5 / 1000 * WIDTH)
