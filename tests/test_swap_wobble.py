# SPDX-License-Identifier: Apache-2.0
"""The benchmark's swappers that wobble: that they err as much as they say, anew in every view, and alike when asked
again."""

from __future__ import annotations

from pathlib import Path

import attrs
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from backend.evaluation.tables import Row
from benchmarks.stand_in_networks import FLICKER_BIAS, FLICKER_GAIN, FLICKER_SHIFT, write_flickering
from benchmarks.swap_measures import Agreement, MethodRow
from benchmarks.swap_wobble import FUSED, RAW, Wobble, summary, wobble_bars, wobble_lines
from interchange.cameras import Camera


def camera(number: int) -> Camera:
    pose = np.eye(4)
    pose[0, 3] = 0.01 * number
    return Camera(np.array([[100.0, 0, 50], [0, 100, 50], [0, 0, 1]]), pose, 100, 100)


def face() -> np.ndarray:
    return np.random.default_rng(0).normal(50, 15, (83, 2))


def test_the_points_are_off_by_as_much_as_said() -> None:
    for pixels in (1.0, 2.0):
        errors = np.stack([Wobble(pixels, seed)(face(), camera(n)) - face() for seed in range(4) for n in range(200)])
        assert np.sqrt((errors**2).mean()) == pytest.approx(pixels, rel=0.05)
        shift = errors.mean(1, keepdims=True)
        assert np.sqrt((shift**2).mean()) == pytest.approx(pixels * np.sqrt(0.5), rel=0.06)
        centred = face() - face().mean(0)
        basis = np.stack([centred, np.stack([-centred[:, 1], centred[:, 0]], -1)], -1).reshape(-1, 2)
        rest = (errors - shift).reshape(len(errors), -1)
        own = rest - (basis @ np.linalg.lstsq(basis, rest.T, rcond=None)[0]).T
        assert np.sqrt((own**2).mean()) == pytest.approx(pixels * 0.5, rel=0.06)


def test_each_view_has_its_own_error_and_keeps_it() -> None:
    first = Wobble(1, 0)(face(), camera(0))
    assert_array_equal(first, Wobble(1, 0)(face(), camera(0)))
    assert np.abs(first - Wobble(1, 0)(face(), camera(1))).max() > 0.5
    assert np.abs(first - Wobble(1, 1)(face(), camera(0))).max() > 0.5
    assert_array_equal(Wobble(0, 0)(face(), camera(0)), face())


def row(rmse: float, change: float, psnr: float) -> MethodRow:
    truth = Row(psnr=0, ssim=0, psnr_face=psnr, ssim_face=0.9)
    return MethodRow(truth, truth, truth, Agreement(rmse, rmse, change), Agreement(3, 2, 0))


def test_its_table_and_bars_are_over_the_seeds() -> None:
    rows = {RAW.format(1.0): [row(9, 10, 28), row(11, 12, 30)], FUSED.format(1.0): [row(3, 1, 32), row(3, 1.2, 34)]}
    found = summary(rows[RAW.format(1.0)])
    assert found["RMSE"] == {"mean": 10, "sd": 1} and found["sharp"] is None
    bars = {bar.name: bar for bar in wobble_bars(rows, 1.0, (1.0,))}
    assert bars["points 1 px off: RMSE of the change, each view / one skin"].value == pytest.approx(10)
    assert bars["points 1 px off: truth PSNR, one skin above each view"].value == pytest.approx(4)
    beyond = bars["points 1 px off: the same beyond the true swap's"].value
    assert beyond == pytest.approx(np.sqrt(11**2 - 1) / np.sqrt(1.1**2 - 1))
    assert all(bar.holds is not False for bar in bars.values())
    worse = rows | {FUSED.format(1.0): [attrs.evolve(r, agreement=Agreement(9, 9, 9)) for r in rows[RAW.format(1.0)]]}
    assert not all(bar.holds is not False for bar in wobble_bars(worse, 1.0, (1.0,)))
    assert any("10.00 ± 1.00" in line for line in wobble_lines(rows))


def test_the_flickering_network_flickers_as_much_as_said(tmp_path: Path) -> None:
    pytest.importorskip("onnx", reason="the package onnx, which builds the stand-ins, is not installed")
    runtime = pytest.importorskip("onnxruntime", reason="the package onnxruntime is not installed")
    path = tmp_path / write_flickering(tmp_path, "blendswap_256")
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    generator = np.random.default_rng(5)
    x, y = np.meshgrid(np.arange(256.0), np.arange(256.0))
    found = []
    for _ in range(60):  # a ramp each way: its middle tells the shift once gain and bias are known from its contrast
        level = generator.uniform(0.3, 0.4, 3)
        ramps = np.stack([level[0] + 0.001 * x, level[1] + 0.001 * y, level[2] + 0 * x])[None].astype(np.float32)
        given = {"target": ramps, "source": np.zeros((1, 3, 112, 112), np.float32)}
        (out,) = session.run(None, given)
        inner = out[0, :, 64:192, 64:192]
        gains = [inner[0, 0, -1] - inner[0, 0, 0], inner[1, -1, 0] - inner[1, 0, 0]]
        found.append(np.array(gains) / 0.127 - 1)
        (again,) = session.run(None, given)
        assert_array_equal(out, again)
    assert np.std(found) == pytest.approx(FLICKER_GAIN, rel=0.25)
    assert 0 < FLICKER_BIAS < 0.1 and 0 < FLICKER_SHIFT < 0.05
    flat = [np.full((1, 3, 256, 256), v, np.float32) for v in generator.uniform(0.3, 0.6, 60)]
    means = [session.run(None, {"target": f, "source": given["source"]})[0].mean() / f.mean() for f in flat]
    assert np.std(means) == pytest.approx(np.hypot(FLICKER_GAIN, FLICKER_BIAS / 0.45) / np.sqrt(3), rel=0.35)
