# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from numpy.testing import assert_allclose

from backend.faceswap.delighting import fit_shading, harmonics, remove_light


def hemisphere(count: int = 4000, seed: int = 0) -> np.ndarray:
    normals = np.random.default_rng(seed).normal(0, 1, (count, 3))
    normals[:, 1] = -np.abs(normals[:, 1])  # those that a camera ahead can see
    return normals / np.linalg.norm(normals, axis=1, keepdims=True)


def a_light(seed: int = 1) -> np.ndarray:
    generator = np.random.default_rng(seed)
    coefficients = generator.normal(0, 0.06, (9, 3))
    coefficients[0] = [0.7, 0.65, 0.6]
    coefficients[2] += 0.25
    return coefficients


SKIN = np.array([0.5, 0.3, 0.2])


def test_the_light_is_recovered_up_to_its_scale() -> None:
    normals, light = hemisphere(), a_light()
    shading = fit_shading(SKIN * (harmonics(normals) @ light), normals, np.ones(len(normals)))
    expected = light / np.percentile(harmonics(normals) @ light, 95, axis=0)
    assert_allclose(shading.coefficients, expected, atol=0.03)
    assert_allclose(shading.on(normals), np.maximum(harmonics(normals) @ expected, 0.08), rtol=0.02)


def test_the_brightest_skin_reads_as_if_under_a_light_of_one() -> None:
    normals, light = hemisphere(), a_light()
    shading = fit_shading(SKIN * (harmonics(normals) @ light), normals, np.ones(len(normals)))
    assert_allclose(np.percentile(shading.on(normals), 95, axis=0), 1, atol=0.01)


def test_a_well_exposed_photo_gives_the_albedo_itself() -> None:
    normals, light = hemisphere(), a_light()
    light /= np.percentile(harmonics(normals) @ light, 95)
    lit = np.maximum(harmonics(normals) @ light, 0.08)
    shading = fit_shading(SKIN * lit, normals, np.ones(len(normals)))
    albedo = remove_light(SKIN * lit, normals, shading)
    # Per channel the key light counts as white: a tint of the light stays in the skin.
    assert_allclose(albedo / SKIN, np.ones_like(albedo) * np.percentile(lit, 95, axis=0), rtol=0.03)


def test_brows_highlights_and_shadows_do_not_pull() -> None:
    normals, light = hemisphere(), a_light()
    clean = SKIN * (harmonics(normals) @ light)
    dirty = clean.copy()
    dirty[normals[:, 2] > 0.75] *= 0.1  # a fringe of hair
    dirty[np.random.default_rng(2).random(len(dirty)) < 0.1] *= 0.2
    dirty[np.random.default_rng(3).random(len(dirty)) < 0.05] += 0.5
    expected = fit_shading(clean, normals, (normals[:, 2] <= 0.75) * 1.0)
    found = fit_shading(dirty, normals, np.ones(len(normals)))
    seen = normals[:, 2] < 0.7
    assert_allclose(found.on(normals)[seen], expected.on(normals)[seen], atol=0.06)
    assert found.outliers > 0.12


def test_texels_without_weight_do_not_count() -> None:
    normals, light = hemisphere(), a_light()
    colour = SKIN * (harmonics(normals) @ light)
    weight = np.ones(len(normals))
    weight[::3] = 0
    colour[::3] = 7.0
    clean = fit_shading(colour[weight > 0], normals[weight > 0], weight[weight > 0])
    assert_allclose(fit_shading(colour, normals, weight).coefficients, clean.coefficients)


def test_too_little_skin_is_an_error() -> None:
    normals = hemisphere(49)
    with pytest.raises(ValueError, match="too little"):
        fit_shading(np.ones((49, 3)), normals, np.ones(49))


def test_hair_over_a_cheek_is_not_taken_for_shade() -> None:
    draw = np.random.default_rng(2)
    normals = draw.normal(size=(6000, 3))
    normals[:, 1] = -np.abs(normals[:, 1]) - 0.3
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    light = 0.6 - 0.4 * normals[:, 1:2]
    skin, hair = np.array([0.7, 0.43, 0.33]), np.array([0.25, 0.07, 0.02])
    covered = normals[:, 0] > 0.35
    colour = light * np.where(covered[:, None], hair, skin)
    assert 0.2 < covered.mean() < 0.4
    fitted = fit_shading(colour, normals, np.ones(len(normals))).on(normals)
    relative = (fitted / light)[:, 1]
    assert relative[covered].mean() > 0.93 * relative[~covered].mean()
