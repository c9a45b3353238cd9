# SPDX-License-Identifier: GPL-3.0-or-later
"""A deep snapshot of the open file: whatever a capture might have changed and must give back.

Every plain property of every data-block of the scene and of what lies in it (render and Cycles settings, view layers,
image formats, markers, modifiers, constraints, pose bones, shape keys, drivers, node trees), custom properties,
selection and visibility, the kinds and names of all data-blocks with their numbers of users, and the preferences that
a render window depends on. Two snapshots are compared with ==; `difference` says where they part.
"""

from __future__ import annotations

from typing import Any

import bpy
import numpy as np

_PLAIN = ("BOOLEAN", "INT", "FLOAT", "STRING", "ENUM")
_SKIPPED = {
    "is_updated", "is_updated_data", "use_nodes", "is_evaluated", "session_uid", "tag", "is_missing",
    "depsgraph", "filepath_raw", "frame_duration", "bindcode", "has_data", "is_dirty", "is_runtime_data",
    "frame_current_final", "bound_box", "dimensions", "is_unavailable", "enabled",  # worked out late
}  # fmt: skip
_DEPTH = 5


def snapshot() -> dict[str, Any]:
    """The state of the open file, evaluated."""
    bpy.context.view_layer.update()
    state: dict[str, Any] = {"blocks": _blocks()}
    for scene in bpy.data.scenes:
        state["scene", scene.name] = _struct(scene, _DEPTH)
        for layer in scene.view_layers:
            state["layer", scene.name, layer.name] = _layer(layer)
    for kind in ("objects", "cameras", "lights", "worlds", "materials", "armatures", "shape_keys", "actions", "images"):
        for block in getattr(bpy.data, kind):
            if kind != "images" or block.type != "RENDER_RESULT":
                state[kind, block.name] = _struct(block, _DEPTH)
    for mesh in bpy.data.meshes:
        state["mesh", mesh.name] = (len(mesh.vertices), len(mesh.polygons), sorted(a.name for a in mesh.attributes))
    window = bpy.context.window
    state["window"] = None if window is None else (window.scene.name, window.view_layer.name)
    state["mode"] = bpy.context.mode
    state["render window"] = bpy.context.preferences.view.render_display_type
    handlers = bpy.app.handlers
    state["handlers"] = {n: len(h) for n in dir(handlers) if isinstance(h := getattr(handlers, n), list)}
    return state


def difference(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """Paths of what is not the same."""
    return list(_differences("", before, after))


def _differences(path: str, a: Any, b: Any) -> Any:
    if isinstance(a, dict) and isinstance(b, dict):
        for key in a.keys() | b.keys():
            yield from _differences(f"{path}/{key}", a.get(key, "(absent)"), b.get(key, "(absent)"))
    elif isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        for number, (one, other) in enumerate(zip(a, b, strict=True)):
            yield from _differences(f"{path}/{number}", one, other)
    elif a != b:
        yield f"{path}: {a!r} -> {b!r}"


def _blocks() -> dict[str, Any]:
    """Names and users of all data-blocks by kind."""
    found = {}
    for prop in bpy.data.bl_rna.properties:
        if prop.type == "COLLECTION":
            blocks = getattr(bpy.data, prop.identifier)
            if prop.identifier == "images":  # Blender makes the Render Result at the first render
                blocks = [image for image in blocks if image.type != "RENDER_RESULT"]
            if prop.identifier not in ("window_managers", "workspaces", "screens", "libraries", "all_ids"):
                found[prop.identifier] = [(b.name_full, _users(b)) for b in blocks]
    return found


def _users(block: Any) -> int:
    """4.2 counts what is in a copied scene twice and takes it off once, its own Linked Copy too: left out there."""
    counted_wrong = bpy.app.version < (4, 3, 0) and block.id_type in ("OBJECT", "COLLECTION")
    return -1 if counted_wrong else block.users


def _layer(layer: Any) -> dict[str, Any]:
    active = layer.objects.active
    return {
        "active": active and active.name,
        "selected": sorted(item.name for item in layer.objects.selected),
        "hidden": sorted(item.name for item in layer.objects if item.hide_get(view_layer=layer)),
        "collections": _collections(layer.layer_collection),
    }


def _collections(item: Any) -> Any:
    flags = (item.exclude, item.hide_viewport, item.holdout, item.indirect_only)
    return item.name, flags, [_collections(child) for child in item.children]


def _struct(struct: Any, depth: int) -> Any:
    """All properties of a struct, those in it and custom ones; references to data-blocks by name."""
    if struct is None or depth == 0:
        return None
    state: dict[str, Any] = {}
    for prop in struct.bl_rna.properties:
        name = prop.identifier
        if name in _SKIPPED or name.startswith("bl_") or name == "rna_type":
            continue
        if name == "users":
            state[name] = _users(struct)
        elif prop.type in _PLAIN:
            state[name] = _plain(getattr(struct, name))
        elif prop.type == "POINTER":
            state[name] = _pointer(getattr(struct, name), depth)
        elif prop.type == "COLLECTION" and name in _WITHIN:
            state[name] = [_struct(item, depth - 1) for item in getattr(struct, name)]
    if isinstance(struct, (bpy.types.ID, bpy.types.PoseBone)):
        state["custom"] = {key: str(_plain(struct[key])) for key in struct.keys()}  # noqa: SIM118
    return state


_WITHIN = {
    "view_layers", "timeline_markers", "modifiers", "constraints", "bones", "key_blocks", "drivers", "nodes", "inputs",
    "material_slots", "nla_tracks", "aovs", "lightgroups", "collection",
}  # fmt: skip
_OWNED = (
    "RenderSettings", "ImageFormatSettings", "CyclesRenderSettings", "SceneEEVEE", "SceneDisplay", "View3DShading",
    "ColorManagedViewSettings", "ColorManagedDisplaySettings", "CyclesRenderLayerSettings", "Pose", "AnimData",
    "CyclesObjectSettings", "CyclesCameraSettings", "CameraDOFSettings", "ToolSettings", "UnitSettings",
    "CyclesMaterialSettings", "CyclesLightSettings", "CyclesWorldSettings", "ShaderNodeTree", "CompositorNodeTree",
)  # fmt: skip


def _pointer(value: Any, depth: int) -> Any:
    if value is None:
        return None
    kind = type(value).__name__
    if kind in _OWNED or value.bl_rna.identifier.startswith("Digidouble"):
        return _struct(value, depth - 1)
    return value.name if isinstance(value, bpy.types.ID) else kind


def _plain(value: Any) -> Any:
    if isinstance(value, (str, bool, int, float)) or value is None:
        return value
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    try:
        return tuple(np.ravel(value).tolist())
    except (TypeError, ValueError):
        return str(value)
