# SPDX-License-Identifier: GPL-3.0-or-later
"""interchange.cameras against Blender's own projections, and depth against the mesh's vertices."""

from __future__ import annotations

import itertools
import math
from typing import Any

import bpy
import numpy as np
import pytest
from bpy_extras.object_utils import world_to_camera_view
from mathutils import Matrix, Vector

from blender_addon.capture.rig_cameras import read_camera
from interchange.cameras import intrinsics_from_blender, world_to_camera_from_blender
from interchange.capture import Capture
from interchange.errors import InputError

SIZES = [(640, 480), (480, 640), (512, 512), (1920, 817)]
SHIFTS = [(0.0, 0.0), (0.2, -0.15), (-0.33, 0.4)]
ASPECTS = [(1.0, 1.0), (2.0, 1.0), (1.0, 1.5)]
EXACT = ([(16, 8), (8, 16), (16, 16)], [(0.0, 0.0), (0.25, -0.125), (-0.375, 0.5)], [(1, 1), (2, 1), (1, 2)])
FITS = ["AUTO", "HORIZONTAL", "VERTICAL"]
LARGE = [(1920, 1080), (1080, 1920), (4096, 4096), (4096, 1716), (1716, 4096)]
BAR = 1e-5  # pixels


def make_camera(scene: Any) -> Any:
    item = bpy.data.objects.new("eye", bpy.data.cameras.new("eye"))
    scene.collection.objects.link(item)
    scene.camera = item
    item.location = (1.25, -4.5, 2.125)
    item.rotation_euler = (math.radians(70), math.radians(7), math.radians(16))
    item.data.sensor_width, item.data.sensor_height, item.data.lens = 32.0, 16.0, 40.0
    item.data.clip_start, item.data.clip_end = 0.125, 128.0
    return item


def own_pixels(item: Any, scene: Any, points: np.ndarray) -> np.ndarray:
    data, render = item.data, scene.render
    K = intrinsics_from_blender(
        data.lens, data.sensor_width, data.sensor_height, data.sensor_fit, data.shift_x, data.shift_y,
        render.resolution_x, render.resolution_y, render.pixel_aspect_x, render.pixel_aspect_y,
    )  # fmt: skip
    local = points @ world_to_camera_from_blender(np.array(item.matrix_world))[:3].T[:3]
    local = local + world_to_camera_from_blender(np.array(item.matrix_world))[:3, 3]
    homogeneous = local @ K.T
    return homogeneous[:, :2] / homogeneous[:, 2:]


def blenders_pixels(item: Any, scene: Any, points: np.ndarray) -> np.ndarray:
    """By calc_matrix_camera and matrix_world."""
    render = scene.render
    depsgraph = bpy.context.evaluated_depsgraph_get()
    clip = np.array(
        item.calc_matrix_camera(
            depsgraph, x=render.resolution_x, y=render.resolution_y,
            scale_x=render.pixel_aspect_x, scale_y=render.pixel_aspect_y,
        )
    )  # fmt: skip
    world = np.array(item.matrix_world, np.float64)  # its numbers are single, the arithmetic on them need not be
    world[:3, :3] /= np.linalg.norm(world[:3, :3], axis=0)
    view = np.linalg.inv(world)
    seen = np.concatenate([points, np.ones((len(points), 1))], axis=1) @ (clip @ view).T
    ndc = seen[:, :2] / seen[:, 3:]
    return np.stack([(ndc[:, 0] + 1) / 2 * render.resolution_x, (1 - ndc[:, 1]) / 2 * render.resolution_y], axis=1)


def formulas_pixels(item: Any, scene: Any, points: np.ndarray) -> np.ndarray:
    """By what calc_matrix_camera and matrix_world do, in double precision from the same properties: the film's window
    at the near plane (BKE_camera_params_compute_viewplane), the frustum through it (perspective_m4), and the inverse
    of the camera's matrix without its scale. Written after blenkernel's camera.cc, not after our own K.
    """
    data, render = item.data, scene.render
    width, height, tall = render.resolution_x, render.resolution_y, render.pixel_aspect_y / render.pixel_aspect_x
    by_width = data.sensor_fit == "HORIZONTAL" or (data.sensor_fit == "AUTO" and width >= tall * height)
    sensor = data.sensor_height if data.sensor_fit == "VERTICAL" else data.sensor_width
    across = width if by_width else tall * height
    window = np.array([[-width / 2, width / 2], [-tall * height / 2, tall * height / 2]])
    window += np.array([[data.shift_x], [data.shift_y]]) * across
    near = data.clip_start
    (left, right), (bottom, top) = window * (sensor * near / data.lens / across)
    frustum = np.array(
        [[2 * near / (right - left), 0, (right + left) / (right - left), 0],
         [0, 2 * near / (top - bottom), (top + bottom) / (top - bottom), 0],
         [0, 0, -1, 0]]
    )  # fmt: skip
    world = np.array(item.matrix_world, np.float64)
    world[:3, :3] /= np.linalg.norm(world[:3, :3], axis=0)
    seen = np.concatenate([points, np.ones((len(points), 1))], axis=1) @ (frustum @ np.linalg.inv(world)).T
    ndc = seen[:, :2] / seen[:, 2:]
    return np.stack([(ndc[:, 0] + 1) / 2 * width, (1 - ndc[:, 1]) / 2 * height], axis=1)


