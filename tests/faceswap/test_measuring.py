# SPDX-License-Identifier: Apache-2.0
"""What photos are measured by, on rendered heads whose angles, sharpness and exposure are known."""

from __future__ import annotations

from pathlib import Path

import attrs
import cv2
import numpy as np
import pytest

from backend.faceswap.choosing import judge
from backend.faceswap.measuring import Measured, Patches, measure
from backend.faceswap.registration import find_pose
from backend.faceswap.source import DecodedPhoto, Photo
from interchange.colour import linear_from_srgb, srgb_from_linear
from interchange.errors import InputError

from .synthetic import Light, dome_camera, head, paint, render


@pytest.fixture(scope="module")
def skin() -> np.ndarray:
    """With grain of the size of pores: the plain one has nothing to be sharp about."""
    plain = paint("B", 512)
    grain = cv2.GaussianBlur(np.random.default_rng(2).normal(0, 1, plain.shape[:2]), (0, 0), 1.5)
    return linear_from_srgb(np.clip(plain * (1 + 0.05 * grain / grain.std())[..., None], 0, 1))


def taken(skin: np.ndarray, azimuth: float = 0, elevation: float = 2, size: int = 300) -> Photo:
    mesh, camera = head("B"), dome_camera(azimuth, elevation, size)
    image = np.clip(render(mesh, skin, camera, Light(), samples=2).rgb, 0, 1).astype(np.float32)
    points = camera.project(mesh.vertices[mesh.landmarks])[0]
    return Photo(Path(f"{azimuth}.png"), image, None, dict(enumerate(map(tuple, points.tolist()))), False)


def measured(photo: Photo) -> Measured:
    mesh = head("A")
    stored = DecodedPhoto(photo.path, srgb_from_linear(photo.image), photo.alpha, photo.landmarks, photo.grey)
    return measure(stored, find_pose(mesh, stored), mesh, patches())


def patches() -> Patches:
    return Patches.of(head("A"), 0)


@pytest.mark.parametrize(("azimuth", "elevation"), [(0, 0), (40, 0), (-30, 20), (20, -20)])
def test_angles_are_the_head_s_against_the_camera(azimuth: float, elevation: float) -> None:
    mesh, camera = head("A"), dome_camera(azimuth, elevation, 300)
    points = camera.project(mesh.vertices[mesh.landmarks])[0]
    photo = Photo(Path("a.png"), np.zeros((300, 300, 3), np.float32), None, dict(enumerate(map(tuple, points))), False)
    pose = find_pose(mesh, photo)
    assert abs(pose.yaw + azimuth) < 6 and abs(pose.pitch + elevation) < 6  # seen from above, a face looks down
    assert pose.rms < 0.01 * pose.face_size


def test_each_side_is_seen_from_its_side(skin: np.ndarray) -> None:
    front, left, right = (measured(taken(skin, a)) for a in (0, 50, -50))
    x = head("A").rest_vertices[patches().corners].mean(1)[:, 0]
    share = patches().share
    for mine, other, side in ((left, right, x > 0.03), (right, left, x < -0.03)):
        assert mine.seen[side] @ share[side] > 1.5 * (front.seen[side] @ share[side])
        assert mine.seen[side] @ share[side] > 5 * (other.seen[side] @ share[side])


def test_blur_and_darkness_are_told_apart(skin: np.ndarray) -> None:
    good = [taken(skin, a) for a in (0, 12, -12)]
    blurred = attrs.evolve(good[1], image=cv2.GaussianBlur(good[1].image, (0, 0), 2.5))
    dark = attrs.evolve(good[2], image=good[2].image / 8)
    soft, dim, *fine = judge([measured(p) for p in (blurred, dark, *good)])
    assert soft.sharp < 0.5 < 0.7 < min(q.sharp for q in fine) and soft.exposed == 1
    assert dim.exposed < 0.4 and dim.sharp > 0.7
    assert min(q.exposed for q in fine) == 1 and max(soft.whole, dim.whole) < 0.7 * min(q.whole for q in fine)


def test_a_small_photo_is_less_sharp_than_a_large_one(skin: np.ndarray) -> None:
    large, small = judge([measured(taken(skin, 0, size=s)) for s in (600, 150)])
    assert small.sharp < 0.75 * large.sharp


def test_what_is_burnt_out_or_transparent_does_not_count(skin: np.ndarray) -> None:
    photo = taken(skin)
    plain = measured(photo)
    burnt = measured(attrs.evolve(photo, image=np.clip(photo.image * 30, 0, 1)))
    assert plain.clipped < 0.05 and burnt.clipped > 0.8
    half = np.ones(photo.image.shape[:2], np.float32)
    half[:, :150] = 0
    cut = measured(attrs.evolve(photo, alpha=half))
    share = patches().share
    assert 0.4 < (cut.seen @ share) / (plain.seen @ share) < 0.6


def test_a_face_half_outside_its_photo_is_half_seen(skin: np.ndarray) -> None:
    photo = taken(skin)
    cut = attrs.evolve(photo, image=np.ascontiguousarray(photo.image[:, :150]))
    whole, half = (measured(p).seen @ patches().share for p in (photo, cut))
    assert 0.3 < half / whole < 0.7


def test_the_painted_mask_says_what_counts() -> None:
    mesh = head("A")
    painted = np.zeros((64, 64), np.float32)
    painted[:, 32:] = 1
    chosen = Patches.of(mesh, 0, painted)
    u = mesh.face_uvs[mesh.face_object == 0][..., 0].mean(1)
    assert chosen.share.sum() == pytest.approx(1)
    assert len(chosen.share) == pytest.approx((u > 0.5).sum(), rel=0.1)
    with pytest.raises(InputError, match="no face region"):
        Patches.of(mesh, 0, np.zeros((64, 64), np.float32))
