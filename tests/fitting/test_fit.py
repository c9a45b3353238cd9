# SPDX-License-Identifier: Apache-2.0
"""The whole fit on a tiny ball: quality, determinism, resume, cancel, early ends, bad input."""

import itertools
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import attrs
import numpy as np
import pytest

from backend.commands.fit import summary
from backend.fitting.checkpoint import NAME
from backend.fitting.fit import fit
from backend.fitting.inputs import load_input
from backend.fitting.pacing import fit_time_budget
from backend.fitting.settings import FitSettings
from backend.fitting.state import RunState
from backend.fitting.trainer import Observer
from backend.kernels.engine import CpuEngine
from backend.kernels.parameters import SplatParameters
from interchange.capture import Capture
from interchange.errors import Cancelled, InputError
from interchange.png import read_png, write_png
from interchange.splats import read_ply

from .scene import CENTRE, add_view, ball_camera, make_capture, trace

ROOT = Path(__file__).parents[2]
SETTINGS = FitSettings(
    iterations=60, splats=400, sh_degree=1, early_stop=False, evaluations=3, checkpoint_every_s=1e9, threads=1
)


class Killed(BaseException):
    """Stands for the end of the process: nothing in the fit may catch it."""


@pytest.fixture(scope="module")
def capture(tmp_path_factory):
    return make_capture(tmp_path_factory.mktemp("ball") / "capture", train=8, held_out=2, size=64)


@pytest.fixture(scope="module")
def undisturbed(capture, tmp_path_factory):
    out = tmp_path_factory.mktemp("undisturbed")
    return fit(capture.folder, out, SETTINGS)


def splats_of(out):
    return (out / "splats.ply").read_bytes()


def test_the_ball_is_fitted_well(capture, tmp_path):
    result = fit(capture.folder, tmp_path / "double", attrs.evolve(SETTINGS, iterations=200, splats=700))
    assert result.psnr > 34.5 and result.ssim > 0.98 and result.psnr_face > 37
    assert result.start == "mesh" and result.iterations == 200 and not result.stopped and not result.reused


def test_what_lies_in_the_folder(capture, undisturbed):
    out = undisturbed.folder
    names = {str(p.relative_to(out)) for p in out.rglob("*") if p.is_file()}
    held_out = {f"renders/{v.name}.png" for v in capture.held_out_views}
    assert names == {"splats.ply", "binding.npz", "curves.json", "fit.json"} | held_out
    cloud = read_ply(out / "splats.ply")
    assert len(cloud) == undisturbed.splats and cloud.degree == SETTINGS.sh_degree and cloud.finite().all()
    with np.load(out / "binding.npz") as binding:
        assert binding["face"].shape == (len(cloud),) and binding["barycentric"].shape == (len(cloud), 3)
        assert binding["face"].min() >= 0 and str(binding["pose"]) == "rest"
    curves = json.loads((out / "curves.json").read_text())
    assert curves["iteration"] == [20, 40, 60] and {len(v) for v in curves.values()} == {3}
    assert curves["loss"][-1] < curves["loss"][0] and curves["psnr"][-1] > 25
    assert curves["psnr"][-1] == pytest.approx(undisturbed.psnr, abs=0.1)
    picture = read_png(out / "renders" / f"{capture.held_out_views[0].name}.png")
    assert picture.shape == (64, 64, 3) and picture.max() > 100


def test_same_inputs_same_bits_for_any_number_of_threads(capture, undisturbed, tmp_path):
    again = fit(capture.folder, tmp_path, attrs.evolve(SETTINGS, threads=2))
    assert splats_of(tmp_path) == splats_of(undisturbed.folder)
    assert again.psnr == undisturbed.psnr
    assert (tmp_path / "binding.npz").read_bytes() == (undisturbed.folder / "binding.npz").read_bytes()


@pytest.mark.parametrize("kill_at, every", [(1, 0), (17, 0), (33, 0.05), (30, 0.2)])
def test_resume_after_a_kill_is_bit_identical(capture, undisturbed, tmp_path, kill_at, every):
    """The clock ticks 0.01 s a look, so checkpoints lie some steps before the kill."""
    settings = attrs.evolve(SETTINGS, checkpoint_every_s=every)
    calls = itertools.count()

    def kill():
        if (tmp_path / NAME).exists() and next(calls) >= kill_at:
            raise Killed
        return False

    ticks = itertools.count()
    with pytest.raises(Killed):
        fit(capture.folder, tmp_path, settings, cancelled=kill, observer=Observer(clock=lambda: next(ticks) / 100))
    assert not (tmp_path / "splats.ply").exists()
    result = fit(capture.folder, tmp_path, settings)
    assert any("Resumed after step" in note for note in result.notes)
    assert splats_of(tmp_path) == splats_of(undisturbed.folder)
    assert result.iterations == SETTINGS.iterations
    assert not (tmp_path / NAME).exists()


