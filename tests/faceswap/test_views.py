# SPDX-License-Identifier: Apache-2.0
import attrs
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from backend.faceswap.views import Skins, exchange_skin, filtered_skin, passed_share, smooth_light
from interchange.colour import linear_from_srgb
from interchange.errors import InputError
from interchange.mesh import Mesh

from .synthetic import Light, dome_camera, head, paint, render


@pytest.fixture(scope="module")
def mesh() -> Mesh:
    return head("A")


OLD, NEW = (linear_from_srgb(paint(who, 256)).astype(np.float32) for who in "AB")
CAMERA = dome_camera(25, 5, 96)


def psnr(a: np.ndarray, b: np.ndarray, where: np.ndarray) -> float:
    return float(-10 * np.log10(((a - b)[where] ** 2).mean()))


def test_the_new_skin_looks_as_if_rendered(mesh: Mesh) -> None:
    images, truth = (render(mesh, skin, CAMERA, Light(), samples=8) for skin in (OLD, NEW))
    changed = exchange_skin(images, mesh, 0, CAMERA, Skins.of(OLD, NEW))
    inside = truth.masks["skin"] > 0.99
    assert psnr(changed, truth.rgb, inside) > 38
    assert psnr(images.rgb, truth.rgb, inside) < 20


def test_noise_in_the_light_pass_does_not_get_into_the_picture(mesh: Mesh) -> None:
    images = render(mesh, OLD, CAMERA, Light(), noise=0.3)
    truth = render(mesh, NEW, CAMERA, Light())
    changed = exchange_skin(images, mesh, 0, CAMERA, Skins.of(OLD, NEW))
    raw = images.rgb + (truth.albedo - images.albedo) * images.light
    inside = truth.masks["skin"] > 0.99
    assert psnr(changed, truth.rgb, inside) > psnr(raw, truth.rgb, inside) + 6


def test_pixels_without_changed_skin_keep_their_bits(mesh: Mesh) -> None:
    images = render(mesh, OLD, CAMERA, Light())
    new = OLD.copy()
    new[110:140, 90:120] = NEW[110:140, 90:120]
    changed = exchange_skin(images, mesh, 0, CAMERA, Skins.of(OLD, new))
    difference, _, coverage = filtered_skin(mesh, 0, CAMERA, Skins.of(OLD, new), 3)
    same = (difference == 0).all(-1)
    assert_array_equal(changed[same], images.rgb[same])
    assert (changed[~same] != images.rgb[~same]).any() and 0.002 < (~same).mean() < 0.2
    assert_array_equal(exchange_skin(images, mesh, 0, CAMERA, Skins.of(OLD, OLD)), images.rgb)
    bare = coverage == 0  # background, hair, eyes
    assert bare.mean() > 0.3
    everything = exchange_skin(images, mesh, 0, CAMERA, Skins.of(OLD, NEW))
    assert_array_equal(everything[bare], images.rgb[bare])


def test_nothing_gets_darker_than_black(mesh: Mesh) -> None:
    images = render(mesh, OLD, CAMERA, Light())
    images = attrs.evolve(images, light=images.light * 5)
    assert exchange_skin(images, mesh, 0, CAMERA, Skins.of(OLD, OLD * 0)).min() == 0


def test_the_filter_sums_to_the_skins_share_of_the_pixel(mesh: Mesh) -> None:
    ones = np.ones_like(OLD)
    for samples in (1, 2, 3, 5):
        difference, old, coverage = filtered_skin(mesh, 0, CAMERA, Skins.of(ones, 3 * ones), samples)
        assert_allclose(old, np.repeat(coverage[..., None], 3, -1), atol=1e-5)
        assert_allclose(difference, 2 * old, atol=1e-5)
        assert coverage.max() <= 1 + 1e-5
        expected = render(mesh, OLD, CAMERA, Light(), samples=5).masks["skin"]
        assert np.abs(coverage - expected).mean() < 0.02


def test_lashes_do_not_hide_the_skin(mesh: Mesh) -> None:
    from interchange.mesh import Region

    lashes = attrs.evolve(mesh, face_region=np.where(mesh.face_region == Region.HAIR, Region.LASHES, mesh.face_region))
    view = dome_camera(0, 60, 64)
    hidden = filtered_skin(mesh, 0, view, Skins.of(OLD, NEW), 2)[2]
    shown = filtered_skin(lashes, 0, view, Skins.of(OLD, NEW), 2)[2]
    assert shown.sum() > 1.3 * hidden.sum()


def test_the_share_that_the_surface_lets_through_is_found(mesh: Mesh) -> None:
    images = render(mesh, OLD, CAMERA, Light())
    _, old, coverage = filtered_skin(mesh, 0, CAMERA, Skins.of(OLD, NEW), 4)
    assert_allclose(passed_share(images.albedo, old, coverage)[coverage > 0.99], 0.96, atol=0.02)
    assert passed_share(images.albedo * 9, old, coverage).max() <= np.float32(1.05)
    assert passed_share(images.albedo * 0, old, coverage).min() == 0.5


def test_the_light_is_smoothed_along_surfaces_only(mesh: Mesh) -> None:
    images = render(mesh, OLD, CAMERA, Light(), noise=0.3)
    clean = render(mesh, OLD, CAMERA, Light())
    inside = images.alpha == 1
    light, truth = smooth_light(images), clean.light
    before = np.abs(images.light - truth)[inside].mean()
    assert np.abs(light - truth)[inside].mean() < 0.35 * before
    edge = (images.alpha > 0.2) & (images.alpha < 0.8)
    straight = clean.light / np.maximum(clean.alpha, 1e-6)[..., None]
    assert np.abs(light - straight)[edge].mean() < 0.12


def test_a_capture_without_passes_is_refused(mesh: Mesh) -> None:
    images = attrs.evolve(render(mesh, OLD, CAMERA, Light()), light=None)
    with pytest.raises(InputError, match="light and albedo"):
        exchange_skin(images, mesh, 0, CAMERA, Skins.of(OLD, NEW))
