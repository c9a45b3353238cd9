# SPDX-License-Identifier: Apache-2.0
"""The choice among many photos, on a face of three patches: its right side, its front, its left side."""

from __future__ import annotations

from itertools import combinations

import attrs
import numpy as np
import pytest

from backend.faceswap.choosing import Choice, choose, judge
from backend.faceswap.measuring import Measured

SHARE = np.array([0.25, 0.5, 0.25])


def photo(name: str, yaw: float, seen: tuple[float, float, float], **changes: object) -> Measured:
    """A good one, unless told otherwise."""
    made = Measured(
        name, yaw, 0.0, 0.02, np.array(seen, np.float32), np.full(3, 0.04, np.float32), np.full(3, 0.2, np.float32),
        0.0, False,
    )  # fmt: skip
    return attrs.evolve(made, **changes)


FRONT = photo("front", 0, (0.3, 1, 0.3))
RIGHT, LEFT = photo("right", -45, (1, 0.5, 0)), photo("left", 45, (0, 0.5, 1))


def kept(choice: Choice) -> list[str]:
    return [choice.names[i] for i in choice.kept]


def reasons(choice: Choice) -> dict[str, str]:
    return {p.name: p.reason for p in choice.left_out}


def test_the_sides_are_taken_before_another_front() -> None:
    again = photo("again", 10, (0.3, 1, 0.3))
    choice = choose([FRONT, again, RIGHT, LEFT], SHARE, 3)
    assert kept(choice) == ["front", "right", "left"]
    assert choice.covered == pytest.approx(1)
    assert reasons(choice) == {"again": "It would add 0.0 % of the face to the chosen ones."}


def test_fewer_are_taken_where_more_would_add_nothing() -> None:
    many = [FRONT, *(photo(f"f{i}", 8 * (i + 1), (0.3, 1, 0.3)) for i in range(10))]
    assert kept(choose(many, SHARE, 7)) == ["front"]


def test_the_first_is_kept_however_bad_it_is() -> None:
    dim = attrs.evolve(FRONT, name="dim", detail=np.full(3, 0.004, np.float32), brightness=np.full(3, 0.01, np.float32))
    assert kept(choose([dim, RIGHT, LEFT], SHARE, 1)) == ["dim"]
    # And the good one of the same angle is taken beside it.
    assert kept(choose([dim, RIGHT, LEFT, FRONT], SHARE, 2)) == ["dim", "front"]


def test_of_two_from_one_angle_the_sharper_is_taken() -> None:
    blurred = attrs.evolve(RIGHT, name="blurred", yaw=-46.0, detail=np.full(3, 0.01, np.float32))
    choice = choose([FRONT, blurred, RIGHT, LEFT], SHARE, 4)
    assert kept(choice) == ["front", "right", "left"]
    assert reasons(choice)["blurred"].startswith("right shows the face from the same angle (to 1.0°)")


def test_a_nod_is_another_angle() -> None:
    nodding = attrs.evolve(RIGHT, name="nodding", pitch=15.0, seen=np.array([1, 0.9, 0], np.float32))
    assert "same angle" not in "".join(reasons(choose([FRONT, RIGHT, LEFT, nodding], SHARE, 4)).values())
    assert "same angle" in reasons(choose([FRONT, RIGHT, LEFT, attrs.evolve(nodding, pitch=2.0)], SHARE, 4))["nodding"]


def test_the_only_photo_of_a_side_is_taken_though_it_is_blurred() -> None:
    blurred = attrs.evolve(LEFT, name="blurred", detail=np.full(3, 0.02, np.float32))
    assert kept(choose([FRONT, RIGHT, blurred], SHARE, 2)) == ["front", "right"]
    assert kept(choose([FRONT, RIGHT, blurred], SHARE, 3)) == ["front", "right", "blurred"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"detail": np.full(3, 0.01, np.float32)}, "less sharp"),
        ({"brightness": np.full(3, 0.03, np.float32)}, "much darker or brighter"),
        ({"brightness": np.full(3, 1.6, np.float32)}, "much darker or brighter"),
        ({"clipped": 0.6}, "no tone"),
        ({"misfit": 0.09}, "landmarks fit"),
    ],
)
def test_what_is_wrong_is_said_and_counts(changes: dict, words: str) -> None:
    bad = photo("bad", 40, (0, 0.5, 1), **changes)
    choice = choose([FRONT, bad, RIGHT, photo("good", 52, (0, 0.5, 0.9))], SHARE, 3)
    assert kept(choice) == ["front", "right", "good"]
    assert words in reasons(choice)["bad"]
    assert choice.qualities[1].whole < 0.6 < choice.qualities[2].whole


def test_sharpness_is_compared_where_photos_show_the_same() -> None:
    # A cheek has less detail than a brow: seeing only the cheek makes no photo blurred.
    detail = np.array([0.01, 0.05, 0.01], np.float32)
    some = [attrs.evolve(p, detail=detail) for p in (FRONT, RIGHT, LEFT)]
    assert [q.sharp for q in judge(some)] == pytest.approx([1, 1, 1])


def test_a_grey_photo_is_left_out_unless_the_first_is_grey() -> None:
    grey = attrs.evolve(LEFT, name="grey", grey=True)
    assert reasons(choose([FRONT, RIGHT, grey], SHARE, 3)) == {"grey": "It has no colour, unlike the first photo."}
    assert kept(choose([attrs.evolve(FRONT, grey=True), RIGHT, grey], SHARE, 3)) == ["front", "right", "grey"]


def test_equal_photos_are_taken_in_their_order_and_always_the_same() -> None:
    twins = [FRONT, *(photo(f"side{i}", 30.0 + 10 * i, (0, 0.5, 1)) for i in range(4))]
    choices = [choose(twins, SHARE, 2) for _ in range(3)]
    assert [kept(c) for c in choices] == 3 * [["front", "side0"]]
    assert reasons(choices[0]) == reasons(choices[1])


def test_a_photo_that_shows_nothing_of_the_face_is_worth_nothing() -> None:
    away = photo("away", 170, (0, 0, 0))
    choice = choose([FRONT, away, LEFT, RIGHT], SHARE, 4)
    assert "away" in reasons(choice) and choice.qualities[1].whole == 0


def test_the_choice_is_near_the_best_one() -> None:
    draw = np.random.default_rng(5)
    seen = draw.uniform(0, 1, (9, 40)) * (draw.uniform(0, 1, (9, 40)) < 0.4)
    share = np.full(40, 1 / 40)
    flat = {"detail": np.full(40, 0.04, np.float32), "brightness": np.full(40, 0.2, np.float32)}
    photos = [photo(str(i), 12.0 * i, tuple(row), **flat) for i, row in enumerate(seen)]
    best = max(seen[[0, *others]].max(0) @ share for others in combinations(range(1, 9), 3))
    assert choose(photos, share, 4).covered > 0.95 * best
