# SPDX-License-Identifier: Apache-2.0
"""Rates, order of views, backgrounds, settings."""

import numpy as np
import pytest

from backend.fitting.schedule import (
    DENSIFY_END,
    FINAL,
    FULL_SIZE,
    LENGTH_POWER,
    MEANS_FINAL,
    SH_START,
    background,
    learning_rates,
    level_at,
    settled_after,
    sh_degree_at,
    view_index,
)
from backend.fitting.settings import FitSettings
from interchange.errors import InputError


def test_every_epoch_uses_every_view_once_in_a_new_order():
    epochs = [[view_index(7 * e + i + 1, 7, seed=3) for i in range(7)] for e in range(6)]
    assert all(sorted(e) == list(range(7)) for e in epochs)
    assert len({tuple(e) for e in epochs}) > 1
    assert epochs[0] != [view_index(i + 1, 7, seed=4) for i in range(7)]


def test_rates_fall_exponentially_to_their_final_parts():
    first, last = (learning_rates(FitSettings(), 0.005, f, 500) for f in (0.0, 1.0))
    middle = learning_rates(FitSettings(), 0.005, 0.5, 500)
    for name in ("quats", "log_scales", "opacity_logits", "sh_base"):
        assert last[name] / first[name] == pytest.approx(FINAL)
        assert middle[name] ** 2 == pytest.approx(first[name] * last[name])
    assert last["means"] / first["means"] == pytest.approx(MEANS_FINAL)
    assert learning_rates(FitSettings(rate_scale=0.5), 0.01, 0.0, 500)["means"] == pytest.approx(first["means"])


def test_long_runs_have_lower_rates():
    usual, short, long = (learning_rates(FitSettings(), 0.005, 0.3, steps) for steps in (900, 200, 9000))
    assert short == usual
    for name in usual:
        assert long[name] / usual[name] == pytest.approx(0.1**LENGTH_POWER)


def test_pictures_grow_to_their_full_size_in_time():
    settings = FitSettings(coarse_levels=2)
    levels = [level_at(f / 100, settings) for f in range(100)]
    assert levels[0] == 2 and levels[-1] == 0 and levels == sorted(levels, reverse=True)
    assert level_at(FULL_SIZE - 0.01, settings) == 1 and level_at(FULL_SIZE, settings) == 0
    assert {level_at(f / 100, FitSettings()) for f in range(100)} == {0}


def test_bands_are_added_one_by_one():
    settings = FitSettings(sh_degree=3, sh_start_degree=1)
    degrees = [sh_degree_at(f / 100, settings) for f in range(101)]
    assert degrees[0] == 1 and degrees[-1] == 3 and set(np.diff(degrees)) == {0, 1}
    assert sh_degree_at(0, FitSettings(sh_degree=2)) == 2


def test_a_plateau_counts_only_once_everything_is_in_place():
    assert settled_after(FitSettings()) == 0
    assert settled_after(FitSettings(coarse_levels=1)) == FULL_SIZE
    assert settled_after(FitSettings(coarse_levels=1, densify="mcmc")) == DENSIFY_END
    assert settled_after(FitSettings(sh_degree=3, sh_start_degree=0)) == pytest.approx(0.45)


def test_higher_bands_wait():
    settings = FitSettings()
    assert learning_rates(settings, 1, SH_START - 0.01, 500)["sh_rest"] == 0
    assert learning_rates(settings, 1, SH_START + 0.01, 500)["sh_rest"] > 0


def test_background_is_a_function_of_the_step():
    settings = FitSettings(seed=5)
    assert background(17, settings) == background(17, settings) != background(18, settings)
    assert all(0 <= c <= 1 for c in background(17, settings))
    assert background(17, FitSettings(random_background=False)) == (0, 0, 0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"iterations": 0}, {"splats": 0}, {"sh_degree": 4}, {"start": "magic"}, {"ssim_weight": 1.5}, {"rate_scale": 0},
        {"time_budget_s": 0}, {"threads": 0}, {"face_density": 0}, {"alpha_weight": -1}, {"checkpoint_every_s": -1},
        {"evaluations": -1}, {"rate_scale": float("nan")}, {"engine": "tpu"}, {"densify": "all"},
        {"max_splats": 10}, {"opacity_decay": -1}, {"scale_decay": 0.5}, {"prune_opacity": 1}, {"sh_start_degree": 3},
        {"coarse_levels": 9}, {"robust": 0.6},
    ],
)  # fmt: skip
def test_settings_out_of_range_are_named(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        FitSettings(**wrong)


def test_only_what_matters_is_in_the_result_fields():
    assert FitSettings(threads=1, checkpoint_every_s=1).result_fields() == FitSettings().result_fields()
    assert FitSettings(seed=1).result_fields() != FitSettings().result_fields()