def test_cancel_leaves_a_checkpoint_and_earlier_results(capture, undisturbed, tmp_path):
    looks = itertools.count()
    with pytest.raises(Cancelled):
        fit(capture.folder, tmp_path, SETTINGS, cancelled=lambda: next(looks) > 90)
    assert (tmp_path / NAME).exists()
    result = fit(capture.folder, tmp_path, SETTINGS)
    assert splats_of(tmp_path) == splats_of(undisturbed.folder)
    other = attrs.evolve(SETTINGS, seed=9)
    looks = itertools.count()
    with pytest.raises(Cancelled):
        fit(capture.folder, tmp_path, other, cancelled=lambda: next(looks) > 90)
    assert splats_of(tmp_path) == splats_of(undisturbed.folder)
    assert fit(capture.folder, tmp_path, other).psnr != result.psnr


def test_a_damaged_checkpoint_costs_a_note_not_the_fit(capture, undisturbed, tmp_path):
    settings = attrs.evolve(SETTINGS, checkpoint_every_s=0)
    looks = itertools.count()
    with pytest.raises(Cancelled):
        fit(capture.folder, tmp_path, settings, cancelled=lambda: next(looks) > 90)
    (tmp_path / NAME).write_bytes(b"not a checkpoint")
    messages = []
    result = fit(capture.folder, tmp_path, settings, progress=lambda s, f, message: messages.append(message))
    assert sum("damaged" in note for note in result.notes) == 1 and any("damaged" in m for m in messages)
    assert splats_of(tmp_path) == splats_of(undisturbed.folder)


def test_a_finished_fit_is_not_redone_but_a_changed_one_is(capture, undisturbed, tmp_path):
    out = tmp_path / "double"
    first = fit(capture.folder, out, SETTINGS)
    stamp = (out / "splats.ply").stat().st_mtime_ns
    again = fit(capture.folder, out, SETTINGS)
    assert again == attrs.evolve(first, reused=True) and (out / "splats.ply").stat().st_mtime_ns == stamp
    (out / "splats.ply").write_bytes(b"spoiled")
    assert not fit(capture.folder, out, SETTINGS).reused
    assert splats_of(out) == splats_of(undisturbed.folder)
    assert not fit(capture.folder, out, attrs.evolve(SETTINGS, iterations=10)).reused
    (out / "fit.json").write_text("{")
    assert not fit(capture.folder, out, attrs.evolve(SETTINGS, iterations=10)).reused


def test_a_changed_skin_of_hidden_parts_is_fitted_anew(tmp_path):
    capture = make_capture(tmp_path / "capture", train=3, held_out=0, size=32)
    settings = attrs.evolve(SETTINGS, iterations=5)
    fit(capture.folder, tmp_path / "double", settings)
    for change in ({"base_color": [0.0, 1.0, 0.0]}, {"texture": "skin.png"}):
        write_png(capture.folder / "skin.png", np.full((2, 2, 3), 50, np.uint8))
        capture.objects = [attrs.evolve(item, **change) for item in capture.objects]
        capture.save_manifest()
        assert not fit(capture.folder, tmp_path / "double", settings).reused
        assert fit(capture.folder, tmp_path / "double", settings).reused
    write_png(capture.folder / "skin.png", np.full((2, 2, 3), 200, np.uint8))
    assert not fit(capture.folder, tmp_path / "double", settings).reused


def test_what_was_said_of_an_earlier_fit_goes_with_it(capture, tmp_path):
    out = tmp_path / "double"
    fit(capture.folder, out, SETTINGS)
    (out / "renders" / "of_another_capture.png").write_bytes(b"")
    for name in ("metrics.json", "evaluation.json", "report.html", "manifest.json"):
        (out / name).write_text("of the first")
    (out / "notes.txt").write_text("the user's own")
    assert fit(capture.folder, out, SETTINGS).reused and (out / "metrics.json").exists()
    fit(capture.folder, out, attrs.evolve(SETTINGS, iterations=10))
    names = {p.name for p in out.iterdir()}
    assert names == {"splats.ply", "binding.npz", "curves.json", "fit.json", "renders", "notes.txt"}
    assert {p.stem for p in (out / "renders").iterdir()} == {v.name for v in capture.held_out_views}


