# SPDX-License-Identifier: Apache-2.0
"""The compiled layout of EXR blocks against numpy's, on any bytes, and whole files by either."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from backend.kernels.exr_blocks import BLOCKS
from interchange.capture import ViewImages, read_view, write_view
from interchange.errors import InputError
from interchange.exr import NumpyBlocks, read_planes, write_exr

NUMPY = NumpyBlocks()


@pytest.mark.parametrize(("rows", "width"), [(1, 1), (1, 7), (3, 5), (16, 31), (16, 1000)])
def test_any_bytes(rows: int, width: int) -> None:
    random = np.random.default_rng(rows * 1000 + width)
    lines = random.integers(0, 256, (rows, 2 * width), np.uint8)
    packed = NUMPY.differences(lines.ravel())
    assert_array_equal(BLOCKS.differences(lines.ravel()), packed)
    cuts = np.sort(random.integers(0, width + 1, 4))
    spans = np.array([(cuts[0], cuts[1], 0), (cuts[2], cuts[3], cuts[1] - cuts[0])])
    results = []
    for coder in (NUMPY, BLOCKS):
        out = np.full((rows, 2 * width), 77, np.uint8)
        coder.place(packed, spans, out)
        results.append(out)
    assert_array_equal(results[0], results[1])
    first, second = cuts[1] - cuts[0], cuts[3] - cuts[2]
    assert_array_equal(results[1][:, : 2 * first], lines[:, 2 * cuts[0] : 2 * cuts[1]])
    assert_array_equal(results[1][:, 2 * first : 2 * (first + second)], lines[:, 2 * cuts[2] : 2 * cuts[3]])
    assert (results[1][:, 2 * (first + second) :] == 77).all()


def test_nothing() -> None:
    assert len(BLOCKS.differences(np.zeros(0, np.uint8))) == 0
    BLOCKS.place(np.zeros(4, np.uint8), np.zeros((0, 3), np.int64), np.zeros((1, 0), np.uint8))


@pytest.mark.parametrize("size", [(1, 1), (16, 8), (33, 21)])
def test_files_are_the_same(tmp_path, size: tuple[int, int]) -> None:
    random = np.random.default_rng(3)
    channels = {
        "A": random.normal(size=size).astype(np.float16), "depth.Z": random.normal(size=size).astype(np.float32),
        "B": np.zeros(size, np.float16), "mask.x": np.ones(size, np.float16),
    }  # fmt: skip
    write_exr(tmp_path / "numpy.exr", channels)
    write_exr(tmp_path / "compiled.exr", channels, BLOCKS)
    for file, wanted in itertools.product(
        ("numpy.exr", "compiled.exr"), (None, {"depth"}, {"A", "mask"}, {"nothing"})
    ):
        ours, theirs = (read_planes(tmp_path / file, wanted, coder) for coder in (BLOCKS, None))
        assert ours.keys() == theirs.keys()
        for name, plane in ours.items():
            assert plane.dtype == channels[name].dtype
            assert_array_equal(plane, channels[name])
            assert_array_equal(theirs[name], channels[name])


@pytest.mark.parametrize("size", [2, 1000, 100_000])
def test_each_reads_what_the_other_packs(size: int) -> None:
    random = np.random.default_rng(size)
    data = (random.integers(0, 256, size) * (random.random(size) > 0.7)).astype(np.uint8)
    for packer, reader in itertools.permutations((NUMPY, BLOCKS)):
        packed = packer.deflate(data)
        assert reader.inflate(memoryview(packed), size + 1) == data.tobytes()
        assert reader.inflate(memoryview(packed), size // 2) == data.tobytes()[: size // 2]


def test_damage_is_told_and_never_decoded(tmp_path) -> None:
    random = np.random.default_rng(11)
    write_exr(tmp_path / "whole.exr", {"A": np.round(random.random((48, 50)), 1).astype(np.float16)}, BLOCKS)
    whole = (tmp_path / "whole.exr").read_bytes()
    plane = read_planes(tmp_path / "whole.exr", None, BLOCKS)["A"]
    told = 0
    for place in range(300, len(whole), 7):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 8
        (tmp_path / "damaged.exr").write_bytes(damaged)
        try:
            found = read_planes(tmp_path / "damaged.exr", None, BLOCKS)["A"]
        except InputError as error:
            told += "is damaged" in error.message
        else:
            assert_array_equal(found, plane)  # a bit that says nothing
    assert told > 100
    (tmp_path / "damaged.exr").write_bytes(whole[:-50])
    with pytest.raises(InputError, match="is damaged"):
        read_planes(tmp_path / "damaged.exr", None, BLOCKS)


def test_views_are_the_same(tmp_path) -> None:
    random = np.random.default_rng(5)
    images = ViewImages(
        rgb=random.random((20, 12, 3), np.float32), alpha=random.random((20, 12), np.float32),
        depth=random.random((20, 12), np.float32), masks={"skin": np.ones((20, 12), np.float32)},
    )  # fmt: skip
    write_view(tmp_path / "view.exr", images, BLOCKS)
    ours, theirs = read_view(tmp_path / "view.exr", coder=BLOCKS), read_view(tmp_path / "view.exr")
    for name in ("rgb", "alpha", "depth"):
        assert_array_equal(getattr(ours, name), getattr(theirs, name))
        assert getattr(ours, name).flags.c_contiguous
    assert_array_equal(ours.depth, images.depth)
    assert_array_equal(ours.masks["skin"], images.masks["skin"])
