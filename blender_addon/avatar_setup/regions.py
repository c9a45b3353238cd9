# SPDX-License-Identifier: GPL-3.0-or-later
"""Regions as vertex groups of the head, which weight paint can edit and the capture reads."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from .._interchange import errors
from . import fill, meshes, region
from .landmarks import COUNT
from .vertex_marks import ids_of

Array = npt.NDArray[Any]


def from_landmarks(head: Any) -> None:
    """Write the vertex groups region_face, region_lips and region_brows from the head's landmarks.

    Landmarks that are missing are guessed for this, and not kept. Raises InputError if too few are known.
    """
    vertices, normals = meshes.read(head)
    known = {i: v for i, v in enumerate(ids_of(head)) if v >= 0}
    ids = np.array([known[i] for i in range(COUNT)]) if len(known) == COUNT else fill.complete(known, vertices, normals)
    for name, weights in region.regions(ids, vertices, normals).items():
        write(head, name, weights)


def add_missing(head: Any) -> None:
    """The same, for a head that has no face region yet."""
    if not has(head, "region_face"):
        from_landmarks(head)


def write(head: Any, name: str, weights: Array) -> None:
    """A vertex group with these weights (V,); an attribute of the same name, which would hide it, is removed."""
    if head.data.library is not None:
        raise errors.InputError(f"The mesh of {head.name!r} is linked from another file.", "Make it local first.")
    attribute = head.data.attributes.get(name)
    if attribute is not None:
        head.data.attributes.remove(attribute)
    group = head.vertex_groups.get(name)
    if group is not None:
        head.vertex_groups.remove(group)
    group = head.vertex_groups.new(name=name)
    levels = np.rint(np.clip(weights, 0, 1) * 1000).astype(int)
    for level in np.unique(levels[levels > 0]):
        group.add(np.flatnonzero(levels == level).tolist(), level / 1000, "REPLACE")


def ready_to_paint(head: Any, name: str) -> Any:
    """The vertex group of a region: made from the attribute that sample avatars have, or empty."""
    attribute = head.data.attributes.get(name)
    if attribute is not None and attribute.domain == "POINT" and attribute.data_type == "FLOAT":
        write(head, name, meshes.get(attribute.data, "value", 1)[:, 0])
    elif name not in head.vertex_groups:
        write(head, name, np.zeros(len(head.data.vertices)))
    return head.vertex_groups[name]


def has(head: Any, name: str) -> bool:
    """Whether the head has such a region, painted or as an attribute."""
    return name in head.vertex_groups or name in head.data.attributes