def views_pixels(item: Any, scene: Any, points: np.ndarray) -> np.ndarray:
    """By bpy_extras, whose vectors are single precision."""
    found = [world_to_camera_view(scene, item, Vector(point)) for point in points]
    size = np.array([scene.render.resolution_x, scene.render.resolution_y])
    return np.array([(p.x, 1 - p.y) for p in found]) * size


def near_points(item: Any) -> np.ndarray:
    rng = np.random.default_rng(3)
    local = rng.uniform([-0.6, -0.6, -8], [0.6, 0.6, -2], (24, 3))
    return np.array([item.matrix_world.normalized() @ Vector(p) for p in local])


def worst_error(item: Any, scene: Any, fit: str, cases: tuple) -> float:
    """Largest distance in pixels between our projection and Blender's over all cases."""
    item.data.sensor_fit, worst = fit, 0.0
    for (width, height), shift, aspect in itertools.product(*cases):
        scene.render.resolution_x, scene.render.resolution_y = width, height
        item.data.shift_x, item.data.shift_y = shift
        scene.render.pixel_aspect_x, scene.render.pixel_aspect_y = aspect
        bpy.context.view_layer.update()
        points = near_points(item)
        ours = own_pixels(item, scene, points)
        worst = max(worst, float(np.abs(ours - blenders_pixels(item, scene, points)).max()))
        assert np.abs(ours - views_pixels(item, scene, points)).max() < 2e-3
    return worst


@pytest.mark.parametrize("fit", FITS)
def test_projection_is_blenders_own(empty: Any, fit: str) -> None:
    """Portrait, shifts, pixel aspect: 1e-5 px. calc_matrix_camera has single precision alone, so pictures are small:
    what it rounds grows with them, what a wrong formula does shows in any.
    """
    assert worst_error(make_camera(bpy.context.scene), bpy.context.scene, fit, EXACT) < BAR


@pytest.mark.parametrize("fit", FITS)
def test_projection_with_any_numbers(empty: Any, fit: str) -> None:
    """Numbers that single precision rounds: as near as its 24 bits allow over 1920 pixels."""
    item = make_camera(bpy.context.scene)
    item.data.sensor_width, item.data.sensor_height, item.data.lens = 36.1, 18.7, 41.3
    assert worst_error(item, bpy.context.scene, fit, (SIZES, SHIFTS, ASPECTS)) < 2 * 1920 * 2.0**-23


def worst_of_large(item: Any, scene: Any, fit: str) -> tuple[float, float]:
    """At 1920 and 4096 pixels: how far our projection, and how far Blender's own matrix in its single precision, is at
    worst from Blender's formulas in double precision; pixels, and the latter as a share of the picture's longer side.
    """
    item.data.sensor_width, item.data.sensor_height, item.data.lens, item.data.sensor_fit = 36.1, 18.7, 41.3, fit
    ours = blenders = 0.0
    for (width, height), shift, aspect in itertools.product(LARGE, SHIFTS, ASPECTS):
        scene.render.resolution_x, scene.render.resolution_y = width, height
        item.data.shift_x, item.data.shift_y = shift
        scene.render.pixel_aspect_x, scene.render.pixel_aspect_y = aspect
        bpy.context.view_layer.update()
        points = near_points(item)
        exact = formulas_pixels(item, scene, points)
        ours = max(ours, float(np.abs(own_pixels(item, scene, points) - exact).max()))
        off = np.abs(blenders_pixels(item, scene, points) - exact).max() / max(width, height)
        blenders = max(blenders, float(off))
    return ours, blenders


@pytest.mark.parametrize("fit", FITS)
def test_large_pictures_are_exact_too(empty: Any, fit: str) -> None:
    """K and world_to_camera are what Blender's formulas give in double precision, to 1e-5 px: what is between them and
    calc_matrix_camera (the test above) is Blender's single precision alone.
    """
    ours, blenders = worst_of_large(make_camera(bpy.context.scene), bpy.context.scene, fit)
    assert ours < BAR and blenders < 2 * 2.0**-23