def test_progress_tells_time_left_and_previews_come_on_request(capture, tmp_path):
    ticks, messages, previews = itertools.count(), [], []
    observer = Observer(
        clock=lambda: float(next(ticks)),
        preview_wanted=lambda: len(previews) < 2,
        preview=lambda image, step: previews.append((image, step)),
    )
    fit(capture.folder, tmp_path, SETTINGS, progress=lambda *event: messages.append(event), observer=observer)
    steps = [m for m in messages if m[2].startswith("step ")]
    assert len(steps) > 10 and all("s left" in m[2] and m[0] == "fit" for m in steps[1:])
    assert "left" not in steps[0][2]  # the first step tells no pace: it compiles the kernels
    fractions = [m[1] for m in steps]
    assert fractions == sorted(fractions) and fractions[0] > 0 and fractions[-1] == 1
    assert [step for _, step in previews] == [1, 2]
    assert previews[0][0].shape == (64, 64, 3) and previews[0][0].dtype == np.uint8 and previews[0][0].max() > 50


def test_time_budget_ends_the_run_with_falling_rates(capture, tmp_path):
    ticks = itertools.count()
    settings = attrs.evolve(SETTINGS, iterations=10_000, time_budget_s=2.0)
    result = fit(capture.folder, tmp_path, settings, observer=Observer(clock=lambda: next(ticks) / 50))
    assert "time budget was used up" in summary(result)[1]
    assert result.stopped == "time budget" and 30 < result.iterations < 110 and result.seconds < 2.3
    assert result.psnr > 25


def test_a_slow_first_step_spends_its_own_time_only(capture, tmp_path):
    """The first step compiles the kernels. It takes half of this budget; the other half is still used."""
    ticks = itertools.count()
    now = [0.0]

    def clock():
        now[0] += 30.0 if next(ticks) == 1 else 0.02
        return now[0]

    settings = attrs.evolve(SETTINGS, iterations=10_000, time_budget_s=32.0)
    result = fit(capture.folder, tmp_path, settings, observer=Observer(clock=clock))
    assert result.stopped == "time budget" and result.iterations > 30 and 31 < result.seconds < 32.3


def test_a_run_that_turns_out_faster_gets_its_steps_back():
    run = RunState(planned=40, iteration=20, seconds=10.0, stopping="time budget")
    fit_time_budget(run, attrs.evolve(SETTINGS, time_budget_s=15.0), pace=0.01)
    assert (run.planned, run.stopping) == (SETTINGS.iterations, "")


def test_early_stop_when_nothing_improves(capture, tmp_path):
    settings = attrs.evolve(SETTINGS, iterations=2000, early_stop=True, rate_scale=1e-6, splats=50, evaluations=0)
    result = fit(capture.folder, tmp_path, settings)
    assert result.stopped == "plateau" and result.iterations < 1200


def test_divergence_is_survived_or_said(capture, tmp_path, monkeypatch):
    real = CpuEngine.train_step
    wrong_steps, loudly = {10}, True

    def spoil(self, parameters, adam, *rest, **options):
        result = real(self, parameters, adam, *rest, **options)
        if next(count) in wrong_steps:
            parameters.block[:] = np.nan
            return attrs.evolve(result, loss=float("nan")) if loudly else result
        return result

    monkeypatch.setattr(CpuEngine, "train_step", spoil)
    count = itertools.count()
    result = fit(capture.folder, tmp_path / "a", SETTINGS)
    assert result.psnr > 25 and result.iterations == 60
    count, wrong_steps, loudly = itertools.count(), {59}, False  # the loss of the last step hides it
    result = fit(capture.folder, tmp_path / "c", SETTINGS)
    assert result.psnr > 25 and result.iterations == 60 and result.splats > 300
    count, wrong_steps, loudly = itertools.count(), set(range(5, 200)), True
    with pytest.raises(InputError, match="diverges"):
        fit(capture.folder, tmp_path / "b", SETTINGS)


def test_broken_splats_are_buried(capture, tmp_path, monkeypatch):
    from backend.fitting import fit as module

    real = module.SplatParameters.from_cloud

    def spoiled(cloud, *rest):
        if len(cloud) == 400:
            cloud.means[7] = np.nan
            cloud.log_scales[8] = np.inf
        return real(cloud, *rest)

    monkeypatch.setattr(module.SplatParameters, "from_cloud", staticmethod(spoiled))
    result = fit(capture.folder, tmp_path, SETTINGS)
    assert 380 < result.splats <= 398 and result.psnr > 25
    assert read_ply(tmp_path / "splats.ply").finite().all()


def test_views_of_different_sizes_and_one_view_only(tmp_path):
    capture = make_capture(tmp_path / "capture", train=1, held_out=0, size=64)
    alone = fit(capture.folder, tmp_path / "one", attrs.evolve(SETTINGS, iterations=20))
    assert alone.psnr is None and alone.splats > 50
    curves = json.loads((tmp_path / "one" / "curves.json").read_text())
    assert curves["psnr"] == [None] * 3
    for i, size in enumerate((48, 40, 72)):
        camera = ball_camera((0.3, 0.8, 5.5)[i], 0.2, size)
        camera = attrs.evolve(camera, height=size - 9)
        add_view(capture, f"odd_{i}", "train" if i else "held_out", camera, trace(camera))
    capture.save_manifest()
    assert fit(capture.folder, tmp_path / "odd", SETTINGS).psnr > 20


