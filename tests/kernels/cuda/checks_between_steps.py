# SPDX-License-Identifier: Apache-2.0
"""What a CUDA engine must show of what happens between steps, on whatever device; see `checks`."""

from __future__ import annotations

import attrs
import numpy as np

from backend.kernels.cuda.engine import CudaEngine
from backend.kernels.parameters import AdamState, SplatParameters
from backend.kernels.rasterizer import LossWeights, Rasterizer, Step, Target

from ..scenes import camera_for, odd_scene, scene, target_near


def _on_a_mesh(parameters: SplatParameters, seed: int, faces: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """Unit normals (one of them zero) and a face for each splat, some on none."""
    rng = np.random.default_rng(seed)
    normals = rng.normal(size=(faces, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    normals[3] = 0
    return normals.astype(np.float32), rng.integers(-1, faces, parameters.count).astype(np.int32)


def changed_between_steps(engine: Rasterizer, parameters: SplatParameters, target: Target) -> list[np.ndarray]:
    """The blocks after decay, alignment and noise, one after the other; moments must not move."""
    adam = AdamState.like(parameters)
    adam.first += 1
    session = engine.begin(parameters, adam, [target], LossWeights())
    normals, face = _on_a_mesh(parameters, 5)
    found = []
    for change in (
        lambda: session.decay(0.97, -0.02), lambda: session.decay(1.0, 0.01),
        lambda: session.align(0.4, normals, face), lambda: session.align(0.1, normals, face),
        lambda: session.wander(0.01, 0.03, 2**40 + 17, 30),
    ):  # fmt: skip
        change()
        session.pull()
        found.append(parameters.block.copy())
    session.close()
    assert (adam.first == 1).all() and not adam.second.any()
    return found


def check_changes_between_steps(engine: Rasterizer) -> None:
    """As on the CPU within 1e-5: of a logit and a scale each, of a quaternion's length, of a step of noise. Twice the
    same; padding and colours stay."""
    from backend.kernels.engine import CpuEngine

    parameters, camera = scene(1, 5, count=1000)
    parameters.block[10, :600] = np.linspace(-110, 60, 600)
    parameters.block[10, 600:900] = np.linspace(-9, -3, 300)
    parameters.block[3:7, 7] = 1e-20
    target = Target(camera, np.zeros((camera.height, camera.width, 3), np.float32))
    start, count = parameters.block.copy(), parameters.count
    mine = changed_between_steps(engine, parameters.copy(), target)
    for a, b in zip(mine, changed_between_steps(engine, parameters.copy(), target), strict=True):
        np.testing.assert_array_equal(a, b)
    theirs = changed_between_steps(CpuEngine(count, 16, 16, 1), parameters.copy(), target)
    for a, b in zip(mine, theirs, strict=True):
        np.testing.assert_allclose(a[7:11], b[7:11], rtol=1e-5)
        lengths = np.linalg.norm(b[3:7], axis=0)
        assert (np.abs(a[3:7] - b[3:7]) <= 1e-5 * lengths).all()
        np.testing.assert_allclose(a[:3], b[:3], rtol=1e-6, atol=1e-8)
        np.testing.assert_array_equal(a[11:], start[11:])
        np.testing.assert_array_equal(a[:, count:], start[:, count:])
    moved = (mine[-1][:3] - mine[-2][:3], theirs[-1][:3] - theirs[-2][:3])
    assert np.abs(moved[0] - moved[1]).max() < 1e-5 * np.abs(moved[1]).max()
    assert moved[0].any(axis=0).sum() > 200 and not moved[0].any(axis=0).all()
    assert (mine[0][10] != start[10]).sum() > 900 and (mine[2][3:7] != mine[1][3:7]).any(axis=0).sum() > 900


def check_changes_of_odd_splats(engine: CudaEngine) -> None:
    """NaN, infinity, huge and tiny numbers: what is sound stays so, what is not stays as it is; no splats at all."""
    for seed in range(4):
        parameters, target = odd_scene(seed)
        start = parameters.block.copy()
        absurd = ~(np.abs(start[3:10]) < 1e15).all(axis=0)
        for after in changed_between_steps(engine, parameters, target):
            assert (np.isfinite(after) >= np.isfinite(start)).all()
            np.testing.assert_array_equal(after[3:7, absurd], start[3:7, absurd])
            sound = np.abs(start[10]) < 1e15
            np.testing.assert_array_equal(after[10, ~sound], start[10, ~sound])
    none = scene(1, 5)[0]
    none = SplatParameters(none.block[:, :16].copy(), 0, np.zeros(0, np.int64))
    before = none.block.copy()
    target = Target(camera_for(20, 10), np.zeros((10, 20, 3), np.float32))
    np.testing.assert_array_equal(changed_between_steps(engine, none, target)[-1], before)


def check_faces_follow_the_splats(engine: Rasterizer) -> None:
    """Other splats on the same mesh, as densification makes them, and other normals: each time as a fresh session."""
    few, camera = scene(0, 3, count=90)
    many, _ = scene(2, 4, count=300)
    target = Target(camera, np.zeros((camera.height, camera.width, 3), np.float32))
    normals, face = _on_a_mesh(few, 1)
    later_face = _on_a_mesh(many, 2)[1]
    fresh = [few.copy(), many.copy(), many.copy()]
    session = engine.begin(few, AdamState.like(few), [target], LossWeights())
    session.align(0.5, normals, face)
    session.replace(many, AdamState.like(many))
    session.align(0.5, normals, later_face)
    session.pull()
    once = many.block.copy()
    session.align(0.5, -normals[::-1].copy(), later_face)
    session.pull()
    session.close()
    fresh[2].block[:] = once
    for own, (n, f), result in zip(
        fresh, [(normals, face), (normals, later_face), (-normals[::-1].copy(), later_face)],
        [None, once, many.block], strict=True,
    ):  # fmt: skip
        other = engine.begin(own, AdamState.like(own), [target], LossWeights())
        before = own.block.copy()
        other.align(0.5, n, f)
        other.pull()
        other.close()
        assert (own.block[3:7] != before[3:7]).any()
        if result is not None:
            np.testing.assert_array_equal(own.block, result)
    session = engine.begin(few, AdamState.like(few), [target], LossWeights())
    for wrong in (normals[: face.max()], np.zeros((0, 3), np.float32)):
        try:
            session.align(0.5, wrong, face)
        except ValueError as error:
            assert f"face {face.max()} of {len(wrong)}" in str(error)
        else:
            raise AssertionError("a face that does not exist was taken")
    session.close()


def check_retarget(engine: Rasterizer) -> None:
    """Other pictures, with weights that there were none of before, then without: as sessions begun with them."""
    parameters, camera = scene(1, 2)
    other = camera_for(60, 40, (-0.4, 0.1, 0.9))
    first = [target_near(engine, parameters, c, i) for i, c in enumerate((camera, other))]
    second = [target_near(engine, parameters, c, 7 + i, weighted=i == 0) for i, c in enumerate((camera, other))]
    second[1] = attrs.evolve(second[1], alpha=np.ones_like(second[1].alpha))  # whose subject is the whole frame
    rates = parameters.learning_rates(1e-3, 6e-3, 1e-2, 5e-2, 3e-2)

    def steps(first_number: int) -> list[Step]:
        return [Step(i % 2, i, rates, (0.1, 0.2, 0.3)) for i in range(first_number, first_number + 2)]

    mine, theirs = parameters.copy(), parameters.copy()
    adams = AdamState.like(mine), AdamState.like(theirs)
    session = engine.begin(mine, adams[0], first, LossWeights())
    number, losses = 1, []
    for targets in (first, second, first, second):
        session.retarget(targets)
        fresh = engine.begin(theirs, adams[1], targets, LossWeights())
        losses.append([[result.loss for result in which.run(steps(number))] for which in (session, fresh)])
        fresh.pull()
        fresh.close()
        number += 2
    session.pull()
    session.close()
    assert all(own == expected for own, expected in losses) and losses[0][0] != losses[1][0]
    np.testing.assert_array_equal(mine.block, theirs.block)
    np.testing.assert_array_equal(adams[0].second, adams[1].second)


def check_rearrange(engine: Rasterizer) -> None:
    """Fewer and more columns, copies and padding, in the middle of a run: colours and moments come along. What the host
    gives for them is not looked at."""
    parameters, camera = scene(1, 2)
    target = target_near(engine, parameters, camera, 2)
    adam, rates = AdamState.like(parameters), parameters.learning_rates(1e-3, 6e-3, 1e-2, 5e-2, 3e-2)
    session = engine.begin(parameters, adam, [target], LossWeights(), statistics=True)
    session.run([Step(0, 1, rates), Step(0, 2, rates)])
    rng = np.random.default_rng(4)
    for count, width in ((300, 304), (90, 96)):
        session.pull()
        old = [parameters.block.copy(), adam.first.copy(), adam.second.copy()]
        if engine.name != "cpu":  # whose splats these are
            parameters.block[:11] = np.nan
        session.pull_shapes()
        np.testing.assert_array_equal(parameters.block, old[0])
        source, rested = np.full(width, -1, np.int32), np.zeros(width, bool)
        source[:count], rested[:count] = rng.integers(0, parameters.count, count), rng.random(count) < 0.3
        block = np.full((23, width), np.nan, np.float32)
        block[:11] = 0
        block[3], block[10, count:] = 1, -100
        block[:11, :count] = old[0][:11, source[:count]]
        expected = [block.copy(), np.zeros_like(block), np.zeros_like(block)]
        expected[0][11:] = 0
        expected[0][11:, :count] = old[0][11:, source[:count]]
        for mine, theirs in zip(expected[1:], old[1:], strict=True):
            mine[:, :count] = np.where(rested[:count], 0, theirs[:, source[:count]])
        assert expected[1].any() and rested.any()
        parameters = SplatParameters(block, count, np.arange(count))
        adam = AdamState(np.full_like(block, np.nan), np.full_like(block, np.nan))
        session.rearrange(parameters, adam, source, rested)
        shown = session.render(camera)[0]
        session.pull()
        for mine, theirs in zip((parameters.block, adam.first, adam.second), expected, strict=True):
            np.testing.assert_array_equal(mine, theirs)
        np.testing.assert_array_equal(shown, engine.render(parameters, camera)[0])
        assert shown.any() and not session.statistics().seen.any()
        (result,) = session.run([Step(0, 3, rates)])
        assert np.isfinite(result.loss) and session.statistics().seen.shape == (count,)
    for wrong in (96, -2):
        source[0] = wrong
        try:
            session.rearrange(parameters.copy(), AdamState.like(parameters), source, rested)
        except ValueError as error:
            assert "96 of 96 columns" in str(error)
        else:
            raise AssertionError("a column from nowhere was taken")
    session.pull()
    session.close()


CHECKS = [
    check_changes_between_steps, check_changes_of_odd_splats, check_rearrange, check_retarget,
    check_faces_follow_the_splats,
]  # fmt: skip
"""What takes nothing but the engine."""
