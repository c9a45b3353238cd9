# SPDX-License-Identifier: Apache-2.0
"""The rim of a face: a hard line and a mask of another tone are told apart; outlines are compared."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from backend.evaluation.seam import RING, changed_region, seam
from backend.evaluation.silhouette import mesh_silhouette, silhouette_iou
from interchange.cameras import Camera, look_at


def scene(size: int = 96) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    y, x = np.mgrid[:size, :size]
    picture = (0.5 + 0.1 * np.sin(x / 17)[..., None] * np.ones(3)).astype(np.float32)
    distance = np.hypot(x - size / 2, y - size / 2)
    return picture, distance < 26, (distance < 45).astype(np.float32)


def test_an_unchanged_picture_has_no_seam() -> None:
    picture, face, skin = scene()
    found = seam(picture, picture, face, skin)
    assert found is not None and found.gradient_jump == 0 and found.ring_difference == 0


def test_a_hard_edge_shows_in_both_figures_a_soft_one_in_the_rings_alone() -> None:
    picture, face, skin = scene()
    hard = picture - 0.08 * face.astype(np.float32)[..., None]
    soft = picture - 0.08 * cv2.GaussianBlur(face.astype(np.float32), (0, 0), 5)[..., None]
    lines = [seam(image, picture, face, skin) for image in (hard, soft)]
    assert lines[0].gradient_jump > 1.5 and lines[0].ring_difference > 6
    assert lines[1].gradient_jump < 0.3 * lines[0].gradient_jump and lines[1].ring_difference > 1.5
    # an 8 % step of lightness, known in L*
    step = 100 * (cv2.cvtColor(picture, cv2.COLOR_RGB2Lab) - cv2.cvtColor(hard, cv2.COLOR_RGB2Lab))[48, 48, 0] / 100
    assert lines[0].ring_difference == pytest.approx(step, rel=0.1)


def test_change_far_from_the_rim_is_no_seam() -> None:
    picture, face, skin = scene()
    inner = (cv2.erode(face.astype(np.uint8), np.ones((4 * RING + 1,) * 2))[..., None] > 0) * 0.2
    found = seam((picture - inner).astype(np.float32), picture, face, skin)
    assert abs(found.gradient_jump) < 0.05 and found.ring_difference < 0.2


def test_a_rim_that_hair_covers_has_no_figures() -> None:
    picture, face, _ = scene()
    assert seam(picture, picture, face, face.astype(np.float32)) is None
    assert seam(picture, picture, np.zeros_like(face), np.ones(face.shape)) is None


def test_the_changed_region_is_the_face_without_its_holes_and_without_noise() -> None:
    picture, face, _ = scene()
    generator = np.random.default_rng(0)
    changed = picture + generator.normal(0, 2 / 255, picture.shape).astype(np.float32)
    changed[face] += 0.1
    changed[40:46, 40:46] = picture[40:46, 40:46]  # an eye
    changed[4:6, 4:6] += 0.3
    found = changed_region(changed, picture)
    assert found[43, 43] and not found[5, 5]
    assert (found & face).sum() / (found | face).sum() > 0.9
    assert not changed_region(picture, picture).any()


def test_silhouettes() -> None:
    a = np.zeros((10, 10))
    a[2:6, 2:6] = 1
    b = np.roll(a, 2, 1)
    assert silhouette_iou(a, a) == 1 and silhouette_iou(a, b) == pytest.approx(1 / 3)
    assert silhouette_iou(a, 0.5 * a) == 0.5 and silhouette_iou(0 * a, 0 * a) == 1
    with pytest.raises(ValueError, match="shape"):
        silhouette_iou(a, a[:5])


def test_the_outline_of_a_mesh_is_its_coverage() -> None:
    K = np.array([[50.0, 0, 16], [0, 50, 16], [0, 0, 1]])
    camera: Camera = look_at(np.array([0, -1.0, 0]), np.zeros(3), np.array([0, 0, 1.0]), K, 32, 32)
    corners = np.array([[-0.1, 0, -0.1], [0.1, 0, -0.1], [0.1, 0, 0.1], [-0.1, 0, 0.1]])
    coverage = mesh_silhouette(corners, np.array([[0, 1, 2], [0, 2, 3]]), camera, 4)
    assert coverage.sum() == pytest.approx(100) and coverage.max() == 1  # 10 x 10 pixels
    assert silhouette_iou(coverage, mesh_silhouette(1.1 * corners, np.array([[0, 1, 2], [0, 2, 3]]), camera, 4)) > 0.8
