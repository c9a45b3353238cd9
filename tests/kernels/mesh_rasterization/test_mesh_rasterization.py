# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from backend.kernels.mesh_rasterization import covered_samples, cpu, rasterize, reference
from interchange.cameras import Camera, look_at


def camera(size: int = 32, position: tuple = (0.0, -3.0, 0.4)) -> Camera:
    focal = 1.4 * size
    K = np.array([[focal, 0, size / 2], [0, focal, size / 2], [0, 0, 1.0]])
    return look_at(np.array(position), np.zeros(3), np.array([0, 0, 1.0]), K, size, size)


def soup(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    centres = generator.uniform(-1, 1, (count, 1, 3))
    corners = centres + generator.normal(0, 0.4, (count, 3, 3))
    return corners.reshape(-1, 3), np.arange(count * 3).reshape(-1, 3)


def sphere(rings: int, segments: int) -> tuple[np.ndarray, np.ndarray]:
    polar, turn = np.linspace(0, np.pi, rings), np.linspace(0, 2 * np.pi, segments, endpoint=False)
    t, p = np.meshgrid(polar, turn, indexing="ij")
    vertices = np.stack([np.sin(t) * np.cos(p), np.sin(t) * np.sin(p), np.cos(t)], -1).reshape(-1, 3)
    i, j = np.meshgrid(np.arange(rings - 1), np.arange(segments), indexing="ij")
    a, b = i * segments + j, i * segments + (j + 1) % segments
    faces = np.concatenate([np.stack([a, b, b + segments], -1), np.stack([a, b + segments, a + segments], -1)])
    return vertices, faces.reshape(-1, 3)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("samples", [1, 3])
def test_kernel_and_reference_give_equal_bits(seed: int, samples: int) -> None:
    vertices, faces = soup(40, seed)
    fast, slow = (room.rasterize(vertices, faces, camera(), samples) for room in (cpu, reference))
    assert (fast.face >= 0).mean() > 0.1
    assert_array_equal(fast.face, slow.face)
    assert_array_equal(fast.weights, slow.weights)
    assert_array_equal(fast.depth, slow.depth)


def test_faces_that_reach_behind_the_camera_are_seen_where_they_are_in_front() -> None:
    vertices = np.array([[-50.0, 40.0, -1.0], [50.0, 40.0, -1.0], [0.0, -60.0, -1.0]])  # a floor under the camera
    fast, slow = (room.rasterize(vertices, np.array([[0, 1, 2]]), camera()) for room in (cpu, reference))
    assert_array_equal(fast.face, slow.face)
    seen = fast.covered
    assert seen[-1].all() and not seen[0].any()
    points = interpolated_positions(fast, vertices, np.array([[0, 1, 2]]))
    assert_allclose(points[seen][:, 2], -1, atol=1e-4)


def interpolated_positions(raster: cpu.Raster, vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    return cpu.interpolate(raster, vertices[faces])


def test_weights_are_perspective_correct() -> None:
    vertices, faces = sphere(24, 32)
    view = camera(48)
    raster = cpu.rasterize(vertices, faces, view)
    seen = raster.covered
    points = interpolated_positions(raster, vertices, faces)[seen]
    uv, depth = view.project(points)
    assert_allclose(uv, view.pixel_centres().reshape(48, 48, 2)[seen], atol=2e-4)
    assert_allclose(depth, raster.depth[seen], rtol=1e-5)
    assert_allclose(raster.weights[seen].sum(1), 1, atol=1e-6)


def test_the_nearest_face_wins_and_equal_depth_goes_to_the_lower_index() -> None:
    square = np.array([[-1, 0, -1], [1, 0, -1], [1, 0, 1], [-1, 0, 1.0]])
    near = square - [0, 0.5, 0]
    vertices = np.concatenate([square, square, near])
    faces = np.array([[0, 1, 2], [0, 2, 3], [4, 5, 6], [4, 6, 7], [8, 9, 10], [8, 10, 11]])
    view = camera(16, (0.0, -3.0, 0.0))
    assert set(np.unique(cpu.rasterize(vertices, faces, view).face)) <= {-1, 4, 5}
    assert set(np.unique(cpu.rasterize(vertices, faces[:4], view).face)) <= {-1, 0, 1}


def test_a_closed_surface_has_no_cracks() -> None:
    vertices, faces = sphere(40, 61)
    raster = cpu.rasterize(vertices * 0.9, faces, camera(64), 4)
    y, x = np.nonzero(raster.covered)
    for row in range(raster.face.shape[0]):
        columns = x[y == row]
        if len(columns):
            assert len(columns) == columns.max() - columns.min() + 1
    front = interpolated_positions(raster, vertices * 0.9, faces)[raster.covered]
    assert (front @ camera(64).position > 0).all()  # a crack would show the far side


def test_samples_refine_the_same_picture() -> None:
    vertices, faces = sphere(30, 40)
    coarse, fine = (cpu.rasterize(vertices, faces, camera(), n) for n in (1, 3))
    assert_array_equal(coarse.face, fine.face[1::3, 1::3])  # the middle one of 3 x 3 lies at the pixel's centre


def test_uv_layout_puts_texels_where_the_uvs_say() -> None:
    face_uvs = np.array([[[0, 0], [1, 0], [0, 1.0]], [[1, 0], [1, 1], [0, 1.0]]])
    raster = cpu.rasterize_uv(face_uvs, 8, 6)
    assert raster.covered.all()
    uv = cpu.interpolate(raster, face_uvs)
    assert_allclose(uv[0, 0], [0.5 / 8, 1 - 0.5 / 6], atol=1e-6)
    assert_allclose(uv[5, 7], [7.5 / 8, 0.5 / 6], atol=1e-6)
    assert_array_equal(raster.face, reference.rasterize_uv(face_uvs, 8, 6).face)
    assert_allclose(uv, reference.interpolate(raster, face_uvs), atol=1e-6)


def test_degenerate_and_broken_faces_are_left_out() -> None:
    vertices = np.array([[0, 0, 0], [0, 0, 0], [1, 0, 0], [np.nan, 0, 0], [0, 0, 1.0]])
    raster = cpu.rasterize(vertices, np.array([[0, 1, 2], [0, 2, 3], [0, 4, 3]]), camera())
    assert not raster.covered.any() and not raster.weights.any() and not raster.depth.any()


def test_a_mesh_outside_the_view_gives_nothing() -> None:
    vertices, faces = sphere(8, 8)
    assert not cpu.rasterize(vertices + [100, 0, 0], faces, camera()).covered.any()
    assert not cpu.rasterize(vertices - [0, 50, 0], faces, camera()).covered.any()  # behind


@pytest.mark.parametrize("samples", [1, 3])
def test_covered_samples_are_those_that_have_a_face(samples):
    for vertices, faces in (sphere(30, 50), soup(60, 3), soup(400, 4)):
        for view in (camera(), camera(64, (0.0, -1.2, 0.0))):
            expected = rasterize(vertices, faces, view, samples).covered
            assert_array_equal(covered_samples(vertices, faces, view, samples), expected)
            half = covered_samples(vertices, faces[::2], view, samples)
            assert covered_samples(vertices, faces[1::2], view, samples, into=half) is half
            assert_array_equal(half, expected)


def test_covered_samples_of_broken_faces():
    corners = [[0, 0, 0], [0, 0, 0], [1, 0, 0], [np.nan, 0, 0], [0, 0, 1], [np.inf, 0, 0], [1e308, 0, 1e308]]
    faces = np.array([[0, 1, 2], [0, 2, 3], [0, 4, 3], [0, 4, 5], [0, 2, 6], [3, 3, 3], [0, 2, 4]])
    with np.errstate(all="ignore"):
        expected = rasterize(np.array(corners), faces, camera()).covered
        assert_array_equal(covered_samples(np.array(corners), faces, camera()), expected)
    assert expected.any()


def test_slivers_and_tilted_edges_begin_where_the_reference_says():
    """Where a row's first sample lies is estimated; edges along rows and samples on edges are the hard cases."""
    rng = np.random.default_rng(11)
    corners = rng.integers(0, 40, (60, 3, 3)).astype(float) / 2
    corners[::3, 1, 1] = corners[::3, 0, 1] + rng.choice([0, 1e-17, 1e-9, -1e-300], 20)
    corners[..., 2] = 1
    corners[1::4] *= rng.choice([1e-30, 1e-8, 3, 1e30], (15, 1, 1))
    ours, slow = (kind.rasterize_homogeneous(corners, 20, 20) for kind in (cpu, reference))
    for name in ("face", "weights", "depth"):
        assert_array_equal(getattr(ours, name), getattr(slow, name))
