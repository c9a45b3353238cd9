# SPDX-License-Identifier: Apache-2.0
"""Whose turn it is: devices take turns, and each device's jobs come in the order in which they were queued.

So a device with a hundred jobs does not keep one with a single job waiting for more than the job that runs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence


def fair_order(waiting: Sequence[tuple[str, str]], served: Mapping[str, int]) -> list[str]:
    """Job ids in the order in which they will start, if nothing else comes.

    `waiting`: (job id, owner), in the order of the queue. `served`: for each owner a number that is larger the later a
    job of theirs was started last; who is not in it comes first.
    """
    rounds: Counter[str] = Counter()
    keys: list[tuple[int, int, int]] = []
    for place, (_, owner) in enumerate(waiting):
        keys.append((rounds[owner], served.get(owner, 0), place))
        rounds[owner] += 1
    return [waiting[place][0] for _, _, place in sorted(keys)]
