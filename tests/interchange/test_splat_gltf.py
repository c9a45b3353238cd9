# SPDX-License-Identifier: Apache-2.0
"""Splats in glTF: as KHR_gaussian_splatting says, in the places that nodes give them, and nothing from outside."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from interchange.errors import InputError
from interchange.splats import SplatCloud, read_splats
from interchange.splats.axes import moved
from tests.interchange.clouds import differences, glb_accessor, glb_parts, random_cloud, written


def test_glb_is_as_the_extension_says(tmp_path: Path) -> None:
    cloud = random_cloud(30, 2)
    document, binary = glb_parts(written(tmp_path / "s.glb", cloud))
    primitive = document["meshes"][0]["primitives"][0]
    assert document["extensionsUsed"] == ["KHR_gaussian_splatting"] and primitive["mode"] == 0
    assert primitive["extensions"]["KHR_gaussian_splatting"] == {
        "kernel": "ellipse", "colorSpace": "srgb_rec709_display", "projection": "perspective",
        "sortingMethod": "cameraDistance",
    }  # fmt: skip
    rotation = glb_accessor(document, binary, "KHR_gaussian_splatting:ROTATION")
    np.testing.assert_allclose(np.linalg.norm(rotation, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(glb_accessor(document, binary, "KHR_gaussian_splatting:SCALE"), cloud.scales, rtol=1e-6)
    opacity = glb_accessor(document, binary, "KHR_gaussian_splatting:OPACITY")[:, 0]
    np.testing.assert_allclose(opacity, cloud.opacities, atol=1e-7)
    colour = glb_accessor(document, binary, "COLOR_0")
    np.testing.assert_array_equal(colour[:, 3], np.rint(opacity * 255))
    position = document["accessors"][primitive["attributes"]["POSITION"]]
    np.testing.assert_allclose(position["max"], (cloud.means * [1, -1, -1]).max(axis=0), atol=1e-7)
    assert len([n for n in primitive["attributes"] if "SH_DEGREE" in n]) == 9


def _gltf(path: Path, cloud: SplatCloud, **changes: object) -> dict:
    """The document of a .gltf of this cloud, which the caller changes and writes again."""
    document = json.loads(written(path, cloud).read_text())
    document.update(changes)
    return document


def test_gltf_nodes_place_their_splats(tmp_path: Path) -> None:
    """Two nodes show the same splats, one turned, doubled and moved by its own and its parent's transform."""
    cloud = random_cloud(20, 2)
    half = np.sqrt(0.5)
    document = _gltf(
        tmp_path / "s.gltf", cloud, scenes=[{"nodes": [0, 1]}],
        nodes=[
            {"mesh": 0}, {"translation": [0, 5, 0], "children": [2]},
            {"mesh": 0, "rotation": [0, half, 0, half], "scale": [2, 2, 2]},
        ],
    )  # fmt: skip
    (tmp_path / "s.gltf").write_text(json.dumps(document))
    back = read_splats(tmp_path / "s.gltf")
    quarter = np.array([[0.0, 0, 1], [0, 1, 0], [-1, 0, 0]])  # a quarter turn about glTF's y
    flip = np.diag([1.0, -1, -1])
    expected = moved(cloud, flip @ quarter @ flip, 2.0, np.array([0.0, -5, 0]))
    assert len(back) == 40 and max(differences(cloud, back.subset(np.arange(20))).values()) < 1e-6
    assert max(differences(expected, back.subset(np.arange(20, 40))).values()) < 1e-5
    document["nodes"][2]["scale"] = [1, 2, 1]
    (tmp_path / "s.gltf").write_text(json.dumps(document))
    with pytest.raises(InputError, match="stretches"):
        read_splats(tmp_path / "s.gltf")
    document["nodes"][2] = {"matrix": [-1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1], "mesh": 0}
    (tmp_path / "s.gltf").write_text(json.dumps(document))
    with pytest.raises(InputError, match="mirrors"):
        read_splats(tmp_path / "s.gltf")


