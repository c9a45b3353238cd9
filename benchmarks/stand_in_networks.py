# SPDX-License-Identifier: Apache-2.0
"""Networks that are none: the border of a known kind, and inside `gain x crop + bias`. They tell what the adapter
around a network costs, never how good any network is. Needs the package onnx, which only tests and benchmarks have."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from interchange.errors import InputError

RECOGNISER = "stand_in_recogniser.onnx"
SIZES = {"inswapper_128": 128, "blendswap_256": 256}
"""Kinds that there is a stand-in of, and the edge of their crop in pixels; both take and give RGB 0..1."""
LICENCE = "a stand-in made by code, no network"


def file_name(kind: str, what: str) -> str:
    """Of the stand-in of a kind; `what` names what it does."""
    return f"{kind}_stand_in_{what}.onnx"


def write_stand_in(folder: Path, kind: str, what: str, gain: float, bias: float) -> str:
    """A network of the kind's signature that gives gain x crop + bias, whoever the source is; returns its name."""
    onnx = _onnx()
    size = SIZES[kind]
    source = [1, 512] if kind == "inswapper_128" else [1, 3, 112, 112]
    nodes = [
        onnx.helper.make_node("ReduceMean", ["source"], ["mean"], keepdims=0),
        onnx.helper.make_node("Mul", ["mean", "nothing"], ["ignored"]),
        onnx.helper.make_node("Mul", ["target", "gain"], ["scaled"]),
        onnx.helper.make_node("Add", ["scaled", "bias"], ["shifted"]),
        onnx.helper.make_node("Add", ["shifted", "ignored"], ["output"]),
    ]
    constants: dict[str, Any] = {"nothing": np.float32(0), "gain": np.float32(gain), "bias": np.float32(bias)}
    if kind == "inswapper_128":
        constants["emap"] = np.eye(512, dtype=np.float32)
    crop = [1, 3, size, size]
    name = file_name(kind, what)
    _save(folder / name, nodes, {"source": source, "target": crop}, {"output": crop}, constants)
    return name


def write_recogniser(folder: Path) -> str:
    """A network of ArcFace's signature: mean colours, spread over 512 numbers; returns its name."""
    onnx = _onnx()
    weights = np.random.default_rng(3).normal(size=(3, 512)).astype(np.float32)
    nodes = [
        onnx.helper.make_node("GlobalAveragePool", ["input"], ["means"]),
        onnx.helper.make_node("Flatten", ["means"], ["flat"]),
        onnx.helper.make_node("MatMul", ["flat", "weights"], ["embedding"]),
    ]
    _save(folder / RECOGNISER, nodes, {"input": [1, 3, 112, 112]}, {"embedding": [1, 512]}, {"weights": weights})
    return RECOGNISER


def _onnx() -> Any:
    try:
        import onnx
    except ImportError:
        raise InputError(
            "The stand-in networks need the package onnx, which is not installed.",
            "Install requirements/tests.txt.",
        ) from None
    return onnx


def _save(path: Path, nodes: list[Any], inputs: dict[str, list[int]], outputs: dict[str, list[int]],
          constants: Mapping[str, Any]) -> None:  # fmt: skip
    onnx = _onnx()
    borders = [
        [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape) for name, shape in sides.items()]
        for sides in (inputs, outputs)
    ]
    tensors = [onnx.numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    graph = onnx.helper.make_graph(nodes, "stand-in", *borders, tensors)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(model.SerializeToString())
