# SPDX-License-Identifier: GPL-3.0-or-later
"""Point attributes of a point cloud as arrays, whole and quick; and clouds of some of another's points."""

from __future__ import annotations

from typing import Any

import bpy
import numpy as np
import numpy.typing as npt

from .. import compat

Array = npt.NDArray[Any]
Attributes = dict[str, tuple[str, Array]]
"""Name -> (Blender type, (N,) or (N, C) values)."""

_FORM: dict[str, tuple[str, int, type]] = {  # Blender's type -> its field, width, numpy's type
    "FLOAT": ("value", 1, np.float32),
    "INT": ("value", 1, np.int32),
    "BOOLEAN": ("value", 1, np.bool_),
    "FLOAT_VECTOR": ("vector", 3, np.float32),
    "QUATERNION": ("value", 4, np.float32),
    "FLOAT_COLOR": ("color", 4, np.float32),
}


def read_attribute(data: Any, name: str) -> Array:
    """(N, C) values of a point attribute; (N, 1) of numbers. KeyError if there is none of this name."""
    attribute = data.attributes[name]
    field, width, kind = _FORM[attribute.data_type]
    flat: Array = np.empty(len(attribute.data) * width, kind)
    attribute.data.foreach_get(field, flat)
    return flat.reshape(-1, width)


def write_attribute(data: Any, name: str, kind: str, values: Array) -> None:
    """Set a point attribute of Blender's type `kind`, made if it is not there. values: (N,) or (N, C)."""
    attribute = data.attributes.get(name)
    if attribute is not None and attribute.data_type != kind:
        data.attributes.remove(attribute)
        attribute = None
    if attribute is None:
        attribute = data.attributes.new(name, kind, "POINT")
    field, _, form = _FORM[kind]
    attribute.data.foreach_set(field, np.ascontiguousarray(values, form).ravel())


def remove_attributes(data: Any, names: tuple[str, ...]) -> None:
    """Take away those that are there."""
    for name in names:
        attribute = data.attributes.get(name)
        if attribute is not None:
            data.attributes.remove(attribute)


def subset(data: Any, keep: Array) -> Any:
    """A new point cloud data-block with the points of `keep` ((N,) bool or indices), all attributes and materials."""
    name = data.name
    stored = {
        item.name: (item.data_type, read_attribute(data, item.name)[keep])
        for item in data.attributes
        if item.domain == "POINT" and item.data_type in _FORM
    }
    count = len(stored["position"][1])
    result = compat.new_point_cloud(name, count)
    for attribute, (kind, values) in stored.items():
        write_attribute(result, attribute, kind, values)
    for material in data.materials:
        result.materials.append(material)
    return result


def keep_points(item: Any, keep: Array) -> None:
    """Drop the points of an object that are not in `keep`; objects that share its data are not touched."""
    old = item.data
    name = old.name
    item.data = subset(old, keep)
    if old.users == 0:
        bpy.data.pointclouds.remove(old)
        item.data.name = name
