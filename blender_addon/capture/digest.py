# SPDX-License-Identifier: GPL-3.0-or-later
"""A fingerprint of everything that a picture depends on, so that a resumed capture trusts only matching pictures."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import attrs
import bpy
import numpy as np
import numpy.typing as npt

from .._interchange import cameras, mesh

_SKIPPED = frozenset(("name", "name_full", "users", "session_uid", "is_evaluated", "select", "location", "width",
                      "height", "location_absolute", "show_expanded", "is_library_indirect", "tag"))  # fmt: skip
_UNSTEADY = frozenset(("select", "frame_current"))
_NESTED = ("color_ramp", "elements", "mapping", "curves", "points", "image_user", "texture_mapping", "color_mapping")
"""Parts of a node that shape what it gives: its colour ramp, its curves, how it looks its picture up."""
_SURFACES = ("MESH", "CURVE", "SURFACE", "FONT", "META")
LIT_BY = (*_SURFACES, "LIGHT", "CURVES", "POINTCLOUD", "VOLUME")
"""Types of objects that light, shade or mirror in an avatar."""
_RAYS = ("visible_diffuse", "visible_glossy", "visible_transmission", "visible_volume_scatter", "visible_shadow")
_MATERIAL = ("use_nodes", "diffuse_color", "displacement_method", "surface_render_method", "use_backface_culling")


class Fingerprint:
    """SHA-256 over arrays, plain values, shaders and lights, in the order in which they are added.

    pictures: digests of images that are known already, by their session's id; fingerprints of one capture share them.
    frame: of the timeline, which films and sequences follow.
    """

    def __init__(self, pictures: dict[int, str] | None = None, frame: int = 0) -> None:
        self._hash = hashlib.sha256()
        self._pictures, self._frame = {} if pictures is None else pictures, frame

    def add(self, value: Any) -> None:
        """Anything that JSON knows."""
        self._hash.update(json.dumps(value, sort_keys=True).encode())

    def add_array(self, array: npt.NDArray) -> None:
        """An array with its type and shape."""
        self.add([str(array.dtype), list(array.shape)])
        self._hash.update(np.ascontiguousarray(array).tobytes())

    def add_mesh(self, captured: mesh.Mesh) -> None:
        """All arrays of a captured mesh."""
        for field in attrs.fields(mesh.Mesh):
            self.add_array(getattr(captured, field.name))

    def add_object(self, item: Any, depsgraph: Any) -> None:
        """Where an object is, as evaluated, its form and materials, and, if it is a light, how it shines."""
        self.add([item.name, item.hide_render, [getattr(item, name, None) for name in _RAYS]])
        evaluated = item.evaluated_get(depsgraph)
        self.add_array(np.array(evaluated.matrix_world))
        if item.hide_render:
            return
        if item.type == "LIGHT":
            self.add(_values(item.data))
            self.add_nodes(item.data.node_tree)
        if item.type in _SURFACES:
            self._add_form(evaluated)
        self.add_materials(slot.material for slot in item.material_slots)
        if item.instance_collection is not None:
            for inner in sorted(item.instance_collection.all_objects, key=lambda o: o.name):
                if inner.type in LIT_BY:
                    self.add_object(inner, depsgraph)

    def _add_form(self, evaluated: Any) -> None:
        data = evaluated.to_mesh()
        if data is None:  # a curve without width
            return
        try:
            places = np.empty(len(data.vertices) * 3, np.float32)
            data.vertices.foreach_get("co", places)
            self.add_array(places)
            self.add([len(data.polygons)])
        finally:
            evaluated.to_mesh_clear()

    def add_materials(self, materials: Iterable[Any]) -> None:
        """Materials with their shaders; None for an empty slot."""
        for material in materials:
            self.add(None if material is None else _values(material, only=_MATERIAL))
            if material is not None:
                self.add_nodes(material.node_tree)

    def add_world(self, world: Any | None) -> None:
        """What is around everything."""
        if world is not None:
            self.add(_values(world, only=("use_nodes", "color")))
            self.add_nodes(world.node_tree)

    def add_nodes(self, tree: Any | None) -> None:
        """A shader's nodes, values, pictures and links, those of its groups too."""
        if tree is None:
            return
        for node in tree.nodes:
            inputs = [_plain(getattr(socket, "default_value", None)) for socket in node.inputs]
            outputs = [_plain(getattr(socket, "default_value", None)) for socket in node.outputs]  # RGB, Value
            self.add([node.name, node.type, _values(node), _nested(node), inputs, outputs])
            self._add_picture(getattr(node, "image", None))
            other = getattr(node, "object", None)  # whose axes a texture lies in
            if other is not None:
                self.add_array(np.array(other.matrix_world))
            if node.type == "GROUP":
                self.add_nodes(node.node_tree)
        for link in tree.links:
            self.add([link.from_node.name, link.from_socket.name, link.to_node.name, link.to_socket.identifier])

    def _add_picture(self, image: Any | None) -> None:
        if image is None:
            return
        if image.session_uid not in self._pictures:
            self._pictures[image.session_uid] = _digest_of_picture(image)
        moving = self._frame if image.source in ("SEQUENCE", "MOVIE") else None
        self.add([self._pictures[image.session_uid], image.colorspace_settings.name, image.alpha_mode, moving])

    def copy(self) -> Fingerprint:
        """A fingerprint of the same so far, to be added to on its own."""
        other = Fingerprint(self._pictures, self._frame)
        other._hash = self._hash.copy()
        return other

    def copy_with(self, camera: cameras.Camera) -> str:
        """The fingerprint of one view."""
        single = self._hash.copy()
        single.update(np.concatenate([camera.K.ravel(), camera.world_to_camera.ravel()]).tobytes())
        single.update(f"{camera.width} {camera.height}".encode())
        return single.hexdigest()

    def hexdigest(self) -> str:
        """The fingerprint so far."""
        return self._hash.hexdigest()


