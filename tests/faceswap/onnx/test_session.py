# SPDX-License-Identifier: Apache-2.0
"""Execution providers: only those that are listed, and the one that is really used is told."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from backend.faceswap.onnx.models import ModelFile, ModelFolder
from backend.faceswap.onnx.session import find_runtime, open_network
from interchange.errors import InputError

from . import networks

CPU, CUDA, AZURE = "CPUExecutionProvider", "CUDAExecutionProvider", "AzureExecutionProvider"


@pytest.fixture
def file(models: Path) -> ModelFile:
    return ModelFolder(models).file("inswapper_128.onnx")


class FakeRuntime:
    """An onnxruntime that has CUDA, and quietly does something else with it."""

    class SessionOptions:
        def add_session_config_entry(self, *_: str) -> None:
            pass

    def __init__(self, registered: list[str], nodes: dict[str, int] | None) -> None:
        self.registered, self.nodes = registered, nodes

    def get_available_providers(self) -> list[str]:
        return [CUDA, CPU]

    def InferenceSession(self, path: str, options: Any, providers: list[str]) -> Any:  # noqa: N802
        assert Path(path).is_file() and len(providers) == 1
        told: dict[str, Any] = {
            "get_providers": lambda: self.registered if providers == [CUDA] else [CPU],
            "get_inputs": lambda: [SimpleNamespace(name="source", type="tensor(float16)")],
            "get_outputs": lambda: [SimpleNamespace(name="output")],
        }
        if self.nodes is not None:
            nodes = self.nodes if providers == [CUDA] else {CPU: 9}
            told["get_provider_graph_assignment_info"] = lambda: [
                SimpleNamespace(ep_name=name, get_nodes=lambda count=count: [None] * count)
                for name, count in nodes.items()
            ]
        return SimpleNamespace(**told)


def test_the_provider_that_computes_is_told(file: ModelFile) -> None:
    network = open_network(file, (CPU,), find_runtime())
    assert network.provider == CPU and set(network.nodes) == {CPU} and network.nodes[CPU] >= 3
    assert network.passed_over == ()


def test_a_provider_that_is_not_there_is_an_error_unless_another_is_listed(file: ModelFile) -> None:
    with pytest.raises(InputError, match=f"{CUDA} is not in this onnxruntime, which has") as caught:
        open_network(file, (CUDA,), find_runtime())
    assert f"add {CPU} to the list to allow it" in caught.value.hint
    network = open_network(file, (CUDA, CPU), find_runtime())
    assert network.provider == CPU and CUDA in network.passed_over[0]


def test_a_provider_that_takes_nothing_is_a_silent_fallback(file: ModelFile) -> None:
    """Real onnxruntime: the Azure provider starts, says that it is in use, and computes not one node."""
    runtime = find_runtime()
    if AZURE not in runtime.get_available_providers():
        pytest.skip("this onnxruntime has no Azure provider")
    with pytest.raises(InputError, match=f"{AZURE} takes no part of inswapper_128.onnx, onnxruntime gave it to {CPU}"):
        open_network(file, (AZURE,), runtime)
    assert open_network(file, (AZURE, CPU), runtime).provider == CPU


@pytest.mark.parametrize(
    ("registered", "nodes", "words"),
    [
        ([CPU], {CPU: 9}, f"{CUDA} could not be started, onnxruntime fell back to {CPU}"),
        ([CPU], None, f"{CUDA} could not be started"),
        ([CUDA, CPU], {CPU: 9}, f"{CUDA} takes no part"),
        ([CUDA, CPU], {CUDA: 7, CPU: 2}, f"2 of 9 nodes of inswapper_128.onnx would run on {CPU}, which is not listed"),
    ],
)
def test_fallbacks_of_a_gpu(file: ModelFile, registered: list[str], nodes: dict | None, words: str) -> None:
    runtime = FakeRuntime(registered, nodes)
    with pytest.raises(InputError, match=words):
        open_network(file, (CUDA,), runtime)
    network = open_network(file, (CUDA, CPU), runtime)
    shared = nodes is not None and CUDA in nodes
    assert network.provider == (CUDA if shared else CPU)
    assert bool(network.passed_over) != shared


def test_a_gpu_that_works(file: ModelFile) -> None:
    for nodes in ({CUDA: 9}, None):
        network = open_network(file, (CUDA,), FakeRuntime([CUDA, CPU], nodes))
        assert network.provider == CUDA and network.nodes == (nodes or {})


def test_files_that_onnxruntime_cannot_read(tmp_path: Path, models: Path) -> None:
    path = tmp_path / "cut.onnx"
    path.write_bytes((models / "dfm.dfm").read_bytes()[:-40])
    with pytest.raises(InputError, match="onnxruntime cannot read the model .*cut.onnx"):
        open_network(ModelFile("cut.onnx", path, ""), (CPU,), find_runtime())


def test_a_network_that_fails_or_gives_nan(tmp_path: Path, file: ModelFile) -> None:
    network = open_network(file, (CPU,), find_runtime())
    with pytest.raises(InputError, match="inswapper_128.onnx failed"):
        network.run({"source": np.zeros((1, 512)), "target": np.zeros((1, 3, 64, 64))})
    with pytest.raises(InputError, match="NaN"):
        network.run({"source": np.zeros((1, 512)), "target": np.full((1, 3, 128, 128), np.nan)})


def test_inputs_that_are_no_floats_are_refused(tmp_path: Path) -> None:
    helper, kinds = networks.helper, networks.TensorProto
    nodes = [helper.make_node("Identity", ["a"], ["b"])]
    values = [networks._value(name, (1,), kinds.INT64) for name in "ab"]
    path = networks._save(tmp_path / "whole.onnx", nodes, values[:1], values[1:], {})
    with pytest.raises(InputError, match="takes a as no kind of float"):
        open_network(ModelFile("whole.onnx", path, ""), (CPU,), find_runtime())


def test_without_onnxruntime_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(InputError, match="needs the package onnxruntime, which is not installed") as caught:
        find_runtime()
    assert caught.value.hint == "Run python3 install.py onnx."
