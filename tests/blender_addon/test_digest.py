# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever changes the pictures changes the fingerprint, or a second capture would keep the old ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import bpy
import numpy as np
import pytest

from blender_addon import compat
from blender_addon.capture.digest import Fingerprint
from interchange.png import write_png
from tests.blender_addon.test_job import capture_again


def of_material(material: Any) -> str:
    fingerprint = Fingerprint()
    fingerprint.add_materials([material])
    return fingerprint.hexdigest()


def of_object(item: Any) -> str:
    bpy.context.view_layer.update()
    fingerprint = Fingerprint()
    fingerprint.add_object(item, bpy.context.evaluated_depsgraph_get())
    return fingerprint.hexdigest()


def paint(image: Any) -> None:
    image.pixels[:] = [0.5] * len(image.pixels)


@pytest.fixture
def material(empty: Any) -> Any:
    """A material with what productions have: ramp, curves, a group, a picture, a colour of its own node."""
    material = bpy.data.materials.new("skin")
    nodes = compat.use_nodes(material).nodes
    for kind, name in (("ValToRGB", "ramp"), ("RGBCurve", "curves"), ("Group", "group"), ("TexImage", "picture"),
                       ("RGB", "colour"), ("TexCoord", "place")):  # fmt: skip
        nodes.new(f"ShaderNode{kind}").name = name
    nodes["group"].node_tree = bpy.data.node_groups.new("inside", "ShaderNodeTree")
    nodes["group"].node_tree.nodes.new("ShaderNodeBsdfPrincipled").name = "shader"
    nodes["picture"].image = bpy.data.images.new("bumps", 4, 4)
    nodes["place"].object = bpy.data.objects.new("empty", None)
    return material


CHANGES: dict[str, Callable[[Any, Any], Any]] = {
    "ramp": lambda m, n: setattr(n["ramp"].color_ramp.elements[0], "color", (1, 0, 0, 1)),
    "ramp's kind": lambda m, n: setattr(n["ramp"].color_ramp, "interpolation", "CONSTANT"),
    "curve": lambda m, n: setattr(n["curves"].mapping.curves[0].points[0], "location", (0, 0.5)),
    "inside a group": lambda m, n: setattr(
        n["group"].node_tree.nodes["shader"].inputs["Roughness"], "default_value", 0.9
    ),
    "pixels": lambda m, n: paint(n["picture"].image),
    "colour space": lambda m, n: setattr(n["picture"].image.colorspace_settings, "name", "Non-Color"),
    "colour": lambda m, n: setattr(n["colour"].outputs[0], "default_value", (1, 0, 0, 1)),
    "another's place": lambda m, n: setattr(n["place"].object, "matrix_world", [[2 * (i == j) for j in range(4)]
                                                                                for i in range(4)]),
    "backfaces": lambda m, n: setattr(m, "use_backface_culling", True),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_of_a_material_is_noticed(material: Any, change: str) -> None:
    before = of_material(material)
    assert of_material(material) == before
    CHANGES[change](material, material.node_tree.nodes)
    assert of_material(material) != before


def test_a_picture_that_was_saved_anew_is_noticed(material: Any, tmp_path: Path) -> None:
    path, node = tmp_path / "bumps.png", material.node_tree.nodes["picture"]
    found = []
    for level in (10, 200, 10):
        write_png(path, np.full((4, 4, 3), level, np.uint8))
        node.image = bpy.data.images.load(str(path), check_existing=True)
        found.append(of_material(material))
    assert found[0] != found[1] and found[0] == found[2]
    path.unlink()
    assert of_material(material) not in found


def test_a_film_follows_the_timeline(material: Any) -> None:
    material.node_tree.nodes["picture"].image.source = "MOVIE"
    found = []
    for frame in (1, 2):
        fingerprint = Fingerprint({}, frame)
        fingerprint.add_materials([material])
        found.append(fingerprint.hexdigest())
    assert found[0] != found[1]


def test_what_glows_or_shades_beside_the_avatar_is_noticed(material: Any) -> None:
    bpy.ops.mesh.primitive_plane_add()
    plane = bpy.context.object
    plane.data.materials.append(material)
    found = [of_object(plane)]
    material.node_tree.nodes["Principled BSDF"].inputs["Emission Strength"].default_value = 50
    found.append(of_object(plane))
    plane.data.vertices[0].co.x += 3
    plane.data.update()
    found.append(of_object(plane))
    plane.visible_shadow = False
    found.append(of_object(plane))
    assert len(set(found)) == 4
    plane.hide_render = True
    hidden = of_object(plane)
    plane.data.vertices[0].co.x += 1
    assert of_object(plane) == hidden, "what no render shows does not matter"


def test_a_changed_softbox_has_the_views_rendered_again(standin: Any, tmp_path: Path) -> None:
    bpy.ops.mesh.primitive_plane_add(location=(0, -2, 2))
    softbox = bpy.data.materials.new("softbox")
    compat.use_nodes(softbox)
    bpy.context.object.data.materials.append(softbox)
    assert len(capture_again(tmp_path)) == 4
    assert capture_again(tmp_path) == []
    softbox.node_tree.nodes["Principled BSDF"].inputs["Emission Strength"].default_value = 50
    assert len(capture_again(tmp_path)) == 4
