# SPDX-License-Identifier: Apache-2.0
"""Splats added, split, dropped and moved: the arithmetic, on clouds made by hand."""

import numpy as np
import pytest

from backend.fitting.columns import Columns, rotations
from backend.fitting.densification import PULL, SHRINK, cloud_radius, densified, shared_logit
from backend.fitting.mcmc import relocated
from backend.fitting.state import FitState, RunState
from backend.kernels.engine import CpuEngine
from backend.kernels.parameters import (
    ROW_LOG_SCALE,
    ROW_MEAN,
    ROW_OPACITY,
    ROW_QUAT,
    AdamState,
    SplatParameters,
)  # fmt: skip
from backend.kernels.rasterizer import LossWeights
from interchange.splats import SplatCloud

from .scene import ball_camera


def cloud(count=40, seed=0, opacity=0.5, width=0.004):
    rng = np.random.default_rng(seed)
    return SplatCloud(
        means=rng.uniform(-0.1, 0.1, (count, 3)),
        log_scales=np.log(width * rng.uniform(0.5, 1, (count, 3))),
        quats_wxyz=rng.normal(size=(count, 4)),
        opacity_logits=np.full(count, np.log(opacity / (1 - opacity))),
        sh=rng.normal(size=(count, 4, 3)),
    )


def state_of(splats):
    parameters, rng = SplatParameters.from_cloud(splats), np.random.default_rng(5)
    adam = AdamState.like(parameters)
    adam.first[:], adam.second[:] = rng.random(adam.first.shape), rng.random(adam.first.shape)
    count = len(splats)
    face = np.arange(count, dtype=np.int32)
    return FitState("", parameters, adam, RunState(10), 0.01, "mesh", face, rng.random((count, 3)).astype(np.float32))


def arranged(columns, state):
    """What a session makes of it."""
    session = CpuEngine(len(columns), 16, 16, 1, 1).begin(state.parameters, state.adam, [], LossWeights())
    found = columns.put_into(state)
    session.rearrange(found.parameters, found.adam, found.source, found.rested)
    return found.parameters, found.adam


def columns_of(splats):
    return Columns.of(state_of(splats))


def quiet(columns, loud=()):
    """Pulls below the threshold, except for the columns `loud`, the later the harder."""
    pull = np.full(len(columns), PULL / 2)
    pull[list(loud)] = PULL * (2 + np.arange(len(loud)))
    return pull


def test_columns_and_back_is_the_same_cloud_moments_and_binding():
    state = state_of(cloud())
    before = state.parameters.to_cloud()
    first = state.adam.first[:, np.argsort(state.parameters.order)]
    state.parameters, state.adam = arranged(Columns.of(state), state)
    after = state.parameters.to_cloud()
    back = np.argsort(state.face)  # the binding still says which splat is which
    assert np.array_equal(after.means[back], before.means) and np.array_equal(after.sh[back], before.sh)
    columns = np.argsort(state.parameters.order)
    assert np.array_equal(state.adam.first[:, columns][:, back], first)
    assert state.parameters.block.shape[1] == 48 and (state.parameters.block[ROW_OPACITY, 40:] < -50).all()


def test_a_cloud_through_put_into_looks_the_same():
    state = state_of(cloud(300, width=0.02))
    engine, camera = CpuEngine(300, 64, 64, 1, 1), ball_camera(0.3, 0.1, 64, target=np.zeros(3))
    before, _ = engine.render(state.parameters, camera)
    parameters, _ = arranged(Columns.of(state), state)
    assert before.max() > 0.1 and np.allclose(engine.render(parameters, camera)[0], before, atol=1e-5)


def test_small_splats_are_copied_large_ones_split_and_the_rest_left_alone():
    columns = columns_of(cloud(40))
    columns.block[ROW_LOG_SCALE:ROW_OPACITY, 7] = np.log(0.013)  # above 0.01 of the radius, which is about 0.17
    columns.block[ROW_LOG_SCALE:ROW_OPACITY, 3] = np.log(0.0005)
    before = columns.block.copy()
    result = densified(columns, quiet(columns, (3, 7)), 100, np.random.default_rng(0))
    assert len(result) == 42
    untouched = np.setdiff1d(np.arange(40), (3, 7))
    assert np.array_equal(result.block[:, untouched], before[:, untouched])
    copy, half = result.block[:, 40], result.block[:, 41]
    assert np.array_equal(result.block[ROW_MEAN:ROW_QUAT, 3], before[ROW_MEAN:ROW_QUAT, 3])
    assert np.linalg.norm(copy[ROW_MEAN:ROW_QUAT] - before[ROW_MEAN:ROW_QUAT, 3]) < 0.0005 * 5
    assert np.array_equal(copy[ROW_LOG_SCALE:ROW_OPACITY], before[ROW_LOG_SCALE:ROW_OPACITY, 3])
    assert np.allclose(half[ROW_LOG_SCALE:ROW_OPACITY], np.log(0.013 / SHRINK), atol=1e-6)
    middle = (half[ROW_MEAN:ROW_QUAT] + result.block[ROW_MEAN:ROW_QUAT, 7]) / 2
    assert np.allclose(middle, before[ROW_MEAN:ROW_QUAT, 7], atol=1e-7)  # two halves around their parent
    for pair in ((3, 40), (7, 41)):
        through = 1 - result.opacities[list(pair)]
        assert np.prod(through) == pytest.approx(0.5, abs=1e-6)  # together as opaque as the parent
        assert result.face[pair[0]] == result.face[pair[1]]
    assert result.rested[40:].all() and np.flatnonzero(result.rested[:40]).tolist() == [7]
    assert result.source.tolist() == [*range(40), 3, 7]


