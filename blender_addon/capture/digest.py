# SPDX-License-Identifier: GPL-3.0-or-later
"""A fingerprint of everything that a picture depends on, so that a resumed capture trusts only matching pictures."""

from __future__ import annotations

import hashlib
import json
import warnings
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from .._interchange import cameras, mesh

_SKIPPED = frozenset(("name", "name_full", "users", "session_uid", "is_evaluated", "select", "location", "width",
                      "height", "location_absolute", "show_expanded", "is_library_indirect", "tag"))  # fmt: skip


class Fingerprint:
    """SHA-256 over arrays, plain values, shaders and lights, in the order in which they are added."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()

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
        """Where an object is, as evaluated, and, if it is a light, how it shines."""
        self.add([item.name, item.hide_render])
        self.add_array(np.array(item.evaluated_get(depsgraph).matrix_world))
        if item.type == "LIGHT":
            self.add(_values(item.data))
            self.add_nodes(item.data.node_tree)

    def add_nodes(self, tree: Any | None) -> None:
        """A shader's nodes, values and links; images by name (their pixels are added as textures)."""
        if tree is None:
            return
        for node in tree.nodes:
            inputs = [_plain(getattr(socket, "default_value", None)) for socket in node.inputs]
            image = getattr(node, "image", None)
            self.add([node.name, node.type, _values(node), inputs, image.name if image else None])
        for link in tree.links:
            self.add([link.from_node.name, link.from_socket.name, link.to_node.name, link.to_socket.identifier])

    def copy(self) -> Fingerprint:
        """A fingerprint of the same so far, to be added to on its own."""
        other = Fingerprint()
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


def _values(block: Any) -> dict[str, Any]:
    """The plain properties of a data-block or node."""
    values = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Blender warns of what it will drop; it counts until then
        for prop in block.bl_rna.properties:
            if prop.identifier not in _SKIPPED and prop.type in ("BOOLEAN", "INT", "FLOAT", "STRING", "ENUM"):
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
