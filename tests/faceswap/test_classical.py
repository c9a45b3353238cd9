# SPDX-License-Identifier: Apache-2.0
"""The classical swapper: where its points are, what it paints, what it leaves alone."""

from __future__ import annotations

import json
from pathlib import Path

import attrs
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from backend.faceswap.classical.paste import painted_triangles, pasted, soft_mask
from backend.faceswap.classical.photo_face import face_of_photo
from backend.faceswap.classical.points import control_points, see_points, signed_areas
from backend.faceswap.classical.swapper import ClassicalSwapper
from backend.faceswap.classical.warp import affine_by_triangle, shrunk
from backend.faceswap.registration import register
from backend.faceswap.registry import swapper_named
from backend.faceswap.settings import SwapSettings
from backend.faceswap.source import load_source
from backend.faceswap.swap import swap
from backend.kernels.mesh_rasterization import rasterize
from interchange.capture import Capture
from interchange.errors import Cancelled, InputError

from . import synthetic
from .synthetic import FOUND_BY, dome_camera, head, write_capture, write_landmarks, write_source

VIEWS = (-150, -75, -35, 0, 40, 180)


@pytest.fixture(scope="module")
def capture(tmp_path_factory: pytest.TempPathFactory) -> Capture:
    return write_capture(tmp_path_factory.mktemp("capture"), views=VIEWS, size=128)


@pytest.fixture(scope="module")
def toned_truth(tmp_path_factory: pytest.TempPathFactory) -> Capture:
    return write_capture(
        tmp_path_factory.mktemp("truth"), views=VIEWS, size=128, skin=synthetic.paint("B in A's tone")
    )


@pytest.fixture(scope="module")
def plain(capture: Capture, source: Path, tmp_path_factory: pytest.TempPathFactory) -> Capture:
    out = tmp_path_factory.mktemp("classical")
    swap(capture.folder, source, out, SwapSettings(swapper="classical", consistency=False))
    return Capture.load(out)


def points_of(source: Path) -> tuple:
    photo = load_source(source).photos[0]
    mesh = head("A")
    return photo, mesh, control_points(mesh, photo, register(mesh, photo))


def test_points_cover_the_face_and_keep_the_given_landmarks(source: Path) -> None:
    photo, mesh, points = points_of(source)
    given = np.array([photo.landmarks[i] for i in range(68)])
    for place in points.photo[points.landmark]:
        assert np.abs(given - place).sum(1).min() == 0
    assert (~points.landmark).sum() >= 8
    brow = mesh.vertices[mesh.landmarks[19]][2]
    assert mesh.vertices[points.vertices[~points.landmark]][:, 2].max() > brow + 0.01  # the forehead is in it
    assert points.photo[~points.landmark, 1].min() < given[:, 1].min()
    areas = signed_areas(points.photo, points.triangles)
    assert (areas > 0).mean() > 0.9  # in a frontal photo hardly any triangle is turned over


def test_a_view_hides_the_points_that_are_turned_away(source: Path) -> None:
    _, mesh, points = points_of(source)
    raised = {}
    for azimuth in (-60, 0, 60, 180):
        camera = dome_camera(azimuth, 0, 128)
        raised[azimuth] = see_points(points, mesh, camera, rasterize(mesh.vertices, mesh.faces, camera))
    left = mesh.vertices[points.vertices][:, 0] > 0.03
    assert raised[0].visible.mean() > 0.8 and raised[180].visible.sum() == 0 and raised[180].share == 0
    assert raised[60].visible[left].mean() > 0.8 and raised[60].visible[~left & points.landmark].mean() < 0.6
    assert_allclose([raised[a].yaw for a in (-60, 0, 60)], [64, 0, -64], atol=2)  # from the face's middle
    assert raised[0].share > raised[60].share > 0.3
    for seen in raised.values():
        corners = points.triangles[seen.drawn]
        assert seen.visible[corners].all() and (signed_areas(seen.pixels, corners) > 0).all()


def test_points_are_painted_where_they_are_found(source: Path) -> None:
    _, mesh, points = points_of(source)
    camera = dome_camera(0, 0, 128)
    raster = rasterize(mesh.vertices, mesh.faces, camera)
    exact = see_points(points, mesh, camera, raster)
    moved = see_points(points, mesh, camera, raster, lambda pixels, camera: pixels + np.array([3.0, -1.0]))
    assert_allclose(moved.pixels, exact.pixels + [3, -1])
    assert (moved.visible == exact.visible).all() and (moved.drawn == exact.drawn).all()
    mirrored = see_points(points, mesh, camera, raster, lambda pixels, camera: pixels * [-1, 1])
    assert not mirrored.drawn.any()  # what is turned over is not painted


