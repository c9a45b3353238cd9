# SPDX-License-Identifier: Apache-2.0
"""Similarity transforms, resampling, which views show a face, and where it may change."""

from __future__ import annotations

import attrs
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from backend.faceswap.onnx.alignment import apply, inverse, resample, scale_of, umeyama
from backend.faceswap.onnx.paste import box_mask, paste
from backend.faceswap.onnx.templates import NEEDED, TEMPLATES, five_points, template_points
from backend.faceswap.onnx.visibility import check_landmarks, look, region_mask
from backend.faceswap.sampling import sample_linear
from interchange.capture import ViewImages
from interchange.errors import InputError
from interchange.mesh import Region

from .. import synthetic


def test_umeyama_finds_a_known_similarity() -> None:
    points = np.random.default_rng(0).normal(size=(5, 2))
    turn = 2.0 * np.array([[np.cos(2.5), -np.sin(2.5)], [np.sin(2.5), np.cos(2.5)]])
    matrix = umeyama(points, points @ turn.T + [3, -1])
    assert_allclose(matrix, np.column_stack([turn, [3, -1]]), atol=1e-12)
    assert scale_of(matrix) == pytest.approx(2)
    assert_allclose(apply(inverse(matrix), apply(matrix, points)), points, atol=1e-12)


def test_a_mirrored_face_is_never_mirrored_back() -> None:
    points = np.array(TEMPLATES["arcface_128"])
    assert np.linalg.det(umeyama(points * [-1, 1], points)[:, :2]) > 0


def test_points_that_are_one_are_refused() -> None:
    with pytest.raises(InputError, match="one point"):
        umeyama(np.ones((5, 2)), np.array(TEMPLATES["arcface_128"]))


def test_templates_agree_with_each_other() -> None:
    """arcface_112_v2 is insightface's 112 pixel template; arcface_128 the same, eight pixels to the right of 128."""
    pixels = [(38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366), (41.5493, 92.3655), (70.7299, 92.2041)]
    assert_allclose(template_points("arcface_112_v2", 112), pixels, atol=2e-3)
    assert_allclose(template_points("arcface_128", 128), np.array(pixels) + [8, 0], atol=2e-3)
    for name in TEMPLATES:
        left, right, nose, *corners = template_points(name, 1)
        assert left[0] < nose[0] < right[0] and left[1] < nose[1] < corners[0][1]


def test_crop_scale_shows_more_around_the_same_centre() -> None:
    usual, wide = (template_points("ffhq_512", 256, scale) for scale in (1.0, 1.25))
    assert_allclose((wide - 128) * 1.25, usual - 128)


def test_resampling_keeps_means_and_does_not_alias() -> None:
    stripes = np.zeros((60, 60, 1), np.float32)
    stripes[:, ::2] = 1
    coarse = resample(stripes, np.array([[4.0, 0, 1.5], [0, 4.0, 1.5]]), range(1, 14), range(1, 14), sample_linear)
    assert np.abs(coarse - 0.5).max() < 1e-6
    same = resample(stripes, np.array([[1.0, 0, 0], [0, 1.0, 0]]), range(60), range(60), sample_linear)
    assert_array_equal(same, stripes)


def test_the_box_is_whole_inside_and_nothing_at_the_border() -> None:
    for feather in (0.0, 0.02, 0.3, 1.0):
        mask = box_mask(128, feather)
        assert not mask[0].any() and not mask[:, -1].any() and mask[64, 64] > 0.9
        assert_array_equal(mask, mask[::-1, ::-1])
        assert (np.diff(mask[64, :64]) >= -1e-7).all()


VIEWS = [(0, True), (45, True), (-90, True), (90, True), (130, False), (180, False)]


@pytest.mark.parametrize(("azimuth", "swapped"), VIEWS)
def test_profiles_are_swapped_and_backs_are_not(azimuth: float, swapped: bool) -> None:
    sight = look(synthetic.head(), synthetic.dome_camera(azimuth, 0, 128))
    assert (sight.left_alone is None) == swapped
    if not swapped:
        assert sight.left_alone is not None and "facial landmarks" in sight.left_alone


def test_hidden_points_come_from_the_mesh() -> None:
    mesh, camera = synthetic.head(), synthetic.dome_camera(70, 0, 128)
    wanted = five_points(camera.project(mesh.vertices[mesh.landmarks])[0])
    assert_array_equal(look(mesh, camera).points, wanted)