def test_gltf_with_quantised_interleaved_numbers_in_a_file_beside(tmp_path: Path) -> None:
    """Signed shorts for rotations, unsigned bytes for opacities, one strided buffer view, an external file."""
    rows = np.zeros(3, [("position", "<f4", 3), ("rotation", "<i2", 4), ("scale", "<f4", 3), ("opacity", "u1"),
                        ("pad", "V3"), ("sh", "<f4", 3)])  # fmt: skip
    rows["position"], rows["rotation"], rows["scale"] = [[1, 2, 3]], [[0, 0, 0, 32767]], 0.01
    rows["opacity"], rows["sh"] = [0, 51, 255], 0.25
    (tmp_path / "two words.bin").write_bytes(rows.tobytes())
    kinds = {"position": (5126, "VEC3"), "rotation": (5122, "VEC4"), "scale": (5126, "VEC3"),
             "opacity": (5121, "SCALAR"), "sh": (5126, "VEC3")}  # fmt: skip
    accessors = [
        {"bufferView": 0, "byteOffset": rows.dtype.fields[name][1], "componentType": kind, "type": shape, "count": 3,
         "normalized": kind != 5126}
        for name, (kind, shape) in kinds.items()
    ]  # fmt: skip
    prefix = "KHR_gaussian_splatting"
    attributes = {"POSITION": 0, f"{prefix}:ROTATION": 1, f"{prefix}:SCALE": 2, f"{prefix}:OPACITY": 3,
                  f"{prefix}:SH_DEGREE_0_COEF_0": 4}  # fmt: skip
    splatting = {"kernel": "ellipse", "colorSpace": "srgb_rec709_display"}
    document = {
        "asset": {"version": "2.0"}, "accessors": accessors,
        "buffers": [{"byteLength": rows.nbytes, "uri": "two%20words.bin"}],
        "bufferViews": [{"buffer": 0, "byteLength": rows.nbytes, "byteStride": rows.dtype.itemsize}],
        "meshes": [{"primitives": [{"mode": 0, "attributes": attributes, "extensions": {prefix: splatting}}]}],
    }  # fmt: skip
    (tmp_path / "s.gltf").write_text(json.dumps(document))
    back = read_splats(tmp_path / "s.gltf")
    np.testing.assert_allclose(back.means, [[1, -2, -3]] * 3)
    np.testing.assert_allclose(back.opacities, [0, 0.2, 1], atol=1e-6)
    np.testing.assert_allclose(back.scales, 0.01, rtol=1e-5)
    np.testing.assert_allclose(np.abs(back.quats_wxyz), [[1, 0, 0, 0]] * 3)
    splatting["colorSpace"] = "lin_rec709_display"
    (tmp_path / "s.gltf").write_text(json.dumps(document))
    with pytest.raises(InputError, match="colour space 'lin_rec709_display'. Only srgb_rec709_display"):
        read_splats(tmp_path / "s.gltf")
    splatting |= {"colorSpace": "srgb_rec709_display", "extensions": {"KHR_gaussian_splatting_compression_spz": {}}}
    (tmp_path / "s.gltf").write_text(json.dumps(document))
    with pytest.raises(InputError, match="compressed splats"):
        read_splats(tmp_path / "s.gltf")


@pytest.mark.parametrize("uri", ["../secret.bin", "/etc/passwd", "file:///etc/passwd", "https://example.org/a.bin"])
def test_gltf_reads_nothing_outside_its_folder(tmp_path: Path, uri: str) -> None:
    (tmp_path / "folder").mkdir()
    document = _gltf(tmp_path / "folder/s.gltf", random_cloud(3, 0))
    (tmp_path / "secret.bin").write_bytes(bytes(document["buffers"][0]["byteLength"]))
    document["buffers"][0]["uri"] = uri
    (tmp_path / "folder/s.gltf").write_text(json.dumps(document))
    with pytest.raises(InputError):
        read_splats(tmp_path / "folder/s.gltf")
