# SPDX-License-Identifier: Apache-2.0
"""Stand-ins for the known networks: the same names, shapes and types at the border, tiny sums inside.

What they compute mixes channels, has a ramp over the picture and depends on the source, so that an exchanged channel, a
flipped crop or a wrong identity shows in the result. `evaluate` computes the same in plain numpy.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="the package onnx, which builds the stand-in networks, is not installed")
pytest.importorskip("onnxruntime", reason="the package onnxruntime is not installed")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

RECOGNISER, CONVERTER = "arcface_w600k_r50.onnx", "crossface.onnx"
DFM_SIZE = 64


@attrs.frozen
class Kind:
    """What the public descriptions say of a kind's border, written down once more for the tests."""

    target: tuple[int, ...]
    source: tuple[int, ...] | None
    signed: bool = False  # gives -1..1 instead of 0..1


KINDS = {
    "inswapper_128": Kind((1, 3, 128, 128), (1, 512)),
    "simswap_256": Kind((1, 3, 256, 256), (1, 512)),
    "simswap_unofficial_512": Kind((1, 3, 512, 512), (1, 512)),
    "ghost_256": Kind((1, 3, 256, 256), (1, 512), True),
    "hififace_unofficial_256": Kind((1, 3, 256, 256), (1, 512), True),
    "hyperswap_256": Kind((1, 3, 256, 256), (1, 512), True),
    "uniface_256": Kind((1, 3, 256, 256), (1, 3, 256, 256), True),
    "blendswap_256": Kind((1, 3, 256, 256), (1, 3, 112, 112)),
    "dfm": Kind((1, DFM_SIZE, DFM_SIZE, 3), None),
}
CHANNELS = [1, 2, 0]
GAIN = np.array([0.5, 0.4, 0.45], np.float32)
BIAS = np.array([0.1, 0.15, 0.05], np.float32)


def file_name(kind: str) -> str:
    return kind + (".dfm" if kind == "dfm" else ".onnx")


def _random(seed: int, *shape: int, scale: float = 1.0) -> np.ndarray:
    return (scale * np.random.default_rng(seed).normal(size=shape)).astype(np.float32)


def emap() -> np.ndarray:
    return _random(1, 512, 512, scale=0.05)


def source_weights(kind: str) -> np.ndarray:
    """(512, 3) of an embedding, (3 h w, 3) of a picture."""
    shape = KINDS[kind].source
    assert shape is not None
    count = int(np.prod(shape))
    return _random(2, count, 3, scale=0.3 if count == 512 else 0.3 / count)


def ramp(size: int) -> np.ndarray:
    """(size, size) that tells every corner from every other."""
    x, y = np.meshgrid(np.linspace(0, 0.08, size), np.linspace(0, 0.05, size))
    return (x + y).astype(np.float32)


def recogniser_weights() -> np.ndarray:
    return _random(3, 48, 512)


def converter_weights() -> tuple[np.ndarray, np.ndarray]:
    return _random(4, 512, 512, scale=0.06), _random(5, 512, scale=0.02)


def _save(path: Path, nodes: list, inputs: list, outputs: list, constants: dict[str, np.ndarray]) -> Path:
    tensors = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "stand-in", inputs, outputs, tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())
    return path


def _value(name: str, shape: tuple, kind: int = TensorProto.FLOAT) -> Any:
    return helper.make_tensor_value_info(name, kind, shape)


def write_swapper(path: Path, kind: str, free_batch: bool = False, half: bool = False) -> Path:
    """The stand-in of a kind. free_batch: leave the batch's size open, as many files do. half: float16 border."""
    return _write_dfm(path) if kind == "dfm" else _write_swapper(path, kind, free_batch, half)


