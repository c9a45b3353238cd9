# SPDX-License-Identifier: Apache-2.0
"""Build one procedural avatar in the current Blender scene."""

from __future__ import annotations

import json
from typing import Any

import attrs
import bpy
import numpy as np

from ..skin import SkinSurface, paint_iris, paint_skin
from ..spec import AvatarHandle, AvatarSpec, unknown_identity
from .anatomy import DEFORM_BONES, Anatomy, build_anatomy
from .expressions import JAW_HINGE, expressions
from .graph import Float, vertex_normals
from .hair import hair, hair_texture, scalp_region
from .identities import IDENTITIES, Identity, Person, personify, varied
from .parts import PALETTE, Part, eyeballs, lashes, mouth_inside, with_caruncle
from .scene import (
    add_float_attribute,
    add_shape_keys,
    add_subdivision,
    add_weights,
    new_armature,
    new_material,
    new_mesh_object,
    packed_image,
)
from .surface import blender_from_design

LICENCE = "CC0-1.0"


def build_procedural(spec: AvatarSpec) -> AvatarHandle:
    """Build `spec.identity` as a new collection named `spec.name`.

    Raises InputError on an unknown identity. Takes two to four seconds at a texture of 1024 pixels.
    """
    if spec.identity not in IDENTITIES:
        raise unknown_identity(spec.identity, "procedural", sorted(IDENTITIES))
    identity = varied(IDENTITIES[spec.identity], spec.seed)
    identity = attrs.evolve(identity, look=attrs.evolve(identity.look, one_sided=float(spec.one_sided)))
    anatomy = build_anatomy()
    person = personify(anatomy, identity.shape)
    collection = bpy.data.collections.new(spec.name)
    bpy.context.scene.collection.children.link(collection)
    armature = new_armature(collection, f"{spec.name}_rig", _bones(person))
    armature["digidouble_avatar"] = json.dumps({
        "name": spec.name, "kind": "procedural", "identity": spec.identity, "licence": LICENCE, "seed": spec.seed})
    head = _head(collection, spec, identity, anatomy, person, armature)
    parts = {"head": head, **_parts(collection, spec, identity, anatomy, person, armature)}
    centre = blender_from_design(person.eyes.mean(axis=0))
    landmarks = tuple(int(v) for v in anatomy.landmarks)
    return AvatarHandle(spec.name, collection, head, armature, parts, landmarks, centre)


def _bones(person: Person) -> dict[str, tuple[str | None, Float, Float]]:
    left, right = person.eyes
    ahead = np.array([0.0, person.eye_radius, 0.0])
    return {
        "root": (None, np.array([0.0, -95.0, -240.0]), np.array([0.0, -98.0, -185.0])),
        "neck": ("root", np.array([0.0, -98.0, -185.0]), np.array([0.0, -84.0, -98.0])),
        "head": ("neck", np.array([0.0, -84.0, -98.0]), np.array([0.0, -72.0, 118.0])),
        "jaw": ("head", JAW_HINGE, np.array([0.0, 18.0, -108.0])),
        "eye.L": ("head", left, left + ahead),
        "eye.R": ("head", right, right + ahead),
    }


def _head(collection: Any, spec: AvatarSpec, identity: Identity, anatomy: Anatomy, person: Person,
          armature: Any) -> Any:
    head = new_mesh_object(collection, spec.name, person.points, anatomy.faces, anatomy.corner_uvs)
    head["digidouble_part"] = "head"
    head["digidouble_landmarks"] = [int(v) for v in anatomy.landmarks]
    for name in ("face", "lips", "brows"):
        add_float_attribute(head, f"region_{name}", anatomy.regions[name])
    add_shape_keys(head, person.points, expressions(anatomy, person.points, person.eyes))
    add_weights(head, armature, dict(zip(DEFORM_BONES, anatomy.weights.T, strict=True)))
    add_subdivision(head)
    skin = paint_skin(skin_surface(anatomy, person, identity.hair), identity.look, spec.texture_size)
    image = packed_image(f"{spec.name}_skin", skin)
    head.data.materials.append(new_material(f"{spec.name}_skin", image, 0.52, 0.27))
    return head


def skin_surface(anatomy: Anatomy, person: Person, style: str) -> SkinSurface:
    """The person's rest surface as the painter wants it."""
    triangles = anatomy.triangles
    uvs = np.concatenate([np.stack([np.stack([uv[0], uv[k], uv[k + 1]]) for k in range(1, len(uv) - 1)])
                          for uv in anatomy.corner_uvs])
    points = blender_from_design(person.points)
    scalp = np.zeros(len(points))
    count = anatomy.layout.count
    scalp[:count] = scalp_region(style, anatomy.layout.params, anatomy.points[:count])
    regions = {**anatomy.regions, "scalp": scalp}
    return SkinSurface(points, vertex_normals(points, triangles), triangles, uvs, anatomy.landmarks, regions)


def _parts(collection: Any, spec: AvatarSpec, identity: Identity, anatomy: Anatomy, person: Person,
           armature: Any) -> dict[str, Any]:
    look = identity.look
    iris = packed_image(f"{spec.name}_iris",
                        with_caruncle(paint_iris(look, max(spec.texture_size // 2, 64)), look.tone))
    palette = np.array([list(PALETTE.values())]).repeat(8, axis=0).repeat(8, axis=1)
    inside = packed_image(f"{spec.name}_mouth", palette)
    strands = packed_image(f"{spec.name}_hair", hair_texture(look.hair, look.seed))
    made = {
        "eyes": (eyeballs(anatomy, person), "eyes", new_material(f"{spec.name}_iris", iris, 0.08, 0.5)),
        "teeth": (mouth_inside(person), "mouth", new_material(f"{spec.name}_mouth", inside, 0.3, 0.4)),
        "hair": (hair(person, identity.hair, look.seed), "hair", _hair_material(spec.name, identity.hair, strands)),
        "lashes": (lashes(anatomy, person, look.makeup), "lashes",
                   new_material(f"{spec.name}_lashes", None, 0.7, 0.1, (0.012, 0.009, 0.008))),
    }
    return {name: _part(collection, f"{spec.name}_{name}", *rest, armature) for name, rest in made.items()}


def _part(collection: Any, name: str, part: Part, kind: str, material: Any, armature: Any) -> Any:
    obj = new_mesh_object(collection, name, part.points, part.faces, part.corner_uvs)
    obj["digidouble_part"] = kind
    obj.data.materials.append(material)
    add_shape_keys(obj, part.points, part.keys)
    add_weights(obj, armature, part.weights)
    return obj


def _hair_material(name: str, style: str, strands: Any) -> Any:
    roughness, specular = (0.8, 0.12) if style == "buzz" else (0.6, 0.22)
    return new_material(f"{name}_hair", strands, roughness, specular)
