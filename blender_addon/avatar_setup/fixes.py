# SPDX-License-Identifier: GPL-3.0-or-later
"""What the buttons beside the checks do: one function a fix, none of them needs a window."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import attrs
import bmesh
import bpy

from .._interchange import errors
from . import meshes, regions, vertex_marks
from .landmarks import PARTNER
from .state import in_layer


@attrs.frozen
class Fix:
    """label: on the button. tooltip: what will happen. run(context, object, detail) does it."""

    label: str
    tooltip: str
    icon: str
    run: Callable[[Any, Any, str], None]


@contextmanager
def alone(context: Any, item: Any) -> Iterator[None]:
    """Blender's operators act on this object only, in object mode; mode, selection and active object come back."""
    layer = context.view_layer
    if not in_layer(item, layer):
        raise errors.InputError(f"{item.name!r} is not in the view layer.", "Tick its collection in the outliner.")
    active, chosen = layer.objects.active, [i for i in layer.objects if i.select_get()]
    if active is not None and active.mode != "OBJECT":
        bpy.ops.object.mode_set(mode="OBJECT")
    hidden = item.hide_get(), item.hide_viewport
    item.hide_viewport = False
    item.hide_set(False)
    for other in chosen:
        other.select_set(False)
    item.select_set(True)
    layer.objects.active = item
    try:
        with context.temp_override(active_object=item, object=item, selected_objects=[item],
                                   selected_editable_objects=[item]):  # fmt: skip
            yield
    finally:
        if item.mode != "OBJECT":
            bpy.ops.object.mode_set(mode="OBJECT")
        item.select_set(False)
        item.hide_set(hidden[0])
        item.hide_viewport = hidden[1]
        for other in chosen:
            other.select_set(True)
        layer.objects.active = active


def unwrap(context: Any, item: Any, _: str) -> None:
    """Smart UV Project on all faces, into the map that renders or a new one."""
    refuse_linked_data(item)
    layer = next((uv for uv in item.data.uv_layers if uv.active_render), None)
    if layer is not None:
        item.data.uv_layers.active = layer
    with alone(context, item):
        bpy.ops.object.mode_set(mode="EDIT")
        bpy.ops.mesh.reveal(select=False)
        bpy.ops.mesh.select_all(action="SELECT")
        bpy.ops.uv.smart_project(angle_limit=1.15, island_margin=0.003)
        bpy.ops.object.mode_set(mode="OBJECT")


def choose_uv(_: Any, item: Any, detail: str) -> None:
    """Let another UV map render: the one named, or the next one."""
    refuse_linked_data(item)
    layers = list(item.data.uv_layers)
    current = next((i for i, layer in enumerate(layers) if layer.active_render), 0)
    chosen = item.data.uv_layers.get(detail) if detail else None
    if chosen is None or chosen.active_render:
        chosen = layers[(current + 1) % len(layers)]
    chosen.active_render = True
    item.data.uv_layers.active = chosen


def apply_scale(context: Any, item: Any, _: str) -> None:
    """Object > Apply > Scale; what a mirrored scale has turned over is set right: faces point outwards, and landmarks
    of the right side are those that are on the right now.
    """
    if item.type == "MESH":
        refuse_linked_data(item)
    mirrored = item.type == "MESH" and item.matrix_basis.determinant() < 0
    was_inside_out = mirrored and meshes.is_inside_out(item.data)
    with alone(context, item):
        bpy.ops.object.transform_apply(location=False, rotation=False, scale=True, isolate_users=True)
    if mirrored and meshes.is_inside_out(item.data) != was_inside_out:
        item.data.flip_normals()
    if mirrored and vertex_marks.IDS in item:
        ids, guessed = vertex_marks.ids_of(item), vertex_marks.guessed_of(item)
        vertex_marks.write(item, [ids[i] for i in PARTNER], {PARTNER[i] for i in guessed})
    scale = item.matrix_world.to_scale()
    if max(abs(value - 1) for value in scale) > 1e-3 or item.matrix_world.determinant() < 0:
        parent = item.parent.name if item.parent else "a constraint"
        raise errors.InputError(f"The scale of {item.name!r} comes from {parent!r}.", "Apply the scale there first.")


def clear_scale(_: Any, item: Any, __: str) -> None:
    """Scale 1."""
    item.scale = item.delta_scale = (1.0, 1.0, 1.0)


def normals(_: Any, item: Any, __: str) -> None:
    """Make all faces of each piece agree and look outwards."""
    refuse_linked_data(item)
    shape = bmesh.new()
    try:
        shape.from_mesh(item.data)
        bmesh.ops.recalc_face_normals(shape, faces=shape.faces)
        shape.to_mesh(item.data)
    finally:
        shape.free()
    item.data.update()
    if meshes.is_inside_out(item.data):
        item.data.flip_normals()


