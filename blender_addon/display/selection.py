# SPDX-License-Identifier: GPL-3.0-or-later
"""Which splats: by place, by part of the avatar, by size and opacity; as masks, and kept on the cloud as `selected`."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from .._interchange import errors
from .attributes import read_attribute, write_attribute
from .binding import REGIONS
from .follow import REGION
from .modes import Look
from .pointcloud import BASE, COLOUR, colour_of_base

SELECTED = "selected"
_MARK = np.array([1.0, 0.25, 0.0])  # scene-linear orange
Mask = npt.NDArray[np.bool_]


def in_box(item: Any, box: Any) -> Mask:
    """(N,) splats whose middle lies in the cube -1..1 of an object."""
    return np.asarray((np.abs(_in_axes_of(item, box)) <= 1).all(axis=1))


def in_ball(item: Any, ball: Any) -> Mask:
    """(N,) splats whose middle lies in the unit ball of an object."""
    return np.asarray(np.linalg.norm(_in_axes_of(item, ball), axis=1) <= 1)


def in_region(item: Any, region: str) -> Mask:
    """(N,) splats that were born on a part of the avatar. InputError if the double does not know its avatar."""
    if REGION not in item.data.attributes:
        raise errors.InputError(
            "This double does not know which part of the avatar its splats belong to.", "Bind it to its avatar first."
        )
    return np.asarray(read_attribute(item.data, REGION)[:, 0] == REGIONS.index(region))


def faint(item: Any, opacity: float) -> Mask:
    """(N,) splats with less opacity."""
    return np.asarray(read_attribute(item.data, BASE)[:, 3] < opacity)


def large(item: Any, size: float) -> Mask:
    """(N,) splats with a standard deviation above `size` metres."""
    return np.asarray(read_attribute(item.data, "scale").max(axis=1) > size)


def shown(item: Any, look: Look) -> Mask:
    """(N,) splats that opacity, size and crop box leave; density is a matter of speed and does not count."""
    mask = ~faint(item, look.least_opacity)
    if look.largest > 0:
        mask &= ~large(item, look.largest)
    if look.box is not None:
        mask &= in_box(item, look.box)
    return mask


def selected(item: Any) -> Mask | None:
    """(N,) the selection; None where nothing is selected, which means all."""
    if SELECTED not in item.data.attributes:
        return None
    mask = read_attribute(item.data, SELECTED)[:, 0]
    return mask if mask.any() else None


def select(item: Any, mask: Mask) -> None:
    """Make this the selection, and tint its points."""
    write_attribute(item.data, SELECTED, "BOOLEAN", mask)
    repaint(item)


def repaint(item: Any) -> None:
    """The points' colours from the cloud's; selected ones in orange."""
    colours = colour_of_base(read_attribute(item.data, BASE))
    mask = selected(item)
    if mask is not None:
        colours[mask, :3] = 0.4 * colours[mask, :3] + 0.6 * _MARK
    write_attribute(item.data, COLOUR, "FLOAT_COLOR", colours)
    item.data.update_tag()


def _in_axes_of(item: Any, other: Any) -> npt.NDArray:
    matrix = np.array(other.matrix_world.inverted_safe() @ item.matrix_world, np.float64)
    return read_attribute(item.data, "position") @ matrix[:3, :3].T + matrix[:3, 3]
