# SPDX-License-Identifier: Apache-2.0
"""Random clouds, how far two of them are apart, and plain readers of files, for the tests of splat files."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np

from interchange.splats import SplatCloud, write_splats
from interchange.splats.axes import matrix_from_quaternion

FIELDS = ("means", "log_scales", "quats_wxyz", "opacity_logits", "sh")


def random_cloud(count: int, degree: int, seed: int = 7, antialiased: bool = False) -> SplatCloud:
    """A head-sized cloud whose numbers lie in the range of every format."""
    rng = np.random.default_rng(seed)
    return SplatCloud(
        rng.uniform(-0.3, 0.3, (count, 3)), rng.normal(-5, 0.5, (count, 3)), rng.normal(size=(count, 4)),
        rng.normal(0, 2, count), np.clip(rng.normal(0, 0.3, (count, (degree + 1) ** 2, 3)), -0.9, 0.9), antialiased,
    )  # fmt: skip


def covariances(cloud: SplatCloud) -> np.ndarray:  # (N, 3, 3)
    """What the scales and the quaternion of a splat mean; two quaternions may mean the same."""
    axes = matrix_from_quaternion(cloud.quats_wxyz) * cloud.scales.astype(np.float64)[:, None, :]
    return axes @ axes.transpose(0, 2, 1)


def same_order(cloud: SplatCloud, other: SplatCloud) -> SplatCloud:
    """`other` in the order of `cloud`, paired by the nearest mean; fails unless that is one to one."""
    distances = np.linalg.norm(cloud.means[:, None] - other.means[None], axis=2)
    nearest = distances.argmin(axis=1)
    assert len(set(nearest.tolist())) == len(cloud) == len(other)
    return other.subset(nearest)


def differences(cloud: SplatCloud, other: SplatCloud) -> dict[str, float]:
    """Largest difference of each quantity: metres, log, relative covariance (Frobenius), opacity, coefficients."""
    other = same_order(cloud, other)
    ours, theirs = covariances(cloud), covariances(other)
    common = min(cloud.sh.shape[1], other.sh.shape[1])
    return {
        "means": float(np.abs(cloud.means - other.means).max()),
        "log_scales": float(np.abs(cloud.log_scales - other.log_scales).max()),
        "shape": float((np.linalg.norm(ours - theirs, axis=(1, 2)) / np.linalg.norm(ours, axis=(1, 2))).max()),
        "opacities": float(np.abs(cloud.opacities - other.opacities).max()),
        "base": float(np.abs(cloud.sh[:, 0] - other.sh[:, 0]).max()),
        "higher": float(np.abs(cloud.sh[:, 1:common] - other.sh[:, 1:common]).max(initial=0)),
    }


def written(path: Path, cloud: SplatCloud) -> Path:
    """`path`, after writing the cloud there."""
    write_splats(path, cloud)
    return path


def glb_parts(path: Path) -> tuple[dict, bytes]:
    """The JSON and the binary chunk of a .glb."""
    data = path.read_bytes()
    magic, version, total, size, kind = struct.unpack_from("<4sIII4s", data)
    assert (magic, version, total, kind) == (b"glTF", 2, len(data), b"JSON") and size % 4 == 0
    binary_size, binary_kind = struct.unpack_from("<I4s", data, 20 + size)
    assert binary_kind == b"BIN\0" and 28 + size + binary_size == total
    return json.loads(data[20 : 20 + size]), data[28 + size :]


def glb_accessor(document: dict, binary: bytes, name: str) -> np.ndarray:
    """A plain reader of tightly packed accessors, which ours are."""
    accessor = document["accessors"][document["meshes"][0]["primitives"][0]["attributes"][name]]
    view = document["bufferViews"][accessor["bufferView"]]
    width = {"SCALAR": 1, "VEC3": 3, "VEC4": 4}[accessor["type"]]
    kind = {5121: "u1", 5126: "<f4"}[accessor["componentType"]]
    return np.frombuffer(binary, kind, accessor["count"] * width, view["byteOffset"]).reshape(-1, width)
