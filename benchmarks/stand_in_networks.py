# SPDX-License-Identifier: Apache-2.0
"""Networks that are none: the border of a known kind, and inside `gain x crop + bias`, fixed or flickering.

They tell what the adapter and the stages around a network do, never how good any network is. They need the package
onnx, which only tests and benchmarks have.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from interchange.errors import InputError

RECOGNISER = "stand_in_recogniser.onnx"
SIZES = {"inswapper_128": 128, "blendswap_256": 256}
"""Kinds that there is a stand-in of, and the edge of their crop in pixels; both take and give RGB 0..1."""
FLICKER_GAIN, FLICKER_BIAS, FLICKER_SHIFT = 0.06, 0.02, 0.01
"""Of the flickering stand-in, standard deviations from view to view; the shift of the crop's edge."""
_STEEP = 1000.0  # radians for a whole unit of colour
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


def write_flickering(folder: Path, kind: str) -> str:
    """A network of the kind's signature that gives its crop back in other colours, and beside its place, in every view:
    deterministic, as networks are, but by sines of the crop's mean colour so steep that any two views differ. Standard
    deviations: gain FLICKER_GAIN, bias FLICKER_BIAS a channel, shift FLICKER_SHIFT an axis. Returns its name."""
    onnx = _onnx()
    size = SIZES[kind]
    source = [1, 512] if kind == "inswapper_128" else [1, 3, 112, 112]
    node = onnx.helper.make_node
    nodes = [
        node("ReduceMean", ["source"], ["mean"], keepdims=0),
        node("Mul", ["mean", "nothing"], ["ignored"]),
        node("GlobalAveragePool", ["target"], ["means"]),
        node("Flatten", ["means"], ["colour"]),
        node("MatMul", ["colour", "steep"], ["phases"]),
        node("Sin", ["phases"], ["sines"]),
        node("Mul", ["sines", "amounts"], ["drift"]),
        node("Split", ["drift", "parts"], ["gain", "bias", "shift"], axis=1),
        node("Reshape", ["shift", "as_grid"], ["grid_shift"]),
        node("Add", ["grid", "grid_shift"], ["places"]),
        node("GridSample", ["target", "places"], ["moved"], mode="bicubic", padding_mode="border"),
        node("Reshape", ["gain", "as_colour"], ["gains"]),
        node("Reshape", ["bias", "as_colour"], ["biases"]),
        node("Mul", ["moved", "gains"], ["change"]),
        node("Add", ["moved", "change"], ["scaled"]),
        node("Add", ["scaled", "biases"], ["shifted"]),
        node("Add", ["shifted", "ignored"], ["output"]),
    ]
    deviations = np.array([[FLICKER_GAIN] * 3 + [FLICKER_BIAS] * 3 + [2 * FLICKER_SHIFT] * 2])  # a grid spans -1..1
    middle = (np.arange(size) + 0.5) / size * 2 - 1
    constants: dict[str, Any] = {
        "nothing": np.float32(0),
        "steep": np.random.default_rng(4).normal(0, _STEEP, (3, 8)).astype(np.float32),
        "amounts": (np.sqrt(2) * deviations).astype(np.float32),
        "parts": np.array([3, 3, 2]), "as_grid": np.array([1, 1, 1, 2]), "as_colour": np.array([1, 3, 1, 1]),
        "grid": np.stack(np.meshgrid(middle, middle), axis=-1)[None].astype(np.float32),
    }  # fmt: skip
    if kind == "inswapper_128":
        constants["emap"] = np.eye(512, dtype=np.float32)
    crop = [1, 3, size, size]
    name = file_name(kind, "flickering")
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
