# SPDX-License-Identifier: Apache-2.0
"""The skin painter on a simple face-like surface with landmarks in their proportions."""

from __future__ import annotations

import attrs
import numpy as np
import pytest

from avatars.painting.chart import distance_to_polyline, inside_polygon, spline
from avatars.painting.raster import fill_gaps, rasterize_uv, triangulate
from avatars.skin import IRIS_RADIUS, Look, SkinSurface, paint_iris, paint_skin

SIZE = 256


def front_points() -> np.ndarray:
    """(68, 2) x and z in metres of a plausible face, eyes at z = 0."""
    jaw = [(-0.070 * np.cos(a), -0.01 - 0.09 * np.sin(a)) for a in np.linspace(0.05, np.pi - 0.05, 17)]
    brow = [(0.010, 0.015), (0.020, 0.019), (0.030, 0.020), (0.039, 0.019), (0.047, 0.015)]
    nose = [(0, 0), (0, -0.011), (0, -0.022), (0, -0.033), (-0.014, -0.042), (-0.006, -0.044), (0, -0.045)]
    nose += [(0.006, -0.044), (0.014, -0.042)]
    left_eye = [(0.016, 0), (0.025, 0.005), (0.034, 0.005), (0.045, 0), (0.034, -0.004), (0.025, -0.004)]
    right_eye = [(-x, z) for x, z in (left_eye[3], left_eye[2], left_eye[1], left_eye[0], left_eye[5], left_eye[4])]
    lips = [(-0.024, -0.066), (-0.014, -0.060), (-0.004, -0.057), (0, -0.058), (0.004, -0.057), (0.014, -0.060)]
    lips += [(0.024, -0.066), (0.014, -0.073), (0.005, -0.076), (0, -0.0765), (-0.005, -0.076), (-0.014, -0.073)]
    seam = [(-0.021, -0.066), (-0.01, -0.065), (0, -0.065), (0.01, -0.065), (0.021, -0.066), (0.01, -0.067)]
    seam += [(0, -0.067), (-0.01, -0.067)]
    brows = [(-x, z) for x, z in reversed(brow)] + brow
    return np.array(jaw + brows + nose + right_eye + left_eye + lips + seam)


def surface(cut: bool = False) -> SkinSurface:
    """Half a cylinder as a face; landmarks are loose extra vertices. `cut` puts its two halves apart in UV space."""
    columns, rows = 41, 33
    angle, height = np.meshgrid(np.linspace(-1.5, 1.5, columns), np.linspace(-0.13, 0.10, rows))
    radius = 0.0800
    grid = np.stack([radius * np.sin(angle), 0.0675 - radius * np.cos(angle), height], axis=-1).reshape(-1, 3)
    normals = np.stack([np.sin(angle), -np.cos(angle), 0 * angle], axis=-1).reshape(-1, 3)
    ids = np.arange(rows * columns).reshape(rows, columns)
    quads = np.stack([ids[:-1, :-1], ids[:-1, 1:], ids[1:, 1:], ids[1:, :-1]], axis=-1).reshape(-1, 4)
    faces, _ = triangulate(quads.tolist())
    u, v = (angle.ravel() + 1.5) / 3.0, (height.ravel() + 0.13) / 0.23
    uv = np.stack([0.02 + 0.96 * u, 0.02 + 0.96 * v], axis=1)[faces]
    if cut:
        right = grid[faces, 0].mean(axis=1) < 0
        uv[..., 0] = np.where(right[:, None], 0.02 + 0.44 * 2 * u[faces], 0.54 + 0.44 * (2 * u[faces] - 1))
    front = front_points()
    theta = np.arcsin(np.clip(front[:, 0] / radius, -0.99, 0.99))
    marks = np.stack([radius * np.sin(theta), 0.0675 - radius * np.cos(theta), front[:, 1]], axis=1)
    points = np.concatenate([grid, marks])
    mark_normals = np.stack([np.sin(theta), -np.cos(theta), 0 * theta], axis=1)
    landmarks = np.arange(len(grid), len(grid) + 68)
    return SkinSurface(points, np.concatenate([normals, mark_normals]), faces, uv, landmarks)