def _digest_of_picture(image: Any) -> str:
    """Of the file's bytes, which are read quickly; of the pixels where there is no file or they were painted on."""
    if image.is_dirty or image.source not in ("FILE", "SEQUENCE", "MOVIE", "TILED"):
        pixels = np.empty(len(image.pixels), np.float32)
        image.pixels.foreach_get(pixels)
        return hashlib.sha256(pixels.tobytes()).hexdigest()
    found = hashlib.sha256(image.source.encode())
    if image.packed_files:
        for packed in image.packed_files:
            found.update(packed.packed_file.data)
        return found.hexdigest()
    path = bpy.path.abspath(image.filepath, library=image.library)
    names = [path.replace("<UDIM>", str(tile.number)) for tile in image.tiles] if image.source == "TILED" else [path]
    for name in names:
        try:
            found.update(Path(name).read_bytes())
        except OSError:
            found.update(b"missing")
    return found.hexdigest()


def _nested(block: Any) -> dict[str, Any]:
    """Plain properties of the parts of a node that `_NESTED` names, and of their parts."""
    found: dict[str, Any] = {}
    for name in _NESTED:
        prop = block.bl_rna.properties.get(name)
        value = getattr(block, name, None)
        if prop is None or value is None or prop.type not in ("POINTER", "COLLECTION"):
            continue
        parts = [value] if prop.type == "POINTER" else list(value)
        found[name] = [[_values(part, _UNSTEADY), _nested(part)] for part in parts]
    return found


def _values(block: Any, skipped: frozenset[str] = _SKIPPED, only: tuple[str, ...] | None = None) -> dict[str, Any]:
    """The plain properties of a data-block or node."""
    values = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Blender warns of what it will drop; it counts until then
        for prop in block.bl_rna.properties:
            wanted = prop.identifier not in skipped if only is None else prop.identifier in only
            if wanted and prop.type in ("BOOLEAN", "INT", "FLOAT", "STRING", "ENUM"):
                values[prop.identifier] = _plain(getattr(block, prop.identifier, None))
    return values


def _plain(value: Any) -> Any:
    if isinstance(value, (bool, int, float, str)) or value is None:
        return value
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    try:
        return [float(v) for v in value]
    except (TypeError, ValueError):
        return None
