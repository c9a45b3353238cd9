# SPDX-License-Identifier: Apache-2.0
"""Views looked at several at a time: decoding and numpy let other threads run."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from interchange.errors import Cancelled

Item = TypeVar("Item")
Result = TypeVar("Result")
MOST_THREADS = 16


def side_by_side(
    work: Callable[[Item], Result], items: Iterable[Item], stop: Callable[[], bool] = lambda: False
) -> Iterator[Result]:
    """`work` of every item, in order, one thread a core. Raises what it raises, and Cancelled when told to stop."""

    def guarded(item: Item) -> Result:
        if stop():
            raise Cancelled
        return work(item)

    with ThreadPoolExecutor(min(os.cpu_count() or 1, MOST_THREADS)) as pool:
        try:
            yield from pool.map(guarded, items)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