def at(image: np.ndarray, x: float, z: float) -> np.ndarray:
    """Mean colour of 3x3 texels where the uncut surface has the point (x, z)."""
    u, v = 0.02 + 0.96 * (np.arcsin(x / 0.08) + 1.5) / 3.0, 0.02 + 0.96 * (z + 0.13) / 0.23
    column, row = int(u * SIZE), int((1 - v) * SIZE)
    return image[row - 1 : row + 2, column - 1 : column + 2].mean(axis=(0, 1))


PLAIN = Look(moles=0, stubble=0.0, freckles=0.0, wrinkles=0.0, blush=0.0, seed=4)


@pytest.fixture(scope="module")
def painted() -> np.ndarray:
    return paint_skin(surface(), PLAIN, SIZE)


def test_shape_range_and_determinism(painted: np.ndarray) -> None:
    assert painted.shape == (SIZE, SIZE, 3) and painted.dtype == np.float32
    assert np.isfinite(painted).all() and painted.min() >= 0 and painted.max() <= 1
    assert np.array_equal(painted, paint_skin(surface(), PLAIN, SIZE))
    assert not np.array_equal(painted, paint_skin(surface(), attrs.evolve(PLAIN, seed=5), SIZE))


def test_features_are_where_the_landmarks_say(painted: np.ndarray) -> None:
    forehead, lips, brow = at(painted, 0, 0.045), at(painted, 0, -0.071), at(painted, 0.030, 0.020)
    assert np.abs(forehead - PLAIN.tone).max() < 0.12
    assert lips[0] - lips[1] > forehead[0] - forehead[1] + 0.03  # lips are redder
    assert brow.mean() < forehead.mean() - 0.12
    assert at(painted, 0.030, 0.0052).mean() < forehead.mean() - 0.08  # lash line
    cheek = at(painted, 0.040, -0.035)
    assert cheek[0] / cheek[1] > forehead[0] / forehead[1] + 0.01  # cheeks are redder than the forehead
    bare = paint_skin(surface(), attrs.evolve(PLAIN, brow_density=0.0), SIZE)
    assert at(bare, 0.030, 0.020).mean() > brow.mean() + 0.1


@pytest.mark.parametrize(
    ("change", "place", "sign"),
    [
        ({"stubble": 0.8}, (0.0, -0.092), -1),
        ({"tone": (0.45, 0.30, 0.22)}, (0.0, 0.045), -1),
        ({"lips": (0.5, 0.1, 0.1)}, (0.0, -0.071), -1),
        ({"makeup": 1.0}, (0.030, 0.0085), -1),
    ],
)
def test_looks_change_what_they_name(painted: np.ndarray, change: dict, place: tuple, sign: int) -> None:
    other = paint_skin(surface(), attrs.evolve(PLAIN, **change), SIZE)
    assert sign * (at(other, *place).mean() - at(painted, *place).mean()) > 0.01


def test_freckles_and_wrinkles_add_detail(painted: np.ndarray) -> None:
    freckled = paint_skin(surface(), attrs.evolve(PLAIN, freckles=1.0), SIZE)
    assert np.abs(freckled - painted).max() > 0.05
    old = paint_skin(surface(), attrs.evolve(PLAIN, wrinkles=1.0), SIZE)
    rows = slice(int(0.12 * SIZE), int(0.38 * SIZE))
    middle = slice(int(0.45 * SIZE), int(0.55 * SIZE))

    def stripes(image: np.ndarray) -> float:
        return float(image[rows, middle].mean(axis=(1, 2)).std())

    assert stripes(old) > 2 * stripes(painted)


def test_no_seam_between_uv_islands() -> None:
    """Both sides of a UV cut get the colour of the same 3D points."""
    image = paint_skin(surface(cut=True), PLAIN, SIZE)
    v = np.linspace(0.1, 0.9, 40)
    rows = ((1 - (0.02 + 0.96 * v)) * SIZE).astype(int)
    left_edge, right_edge = image[rows, int(0.4595 * SIZE)], image[rows, int(0.5415 * SIZE)]
    assert np.abs(left_edge - right_edge).mean() < 0.02
    gap = image[rows, int(0.5 * SIZE)]  # between the islands: filled with skin, not black
    assert gap.min() > 0.15


