# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from backend.faceswap.atlas import Atlas, build_atlas
from backend.faceswap.fusion import Layer, fuse
from backend.faceswap.uv import leading_photo

from .synthetic import head, paint, texture_angles

SIZE = 128


@pytest.fixture(scope="module")
def atlas() -> Atlas:
    return build_atlas(head(), 0, SIZE, SIZE)


@pytest.fixture(scope="module")
def skin(atlas: Atlas) -> np.ndarray:
    """(T, 3) with fine detail."""
    grain = np.random.default_rng(0).normal(0, 0.04, (len(atlas.rows), 1))
    return (np.clip(atlas.of_image(paint("B", SIZE)) * 0.8 + grain, 0, 1)).astype(np.float32)


def of_side(atlas: Atlas, skin: np.ndarray, side: float, gain: float = 1.0, dirt: float = 0.0, seed: int = 1) -> Layer:
    """A photo from `side` degrees: it sees 80 degrees to both sides, and the middle of that best."""
    azimuth = atlas.of_image(texture_angles(SIZE)[0]) - side
    quality = np.clip(np.cos(np.radians(azimuth * 90 / 80)), 0, 1) * (np.abs(azimuth) < 80)
    broad = dirt * np.sin(np.radians(azimuth) + seed)[:, None]
    trust = np.clip(quality * 4, 0, 1)
    return Layer((skin * gain + broad).astype(np.float32), trust.astype(np.float32), quality.astype(np.float32))


def everywhere(atlas: Atlas) -> np.ndarray:
    return np.ones(len(atlas.rows), bool)


def test_one_photo_stays_itself(atlas: Atlas, skin: np.ndarray) -> None:
    layer = of_side(atlas, skin, 0)
    albedo, trust = fuse([layer], everywhere(atlas), atlas)
    assert albedo is layer.albedo and trust is layer.trust


def test_photos_of_other_exposures_and_tints_come_to_the_first_ones_tone(atlas: Atlas, skin: np.ndarray) -> None:
    layers = [of_side(atlas, skin, 0), of_side(atlas, skin, 60, 0.6), of_side(atlas, skin, -60, 0.8)]
    tinted = Layer((layers[2].albedo * [1.1, 1.0, 0.8]).astype(np.float32), layers[2].trust, layers[2].quality)
    albedo, trust = fuse([*layers[:2], tinted], everywhere(atlas), atlas)
    seen = trust > 0.9
    assert seen.sum() > 1.6 * (layers[0].trust > 0.9).sum()
    assert_allclose(albedo[seen], skin[seen], atol=0.01)


def test_the_leading_photo_settles_the_tone_wherever_it_stands(atlas: Atlas, skin: np.ndarray) -> None:
    layers = [of_side(atlas, skin, 60, 0.6), of_side(atlas, skin, 0), of_side(atlas, skin, -60, 0.8)]
    albedo, trust = fuse(layers, everywhere(atlas), atlas, leading=1)
    assert_allclose(albedo[trust > 0.9], skin[trust > 0.9], atol=0.01)


@pytest.mark.parametrize(
    ("yaws", "leading"),
    [([3.0, 0.0, 40.0], 0), ([-24.0, 1.0], 0), ([-45.0, 20.0, 4.0], 2), ([60.0, -80.0], 0), ([70.0], 0)],
)
def test_the_first_photo_leads_unless_it_is_turned_away(yaws: list[float], leading: int) -> None:
    assert leading_photo(yaws) == leading


def test_a_photo_is_reached_over_another_one(atlas: Atlas, skin: np.ndarray) -> None:
    """The last one shares no skin with the first, only with the one between."""
    layers = [of_side(atlas, skin, 0), of_side(atlas, skin, 100, 0.7), of_side(atlas, skin, 170, 0.5)]
    assert not ((layers[0].trust > 0.5) & (layers[2].trust > 0.5)).any()
    albedo, trust = fuse(layers, everywhere(atlas), atlas)
    assert_allclose(albedo[trust > 0.9], skin[trust > 0.9], atol=0.01)


def test_broad_errors_are_averaged_and_detail_is_not(atlas: Atlas, skin: np.ndarray) -> None:
    dirty = [of_side(atlas, skin, 0, 1, 0.05, 0), of_side(atlas, skin, 0, 1, -0.05, 0)]
    albedo, trust = fuse(dirty, everywhere(atlas), atlas)
    seen = trust > 0.9
    assert np.abs(albedo - skin)[seen].mean() < 0.3 * np.abs(dirty[0].albedo - skin)[seen].mean()
    # Two photos whose detail does not meet: a mean would have lost it.
    moved = np.roll(skin, 1, axis=0)
    layers = [of_side(atlas, skin, 0), Layer(moved, dirty[1].trust, dirty[1].quality * np.float32(0.9))]
    albedo = fuse(layers, everywhere(atlas), atlas)[0]
    lost = np.abs((skin + moved) / 2 - skin)[seen].mean()
    assert np.abs(albedo - skin)[seen].mean() < 0.3 * lost


def test_photos_that_share_nothing_are_both_kept(atlas: Atlas, skin: np.ndarray) -> None:
    layers = [of_side(atlas, skin, 0), of_side(atlas, skin, 180, 0.5)]
    albedo, trust = fuse(layers, everywhere(atlas), atlas)
    front, back = layers[0].trust > 0.9, layers[1].trust > 0.9
    assert_allclose(albedo[front], skin[front], atol=0.01)
    assert_allclose(albedo[back], 0.5 * skin[back], atol=0.01)
    assert_array_equal(trust, np.maximum(layers[0].trust, layers[1].trust))
