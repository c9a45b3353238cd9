# SPDX-License-Identifier: Apache-2.0
"""The newest preview of a job: a file in its folder that the worker replaces and the server sends as it is.

A line of JSON (number, name, at), then the PNG. The server looks at the PNG's header and decodes nothing.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

from interchange.messages import MAX_PREVIEW, PREVIEW_EDGE, Preview
from interchange.png import png_size
from interchange.whole_files import whole_file

MAX_LINE = 1024
MAX_NAME = 60


class PreviewWriter:
    """For the job's code, in the worker: call it with a name and a PNG. `tell` is called after each of them."""

    def __init__(self, path: Path, tell: Callable[[], None], clock: Callable[[], float] = time.time) -> None:
        self._path, self._tell, self._clock = path, tell, clock
        self._number = read_preview(path, "-").number  # an attempt before this one may have shown some

    def __call__(self, name: str, png: bytes) -> None:
        """Show a picture. Raises ValueError for one that is too large or no PNG; a full disk costs the preview only."""
        if not is_sendable(png):
            raise ValueError(f"a preview is a PNG of at most {PREVIEW_EDGE} pixels a side and {MAX_PREVIEW} bytes")
        self._number += 1
        header = {"number": self._number, "name": name[:MAX_NAME], "at": self._clock()}
        try:
            with whole_file(self._path) as file:
                file.write(json.dumps(header).encode("ascii") + b"\n" + png)
        except OSError:
            return
        self._tell()


def read_preview(path: Path, job_id: str) -> Preview:
    """What the file holds; number 0 and no picture if it is not there, damaged or too large."""
    try:
        with open(path, "rb") as file:
            header = json.loads(file.readline(MAX_LINE))
            png = file.read(MAX_PREVIEW + 1)
        if is_sendable(png):
            return Preview(job_id, int(header["number"]), str(header["name"])[:MAX_NAME], float(header["at"]), png)
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return Preview(job_id)


def is_sendable(png: bytes) -> bool:
    """True for a PNG within the protocol's limits."""
    size = png_size(png)
    return size is not None and len(png) <= MAX_PREVIEW and 0 < min(size) <= max(size) <= PREVIEW_EDGE
