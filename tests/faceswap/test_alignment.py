# SPDX-License-Identifier: Apache-2.0
"""Moving views to where they agree: known moves are found, noise is not followed, and nothing drifts."""

from __future__ import annotations

import attrs
import cv2
import numpy as np
import pytest
from numpy.testing import assert_allclose

from backend.faceswap.atlas import Atlas
from backend.faceswap.consistency.alignment import Moves, align
from backend.faceswap.consistency.fusion import geometric_median
from backend.faceswap.consistency.lattice import Lattice
from backend.faceswap.consistency.observations import Observations
from backend.faceswap.consistency.samples import Samples

SIDE, STEP = 96, 2.0
ALL = np.arange(SIDE * SIDE, dtype=np.int32)


@pytest.fixture(scope="module")
def atlas() -> Atlas:
    rows, columns = (a.ravel() for a in np.mgrid[:SIDE, :SIDE])
    nothing = np.zeros((SIDE, SIDE), np.int32)
    return Atlas(SIDE, SIDE, rows + 5, columns + 7, 0 * rows, np.zeros((SIDE * SIDE, 3), "f4"), nothing, nothing)


def skin(seed: int = 0) -> np.ndarray:
    """(SIDE, SIDE, 3) with features of all sizes."""
    noise = np.random.default_rng(seed).normal(0, 1, (SIDE, SIDE, 3)).astype(np.float32)
    layers = [cv2.GaussianBlur(noise, (0, 0), s) * s for s in (2, 4, 8)]
    return np.asarray(0.5 + 0.1 * sum(layers), np.float32)


def view_of(image: np.ndarray, move: np.ndarray, weight: float = 1.0) -> Observations:
    """What a view says that shows the skin `move` (2,) or (SIDE, SIDE, 2) texels off."""
    rows, columns = np.mgrid[:SIDE, :SIDE].astype(np.float32)
    move = np.broadcast_to(np.asarray(move, np.float32), (SIDE, SIDE, 2))
    seen = cv2.remap(image, columns - move[..., 0], rows - move[..., 1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
    colour = np.asarray(seen, np.float32).reshape(-1, 3)
    return Observations(ALL, colour, np.full(len(ALL), weight, np.float32), int(SIDE**2 / STEP**2))


def test_shifts_are_found_and_their_mean_is_left(atlas: Atlas) -> None:
    shifts = np.random.default_rng(1).normal(0, 2, (6, 2))
    moves = align([view_of(skin(), s) for s in shifts], atlas, STEP)
    found = STEP * np.median(moves.nodes, axis=1)
    assert_allclose(found, shifts - shifts.mean(0), atol=0.35)
    assert np.abs(np.median(moves.nodes.mean(0), axis=0)).max() < 0.05  # pixels; weights differ a little at the rim


def test_turns_are_found_too_and_the_common_skin_gets_sharp(atlas: Atlas) -> None:
    rows, columns = np.mgrid[:SIDE, :SIDE] - SIDE / 2
    views = [
        view_of(skin(), np.stack([-angle * rows, angle * columns], axis=-1)) for angle in (-0.08, -0.03, 0.03, 0.08)
    ]
    moves = align(views, atlas, STEP)
    moved = [moves.applied(i, v) for i, v in enumerate(views)]
    goal = skin().reshape(-1, 3)
    inner = (np.hypot(rows, columns) < 0.35 * SIDE).ravel()

    def error(views: list[Observations]) -> float:
        fused = geometric_median(Samples.of(views, len(ALL)))
        return float(np.sqrt(((fused - goal)[inner] ** 2).mean()))

    assert error(moved) < 0.5 * error(views)


def test_noise_moves_nothing(atlas: Atlas) -> None:
    generator = np.random.default_rng(2)
    views = []
    for _ in range(5):
        clean = view_of(skin(), np.zeros(2))
        noise = generator.normal(0, 0.03, clean.colour.shape).astype("f4")
        views.append(attrs.evolve(clean, colour=clean.colour + noise))
    moves = align(views, atlas, STEP)
    assert max(moves.size(i) for i in range(5)) < 0.3  # texels


def test_a_view_of_another_face_pulls_nobody_far(atlas: Atlas) -> None:
    shifts = np.random.default_rng(3).normal(0, 1.5, (7, 2))
    views = [view_of(skin(), s) for s in shifts]
    alone = align(views, atlas, STEP)
    mixed = align([*views, view_of(skin(9), np.zeros(2))], atlas, STEP)
    apart = (mixed.nodes[:7] - mixed.nodes[0]) - (alone.nodes - alone.nodes[0])
    assert np.median(np.abs(apart)) < 0.2


def test_views_without_weight_or_texels_stay(atlas: Atlas) -> None:
    views = [view_of(skin(), np.array([s, 0.0])) for s in (-1, 1)]
    nothing = Observations(np.zeros(0, np.int32), np.zeros((0, 3), "f4"), np.zeros(0, "f4"))
    moves = align([*views, view_of(skin(), np.array([8.0, 0]), 0.0), nothing], atlas, STEP)
    assert not moves.nodes[2:].any() and moves.nodes[:2].any()
    assert moves.applied(3, nothing) is nothing


def test_moving_drops_what_is_no_longer_shown(atlas: Atlas) -> None:
    lattice = Lattice.of(atlas, STEP)
    half = view_of(skin(), np.zeros(2))
    left = half.texels % SIDE < SIDE // 2
    half = Observations(half.texels[left], half.colour[left], half.weight[left], half.pixels)
    nodes = np.zeros((1, lattice.count, 2))
    nodes[..., 0] = 3.0  # pixels: each texel is looked up 6 further right
    moved = Moves(nodes, lattice).applied(0, half)
    assert (moved.texels % SIDE).max() < SIDE // 2 - 6 and len(moved.texels) > 0.8 * len(half.texels)
    table = np.zeros((SIDE * SIDE, 3), "f4")
    table[half.texels] = half.colour
    assert_allclose(moved.colour, np.clip(table[moved.texels + 6], 0, 1), atol=1e-4)


def test_a_large_texture_is_looked_at_coarsely(atlas: Atlas, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backend.faceswap.consistency.lattice._LARGEST", 32)
    lattice = Lattice.of(atlas, STEP)
    assert lattice.size == (32, 32) and lattice.step == 3
    shifts = np.array([[-2.0, 0], [2, 0]])
    moves = align([view_of(skin(), s) for s in shifts], atlas, STEP)
    assert_allclose(lattice.step * np.median(moves.nodes, axis=1), shifts, atol=0.4)
    assert moves.size(0) == pytest.approx(2, abs=0.4)


def test_the_lattice_is_linear_between_its_nodes(atlas: Atlas) -> None:
    lattice = Lattice.of(atlas, STEP)
    assert lattice.size == (48, 48) and lattice.full == (SIDE, SIDE)
    assert_allclose(np.asarray(lattice.basis.sum(1)).ravel(), 1)
    side = round(lattice.count**0.5)
    across = np.tile(np.arange(side), side)
    moves = lattice.moves(np.stack([across, 0 * across], axis=1))
    assert_allclose(moves[0, :, 0], (np.arange(48) + 0.5) / 6, rtol=1e-6)
    assert not moves[..., 1].any()
    assert_allclose(lattice.tension @ np.ones(lattice.count), 0, atol=1e-12)
    assert_allclose(across @ lattice.tension @ across, side * (side - 1))
