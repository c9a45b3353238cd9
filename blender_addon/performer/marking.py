# SPDX-License-Identifier: GPL-3.0-or-later
"""Placing points on a photo, apart from window and mouse: which point is next, what a click means, undo. No bpy."""

from __future__ import annotations

import math

from .._interchange import landmarks, mean_face
from .scheme import BEST_FIVE, ORDER

Point = tuple[float, float]


class Marking:
    """The points of one photo while they are being placed. All positions are pixels of the upright photo.

    points: what has been placed. current: the id that the next click places. grabbed: the id in the artist's hand.
    guesses: where the missing ones may lie, once five are there.
    """

    def __init__(self, points: landmarks.Points, width: int, height: int) -> None:
        self.points = dict(points)
        self.current: int = next((i for i in ORDER if i not in points), ORDER[0])
        self.guesses: landmarks.Points = {}
        self.grabbed: int | None = None
        self._size = (width, height)
        self._history: list[tuple[landmarks.Points, int]] = []
        self._grip: Point = (0.0, 0.0)
        self._pressed: Point = (0.0, 0.0)
        self._guess_grabbed: int | None = None
        self._placing = False
        self._guess()

    @property
    def missing(self) -> int:
        """How many of the best five are still to be placed."""
        return sum(i not in self.points for i in BEST_FIVE)

    @property
    def holding(self) -> bool:
        """True while a point, or a guess that may become one, is in the artist's hand."""
        return self.grabbed is not None or self._guess_grabbed is not None

    def press(self, at: Point, reach: float) -> bool:
        """The button goes down. On a point: takes it. On a guess: takes it as soon as it is moved. Elsewhere on the
        photo: places the current point there. False if nothing is there to be done."""
        self._pressed, self._placing, self._guess_grabbed = at, False, None
        near = self.nearest(at, reach)
        if near is not None:
            self._take(near, at, self.points[near])
            return True
        if not (0 <= at[0] <= self._size[0] and 0 <= at[1] <= self._size[1]):
            return False
        guess = _nearest(self.guesses, at, reach)
        if guess is not None and guess != self.current:
            self._guess_grabbed = guess
        else:
            self._place_current(at)
        return True

    def move(self, at: Point, reach: float) -> bool:
        """The mouse moves with the button down. True if a point moved with it."""
        if self._guess_grabbed is not None and math.dist(at, self._pressed) > reach:
            guess, self._guess_grabbed = self._guess_grabbed, None
            self._remember()
            self.points[guess] = self.guesses[guess]
            self._placing = True
            self.grabbed, self._grip = guess, _minus(self.guesses[guess], self._pressed)
        if self.grabbed is None:
            return False
        if not self._placing and math.dist(at, self._pressed) <= reach / 2:
            return False  # a trembling hand
        if not self._placing:
            self._remember()
            self._placing = True
        x, y = at[0] + self._grip[0], at[1] + self._grip[1]
        self.points[self.grabbed] = (min(max(x, 0.0), self._size[0]), min(max(y, 0.0), self._size[1]))
        return True

    def release(self) -> bool:
        """The button goes up. True if the points are others than before the press."""
        if self._guess_grabbed is not None:  # a click beside the guess of another point
            self._guess_grabbed = None
            self._place_current(self._pressed)
        changed, grabbed = self._placing, self.grabbed
        self.grabbed, self._placing = None, False
        if grabbed is None:
            return False
        if not changed:
            self.current = grabbed  # a click on a point chooses it
            return False
        self._guess()
        if grabbed == self.current:
            self.current = self._next_after(grabbed)
        return True

    def put(self, index: int, at: Point) -> None:
        """Place a point without a mouse."""
        self._remember()
        self.points[index] = at
        self._guess()
        self.current = self._next_after(index)

    def delete(self, at: Point, reach: float) -> bool:
        """Take the point under the mouse away; it is asked for next."""
        near = self.nearest(at, reach)
        if near is None:
            return False
        self._remember()
        del self.points[near]
        self.current = near
        self._guess()
        return True

    def undo(self) -> bool:
        """One step back."""
        if not self._history:
            return False
        self.points, self.current = self._history.pop()
        self.grabbed, self._guess_grabbed, self._placing = None, None, False
        self._guess()
        return True

    def accept_guesses(self) -> int:
        """Take all guesses as placed; returns how many there were."""
        if self.guesses:
            self._remember()
            count = len(self.guesses)
            self.points |= {i: self._inside(at) for i, at in self.guesses.items()}
            self._guess()
            return count
        return 0

    def skip(self, steps: int = 1) -> None:
        """Ask for the next point (or the one before) instead."""
        self.current = ORDER[(ORDER.index(self.current) + steps) % len(ORDER)]

    def nearest(self, at: Point, reach: float) -> int | None:
        """The placed point within reach, or None."""
        return _nearest(self.points, at, reach)

    def _take(self, index: int, at: Point, where: Point) -> None:
        self.grabbed, self._grip = index, _minus(where, at)

    def _place_current(self, at: Point) -> None:
        self._remember()
        self.points[self.current] = at
        self._placing = True
        self._take(self.current, at, at)

    def _next_after(self, index: int) -> int:
        start = ORDER.index(index)
        order = ORDER[start + 1 :] + ORDER[:start]
        five = [i for i in BEST_FIVE if i not in self.points]
        return five[0] if five else next((i for i in order if i not in self.points), index)

    def _remember(self) -> None:
        self._history.append((dict(self.points), self.current))

    def _guess(self) -> None:
        enough = len(self.points) >= landmarks.FEWEST_LANDMARKS and mean_face.turned(self.points) > 0
        self.guesses = mean_face.suggest(self.points) if enough else {}

    def _inside(self, at: Point) -> Point:
        return min(max(at[0], 0.0), self._size[0]), min(max(at[1], 0.0), self._size[1])


def _nearest(points: landmarks.Points, at: Point, reach: float) -> int | None:
    near = min(points, key=lambda i: math.dist(points[i], at), default=None)
    return near if near is not None and math.dist(points[near], at) <= reach else None


def _minus(a: Point, b: Point) -> Point:
    return a[0] - b[0], a[1] - b[1]
