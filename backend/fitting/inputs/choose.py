# SPDX-License-Identifier: Apache-2.0
"""Which reader a folder wants, by what lies in it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from interchange.capture import Capture
from interchange.errors import Progress

from ..dataset import Dataset, load_dataset, never


def load_input(
    folder: Path | str, progress: Progress | None = None, cancelled: Callable[[], bool] = never
) -> Dataset:
    """All pictures of a capture or a swapped folder. Raises InputError if it is neither or cannot be used."""
    return load_dataset(Capture.load(folder), progress, cancelled)
