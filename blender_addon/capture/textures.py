# SPDX-License-Identifier: GPL-3.0-or-later
"""The base colour of an object: the image behind its shader, or a constant."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import bpy
import numpy as np
import numpy.typing as npt

from .._interchange import colour, errors, png

_MISSING = (0.8, 0.8, 0.8)


@attrs.frozen(eq=False)
class Surface:
    """image: the Image Texture node's data-block or None; base_color: linear, of the shader without image."""

    image: Any | None
    node: Any | None
    base_color: list[float]


def surface_of(item: Any) -> Surface:
    """The first image that feeds a Base Color among the object's materials, else the first material's constant."""
    constant: list[float] | None = None
    for slot in item.material_slots:
        material = slot.material
        if material is None:
            continue
        found = _image_node(material)
        if found is not None:
            return Surface(found.image, found, list(_MISSING))
        if constant is None:
            constant = _constant(material)
    return Surface(None, None, constant or list(_MISSING))


def pictures_of(item: Any) -> list[Any]:
    """The different images behind the Base Color of the materials that a mesh's faces wear, in the order of its slots;
    `surface_of` gives the first one alone."""
    worn = np.zeros(len(item.data.polygons), np.int32)
    item.data.polygons.foreach_get("material_index", worn)
    found: list[Any] = []
    for index in np.unique(np.minimum(worn, len(item.material_slots) - 1)) if item.material_slots else ():
        material = item.material_slots[int(index)].material
        node = None if material is None else _image_node(material)
        if node is not None and node.image not in found:
            found.append(node.image)
    return found


def _shader(material: Any) -> Any | None:
    nodes = material.node_tree.nodes if material.node_tree is not None else ()
    return next((n for n in nodes if n.type == "BSDF_PRINCIPLED"), None)


def _image_node(material: Any) -> Any | None:
    """Walk from Base Color back against the links to the nearest Image Texture."""
    shader = _shader(material)
    queue = [shader.inputs["Base Color"]] if shader is not None else []
    seen: set[str] = set()
    while queue:
        for link in queue.pop(0).links:
            node = link.from_node
            if node.type == "TEX_IMAGE" and node.image is not None:
                return node
            if node.name not in seen:
                seen.add(node.name)
                queue.extend(node.inputs)
    return None


def _constant(material: Any) -> list[float]:
    shader = _shader(material)
    value = shader.inputs["Base Color"].default_value if shader is not None else material.diffuse_color
    return [float(v) for v in value[:3]]


def image_as_srgb(image: Any) -> npt.NDArray[np.uint8]:
    """(h, w, 3) 8-bit sRGB, row 0 = top, of an image data-block of any colour space.

    Blender hands out bytes as they are stored, and float images scene-linear. Raises InputError if it has no pixels.
    """
    if image.source == "TILED":
        raise errors.InputError(f"The image {image.name!r} has UDIM tiles.", "Bake it into one picture.")
    width, height = image.size
    if not width or not height:
        raise errors.InputError(
            f"The image {image.name!r} is missing.", "Use File > External Data > Find Missing Files."
        )
    flat = np.empty(width * height * image.channels, np.float32)
    image.pixels.foreach_get(flat)
    pixels = flat.reshape(height, width, image.channels)[::-1]
    pixels = np.repeat(pixels, 3, axis=-1) if image.channels == 1 else pixels[..., :3]
    if image.is_float or image.colorspace_settings.is_data:
        pixels = colour.srgb_from_linear(np.clip(pixels, 0, 1))
    return np.rint(np.clip(pixels, 0, 1) * 255).astype(np.uint8)


def load_skin(path: Path | str) -> Any:
    """Load a picture file as a new sRGB image data-block. Raises InputError if Blender cannot read it."""
    if not Path(path).is_file():
        raise errors.InputError(f"The skin image {path} is missing.", "Check its name.")
    try:
        image = bpy.data.images.load(str(Path(path).resolve()), check_existing=False)
    except RuntimeError as error:
        raise errors.InputError(f"The skin image {path} cannot be read.", "Give a PNG or JPEG.") from error
    if not image.size[0]:
        bpy.data.images.remove(image)
        raise errors.InputError(f"The skin image {path} cannot be read.", "Give a PNG or JPEG.")
    image.colorspace_settings.name = "sRGB"
    return image


def save_skin(head: Any, path: Path) -> Path:
    """Write a head's base colour image as PNG. Raises InputError if it has none or the file cannot be written."""
    image = surface_of(head).image
    if image is None:
        raise errors.InputError(f"The head {head.name!r} has no skin image.", "Wire one into Base Color.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        png.write_png(path, image_as_srgb(image))
    except OSError as error:
        raise errors.InputError(f"{path} cannot be written ({error.strerror}).", "Choose another place.") from error
    return path