def test_where_room_is_short_the_hardest_pull_goes_first():
    columns = columns_of(cloud(40))
    result = densified(columns, quiet(columns, (5, 9, 20, 30)), 42, np.random.default_rng(0))
    assert len(result) == 42 and sorted(result.face[40:]) == sorted(columns_of(cloud(40)).face[[20, 30]])
    assert len(densified(columns_of(cloud(40)), quiet(columns, (5,)), 40, np.random.default_rng(0))) == 40


def test_dead_and_huge_splats_go_but_never_all():
    columns = columns_of(cloud(40))
    columns.block[ROW_OPACITY, :5] = -9
    columns.block[ROW_LOG_SCALE, 6] = np.log(cloud_radius(columns))
    result = densified(columns, quiet(columns), 100, np.random.default_rng(0))
    assert len(result) == 34
    columns = columns_of(cloud(40, opacity=1e-4))
    assert len(densified(columns, quiet(columns), 100, np.random.default_rng(0))) == 40


def test_offsets_follow_each_splats_own_ellipsoid():
    columns = columns_of(cloud(1)).take(np.zeros(20_000, int))
    scales = np.array([0.01, 0.003, 0.001])
    columns.block[ROW_LOG_SCALE:ROW_OPACITY] = np.log(scales)[:, None]
    turn = rotations(columns.block[ROW_QUAT:ROW_LOG_SCALE, :1])[:, :, 0]
    assert np.allclose(turn @ turn.T, np.eye(3), atol=1e-6) and np.linalg.det(turn) == pytest.approx(1)
    covariance = np.cov(columns.offsets(np.random.default_rng(0)))
    assert np.allclose(covariance, turn @ np.diag(scales**2) @ turn.T, atol=5e-6)


def line_of_sight(columns, camera):
    return CpuEngine(len(columns), 64, 64, 1, 1).render(columns.put_into(state_of(cloud(1))).parameters, camera)[1]


@pytest.mark.parametrize("copies", [2, 3, 8])
def test_relocated_copies_look_like_what_they_were(copies):
    """One splat and many dead ones: the dead move onto it, and its picture stays about the same (the paper's eq. 9)."""
    splats = cloud(copies, opacity=0.7, width=0.03)
    splats.means[:] = 0
    splats.log_scales[:] = np.log(0.02)
    splats.opacity_logits[1:] = -9
    columns = columns_of(splats)
    camera = ball_camera(0, 0, 64, target=np.zeros(3))
    before = line_of_sight(columns, camera)
    result = relocated(columns, copies, np.random.default_rng(0))
    assert len(result) == copies and np.ptp(result.opacities) == 0 and result.opacities[0] < 0.5
    assert result.rested.all() and len(set(result.face)) == 1
    after = line_of_sight(result, camera)
    assert before.max() > 0.65 and abs(after.max() - before.max()) < 0.02
    assert np.abs(after - before).mean() < 0.15 * before.mean()
    assert after.sum() == pytest.approx(before.sum(), rel=0.15)


def test_relocation_keeps_the_living_prefers_the_opaque_and_reaches_its_number():
    splats = cloud(400)
    splats.opacity_logits[:100], splats.opacity_logits[100:200] = 3, -3
    splats.opacity_logits[200:] = -9
    columns = columns_of(splats)
    strong = np.isin(columns.face, np.arange(100))
    result = relocated(columns, 500, np.random.default_rng(0))
    assert len(result) == 500 and set(result.face) == set(range(200))
    copies = np.bincount(result.face, minlength=400)
    assert copies[:100].sum() > 10 * (copies[100:200] - 1).sum() and strong.sum() == 100
    assert np.isfinite(result.block).all()


def test_shared_opacity():
    assert 1 - (1 - 1 / (1 + np.exp(-shared_logit(np.float32([0.3]), 3)))) ** 3 == pytest.approx(
        1 / (1 + np.exp(-0.3)), abs=1e-6
    )
