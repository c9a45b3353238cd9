# SPDX-License-Identifier: Apache-2.0
"""What happens between steps: splats added, decay, bands, resolutions, inconsistent views; end to end and resumed."""

import itertools

import attrs
import numpy as np
import pytest

from backend.fitting import consistency, engines
from backend.fitting.checkpoint import NAME
from backend.fitting.fit import fit
from backend.fitting.settings import FitSettings
from backend.fitting.trainer import Observer
from backend.kernels.engine import CpuEngine
from interchange.cameras import SPLAT_FROM_BLENDER
from interchange.capture import Capture, write_view
from interchange.errors import Cancelled
from interchange.splats import read_ply

from .remote import RemoteEngine
from .scene import add_view, ball_camera, make_capture, trace

SETTINGS = FitSettings(
    iterations=240, splats=300, sh_degree=1, early_stop=False, evaluations=0, checkpoint_every_s=1e9, threads=1,
    engine="cpu",
)  # fmt: skip
VARIANTS = {
    "default": {"densify": "default", "max_splats": 500},
    "mcmc": {"densify": "mcmc", "max_splats": 450},
    "bands and sizes": {"sh_degree": 2, "sh_start_degree": 0, "coarse_levels": 2},
    "doubting": {"robust": 0.1, "colour_affine": True},
    "decay": {"opacity_decay": 0.003, "scale_decay": 0.001},
    "flat": {"normal_weight": 0.02, "densify": "default", "max_splats": 400},
    "antialiased": {"antialiased": True},
    "free of the mesh": {"normal_weight": 0.0},
    "depth": {"depth_weight": 0.2, "coarse_levels": 1},
}


class Killed(BaseException):
    """Stands for the end of the process."""


@pytest.fixture(scope="module")
def capture(tmp_path_factory):
    return make_capture(tmp_path_factory.mktemp("ball") / "capture", train=8, held_out=2, size=64)


def splats_of(out):
    return (out / "splats.ply").read_bytes(), (out / "binding.npz").read_bytes()


@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_fits_and_resumes_bit_for_bit(capture, tmp_path, name):
    """Killed after a third, with checkpoints at every step; then again after two thirds."""
    settings = attrs.evolve(SETTINGS, **VARIANTS[name])
    whole = fit(capture.folder, tmp_path / "whole", settings)
    assert whole.psnr > 29
    out = tmp_path / "killed"
    often = attrs.evolve(settings, checkpoint_every_s=0, threads=2)
    for steps in (80, 75):
        looks = itertools.count()

        def kill(looks=looks, steps=steps):
            if (out / NAME).exists() and next(looks) >= steps:
                raise Killed
            return False

        with pytest.raises(Killed):
            fit(capture.folder, out, often, cancelled=kill)
    again = fit(capture.folder, out, often)
    assert any("Resumed after step" in note for note in again.notes)
    assert splats_of(out) == splats_of(tmp_path / "whole")


def test_splats_grow_to_their_bound_and_stay_bound_to_the_mesh(capture, tmp_path):
    for name in ("default", "mcmc"):
        settings = attrs.evolve(SETTINGS, **VARIANTS[name])
        result = fit(capture.folder, tmp_path / name, settings)
        assert 350 < result.splats <= settings.max_splats
        mesh = capture.load_mesh()
        with np.load(tmp_path / name / "binding.npz") as binding:
            face, barycentric = binding["face"], binding["barycentric"]
        assert len(face) == result.splats and face.min() >= 0
        born = np.einsum("nk,nkc->nc", barycentric, mesh.vertices[mesh.faces[face]]) @ SPLAT_FROM_BLENDER.T
        distance = np.linalg.norm(read_ply(tmp_path / name / "splats.ply").means - born, axis=1)
        assert np.median(distance) < 0.025  # the splats' spacing; of a ball of 0.12


def test_the_file_says_that_it_is_antialiased(capture, tmp_path):
    fit(capture.folder, tmp_path, attrs.evolve(SETTINGS, iterations=20, antialiased=True))
    assert read_ply(tmp_path / "splats.ply").antialiased


def changed_capture(folder, change):
    """A ball whose training pictures went through `change(number, images)`."""
    capture = make_capture(folder, train=12, held_out=3, size=64)
    for number, view in enumerate(capture.train_views):
        images = capture.load_view(view)
        change(number, images)
        write_view(capture.folder / view.exr, images)
    return Capture.load(folder)


def test_a_patch_that_other_views_contradict_counts_less(tmp_path):
    def spoil(number, images):
        if number % 4 == 0:
            images.rgb[26:40, 24:42] = np.array([0.9, 0.05, 0.9]) * images.alpha[26:40, 24:42, None]

    capture = changed_capture(tmp_path / "capture", spoil)
    plain = fit(capture.folder, tmp_path / "plain", SETTINGS)
    robust = fit(capture.folder, tmp_path / "robust", attrs.evolve(SETTINGS, robust=0.1))
    assert robust.psnr > plain.psnr + 1


