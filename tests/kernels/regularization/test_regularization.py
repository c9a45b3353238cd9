# SPDX-License-Identifier: Apache-2.0
"""Decay, alignment and noise: the compiled kernels against plain numpy, and what they are there for."""

from __future__ import annotations

import numpy as np
import pytest

from backend.kernels.regularization import align, columns_on, cpu, decay, reference, wander
from backend.kernels.regularization.reference import normal_draws, philox, splat_normals, turned

COUNT = 3000


def _block(seed=0):
    rng = np.random.default_rng(seed)
    block = rng.normal(size=(23, COUNT + 16)).astype(np.float32)
    block[10] *= 4
    block[7:10] -= 4
    return block


def _mesh(seed=1):
    rng = np.random.default_rng(seed)
    normals = rng.normal(size=(500, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    normals[7] = 0
    return normals.astype(np.float32), rng.integers(-1, 500, COUNT).astype(np.int32)


def test_kernels_are_the_reference_to_the_bit_for_any_number_of_threads():
    normals, face = _mesh()
    changes = [
        (lambda block, threads: decay(block, COUNT, 0.97, -0.01, threads),
         lambda block: reference.decay(block, COUNT, 0.97, -0.01)),
        (lambda block, threads: align(block, 0.3, normals, face, threads),
         lambda block: reference.align(block, COUNT, 0.3, normals, face)),
        (lambda block, threads: wander(block, COUNT, 0.01, 0.02, 2**40 + 5, 70, threads),
         lambda block: reference.wander(block, COUNT, 0.01, 0.02, 2**40 + 5, 70)),
    ]  # fmt: skip
    for own, plain in changes:
        start = _block()
        one, two, expected = start.copy(), start.copy(), start.copy()
        own(one, 1)
        own(two, 2)
        plain(expected)
        np.testing.assert_array_equal(one, two)
        # Both compute in double; now and then the last bit of exp or sin may be another one on another machine.
        np.testing.assert_allclose(one, expected, rtol=2e-7)
        assert (one == expected).mean() > 0.9999
        np.testing.assert_array_equal(one[:, COUNT:], start[:, COUNT:])
        assert (one != start).any()


def test_decay_is_a_factor_of_opacities_and_widths():
    block = _block()
    before = block.copy()
    decay(block, COUNT, 0.9, float(np.log(0.8)))
    np.testing.assert_allclose(np.exp(block[7:10, :COUNT]), 0.8 * np.exp(before[7:10, :COUNT]), rtol=1e-5)
    seen = np.abs(before[10, :COUNT]) < 10

    def opacity(b):
        return 1 / (1 + np.exp(-b[10, :COUNT].astype(np.float64)))

    np.testing.assert_allclose(opacity(block)[seen], 0.9 * opacity(before)[seen], rtol=1e-5)
    again = block.copy()
    decay(again, COUNT, 1.0, 0.0)
    np.testing.assert_array_equal(again, block)


def test_what_is_no_number_stays_as_it_is():
    normals, face = _mesh()
    for value in (np.nan, np.inf, -np.inf, 1e30):
        for row in (3, 8, 10):
            block = _block()
            block[10, :COUNT], block[row, :100] = -6, value  # transparent enough to wander
            before = block.copy()
            decay(block, COUNT, 0.9, 0.0)
            wander(block, COUNT, 0.1, 0.02, 0, 1)
            align(block, 0.5, normals, face)
            assert not np.isnan(block[:, 100:]).any()
            np.testing.assert_array_equal(block[row, :100], before[row, :100])
            np.testing.assert_array_equal(block[:3, :100], before[:3, :100])
            if row != 10:
                np.testing.assert_array_equal(block[3:7, :100], before[3:7, :100])


# -- alignment --------------------------------------------------------------------------------------------------------


def _random(count=200):
    rng = np.random.default_rng(0)
    quats, thin, normals = rng.normal(size=(count, 4)) * 3, rng.integers(0, 3, count), rng.normal(size=(count, 3))
    return quats, thin, normals / np.linalg.norm(normals, axis=1, keepdims=True)


def test_a_whole_turn_lays_splats_flat_and_keeps_their_length():
    quats, thin, normals = _random()
    after = turned(quats, thin, normals, 1.0)
    np.testing.assert_allclose(np.abs((splat_normals(after, thin) * normals).sum(axis=1)), 1, atol=1e-9)
    np.testing.assert_allclose(np.linalg.norm(after, axis=1), np.linalg.norm(quats, axis=1))


def test_a_part_of_a_turn_is_that_part_of_the_angle():
    quats, thin, normals = _random()

    def angles(q):
        return np.arccos(np.clip(np.abs((splat_normals(q, thin) * normals).sum(axis=1)), 0, 1))

    np.testing.assert_allclose(angles(turned(quats, thin, normals, 0.3)), 0.7 * angles(quats), atol=1e-7)
    np.testing.assert_array_equal(turned(quats, thin, np.zeros_like(normals), 0.5), quats)


def test_columns_have_the_faces_of_their_splats():
    order = np.array([2, 0, 1])
    np.testing.assert_array_equal(columns_on(np.ones((8, 3)), np.array([7, -1, 3]), order), [3, 7, -1])
    with pytest.raises(ValueError, match="face 7 of 7"):
        columns_on(np.ones((7, 3)), np.array([7, -1, 3]), order)
    assert len(columns_on(np.ones((0, 3)), np.zeros(0, np.int32), np.zeros(0, np.int64))) == 0


# -- noise ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    [
        ([0] * 4, (0, 0), [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
        ([2**32 - 1] * 4, (2**32 - 1,) * 2, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
        ([0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344], (0xA4093822, 0x299F31D0),
         [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1]),
    ],
)  # fmt: skip
def test_philox_gives_its_authors_numbers(counter, key, expected):
    """The known answers that come with the authors' library Random123."""
    assert philox(np.array(counter, np.uint64)[:, None], key)[:, 0].tolist() == expected


def test_the_compiled_philox_is_the_same():
    counter = np.zeros((4, 5), np.uint64)
    counter[0], counter[1] = (0, 1, 77, 2**31, 2**32 - 1), 1234
    expected = philox(counter, (5, 2**32 - 2))
    for k in range(5):
        found = cpu._philox(counter[0, k], np.uint64(1234), np.uint64(5), np.uint64(2**32 - 2))
        np.testing.assert_array_equal(np.array(found, np.uint64), expected[:, k])


def test_draws_are_normal_and_independent():
    draws = normal_draws(100_000, 3, 10)
    assert np.abs(draws.mean(axis=1)).max() < 0.01 and np.abs(draws.std(axis=1) - 1).max() < 0.01
    assert np.abs((draws**3).mean(axis=1)).max() < 0.05 and np.abs((draws**4).mean(axis=1) - 3).max() < 0.1
    for seed, iteration in ((3, 11), (4, 10), (2**32 + 3, 10), (3, 10)):
        other = normal_draws(100_000, seed, iteration)[:, 1 if (seed, iteration) == (3, 10) else 0 :]
        size = other.shape[1]
        assert np.abs(np.corrcoef(draws[:, :size], other)[:3, 3:]).max() < 0.02
    assert np.abs(np.corrcoef(draws) - np.eye(3)).max() < 0.02


def test_transparent_splats_wander_along_their_ellipsoids_and_others_stay():
    block = np.zeros((14, 4000), np.float32)
    block[3], block[7:10] = 1, np.log([[0.02], [0.01], [0.001]])
    block[10, :2000], block[10, 2000:] = -12, 0  # opacities 6e-6 and 0.5
    wander(block, 4000, 0.5, 0.02, 0, 7)
    assert not block[:3, 2000:].any()
    gate = 1 / (1 + np.exp(-0.5))  # of 100 x (0.005 - 6e-6)
    spread = block[:3, :2000].std(axis=1) / (0.5 * gate)
    np.testing.assert_allclose(spread, [1, 0.25, 0.0025], rtol=0.06)
