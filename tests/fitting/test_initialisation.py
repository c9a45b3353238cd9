# SPDX-License-Identifier: Apache-2.0
"""Where splats begin."""

import attrs
import numpy as np
import pytest

from backend.fitting.dataset import load_dataset
from backend.fitting.initialisation import FLATNESS, from_points, initialise
from backend.fitting.sampling import mean_colours, observe, sample_surface, surface_of, visible_faces
from backend.fitting.settings import FitSettings
from backend.fitting.view_dependence import sh_from_views
from interchange.cameras import SPLAT_FROM_BLENDER
from interchange.capture import Capture
from interchange.colour import srgb_from_linear
from interchange.errors import Cancelled, InputError
from interchange.mesh import Mesh
from interchange.splats import SH_C0
from interchange.splats.axes import sh_basis

from .scene import CENTRE, RADIUS, ball_camera, ball_mesh, make_capture, paint

SPLAT_CENTRE = CENTRE @ SPLAT_FROM_BLENDER.T
SETTINGS = FitSettings(splats=600, sh_degree=1)


@pytest.fixture(scope="module")
def capture(tmp_path_factory):
    return make_capture(tmp_path_factory.mktemp("ball"), train=12, held_out=0, size=48)


@pytest.fixture(scope="module")
def dataset(capture):
    return load_dataset(capture)


def directions_of(points):
    """Unit vectors from the ball's centre in Blender's world."""
    outward = (points - SPLAT_CENTRE) @ SPLAT_FROM_BLENDER
    return outward / np.linalg.norm(outward, axis=1, keepdims=True)


def colours_of(cloud):
    return 0.5 + SH_C0 * cloud.sh[:, 0]


def test_mesh_start_lies_flat_on_the_surface_in_its_colours(capture, dataset):
    start = initialise(dataset, SETTINGS)
    cloud = start.cloud
    assert start.kind == "mesh" and len(cloud) == 600 and cloud.degree == 1
    distance = np.linalg.norm(cloud.means - SPLAT_CENTRE, axis=1)
    assert np.all(np.abs(distance - RADIUS) < 0.02 * RADIUS)  # facets lie a little inside
    assert np.allclose(cloud.log_scales[:, 2] - cloud.log_scales[:, 0], np.log(FLATNESS), atol=1e-5)
    w, x, y, z = cloud.quats_wxyz.T
    thin_axis = np.stack([2 * (x * z + w * y), 2 * (y * z - w * x), 1 - 2 * (x * x + y * y)], axis=1)
    outward = (cloud.means - SPLAT_CENTRE) / distance[:, None]
    assert np.min((thin_axis * outward).sum(axis=1)) > 0.98
    truth = srgb_from_linear(paint(directions_of(cloud.means)))
    assert np.abs(colours_of(cloud) - truth).mean() < 0.01
    assert np.abs(cloud.sh[:, 1:]).mean() < 0.02  # the ball does not shine


def test_binding_leads_back_to_the_positions(capture, dataset):
    start = initialise(dataset, SETTINGS)
    mesh = capture.load_mesh()
    corners = mesh.vertices[mesh.faces[start.face]] @ SPLAT_FROM_BLENDER.T
    assert np.allclose(np.einsum("nk,nkc->nc", start.barycentric, corners), start.cloud.means, atol=1e-5)
    assert np.allclose(start.barycentric.sum(axis=1), 1, atol=1e-6) and start.barycentric.min() >= 0


def test_degenerate_triangles_get_no_splat_and_even_spread():
    surface = surface_of(ball_mesh())
    assert surface.areas[-1] == 0 and (surface.areas == 0).sum() > 30  # the poles' and the extra one
    samples = sample_surface(surface, np.ones(len(surface.faces), bool), 4000, 1.0, 0)
    assert np.all(surface.areas[samples.face] > 0)
    density = np.bincount(samples.face, minlength=len(surface.faces)) - 4000 * surface.areas / surface.areas.sum()
    assert np.abs(density).max() < 1.001  # systematic: each triangle has its share, rounded up or down
    assert np.median(samples.spacing) == pytest.approx(np.sqrt(surface.areas.sum() / 4000))


