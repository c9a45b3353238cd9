# SPDX-License-Identifier: GPL-3.0-or-later
"""When this computer's backend is started again by itself: it died, jobs wait, it does not die all the time. No bpy."""

from __future__ import annotations

from collections import deque

ATTEMPTS, WITHIN_S = 8, 600.0
PAUSES_S = (0.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0, 60.0)
"""Before each attempt, since the one before."""


class Rescue:
    """Counts the attempts of the last ten minutes."""

    def __init__(self) -> None:
        self._attempts: deque[float] = deque()

    def is_due(self, now_s: float) -> bool:
        """True if it may be tried (again), and counts it as tried."""
        while self._attempts and now_s - self._attempts[0] > WITHIN_S:
            self._attempts.popleft()
        made = len(self._attempts)
        if made >= ATTEMPTS or (made and now_s - self._attempts[-1] < PAUSES_S[made]):
            return False
        self._attempts.append(now_s)
        return True