def test_drifting_exposure_is_taken_out(tmp_path):
    gains = np.random.default_rng(1).uniform(0.7, 1.4, (12, 3))
    gains /= gains.mean(axis=0)

    def expose(number, images):
        images.rgb *= gains[number].astype(np.float32)

    capture = changed_capture(tmp_path / "capture", expose)
    settings = attrs.evolve(SETTINGS, sh_degree=0)  # higher bands would take some of the drift for gloss
    plain = fit(capture.folder, tmp_path / "plain", settings)
    matched = fit(capture.folder, tmp_path / "matched", attrs.evolve(settings, colour_affine=True))
    assert matched.psnr > plain.psnr + 0.6


def test_cancel_while_comparing_loses_nothing(capture, tmp_path):
    """A cancel that comes between two renders of a comparison leaves a checkpoint from which it is done again."""
    settings = attrs.evolve(SETTINGS, iterations=80, **VARIANTS["doubting"])
    fit(capture.folder, tmp_path / "whole", settings)
    looks = 0

    def look():
        nonlocal looks
        looks += 1
        return looks in range(45, 400, 9)

    for _ in range(60):
        try:
            fit(capture.folder, tmp_path / "cut", settings, cancelled=look)
            break
        except Cancelled:
            continue
    assert looks > 80 and splats_of(tmp_path / "cut") == splats_of(tmp_path / "whole")


def test_how_many_renders_may_wait_to_be_compared_changes_nothing(capture, tmp_path, monkeypatch):
    settings = attrs.evolve(SETTINGS, iterations=80, **VARIANTS["doubting"])
    fit(capture.folder, tmp_path / "many", settings)
    monkeypatch.setattr(consistency, "WAITING", 1)
    fit(capture.folder, tmp_path / "one", settings)
    assert splats_of(tmp_path / "one") == splats_of(tmp_path / "many")


@pytest.mark.parametrize("name", VARIANTS)
def test_one_view_and_odd_sizes(tmp_path, name):
    """No variant stumbles over a single picture, nor over pictures of different, odd, tiny sizes."""
    capture = make_capture(tmp_path / "capture", train=1, held_out=0, size=64)
    settings = attrs.evolve(SETTINGS, **VARIANTS[name], iterations=120)
    assert fit(capture.folder, tmp_path / "one", settings).splats > 50
    for number, size in enumerate((23, 41, 72)):
        camera = attrs.evolve(ball_camera((0.3, 0.8, 5.5)[number], 0.2, size), height=size - 9)
        add_view(capture, f"odd_{number}", "train" if number else "held_out", camera, trace(camera))
    capture.save_manifest()
    result = fit(capture.folder, tmp_path / "odd", attrs.evolve(settings, coarse_levels=4))
    assert result.psnr > 17


@pytest.mark.parametrize("name", ["default", "mcmc"])
def test_a_time_budget_and_an_early_stop_go_with_densification(capture, tmp_path, name):
    ticks = itertools.count()
    settings = attrs.evolve(SETTINGS, **VARIANTS[name], time_budget_s=4.0)
    settings = attrs.evolve(settings, iterations=5000)
    observer = Observer(clock=lambda: next(ticks) / 100)
    result = fit(capture.folder, tmp_path / "budget", settings, observer=observer)
    assert result.stopped == "time budget" and result.iterations < 1000 and result.splats > 300 and result.psnr > 27
    still = attrs.evolve(settings, time_budget_s=None, iterations=900, early_stop=True, rate_scale=1e-6)
    result = fit(capture.folder, tmp_path / "still", still)
    assert result.stopped == "plateau" and 0.6 * 900 < result.iterations < 900


def test_a_run_that_diverges_after_densification_goes_back_to_fewer_splats(capture, tmp_path, monkeypatch):
    real, count = CpuEngine.train_step, itertools.count()

    def spoil(self, parameters, adam, *rest, **options):
        result = real(self, parameters, adam, *rest, **options)
        return attrs.evolve(result, loss=float("nan")) if next(count) == 130 else result

    monkeypatch.setattr(CpuEngine, "train_step", spoil)
    settings = attrs.evolve(SETTINGS, **VARIANTS["default"], evaluations=3)  # sound at 80, splats added at 50 and 100
    result = fit(capture.folder, tmp_path, settings)
    assert result.iterations == 240 and result.psnr > 29 and result.splats <= 500


@pytest.mark.parametrize("name", VARIANTS)
def test_what_the_host_holds_is_never_used_while_the_engine_has_newer(capture, tmp_path, name, monkeypatch):
    """On a GPU, splats live elsewhere and steps come in groups; the result is the same, and resumes the same."""
    settings = attrs.evolve(SETTINGS, **VARIANTS[name], evaluations=3)
    here = fit(capture.folder, tmp_path / "here", settings)
    monkeypatch.setattr(engines, "CpuEngine", RemoteEngine)
    there = fit(capture.folder, tmp_path / "there", settings)
    if name in ("default", "flat"):  # a group's statistics are added up in float32 on the device
        assert there.psnr == pytest.approx(here.psnr, abs=0.7)
    else:
        assert splats_of(tmp_path / "there") == splats_of(tmp_path / "here")
    looks = itertools.count()
    with pytest.raises(Cancelled):
        fit(capture.folder, tmp_path / "cut", settings, cancelled=lambda: next(looks) > 60)
    fit(capture.folder, tmp_path / "cut", settings)
    assert splats_of(tmp_path / "cut") == splats_of(tmp_path / "there")
