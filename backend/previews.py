# SPDX-License-Identifier: Apache-2.0
"""What a running job shows of itself: the swap a view before and after, the fit its render beside what it aims at.

Pictures are small, go to `show(name, png)`, change nothing of the result, and cost a fit at most `SHARE` of its time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from backend.fitting.dataset import FitView
from backend.fitting.trainer import Observer, to_8_bit
from backend.report.geometry import frontal_first, stage
from interchange.capture import Capture, read_view
from interchange.errors import Progress
from interchange.messages import MAX_PREVIEW, PREVIEW_EDGE
from interchange.png import encode_png

Image8 = npt.NDArray[np.uint8]  # (H, W, 3) sRGB
Show = Callable[[str, bytes], None]
EVERY_S = 3.0
SHARE = 0.02
GAP = 4  # pixels between the two pictures
MARGIN = 0.06  # of the subject's box, around it
_GAP_GREY = 40
_SHRINK = 0.75


def show_nothing(name: str, png: bytes) -> None:
    """Nobody watches."""


def side_by_side(left: Image8, right: Image8) -> bytes:
    """A PNG of two pictures of one size, within the protocol's limits for previews."""
    height, width = left.shape[:2]
    scale = min(1.0, (PREVIEW_EDGE - GAP) / 2 / width, PREVIEW_EDGE / height)
    while True:
        size = max(1, int(width * scale)), max(1, int(height * scale))
        parts = [cv2.resize(part, size, interpolation=cv2.INTER_AREA) for part in (left, right)]
        gap = np.full((size[1], GAP, 3), _GAP_GREY, np.uint8)
        png = encode_png(np.concatenate([parts[0], gap, parts[1]], axis=1))
        if len(png) <= MAX_PREVIEW:
            return png
        scale *= _SHRINK  # pure noise; pictures are far below


def box_of(alpha: npt.NDArray[np.floating]) -> tuple[slice, slice]:  # (H, W)
    """Rows and columns that hold the subject, with a margin; all of them if there is none."""
    box = []
    for axis in (1, 0):
        seen = np.flatnonzero((alpha > 0.5).any(axis=axis))
        size = alpha.shape[1 - axis]
        first, last = (int(seen[0]), int(seen[-1]) + 1) if len(seen) else (0, size)
        margin = round(MARGIN * (last - first))
        box.append(slice(max(0, first - margin), min(size, last + margin)))
    return box[0], box[1]


def frontal_names(capture: Capture) -> list[str]:
    """Names of a capture's views, the most frontal one first. Raises InputError if the mesh is damaged."""
    return [view.name for view in frontal_first(capture.views, stage(capture))] if capture.views else []


class SwapPreviews:
    """The most frontal view before and after, as soon as the swap has written it: looked for at each report."""

    def __init__(self, show: Show, capture: Capture, swapped: Path) -> None:
        self._show, self._capture = show, capture
        names = [] if show is show_nothing else frontal_names(capture)
        self._view = capture.view(names[0]) if names else None
        self._file = swapped / self._view.exr if self._view else swapped
        self._stamp = _stamp(self._file)  # of an earlier run, whose settings may have been others

    def follow(self, progress: Progress) -> Progress:
        """The same progress, with a look at each report."""

        def report(stage: str, fraction: float, message: str) -> None:
            progress(stage, fraction, message)
            self.look()

        return report

    def look(self, at_end: bool = False) -> None:
        """Show the view if it is there. `at_end`: also the one that an earlier run had finished."""
        stamp = _stamp(self._file)
        if self._view is None or stamp is None or (stamp == self._stamp and not at_end):
            return
        before, after = self._capture.load_view(self._view, ()), read_view(self._file, ())
        box = box_of(np.maximum(before.alpha, after.alpha))
        self._show("swap", side_by_side(to_8_bit(before.display()[box]), to_8_bit(after.display()[box])))
        self._view = None


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino


class FitPreviews:
    """The trainer's render of the most frontal held-out view, on the right of that view itself."""

    def __init__(self, show: Show, order: Sequence[str] = (), clock: Callable[[], float] = time.monotonic) -> None:
        """`order`: names of views, the best to show first; others come after them."""
        self._show, self._clock = show, clock
        self._rank = {name: index for index, name in enumerate(order)}
        self._view: FitView | None = None
        self._begun = self._due = -1.0

    def observer(self) -> Observer:
        """What the fit is to be given."""
        return Observer(preview_wanted=self._wanted, preview=self._take, preview_of=self._choose)

    def _choose(self, train: Sequence[FitView], held_out: Sequence[FitView]) -> FitView:
        if self._view is None:
            self._view = min(held_out or train, key=lambda view: self._rank.get(view.name, len(self._rank)))
        return self._view

    def _wanted(self) -> bool:
        self._begun = self._clock()
        return self._begun >= self._due

    def _take(self, image: Image8, _: int) -> None:
        assert self._view is not None
        box = box_of(self._view.alpha)
        self._show("fit", side_by_side(to_8_bit(self._view.rgb[box]), image[box]))
        now = self._clock()  # what the picture cost began with the question whether it is wanted
        self._due = now + max(EVERY_S, (now - self._begun) / SHARE)
