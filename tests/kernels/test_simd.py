# SPDX-License-Identifier: Apache-2.0
"""The vector layer: arithmetic against numpy, memory operations against reshapes."""

from __future__ import annotations

import numpy as np
import pytest

from backend.kernels import simd
from backend.kernels.buffers import CACHE_LINE, address, aligned_copy, aligned_zeros
from backend.kernels.jit import kernel
from backend.kernels.simd.width import choose_width

W = simd.VECTOR_WIDTH


@kernel
def _functions(values, result):
    x = simd.load(values, 0)
    simd.store(result, 0, simd.exp(x))
    simd.store(result, W, simd.exp2(x))
    simd.store(result, 2 * W, simd.log2(x * x + 0.5))
    simd.store(result, 3 * W, simd.square_root(simd.absolute(x)))
    simd.store(result, 4 * W, simd.floor(x))
    simd.store(result, 5 * W, simd.select(x > 1.0, x - 1.0, 2.0 - x))
    simd.store(result, 6 * W, simd.maximum(x, 0.5))
    simd.store(result, 7 * W, simd.minimum(simd.lane_numbers(), x))
    simd.put(result, 8 * W, simd.lane_sum(x))
    return simd.mask_bits(simd.invert(x > 0.0))


@kernel
def _nan_rules(values, result):
    x = simd.load(values, 0)
    simd.store(result, 0, simd.maximum(x, 3.0))
    simd.store(result, W, simd.minimum(x, 4.0))
    return simd.mask_bits((x >= 0.0) | (x < 0.0))


@kernel
def _memory(records, blocks, sums, image):
    fields = simd.load_records(records, 0)
    simd.store_eight_sums(sums, 0, fields[:8])
    simd.store_records(records, 0, (
        fields[15], fields[14], fields[13], fields[12], fields[11], fields[10], fields[9], fields[8], fields[7],
        fields[6], fields[5], fields[4], fields[3], fields[2], fields[1], fields[0],
    ))  # fmt: skip
    four = simd.load_four_blocks(image, 37, 20)
    simd.store(blocks, 0, four[0])
    simd.store(blocks, W, four[1])
    simd.store(blocks, 2 * W, four[2])
    simd.store(blocks, 3 * W, four[3])
    simd.store_four_blocks(image, 37, 20, (four[0] * 2.0, four[1] * 2.0, four[2] * 2.0, four[3] * 2.0))


@kernel
def _scalars(numbers, bits, values, result):
    simd.put_int(numbers, 1, simd.take_ticket(numbers, 0) + simd.trailing_zeros(8))
    simd.store(result, 0, simd.select(simd.mask_from_bits(bits), simd.load(values, 0), simd.zeros()))
    simd.store(numbers, 4, (simd.to_int(simd.load(values, 0)) << 1) | simd.broadcast_int(1))


@kernel
def _gather(records, starts, fields, by_address):
    if by_address:
        found = simd.load_records_at(address(records), address(starts), 3)
    else:
        found = simd.load_records_at(records, starts, 3)
    for k in range(8):
        simd.store(fields, k * W, found[k])


@kernel
def _words(words, values, result):
    simd.store_mask(words, 1, simd.load(values, 0) > 0.0)
    simd.put_long(words, 3, 1 << 40)
    simd.store(result, 0, simd.select(simd.load_mask(address(words), 1), 1.0, simd.zeros()))
    return simd.get_long(words, 3)


def _vector(*values: float) -> np.ndarray:
    return np.resize(np.array(values, np.float32), W)


def test_functions_match_numpy():
    x = np.linspace(-7.3, 9.1, W).astype(np.float32)
    result = np.zeros(8 * W + 1, np.float32)
    bits = _functions(x, result)
    y = x.astype(np.float64)
    expected = [
        np.exp(y), np.exp2(y), np.log2(y * y + 0.5), np.sqrt(abs(y)), np.floor(y), np.where(y > 1, y - 1, 2 - y),
        np.maximum(y, 0.5), np.minimum(np.arange(W), y),
    ]  # fmt: skip
    np.testing.assert_allclose(result[:-1].reshape(8, W), expected, rtol=2e-6, atol=2e-7)
    np.testing.assert_allclose(result[-1], y.sum(), rtol=1e-5)
    assert bits == sum(1 << i for i in range(W) if not x[i] > 0)


