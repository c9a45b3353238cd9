# SPDX-License-Identifier: Apache-2.0
"""The target of many swaps: its views, where its face lies in them, swaps onto it, how near they come to the truth."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import attrs
import numpy as np
import numpy.typing as npt

from backend.evaluation.metrics import psnr, through_8_bit
from backend.evaluation.retrieval import aligned_face, five_points
from backend.faceswap.settings import SwapSettings
from backend.faceswap.swap import swap
from interchange.capture import Capture, ViewImages
from interchange.mesh import LANDMARK_COUNT

from .performers import SOURCE, Cast, Performer

Picture = npt.NDArray[np.float32]


@attrs.frozen(eq=False)
class Stage:
    """The target as captured: what all queries and true swaps share. points: five of each view's face."""

    cast: Cast
    capture: Capture
    images: list[ViewImages]
    points: list[npt.NDArray[np.float64]]

    @staticmethod
    def of(cast: Cast) -> Stage:
        capture = Capture.load(cast.capture)
        mesh = capture.load_mesh()
        landmarks = [v.camera.project(mesh.vertices[mesh.landmarks])[0] for v in capture.views]
        points = [five_points({i: xy[i] for i in range(LANDMARK_COUNT)}) for xy in landmarks]
        return Stage(cast, capture, [capture.load_view(v) for v in capture.views], points)

    def pictures(self, folder: Path) -> list[Picture]:
        """A capture's display-referred views, in the target's order."""
        found = Capture.load(folder)
        return [found.load_view(found.view(v.name), ()).display() for v in self.capture.views]

    def faces(self, pictures: Sequence[Picture]) -> list[Picture]:
        """The aligned faces of pictures of the target's views."""
        return [aligned_face(p, points) for p, points in zip(pictures, self.points, strict=True)]

    def truth_psnr(self, performer: Performer, pictures: Sequence[Picture], truth_folder: str = "truth") -> float:
        """dB in the face against the performer's true skin on the target, mean over views."""
        return round(float(np.mean(self.truth_psnrs(performer, pictures, truth_folder))), 3)

    def truth_psnrs(self, performer: Performer, pictures: Sequence[Picture], truth_folder: str = "truth"
                    ) -> list[float]:  # fmt: skip
        """The same by view."""
        truth = self.pictures(self.cast.of(performer, truth_folder))
        return [psnr(through_8_bit(a), through_8_bit(b), i.masks["face"])
                for a, b, i in zip(pictures, truth, self.images, strict=True)]  # fmt: skip

    def azimuths(self) -> list[float]:
        """Degrees of each view from the front."""
        forward = np.array([v.camera.forward for v in self.capture.views])
        return [float(angle) for angle in np.degrees(np.arctan2(forward[:, 0], forward[:, 1]))]

    def swapped(self, performer: Performer, name: str, settings: SwapSettings, source: Path | None = None
                ) -> list[Picture]:  # fmt: skip
        """The performer's face on the target, by a method, from its portrait or another source folder; made once, then
        read."""
        folder = self.cast.of(performer, re.sub(r"[^\w/+.-]+", "_", name))
        swap(self.capture.folder, source or self.cast.of(performer, SOURCE), folder, settings)
        return self.pictures(folder)
