# SPDX-License-Identifier: GPL-3.0-or-later
"""Edits of a double: what changes, and that nothing else does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy
import numpy as np
import pytest
from mathutils import Euler, Matrix

from blender_addon.display import edits, selection
from blender_addon.display.attributes import read_attribute
from blender_addon.display.pointcloud import add_splats, read_back
from blender_addon.display.recolour import recoloured
from interchange.cameras import SPLAT_FROM_BLENDER
from interchange.colour import linear_from_srgb
from interchange.errors import InputError
from interchange.splats import SH_C0, read_splats, write_splats
from interchange.splats.axes import matrix_from_quaternion, sh_basis
from tests.blender_addon.doubles import some_splats

_TURN = Euler((0.4, -0.9, 2.0)).to_matrix().to_4x4()


def _world(item: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Places and covariances in the world, and colours seen along a direction of the world."""
    bpy.context.view_layer.update()
    matrix = np.array(item.matrix_world)
    cloud, linear = read_back(item), np.array(item.matrix_world)[:3, :3]
    spread = linear @ (matrix_from_quaternion(cloud.quats_wxyz) * cloud.scales[:, None, :].astype(np.float64))
    left, _, right = np.linalg.svd(linear)
    local = (left @ right).T @ np.array([0.36, -0.48, 0.8])
    colours = np.einsum("k,nkc->nc", sh_basis(local[None], cloud.degree)[0], cloud.sh)
    return cloud.means @ linear.T + matrix[:3, 3], spread @ spread.transpose(0, 2, 1), colours


@pytest.mark.parametrize("scale", [(1, 1, 1), (2.5, 2.5, 2.5), (-0.5, 0.5, 0.5), (-1, -1, -1), (1, 3, 0.4)])
@pytest.mark.parametrize("degree", [0, 3])
def test_apply_transform_changes_nothing_that_is_seen(empty: Any, scale: tuple, degree: int) -> None:
    item = add_splats(some_splats(100, degree), empty)
    item.matrix_world = Matrix.Translation((1, -2, 0.5)) @ _TURN @ Matrix.Diagonal((*scale, 1)) @ item.matrix_world
    places, covariances, colours = _world(item)
    notes = edits.apply_transform(item)
    np.testing.assert_allclose(np.array(item.matrix_world)[:3, :3], SPLAT_FROM_BLENDER.T, atol=1e-6)
    after = _world(item)
    np.testing.assert_allclose(after[0], places, atol=1e-5)
    size = np.abs(covariances).max(axis=(1, 2))
    assert (np.abs(after[1] - covariances).max(axis=(1, 2)) < 1e-4 * size).all()
    np.testing.assert_allclose(after[2], colours, atol=2e-4)
    assert bool(notes) == (degree > 0 and scale == (1, 3, 0.4))
    assert (np.linalg.norm(read_back(item).quats_wxyz, axis=1) > 0.999).all()


def test_apply_transform_of_shared_parented_and_flat_objects(empty: Any) -> None:
    item = add_splats(some_splats(30), empty)
    other = item.copy()
    empty.collection.objects.link(other)
    parent = bpy.data.objects.new("parent", None)
    empty.collection.objects.link(parent)
    parent.location = (0, 0, 3)
    item.parent = parent
    bpy.context.view_layer.update()
    places = _world(item)[0]
    untouched = read_back(other).means.copy()
    edits.apply_transform(item)
    np.testing.assert_allclose(_world(item)[0], places, atol=1e-5)
    np.testing.assert_array_equal(read_back(other).means, untouched)  # the data had two users
    item.matrix_world = Matrix.Diagonal((1, 1, 0, 1))
    with pytest.raises(InputError, match="flattens"):
        edits.apply_transform(item)


def test_recolour_is_exact_for_the_constant_band(empty: Any) -> None:
    rng = np.random.default_rng(0)
    sh = ((rng.uniform(0.1, 0.9, (50, 1, 3)) - 0.5) / SH_C0).astype(np.float32)
    changed = recoloured(sh, 0.5, np.array([1, 0.8, 0.6]), 0.3)
    linear = linear_from_srgb(0.5 + SH_C0 * sh[:, 0].astype(np.float64)) * [1, 0.8, 0.6]
    grey = (linear @ [0.2126, 0.7152, 0.0722])[:, None]
    wanted = 2**0.5 * (0.3 * linear + 0.7 * grey)
    np.testing.assert_allclose(linear_from_srgb(0.5 + SH_C0 * changed[:, 0].astype(np.float64)), wanted, rtol=1e-4)


