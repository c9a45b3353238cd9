# SPDX-License-Identifier: Apache-2.0
import attrs
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from backend.faceswap.atlas import Atlas
from backend.faceswap.cleaning import believable, evened, off_hair, without_glare
from backend.faceswap.regions import face_regions
from interchange.errors import InputError
from interchange.mesh import Mesh

from .synthetic import ATLAS_SIZE, texture_angles

SKIN = np.array([0.5, 0.3, 0.22], np.float32)


def angles(atlas: Atlas) -> tuple[np.ndarray, np.ndarray]:
    azimuth, elevation = texture_angles(ATLAS_SIZE)
    return atlas.of_image(azimuth), atlas.of_image(elevation)


def plain_skin(atlas: Atlas) -> np.ndarray:
    noise = np.random.default_rng(0).normal(1, 0.02, (len(atlas.rows), 1))
    return (SKIN * noise).astype(np.float32)


def test_hair_from_outside_goes_and_moles_stay(mesh: Mesh, atlas: Atlas) -> None:
    regions, (azimuth, elevation) = face_regions(mesh, atlas), angles(atlas)
    albedo = plain_skin(atlas)
    fringe = (elevation > 20) & (np.abs(azimuth) < 30)
    mole = np.hypot(azimuth - 20, elevation + 10) < 3
    albedo[fringe | mole] = [0.02, 0.015, 0.01]
    trust = (regions.face > 0).astype(np.float32)
    keep = off_hair(albedo, trust, regions, atlas)
    assert keep[fringe & (regions.face > 0.3)].max() == 0
    assert keep[mole & regions.core].min() == 1
    rim = (elevation > 18.5) & (elevation < 20) & (np.abs(azimuth) < 25)
    assert keep[rim].max() < 0.5
    assert keep[(elevation < 5) & (regions.face > 0.5)].min() == 1
    assert_array_equal(off_hair(plain_skin(atlas), trust, regions, atlas), 1)


def test_a_birthmark_and_a_mole_at_the_masks_edge_stay_and_hair_there_does_not(mesh: Mesh, atlas: Atlas) -> None:
    regions, (azimuth, elevation) = face_regions(mesh, atlas), angles(atlas)
    stain = (np.abs(elevation) < 12) & (azimuth > 45)  # to the edge and beyond
    mole = np.hypot(azimuth + 60, elevation + 10) < 3
    trust = (regions.face > 0).astype(np.float32)
    for colour, stays in (((0.42, 0.15, 0.12), True), ((0.10, 0.05, 0.03), False), ((0.34, 0.20, 0.07), False)):
        albedo = plain_skin(atlas)  # blood; brown hair; fair hair
        albedo[stain] *= np.array(colour, np.float32) / SKIN
        albedo[mole] = [0.03, 0.02, 0.015]
        keep = off_hair(albedo, trust, regions, atlas)
        assert keep[mole & (regions.face > 0.3)].min() == 1
        kept = keep[stain & (regions.face > 0.3)]
        assert kept.min() == 1 if stays else kept.max() < 0.5
        belief = believable(albedo, trust, regions)[stain & (regions.face > 0.1) & (regions.face < 0.85)]
        assert belief.min() > 0.9 if stays else belief.max() < 0.1, colour


def test_foreign_colours_count_only_where_the_face_is_seen_well(mesh: Mesh, atlas: Atlas) -> None:
    regions, (azimuth, elevation) = face_regions(mesh, atlas), angles(atlas)
    albedo = plain_skin(atlas)
    dark = np.hypot(azimuth, elevation) < 5
    shade = np.hypot(azimuth - 40, elevation) < 5
    albedo[dark | shade] *= 0.2
    trust = np.where(azimuth > 30, 0.4, 1.0).astype(np.float32)
    keep = believable(albedo, trust, regions)
    assert keep[dark].min() == 1 and keep[shade].max() == 0
    assert keep[regions.core & ~dark & ~shade].min() > 0.95


def test_glare_is_pressed_down_and_the_rest_kept(mesh: Mesh, atlas: Atlas) -> None:
    regions, (azimuth, elevation) = face_regions(mesh, atlas), angles(atlas)
    albedo = plain_skin(atlas)
    shiny = np.hypot(azimuth, elevation - 20) < 6
    albedo[shiny] = albedo[shiny] * 1.2 + 0.8
    cleaned = without_glare(albedo, regions.face, regions)
    assert_array_equal(cleaned[~shiny], albedo[~shiny])
    assert (cleaned[shiny] / SKIN).max() < 2 and (albedo[shiny] / SKIN).min() > 2.5
    assert cleaned.max() <= 1


def test_broad_shade_is_evened_and_small_marks_stay(mesh: Mesh, atlas: Atlas) -> None:
    regions, (azimuth, elevation) = face_regions(mesh, atlas), angles(atlas)
    albedo = plain_skin(atlas) * (1 + 0.12 * np.tanh(azimuth / 20))[:, None]
    mark = np.hypot(azimuth - 20, elevation + 10) < 2
    albedo[mark] *= 0.3
    result = evened(albedo.astype(np.float32), regions.face, mesh, 0, atlas, regions, 1.0)
    inner = regions.core & (np.abs(azimuth) > 15) & ~mark

    def sides(values: np.ndarray) -> float:
        return float(values[inner & (azimuth > 0)].mean() / values[inner & (azimuth < 0)].mean())

    assert sides(albedo) > 1.15 and abs(sides(result) - 1) < 0.05
    assert (result[mark].mean() / result[inner].mean()) < 0.45
    unchanged = evened(albedo.astype(np.float32), regions.face, mesh, 0, atlas, regions, 0.0)
    assert_allclose(unchanged, np.clip(albedo, 0, 1), atol=1e-6)


def test_a_birthmark_is_not_evened_away(mesh: Mesh, atlas: Atlas) -> None:
    regions, (azimuth, elevation) = face_regions(mesh, atlas), angles(atlas)
    albedo = plain_skin(atlas)
    albedo *= np.random.default_rng(0).normal(1, 0.12, (len(albedo), 1)).astype(np.float32)
    mark = np.hypot(azimuth - 22, elevation + 6) < 9
    albedo[mark] *= np.array([0.95, 0.6, 0.6], np.float32)
    result = evened(albedo, regions.face, mesh, 0, atlas, regions, 1.0)
    core = mark & regions.core
    assert_allclose(result[core].mean(0), albedo[core].mean(0), rtol=0.05)


def test_an_avatar_without_a_face_region_is_refused(mesh: Mesh, atlas: Atlas) -> None:
    with pytest.raises(InputError, match="no face region"):
        face_regions(attrs.evolve(mesh, region_face=np.zeros_like(mesh.region_face)), atlas)


def test_too_little_skin_is_one_sentence(mesh: Mesh, atlas: Atlas) -> None:
    regions = face_regions(mesh, atlas)
    with pytest.raises(InputError, match="Too little"):
        believable(plain_skin(atlas), 0 * regions.face, regions)