def test_the_affine_maps_lead_corners_home_and_are_affine_between() -> None:
    goal = np.array([[10.0, 10], [50, 12], [20, 60], [70, 70]])
    start = np.array([[0.0, 0], [100, 0], [0, 100], [120, 130]])
    triangles = np.array([[0, 1, 2], [1, 3, 2]])
    at = np.concatenate([goal[[0, 1, 2, 3]], [goal[:3].mean(0)]])
    there = affine_by_triangle(goal, start, triangles, np.array([0, 0, 1, 1, 0], np.int32), at)
    assert_allclose(there, np.concatenate([start[[0, 1, 2, 3]], [start[:3].mean(0)]]), atol=1e-9)


def test_a_photo_is_averaged_when_it_is_made_smaller() -> None:
    stripes = np.zeros((64, 64, 4), np.float32)
    stripes[:, ::2] = 1
    assert_allclose(shrunk(stripes, 0.25), 0.5, atol=1e-6)
    assert shrunk(stripes, 0.95) is not None and shrunk(stripes, 0.95).shape == (64, 64, 4)


def test_triangles_are_painted_where_they_are(source: Path) -> None:
    _, mesh, points = points_of(source)
    camera = dome_camera(0, 0, 128)
    seen = see_points(points, mesh, camera, rasterize(mesh.vertices, mesh.faces, camera))
    label = painted_triangles(points, seen, 128, 128)
    assert set(np.unique(label)) - {-1} <= set(np.flatnonzero(seen.drawn))
    big = np.argmax(np.where(seen.drawn, signed_areas(seen.pixels, points.triangles), 0))
    column, row = np.floor(seen.pixels[points.triangles[big]].mean(0)).astype(int)
    assert label[row, column] == big


def test_hair_that_grows_into_the_face_is_not_pasted(source: Path) -> None:
    photo, _, points = points_of(source)
    mask = face_of_photo(photo, points)
    image = photo.image.copy()
    left, top = points.photo.min(0).astype(int)
    hull = points.photo
    row = int(hull[:, 1].mean())
    image[row - 60 : row + 10, left - 40 : left + 18] = [0.02, 0.06, 0.01]  # a dark green lock over the temple
    hidden = face_of_photo(attrs.evolve(photo, image=image), points)
    middle = tuple(hull.mean(0).astype(int)[::-1])
    assert mask[middle] == 1 and hidden[middle] == 1
    assert hidden[row - 20, left + 12] < 0.05 < 0.9 < mask[row - 20, left + 30]
    eye = photo.landmarks[37]
    assert hidden[int(eye[1]) + 3, int(eye[0])] > 0.9  # an eye is no skin, but part of the face


def test_the_soft_mask_ends_inside_what_may_be_painted() -> None:
    known = np.zeros((60, 60), bool)
    known[15:45, 15:45] = True
    allowed = np.ones((60, 60), bool)
    allowed[:, 30:] = False
    mask = soft_mask(known, allowed, 50)
    assert mask[30, 22] == 1 and (mask[:, 30:] == 0).all() and (mask[:, :10] == 0).all()
    assert 0 < mask[30, 12] < 1  # a little beyond what is known
    assert (np.diff(mask[30, :22]) >= 0).all()


def test_a_paste_takes_the_tones_of_where_it_goes() -> None:
    generator = np.random.default_rng(0)
    back = np.clip([0.7, 0.5, 0.4] + generator.normal(0, 0.03, (96, 96, 3)), 0, 1).astype(np.float32)
    front = np.clip([0.3, 0.25, 0.2] + generator.normal(0, 0.03, (96, 96, 3)), 0, 1).astype(np.float32)
    front[44:52, 44:52] = 0.05
    known = np.zeros((96, 96), bool)
    known[16:80, 16:80] = True
    mask = soft_mask(known, np.ones((96, 96), bool), 60)
    result = pasted(front, back, known, mask, "mkl", 4)
    assert_array_equal(result[mask == 0], back[mask == 0])
    ring = known.copy()
    ring[36:60, 36:60] = False
    assert_allclose(result[ring].mean(0), back[ring].mean(0), atol=0.02)
    assert result[46:50, 46:50].mean() < 0.3  # its features stay
    raw = pasted(front, back, known, mask, "none", 4)
    assert raw[26:36, 26:36].mean() < 0.45


def test_what_is_painted_is_near_the_true_swap(capture: Capture, toned_truth: Capture, plain: Capture) -> None:
    for name in ("view_002", "view_003", "view_004"):
        before, after, goal = (c.load_view(c.view(name)) for c in (capture, plain, toned_truth))
        face = before.masks["face"] > 0.9
        errors = [np.sqrt(((i.display() - goal.display())[face] ** 2).mean()) for i in (before, after)]
        assert errors[1] < 0.07, name
        # B's brows are higher than A's: where only B has one it got dark
        brow = face & ((before.display() - goal.display()).mean(-1) > 0.2)
        if brow.sum() > 5:
            assert after.display()[brow].mean() < before.display()[brow].mean() - 0.1


