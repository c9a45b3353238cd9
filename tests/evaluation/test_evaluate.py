# SPDX-License-Identifier: Apache-2.0
"""The evaluation of whole folders: figures that are known in advance, exact keys, one sentence for bad input."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import attrs
import numpy as np
import pytest

from backend.evaluation import bars, metrics, results
from backend.evaluation.evaluate import count_splats, evaluate
from interchange.capture import Capture, write_view
from interchange.errors import Cancelled, InputError
from tests.evaluation import scene


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return scene.write_job(tmp_path_factory.mktemp("job"))


def run(job: Path, **options: object) -> results.Evaluation:
    return evaluate(job / "capture", job / "swapped", job / "double", job / "truth", **options)


def test_metrics_json_has_exactly_the_keys_of_the_issue(job: Path) -> None:
    run(job)
    value = json.loads((job / "double/metrics.json").read_text())
    assert {k: sorted(v) if isinstance(v, dict) else None for k, v in value.items()} == {
        "timing_s": sorted(["install", "capture", "transfer", "swap", "fit", "import", "total"]),
        "views": ["held_out", "train"],
        "size": None,
        "splats": None,
        "held_out": sorted(["psnr", "ssim", "psnr_face", "sharpness"]),
        "truth": ["psnr_face", "ssim_face"],
        "consistency": ["floor", "reprojection_rmse"],
        "perceptual": ["flip", "lpips", "lpips_sha256", "ms_ssim", "not_available"],
    }
    assert value["views"] == {"train": 10, "held_out": 3}
    assert value["size"] == [64, 64] and value["splats"] == 50


def test_figures_of_a_known_error(job: Path) -> None:
    """The fit is the true picture plus 0.01 sin, and the swap is the truth, so the figures can be foretold."""
    found = run(job)
    m = found.metrics
    assert m.held_out.psnr_face == pytest.approx(-10 * np.log10(0.01**2 / 2), abs=0.6)
    assert m.held_out.psnr > m.held_out.psnr_face
    assert m.truth.psnr_face == pytest.approx(m.held_out.psnr_face, abs=1e-6)
    assert found.ceiling.psnr_face == metrics.PSNR_CEILING and found.ceiling.ssim_face == pytest.approx(1)
    untouched = []
    for view in Capture.load(job / "capture").held_out_views:
        a, _, _ = scene.trace(view.camera, scene.texture_a)
        b, _, _ = scene.trace(view.camera, scene.texture_b)
        face = scene.images(view.camera, scene.texture_a).masks["face"]
        error = (((a - b) ** 2).mean(axis=2) * face).sum() / face.sum()
        untouched.append(-10 * np.log10(error))
    assert found.untouched.psnr_face == pytest.approx(np.mean(untouched), abs=0.05)
    assert found.gain_over_untouched == pytest.approx(m.truth.psnr_face - found.untouched.psnr_face)
    assert m.consistency.reprojection_rmse < 2 and m.consistency.floor < 2
    assert len(found.views) == 3 and found.spread["psnr"] >= 0


def test_arrays_instead_of_files_give_the_same_eight_bit_figures(job: Path) -> None:
    from_files = run(job)
    arrays = {}
    for view in Capture.load(job / "capture").held_out_views:
        colour, _, hit = scene.trace(view.camera, scene.texture_b)
        wobble = 0.01 * np.sin(np.arange(64) / 5)[None, :, None]
        arrays[view.name] = np.clip(colour + wobble * hit[..., None], 0, 1)
    from_arrays = run(job, renders=arrays)
    assert from_arrays.metrics == from_files.metrics
    assert from_arrays.views[0].psnr_float != from_files.views[0].psnr_float


def test_an_inconsistent_swap_is_seen(job: Path, tmp_path: Path) -> None:
    """Each swapped view gets a tint of its own, as a per-view swapper would do."""
    scene.write_capture(tmp_path / "swapped", scene.texture_b, "ball")
    swapped = Capture.load(tmp_path / "swapped")
    for i, view in enumerate(swapped.views):
        images = swapped.load_view(view)
        images.rgb = images.rgb * np.float32(0.8 + 0.4 * (i % 2))
        write_view(swapped.folder / view.exr, images)
    found = evaluate(job / "capture", tmp_path / "swapped", job / "double").metrics.consistency
    assert found.reprojection_rmse > 5 * found.floor


def test_the_floor_is_that_of_the_capture_also_where_the_swap_moves_the_face(job: Path, tmp_path: Path) -> None:
    floor = run(job).metrics.consistency.floor
    shutil.copytree(job / "swapped", tmp_path / "swapped")
    swapped = Capture.load(tmp_path / "swapped")
    for view in swapped.views:
        images = swapped.load_view(view)
        assert images.depth is not None
        images.depth = images.depth * np.float32(1.004)
        write_view(swapped.folder / view.exr, images)
    moved = evaluate(job / "capture", tmp_path / "swapped", job / "double").metrics.consistency
    assert moved.floor == floor and moved.reprojection_rmse != moved.floor


def test_a_plain_fit_has_no_truth_and_its_consistency_is_the_floor(job: Path, tmp_path: Path) -> None:
    double = scene.write_double(tmp_path / "double", Capture.load(job / "capture"), scene.texture_a)
    found = evaluate(job / "capture", None, double)
    assert found.metrics.truth == results.Truth(None, None)
    assert found.gain_over_untouched is None
    assert found.metrics.consistency.reprojection_rmse == found.metrics.consistency.floor
    assert found.metrics.held_out.psnr > 40
    unknown = [b.name for b in bars.bars(found) if b.holds is None]
    assert unknown == ["truth.psnr_face", "truth.gain", "timing_s.total"]


def test_what_is_saved_is_what_is_loaded(job: Path) -> None:
    found = run(job)
    assert results.Evaluation.load(job / "double") == found
    assert results.Metrics.load(job / "double") == found.metrics


def test_timings_are_merged_and_survive_a_new_evaluation(job: Path) -> None:
    run(job, timings={"swap": 4.0})
    results.merge_timings(job / "double", {"fit": 12.34567, "total": None})
    timing = run(job, timings={"total": 99.0}).metrics.timing_s
    assert timing == {
        "install": None, "capture": None, "transfer": None, "swap": 4.0, "fit": 12.346, "import": None, "total": 99.0,
    }  # fmt: skip
    with pytest.raises(ValueError, match="coffee"):
        results.merge_timings(job / "double", {"coffee": 1.0})
    with pytest.raises(ValueError, match="fit"):
        results.merge_timings(job / "double", {"fit": float("nan")})


def test_bars_say_what_holds(job: Path) -> None:
    found = {b.name: b for b in bars.bars(run(job, timings={"total": 301.0}))}
    assert found["held_out.psnr"].holds is True
    assert found["truth.gain"].holds is True
    assert found["timing_s.total"].holds is False
    assert found["consistency.ratio"].value == pytest.approx(
        results.Metrics.load(job / "double").consistency.reprojection_rmse
        / results.Metrics.load(job / "double").consistency.floor
    )


def test_bad_input_gets_a_sentence_and_keeps_earlier_results(job: Path, tmp_path: Path) -> None:
    run(job)
    before = (job / "double/metrics.json").read_bytes()
    cases = [
        (lambda: evaluate(tmp_path, None, job / "double"), "capture.json"),
        (lambda: run(job, renders={}), "h00"),
        (lambda: run(job, renders={f"h0{i}": np.zeros((8, 8, 3)) for i in range(3)}), "shape"),
        (lambda: evaluate(job / "capture", None, tmp_path), "renders"),
        (lambda: count_splats(tmp_path / "splats.ply"), "missing"),
        (lambda: count_splats(job / "double/curves.json"), "damaged"),
        (lambda: results.Evaluation.load(tmp_path), "evaluation.json"),
        (lambda: results.Metrics.load(tmp_path), "metrics.json"),
    ]
    for call, words in cases:
        with pytest.raises(InputError, match=words) as error:
            call()
        assert error.value.hint
    (tmp_path / "metrics.json").write_text("{}")
    with pytest.raises(InputError, match="damaged"):
        results.Metrics.load(tmp_path)
    with pytest.raises(Cancelled):
        run(job, cancelled=lambda: True)
    assert (job / "double/metrics.json").read_bytes() == before


def test_progress_reaches_the_end(job: Path) -> None:
    told: list[float] = []
    run(job, progress=lambda stage, fraction, message: told.append(fraction))
    assert told == sorted(told) and told[-1] == 1.0


def test_views_without_a_face_have_no_figures_for_it(job: Path, tmp_path: Path) -> None:
    """One held-out view keeps three pixels of face, the others none: a sliver must not decide a mean."""
    scene.write_capture(tmp_path / "capture", scene.texture_a, "ball")
    capture = Capture.load(tmp_path / "capture")
    for view in capture.views:
        images = capture.load_view(view)
        images.masks["face"][:] = 0
        if view.name == "h01":
            images.masks["face"][30, 30:33] = 1
        write_view(capture.folder / view.exr, images)
    double = scene.write_double(tmp_path / "double", capture, scene.texture_a)
    found = evaluate(tmp_path / "capture", None, double)
    assert found.metrics.held_out.psnr_face is None and found.metrics.held_out.sharpness is None
    assert found.metrics.consistency == results.CrossView(None, None)
    assert found.metrics.held_out.psnr > 40


def test_views_of_other_poses_are_not_measured(job: Path, tmp_path: Path) -> None:
    """A fit takes one pose of a capture and leaves the others out, so there are no pictures of them."""
    expected = run(job)
    for name in ("capture", "swapped"):
        capture = Capture.load(job / name)
        capture.folder = tmp_path / name
        shutil.copytree(job / name, capture.folder)
        smile = attrs.evolve(capture.poses[0], name="smile")
        capture.poses = [*capture.poses, smile]
        capture.views += [attrs.evolve(view, name=f"{view.name}_smile", pose="smile") for view in capture.views]
        capture.save_manifest()
    found = evaluate(tmp_path / "capture", tmp_path / "swapped", job / "double", job / "truth")
    assert [view.name for view in found.views] == [view.name for view in expected.views]
    assert found.metrics.views == expected.metrics.views
    assert found.metrics.consistency == expected.metrics.consistency
