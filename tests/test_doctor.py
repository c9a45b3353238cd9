# SPDX-License-Identifier: Apache-2.0
"""`digidouble doctor`: one line each, which engine a fit takes and why, and the exit code."""

from __future__ import annotations

import importlib.machinery
import sys
from types import ModuleType, SimpleNamespace

import pytest

from backend import cli
from backend.commands import doctor

NOTHING = "There is no NVIDIA driver here."
WORKS = "CUDA runs on an Imaginary 5090."


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A machine without GPU and gsplat, whose Blender module works."""
    monkeypatch.setattr(doctor, "bpy", lambda: ("ok", "bpy works"))
    monkeypatch.setattr(doctor, "nvidia", lambda: [("--", "CUDA: no NVIDIA driver here")])
    monkeypatch.setattr(doctor, "disk", lambda: ("ok", "disk: enough"))
    has(monkeypatch, "cuda", False, NOTHING)
    monkeypatch.setitem(sys.modules, "gsplat", None)
    return monkeypatch


def has(machine: pytest.MonkeyPatch, engine: str, works: bool, sentence: str) -> None:
    """Let an engine's package answer so."""

    def answer() -> tuple[bool, str]:
        return works, sentence

    machine.setitem(sys.modules, f"backend.kernels.{engine}", SimpleNamespace(availability=answer))
    if engine == "cuda":
        machine.setattr(doctor, "cuda_availability", answer)


def lines(capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    """What is printed, by the words before the first colon."""
    found = {}
    for line in capsys.readouterr().out.splitlines():
        mark, _, sentence = line.partition(" ")
        found[sentence.strip().partition(":")[0]] = f"{mark} {sentence.strip().partition(':')[2].strip()}"
    return found


def test_without_a_gpu_the_cpu_fits_and_that_is_fine(
    machine: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["doctor"]) == 0
    said = lines(capsys)
    assert said["engine"] == f"ok a fit takes cpu, unless told otherwise. {NOTHING} The CPU fits."
    assert said["our CUDA engine"] == f"-- {NOTHING}"
    assert said["gsplat"].startswith("-- not installed") and "python3 install.py gsplat" in said["gsplat"]
    assert "torch" not in said


def test_with_a_gpu_our_engine_fits(machine: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    machine.setattr(doctor, "nvidia", lambda: [("ok", "GPU: Imaginary 5090")])
    has(machine, "cuda", True, WORKS)
    assert cli.main(["doctor"]) == 0
    said = lines(capsys)
    assert said["engine"] == f"ok a fit takes cuda, unless told otherwise. {WORKS}"
    assert said["our CUDA engine"] == f"ok {WORKS}"


def test_a_gpu_that_came_after_the_installation(
    machine: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    machine.setattr(doctor, "nvidia", lambda: [("ok", "GPU: Imaginary 5090")])
    find_spec = doctor.importlib.util.find_spec
    machine.setattr(
        doctor.importlib.util, "find_spec", lambda name: None if name.startswith("cuda") else find_spec(name)
    )
    has(machine, "cuda", False, "The package cuda-bindings is not installed.")
    assert cli.main(["doctor"]) == 0
    assert "Run python3 install.py install" in lines(capsys)["our CUDA engine"]


@pytest.mark.parametrize(("works", "mark"), [(True, "ok"), (False, "--")])
def test_gsplat_says_whether_it_can_be_used(
    machine: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], works: bool, mark: str
) -> None:
    package = ModuleType("gsplat")
    package.__spec__ = importlib.machinery.ModuleSpec("gsplat", None)
    machine.setitem(sys.modules, "gsplat", package)
    version = doctor.importlib.metadata.version
    machine.setattr(doctor.importlib.metadata, "version", lambda name: "1.5.3" if name == "gsplat" else version(name))
    has(machine, "gsplat", works, "torch is built for the CPU.")
    assert cli.main(["doctor"]) == 0
    said = lines(capsys)["gsplat 1.5.3"]
    assert said.startswith(mark) and "torch is built for the CPU." in said


def test_what_the_cpu_path_lacks_is_exit_code_1(
    machine: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    machine.setattr(doctor, "disk", lambda: ("no", "disk: full; make room"))
    assert cli.main(["doctor"]) == 1
    assert lines(capsys)["disk"] == "no full; make room"
