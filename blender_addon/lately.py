# SPDX-License-Identifier: GPL-3.0-or-later
"""What panels ask at every redraw and a disk has to answer: asked once in a while. No bpy."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from ._interchange import errors

Answer = TypeVar("Answer")


class Lately(Generic[Answer]):
    """Remembers answers by what they depend on, each for `seconds`; that there is none (InputError) is one too."""

    def __init__(self, clock: Callable[[], float], seconds: float = 1.0) -> None:
        self._clock, self._seconds = clock, seconds
        self._known: dict[Hashable, tuple[float, Answer | errors.InputError]] = {}

    def ask(self, key: Hashable, question: Callable[[], Answer]) -> Answer:
        """What `question()` returns now, or did for this key a moment ago. Raises its InputError, likewise."""
        now = self._clock()
        when, answer = self._known.get(key, (now - self._seconds, None))
        if now - when >= self._seconds or answer is None:
            try:
                answer = question()
            except errors.InputError as error:
                answer = error
            self._known[key] = now, answer
        if isinstance(answer, errors.InputError):
            raise errors.InputError(answer.message, answer.hint)
        return answer
