# SPDX-License-Identifier: GPL-3.0-or-later
"""Work that is written once and done either in one go, or in small steps while Blender stays free. No bpy.

Such work is a generator. It yields functions that know nothing of bpy and may run in a thread, and is given back what
they return or raise; it yields None where the rest may wait. Between two yields it may use bpy, and after each it has
to look for its data-blocks anew (capture/restore.py's `finder`): the artist may have undone or deleted them.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator
from typing import Any, Generic, TypeVar

Result = TypeVar("Result")
Steps = Generator[Callable[[], Any] | None, Any, Result]

BUDGET_S = 0.02
"""Not much less: Blender draws its whole window after each step that makes or changes a data-block."""


def at_once(steps: Steps[Result]) -> Result:
    """Do all of it here and now; what the work returns. Raises what it raises."""
    resume: Callable[[Any], Any] = steps.send
    value: Any = None
    while True:
        try:
            asked = resume(value)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        resume, value = steps.send, None
        if asked is not None:
            try:
                value = asked()
            except Exception as error:
                resume, value = steps.throw, error


class Stepped(Generic[Result]):
    """The same work beside Blender's: `step` comes back after `budget_s` or soon thereafter, never waiting for the
    thread. Whoever steps it calls `close` in the end, whatever happened.
    """

    def __init__(
        self, steps: Steps[Result], budget_s: float = BUDGET_S, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self._steps, self._budget_s, self._clock = steps, budget_s, clock
        self._errand: _Errand | None = None
        self._result: list[Result] = []

    @property
    def is_over(self) -> bool:
        """Whether the work has returned something."""
        return bool(self._result)

    @property
    def result(self) -> Result:
        """What the work has returned, once `step` was False."""
        return self._result[0]

    def step(self) -> bool:
        """Go on. True as long as there is more to do. Raises what the work raises."""
        if self._result:
            return False
        until = self._clock() + self._budget_s
        while True:
            if self._errand is not None and not self._errand.is_over:
                return True
            try:
                asked = self._resume()
            except StopIteration as end:
                self._result.append(end.value)
                return False
            if asked is not None:
                self._errand = _Errand(asked)
            elif self._clock() >= until:
                return True

    def close(self) -> None:
        """Have the work take back what it has begun; closing twice is harmless. What the thread finds is dropped."""
        self._steps.close()

    def _resume(self) -> Callable[[], Any] | None:
        errand, self._errand = self._errand, None
        if errand is None:
            return next(self._steps)
        if errand.error is not None:
            return self._steps.throw(errand.error)
        return self._steps.send(errand.answer)


class _Errand:
    """One function in a thread of its own. A daemon: quitting Blender must not wait for it."""

    def __init__(self, function: Callable[[], Any]) -> None:
        self.answer: Any = None
        self.error: Exception | None = None
        self._function = function
        self._thread = threading.Thread(target=self._run, name="digidouble step", daemon=True)
        self._thread.start()

    @property
    def is_over(self) -> bool:
        """Whether there is an answer or an error."""
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            self.answer = self._function()
        except Exception as error:
            self.error = error