def test_iris() -> None:
    image = paint_iris(Look(iris=(0.2, 0.35, 0.6)), 128)
    assert image.shape == (128, 128, 3) and image.min() >= 0 and image.max() <= 1
    assert image[63:65, 63:65].mean() < 0.12  # pupil
    ring = image[64, int(128 * (0.5 + 0.65 * IRIS_RADIUS))]
    assert ring[2] > ring[0]  # blue
    assert image[64, 126].mean() > 0.5  # the white
    assert np.array_equal(image, paint_iris(Look(iris=(0.2, 0.35, 0.6)), 128))


def test_rasterized_attributes_are_exact() -> None:
    """A linear function of UV, given at the corners, comes back at every texel."""
    uv = np.array([[[0.1, 0.1], [0.9, 0.15], [0.2, 0.8]], [[0.9, 0.15], [0.95, 0.9], [0.2, 0.8]], [[0.3, 0.3]] * 3])
    faces = np.array([[0, 1, 2], [1, 3, 2], [0, 0, 0]])
    values = np.array([2 * 0.1 + 0.1, 2 * 0.9 + 0.15, 2 * 0.2 + 0.8, 2 * 0.95 + 0.9])
    texels = rasterize_uv(uv, 64)
    u, v = (texels.index % 64 + 0.5) / 64, 1 - (texels.index // 64 + 0.5) / 64
    assert np.abs(texels.interpolate(values, faces) - (2 * u + v)).max() < 1e-4
    inside = (texels.barycentric >= 0).all(axis=1)
    assert abs(inside.sum() / 64**2 - 0.5 * abs(0.8 * 0.7 - 0.05 * 0.1) - 0.5 * abs(0.05 * 0.65 + 0.75 * 0.7)) < 0.01
    assert set(texels.face) == {0, 1}


def test_gaps_are_filled_without_touching_what_is_there() -> None:
    image = np.zeros((33, 33, 3), np.float32)
    covered = np.zeros((33, 33), bool)
    image[4:8, 4:8], covered[4:8, 4:8] = 0.7, True
    filled = fill_gaps(image, covered)
    assert np.allclose(filled, 0.7, atol=1e-6)


def test_curves() -> None:
    points = np.array([[0.0, 0.0], [1.0, 1.0], [2.0, 0.0]])
    curve = spline(points, 4)
    assert np.allclose(curve[[0, 4, 8]], points) and len(curve) == 9
    ring = spline(points, 4, closed=True)
    assert np.allclose(ring[[0, 4, 8]], points) and len(ring) == 12
    line = np.array([[0.0, 0.0], [2.0, 0.0], [2.0, 2.0]])
    distance, side, along = distance_to_polyline(np.array([1.0, 3.0]), np.array([0.5, 1.0]), line)
    assert np.allclose(distance, [0.5, 1.0]) and side.tolist() == [1, -1] and np.allclose(along, [0.25, 0.75])
    square = np.array([[0, 0], [1, 0], [1, 1], [0, 1.0]])
    assert inside_polygon(np.array([0.5, 1.5, -0.1]), np.array([0.5, 0.5, 0.2]), square).tolist() == [
        True,
        False,
        False,
    ]


def test_one_sided_marks_lie_on_one_half_each_and_leave_the_rest() -> None:
    plain, marked = (paint_skin(surface(), Look(one_sided=amount, seed=4), SIZE) for amount in (0.0, 1.0))
    assert np.array_equal(plain, paint_skin(surface(), Look(seed=4), SIZE))
    assert np.array_equal(marked, paint_skin(surface(), Look(one_sided=1.0, seed=4), SIZE))
    change = np.abs(marked - plain).max(-1)
    strong = change > 0.12
    assert 0.002 < strong.mean() < 0.06
    mirrored = strong & strong[:, ::-1]  # the test's surface unwraps symmetrically
    assert mirrored.sum() < 0.1 * strong.sum()
    left, right = marked[:, SIZE // 2 :], marked[:, : SIZE // 2]
    rows = slice(SIZE // 3, SIZE // 2)  # eyes and cheeks: the sunny side is darker as a whole
    assert np.median(left[rows]) < np.median(right[rows]) - 0.005