def test_recolour_moves_highlights_along() -> None:
    """To first order, colour by colour and direction by direction; and no change changes nothing."""
    rng = np.random.default_rng(1)
    sh = np.zeros((40, 4, 3), np.float32)
    sh[:, 0] = (rng.uniform(0.3, 0.7, (40, 3)) - 0.5) / SH_C0
    sh[:, 1:] = rng.normal(0, 0.002, (40, 3, 3))
    np.testing.assert_allclose(recoloured(sh, 0.0, np.ones(3), 1.0), sh, atol=1e-6)
    direction = sh_basis(np.array([[0.6, 0, 0.8]]), 1)[0]
    seen = 0.5 + np.einsum("k,nkc->nc", direction, sh)
    whole = recoloured(((seen - 0.5) / SH_C0)[:, None].astype(np.float32), -1.0, np.array([1, 0.5, 1]), 1.4)
    parts = recoloured(sh, -1.0, np.array([1, 0.5, 1]), 1.4)
    np.testing.assert_allclose(np.einsum("k,nkc->nc", direction, parts), SH_C0 * whole[:, 0], atol=2e-5)


def test_only_the_selection_is_recoloured_deleted_duplicated(empty: Any) -> None:
    item = add_splats(some_splats(100), empty)
    before = read_back(item)
    mask = np.arange(100) % 3 == 0
    selection.select(item, mask)
    orange = read_attribute(item.data, "display_color")[mask]
    assert (orange[:, 0] > orange[:, 2]).all()
    assert edits.recolour(item, 1.0, (1, 1, 1), 1.0) == mask.sum()
    after = read_back(item)
    np.testing.assert_array_equal(after.sh[~mask], before.sh[~mask])
    assert not np.allclose(after.sh[mask], before.sh[mask])
    copy = edits.duplicate(item, mask)
    np.testing.assert_array_equal(read_back(copy).means, before.means[mask])
    edits.delete_splats(item, mask)
    np.testing.assert_array_equal(read_back(item).means, before.means[~mask])
    np.testing.assert_array_equal(read_back(copy).means, before.means[mask])
    assert selection.selected(item) is None and item.data.materials[0].name == "digidouble points"
    with pytest.raises(InputError, match="No splat would be left"):
        edits.delete_splats(item, np.ones(len(item.data.points), bool))


def test_boxes_and_balls_are_those_of_the_object(empty: Any) -> None:
    item = add_splats(some_splats(400), empty)
    around = bpy.data.objects.new("around", None)
    empty.collection.objects.link(around)
    around.matrix_world = Matrix.Translation((0.3, 0.1, 0)) @ _TURN @ Matrix.Diagonal((0.5, 1.5, -1, 1))
    bpy.context.view_layer.update()
    local = np.linalg.inv(np.array(around.matrix_world)) @ np.c_[
        read_back(item).means @ SPLAT_FROM_BLENDER, np.ones(400)
    ].T  # fmt: skip
    np.testing.assert_array_equal(selection.in_box(item, around), (np.abs(local[:3]) <= 1).all(axis=0))
    np.testing.assert_array_equal(selection.in_ball(item, around), np.linalg.norm(local[:3], axis=0) <= 1)
    with pytest.raises(InputError, match="does not know which part"):
        selection.in_region(item, "hair")


@pytest.mark.parametrize("degree", [0, 3])
def test_export_import_export_is_the_same_to_the_byte(empty: Any, tmp_path: Path, degree: int) -> None:
    cloud = some_splats(3000, degree)
    cloud.opacity_logits *= 4  # far into both ends of the sigmoid
    write_splats(tmp_path / "file.ply", cloud)
    paths = [tmp_path / f"{i}.ply" for i in range(3)]
    source = tmp_path / "file.ply"
    for path in paths:
        item = add_splats(read_splats(source), empty)
        write_splats(path, read_back(item))
        source = path
    assert paths[0].read_bytes() == paths[1].read_bytes() == paths[2].read_bytes()
    edits.recolour(item, 0.7, (1, 0.9, 0.8), 0.5)
    item.matrix_world = _TURN @ item.matrix_world
    edits.apply_transform(item)
    write_splats(paths[0], read_back(item))
    write_splats(paths[1], read_back(add_splats(read_splats(paths[0]), empty)))
    assert paths[0].read_bytes() == paths[1].read_bytes()
