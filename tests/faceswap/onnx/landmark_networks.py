# SPDX-License-Identifier: Apache-2.0
"""Stand-ins for landmarkers and a face detector: the known names, shapes and ranges at the border, and real sight.

A "face" is 68 dots, each of a colour of its own, on grey. A stand-in finds a colour where a real network finds a corner
of the eye; it can be fooled by whatever fools a network that looks: a crop without the face, channels in another
order, another range of values, dots too small to be seen.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from interchange.mean_face import MEAN_FACE

from .networks import _save, _value, helper

FAN, SPACE, SPACE_RAW, YUNET = "2dfan4.onnx", "1k3d68.onnx", "1k3d68_raw.onnx", "face_detection_yunet_2023mar.onnx"
GREY = 0.5
_SHARP = 50.0  # a colour 0.14 away is not seen at all
_GAIN = 0.25  # a peak of 1 needs four pixels of a colour
_ALL = np.array([c for c in itertools.product((0, 0.25, 0.5, 0.75, 1), repeat=3) if {0, 1} & {*c}])
FACE = MEAN_FACE[:, :2].copy()
"""(68, 2) the mean face with its mouth open, so that no two of its dots lie on each other."""
FACE[[*range(55, 60), *range(65, 68)], 1] += 0.14
FACE[[60, 64], 0] *= 0.7
FACE[[60, 64], 1] += 0.05
FACE[61:64, 1] += 0.03
COLOURS = _ALL[1:69]
"""(68, 3) on the surface of the cube of colours: mixed with grey at a dot's edge none becomes another; not black,
which is what lies beyond a photo."""
SMALL_MARK, LARGE_MARK = _ALL[80], _ALL[90]
"""What the stand-in of a detector takes for the middle of a face, and the boxes it gives, in pixels of what it sees."""
SMALL_BOX, LARGE_BOX = 160.0, 320.0


def face_points(x: float, y: float, size: float, angle: float = 0.0) -> np.ndarray:
    """(68, 2) pixels of the mean face around (x, y), its box `size` pixels high, leaning by `angle` degrees."""
    flat = FACE - (FACE.max(axis=0) + FACE.min(axis=0)) / 2
    flat = flat * (size / np.ptp(flat[:, 1]))
    cos, sin = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    return flat @ np.array([[cos, sin], [-sin, cos]]) + [x, y]


def paint(width: int, height: int, points: np.ndarray, ids: Sequence[int] = range(68)) -> np.ndarray:
    """(h, w, 3) float32 0..1: a photo of that face."""
    radius = 0.023 * np.hypot(*(points[45] - points[36]))  # the closest two are 2.4 of these apart
    image = np.full((height, width, 3), GREY, np.float32)
    for index in ids:
        dot(image, points[index], radius, COLOURS[index])
    return image


def dot(image: np.ndarray, at: np.ndarray, radius: float, colour: np.ndarray) -> None:
    """One round dot with a soft edge."""
    left, top = np.maximum(np.floor(at - radius - 1), 0).astype(int)
    right, bottom = np.maximum(np.ceil(at + radius + 1), 0).astype(int)
    part = image[top:bottom, left:right]
    y, x = np.indices(part.shape[:2]) + 0.5
    share = np.clip(radius - np.hypot(x + left - at[0], y + top - at[1]) + 0.5, 0, 1)[..., None].astype(np.float32)
    part += share * (colour.astype(np.float32) - part)


def _sight(colours: np.ndarray) -> tuple[list, dict[str, np.ndarray]]:
    """Nodes from "rgb" (1, 3, h, w) to "seen" (1, N, h, w): how near each pixel is to each colour, 0..1."""
    nodes = [
        helper.make_node("Mul", ["rgb", "rgb"], ["squares"]),
        helper.make_node("Conv", ["squares", "square_weights"], ["square"]),
        helper.make_node("Conv", ["rgb", "weights", "bias"], ["product"]),
        helper.make_node("Sub", ["product", "square"], ["nearness"]),
        helper.make_node("Relu", ["nearness"], ["seen"]),
    ]
    colours = np.asarray(colours, np.float64)
    return nodes, {
        "weights": (2 * _SHARP * colours)[..., None, None].astype(np.float32),
        "bias": (1 - _SHARP * (colours**2).sum(1)).astype(np.float32),
        "square_weights": np.full((len(colours), 3, 1, 1), _SHARP, np.float32),
    }


def write_fan(path: Path, outputs: tuple[str, ...] = ("heatmaps",), count: int = 68, broken: bool = False) -> Path:
    """outputs: any of heatmaps and landmarks (x, y and score in heatmap pixels), in order. count: of heatmaps. broken:
    it gives NaN."""
    nodes, constants = _sight(COLOURS if count == 68 else _ALL[:count])
    nodes = [helper.make_node("Identity", ["input"], ["rgb"]), *nodes]
    blob = np.exp(-((np.arange(13) - 6) ** 2) / (2 * 2.0**2)).astype(np.float32)  # FAN's own deviation of a cell
    constants["across"] = np.tile(4 * _GAIN * blob, (count, 1, 1, 1))
    constants["down"] = np.tile(blob[:, None], (count, 1, 1, 1))
    nodes += [
        helper.make_node("AveragePool", ["seen"], ["halved"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Conv", ["halved", "across"], ["wide"], group=count, pads=[0, 6, 0, 6]),
        helper.make_node("Conv", ["wide", "down"], ["blobs"], group=count, pads=[6, 0, 6, 0]),
        helper.make_node("AveragePool", ["blobs"], ["heatmaps"], kernel_shape=[2, 2], strides=[2, 2]),
    ]
    if broken:
        nodes[-1].output[0] = "whole"
        nodes.append(helper.make_node("Log", ["minus"], ["nan"]))
        nodes.append(helper.make_node("Add", ["whole", "nan"], ["heatmaps"]))
        constants["minus"] = np.float32([-1])
    shapes = {"heatmaps": (1, count, 64, 64), "landmarks": (1, count, 3)}
    if "landmarks" in outputs:
        nodes += _centroids("heatmaps", 64, count, "places")
        nodes += [
            helper.make_node("ReduceMax", ["heatmaps"], ["peaks"], axes=[2, 3], keepdims=0),
            helper.make_node("Reshape", ["peaks", "column"], ["scores"]),
            helper.make_node("Concat", ["places", "scores"], ["scored"], axis=1),
            helper.make_node("Reshape", ["scored", "listed"], ["landmarks"]),
        ]
        grid = np.indices((64, 64))[::-1].reshape(2, -1).T + 0.5
        constants |= _centroid_constants(grid, count)
        constants |= {"column": np.array([count, 1]), "listed": np.array([1, count, 3])}
    given = [_value(name, shapes[name]) for name in outputs]
    return _save(path, nodes, [_value("input", (1, 3, 256, 256))], given, constants)


def write_space(path: Path, raw: bool = False) -> Path:
    """1k3d68: the last 68 of 1103 points; raw: it begins with Sub and Mul, and takes 0..255."""
    nodes, constants = _sight(COLOURS)
    begin = [
        helper.make_node("Sub", ["data", "middle"], ["shifted"]),
        helper.make_node("Mul", ["shifted", "unit"], ["normal"]),
    ]
    constants |= {"middle": np.float32([127.5]), "unit": np.float32([1 / 128])}
    start = "normal" if raw else "same_7"
    # What follows has Sub and Mul of its own, behind the nodes that tell whether the network normalises by itself.
    chain = ["data", *(f"same_{i}" for i in range(8))]
    same = [helper.make_node("Identity", [a], [b]) for a, b in itertools.pairwise(chain)]
    nodes = [
        *(begin if raw else same),
        helper.make_node("Mul", [start, "back"], ["scaled"]),
        helper.make_node("Add", ["scaled", "half"], ["rgb"]),
        *nodes,
        *_centroids("seen", 192, 68, "places"),
        helper.make_node("Concat", ["places", "depth"], ["last"], axis=1),
        helper.make_node("Concat", ["others", "last"], ["vertices"], axis=0),
        helper.make_node("Reshape", ["vertices", "flat"], ["fc1"]),
    ]
    grid = np.indices((192, 192))[::-1].reshape(2, -1).T / 96 - 1
    constants |= _centroid_constants(grid, 68)
    constants |= {
        "back": np.float32([128 / 255]), "half": np.float32([0.5]), "depth": np.zeros((68, 1), np.float32),
        "others": np.full((1035, 3), 0.3, np.float32), "flat": np.array([1, 3309]),
    }  # fmt: skip
    if not raw:
        constants = {k: v for k, v in constants.items() if k not in ("middle", "unit")}
    return _save(path, nodes, [_value("data", ("n", 3, 192, 192))], [_value("fc1", (1, 3309))], constants)


def _centroids(maps: str, size: int, count: int, result: str) -> list:
    """Nodes from (1, count, size, size) to (count, 2): the centroids, 0 where nothing is seen."""
    return [
        helper.make_node("Reshape", [maps, "rows"], ["listed_maps"]),
        helper.make_node("MatMul", ["listed_maps", "grid"], ["sums"]),
        helper.make_node("ReduceSum", ["listed_maps", "last_axis"], ["weight"], keepdims=1),
        helper.make_node("Add", ["weight", "little"], ["some"]),
        helper.make_node("Div", ["sums", "some"], [result]),
    ]


def _centroid_constants(grid: np.ndarray, count: int) -> dict[str, np.ndarray]:
    return {
        "rows": np.array([count, len(grid)]), "grid": grid.astype(np.float32), "last_axis": np.array([1]),
        "little": np.float32([1e-6]),
    }  # fmt: skip


def write_numbers(path: Path, size: int, count: int) -> Path:
    """A network of other points: `count` numbers of a crop of `size` pixels."""
    nodes = [
        helper.make_node("GlobalAveragePool", ["data"], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["fc1"]),
    ]
    entry, given = [_value("data", ("n", 3, size, size))], [_value("fc1", (1, count))]
    return _save(path, nodes, entry, given, {"weights": np.zeros((3, count), np.float32)})


def write_yunet(path: Path, names: tuple[str, ...] = ("cls", "obj", "bbox", "kps")) -> Path:
    """A face around each mark: SMALL_BOX at stride 8, LARGE_BOX at stride 32. Takes BGR 0..255."""
    seen, constants = _sight(np.array([SMALL_MARK, LARGE_MARK])[:, ::-1])
    nodes = [helper.make_node("Mul", ["input", "unit"], ["rgb"]), *seen]
    constants["unit"] = np.float32([1 / 255])
    given = []
    for name in names:
        for stride in (8, 16, 32):
            nodes += _head(name, stride, constants)
            channels = {"cls": 1, "obj": 1, "bbox": 4, "kps": 10}[name]
            given.append(_value(f"{name}_{stride}", (1, (640 // stride) ** 2, channels)))
    return _save(path, nodes, [_value("input", (1, 3, 640, 640))], given, constants)


def _head(name: str, stride: int, constants: dict[str, np.ndarray]) -> list:
    channels = {"cls": 1, "obj": 1, "bbox": 4, "kps": 10}[name]
    weights = np.zeros((channels, 2, 1, 1), np.float32)
    bias = np.zeros(channels, np.float32)
    if name in ("cls", "obj") and stride != 16:
        weights[0, 0 if stride == 8 else 1] = 1
    if name == "bbox":
        bias[:] = 0.5, 0.5, *[np.log((SMALL_BOX if stride == 8 else LARGE_BOX) / stride)] * 2
    key = f"{name}_{stride}"
    constants |= {f"{key}_w": weights, f"{key}_b": bias, f"{key}_shape": np.array([1, -1, channels])}
    return [
        helper.make_node("MaxPool", ["seen"], [f"{key}_pooled"], kernel_shape=[stride] * 2, strides=[stride] * 2),
        helper.make_node("Conv", [f"{key}_pooled", f"{key}_w", f"{key}_b"], [f"{key}_map"]),
        helper.make_node("Transpose", [f"{key}_map"], [f"{key}_last"], perm=[0, 2, 3, 1]),
        helper.make_node("Reshape", [f"{key}_last", f"{key}_shape"], [key]),
    ]


def write_old_yunet(path: Path) -> Path:
    """The outputs' names of YuNet before 2023."""
    nodes = [helper.make_node("GlobalAveragePool", ["input"], [name]) for name in ("loc", "conf", "iou")]
    given = [_value(name, (1, 3, 1, 1)) for name in ("loc", "conf", "iou")]
    return _save(path, nodes, [_value("input", (1, 3, 640, 640))], given, {})
