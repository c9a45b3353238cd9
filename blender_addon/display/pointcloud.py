# SPDX-License-Identifier: GPL-3.0-or-later
"""Splats as a POINTCLOUD object, with the attribute names that Blender 5.3 uses for its own splats, and back.

position FLOAT_VECTOR, scale FLOAT_VECTOR (linear), rotation QUATERNION (wxyz, normalised), radiance:base FLOAT_COLOR
(f_dc and opacity 0..1), radiance:sh_0.. FLOAT_VECTOR (coefficient k of red, green, blue). All of it stays in the splat
frame; the object's matrix carries the rotation to Blender's world. `radius` and `display_color` are only for looking.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bpy
import numpy as np
import numpy.typing as npt
from mathutils import Matrix

from .. import compat
from .._interchange import cameras, colour, errors, splats
from ..capture.restore import Gone, finder
from ..steps import Steps, at_once
from .attributes import Attributes, read_attribute, write_attribute
from .materials import point_material

BASE, SH, COLOUR = "radiance:base", "radiance:sh_{}", "display_color"
ANTIALIASED, MARK = "digidouble_antialiased", "digidouble_splats"
"""Properties of a splat object: how it was trained; that it is one (its SH degree)."""
_NEEDED = ("position", "scale", "rotation", BASE)
_IS_UNIT = 1e-6  # off the square of a length that is 1 but for rounding
_STEPS = 4096  # of the display colours, which are only looked at


def splat_attributes(cloud: splats.SplatCloud) -> Attributes:
    """Attribute name -> (Blender type, (N, C) float32 values) of a cloud. No bpy: it may run in a thread.

    Exponentials are taken in double precision, so that the logarithm on the way back finds the file's own number:
    export, import, export gives the same bytes. Quaternions that are of unit length already are left alone, likewise.
    """
    opacity = 1 / (1 + np.exp(-np.maximum(cloud.opacity_logits.astype(np.float64), -700.0)))
    base = np.concatenate([cloud.sh[:, 0], opacity[:, None].astype(np.float32)], axis=1)
    found: Attributes = {
        "position": ("FLOAT_VECTOR", cloud.means),
        "scale": ("FLOAT_VECTOR", np.exp(cloud.log_scales.astype(np.float64)).astype(np.float32)),
        "rotation": ("QUATERNION", _unit(cloud.quats_wxyz)),
        BASE: ("FLOAT_COLOR", base),
    }
    for k in range(cloud.sh.shape[1] - 1):
        found[SH.format(k)] = ("FLOAT_VECTOR", np.ascontiguousarray(cloud.sh[:, k + 1]))
    found["radius"] = ("FLOAT", display_radius(found["scale"][1], base[:, 3])[:, None])
    found[COLOUR] = ("FLOAT_COLOR", colour_of_base(base))
    return found


def _unit(quats: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    squared = np.einsum("ij,ij->i", quats, quats)
    if (np.abs(squared - 1) < _IS_UNIT).all():
        return quats
    quats = quats.astype(np.float64)
    norm = np.sqrt(np.einsum("ij,ij->i", quats, quats))[:, None]
    turned = np.where(norm > 0, quats / np.maximum(norm, 1e-300), [1.0, 0.0, 0.0, 0.0])
    return np.where(np.abs(norm - 1) < _IS_UNIT / 2, quats, turned).astype(np.float32)


def colour_of_base(base: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """(N, 4) scene-linear colour of the constant SH band (which is sRGB), and opacity, of `radiance:base` (N, 4)."""
    result = base.copy()
    encoded = np.clip(np.float32(0.5) + np.float32(splats.SH_C0) * base[:, :3], 0, 1)
    steps = np.arange(_STEPS, dtype=np.float32) / (_STEPS - 1)
    result[:, :3] = colour.linear_from_srgb(steps)[np.rint(encoded * (_STEPS - 1)).astype(np.int32)]
    return result


def display_radius(scales: npt.NDArray, opacities: npt.NDArray) -> npt.NDArray[np.float32]:  # (N, 3), (N,)
    """(N,) of the balls that stand for splats: the geometric mean of the two larger axes, smaller where fainter."""
    product = scales.prod(axis=1) / np.maximum(scales.min(axis=1), 1e-30)
    return np.asarray(np.sqrt(product) * np.cbrt(opacities), np.float32)


def import_splats(path: Path | str, scene: Any, name: str = "double") -> Any:
    """Read a splat file of any kind and link it to the scene as a point cloud object, without splats that hold NaN.

    Raises InputError if the file is none, or if nothing in it is usable.
    """
    cloud = splats.read_splats(path)
    return add_splats(cloud.subset(cloud.finite()), scene, name)


def add_splats(cloud: splats.SplatCloud, scene: Any, name: str = "double") -> Any:
    """Link a cloud to the scene as a new POINTCLOUD object that shows coloured points."""
    item = new_object(at_once(new_data(name, splat_attributes(cloud)))(), name, cloud)
    scene.collection.objects.link(item)
    return item


def new_data(name: str, attributes: Attributes) -> Steps[Callable[[], Any]]:
    """A new point cloud data-block with these attributes, one a step; returns what finds it (it may raise Gone).

    It belongs to no object, so that a file that is saved meanwhile does not hold it; it is removed if it is not to be
    finished.
    """
    data = compat.new_point_cloud(name, len(attributes["position"][1]))
    data.name = name
    find = finder(data)
    try:
        for attribute, (kind, values) in attributes.items():
            yield None
            write_attribute(find(), attribute, kind, values)
        find().update_tag()
    except BaseException:
        with contextlib.suppress(Gone, ReferenceError):
            bpy.data.pointclouds.remove(find())
        raise
    return find


def new_object(data: Any, name: str, cloud: splats.SplatCloud) -> Any:
    """An object, not in any scene yet, that shows the data of a cloud as coloured points where it was captured."""
    data.materials.append(point_material())
    item = bpy.data.objects.new(name, data)
    item.matrix_world = resting_matrix()
    item[ANTIALIASED], item[MARK] = cloud.antialiased, cloud.degree
    return item


def resting_matrix() -> Matrix:
    """The object matrix of a double that stands where it was captured: the splat frame in Blender's world."""
    matrix = np.eye(4)
    matrix[:3, :3] = cameras.SPLAT_FROM_BLENDER.T
    return Matrix(matrix.tolist())