def test_a_face_pasted_on_itself_stays(capture: Capture, tmp_path: Path) -> None:
    own = write_source(tmp_path / "own", "A")
    swap(capture.folder, own, tmp_path / "out", SwapSettings(swapper="classical", consistency=False))
    result = Capture.load(tmp_path / "out")
    before, after = (c.load_view(c.view("view_003")) for c in (capture, result))
    face = before.masks["face"] > 0.5
    assert np.sqrt(((before.display() - after.display())[face] ** 2).mean()) < 0.025


def test_all_else_stays_bit_for_bit(capture: Capture, plain: Capture) -> None:
    changed = {}
    for view in capture.views:
        before, after = (c.load_view(c.view(view.name)) for c in (capture, plain))
        different = (before.rgb != after.rgb).any(-1)
        changed[view.name] = int(different.sum())
        assert_array_equal(before.alpha, after.alpha)
        assert not (different & (before.masks["face"] == 0)).any()
        assert not (different & (before.masks["skin"] < 0.9)).any()  # eyes, hair, outline
    assert changed["view_000"] == changed["view_005"] == 0
    assert min(changed[f"view_00{i}"] for i in (2, 3, 4)) > 500


def test_the_report_says_what_was_taken(plain: Capture) -> None:
    report = json.loads((plain.folder / "swap.json").read_text())
    views = report["views"]
    assert views["view_005"]["reason"] == "seen from behind" and views["view_005"]["taken"] == "nothing"
    assert views["view_003"]["taken"] == "whole" and "reason" not in views["view_003"]
    assert views["view_001"]["taken"] in ("part", "nothing") and views["view_001"]["share"] < 0.6
    assert views["view_003"]["visible_landmarks"] > 60
    assert report["tone"] == 0 and report["photos"][0]["landmarks"] > 60 and report["engine"] == "cpu"


def test_an_interrupted_run_keeps_what_was_said_about_views(capture: Capture, source: Path, tmp_path: Path) -> None:
    settings = SwapSettings(swapper="classical", consistency=False, threads=1)

    def some() -> bool:
        return (tmp_path / "views").is_dir() and len(list((tmp_path / "views").glob("*.exr"))) >= 2

    with pytest.raises(Cancelled):
        swap(capture.folder, source, tmp_path, settings, cancelled=some)
    result = swap(capture.folder, source, tmp_path, settings)
    assert len(result.kept) >= 2 and set(result.report["views"]) == {v.name for v in capture.views}


def test_of_several_photos_the_nearest_view_is_taken(capture: Capture, source: Path, tmp_path: Path) -> None:
    side = write_source(tmp_path / "side", azimuth=40)
    found = attrs.evolve(load_source(side).photos[0], found_by=tuple(FOUND_BY))
    photos = (*load_source(source).photos, found)
    both = attrs.evolve(load_source(source), photos=photos)
    settings = SwapSettings(swapper="classical")
    two = ClassicalSwapper().prepare(capture, both, settings, None, lambda: False)
    front = ClassicalSwapper().prepare(capture, load_source(source), settings, None, lambda: False)
    turned = ClassicalSwapper().prepare(capture, load_source(side), settings, None, lambda: False)
    mesh = capture.load_mesh()
    for name, same in (("view_003", front), ("view_004", turned)):
        view = capture.view(name)
        images = capture.load_view(view)
        results = [p.change(images, mesh, view.camera) for p in (two, same)]
        assert_array_equal(*results)
    assert [photo.get("found_by") for photo in two.report["photos"]] == [None, FOUND_BY]


def test_bad_landmarks_are_told_apart(capture: Capture, tmp_path: Path) -> None:
    folder = write_source(tmp_path / "source")
    swapper = swapper_named("classical")
    few = list(range(36, 48))  # the eyes alone are nearly a line, yet a face can be laid on them

    def prepare() -> object:
        return swapper.prepare(capture, load_source(folder), SwapSettings(swapper="classical"), None, lambda: False)

    points = np.array(list(json.loads((folder / "landmarks.json").read_text())["points"].values()))
    write_landmarks(folder, points, few)
    prepare()
    write_landmarks(folder, points * [-1, 1] + [360, 0])
    with pytest.raises(InputError, match="mirrored"):
        prepare()
    with pytest.raises(Cancelled):
        swapper.prepare(capture, load_source(write_source(tmp_path / "b")), SwapSettings(), None, lambda: True)


def test_the_registry_knows_it_as_a_swapper_of_views() -> None:
    info = swapper_named("classical").info
    assert info.per_view and not swapper_named("uv").info.per_view and info.guarantees
