# SPDX-License-Identifier: GPL-3.0-or-later
"""What may go wrong with an avatar, asked before it does: each check is a small function that changes nothing.

A finding says in one sentence what is so and why it matters, and names the fixes (`fixes.FIXES`) that one button does.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import attrs
import numpy as np

from .._interchange import errors
from ..capture.avatar import STANDS_IN, render_uv, renumbering
from ..capture.checks import FEWEST_LANDMARKS
from ..capture.textures import pictures_of, surface_of
from . import fill, meshes, regions, vertex_marks
from .left_out import left_out
from .state import in_layer

_MOST_DEGREES = 35  # that a face may look up, down or aside

ORDER = ("ERROR", "WARNING", "INFO")


@attrs.frozen(eq=False)
class Finding:
    """severity: ERROR (no capture without a fix), WARNING (it will look wrong) or INFO. item: the object it is about.
    detail: the UV map or modifier that a fix is about.
    """

    severity: str
    sentence: str
    fixes: tuple[str, ...] = ()
    item: Any | None = None
    detail: str = ""


Check = Callable[[Any], Finding | None]


def examine(avatar: Any, context: Any) -> list[Finding]:
    """All findings of a DigidoubleAvatar, the gravest first."""
    head, parts = avatar.head, [entry.item for entry in avatar.parts if entry.item is not None]
    found: list[Finding] = []
    for item in (head, *parts):
        found += [finding for check in OBJECT_CHECKS if (finding := check(item)) is not None]
        found += hidden(item, context, is_head=item == head)
    for check in HEAD_CHECKS:
        found += check(head)
    found += [*rig(avatar.armature), *missing_parts(avatar), *landmarks(head, avatar.armature), *no_region(head)]
    found += no_meshes(head, avatar.armature, context.scene)
    return sorted(found, key=lambda finding: ORDER.index(finding.severity))


def signature(avatar: Any, view_layer: Any) -> str:
    """A short text that changes whenever a check could come out differently; cheap enough for drawing.

    (Moving single vertices or flipping faces does not change it: that would cost a look at all of them.)
    """
    items = [avatar.head, *(entry.item for entry in avatar.parts), avatar.armature]
    return "|".join(_signature_of(item, view_layer) for item in items if item is not None)


def _signature_of(item: Any, view_layer: Any) -> str:
    scale = ",".join(f"{value:.4f}" for value in item.matrix_world.to_scale())
    there = in_layer(item, view_layer)
    text = f"{item.name} {item.mode == 'EDIT'} {item.hide_render} {scale} {item.library is None} {there}"
    if item.type == "MESH":
        data = item.data
        uvs = ",".join(f"{layer.name}{layer.active_render}" for layer in data.uv_layers)
        stack = ",".join(f"{m.type}{m.show_render}" for m in item.modifiers)
        text += f" {len(data.vertices)} {len(data.polygons)} {uvs} {stack} {len(item.material_slots)}"
        text += f" {hash(tuple(item.get('digidouble_landmarks', ())))}"
    return text


# --- one object -----------------------------------------------------------------------------------------------------


def linked(item: Any) -> Finding | None:
    """Data of another file: nothing can be marked on it, or not for long."""
    if item.override_library is not None:
        text = f"{item.name!r} overrides a linked one: marks on it may be lost when its file is linked anew."
        return Finding("WARNING", text, ("make_local",), item)
    source: Any = item.library or item.data.library
    if source is None:
        return None
    name = source.filepath.replace("\\", "/").rsplit("/", 1)[-1]
    text = f"{item.name!r} is linked from {name}: it can be rendered, but nothing can be marked or painted on it."
    return Finding("ERROR" if item.library else "WARNING", text, ("make_local",), item)


def editing(item: Any) -> Finding | None:
    """In edit mode Blender keeps the newest changes to itself."""
    if item.mode != "EDIT":
        return None
    return Finding("ERROR", f"{item.name!r} is being edited; leave edit mode first.", ("leave_mode",), item)


def empty(item: Any) -> Finding | None:
    """No faces."""
    return None if item.data.polygons else Finding("ERROR", f"{item.name!r} has no faces.", (), item)


def no_uv(item: Any) -> Finding | None:
    """Without a UV map nothing can be looked up."""
    if not item.data.polygons or item.mode == "EDIT" or render_uv(item.data) is not None:
        return None
    return Finding("ERROR", f"{item.name!r} has no UV map.", ("unwrap",), item)


def several_uvs(item: Any) -> Finding | None:
    """Which of several maps is used."""
    if len(item.data.uv_layers) < 2:
        return None
    layer: Any = render_uv(item.data)
    text = f"{item.name!r} has {len(item.data.uv_layers)} UV maps; {layer.name!r} is used, the one that renders."
    return Finding("INFO", text, ("choose_uv",), item, layer.name)


def scaled(item: Any) -> Finding | None:
    """Scale on the object: nothing, uneven, mirrored."""
    scale = np.array(item.matrix_world.to_scale())
    determinant = item.matrix_world.determinant()
    if abs(determinant) < 1e-12:
        return Finding("ERROR", f"{item.name!r} is scaled to nothing.", ("clear_scale",), item)
    if determinant < 0:
        return Finding("WARNING", f"{item.name!r} is mirrored by a negative scale.", ("apply_scale",), item)
    if scale.max() / scale.min() > 1.001:
        text = f"{item.name!r} is stretched unevenly by its scale; rigs and brushes misbehave on it."
        return Finding("WARNING", text, ("apply_scale",), item)
    if abs(scale[0] - 1) > 1e-3:
        return Finding("INFO", f"{item.name!r} has a scale of {scale[0]:.3g} that is not applied.",
                       ("apply_scale",), item)  # fmt: skip
    return None


def inside_out(item: Any) -> Finding | None:
    """Faces that look inwards, all or some of them."""
    if not item.data.polygons or item.mode == "EDIT":
        return None
    if meshes.mixed_winding(item.data) > 0.005:
        return Finding("WARNING", f"Some faces of {item.name!r} point inwards.", ("normals",), item)
    if meshes.is_inside_out(item.data):
        return Finding("WARNING", f"The faces of {item.name!r} point inwards.", ("normals",), item)
    return None


def surface(item: Any) -> Finding | None:
    """What is painted: an image behind Base Color, or nothing."""
    if not any(slot.material for slot in item.material_slots):
        return Finding("WARNING", f"{item.name!r} has no material; it is captured in plain grey.", (), item)
    image = surface_of(item).image
    if image is not None and image.source == "TILED":
        return Finding("ERROR", f"The image {image.name!r} of {item.name!r} has UDIM tiles; bake it into one picture.",
                       (), item)  # fmt: skip
    if image is not None and not image.has_data and not (image.size[0] and image.size[1]):
        text = f"The image {image.name!r} of {item.name!r} is missing; File > External Data finds it."
        return Finding("ERROR", text, (), item)
    return None


OBJECT_CHECKS: tuple[Check, ...] = (
    linked, editing, empty, no_uv, several_uvs, scaled, inside_out, surface
)  # fmt: skip


def hidden(item: Any, context: Any, *, is_head: bool) -> Iterator[Finding]:
    """Not rendered, or not there at all."""
    if item.hide_render and STANDS_IN not in item:
        text = "so nothing can be captured" if is_head else "so it is left out"
        yield Finding("ERROR" if is_head else "WARNING", f"{item.name!r} is hidden in renders, {text}.",
                      ("show",), item)  # fmt: skip
    if not in_layer(item, context.view_layer):
        yield Finding("ERROR", f"{item.name!r} is not in the view layer.", ("to_layer",), item)


# --- the head -------------------------------------------------------------------------------------------------------


def modifiers(head: Any) -> Iterator[Finding]:
    """Modifiers after which a vertex has another number, so that landmarks would be lost."""
    for modifier in head.modifiers:
        if modifier.show_render and modifier.type == "PARTICLE_SYSTEM":
            text = f"The particles {modifier.name!r} on {head.name!r} cannot be captured. Make a mesh of them first."
            yield Finding("ERROR", text, ("modifier_off",), head, modifier.name)
        elif modifier.show_render and renumbering(head, modifier):
            text = f"The modifier {modifier.name!r} on {head.name!r} renumbers vertices, so landmarks would be lost."
            yield Finding("ERROR", text, ("modifier_off", "modifier_apply"), head, modifier.name)


def never_unwrapped(head: Any) -> Iterator[Finding]:
    """Where all UVs lie on one spot there is nowhere to paint the new face. (Teeth and lashes in one colour may.)"""
    layer = render_uv(head.data) if head.mode != "EDIT" and head.data.polygons else None
    if layer is not None and meshes.uv_area(head.data, layer) < 1e-6:
        text = f"The UV map {layer.name!r} of {head.name!r} was never unwrapped: all of it lies on one spot."
        yield Finding("ERROR", text, ("unwrap",), head)


def no_skin_image(head: Any) -> Iterator[Finding]:
    """A head in one colour can be swapped, but starts from nothing."""
    if any(slot.material for slot in head.material_slots) and surface_of(head).image is None:
        yield Finding("WARNING", f"No image feeds the Base Color of {head.name!r}; its skin has one plain colour.",
                      (), head)  # fmt: skip


def several_pictures(head: Any) -> Iterator[Finding]:
    """Faces with another picture, such as a body of the same mesh, would get the new face's colours by their UVs."""
    pictures = pictures_of(head) if head.mode != "EDIT" else []
    if len(pictures) > 1:
        others = ", ".join(repr(image.name) for image in pictures if image != surface_of(head).image)
        text = f"{head.name!r} wears several pictures; a swap would paint over faces that wear {others} as well."
        yield Finding("WARNING", f"{text} Separate them into a part of their own.", (), head)


