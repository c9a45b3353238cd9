# SPDX-License-Identifier: Apache-2.0
"""The figures that a fit takes itself: those of the evaluation, and for photos as well."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from backend import cli
from backend.evaluation.evaluate import evaluate
from backend.evaluation.held_out import held_out_scores, mean_scores
from backend.evaluation.perceptual import find_judges
from backend.fitting.fit import fit
from backend.fitting.settings import FitSettings
from interchange.png import read_png
from tests.fitting.foreign import around, write_transforms
from tests.fitting.scene import make_capture

SETTINGS = FitSettings(iterations=20, splats=300, threads=1, engine="cpu")


def test_a_fit_and_an_evaluation_agree(tmp_path: Path) -> None:
    capture = make_capture(tmp_path / "capture", train=6, held_out=2, size=48)
    result = fit(capture.folder, tmp_path / "double", SETTINGS)
    found = evaluate(capture.folder, None, tmp_path / "double")
    pairs = [(result.psnr, found.metrics.held_out.psnr), (result.ssim, found.metrics.held_out.ssim),
             (result.ms_ssim, found.ms_ssim), (result.flip, found.metrics.perceptual.flip)]  # fmt: skip
    for mine, theirs in pairs:
        assert mine == pytest.approx(theirs, abs=6e-5)
    assert result.held_out == 2 and "lpips" in result.not_available


def test_scores_of_known_pictures() -> None:
    goal = np.full((20, 20, 3), 0.5)
    scores = held_out_scores(goal + 0.1, goal, None, find_judges())
    levels = np.rint(0.6 * 255) - np.rint(0.5 * 255)
    assert scores["psnr"] == pytest.approx(-20 * np.log10(levels / 255), abs=1e-4) and scores["psnr_face"] is None
    tiny = held_out_scores(goal[:8], goal[:8], np.ones((8, 20)), find_judges())
    assert tiny["ms_ssim"] is None and tiny["psnr_face"] == 100
    means = mean_scores([scores, tiny])
    assert means["psnr"] == pytest.approx((scores["psnr"] + 100) / 2) and means["ms_ssim"] == scores["ms_ssim"]
    assert mean_scores([])["psnr"] is None


def test_photos_are_fitted_and_measured_from_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scene, record = write_transforms(tmp_path / "scene", around(9, 48)), tmp_path / "look/preview.png"
    words = ["fit", scene, "--out", tmp_path / "out", "--iterations", "30", "--splats", "300", "--longest", "40",
             "--densify", "mcmc", "--engine", "cpu", "--robust", "0.05", "--preview", record]  # fmt: skip
    assert cli.main(list(map(str, words))) == 0
    shown = capsys.readouterr().out
    kept = json.loads((tmp_path / "out/fit.json").read_text())["result"]
    assert f"2 held-out views: PSNR {kept['psnr']:.2f} dB, SSIM {kept['ssim']:.4f}, MS-SSIM" in shown
    assert f"FLIP {kept['flip']:.4f}, LPIPS not available" in shown and kept["held_out"] == 2
    assert "9 of 9 pictures were scaled down to 40 pixels" in shown and "from random" in shown
    assert read_png(record).shape == (40, 40, 3) and read_png(record).max() > 50
    alone = write_transforms(tmp_path / "alone", around(3, 48))
    words = ["fit", alone, "--out", tmp_path / "few", "--iterations", "5", "--splats", "300"]
    assert cli.main(list(map(str, words))) == 0
    assert "No view was held out" in capsys.readouterr().out
