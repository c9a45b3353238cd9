# SPDX-License-Identifier: GPL-3.0-or-later
"""A real, small capture of the stand-in: geometry, cameras, passes and masks agree with each other."""

from __future__ import annotations

import json
from pathlib import Path

import bpy
import numpy as np
import pytest
from mathutils.bvhtree import BVHTree

from blender_addon.capture.avatar import find_avatar
from blender_addon.capture.geometry import extract
from interchange.cameras import intrinsics_from_blender, world_to_camera_from_blender
from interchange.capture import Capture
from interchange.mesh import Region


def test_rays_through_pixels_meet_the_mesh_at_the_rendered_depth(captured: Capture) -> None:
    """Cameras, depth and mesh agree to a thousandth of a pixel: Blender's ray caster on our arrays is the judge."""
    mesh = captured.load_mesh()
    tree = BVHTree.FromPolygons(mesh.vertices.tolist(), mesh.faces.tolist())
    for view in captured.views:
        camera, images = view.camera, captured.load_view(view)
        directions = camera.unproject(camera.pixel_centres(), np.ones(camera.width * camera.height)) - camera.position
        depth = images.depth.ravel()
        cast = [tree.ray_cast(camera.position, direction)[0] for direction in directions]
        hit = np.array([location is not None for location in cast])
        assert (hit == (depth > 0)).mean() > 0.9995
        both = np.flatnonzero(hit & (depth > 0))
        assert len(both) > 2000
        uv, z = camera.project(np.array([cast[i] for i in both]))
        off = np.abs(z - depth[both])
        assert np.median(off) < 2e-6 and np.quantile(off, 0.999) < 1e-4  # metres
        shifted = camera.unproject(uv + [0.05, 0], depth[both])  # a twentieth of a pixel would show
        nearest = np.array([tree.find_nearest(point)[3] for point in shifted[::7]])
        assert np.median(nearest) > 2e-6


def test_depth_is_planar_and_uv_is_exact(captured: Capture) -> None:
    """At each pixel the UV names a point of a triangle whose planar depth is the rendered one."""
    mesh = captured.load_mesh()
    for view in captured.views:
        images = captured.load_view(view)
        seen = images.depth > 0
        points = view.camera.unproject(view.camera.pixel_centres()[seen.ravel()], images.depth[seen])
        low, high = mesh.vertices.min(axis=0) - 1e-4, mesh.vertices.max(axis=0) + 1e-4
        assert ((points >= low) & (points <= high)).all()
        found = (images.uv[seen] != 0).any(axis=-1)
        assert found.mean() > 0.999
        # the texture at the UV has the rendered albedo's colour (gloss takes its share at grazing angles)
        head, info = captured.object_of_part("head")
        texture = captured.load_texture(info)
        inner = (images.masks["skin"] > 0.999) & (images.masks["face"] > 0.5)
        uv = images.uv[inner]
        looked_up = texture[
            np.clip(((1 - uv[:, 1]) * len(texture)).astype(int), 0, len(texture) - 1),
            np.clip((uv[:, 0] * texture.shape[1]).astype(int), 0, texture.shape[1] - 1),
        ]
        rendered = images.albedo[inner]
        if len(uv):
            share = rendered.sum(axis=-1) / looked_up.sum(axis=-1)
            assert np.quantile(share, 0.02) > 0.8 and np.quantile(share, 0.98) < 1.05
            assert np.abs(looked_up - rendered / share[:, None]).mean() < 0.01
        assert head == 0


def test_masks_partition_alpha(captured: Capture) -> None:
    for view in captured.views:
        images = captured.load_view(view)
        masks = images.masks
        total = masks["skin"] + masks["eye"] + masks["hair"]
        np.testing.assert_allclose(total, images.alpha, atol=2e-3)
        assert ((masks["face"] >= 0) & (masks["face"] <= masks["skin"] + 1e-3)).all()
        edge = (images.alpha > 0.05) & (images.alpha < 0.95)
        assert edge.sum() > 50  # antialiased
    front = max(captured.views, key=lambda v: -v.camera.position[1])
    images = captured.load_view(front)
    assert images.masks["face"].sum() > 300 and images.masks["eye"].sum() > 20


def test_colours_are_premultiplied_and_light_is_the_light(captured: Capture) -> None:
    """albedo x light + what is not diffuse = picture; nothing is coloured where nothing is."""
    images = captured.load_view(captured.views[0])
    empty = images.alpha == 0
    for picture in (images.rgb, images.albedo, images.light):
        assert not picture[empty].any()
    whole = images.alpha > 0.999
    gloss = images.rgb[whole] - images.albedo[whole] * images.light[whole]
    assert gloss.min() > -0.05 and 0 < np.median(gloss) < 0.2
    np.testing.assert_allclose(np.linalg.norm(images.normal[whole], axis=-1), 1, atol=2e-3)