def place_under_parents(scene: Any, item: Any, kind: str) -> None:
    parent = bpy.data.objects.new("parent", None)
    scene.collection.objects.link(parent)
    parent.location = (0.5, 1.0, -0.25)
    if kind != "scaled camera":
        parent.rotation_euler = (0.3, -0.2, 0.9)
    if kind == "uniform parent":
        parent.scale = (2.0, 2.0, 2.0)
    if kind == "scaled camera":
        item.scale = (3.0, 0.5, 1.7)
    if kind == "sheared":
        parent.scale = (2.0, 1.0, 0.5)
    if kind == "mirrored":
        item.scale = (-1.0, 1.0, 1.0)
    item.parent = parent
    if kind == "offset parent":
        item.matrix_parent_inverse = Matrix.Rotation(0.4, 4, "Y") @ Matrix.Translation((0.1, 0.2, 0.3))


@pytest.mark.parametrize("kind", ["parent", "uniform parent", "scaled camera", "offset parent"])
def test_parents_and_scale(empty: Any, kind: str) -> None:
    scene = bpy.context.scene
    item = make_camera(scene)
    place_under_parents(scene, item, kind)
    scene.render.resolution_x, scene.render.resolution_y = 8, 16
    bpy.context.view_layer.update()
    camera = read_camera(item, 8, 16)
    points = near_points(item)
    uv, depth = camera.project(points)
    assert (depth > 0).all()
    assert np.abs(uv - blenders_pixels(item, scene, points)).max() < BAR
    for width, height in LARGE:
        scene.render.resolution_x, scene.render.resolution_y = width, height
        uv, _ = read_camera(item, width, height).project(points)
        assert np.abs(uv - formulas_pixels(item, scene, points)).max() < BAR


@pytest.mark.parametrize(("kind", "sentence"), [("sheared", "sheared by the scale"), ("mirrored", "mirrored")])
def test_cameras_that_are_no_pinholes_are_refused(empty: Any, kind: str, sentence: str) -> None:
    scene = bpy.context.scene
    item = make_camera(scene)
    place_under_parents(scene, item, kind)
    bpy.context.view_layer.update()
    with pytest.raises(InputError, match=sentence):
        read_camera(item, 64, 64)
    item.data.type = "ORTHO"
    with pytest.raises(InputError, match="no perspective camera"):
        read_camera(item, 64, 64)


def test_vertices_project_onto_the_rendered_depth(captured: Capture) -> None:
    """A visible vertex, put through K and the depth picture and back, is where it was: 1e-3 relative, 0.5 px."""
    mesh = captured.load_mesh()
    checked = 0
    for view in captured.views:
        camera, images = view.camera, captured.load_view(view, ("depth", "mask"))
        uv, z = camera.project(mesh.vertices)
        facing = ((camera.position - mesh.vertices) * mesh.normals).sum(axis=1) > 0.5 * np.linalg.norm(
            camera.position - mesh.vertices, axis=1
        )
        x, y = np.floor(uv[:, 0]).astype(int), np.floor(uv[:, 1]).astype(int)
        inside = (x >= 0) & (y >= 0) & (x < camera.width) & (y < camera.height) & facing
        seen = np.zeros_like(inside)
        at = np.clip(y, 0, camera.height - 1), np.clip(x, 0, camera.width - 1)
        assert images.depth is not None
        rendered = images.depth[at]
        # within a pixel a facing surface changes its depth by at most a pixel's size on it or two
        head = np.zeros_like(inside)
        head[mesh.faces[mesh.face_object == 0]] = True
        visible = inside & head & (images.masks["skin"][at] > 0.999)
        seen[visible] = np.abs(rendered - z)[visible] < 2 * (z / camera.K[0, 0])[visible]
        assert seen.sum() > 0.8 * visible.sum() > 0  # the rest lies behind, on the neck's far side
        centre = np.stack([x + 0.5, y + 0.5], axis=1)[seen]
        back = camera.unproject(centre, rendered[seen])
        pixels, _ = camera.project(back)
        assert np.abs(pixels - uv[seen]).max() <= 0.5 + 1e-6
        plane = ((back - mesh.vertices[seen]) * mesh.normals[seen]).sum(axis=1)  # off the surface, not along it
        assert np.quantile(np.abs(plane) / z[seen], 0.99) < 1e-3
        checked += int(seen.sum())
    assert checked > 800
