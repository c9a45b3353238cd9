# SPDX-License-Identifier: GPL-3.0-or-later
"""Landmarks as custom properties of the head: 68 vertex ids, which of them were guessed, and how many vertices the mesh
had then: numbers mean nothing any more once it has been cut.
"""

from __future__ import annotations

from typing import Any

from .._interchange import errors
from . import fill, meshes
from .landmarks import COUNT

IDS, GUESSED, VERTICES = "digidouble_landmarks", "digidouble_landmarks_guessed", "digidouble_landmarks_vertices"


def ids_of(head: Any) -> list[int]:
    """68 vertex ids, -1 where missing; all missing if the property is absent or no such list."""
    try:
        ids = [int(v) for v in head.get(IDS, ())]
    except (TypeError, ValueError):
        ids = []
    count = len(head.data.vertices)
    return [v if 0 <= v < count else -1 for v in ids] if len(ids) == COUNT else [-1] * COUNT


def guessed_of(head: Any) -> set[int]:
    """Landmarks that were filled in and not placed."""
    flags = list(head.get(GUESSED, ()))
    return {i for i, flag in enumerate(flags) if flag} if len(flags) == COUNT else set()


def are_outdated(head: Any) -> bool:
    """True if the mesh has another number of vertices than when its landmarks were placed."""
    return IDS in head and head.get(VERTICES, len(head.data.vertices)) != len(head.data.vertices)


def placed_of(head: Any) -> dict[int, int]:
    """Landmark -> vertex, of those that were placed by the artist or came with the avatar."""
    guessed = guessed_of(head)
    return {i: v for i, v in enumerate(ids_of(head)) if v >= 0 and i not in guessed}


def write(head: Any, ids: list[int], guessed: set[int]) -> None:
    """Keep landmarks on the head; no property is left where none are known."""
    if all(v < 0 for v in ids):
        clear(head)
        return
    head[IDS] = [int(v) for v in ids]
    head[VERTICES] = len(head.data.vertices)
    head[GUESSED] = [int(i in guessed) for i in range(COUNT)]
    head.update_tag()


def put(head: Any, index: int, vertex: int) -> None:
    """Place one landmark, or take it away with vertex -1. Raises InputError if there is no such landmark or vertex."""
    if not 0 <= index < COUNT:
        raise errors.InputError(f"There is no landmark {index}.", "They are numbered from 0 to 67.")
    count = len(head.data.vertices)
    if not -1 <= vertex < count:
        raise errors.InputError(f"{head.name!r} has no vertex {vertex}.", f"They are numbered 0 to {count - 1}.")
    ids = ids_of(head)
    ids[index] = vertex
    write(head, ids, guessed_of(head) - {index})


def complete(head: Any) -> int:
    """Guess all landmarks that are not placed, earlier guesses anew; returns how many. Raises InputError as
    `fill.complete` does.
    """
    placed = placed_of(head)
    write(head, fill.complete(placed, *meshes.read(head)).tolist(), set(range(COUNT)) - set(placed))
    return COUNT - len(placed)


def clear(head: Any) -> None:
    """Forget all."""
    for name in (IDS, GUESSED, VERTICES):
        if name in head:
            del head[name]