@pytest.mark.parametrize("start, bar", [("depth", 26), ("random", 20)])
def test_without_a_mesh(tmp_path, start, bar):
    capture = make_capture(tmp_path / "capture", train=8, held_out=2, mesh=False)
    result = fit(capture.folder, tmp_path / "double", attrs.evolve(SETTINGS, start=start, iterations=100))
    assert result.start == start and result.psnr > bar
    with np.load(tmp_path / "double" / "binding.npz") as binding:
        assert np.all(binding["face"] == -1)


def test_bad_input_leaves_earlier_results(capture, undisturbed, tmp_path):
    out = tmp_path / "double"
    fit(capture.folder, out, attrs.evolve(SETTINGS, iterations=5))
    before = splats_of(out)
    with pytest.raises(InputError, match="missing"):
        fit(tmp_path / "nowhere", out)
    empty = Capture(tmp_path / "empty")
    empty.save_manifest()
    with pytest.raises(InputError, match="no training views"):
        fit(empty.folder, out)
    away = make_capture(tmp_path / "away", train=2, held_out=0, size=32)
    camera = ball_camera(0, 0, 32, target=CENTRE + [0, 0, 5])
    away.views = [attrs.evolve(v, camera=camera) for v in away.views]
    away.save_manifest()
    with pytest.raises(InputError, match="has the avatar in its frame"):
        fit(away.folder, out)
    assert splats_of(out) == before


def test_no_visible_splat_is_said(capture, tmp_path, monkeypatch):
    from backend.fitting import initialisation

    monkeypatch.setattr(initialisation, "OPACITY", 1e-6)
    with pytest.raises(InputError, match="No visible splat"):
        fit(capture.folder, tmp_path, attrs.evolve(SETTINGS, iterations=3))


def test_what_no_view_sees_is_dropped_if_wanted(tmp_path):
    """Cameras in front only: what lies deep under its skin goes, and no picture changes."""
    capture = make_capture(tmp_path / "capture", train=0, held_out=0)
    for i, azimuth in enumerate((-0.4, 0.0, 0.4, 0.2)):
        camera = ball_camera(azimuth, 0.1)
        add_view(capture, f"front_{i}", "train" if i < 3 else "held_out", camera, trace(camera))
    capture.save_manifest()
    settings = attrs.evolve(SETTINGS, start="random", splats=2000)
    whole = fit(capture.folder, tmp_path / "whole", settings)
    pruned = fit(capture.folder, tmp_path / "pruned", attrs.evolve(settings, prune_unseen=True))
    assert 100 < pruned.splats < whole.splats and pruned.psnr == pytest.approx(whole.psnr, abs=0.1)
    engine = CpuEngine(2000, 64, 64, 1)
    for view in load_input(capture.folder).train:
        images = [
            engine.render(SplatParameters.from_cloud(read_ply(r.folder / "splats.ply")), view.camera)[0]
            for r in (whole, pruned)
        ]
        assert np.abs(images[0] - images[1]).max() < 1e-3


def test_a_full_disk_is_said(capture, tmp_path, monkeypatch):
    from backend.fitting import fit as module

    def full(folder, state):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "save_checkpoint", full)
    with pytest.raises(InputError, match="No space left"):
        fit(capture.folder, tmp_path, attrs.evolve(SETTINGS, checkpoint_every_s=0))


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [{"iterations": 600}, {"iterations": 600, "densify": "default", "max_splats": 600},
     {"iterations": 600, "densify": "mcmc"}],
)  # fmt: skip
def test_kill_9_at_random_moments(capture, tmp_path, options):
    """A real process, really killed, five times; then left alone."""
    fit(capture.folder, tmp_path / "undisturbed", attrs.evolve(SETTINGS, **options))
    program = (
        "import sys, attrs; from tests.fitting.test_fit import SETTINGS, fit\n"
        f"settings = attrs.evolve(SETTINGS, checkpoint_every_s=0, **{options})\n"
        "fit(sys.argv[1], sys.argv[2], settings, progress=lambda *event: print(event, flush=True))"
    )
    rng = np.random.default_rng(0)
    out = tmp_path / "killed"
    command = [sys.executable, "-c", program, str(capture.folder), str(out)]
    for _ in range(5):
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        for line in process.stdout:
            if "step " in line or "Resumed" in line:
                break
        time.sleep(float(rng.uniform(0, 0.3)))
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert not (out / "fit.json").exists()  # it was killed in time, each time
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    assert splats_of(out) == splats_of(tmp_path / "undisturbed")
