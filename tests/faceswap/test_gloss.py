# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from numpy.testing import assert_allclose

from backend.faceswap.atlas import Atlas
from backend.faceswap.delighting import without_gloss
from backend.faceswap.gloss import gloss_by_place
from backend.faceswap.regions import Regions
from interchange.errors import InputError
from interchange.mesh import Mesh

from .synthetic import ATLAS_SIZE, texture_angles

DARK = np.array([0.10, 0.04, 0.022], np.float32)
FAIR = np.array([0.66, 0.40, 0.30], np.float32)
GLOSS = 0.0225


def bump(atlas: Atlas, width: float = 12.0) -> np.ndarray:
    """(T,) 1 on one cheek, falling off smoothly within `width` degrees."""
    azimuth, elevation = (atlas.of_image(a) for a in texture_angles(ATLAS_SIZE))
    return np.exp(-((azimuth - 22) ** 2 + (elevation + 8) ** 2) / width**2).astype(np.float32)


def found(reflectance: np.ndarray, mesh: Mesh, atlas: Atlas, regions: Regions) -> np.ndarray:
    return gloss_by_place(reflectance.astype(np.float32), regions.face, mesh, 0, atlas, regions, GLOSS)


def hue(colours: np.ndarray) -> np.ndarray:
    return colours[..., 1:] / colours[..., :1]


def test_dark_skin_in_the_shade_keeps_its_hue(mesh: Mesh, atlas: Atlas, regions: Regions) -> None:
    shade = 1 - 0.5 * bump(atlas)
    reflectance = shade[:, None] * (DARK + GLOSS)
    middle = bump(atlas) > 0.9
    albedo = without_gloss(reflectance, found(reflectance, mesh, atlas, regions))
    assert_allclose(hue(albedo[middle]), np.broadcast_to(hue(DARK), (middle.sum(), 2)), rtol=0.15)
    # One amount everywhere leaves two thirds of its blue: the reddish rims.
    assert (hue(without_gloss(reflectance, GLOSS)[middle])[:, 1] < 0.7 * hue(DARK)[1]).all()


def test_what_glances_off_dark_skin_comes_off(mesh: Mesh, atlas: Atlas, regions: Regions) -> None:
    extra = 0.015 * bump(atlas)
    reflectance = DARK + GLOSS + extra[:, None]
    middle = bump(atlas) > 0.9
    albedo = without_gloss(reflectance, found(reflectance, mesh, atlas, regions))
    assert_allclose(albedo[middle], np.broadcast_to(DARK, (middle.sum(), 3)), atol=0.005)


def test_the_hues_of_fair_skin_are_its_own(mesh: Mesh, atlas: Atlas, regions: Regions) -> None:
    blush = 1 - bump(atlas)[:, None] * [0.0, 0.12, 0.12]
    reflectance = FAIR * blush + GLOSS
    assert_allclose(found(reflectance, mesh, atlas, regions)[regions.core], GLOSS, atol=0.006)


def test_a_birthmark_on_dark_skin_is_not_skin_without_gloss(mesh: Mesh, atlas: Atlas, regions: Regions) -> None:
    mark = bump(atlas, 8.0) > 0.5
    albedo = np.where(mark[:, None], DARK * np.array([0.95, 0.4, 0.4], np.float32), DARK)
    gloss = found(albedo + GLOSS, mesh, atlas, regions)
    assert_allclose(gloss[mark], GLOSS, atol=0.002)


def test_none_is_none(mesh: Mesh, atlas: Atlas, regions: Regions) -> None:
    reflectance = np.broadcast_to(FAIR, (len(atlas.rows), 3)).astype(np.float32)
    assert not gloss_by_place(reflectance, regions.face, mesh, 0, atlas, regions, 0.0).any()


def test_too_little_skin_is_one_sentence(mesh: Mesh, atlas: Atlas, regions: Regions) -> None:
    reflectance = np.broadcast_to(FAIR, (len(atlas.rows), 3)).astype(np.float32)
    with pytest.raises(InputError, match="Too little"):
        gloss_by_place(reflectance, 0 * regions.face, mesh, 0, atlas, regions, GLOSS)
