# SPDX-License-Identifier: Apache-2.0
"""The swap's CUDA sources, run on the CPU by the stand-in device, against the CPU's swap; and which engine is taken."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
from numpy.testing import assert_allclose

from backend.cli import main
from backend.faceswap import registry
from backend.faceswap import swap as swap_stage
from backend.faceswap.consistency.stage import make_consistent
from backend.faceswap.engines import OpenDevice, choose_device
from backend.faceswap.gpu import GpuExchange
from backend.faceswap.registry import UvSwapper
from backend.faceswap.settings import SwapSettings
from backend.faceswap.swap import swap
from backend.faceswap.views import Skins
from benchmarks.swap_views import view_bars
from interchange.capture import Capture
from interchange.errors import InputError

from ..kernels.cuda.emulated import EmulatedDevice, compiler
from . import gpu_checks

pytestmark = pytest.mark.skipif(compiler() is None, reason="g++ is not installed: it compiles the CUDA sources here")


@pytest.mark.parametrize("samples", [1, 2, 3])
def test_the_filtered_skin_is_the_cpus(device, samples):
    gpu_checks.check_filter(device, samples)


@pytest.mark.parametrize("noisy", [False, True])
def test_the_picture_is_the_cpus(device, noisy):
    gpu_checks.check_exchange(device, noisy, gpu_checks.NEW)


@pytest.mark.parametrize("check", gpu_checks.CHECKS, ids=lambda check: check.__name__)
def test_checks(device, check):
    check(device)


def test_bad_views_are_refused_before_they_reach_the_device(device):
    mesh, images = gpu_checks.a_view()
    camera = gpu_checks.CAMERA
    gpu = GpuExchange(device, 0, Skins.of(gpu_checks.OLD, gpu_checks.NEW), 2, False, [camera])
    with pytest.raises(InputError, match="light and albedo"):
        gpu.change(attrs.evolve(images, light=None), mesh, camera)
    with pytest.raises(InputError, match="alpha is 60 x 59"):
        gpu.change(attrs.evolve(images, alpha=images.alpha[:-1]), mesh, camera)
    larger = gpu_checks.dome_camera(0, 0, 70)
    with pytest.raises(ValueError, match="announced"):
        gpu.filtered_skin(mesh, larger)
    gpu.close()


def test_the_engine_is_chosen_and_explained():
    def none(progress):
        return None, "There is no driver here."

    assert choose_device("cpu", lambda progress: pytest.fail("not asked for"), None) == (None, "The CPU was asked for.")
    device, reason = choose_device("auto", none, None)
    assert device is None and reason == "There is no driver here. The CPU swaps."
    with pytest.raises(InputError, match="There is no driver") as refused:
        choose_device("cuda", none, None)
    assert refused.value.code == "RES_NO_GPU"
    with pytest.raises(InputError, match="engine"):
        SwapSettings(engine="abacus")


def with_device(monkeypatch: pytest.MonkeyPatch, device: EmulatedDevice) -> None:
    swapper = UvSwapper(lambda progress: (device, "CUDA runs on the stand-in."))
    monkeypatch.setitem(registry._SWAPPERS, "uv", swapper)


def test_a_whole_swap_on_the_device(
    capture: Capture, source: Path, device: EmulatedDevice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_device(monkeypatch, device)
    swapped = swap(capture.folder, source, tmp_path / "cpu", SwapSettings(engine="cpu"))
    assert swapped.report["engine"] == "cpu" and swapped.report["engine_reason"] == "The CPU was asked for."
    result = swap(capture.folder, source, tmp_path / "cuda")
    assert result.report["engine"] == "cuda" and result.report["engine_reason"] == "CUDA runs on the stand-in."
    assert device.launches.count("exchange_skin") >= len(capture.views)
    ours, theirs = Capture.load(result.folder), Capture.load(swapped.folder)
    for view in capture.views:
        a, b = ours.load_view(view).rgb, theirs.load_view(view).rgb
        assert_allclose(a, b, atol=gpu_checks.TOLERANCE, rtol=1e-3)  # a half float's last digit may fall otherwise
        assert (a != b).mean() < 1e-3
    again = swap(capture.folder, source, result.folder, SwapSettings(engine="cpu"))
    assert again.rendered == ()  # its views stay good


def test_a_consistent_swap_names_what_each_part_used(
    capture: Capture, source: Path, device: EmulatedDevice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def report_of(name: str, opened: OpenDevice, **settings: Any) -> dict[str, Any]:
        monkeypatch.setattr(swap_stage, "make_consistent", partial(make_consistent, open_device=opened))
        asked = SwapSettings(swapper="classical", **settings)
        return swap(capture.folder, source, tmp_path / name, asked).report

    before = device.launches.count("exchange_skin")
    report = report_of("cuda", lambda progress: (device, "CUDA runs on the stand-in."))
    assert device.launches.count("exchange_skin") >= before + len(capture.views)
    assert report["engine"] == "cuda" == report["consistency"]["engine"]
    assert report["engine_reason"] == (
        "The classical swap uses the CPU; one skin is fused from it on the CPU; all views are made anew by cuda: CUDA "
        "runs on the stand-in."
    )
    assert report["per_view"] == {"engine": "cpu", "engine_reason": "The classical swap uses the CPU."}
    report = report_of("none", lambda progress: (None, "There is no driver here."))
    assert report["engine"] == "cpu" == report["consistency"]["engine"]
    assert report["engine_reason"].endswith("made anew by cpu: There is no driver here. The CPU swaps.")
    report = report_of("alone", lambda progress: pytest.fail("no stage, no GPU"), consistency=False)
    assert report["engine_reason"] == "The classical swap uses the CPU." and "per_view" not in report


def test_the_command_line_takes_an_engine(
    capture: Capture, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    swapper = UvSwapper(lambda progress: (None, "There is no driver here."))
    monkeypatch.setitem(registry._SWAPPERS, "uv", swapper)
    words = ["swap", "--capture", str(capture.folder), "--source", str(source), "--out", str(tmp_path / "out")]
    assert main([*words, "--engine", "cuda"]) == 2
    assert "There is no driver" in capsys.readouterr().err and not (tmp_path / "out").exists()
    assert main(words) == 0
    assert "There is no driver here. The CPU swaps." in capsys.readouterr().out


def test_the_benchmark_measures_and_compares(capture: Capture, device: EmulatedDevice) -> None:
    bars = {bar.name: bar for bar in view_bars(device, capture, 2, 2)}
    assert all(bar.value is not None and bar.value >= 0 and bar.holds is not False for bar in bars.values())
    assert bars["denoised: GPU, wall"].value > 0 and bars["noisy light: largest difference"].holds


def test_short_memory_goes_to_the_cpu_or_is_refused(
    capture: Capture, source: Path, emulated_device: EmulatedDevice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = EmulatedDevice(emulated_device._folder, memory=1 << 20)
    with_device(monkeypatch, small)
    result = swap(capture.folder, source, tmp_path / "auto")
    assert result.report["engine"] == "cpu" and "MiB on the GPU" in result.report["engine_reason"]
    with pytest.raises(InputError, match="MiB") as refused:
        swap(capture.folder, source, tmp_path / "cuda", SwapSettings(engine="cuda"))
    assert refused.value.code == "RES_GPU_MEMORY" and not (tmp_path / "cuda").exists()
    assert small.blocks == 0 and not np.any(small.launches)
