# SPDX-License-Identifier: Apache-2.0
"""Several photos of one face on one surface: depths and normals nearer the truth, photos that show the same there."""

from pathlib import Path

import attrs
import cv2
import numpy as np
import pytest

from backend.faceswap.agreement import agree, laid_over
from backend.faceswap.atlas import Atlas, build_atlas
from backend.faceswap.registration import Registration, register
from backend.faceswap.sampling import sample_linear
from backend.faceswap.source import Photo
from backend.kernels.mesh_rasterization import interpolate, rasterize
from interchange.colour import linear_from_srgb

from .synthetic import Light, dome_camera, head, paint, render

SIZE, AZIMUTHS = 400, (0, 40, -40)


@pytest.fixture(scope="module")
def atlas() -> Atlas:
    return build_atlas(head("A"), 0, 512, 512)


@pytest.fixture(scope="module")
def photos() -> list[Photo]:
    return _photos(_freckled())


def _freckled() -> np.ndarray:
    """B's skin with mottling of the size of pores and freckles all over, which faces have and the plain one has not."""
    skin, draw = paint("B", 768), np.random.default_rng(3)
    for sigma, amount in ((2.5, 0.03), (6.0, 0.03)):
        noise = cv2.GaussianBlur(draw.normal(0, 1, skin.shape[:2]), (0, 0), sigma)
        skin = skin * (1 + amount * noise / noise.std())[..., None]
    return np.clip(skin, 0, 1)


def _photos(skin: np.ndarray) -> list[Photo]:
    mesh, found = head("B"), []
    for azimuth in AZIMUTHS:
        camera = dome_camera(azimuth, 2.0, SIZE, 0.8)
        image = render(mesh, linear_from_srgb(skin), camera, Light(), samples=2).rgb
        points = camera.project(mesh.vertices[mesh.landmarks])[0]
        marks = dict(enumerate(map(tuple, points)))
        found.append(Photo(Path(f"{azimuth}.png"), np.clip(image, 0, 1), None, marks, False))
    return found


def _wanted(atlas: Atlas) -> np.ndarray:
    mesh = head("A")
    return atlas.of_vertices(mesh, mesh.region_face) > 0.3


def _normals_off(fits: list[Registration], atlas: Atlas) -> float:
    """Degrees between a fit's and the performer's normals, both in the camera's axes, mean over photos where seen."""
    performer, angles = head("B"), []
    for fit, azimuth in zip(fits, AZIMUTHS, strict=True):
        true = atlas.of_vertices(performer, performer.normals) @ dome_camera(azimuth, 2.0, SIZE, 0.8).rotation.T
        mine = atlas.of_vertices(performer, fit.normals) @ fit.camera.rotation.T
        cosine = (true * mine).sum(1) / np.maximum(np.linalg.norm(true, axis=1) * np.linalg.norm(mine, axis=1), 1e-9)
        seen = _wanted(atlas) & (true[:, 2] < -0.3)
        angles.append(np.degrees(np.arccos(np.clip(cosine[seen], -1, 1))).mean())
    return float(np.mean(angles))


def _millimetres_apart(fits: list[Registration], atlas: Atlas) -> float:
    """Between the points of the performer's skin that a side photo and the front photo show at a texel, median."""
    performer = head("B")
    shown = [_seen_points(fit, atlas, azimuth) for fit, azimuth in zip(fits, AZIMUTHS, strict=True)]
    true = atlas.of_vertices(performer, performer.normals)
    apart = []
    for (points, hit), azimuth in zip(shown[1:], AZIMUTHS[1:], strict=True):
        rotation = dome_camera(azimuth, 2.0, SIZE, 0.8).rotation
        both = hit & shown[0][1] & _wanted(atlas) & (true @ rotation[2] < -0.4)
        apart.append(np.median(np.linalg.norm(points[both] - shown[0][0][both], axis=1)))
    return 1e3 * float(np.mean(apart))


def _seen_points(fit: Registration, atlas: Atlas, azimuth: float) -> tuple[np.ndarray, np.ndarray]:
    """Points of the performer that a photo shows where a fit puts the texels, and whether any is there."""
    performer, mine = head("B"), head("A")
    camera = dome_camera(azimuth, 2.0, SIZE, 0.8)
    raster = rasterize(performer.vertices, performer.faces, camera)
    image = interpolate(raster, performer.vertices[performer.faces])
    pixels = fit.camera.project(atlas.of_vertices(mine, fit.vertices).astype(np.float64))[0]
    covered = sample_linear(raster.covered.astype(np.float32)[..., None], pixels)[:, 0] > 0.999
    return sample_linear(image, pixels).astype(np.float64), covered


def test_one_photo_is_registered_as_ever(atlas, photos):
    mesh = head("A")
    alone, plain = laid_over(mesh, 0, photos[:1], atlas, _wanted(atlas)), register(mesh, photos[0])
    assert len(alone) == 1
    assert np.array_equal(alone[0].vertices, plain.vertices) and np.array_equal(alone[0].normals, plain.normals)


@pytest.mark.slow
def test_three_photos_tell_normals_and_agree(atlas, photos):
    mesh = head("A")
    single = [register(mesh, photo) for photo in photos]
    together = laid_over(mesh, 0, photos, atlas, _wanted(atlas))
    assert _normals_off(together, atlas) < 0.5 * _normals_off(single, atlas)
    assert _millimetres_apart(together, atlas) < 0.3 * _millimetres_apart(single, atlas)


@pytest.mark.slow
def test_the_photo_nearest_the_front_keeps_its_pixels(atlas, photos):
    mesh = head("A")
    fits = [register(mesh, photo) for photo in photos]
    result = agree(mesh, 0, photos, fits, atlas, _wanted(atlas))
    assert not np.array_equal(result[0].vertices, fits[0].vertices)
    before, after = (f.camera.project(np.asarray(f.vertices, np.float64))[0] for f in (fits[0], result[0]))
    np.testing.assert_allclose(after, before, atol=1e-6)


def test_without_detail_registrations_stay(atlas, photos):
    mesh = head("A")
    flat = [attrs.evolve(p, image=np.full_like(p.image, 0.4)) for p in photos]
    fits = [register(mesh, photo) for photo in flat]
    result = agree(mesh, 0, flat, fits, atlas, _wanted(atlas))
    assert all(np.array_equal(a.vertices, b.vertices) for a, b in zip(result, fits, strict=True))
