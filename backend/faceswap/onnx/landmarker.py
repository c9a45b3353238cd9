# SPDX-License-Identifier: Apache-2.0
"""The 68 points of a face in a photo, by a network: where to look, looking again closer and upright, what to believe.

A landmarker needs a crop in which the face stands as it stood in its training: upright, about half the crop. The first
crop comes from a detector, or is tried all over the photo; each look says where the next one has to be.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import attrs
import numpy as np
import numpy.typing as npt

from interchange.errors import Cancelled, InputError
from interchange.landmarks import FEWEST_LANDMARKS, Points
from interchange.mean_face import MEAN_FACE, MIRRORED, face_size, pose, turned

from .face_crop import Box, Crop, Pyramid, crop_of_box, crop_of_points, first_crops, upright_angle
from .landmark_decoding import landmark_tensor, points_from
from .landmark_kinds import LandmarkKind

Floats = npt.NDArray[Any]
Detect = Callable[[Floats], Sequence[Box]]
"""(H, W, 3) RGB display-referred 0..1 to the faces in it, largest first."""

ROUNDS, MOST_ROUNDS = 3, 6
"""Looks at a face, each from where the one before found it; more than three while the points still move."""
STRAY = 0.15
"""Of the face's size: a point this far from where the mean face has it is left out; a mouth wide open is not yet."""
SMALLEST_FACE = 40
"""Pixels, the diagonal of the points' box."""
_SETTLED = 0.01  # of the face's size: points that move less from look to look have been found
_LOST = 0.05  # points that still move so much are on nothing
_WIDEST = 3.0  # times the photo: the widest crop that is looked at
_SHIFT = 0.08  # of a crop's side, for networks without scores
_TRIED = 3  # first crops that are followed
_LOOSE = 0.1  # of the face's size: median distance from the mean face of what is taken for a face
_SURE = 0.75  # of all points: a face with so many of them ends the search
_NO_FACE_HINT = (
    "Use a photo that shows the face large and upright, put a detector (YuNet) into the models folder, or place the "
    "points by hand."
)


class Net(Protocol):
    """A network of session.py."""

    def run(self, inputs: dict[str, Floats]) -> dict[str, npt.NDArray[np.float32]]:
        """Outputs by name."""


@attrs.frozen(eq=False)
class Landmarker:
    """A landmarker's network, opened. name: its file's; entry: its input's."""

    net: Net
    kind: LandmarkKind
    name: str
    entry: str

    def look(self, photo: Pyramid, crop: Crop) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64] | None]:
        """(68, 2) pixels of the photo and (68,) scores, None where it gives none."""
        tensor = landmark_tensor(photo.draw(crop, self.kind.size), self.kind)
        points, scores = points_from(self.net.run({self.entry: tensor}), self.kind, self.name)
        return crop.to_photo(points, self.kind.size), scores

    def judged(self, photo: Pyramid, crop: Crop) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """The same, always with scores. A network without any is shown the crop shifted, too: points that stay on the
        photo count (1), those that move with the crop were not seen but expected there (0)."""
        points, scores = self.look(photo, crop)
        if scores is not None:
            return points, scores
        moves = [
            np.linalg.norm(self.look(photo, crop.moved(*shift))[0] - points, axis=1)
            for shift in ((_SHIFT, 0.0), (0.0, _SHIFT))
        ]
        return points, np.clip(1 - np.mean(moves, axis=0) / (_SHIFT * crop.side), 0, 1)


@attrs.frozen(eq=False)
class Found:
    """points: by id, in pixels of the photo, centres at +0.5; scores: (68,) 0..1, of all; crop: the last one. warnings:
    sentences for the user."""

    points: Points
    scores: npt.NDArray[np.float64]
    crop: Crop
    warnings: tuple[str, ...] = ()


@attrs.frozen(eq=False)
class _Sight:
    """Points somewhere on the photo. moved: since the look before, of the face's size."""

    points: npt.NDArray[np.float64]
    scores: npt.NDArray[np.float64]
    crop: Crop
    moved: float
    kept: Points

    @property
    def worth(self) -> float:
        """To compare sights by: the mean score of all points, those that are left out counting nothing."""
        return float(self.scores[list(self.kept)].sum() / len(self.scores)) if self.kept else 0.0


