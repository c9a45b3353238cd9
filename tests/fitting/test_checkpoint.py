# SPDX-License-Identifier: Apache-2.0
"""Checkpoints: whole, damaged, foreign."""

import numpy as np
import pytest

from backend.fitting.checkpoint import NAME, PREVIOUS, load_checkpoint, remove_checkpoints, save_checkpoint
from backend.fitting.state import FitState, RunState
from backend.kernels.parameters import AdamState, SplatParameters


def state(iteration, seed=0):
    rng = np.random.default_rng(seed)

    def block():
        return rng.normal(size=(23, 48)).astype(np.float32)

    return FitState(
        digest="abc",
        parameters=SplatParameters(block(), 40, rng.permutation(40)),
        adam=AdamState(block(), block()),
        run=RunState(planned=100, iteration=iteration, seconds=1.25, round_loss=0.1 + 0.2, recent_loss=[1 / 3]),
        reach=0.0123456789,
        kind="mesh",
        face=rng.integers(0, 99, 40).astype(np.int32),
        barycentric=rng.random((40, 3)).astype(np.float32),
    )


def same(a, b):
    pairs = [(a.parameters.block, b.parameters.block), (a.parameters.order, b.parameters.order),
             (a.adam.first, b.adam.first), (a.adam.second, b.adam.second), (a.face, b.face),
             (a.barycentric, b.barycentric)]  # fmt: skip
    arrays = all(np.array_equal(x, y) and x.dtype == y.dtype for x, y in pairs)
    return arrays and (a.run, a.reach, a.kind, a.digest) == (b.run, b.reach, b.kind, b.digest)


def test_round_trip_is_exact_and_the_one_before_is_kept(tmp_path):
    save_checkpoint(tmp_path, state(1))
    save_checkpoint(tmp_path, state(2, seed=1))
    found, notes = load_checkpoint(tmp_path, "abc")
    assert same(found, state(2, seed=1)) and notes == []
    (tmp_path / NAME).unlink()  # killed between the two renames
    found, notes = load_checkpoint(tmp_path, "abc")
    assert same(found, state(1)) and notes == []
    remove_checkpoints(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_copy_may_use_the_memory_of_an_earlier_one():
    first, later = state(1), state(2, seed=1)
    later.memory["residuals"] = np.arange(3.0)
    kept = first.copy()
    place = kept.parameters.block.ctypes.data
    again = later.copy(kept)
    assert same(again, later) and again.parameters.block.ctypes.data == place
    again.parameters.block[:] = again.adam.first[:] = again.memory["residuals"][:] = 0
    again.face[:] = again.parameters.order[:] = -1
    assert same(later, state(2, seed=1)) and later.memory["residuals"][2] == 2
    more = state(3)
    more.parameters = more.parameters.with_sh_degree(2)
    more.adam = more.adam.with_sh_degree(2)
    assert same(more.copy(again), more)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_state_knows_whether_it_is_finite(value):
    sound = state(1)
    sound.adam.second[:, :8] = 3e38  # whose sum is not
    assert sound.is_finite()
    for block in sound.blocks():
        broken = sound.copy()
        broken.blocks()[[b is block for b in sound.blocks()].index(True)][3, 5] = value
        assert not broken.is_finite()


def truncate(path):
    path.write_bytes(path.read_bytes()[:-7])


def flip_a_bit(path):
    data = bytearray(path.read_bytes())
    data[-5] ^= 1
    path.write_bytes(data)


def empty(path):
    path.write_bytes(b"")


@pytest.mark.parametrize("damage", [truncate, flip_a_bit, empty])
def test_a_damaged_checkpoint_gives_way_to_the_previous_one(tmp_path, damage):
    save_checkpoint(tmp_path, state(1))
    save_checkpoint(tmp_path, state(2))
    damage(tmp_path / NAME)
    found, notes = load_checkpoint(tmp_path, "abc")
    assert same(found, state(1))
    assert len(notes) == 1 and "damaged" in notes[0] and NAME in notes[0]
    damage(tmp_path / PREVIOUS)
    found, notes = load_checkpoint(tmp_path, "abc")
    assert found is None and len(notes) == 2


def test_a_checkpoint_of_other_inputs_is_not_used(tmp_path):
    save_checkpoint(tmp_path, state(1))
    save_checkpoint(tmp_path, state(2))
    found, notes = load_checkpoint(tmp_path, "other")
    assert found is None and len(notes) == 1 and "starts anew" in notes[0]


def test_no_checkpoint(tmp_path):
    assert load_checkpoint(tmp_path / "nothing", "abc") == (None, [])