def test_the_face_is_sown_more_densely():
    surface = surface_of(ball_mesh(32))
    samples = sample_surface(surface, np.ones(len(surface.faces), bool), 5000, 3.0, 0)
    count = np.bincount(samples.face, minlength=len(surface.faces))
    face, rest = surface.face_weight == 1, surface.face_weight == 0
    ratio = (count[face].sum() / surface.areas[face].sum()) / (count[rest].sum() / surface.areas[rest].sum())
    assert ratio == pytest.approx(3, rel=0.05)


def test_hidden_parts_get_no_splat(capture, dataset):
    outer, inner = ball_mesh(degenerate=False), ball_mesh(degenerate=False)
    inner.vertices = ((inner.vertices - CENTRE) * 0.7 + CENTRE).astype(np.float32)
    both = Mesh(**{
        f.name: np.concatenate([getattr(outer, f.name), getattr(inner, f.name)]) for f in attrs.fields(Mesh)
        if f.name not in ("landmarks", "faces")
    }, landmarks=outer.landmarks, faces=np.concatenate([outer.faces, inner.faces + len(outer.vertices)]))  # fmt: skip
    visible = visible_faces(surface_of(both), dataset.train)
    assert not visible[len(outer.faces) :].any()
    assert visible[: len(outer.faces)][surface_of(outer).areas > 0].mean() > 0.95


def test_robust_colours_ignore_one_wrong_view(dataset):
    surface = surface_of(ball_mesh())
    samples = sample_surface(surface, np.ones(len(surface.faces), bool), 300, 1.0, 0)
    wrong = [attrs.evolve(dataset.train[0], rgb=np.zeros_like(dataset.train[0].rgb)), *dataset.train[1:]]
    colours, seen = mean_colours(300, observe(samples.points, samples.normals, wrong))
    truth = srgb_from_linear(paint(directions_of(samples.points)))
    assert seen.mean() > 0.95
    assert np.abs(colours - truth)[seen].mean() < 0.04


def test_gloss_is_found_before_training(capture, dataset):
    """Colours that follow known spherical harmonics of the direction come back from the pictures."""
    surface = surface_of(ball_mesh(24))
    samples = sample_surface(surface, np.ones(len(surface.faces), bool), 500, 1.0, 0)
    observations = observe(samples.points, samples.normals, dataset.train)
    truth = np.array([0.3, 0.1, -0.2, 0.15])
    glossy = []
    for seen in observations:
        towards = samples.points[seen.index] - seen.view.camera.position
        basis = sh_basis(towards / np.linalg.norm(towards, axis=1, keepdims=True), 1)
        glossy.append(attrs.evolve(seen, colour=np.repeat(0.5 + basis @ truth, 3).reshape(-1, 3).astype(np.float32)))
    colours, known = mean_colours(500, glossy)
    sh = sh_from_views(samples.points, colours, glossy, 1)
    seen = glossy[0]
    towards = samples.points[seen.index] - seen.view.camera.position
    basis = sh_basis(towards / np.linalg.norm(towards, axis=1, keepdims=True), 1)
    fitted = 0.5 + np.einsum("nk,nkc->nc", basis, sh[seen.index])
    flat = colours[seen.index]
    error, without = np.abs(fitted - seen.colour).mean(), np.abs(flat - seen.colour).mean()
    assert known.mean() > 0.95 and error < 0.5 * without
    assert np.array_equal(sh_from_views(samples.points, colours, glossy, 0)[:, 0], sh_from_views(
        samples.points, colours, [], 2)[:, 0])  # fmt: skip


def test_same_seed_same_start(capture, dataset):
    a, b = (initialise(dataset, SETTINGS).cloud for _ in range(2))
    other = initialise(dataset, attrs.evolve(SETTINGS, seed=1)).cloud
    assert np.array_equal(a.means, b.means) and np.array_equal(a.sh, b.sh)
    assert not np.array_equal(a.means, other.means)


def test_cancel_while_placing(capture, dataset):
    looks = iter([False] * 5)
    with pytest.raises(Cancelled):
        initialise(dataset, SETTINGS, lambda: next(looks, True))


def test_depth_start(capture, dataset):
    start = initialise(dataset, attrs.evolve(SETTINGS, start="depth"))
    distance = np.linalg.norm(start.cloud.means - SPLAT_CENTRE, axis=1)
    assert len(start.cloud) == 600 and np.abs(distance - RADIUS).max() < 1e-3 and np.all(start.face == -1)
    truth = srgb_from_linear(paint(directions_of(start.cloud.means)))
    assert np.abs(colours_of(start.cloud) - truth).mean() < 0.02


