# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from backend.faceswap.atlas import Atlas, build_atlas, vertex_normals
from backend.faceswap.completion import complete_by_symmetry, membrane
from backend.faceswap.symmetry import mirror_uvs
from interchange.errors import InputError
from interchange.mesh import Mesh

from .synthetic import ATLAS_SIZE, texture_angles


def test_texels_lie_where_the_layout_puts_them(mesh: Mesh, atlas: Atlas) -> None:
    azimuth, _ = texture_angles(ATLAS_SIZE)
    points = atlas.of_vertices(mesh, mesh.rest_vertices)
    found = np.degrees(np.arctan2(points[:, 0], -points[:, 1]))
    expected = atlas.of_image(azimuth)
    ahead = np.abs(expected) < 100
    # Azimuths of the layout are those of directions before the head was made narrower than deep.
    stretched = np.degrees(np.arctan2(0.076 * np.sin(np.radians(expected)), 0.095 * np.cos(np.radians(expected))))
    away_from_poles = np.hypot(points[:, 0], points[:, 1]) > 0.05
    assert np.abs(found - stretched)[ahead & away_from_poles].max() < 2.5
    assert set(mesh.face_object[atlas.faces]) == {0}


def test_images_go_on_past_the_islands(mesh: Mesh, atlas: Atlas) -> None:
    values = np.arange(len(atlas.rows), dtype=float)
    image = atlas.to_image(values)
    assert_array_equal(atlas.of_image(image), values)
    covered = np.zeros((ATLAS_SIZE, ATLAS_SIZE), bool)
    covered[atlas.rows, atlas.columns] = True
    assert not covered[0].any()
    columns = np.flatnonzero(covered[4:8].all(0))
    first = np.argmax(covered[:, columns[10]])
    assert (image[:first, columns[10]] == image[first, columns[10]]).all()


def test_a_mesh_without_uvs_is_refused(mesh: Mesh) -> None:
    import attrs

    with pytest.raises(InputError, match="no UVs"):
        build_atlas(attrs.evolve(mesh, face_uvs=np.zeros_like(mesh.face_uvs)), 0, 64, 64)
    with pytest.raises(InputError, match="outside the texture"):
        build_atlas(attrs.evolve(mesh, face_uvs=mesh.face_uvs + 3), 0, 64, 64)


def test_normals_are_those_of_the_surface(mesh: Mesh) -> None:
    found = vertex_normals(mesh.vertices, mesh.faces)
    assert_allclose(found, mesh.normals, atol=5e-3)  # those of the mesh are float32


def test_the_mirror_of_a_texel_is_its_twin(mesh: Mesh, atlas: Atlas) -> None:
    chosen = np.random.default_rng(0).choice(len(atlas.rows), 3000, replace=False)
    uv, distance = mirror_uvs(mesh, atlas.faces[chosen], atlas.weights[chosen], 0)
    own = (atlas.columns[chosen] + 0.5) / ATLAS_SIZE, 1 - (atlas.rows[chosen] + 0.5) / ATLAS_SIZE
    inner = (np.abs(own[1] - 0.5) < 0.4) & (np.abs(own[0] - 0.5) < 0.45)
    # The grid's diagonals are not mirrored, so a twin may lie a fraction of a millimetre off.
    assert distance.max() < 1e-3
    assert_allclose(uv[inner, 0], 1 - own[0][inner], atol=0.006)
    assert_allclose(uv[inner, 1], own[1][inner], atol=0.006)


def test_symmetry_fills_only_what_is_wanted_and_unknown(mesh: Mesh, atlas: Atlas) -> None:
    azimuth, elevation = (atlas.of_image(a) for a in texture_angles(ATLAS_SIZE))
    known = azimuth < 0
    pattern = np.stack([np.cos(np.radians(azimuth)), np.sin(np.radians(elevation)), 0 * azimuth], 1) * 0.3 + 0.5
    colour = np.where(known[:, None], pattern, 9.0)
    wanted = np.abs(azimuth) < 60
    filled, trust = complete_by_symmetry(colour, known.astype(np.float32), mesh, atlas, 0, wanted)
    assert_array_equal(filled[known], pattern[known].astype(np.float32))
    assert_array_equal(filled[~wanted & ~known], np.float32(9.0))
    new = wanted & (azimuth > 5) & (np.abs(elevation) < 70)
    assert_allclose(filled[new], pattern[new], atol=0.01)
    assert (trust[new] > 0.9).all() and (trust[~wanted & ~known] == 0).all()


def test_the_membrane_follows_what_is_known_and_bridges_the_rest(mesh: Mesh, atlas: Atlas) -> None:
    azimuth, elevation = (atlas.of_image(a) for a in texture_angles(ATLAS_SIZE))
    ring = np.hypot(azimuth, elevation)
    values = np.full((len(azimuth), 2), [0.3, -0.2])
    values[ring < 25] = 5.0  # not known, must not matter
    trust = ((ring > 25) & (ring < 60)).astype(np.float32)
    smooth = membrane(values, trust, mesh, atlas, 0)
    assert_allclose(smooth[ring < 22], np.broadcast_to([0.3, -0.2], smooth[ring < 22].shape), atol=0.01)
    assert_allclose(smooth[trust > 0], values[trust > 0], atol=0.01)


def test_the_membrane_crosses_uv_seams(mesh: Mesh, atlas: Atlas) -> None:
    azimuth, elevation = (atlas.of_image(a) for a in texture_angles(ATLAS_SIZE))
    values = np.ones((len(azimuth), 1))
    trust = ((azimuth > 170) & (np.abs(elevation) < 60)).astype(np.float32)  # one side of the seam behind
    smooth = membrane(values, trust, mesh, atlas, 0)
    assert smooth[(azimuth < -174) & (np.abs(elevation) < 40), 0].min() > 0.9