def write_cloud(data: Any, cloud: splats.SplatCloud) -> None:
    """Give a point cloud data-block the attributes of a cloud with as many splats."""
    for attribute, (kind, values) in splat_attributes(cloud).items():
        write_attribute(data, attribute, kind, values)
    data.update_tag()


def is_double(item: Any) -> bool:
    """Whether an object is a splat cloud: ours, or anyone's with the attributes."""
    return item is not None and item.type == "POINTCLOUD" and all(name in item.data.attributes for name in _NEEDED)


def cloud_degree(item: Any) -> int:
    """SH degree 0..3 of a splat object's attributes."""
    count = 0
    while SH.format(count) in item.data.attributes:
        count += 1
    return next(degree for degree in (3, 2, 1, 0) if count >= (degree + 1) ** 2 - 1)


def read_back(item: Any) -> splats.SplatCloud:
    """The cloud that a splat object holds, in the splat frame (its object matrix is not applied).

    Raises InputError that names the missing attributes if it is no splat object. Scales and opacities pass through
    their logarithm and logit, equal to float32 precision; opacities that had become 0 or 1 come back as -69 and 16.6.
    """
    data = item.data
    attributes = data.attributes if item.type == "POINTCLOUD" else {}
    missing = [name for name in _NEEDED if name not in attributes]
    if missing:
        raise errors.InputError(
            f"The object {item.name!r} is no splat cloud: it lacks {', '.join(missing)}.", "Import a splat PLY."
        )
    base = read_attribute(data, BASE).astype(np.float64)
    higher = [read_attribute(data, SH.format(k)) for k in range((cloud_degree(item) + 1) ** 2 - 1)]
    opacity = np.clip(base[:, 3], 1e-30, 1 - 2.0**-24)
    return splats.SplatCloud(
        read_attribute(data, "position"),
        np.log(np.maximum(read_attribute(data, "scale").astype(np.float64), 1e-30)),
        read_attribute(data, "rotation"),
        np.log(opacity / (1 - opacity)),
        np.stack([base[:, :3], *higher], axis=1),
        bool(item.get(ANTIALIASED, False)),
    )
