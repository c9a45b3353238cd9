# SPDX-License-Identifier: GPL-3.0-or-later
"""Guided placing of landmarks as a state machine: which point is asked for, what is suggested, what is taken back.
No bpy: the operator shows it and feeds it clicks.
"""

from __future__ import annotations

from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from .landmarks import COUNT, NORMAL, PARTNER, QUICK, name_of

Array = npt.NDArray[Any]

SEQUENCES = {"QUICK": QUICK, "NORMAL": NORMAL, "ALL": tuple(range(COUNT))}


def mirror_plane(points: Array) -> float:  # (V, 3)
    """x of the mirror plane in a mesh's own axes: 0, unless the mesh lies to one side of that."""
    low, high = float(points[:, 0].min()), float(points[:, 0].max())
    middle = (low + high) / 2
    return 0.0 if abs(middle) < 0.1 * (high - low) else middle


def mirrored_vertex(points: Array, vertex: int) -> int:  # (V, 3)
    """The vertex nearest to the mirror image of another."""
    goal = points[vertex] * np.array([-1.0, 1.0, 1.0])
    goal[0] += 2 * mirror_plane(points)
    return int(np.argmin(((points - goal) ** 2).sum(axis=1)))


def mirror_all(points: Array, known: dict[int, int]) -> dict[int, int]:
    """Landmark -> vertex for those that are missing while their partner on the other side is known."""
    return {
        PARTNER[index]: mirrored_vertex(points, vertex)
        for index, vertex in known.items()
        if PARTNER[index] not in known
    }


@attrs.define(eq=False)
class Placing:
    """Asks for the landmarks of `sequence` in turn. points: (V, 3) of the mesh at rest in its own axes."""

    sequence: tuple[int, ...]
    points: Array
    placed: dict[int, int] = attrs.field(factory=dict)
    position: int = 0
    _history: list[tuple[int, int, int | None]] = attrs.field(factory=list)  # position, landmark, vertex before

    @property
    def current(self) -> int | None:
        """The landmark that is asked for; None when all have been."""
        return self.sequence[self.position] if self.position < len(self.sequence) else None

    @property
    def count(self) -> str:
        """How far the artist has come."""
        return f"{min(self.position + 1, len(self.sequence))} of {len(self.sequence)}"

    @property
    def prompt(self) -> str:
        """What the artist is asked for."""
        return "All points are placed." if self.current is None else name_of(self.current)

    @property
    def suggestion(self) -> int | None:
        """A vertex for the current landmark, from its partner on the other side; None if that is not placed."""
        if self.current is None or PARTNER[self.current] == self.current:
            return None
        partner = self.placed.get(PARTNER[self.current])
        return None if partner is None else mirrored_vertex(self.points, partner)

    def place(self, vertex: int) -> None:
        """Put the current landmark on a vertex and ask for the next."""
        index = self.current
        if index is None:
            return
        self._history.append((self.position, index, self.placed.get(index)))
        self.placed[index] = vertex
        self.position += 1

    def accept(self) -> bool:
        """Take the suggestion; False if there is none."""
        vertex = self.suggestion
        if vertex is None:
            return False
        self.place(vertex)
        return True

    def skip(self) -> None:
        """Leave the current landmark as it is."""
        if self.current is not None:
            self._history.append((self.position, self.current, self.placed.get(self.current)))
            self.position += 1

    def undo(self) -> bool:
        """Take the last point back and ask for it again; False if there is none."""
        if not self._history:
            return False
        self.position, index, before = self._history.pop()
        if before is None:
            self.placed.pop(index, None)
        else:
            self.placed[index] = before
        return True