def find_landmarks(
    picture: Floats,
    landmarker: Landmarker,
    detect: Detect | None = None,
    name: str = "the photo",
    cancelled: Callable[[], bool] = lambda: False,
) -> Found:  # (H, W, 3) RGB display-referred 0..1
    """The points of the largest face. Points whose score is below the kind's least, that lie far from where a face has
    them, or outside the photo, are left out.

    name: of the photo, for messages. Raises InputError when there is no face with five points, or it is too small,
    Cancelled when told between two looks.
    """
    warnings: tuple[str, ...] = ()
    photo = Pyramid(picture)
    if detect is None:
        sight = _search(photo, landmarker, cancelled)
    else:
        boxes = detect(picture)
        if not boxes:
            warnings = (f"The detector sees no face in {name}: the whole photo was searched.",)
            sight = _search(photo, landmarker, cancelled)
        else:
            sight = _follow(photo, landmarker, crop_of_box(boxes[0], landmarker.kind), cancelled)
        if len(boxes) > 1:
            warnings = (f"{name} shows {len(boxes)} faces: the largest is taken.",)
    if sight is None:
        raise InputError(f"No face was found in {name}.", _NO_FACE_HINT)
    if (size := face_size(sight.kept)) < SMALLEST_FACE:
        raise InputError(f"The face in {name} is only {size:.0f} pixels large.", "Use a larger photo.")
    return Found(sight.kept, sight.scores, sight.crop, warnings)


def _search(photo: Pyramid, landmarker: Landmarker, cancelled: Callable[[], bool]) -> _Sight | None:
    """The best face of the whole photo: of each level's crops the most promising ones are followed."""
    best = None
    for crops in first_crops(photo.width, photo.height):
        sights = []
        for crop in crops:
            _stop_if(cancelled)
            points, scores = landmarker.judged(photo, crop)
            sights.append(_sight(points, scores, crop, landmarker.kind, 1.0, photo))
        sights.sort(key=lambda s: -s.worth)
        for sight in sights[:_TRIED]:
            if sight.worth <= 0:
                continue
            found = _follow(photo, landmarker, sight.crop, cancelled)
            if found is not None and (best is None or found.worth > best.worth):
                best = found
            if best is not None and len(best.kept) >= _SURE * len(best.scores):
                return best
    return best


def _follow(
    photo: Pyramid, landmarker: Landmarker, crop: Crop, cancelled: Callable[[], bool]
) -> _Sight | None:
    """Look, go to where the face is, look again; None where there is no face, or it cannot be pinned down."""
    before, moved = None, 1.0
    for number in range(MOST_ROUNDS):
        _stop_if(cancelled)
        points, scores = landmarker.judged(photo, crop)
        whole, good = _whole_face(points, scores >= landmarker.kind.least_score)
        if before is not None:
            size = max(float(np.linalg.norm(np.ptp(whole, axis=0))), 1e-9)
            moved = float(np.linalg.norm(points - before, axis=1)[good].mean() / size)
        if number + 1 >= ROUNDS and moved < _SETTLED or number + 1 == MOST_ROUNDS:
            break
        before = points
        crop = crop_of_points(whole, landmarker.kind, upright_angle(whole))
        if not 1 <= crop.side <= _WIDEST * max(photo.width, photo.height):
            return None
    if moved > _LOST:
        return None
    sight = _sight(points, scores, crop, landmarker.kind, moved, photo)
    return sight if sight.kept else None


def _whole_face(
    points: Floats, seen: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:  # (68, 2), (68,)
    """(68, 2) points that say where the whole face is, and which of them were really seen there. The mean face stands
    in for those that were hardly seen, or far from the others. All as they are where too few were seen."""
    if seen.sum() >= FEWEST_LANDMARKS:
        mean, away = _mean_face(points, seen)
        good = seen & (away < STRAY)
        if good.sum() >= FEWEST_LANDMARKS:
            return np.where(good[:, None], points, mean), good
    return np.asarray(points), np.ones(len(points), bool)


def _mean_face(
    points: Floats, seen: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """(68, 2) the mean face laid over the points that were seen, and (68,) how far all lie from it, of its size."""
    view = pose(_listed(points, seen))
    mean = MEAN_FACE @ view[:, :3].T + view[:, 3]
    size = max(float(np.linalg.norm(np.ptp(mean, axis=0))), 1e-9)
    return mean, np.linalg.norm(points - mean, axis=1) / size


def _listed(points: Floats, chosen: npt.NDArray[np.bool_]) -> Points:
    return {i: (float(points[i, 0]), float(points[i, 1])) for i in np.flatnonzero(chosen).tolist()}


def _sight(
    points: Floats, scores: Floats, crop: Crop, kind: LandmarkKind, moved: float, photo: Pyramid
) -> _Sight:
    """What of a look is kept: scored, on the photo, where a face has it. Nothing, if all of it is no face."""
    seen = ((points >= 0) & (points <= [photo.width, photo.height])).all(axis=1) & (scores >= kind.least_score)
    kept: Points = {}
    if seen.sum() >= FEWEST_LANDMARKS and np.ptp(points[seen], axis=0).max() > 1e-6:
        _, away = _mean_face(points, seen)
        if float(np.median(away[seen])) < _LOOSE:
            kept = _listed(points, seen & (away < STRAY))
    is_face = len(kept) >= FEWEST_LANDMARKS and turned(kept) >= MIRRORED
    return _Sight(points, scores, crop, moved, kept if is_face else {})


def _stop_if(cancelled: Callable[[], bool]) -> None:
    if cancelled():
        raise Cancelled
