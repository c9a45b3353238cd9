# SPDX-License-Identifier: Apache-2.0
"""The CUDA engine on a real GPU: the same checks as on the stand-in, and what only a GPU can show."""

from __future__ import annotations

import pytest

from backend.kernels import cuda
from backend.kernels.cuda.compiler import CACHE_VARIABLE
from backend.kernels.cuda.sources import Variant
from benchmarks.fit_gpu import start_seconds
from tests.kernels.cuda import checks

pytestmark = pytest.mark.gpu


@pytest.fixture(scope="module")
def engine():
    fine, sentence = cuda.availability()
    if not fine:
        pytest.skip(sentence)
    return cuda.open_engine()


@pytest.mark.parametrize(("degree", "seed"), [(0, 1), (1, 2), (2, 13), (3, 4)])
def test_render_matches_the_reference(engine, degree, seed):
    checks.check_render(engine, degree, seed)


@pytest.mark.parametrize("case", checks.GRADIENT_CASES)
def test_gradients_match_autograd(engine, case):
    print(checks.check_gradients(engine, *case))


@pytest.mark.parametrize("check", checks.CHECKS, ids=lambda check: check.__name__)
def test_checks(engine, check):
    check(engine)


@pytest.mark.parametrize("seed", range(16))
def test_fuzz_never_crashes_and_never_spreads(engine, seed):
    checks.check_fuzz(engine, seed)


def test_a_frame_with_too_many_entries_grows_the_buffers(engine, monkeypatch):
    plenty = checks.a_short_run(engine)
    monkeypatch.setattr("backend.kernels.cuda.session.first_capacity", lambda count: 64)
    for a, b in zip(plenty, checks.a_short_run(engine), strict=True):
        assert (a == b).all()


def test_the_first_start_compiles_within_ten_seconds(engine, tmp_path):
    first, cached = start_seconds(tmp_path)
    print(f"first start {first:.2f} s, cached {cached:.2f} s")
    assert first < 10 and cached < 3


def test_progress_is_told_of_compilation(engine, tmp_path, monkeypatch):
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    told = []
    cuda.open_engine(progress=lambda *report: told.append(report)).device.load(Variant(0))
    assert told[0][:2] == ("compile", 0.0) and told[-1][:2] == ("compile", 1.0)