HEAD_CHECKS: tuple[Callable[[Any], Iterator[Finding]], ...] = (
    never_unwrapped, modifiers, no_skin_image, several_pictures
)  # fmt: skip


def landmarks(head: Any, armature: Any | None) -> Iterator[Finding]:
    """Whether the landmarks still fit the mesh, form a face, and the face looks where the cameras expect it."""
    if vertex_marks.IDS not in head or head.mode == "EDIT":
        return
    if vertex_marks.are_outdated(head):
        text = f"The mesh {head.name!r} was cut or joined since its landmarks were placed; they lie elsewhere now."
        yield Finding("ERROR", text, ("clear_landmarks",), head)
        return
    known = {i: v for i, v in enumerate(vertex_marks.ids_of(head)) if v >= 0}
    if len(known) < FEWEST_LANDMARKS:
        return
    own = np.linalg.inv(meshes.upright(armature or head))
    points = meshes.read(head)[0][list(known.values())] @ own[:3, :3].T + own[:3, 3]
    try:
        ahead = fill.guess(np.array(list(known)), points)[1].rotation @ (0.0, -1.0, 0.0)
    except errors.InputError as error:
        yield Finding("WARNING", str(error), ("clear_landmarks",), head)
        return
    angle = float(np.degrees(np.arccos(np.clip(-ahead[1], -1, 1))))
    if angle > _MOST_DEGREES:
        text = f"The face looks {angle:.0f}° away from -Y, where the cameras expect it. Turn the character and apply"
        yield Finding("WARNING", f"{text} its rotation, with its rig.", (), head)


