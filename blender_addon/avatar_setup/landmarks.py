# SPDX-License-Identifier: GPL-3.0-or-later
"""The 68 landmarks: their names, mirror partners, and which of them an artist is asked for. No bpy.

iBUG / Multi-PIE order. "Right" is the character's right, x < 0 in the avatar's own axes, left in a picture of it.
"""

from __future__ import annotations

COUNT = 68

PARTNER = (
    *range(16, -1, -1), *range(26, 16, -1), 27, 28, 29, 30, 35, 34, 33, 32, 31, 45, 44, 43, 42, 47, 46, 39, 38, 37, 36,
    41, 40, *range(54, 47, -1), *range(59, 54, -1), *range(64, 59, -1), 67, 66, 65,
)  # fmt: skip
"""The landmark on the other side of the face; itself on the midline."""

QUICK = (30, 36, 45, 48, 54)
"""Five points that a face can be guessed from."""

NORMAL = (30, 36, 45, 39, 42, 48, 54, 51, 8, 0, 16, 4, 12, 19, 24)
"""Fifteen points from which the rest follows closely; partners come after one another so that they can be mirrored."""

_GROUPS = (
    (range(0, 17), "Jaw line"), (range(17, 22), "Right eyebrow"), (range(22, 27), "Left eyebrow"),
    (range(27, 31), "Nose bridge"), (range(31, 36), "Nose base"), (range(36, 42), "Right eye"),
    (range(42, 48), "Left eye"), (range(48, 60), "Lip outline"), (range(60, 68), "Lip seam"),
)  # fmt: skip
_NAMES = {
    0: "Right ear, where the jaw line begins", 16: "Left ear, where the jaw line begins",
    4: "Corner of the jaw, right", 12: "Corner of the jaw, left", 8: "Chin, lowest point",
    17: "Right eyebrow, outer end", 19: "Right eyebrow, top of the arch", 21: "Right eyebrow, inner end",
    22: "Left eyebrow, inner end", 24: "Left eyebrow, top of the arch", 26: "Left eyebrow, outer end",
    27: "Nose, between the eyes", 30: "Tip of the nose", 31: "Right wing of the nose", 33: "Below the nose, middle",
    35: "Left wing of the nose", 36: "Outer corner of the right eye", 39: "Inner corner of the right eye",
    42: "Inner corner of the left eye", 45: "Outer corner of the left eye", 48: "Right corner of the mouth",
    51: "Upper lip, middle of its upper edge", 54: "Left corner of the mouth",
    57: "Lower lip, middle of its lower edge",
    62: "Upper lip, middle of the seam", 66: "Lower lip, middle of the seam",
}  # fmt: skip


def name_of(index: int) -> str:
    """What an artist calls landmark `index` (0..67); right and left are the character's."""
    if index in _NAMES:
        return _NAMES[index]
    for members, group in _GROUPS:
        if index in members:
            return f"{group}, point {index - members.start + 1} of {len(members)}"
    raise IndexError(index)


def chains() -> tuple[tuple[int, ...], ...]:
    """Landmarks that a drawing joins by lines, closed ones with their first point at the end."""
    return (
        tuple(range(17)), tuple(range(17, 22)), tuple(range(22, 27)), tuple(range(27, 31)), tuple(range(31, 36)),
        (*range(36, 42), 36), (*range(42, 48), 42), (*range(48, 60), 48), (*range(60, 68), 60),
    )  # fmt: skip