def _write_swapper(path: Path, kind: str, free_batch: bool, half: bool) -> Path:
    known = KINDS[kind]
    assert known.source is not None
    size, float_type = known.target[2], np.float16 if half else np.float32
    constants: dict[str, np.ndarray] = {
        "channels": np.array(CHANNELS), "gain": GAIN.reshape(1, 3, 1, 1).astype(float_type),
        "bias": BIAS.reshape(1, 3, 1, 1).astype(float_type), "ramp": ramp(size)[None, None].astype(float_type),
        "weights": source_weights(kind).astype(float_type), "pixel": np.array([1, 3, 1, 1]), "two": float_type([2]),
        "one": float_type([1]),
    }  # fmt: skip
    nodes = [
        helper.make_node("Gather", ["target", "channels"], ["mixed"], axis=1),
        helper.make_node("Mul", ["mixed", "gain"], ["scaled"]),
        helper.make_node("Add", ["scaled", "bias"], ["shifted"]),
        helper.make_node("Add", ["shifted", "ramp"], ["ramped"]),
        helper.make_node("Flatten", ["source"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["colour"]),
        helper.make_node("Reshape", ["colour", "pixel"], ["tint"]),
        helper.make_node("Add", ["ramped", "tint"], ["sum"]),
    ]
    if known.signed:
        nodes.append(helper.make_node("Mul", ["sum", "two"], ["double"]))
        nodes.append(helper.make_node("Sub", ["double", "one"], ["output"]))
    else:
        nodes.append(helper.make_node("Identity", ["sum"], ["output"]))
    float_kind = TensorProto.FLOAT16 if half else TensorProto.FLOAT
    outputs = [_value("output", known.target, float_kind)]
    if kind == "hyperswap_256":
        nodes += [
            helper.make_node("ReduceMean", ["target"], ["mean"], axes=[1], keepdims=1),
            helper.make_node("Add", ["mean", "one"], ["bright"]),
            helper.make_node("Mul", ["bright", "four"], ["brighter"]),
            helper.make_node("Sigmoid", ["brighter"], ["mask"]),
        ]
        constants["four"] = np.float32([4])
        outputs.append(_value("mask", (1, 1, size, size)))
    if kind == "inswapper_128":
        constants["emap"] = emap()
    shapes = [("n", *s[1:]) if free_batch else s for s in (known.source, known.target)]
    inputs = [_value("source", shapes[0], float_kind), _value("target", shapes[1], float_kind)]
    return _save(path, nodes, inputs, outputs, constants)


def write_paster(path: Path) -> Path:
    """Has uniface's signature and gives the photo's crop as it is: what a rigid paste would be."""
    nodes = [
        helper.make_node("Mul", ["target", "nothing"], ["ignored"]),
        helper.make_node("Mul", ["source", "two"], ["double"]),
        helper.make_node("Sub", ["double", "one"], ["signed"]),
        helper.make_node("Add", ["signed", "ignored"], ["output"]),
    ]
    shape = (1, 3, 256, 256)
    constants = {"two": np.float32([2]), "one": np.float32([1]), "nothing": np.float32([0])}
    return _save(path, nodes, [_value("source", shape), _value("target", shape)], [_value("output", shape)], constants)


def _write_dfm(path: Path, morph: bool = True) -> Path:
    """Channels last, named as DeepFaceLab exports: masks of both faces around the face."""
    shape = KINDS["dfm"].target
    constants = {
        "channels": np.array(CHANNELS), "gain": GAIN, "bias": BIAS, "ramp": ramp(DFM_SIZE)[None, :, :, None],
        "tenth": np.float32([0.1]), "half": np.float32([0.6]),
    }  # fmt: skip
    nodes = [
        helper.make_node("Gather", ["in_face:0", "channels"], ["mixed"], axis=3),
        helper.make_node("Mul", ["mixed", "gain"], ["scaled"]),
        helper.make_node("Add", ["scaled", "bias"], ["shifted"]),
        helper.make_node("Mul", ["morph_value:0", "tenth"], ["morphed"]),
        helper.make_node("Add", ["shifted", "morphed"], ["tinted"]),
        helper.make_node("Add", ["tinted", "ramp"], ["out_celeb_face:0"]),
        helper.make_node("ReduceMax", ["in_face:0"], ["brightest"], axes=[3], keepdims=1),
        helper.make_node("Add", ["brightest", "half"], ["out_face_mask:0"]),
        helper.make_node("ReduceMean", ["in_face:0"], ["average"], axes=[3], keepdims=1),
        helper.make_node("Add", ["average", "half"], ["out_celeb_face_mask:0"]),
    ]
    mask = (*shape[:3], 1)
    shapes = {"out_face_mask:0": mask, "out_celeb_face:0": shape, "out_celeb_face_mask:0": mask}
    outputs = [_value(name, sides) for name, sides in shapes.items()]
    inputs = [_value("in_face:0", ("n", *shape[1:])), _value("morph_value:0", (1,))]
    return _save(path, nodes, inputs, outputs, constants)


def evaluate(kind: str, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What the stand-in gives, in float64."""
    given = {name: np.asarray(value, np.float64) for name, value in inputs.items()}
    if kind == "dfm":
        face = given["in_face:0"]
        mixed = face[..., CHANNELS] * GAIN + BIAS + 0.1 * given["morph_value:0"] + ramp(DFM_SIZE)[None, :, :, None]
        masks = {"out_face_mask:0": face.max(3) + 0.6, "out_celeb_face_mask:0": face.mean(3) + 0.6}
        return {"out_celeb_face:0": mixed, **masks}
    target = given["target"]
    tint = given["source"].reshape(-1) @ source_weights(kind)
    total = target[:, CHANNELS] * GAIN[:, None, None] + BIAS[:, None, None] + ramp(target.shape[2])
    total = total + tint[:, None, None]
    result = {"output": 2 * total - 1 if KINDS[kind].signed else total}
    return result | ({"mask": 1 / (1 + np.exp(-4 * (target.mean(1) + 1)))} if kind == "hyperswap_256" else {})


def write_recogniser(path: Path) -> Path:
    """Means of 4 x 4 fields of the crop, times a matrix."""
    nodes = [
        helper.make_node("AveragePool", ["input.1"], ["fields"], kernel_shape=[28, 28], strides=[28, 28]),
        helper.make_node("Flatten", ["fields"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["683"]),
    ]
    inputs, outputs = [_value("input.1", ("n", 3, 112, 112))], [_value("683", ("n", 512))]
    return _save(path, nodes, inputs, outputs, {"weights": recogniser_weights()})


def recognise(tensor: np.ndarray) -> np.ndarray:  # (1, 3, 112, 112)
    fields = np.zeros((3, 4, 4))
    for channel in range(3):
        for row in range(4):
            for column in range(4):
                field = np.s_[0, channel, row * 28 : row * 28 + 28, column * 28 : column * 28 + 28]
                fields[channel, row, column] = tensor[field].mean()
    return fields.reshape(-1) @ recogniser_weights().astype(np.float64)


def write_converter(path: Path) -> Path:
    nodes = [
        helper.make_node("MatMul", ["input", "weights"], ["turned"]),
        helper.make_node("Add", ["turned", "bias"], ["output"]),
    ]
    constants = dict(zip(("weights", "bias"), converter_weights(), strict=True))
    return _save(path, nodes, [_value("input", (1, 512))], [_value("output", (1, 512))], constants)


def convert(vector: np.ndarray) -> np.ndarray:
    weights, bias = converter_weights()
    return vector @ weights.astype(np.float64) + bias