def no_region(head: Any) -> Iterator[Finding]:
    """Landmarks alone do not say where the face ends."""
    if head.mode == "EDIT" or vertex_marks.are_outdated(head) or regions.has(head, "region_face"):
        return
    if sum(v >= 0 for v in vertex_marks.ids_of(head)) >= FEWEST_LANDMARKS:
        text = f"{head.name!r} has no face region, so no face can be put on it."
        yield Finding("WARNING", text, ("draw_regions",), head)


# --- all of it ------------------------------------------------------------------------------------------------------


def rig(armature: Any | None) -> Iterator[Finding]:
    """No rig, or a scaled one."""
    if armature is None:
        yield Finding("INFO", "No armature moves the head: the double will not move either.")
        return
    for check in (linked, scaled):
        finding = check(armature)
        if finding is not None:
            yield attrs.evolve(finding, severity="INFO") if finding.severity != "ERROR" or check is linked else finding


def no_meshes(head: Any, armature: Any | None, scene: Any) -> Iterator[Finding]:
    """Hair curves and the like, which a capture leaves out: the double would be bald, and nobody had said so."""
    for item, kind in left_out(head, armature, scene):
        text = f"{item.name!r} is {kind}, no mesh, so it is left out. Make a mesh with faces of it, and add that."
        yield Finding("WARNING", text, (), item)


def missing_parts(avatar: Any) -> Iterator[Finding]:
    """Parts that most characters have as meshes of their own."""
    present = {entry.part for entry in avatar.parts}
    words = {"eyes": "eyes", "mouth": "teeth", "hair": "hair"}
    absent = [word for part, word in words.items() if part not in present]
    if absent:
        listed = functools.reduce(lambda a, b: f"{a}, {b}", absent[:-1], "").lstrip(", ")
        listed = f"{listed} and {absent[-1]}" if listed else absent[-1]
        yield Finding("INFO", f"No mesh is marked as {listed}. Add it, or it is taken for skin.")
