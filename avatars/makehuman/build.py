# SPDX-License-Identifier: Apache-2.0
"""Put a MakeHuman head into the current Blender scene: everything is computed first, then made."""

from __future__ import annotations

import json
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from interchange.colour import linear_from_srgb

from ..materials import image_material, packed_image, plain_material
from ..painting.raster import triangulate
from ..rigging import (
    BoneSpec,
    add_attribute,
    add_shape_keys,
    add_subdivision,
    bind,
    make_armature,
    make_collection,
    make_mesh_object,
)
from ..skin import SkinSurface, paint_iris, paint_skin
from ..spec import AvatarHandle, AvatarSpec
from .files import DataFolder, Obj, blender_from_makehuman
from .hair import HairMesh, hair_mesh
from .human import expression_offsets, morph
from .identities import Identity, identity
from .landmarks import BASE_LANDMARKS
from .layout import HeadLayout, cut_head
from .parts import PartMesh, eyeballs, lashes, teeth, tongue
from .regions import Regions, head_regions
from .rig import BONE_NAMES, bone_weights, rest_bones
from .surface import vertex_normals

Float = npt.NDArray[np.floating]

LICENCE = "CC0-1.0 (MakeHuman base mesh, targets, rig, eyes); painted skin and hair by Digidouble"


@attrs.frozen(eq=False)
class _Plan:
    """All that a head consists of, in numbers, before anything is made in Blender."""

    person: Identity
    layout: HeadLayout
    landmarks: npt.NDArray
    regions: Regions
    points: Float  # (V, 3) head, rest
    keys: dict[str, Float]  # expression -> (V, 3)
    parts: dict[str, tuple[PartMesh, Float, dict[str, Float]]]  # name -> mesh, rest points, expression offsets
    hair: HairMesh | None
    bones: dict[str, BoneSpec]
    weights: Float  # (base vertices, bones)
    skin: Float
    iris: Float


def build(spec: AvatarSpec) -> AvatarHandle:
    """See avatars.makehuman.build_makehuman."""
    plan = _plan(spec)
    collection = make_collection(spec.name)
    armature = make_armature(collection, f"{spec.name}_rig", plan.bones)
    head = _make_head(spec, plan, collection, armature)
    parts: dict[str, Any] = {"head": head}
    for name in plan.parts:
        parts[name] = _make_part(spec, plan, name, collection, armature)
    if plan.hair is not None:
        parts["hair"] = _make_hair(spec, plan, plan.hair, collection, armature)
    about = {"name": spec.name, "kind": spec.kind, "identity": spec.identity, "seed": spec.seed, "licence": LICENCE}
    armature["digidouble_avatar"] = json.dumps(about)
    eyes = np.mean([plan.bones["eye.L"].head, plan.bones["eye.R"].head], axis=0)
    return AvatarHandle(spec.name, collection, head, armature, parts, tuple(plan.landmarks.tolist()), eyes)


def _plan(spec: AvatarSpec) -> _Plan:
    person = identity(spec.identity, spec.seed)
    person = attrs.evolve(person, look=attrs.evolve(person.look, one_sided=float(spec.one_sided)))
    data = DataFolder(spec.data_dir)
    base = data.base()
    layout = cut_head(base)
    landmarks = layout.new_id[np.array(BASE_LANDMARKS)]
    regions = _regions(base, layout, landmarks)
    human = morph(data, base, person)
    offsets = expression_offsets(data, person, len(human))
    skeleton = data.skeleton()
    origin = rest_bones(skeleton, human)["neck"].head / 0.1
    human = human - np.array(
        [0.0, origin[2], -origin[1]]
    )  # the neck's root becomes the origin; x stays the mirror plane
    points = layout.blend(blender_from_makehuman(human))
    keys = {name: layout.blend(blender_from_makehuman(offset)) for name, offset in offsets.items()}
    parts: dict[str, tuple[PartMesh, Float, dict[str, Float]]] = {}
    for name, part in _parts(data, base, person).items():
        rest = part.fit(human)
        parts[name] = (part, rest, {key: part.fit(human + offset) - rest for key, offset in offsets.items()})
    normals = vertex_normals(points, layout.faces)
    hair = hair_mesh(person, points, normals, layout.faces, landmarks, regions)
    skin = _paint(spec, person, layout, landmarks, regions, points, normals, hair)
    weights = bone_weights(skeleton, data.weights(), len(human))
    iris = paint_iris(person.look, min(512, spec.texture_size))
    return _Plan(
        person, layout, landmarks, regions, points, keys, parts, hair, rest_bones(skeleton, human), weights, skin, iris
    )


