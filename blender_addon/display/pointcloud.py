# SPDX-License-Identifier: GPL-3.0-or-later
"""Splats as a POINTCLOUD object, with the attribute names that Blender 5.3 uses for its own splats, and back.

position FLOAT_VECTOR, scale FLOAT_VECTOR (linear), rotation QUATERNION (wxyz, normalised), radiance:base FLOAT_COLOR
(f_dc and opacity 0..1), radiance:sh_0.. FLOAT_VECTOR (coefficient k of red, green, blue). All of it stays in the splat
frame; the object's matrix carries the rotation to Blender's world. `radius` and `display_color` are only for looking.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy
import numpy as np
import numpy.typing as npt
from mathutils import Matrix

from .. import compat
from .._interchange import cameras, colour, errors, splats
from .materials import point_material

BASE, SH, COLOUR = "radiance:base", "radiance:sh_{}", "display_color"
_ANTIALIASED = "digidouble_antialiased"
_MARK = "digidouble_splats"

_WIDTH = {"FLOAT": ("value", 1), "FLOAT_VECTOR": ("vector", 3), "QUATERNION": ("value", 4), "FLOAT_COLOR": ("color", 4)}


def splat_attributes(cloud: splats.SplatCloud) -> dict[str, tuple[str, npt.NDArray[np.float32]]]:
    """Attribute name -> (Blender type, (N, C) float32 values) of a cloud."""
    norm = np.linalg.norm(cloud.quats_wxyz, axis=1, keepdims=True)
    still = np.array([1, 0, 0, 0], np.float32)
    base = np.concatenate([cloud.sh[:, 0], cloud.opacities[:, None]], axis=1)
    found: dict[str, tuple[str, npt.NDArray[np.float32]]] = {
        "position": ("FLOAT_VECTOR", cloud.means),
        "scale": ("FLOAT_VECTOR", cloud.scales),
        "rotation": ("QUATERNION", np.where(norm > 0, cloud.quats_wxyz / np.maximum(norm, 1e-30), still)),
        BASE: ("FLOAT_COLOR", base),
    }
    for k in range(cloud.sh.shape[1] - 1):
        found[SH.format(k)] = ("FLOAT_VECTOR", cloud.sh[:, k + 1])
    found["radius"] = ("FLOAT", display_radius(cloud)[:, None])
    found[COLOUR] = ("FLOAT_COLOR", display_colour(cloud))
    return found


def display_colour(cloud: splats.SplatCloud) -> npt.NDArray[np.float32]:
    """(N, 4) scene-linear colour of the constant SH band (which is sRGB), and opacity."""
    encoded = np.clip(0.5 + splats.SH_C0 * cloud.sh[:, 0], 0, 1)
    return np.concatenate([colour.linear_from_srgb(encoded), cloud.opacities[:, None]], axis=1).astype(np.float32)


def display_radius(cloud: splats.SplatCloud) -> npt.NDArray[np.float32]:
    """(N,) of the balls that stand for splats: the geometric mean of the two larger axes, smaller where fainter."""
    axes = np.sort(cloud.log_scales, axis=1)[:, 1:].mean(axis=1)
    return (np.exp(axes) * np.cbrt(cloud.opacities)).astype(np.float32)


def import_splats(path: Path | str, scene: Any, name: str = "double") -> Any:
    """Read a splat file of any kind and link it to the scene as a point cloud object, without splats that hold NaN.

    Raises InputError if the file is none, or if nothing in it is usable.
    """
    cloud = splats.read_splats(path)
    return add_splats(cloud.subset(cloud.finite()), scene, name)


def add_splats(cloud: splats.SplatCloud, scene: Any, name: str = "double") -> Any:
    """Link a cloud to the scene as a new POINTCLOUD object that shows coloured points."""
    data = compat.new_point_cloud(name, len(cloud))
    data.name = name
    for attribute, (kind, values) in splat_attributes(cloud).items():
        _write(data, attribute, kind, values)
    data.materials.append(point_material())
    item = bpy.data.objects.new(name, data)
    matrix = np.eye(4)
    matrix[:3, :3] = cameras.SPLAT_FROM_BLENDER.T
    item.matrix_world = Matrix(matrix.tolist())
    item[_ANTIALIASED], item[_MARK] = cloud.antialiased, cloud.degree
    scene.collection.objects.link(item)
    return item


def read_back(item: Any) -> splats.SplatCloud:
    """The cloud that a splat object holds, in the splat frame (its object matrix is not applied).

    Raises InputError that names the missing attributes if it is no splat object. Scales and opacities pass through
    their logarithm and logit, equal to float32 precision; opacities that had become 0 or 1 stay at +-16.
    """
    data = item.data
    attributes = data.attributes if item.type == "POINTCLOUD" else {}
    missing = [name for name in ("position", "scale", "rotation", BASE) if name not in attributes]
    if missing:
        raise errors.InputError(
            f"The object {item.name!r} is no splat cloud: it lacks {', '.join(missing)}.", "Import a splat PLY."
        )
    base = read_attribute(data, BASE).astype(np.float64)
    higher: list[npt.NDArray[np.float32]] = []
    while SH.format(len(higher)) in attributes:
        higher.append(read_attribute(data, SH.format(len(higher))))
    opacity = np.clip(base[:, 3], 1e-7, 1 - 1e-7)
    return splats.SplatCloud(
        read_attribute(data, "position"),
        np.log(np.maximum(read_attribute(data, "scale").astype(np.float64), 1e-30)),
        read_attribute(data, "rotation"),
        np.log(opacity / (1 - opacity)),
        np.stack([base[:, :3], *higher], axis=1),
        bool(item.get(_ANTIALIASED, False)),
    )


def read_attribute(data: Any, name: str) -> npt.NDArray[np.float32]:
    """(N, C) float32 values of a point attribute."""
    attribute = data.attributes[name]
    field, width = _WIDTH[attribute.data_type]
    flat = np.empty(len(attribute.data) * width, np.float32)
    attribute.data.foreach_get(field, flat)
    return flat.reshape(-1, width)


def _write(data: Any, name: str, kind: str, values: npt.NDArray) -> None:
    attribute = data.attributes.get(name)
    if attribute is None:
        attribute = data.attributes.new(name, kind, "POINT")
    attribute.data.foreach_set(_WIDTH[kind][0], np.ascontiguousarray(values, np.float32).ravel())