def test_random_start_fills_the_visual_hull(capture, dataset):
    start = initialise(dataset, attrs.evolve(SETTINGS, start="random"))
    distance = np.linalg.norm(start.cloud.means - SPLAT_CENTRE, axis=1)
    assert len(start.cloud) == 600 and distance.max() < 1.25 * RADIUS and np.median(distance) > 0.5 * RADIUS


def test_auto_takes_what_there_is(capture, dataset):
    without_mesh = attrs.evolve(dataset, capture=Capture(capture.folder, views=capture.views))
    assert initialise(without_mesh, SETTINGS).kind == "depth"
    blind = attrs.evolve(without_mesh, train=[attrs.evolve(v, depth=None) for v in dataset.train])
    assert initialise(blind, SETTINGS).kind == "random"
    assert initialise(attrs.evolve(blind, capture=None), SETTINGS).kind == "random"
    for start, words in (("depth", "no depth maps"), ("mesh", "no mesh"), ("points", "no points")):
        with pytest.raises(InputError, match=words):
            initialise(blind, attrs.evolve(SETTINGS, start=start))
    seen = initialise(attrs.evolve(blind, points=SPLAT_CENTRE[None]), SETTINGS)
    assert seen.kind == "points" and len(seen.cloud) == 1


@pytest.mark.parametrize("sparse", [150, 4000])
def test_points_start_has_the_wanted_number_near_the_given_ones(dataset, sparse):
    directions = np.random.default_rng(1).normal(size=(sparse, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    points = (CENTRE + RADIUS * directions) @ SPLAT_FROM_BLENDER.T
    given = attrs.evolve(dataset, capture=None, points=points, point_colours=srgb_from_linear(paint(directions)))
    start = initialise(given, attrs.evolve(SETTINGS, start="points"))
    distance = np.linalg.norm(start.cloud.means - SPLAT_CENTRE, axis=1)
    assert len(start.cloud) == 600 and start.kind == "points" and np.all(start.face == -1)
    assert np.abs(distance - RADIUS).max() < 0.05 * RADIUS
    assert np.abs(colours_of(start.cloud) - srgb_from_linear(paint(directions_of(start.cloud.means)))).mean() < 0.02


def test_from_points_handles_one_point_and_twins():
    cloud, spacing = from_points(np.zeros((1, 3)), np.full((1, 3), 0.5), 0)
    assert len(cloud) == 1 and spacing > 0 and cloud.finite().all()
    twins = np.repeat(np.random.default_rng(0).random((20, 3)), 2, axis=0)
    assert from_points(twins, np.full((40, 3), 0.5), 2)[0].finite().all()


def test_mesh_and_cameras_that_do_not_meet(capture, dataset):
    away = ball_camera(0, 0, 48, target=CENTRE + [0, 0, 5]).in_splat_frame()
    missing = attrs.evolve(dataset, train=[attrs.evolve(v, camera=away) for v in dataset.train])
    with pytest.raises(InputError, match="None of the 12 training cameras"):
        initialise(missing, SETTINGS)


def test_mesh_without_area(capture, dataset, tmp_path):
    flat = ball_mesh()
    flat.vertices[:] = CENTRE
    flat.save(tmp_path / "flat.npz")
    broken = Capture(tmp_path, views=capture.views, poses=[attrs.evolve(capture.poses[0], mesh="flat.npz")])
    with pytest.raises(InputError, match="no triangle with an area"):
        initialise(attrs.evolve(dataset, capture=broken), SETTINGS)


def test_the_number_of_threads_and_their_stretches_change_nothing(dataset, monkeypatch):
    settings = attrs.evolve(SETTINGS, sh_degree=2)
    once = initialise(dataset, settings)
    for threads, stretch in ((1, 4096), (5, 70)):
        monkeypatch.setattr("backend.fitting.sampling._threads", lambda threads=threads: threads)
        monkeypatch.setattr("backend.fitting.sampling._STRETCH", stretch)
        again = initialise(dataset, settings)
        for name in ("means", "sh", "log_scales", "quats_wxyz", "opacity_logits"):
            np.testing.assert_array_equal(getattr(again.cloud, name), getattr(once.cloud, name))
