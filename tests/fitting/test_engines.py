# SPDX-License-Identifier: Apache-2.0
"""The choice of an engine: automatic, explicit, refused, and written down."""

import json
import sys
from types import SimpleNamespace

import attrs
import pytest

from backend.fitting import engines
from backend.fitting.engines import choose_engine, open_engine
from backend.fitting.fit import fit
from backend.fitting.settings import FitSettings
from backend.kernels.engine import CpuEngine
from interchange.errors import InputError

from .scene import ball_camera, make_capture


def stand_in(monkeypatch, name, works, sentence):
    """A package backend.kernels.<name> that answers so, and opens the CPU's engine after some talk of compiling."""

    def opened(count, cameras, degree, progress):
        if progress:
            progress("compile", 1.0, "compiled")
        return CpuEngine(count, cameras[0].width, cameras[0].height, degree)

    package = SimpleNamespace(availability=lambda: (works, sentence), open_engine=opened)
    monkeypatch.setitem(sys.modules, f"backend.kernels.{name}", package)


def missing(monkeypatch, name):
    monkeypatch.setitem(sys.modules, f"backend.kernels.{name}", None)  # importing it raises ImportError


def test_auto_takes_the_gpu_where_it_works_and_says_why_not_otherwise(monkeypatch):
    stand_in(monkeypatch, "cuda", True, "NVIDIA X with 8 GiB works.")
    for settings in (FitSettings(), FitSettings(depth_weight=0.1)):
        assert choose_engine(settings) == engines.EngineChoice("cuda", "NVIDIA X with 8 GiB works.")
    stand_in(monkeypatch, "cuda", False, "There is no NVIDIA driver.")
    assert choose_engine(FitSettings()) == engines.EngineChoice("cpu", "There is no NVIDIA driver. The CPU fits.")
    missing(monkeypatch, "cuda")
    choice = choose_engine(FitSettings())
    assert choice.name == "cpu" and "not installed" in choice.reason


@pytest.mark.parametrize("name", ["cuda", "gsplat"])
def test_what_was_asked_for_is_taken_or_refused(monkeypatch, name):
    stand_in(monkeypatch, name, True, "It works.")
    choice = choose_engine(FitSettings(engine=name))
    assert choice.name == name
    assert isinstance(open_engine(choice, FitSettings(engine=name), [ball_camera(0, 0)]), CpuEngine)
    stand_in(monkeypatch, name, False, "There is no NVIDIA driver.")
    with pytest.raises(InputError, match=f"engine {name} cannot be used: There is no NVIDIA driver.") as caught:
        choose_engine(FitSettings(engine=name))
    assert caught.value.code == "RES_NO_GPU"
    missing(monkeypatch, name)
    with pytest.raises(InputError, match="not installed"):
        choose_engine(FitSettings(engine=name))


def test_the_cpu_needs_no_gpu_package(monkeypatch):
    missing(monkeypatch, "cuda")
    assert choose_engine(FitSettings(engine="cpu")).name == "cpu"


def test_short_memory_is_said_before_the_fit(monkeypatch, tmp_path):
    stand_in(monkeypatch, "cuda", True, "It works.")

    def short(count, cameras, degree, progress):
        raise InputError(f"The GPU has no room for {count} splats.", "Lower splats.", "RES_GPU_MEMORY")

    sys.modules["backend.kernels.cuda"].open_engine = short
    capture = make_capture(tmp_path / "capture", train=2, held_out=0, size=32)
    with pytest.raises(InputError, match="no room for 300 splats") as caught:
        fit(capture.folder, tmp_path / "out", FitSettings(splats=100, max_splats=300, densify="default"))
    assert caught.value.code == "RES_GPU_MEMORY" and not (tmp_path / "out").exists()


def test_the_result_names_its_engine_and_another_engine_starts_anew(monkeypatch, tmp_path):
    stand_in(monkeypatch, "cuda", False, "There is no NVIDIA driver.")
    capture = make_capture(tmp_path / "capture", train=3, held_out=1, size=32)
    settings = FitSettings(iterations=5, splats=50, threads=1)
    messages = []
    result = fit(capture.folder, tmp_path / "out", settings, progress=lambda *event: messages.append(event[2]))
    record = json.loads((tmp_path / "out" / "fit.json").read_text())["result"]
    assert (record["engine"], record["engine_reason"]) == ("cpu", "There is no NVIDIA driver. The CPU fits.")
    assert result.engine_reason in messages
    assert fit(capture.folder, tmp_path / "out", attrs.evolve(settings, engine="cpu")).reused
    stand_in(monkeypatch, "cuda", True, "It works.")
    told = []
    other = fit(capture.folder, tmp_path / "out", settings, progress=lambda *event: told.append(event))
    assert other.engine == "cuda" and not other.reused
    assert ("fit", 0.0, "compiled") in told  # a part that is done is not the fit's end


def test_the_first_start_on_the_cpu_says_what_it_waits_for():
    said = []
    settings = FitSettings(engine="cpu", splats=100)
    camera = [ball_camera(0, 0)]
    open_engine(choose_engine(settings), settings, camera, lambda *told: said.append(told))
    assert {stage for stage, _, _ in said} == {"fit"} and any("compiled" in message for _, _, message in said)
