# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with the points on a photo, in words, before a job is sent. No bpy.

The first three are the backend's own rules. It judges strays by the avatar's shape; here the mean face stands in, so a
stray is only a remark.
"""

from __future__ import annotations

from .._interchange import landmarks, mean_face
from .scheme import name_of

_STRAY = 0.2  # of the face's size
_SMALLEST_FACE = 40  # pixels
_GOOD_FACE = 150


def problem_of(photo: str, points: landmarks.Points, width: int, height: int) -> str | None:
    """The sentence for what the backend would refuse, or None."""
    if not points:
        return f"{photo} has no landmarks yet."
    if len(points) < landmarks.FEWEST_LANDMARKS:
        return f"{photo} has {len(points)} of at least {landmarks.FEWEST_LANDMARKS} landmarks."
    if stray := landmarks.outside(points, width, height):
        return f"{landmarks.listed(stray)} outside {photo} ({width} x {height} pixels)."
    if (size := mean_face.face_size(points)) < _SMALLEST_FACE:
        return f"The landmarks of {photo} span only {size:.0f} pixels: too few to take a face from."
    if mean_face.turned(points) < mean_face.MIRRORED:
        return f"The landmarks of {photo} are mirrored: the performer's right side must be at the picture's left."
    return None


def remark_of(photo: str, points: landmarks.Points) -> str | None:
    """The sentence for what looks odd but can be sent, or None. Ask only where `problem_of` finds nothing."""
    strays = [i for i, distance in mean_face.misfit(points).items() if distance > _STRAY]
    if strays:
        return f"Look at {photo} again: point {strays[0]} ({name_of(strays[0])}) is far from where a face has it."
    if (size := mean_face.face_size(points)) < _GOOD_FACE:
        return f"The face in {photo} is only {size:.0f} pixels large: a larger photo gives more detail."
    return None
