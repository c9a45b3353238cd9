# SPDX-License-Identifier: Apache-2.0
"""Whole fits on a real GPU: each variant is as good as the CPU's, the same bits twice, and goes on bit for bit."""

from __future__ import annotations

import itertools
import time
from pathlib import Path

import attrs
import pytest

from backend.fitting.checkpoint import NAME
from backend.fitting.fit import FitResult, fit
from backend.fitting.settings import FitSettings
from backend.fitting.trainer import Observer
from backend.kernels import cuda
from interchange.capture import Capture
from interchange.errors import Cancelled
from tests.fitting.scene import make_capture
from tests.fitting.test_interventions import VARIANTS

pytestmark = pytest.mark.gpu
SETTINGS = FitSettings(
    iterations=240, splats=300, sh_degree=1, early_stop=False, evaluations=0, checkpoint_every_s=1e9, engine="cuda"
)


class Killed(BaseException):
    """Stands for the end of the process."""


@pytest.fixture(scope="module")
def capture(tmp_path_factory) -> Capture:
    fine, sentence = cuda.availability()
    if not fine:
        pytest.skip(sentence)
    return make_capture(tmp_path_factory.mktemp("ball") / "capture", train=8, held_out=2, size=64)


def splats_of(out: Path) -> tuple[bytes, bytes]:
    return (out / "splats.ply").read_bytes(), (out / "binding.npz").read_bytes()


def killed_once(capture: Capture, out: Path, settings: FitSettings, after: int) -> FitResult:
    """A fit that is killed some looks after its first checkpoint, and run again."""
    looks = itertools.count()

    def kill() -> bool:
        if (out / NAME).exists() and next(looks) >= after:
            raise Killed
        return False

    with pytest.raises(Killed):
        fit(capture.folder, out, attrs.evolve(settings, checkpoint_every_s=0), cancelled=kill)
    return fit(capture.folder, out, settings)


@pytest.mark.parametrize("name", [*VARIANTS, "plain"])
def test_every_variant_is_as_good_as_on_the_cpu_and_resumes(capture: Capture, tmp_path: Path, name: str) -> None:
    settings = attrs.evolve(SETTINGS, **VARIANTS.get(name, {}))
    whole = fit(capture.folder, tmp_path / "whole", settings)
    on_cpu = fit(capture.folder, tmp_path / "cpu", attrs.evolve(settings, engine="cpu"))
    print(f"{name}: {whole.psnr:.3f} dB, on the CPU {on_cpu.psnr:.3f} dB")
    assert whole.engine == "cuda" and whole.psnr > on_cpu.psnr - 0.3
    resumed = killed_once(capture, tmp_path / "killed", settings, after=3)
    assert any("Resumed after step" in note for note in resumed.notes)
    assert splats_of(tmp_path / "killed") == splats_of(tmp_path / "whole")


def test_cancel_is_quick_and_loses_nothing(capture: Capture, tmp_path: Path) -> None:
    settings = attrs.evolve(SETTINGS, iterations=2000)
    began: list[float] = []
    asked: list[float] = []

    def progress(stage: str, fraction: float, message: str) -> None:
        if fraction > 0:
            began.append(time.monotonic())

    def cancelled() -> bool:
        if began:
            asked.append(time.monotonic())
        return bool(began)

    with pytest.raises(Cancelled):
        fit(capture.folder, tmp_path / "cancelled", settings, progress, cancelled)
    waited = time.monotonic() - asked[0]
    print(f"cancelled within {waited:.3f} s")
    assert waited < 1
    fit(capture.folder, tmp_path / "cancelled", settings)
    fit(capture.folder, tmp_path / "whole", settings)
    assert splats_of(tmp_path / "cancelled") == splats_of(tmp_path / "whole")


def test_looking_at_a_fit_does_not_change_it(capture: Capture, tmp_path: Path) -> None:
    """Pictures of a fit at work are rendered by the same session."""
    shown: list[tuple[int, ...]] = []
    watched = Observer(preview_wanted=lambda: True, preview=lambda picture, step: shown.append((step, *picture.shape)))
    fit(capture.folder, tmp_path / "watched", SETTINGS, observer=watched)
    fit(capture.folder, tmp_path / "alone", SETTINGS)
    assert len(shown) > 1 and shown[0][1:] == (64, 64, 3)
    assert splats_of(tmp_path / "watched") == splats_of(tmp_path / "alone")