def modifier_off(_: Any, item: Any, detail: str) -> None:
    """Off in renders and in the viewport."""
    modifier = _modifier(item, detail)
    modifier.show_render = modifier.show_viewport = False


def modifier_apply(context: Any, item: Any, detail: str) -> None:
    """Apply it; landmarks go, for their numbers would be wrong."""
    refuse_linked_data(item)
    _modifier(item, detail)
    if item.data.shape_keys is not None:
        raise errors.InputError(
            f"{item.name!r} has shape keys, so Blender cannot apply {detail!r}.", "Turn the modifier off instead."
        )
    with alone(context, item):
        bpy.ops.object.modifier_apply(modifier=detail, single_user=True)
    vertex_marks.clear(item)


def _modifier(item: Any, name: str) -> Any:
    modifier = item.modifiers.get(name)
    if modifier is None:
        raise errors.InputError(f"{item.name!r} has no modifier {name!r} any more.", "Check the avatar again.")
    return modifier


def show(_: Any, item: Any, __: str) -> None:
    """Visible in renders."""
    item.hide_render = False


def to_layer(context: Any, item: Any, _: str) -> None:
    """Into the view layer: its collection is ticked again, or the object linked to the scene."""
    collections = set(item.users_collection)
    for layer in _layers(context.view_layer.layer_collection):
        if layer.collection in collections:
            layer.exclude = False
    if not in_layer(item, context.view_layer):
        context.scene.collection.objects.link(item)


def _layers(layer: Any) -> Iterator[Any]:
    for child in layer.children:
        yield child
        yield from _layers(child)


def leave_mode(context: Any, item: Any, _: str) -> None:
    """Back to object mode."""
    context.view_layer.objects.active = item
    with context.temp_override(active_object=item, object=item):
        bpy.ops.object.mode_set(mode="OBJECT")


def make_local(_: Any, item: Any, __: str) -> None:
    """A copy of the object and its mesh in this file; materials and images stay linked."""
    for block in (item, item.data):
        if (block.library or block.override_library) is not None and block.make_local() is None:
            raise errors.InputError(f"{block.name!r} cannot be made local.", "Append it from its file instead.")


def clear_landmarks(_: Any, item: Any, __: str) -> None:
    """Forget landmarks."""
    vertex_marks.clear(item)


def draw_regions(_: Any, item: Any, __: str) -> None:
    """Face, lips and brows, drawn from the landmarks."""
    regions.from_landmarks(item)


def refuse_linked_data(item: Any) -> None:
    """Raises InputError if an object's mesh belongs to another file."""
    if item.library is not None or item.data.library is not None:
        raise errors.InputError(f"{item.name!r} is linked from another file.", "Make it local first.")


FIXES = {
    "unwrap": Fix("Smart UV Project", "Unwrap this mesh automatically", "MOD_UVPROJECT", unwrap),
    "choose_uv": Fix("Use Next Map", "Let the next UV map of this mesh be the one that renders", "UV", choose_uv),
    "apply_scale": Fix("Apply Scale", "Put the object's scale into its mesh or bones; nothing moves",
                       "FULLSCREEN_EXIT", apply_scale),
    "clear_scale": Fix("Clear Scale", "Set the object's scale to 1", "FULLSCREEN_EXIT", clear_scale),
    "normals": Fix("Turn Outwards", "Make all faces of this mesh point outwards", "NORMALS_FACE", normals),
    "modifier_off": Fix("Turn Off", "Turn this modifier off for renders and in the viewport", "HIDE_ON", modifier_off),
    "modifier_apply": Fix("Apply", "Apply this modifier; landmarks must be placed again", "CHECKMARK", modifier_apply),
    "show": Fix("Show in Renders", "Make this object visible in renders", "RESTRICT_RENDER_OFF", show),
    "to_layer": Fix("Bring Back", "Bring this object into the view layer", "OUTLINER_COLLECTION", to_layer),
    "leave_mode": Fix("Leave Edit Mode", "Go back to object mode", "OBJECT_DATAMODE", leave_mode),
    "clear_landmarks": Fix("Clear Landmarks", "Take all landmarks off this head, to place them anew", "X",
                           clear_landmarks),
    "draw_regions": Fix("Draw Regions", "Draw face, lips and brows on this head from its landmarks",
                        "MOD_VERTEX_WEIGHT", draw_regions),
    "make_local": Fix("Make Local", "Make a copy of this object in your file, independent of the linked one",
                      "LINKED", make_local),
}  # fmt: skip
"""By the keys that findings name."""
