# SPDX-License-Identifier: GPL-3.0-or-later
"""When this computer's backend is started again by itself: it died, jobs wait, it does not die all the time. No bpy."""

from __future__ import annotations

from collections import deque

ATTEMPTS, WITHIN_S = 5, 600.0


class Rescue:
    """Counts the attempts."""

    def __init__(self) -> None:
        self._attempts: deque[float] = deque()

    def is_due(self, now_s: float) -> bool:
        """True if it may be tried (again), and counts it as tried."""
        while self._attempts and now_s - self._attempts[0] > WITHIN_S:
            self._attempts.popleft()
        if len(self._attempts) >= ATTEMPTS:
            return False
        self._attempts.append(now_s)
        return True
