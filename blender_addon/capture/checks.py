# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether an avatar's geometry can be worked with, asked before anything is rendered. No bpy."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from .._interchange import errors

Array = npt.NDArray[Any]

FEWEST_LANDMARKS = 5
_PAIRS = np.array(  # landmarks on the character's right, and their partners on the left
    [(i, 16 - i) for i in range(8)] + [(17 + i, 26 - i) for i in range(5)] + [(36, 45), (39, 42), (48, 54)]
)
_SMALLEST_UV_AREA = 1e-6  # of the unit square: a mesh whose UVs all lie in one point or on a line


def check_numbers(name: str, vertices: Array, face_uvs: Array) -> None:  # (V, 3), (F, 3, 2)
    """Raises InputError if the mesh `name` has vertices or UVs that are NaN or infinite."""
    lost = int((~np.isfinite(vertices).all(axis=1)).sum())
    if lost:
        raise errors.InputError(
            f"The mesh {name!r} has {lost} vertices whose place is not a number.",
            "Delete them, or look for a modifier, driver or shape key that breaks them.",
        )
    if not np.isfinite(face_uvs).all():
        raise errors.InputError(f"The UV map of {name!r} has coordinates that are not numbers.", "Unwrap it again.")


def check_unwrapped(name: str, face_uvs: Array) -> None:  # (F, 3, 2)
    """Raises InputError if all UVs lie in one point or on a line, as in a UV map that was added but never unwrapped."""
    a, b = (face_uvs[:, 1] - face_uvs[:, 0]).T, (face_uvs[:, 2] - face_uvs[:, 0]).T
    if np.abs(a[0] * b[1] - a[1] * b[0]).sum() / 2 < _SMALLEST_UV_AREA:
        raise errors.InputError(
            f"The UV map of {name!r} covers no area.", "Unwrap it (UV > Smart UV Project does) and try again."
        )


def check_landmarks(name: str, ids: Array, rest_vertices: Array) -> None:  # (68,), (V, 3) in the avatar's own axes
    """Raises InputError unless at least five different vertices are marked, right ones on the right (x < 0)."""
    known = len(np.unique(ids[ids >= 0]))
    if known < FEWEST_LANDMARKS:
        raise errors.InputError(
            f"The head {name!r} has {known} different face landmarks; at least {FEWEST_LANDMARKS} are needed.",
            "Place the 68 landmarks on it, then capture again.",
        )
    pairs = ids[_PAIRS]
    pairs = pairs[(pairs >= 0).all(axis=1)]
    across = rest_vertices[pairs[:, 1], 0] - rest_vertices[pairs[:, 0], 0]
    if len(across) and across.mean() <= 0:
        raise errors.InputError(
            f"The landmarks of {name!r} lie mirrored: those of the character's right side are on its left.",
            "Exchange left and right ones, or turn the avatar's face towards -Y.",
        )