def test_rest_and_posed_mesh_share_their_topology(captured: Capture) -> None:
    mesh, pose = captured.load_mesh(), captured.poses[0]
    assert pose.shape_keys == {"smile": 0.5}
    assert np.abs(mesh.vertices - mesh.rest_vertices).max() > 0.005
    head = mesh.rest_vertices[np.unique(mesh.faces[mesh.face_object == 0])]
    mirrored = head * [-1, 1, 1]
    distance = np.linalg.norm(mirrored[:, None] - head[None], axis=2).min(axis=1)
    assert distance.max() < 1e-4  # the rest mesh mirrors in x = 0
    assert {b.name for b in pose.bones} == {"neck", "head", "jaw", "eye.L", "eye.R"}
    assert set(np.unique(mesh.face_region)) == {Region.FACE, Region.SKIN, Region.EYE, Region.HAIR}
    np.testing.assert_allclose(mesh.bone_weight.sum(axis=1), 1, atol=1e-5)


def test_bones_and_weights_reproduce_the_pose(captured: Capture) -> None:
    """Linear blend skinning of the rest mesh gives the posed one, up to the expression and the subdivision."""
    mesh, pose = captured.load_mesh(), captured.poses[0]
    move = np.stack([np.array(b.posed) @ np.linalg.inv(np.array(b.rest)) for b in pose.bones])
    blended = np.einsum("vk,vkij->vij", mesh.bone_weight, move[mesh.bone_index])
    rest = np.concatenate([mesh.rest_vertices, np.ones((len(mesh.vertices), 1))], axis=1)
    skinned = np.einsum("vij,vj->vi", blended, rest)[:, :3]
    hair = np.unique(mesh.faces[mesh.face_region == Region.HAIR])
    np.testing.assert_allclose(skinned[hair], mesh.vertices[hair], atol=1e-5)
    upper = np.unique(mesh.faces[mesh.face_object == 0])
    upper = upper[mesh.rest_vertices[upper, 2] > 0.11]
    np.testing.assert_allclose(skinned[upper], mesh.vertices[upper], atol=1e-3)


def test_landmarks_survive_subdivision(standin: object) -> None:
    """Base vertices come first after subdivision: the marked vertices are where the limit moved the base ones."""
    context = bpy.context
    avatar = find_avatar(context.scene, context.view_layer, "A")
    mesh, _ = extract(avatar, context.view_layer, needs_landmarks=True)
    head = avatar.head.data
    base = np.array([v.co for v in head.vertices])
    assert len(np.unique(mesh.faces[mesh.face_object == 0])) > 3 * len(base)
    ids = mesh.landmarks
    assert ids.tolist() == list(avatar.head["digidouble_landmarks"])
    moved = np.linalg.norm(mesh.vertices[ids] - base[ids], axis=1)
    edge = np.linalg.norm(base[ids][:, None] - base[None], axis=2)
    edge[edge < 1e-9] = np.inf
    assert (moved < 0.25 * np.partition(edge, 3, axis=1)[:, 3]).all()
    subdivided = mesh.region_face[: len(base)]  # attributes ride along
    original = np.array([d.value for d in head.attributes["region_face"].data])
    assert np.abs(subdivided - original).max() < 0.35 and 0 < mesh.region_face.mean() < 1


def test_blender_reports_the_same_cameras(captured: Capture, empty: object) -> None:
    """A Blender camera set from a view has the view's K and world_to_camera."""
    from blender_addon.display.demo import add_cameras

    add_cameras(captured, bpy.context.scene)
    bpy.context.view_layer.update()
    for view in captured.views:
        item = bpy.data.objects[view.name]
        data, camera = item.data, view.camera
        K = intrinsics_from_blender(
            data.lens, data.sensor_width, data.sensor_height, data.sensor_fit, data.shift_x, data.shift_y,
            camera.width, camera.height,
        )  # fmt: skip
        np.testing.assert_allclose(K, camera.K, rtol=1e-6)
        np.testing.assert_allclose(
            world_to_camera_from_blender(np.array(item.matrix_world)), camera.world_to_camera, atol=1e-6
        )


def test_manifest_and_side_files(captured: Capture) -> None:
    folder = captured.folder
    assert [v.split for v in captured.views] == ["train"] * 3 + ["held_out"]
    transforms = json.loads((folder / "transforms.json").read_text())
    assert all((folder / frame["file_path"]).is_file() for frame in transforms["frames"])
    assert [o.part for o in captured.objects] == ["head", "eyes", "hair"]
    assert captured.objects[0].texture == "textures/A.png" and captured.objects[2].texture is None
    assert captured.objects[2].base_color == pytest.approx([0.05, 0.03, 0.02])
    image = bpy.data.images.get("A_skin")
    assert image is None or image.size[0] == 64
    assert captured.load_texture(captured.objects[0]).shape == (64, 64, 3)
    assert captured.avatar["identity"] == "standin" and captured.renderer["lights"] == "stock"
    assert not list(Path(folder).rglob("*.part"))
