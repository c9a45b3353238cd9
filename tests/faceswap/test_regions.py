# SPDX-License-Identifier: Apache-2.0
import attrs
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from backend.faceswap.atlas import Atlas
from backend.faceswap.regions import face_regions, part_share
from backend.faceswap.settings import PARTS
from interchange.errors import InputError
from interchange.mesh import Mesh

from .synthetic import ATLAS_SIZE, texture_angles


def angles(atlas: Atlas) -> tuple[np.ndarray, np.ndarray]:
    azimuth, elevation = texture_angles(ATLAS_SIZE)
    return atlas.of_image(azimuth), atlas.of_image(elevation)


def test_parts_lie_where_they_are_on_a_face(mesh: Mesh, atlas: Atlas) -> None:
    regions, (azimuth, elevation) = face_regions(mesh, atlas), angles(atlas)
    assert set(regions.parts) == set(PARTS)
    eyes, lips = regions.parts["eyes"], regions.parts["lips"]
    for side in (-1, 1):
        assert eyes[np.hypot(azimuth - 25 * side, elevation - 10) < 3].min() > 0.9
    assert eyes[np.abs(azimuth) < 5].max() == 0 and eyes[elevation < -10].max() == 0
    assert lips[np.hypot(azimuth / 20, (elevation + 30) / 7.5) < 0.7].min() > 0.9
    assert_array_equal(regions.blend, regions.face)


def test_an_avatar_without_eye_landmarks_has_no_eye_part(mesh: Mesh, atlas: Atlas) -> None:
    landmarks = mesh.landmarks.copy()
    landmarks[[36, 45]] = -1
    assert face_regions(attrs.evolve(mesh, landmarks=landmarks), atlas).parts["eyes"].max() == 0


def test_a_part_has_a_strength_of_its_own(mesh: Mesh, atlas: Atlas) -> None:
    regions = face_regions(mesh, atlas)
    assert_array_equal(part_share(regions, {name: 1.0 for name in PARTS}), 1)
    taken = part_share(regions, {"lips": 0.25, "brows": 1.0, "eyes": 0.0})
    lips, eyes = regions.parts["lips"] == 1, regions.parts["eyes"] == 1
    assert_allclose(taken[lips], 0.25, rtol=1e-5)
    assert taken[eyes].max() == 0
    assert_array_equal(taken[(regions.parts["lips"] == 0) & (regions.parts["eyes"] == 0)], 1)


def test_a_painted_mask_takes_the_place_of_the_meshs_own(mesh: Mesh, atlas: Atlas) -> None:
    (azimuth, elevation) = texture_angles(2 * ATLAS_SIZE)
    painted = ((azimuth > 0) & (np.abs(elevation + 30) < 40)).astype(np.float32)  # a half, and down the neck
    plain, regions = face_regions(mesh, atlas), face_regions(mesh, atlas, painted)
    azimuth, elevation = angles(atlas)
    assert regions.blend[azimuth < -3].max() == 0 and regions.blend[(azimuth > 3) & (elevation < 0)].max() == 1
    neck = (azimuth > 10) & (azimuth < 100) & (elevation > -68) & (elevation < -66)
    assert plain.face[neck].max() < 0.05 and regions.face[neck].min() == 1
    assert_array_equal(regions.core, plain.core)
    with pytest.raises(InputError, match="mask is black"):
        face_regions(mesh, atlas, np.zeros((8, 8), np.float32))