def test_exponential_is_clamped_and_accurate_over_its_range():
    x = np.linspace(-86, 86, 4096).astype(np.float32)
    result = np.zeros(8 * W + 1, np.float32)
    for start in range(0, len(x), W):
        _functions(x[start : start + W], result)
        np.testing.assert_allclose(result[:W], np.exp(x[start : start + W].astype(np.float64)), rtol=5e-6)
    _functions(_vector(-1e30, 1e30), result)
    assert np.isfinite(result[:W]).all() and (result[:W] > 0).all()


def test_nan_loses_every_comparison_and_extremum():
    result = np.zeros(2 * W, np.float32)
    bits = _nan_rules(_vector(np.nan), result)
    assert bits == 0
    assert (result[:W] == 3).all() and (result[W:] == 4).all()


def test_records_transpose_and_sums_are_exact():
    rng = np.random.default_rng(0)
    records = rng.integers(-50, 50, (W, 16)).astype(np.float32)
    before = records.copy()
    image = np.arange(400, dtype=np.float32)
    blocks, sums = np.zeros(4 * W, np.float32), np.zeros(8, np.float32)
    _memory(records.reshape(-1), blocks, sums, image)
    np.testing.assert_array_equal(records, before[:, ::-1])
    np.testing.assert_array_equal(sums, before[:, :8].sum(axis=0))
    rows = np.arange(400, dtype=np.float32)[37:].reshape(-1)
    for k, block in enumerate(blocks.reshape(4, -1, 4)):
        expected = np.stack([rows[20 * r + 4 * k : 20 * r + 4 * k + 4] for r in range(simd.BLOCK_HEIGHT)])
        np.testing.assert_array_equal(block, expected)
    doubled = np.arange(400, dtype=np.float32)
    for r in range(simd.BLOCK_HEIGHT):
        doubled[37 + 20 * r : 53 + 20 * r] *= 2
    np.testing.assert_array_equal(image, doubled)


def test_records_from_anywhere_by_array_and_by_address():
    records = np.arange(40 * 16, dtype=np.float32)
    starts = (np.random.default_rng(1).permutation(40)[: W + 3] * 16).astype(np.int32)
    for by_address in (False, True):
        fields = np.zeros(8 * W, np.float32)
        _gather(records, starts, fields, by_address)
        np.testing.assert_array_equal(fields.reshape(8, W), records[starts[3:][None] + np.arange(8)[:, None]])


def test_masks_and_long_words_in_memory():
    words, result = np.zeros(8, np.int32), np.zeros(W, np.float32)
    values = np.where(np.arange(W) % 3 == 0, 1, -1).astype(np.float32)
    word = _words(words, values, result)
    bits = np.unpackbits(words.view(np.uint8), bitorder="little")
    np.testing.assert_array_equal(bits[W : 2 * W], values > 0)
    assert bits.sum() == (values > 0).sum() + 1 and bits[3 * 64 + 40] == 1
    assert word == 1 << 40
    np.testing.assert_array_equal(result, values > 0)


def test_integers_masks_and_tickets():
    numbers = np.zeros(4 + W, np.int32)
    numbers[0] = 5
    result = np.zeros(W, np.float32)
    values = np.arange(1, W + 1, dtype=np.float32)
    _scalars(numbers, 0b10110, values, result)
    assert numbers[0] == 6 and numbers[1] == 5 + 3
    np.testing.assert_array_equal(result, np.where([(0b10110 >> i) & 1 for i in range(W)], values, 0))
    np.testing.assert_array_equal(numbers[4:], 2 * np.arange(1, W + 1) + 1)


def test_width_follows_the_cpu_and_the_override():
    wide = dict.fromkeys(("avx512f", "avx512vl", "avx512bw", "avx512dq"), True)
    assert choose_width(None, wide) == 16
    assert choose_width(None, wide | {"avx512vl": False}) == 8
    assert choose_width(None, {}) == 8
    assert choose_width("8", wide) == 8
    assert choose_width("16", {}) == 16
    with pytest.raises(ValueError, match="DIGIDOUBLE_VECTOR_WIDTH"):
        choose_width("12", wide)


@pytest.mark.parametrize("dtype", [np.float32, np.int32, np.uint8])
def test_buffers_start_at_a_cache_line(dtype):
    for size in (1, 7, 1000, 100_000):
        array = aligned_zeros((3, size), dtype)
        assert array.shape == (3, size) and array.ctypes.data % CACHE_LINE == 0 and not array.any()
    copy = aligned_copy(np.arange(5, dtype=dtype))
    assert copy.ctypes.data % CACHE_LINE == 0 and copy.tolist() == [0, 1, 2, 3, 4]
