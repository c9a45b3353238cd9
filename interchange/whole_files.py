# SPDX-License-Identifier: Apache-2.0
"""Files that are there whole or not at all, whatever happens while they are written."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO


@contextlib.contextmanager
def whole_file(path: Path | str) -> Iterator[BinaryIO]:
    """A file to write bytes to, beside `path`; it takes the place of `path` when the block ends well.

    After an error (a full disk) the half-written file is gone, what was at `path` is as before, and an OSError names
    `path`. After a kill, PATH.part is left and the next attempt overwrites it.
    """
    path = Path(path)
    temporary = path.with_name(path.name + ".part")
    try:
        with open(temporary, "wb") as file:
            yield file
        os.replace(temporary, path)
    except BaseException as error:
        if isinstance(error, OSError) and error.filename in (None, str(temporary)):
            error.filename, error.filename2 = str(path), None
        _remove(temporary)
        raise


def _remove(temporary: Path) -> None:
    with contextlib.suppress(OSError):  # a read-only disk, a file where the folder should be: the first error says it
        temporary.unlink(missing_ok=True)