def test_a_hand_before_the_face_hides_it() -> None:
    mesh, camera = synthetic.head(), synthetic.dome_camera(0, 0, 128)
    far = len(mesh.vertices)
    board = np.array([[-0.3, -0.3, 1.3], [0.3, -0.3, 1.3], [0.0, -0.3, 2.0]])
    hidden = attrs.evolve(
        mesh, faces=np.concatenate([mesh.faces, [[far, far + 1, far + 2]]]),
        **{n: np.concatenate([getattr(mesh, n), board]) for n in ("vertices", "rest_vertices", "normals")},
        face_uvs=np.concatenate([mesh.face_uvs, np.zeros((1, 3, 2))]), face_object=np.append(mesh.face_object, 2),
        face_region=np.append(mesh.face_region, Region.OTHER),
        **{n: np.append(getattr(mesh, n), [0, 0, 0]) for n in ("region_face", "region_lips", "region_brows")},
        **{n: np.concatenate([getattr(mesh, n), np.zeros((3, 4))]) for n in ("bone_index", "bone_weight")},
    )  # fmt: skip
    assert look(mesh, camera).left_alone is None
    assert look(hidden, camera).left_alone is not None


def test_faces_outside_the_picture_or_too_small_are_left_alone() -> None:
    mesh = synthetic.head()
    camera = synthetic.dome_camera(0, 0, 128)
    shifted = attrs.evolve(camera, K=camera.K + [[0, 0, 500], [0, 0, 0], [0, 0, 0]])
    assert "facial landmarks" in str(look(mesh, shifted).left_alone)
    assert "too small" in str(look(mesh, synthetic.dome_camera(0, 0, 128, distance=6)).left_alone)
    behind = attrs.evolve(camera, world_to_camera=np.diag([-1.0, 1, -1, 1]) @ camera.world_to_camera)
    assert "behind the face" in str(look(mesh, behind).left_alone)


def test_an_avatar_without_the_needed_landmarks_is_refused() -> None:
    landmarks = synthetic.head().landmarks.copy()
    landmarks[[30, 40]] = -1
    with pytest.raises(InputError, match="lacks the landmarks 30, 40"):
        check_landmarks(attrs.evolve(synthetic.head(), landmarks=landmarks))
    assert len(NEEDED) == 15


def test_the_region_has_face_eyes_and_mouth_but_no_hair() -> None:
    mesh, camera = synthetic.head(), synthetic.dome_camera(0, 0, 96)
    images = synthetic.render(mesh, np.full((8, 8, 3), 0.5, np.float32), camera, synthetic.Light())
    region = region_mask(images, mesh, look(mesh, camera).raster)
    assert_array_equal(region[images.masks["eye"] > 0.99], 1)
    assert not region[images.masks["hair"] > 0.99].any() and not region[images.alpha == 0].any()
    # A mouth that the renderer has no mask for: what the mesh says is a mouth there, and the renderer says is covered.
    on_lips = mesh.face_region.copy()
    on_lips[mesh.region_lips[mesh.faces].min(1) > 0.5] = Region.MOUTH
    opened = attrs.evolve(mesh, face_region=on_lips)
    seen = np.isin(look(opened, camera).raster.face, np.flatnonzero(on_lips == Region.MOUTH))
    masks = {n: np.where(seen, 0, m).astype(np.float32) for n, m in images.masks.items()}
    without = attrs.evolve(images, masks=masks)
    assert not region_mask(without, mesh, look(mesh, camera).raster)[seen].any()
    assert_allclose(region_mask(without, opened, look(opened, camera).raster)[seen], images.alpha[seen])
    with pytest.raises(InputError, match="no face mask"):
        region_mask(attrs.evolve(images, masks={}), mesh, look(mesh, camera).raster)


def test_what_comes_back_unchanged_changes_nothing() -> None:
    """Soft edges, half covered pixels and highlights included."""
    random = np.random.default_rng(0)
    alpha = random.uniform(0.1, 1, (40, 40)).astype(np.float32)
    rgb = (random.uniform(0, 3, (40, 40, 3)) * alpha[..., None]).astype(np.float32)
    images = ViewImages(rgb=rgb, alpha=alpha)
    same = np.array([[1.0, 0, 0], [0, 1.0, 0]])
    mask = np.zeros((40, 40), np.float32)
    mask[5:-5, 5:-5] = random.uniform(0, 1, (30, 30))
    result = paste(images, images.display(), mask, np.ones((40, 40), np.float32), same)
    wanted = np.where(rgb > alpha[..., None], rgb + mask[..., None] * (alpha[..., None] - rgb), rgb)
    assert np.abs(result - wanted).max() < 1e-5
    assert_array_equal(result[mask == 0], rgb[mask == 0])
    away = np.array([[1.0, 0, 500], [0, 1.0, 0]])
    assert paste(images, images.display(), mask, np.ones((40, 40), np.float32), away) is images.rgb
