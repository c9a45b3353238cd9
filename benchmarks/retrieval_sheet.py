# SPDX-License-Identifier: Apache-2.0
"""Performers, the target with their faces, and who was found: a column a performer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import cv2
import numpy as np
import numpy.typing as npt

from backend.evaluation.retrieval import HOG, Retrieval

Picture = npt.NDArray[np.float32]
People = Sequence[Sequence[Picture]]
TILE, BAND, COLUMNS = 96, 18, 12
_RIGHT, _WRONG = (70, 160, 70), (200, 60, 50)


def retrieval_sheet(portraits: Sequence[Picture], methods: Mapping[str, tuple[People, People]],
                    rows: Mapping[str, Mapping[str, Retrieval]]) -> npt.NDArray[np.uint8]:  # fmt: skip
    """(h, w, 3): aligned faces in blocks of twelve columns: portraits, then for each method (its results and the true
    swaps, by person and view) the middle view of a result and the true swap that the judge took it for, framed green if
    it is right and red if not."""
    lines: dict[str, list[npt.NDArray[np.uint8]]] = {"portraits": [_tile(p) for p in portraits]}
    for method, (results, gallery) in methods.items():
        found = rows[method][HOG.name].found
        lines[method] = [_tile(_middle(person)) for person in results]
        lines[f"{method}: taken for"] = [
            _framed(_tile(_middle(gallery[nearest])), nearest == index) for index, nearest in enumerate(found)
        ]
    width, bands = min(COLUMNS, len(portraits)), []
    for first in range(0, len(portraits), width):
        for name, tiles in lines.items():
            shown = tiles[first : first + width]
            shown += [np.zeros_like(tiles[0])] * (width - len(shown))
            bands += [_label(name, width * TILE), np.concatenate(shown, axis=1)]
    return np.concatenate(bands, axis=0)


def _middle(views: Sequence[Picture]) -> Picture:
    return views[len(views) // 2]


def _tile(face: Picture) -> npt.NDArray[np.uint8]:
    small = cv2.resize(face, (TILE, TILE), interpolation=cv2.INTER_AREA)
    return np.rint(np.clip(small, 0, 1) * 255).astype(np.uint8)


def _framed(tile: npt.NDArray[np.uint8], right: bool) -> npt.NDArray[np.uint8]:
    framed = tile.copy()
    cv2.rectangle(framed, (1, 1), (TILE - 2, TILE - 2), _RIGHT if right else _WRONG, 3)
    return framed


def _label(text: str, width: int) -> npt.NDArray[np.uint8]:
    band = np.full((BAND, width, 3), 30, np.uint8)
    cv2.putText(band, text, (5, BAND - 5), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (230, 230, 230), 1, cv2.LINE_AA)
    return band