def _regions(base: Obj, layout: HeadLayout, landmarks: npt.NDArray) -> Regions:
    neutral = layout.blend(blender_from_makehuman(base.vertices))
    normals = vertex_normals(neutral, layout.faces)
    return head_regions(neutral, normals, landmarks, layout.base_uvs(base), layout.inside(base))


def _parts(data: DataFolder, base: Obj, person: Identity) -> dict[str, PartMesh]:
    return {
        "eyes": eyeballs(*data.eyes()),
        "teeth": teeth(base),
        "tongue": tongue(base),
        "lashes": lashes(base, 0.4 + 0.6 * person.look.makeup, person.look.seed),
    }


def _paint(
    spec: AvatarSpec, person: Identity, layout: HeadLayout, landmarks: npt.NDArray, regions: Regions,
    points: Float, normals: Float, hair: HairMesh | None,
) -> Float:  # fmt: skip
    triangles, corners = triangulate(layout.faces)
    fields = {"lips": regions.lips, "mouth": regions.mouth, "ears": regions.ears, "nostrils": regions.nostrils}
    if hair is not None:
        fields["scalp"] = hair.scalp
    surface = SkinSurface(points, normals, triangles, layout.uvs[corners], landmarks, fields)
    return paint_skin(surface, person.look, spec.texture_size)


def _make_head(spec: AvatarSpec, plan: _Plan, collection: Any, armature: Any) -> Any:
    head = make_mesh_object(collection, spec.name, "head", plan.points, plan.layout.faces, plan.layout.uvs)
    head["digidouble_landmarks"] = plan.landmarks.tolist()
    rim = plan.layout.rim()
    crease = head.data.attributes.new("crease_edge", "FLOAT", "EDGE")
    crease.data.foreach_set("value", [float(frozenset(edge.vertices) in rim) for edge in head.data.edges])
    for name in ("face", "lips", "brows"):
        add_attribute(head, f"region_{name}", getattr(plan.regions, name))
    image = packed_image(f"{spec.name}_skin", plan.skin)
    head.data.materials.append(image_material(f"{spec.name}_skin", image, roughness=0.5, specular=0.35))
    add_shape_keys(head, plan.keys)
    bind(head, armature, BONE_NAMES, plan.layout.blend(plan.weights))
    add_subdivision(head)
    return head


def _make_part(spec: AvatarSpec, plan: _Plan, name: str, collection: Any, armature: Any) -> Any:
    mesh, points, keys = plan.parts[name]
    kind = {"eyes": "eyes", "lashes": "lashes"}.get(name, "mouth")
    obj = make_mesh_object(collection, f"{spec.name}_{name}", kind, points, mesh.faces, mesh.uvs)
    obj.data.materials.append(_part_material(spec, plan, name))
    if name == "eyes":
        left = points[:, 0] > 0
        weights = np.stack([left, ~left], axis=1).astype(float)
        bind(obj, armature, ["eye.L", "eye.R"], weights)
    else:
        add_shape_keys(obj, keys)
        bind(obj, armature, BONE_NAMES, plan.weights[mesh.weight_ids])
    if name != "lashes":
        add_subdivision(obj)
    return obj


def _part_material(spec: AvatarSpec, plan: _Plan, name: str) -> Any:
    label = f"{spec.name}_{name}"
    if name == "eyes":
        return image_material(label, packed_image(f"{spec.name}_iris", plan.iris), roughness=0.12, specular=0.5)
    if name == "teeth":
        return plain_material(label, (0.66, 0.60, 0.50), roughness=0.3)
    if name == "tongue":
        return plain_material(label, (0.36, 0.10, 0.09), roughness=0.45)
    return plain_material(label, _linear(np.asarray(plan.person.look.brows) * 0.35), roughness=0.7, specular=0.1)


def _make_hair(spec: AvatarSpec, plan: _Plan, hair: HairMesh, collection: Any, armature: Any) -> Any:
    obj = make_mesh_object(collection, f"{spec.name}_hair", "hair", hair.points, hair.faces, hair.uvs)
    for k, factor in enumerate(hair.shades):
        colour = _linear(np.clip(np.asarray(plan.person.look.hair) * factor, 0, 1))
        obj.data.materials.append(plain_material(f"{spec.name}_hair{k}", colour, roughness=0.5, specular=0.25))
    obj.data.polygons.foreach_set("material_index", hair.shade_of_face.astype(np.int32))
    weights = np.zeros((len(hair.points), 1))
    weights[:] = 1
    bind(obj, armature, ["head"], weights)
    return obj


def _linear(colour: npt.NDArray) -> tuple[float, float, float]:
    r, g, b = linear_from_srgb(np.asarray(colour, np.float64)).tolist()
    return r, g, b
