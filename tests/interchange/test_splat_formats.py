# SPDX-License-Identifier: Apache-2.0
"""Splat files of every format: round trips within stated tolerances, what is lost and that it is said."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import plyfile
import pytest

from interchange.errors import InputError
from interchange.splats import SH_C0, SUFFIXES, SplatCloud, read_ply, read_splats, write_ply, write_splats
from interchange.splats.axes import flipped_yz
from tests.interchange.clouds import FIELDS, differences, random_cloud, same_order, written

# Half a step of each quantity, for clouds of 0.6 m and the spread of `random_cloud`; 0: to the bit.
TOLERANCES = {
    ".ply": dict.fromkeys(("means", "log_scales", "shape", "opacities", "base", "higher"), 0.0),
    ".glb": {"means": 0, "log_scales": 1e-6, "shape": 1e-6, "opacities": 2e-7, "base": 0, "higher": 0},
    ".gltf": {"means": 0, "log_scales": 1e-6, "shape": 1e-6, "opacities": 2e-7, "base": 0, "higher": 0},
    ".spz": {"means": 3.06e-5, "log_scales": 1 / 32, "shape": 0.07, "opacities": 0.5 / 255, "base": 0.0131,
             "higher": 2 / 128},
    ".compressed.ply": {"means": 3e-4, "log_scales": 2e-3, "shape": 5e-3, "opacities": 0.5 / 255, "base": 4e-3,
                        "higher": 1 / 64},
    ".splat": {"means": 0, "log_scales": 1e-6, "shape": 0.04, "opacities": 0.5 / 255, "base": 7e-3, "higher": 0},
}  # fmt: skip


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_round_trip(tmp_path: Path, suffix: str, degree: int) -> None:
    cloud = random_cloud(700, degree, antialiased=degree % 2 == 1)
    notes = write_splats(tmp_path / f"s{suffix}", cloud)
    back = read_splats(tmp_path / f"s{suffix}")
    for name, difference in differences(cloud, back).items():
        assert difference <= TOLERANCES[suffix][name] + 1e-9, name
    flat = suffix == ".splat"
    assert back.degree == (0 if flat else degree) and back.antialiased == (cloud.antialiased and not flat)
    assert len(notes) == flat * ((degree > 0) + cloud.antialiased)
    assert [p.name for p in tmp_path.iterdir()] == [f"s{suffix}"]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_second_trip_changes_nothing(tmp_path: Path, suffix: str) -> None:
    """What a format can say, it says again; files that lose a little each time they are opened would fade."""
    write_splats(tmp_path / f"a{suffix}", random_cloud(300, 2))
    once = read_splats(tmp_path / f"a{suffix}")
    write_splats(tmp_path / f"b{suffix}", once)
    twice = read_splats(tmp_path / f"b{suffix}")
    limit = {".compressed.ply": 2e-3}.get(suffix, 1e-6)  # its ranges are those of the rounded numbers
    for name, difference in differences(once, twice).items():
        assert difference <= (0.02 if (suffix, name) == (".splat", "shape") else limit), name  # bytes of unit length


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_same_cloud_gives_the_same_bytes(tmp_path: Path, suffix: str) -> None:
    for name in "ab":
        write_splats(tmp_path / f"{name}{suffix}", random_cloud(300, 1))
    assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_one_splat_and_extreme_splats(tmp_path: Path, suffix: str) -> None:
    """Splats that training can bring forth come back finite, whatever a format makes of their size."""
    cloud = random_cloud(1, 1)
    write_splats(tmp_path / f"one{suffix}", cloud)
    assert len(read_splats(tmp_path / f"one{suffix}")) == 1
    cloud = random_cloud(600, 1)
    cloud.means[0], cloud.means[1] = 900.0, -1e-9
    cloud.log_scales[2], cloud.log_scales[3] = 60.0, -60.0
    cloud.opacity_logits[4], cloud.opacity_logits[5] = 200.0, -200.0
    cloud.sh[6], cloud.sh[7] = 50.0, -50.0
    cloud.quats_wxyz[8] = 0
    cloud.means[9:300] = cloud.means[9]
    write_splats(tmp_path / f"wild{suffix}", cloud)
    back = read_splats(tmp_path / f"wild{suffix}")
    assert back.finite().all() and len(back) == 600
    assert back.opacities.max() > 0.999 and back.opacities.min() < 1e-3
    far = np.abs(back.means).max()
    assert far == pytest.approx(900, abs=0.5)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_splats_with_nan_are_left_out_and_counted(tmp_path: Path, suffix: str) -> None:
    cloud = random_cloud(50, 1)
    cloud.means[3, 1], cloud.sh[5, 2, 0] = np.nan, np.inf
    cloud.opacity_logits[7], cloud.log_scales[9, 0] = np.nan, -np.inf
    notes = write_splats(tmp_path / f"s{suffix}", cloud)
    assert notes[0].startswith("4 splats with NaN")
    back = read_splats(tmp_path / f"s{suffix}")
    assert len(back) == 46 and back.finite().all()
    cloud.means[:] = np.nan
    with pytest.raises(InputError, match="none is finite"):
        write_splats(tmp_path / f"t{suffix}", cloud)
    assert not (tmp_path / f"t{suffix}").exists()


def test_what_does_not_fit_is_said(tmp_path: Path) -> None:
    cloud = random_cloud(30, 1)
    cloud.log_scales[:3], cloud.sh[4:6, 1], cloud.sh[7, 0, 2] = -30, 5, -9
    assert [note.split(" are ")[0] for note in write_splats(tmp_path / "s.spz", cloud)] == [
        "The sizes of 3 splats", "The colours of 1 splats", "The SH coefficients of 2 splats",
    ]  # fmt: skip
    assert "of 5 splats" in write_splats(tmp_path / "s.compressed.ply", cloud)[0]
    assert write_splats(tmp_path / "s.glb", cloud) == []


def test_the_kind_of_file_is_told_by_its_content_first(tmp_path: Path) -> None:
    cloud = random_cloud(40, 1)
    for suffix in (".ply", ".compressed.ply", ".spz", ".glb"):
        write_splats(tmp_path / f"s{suffix}", cloud)
        renamed = (tmp_path / f"s{suffix}").rename(tmp_path / "s.bin")
        assert len(read_splats(renamed)) == 40
    assert len(read_ply(written(tmp_path / "t.compressed.ply", cloud))) == 40
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(InputError, match="is no splat file. .compressed.ply, .ply, .spz"):
        read_splats(tmp_path / "notes.txt")
    with pytest.raises(InputError, match=r"not the name of a splat file.*\.glb or \.gltf"):
        write_splats(tmp_path / "s.obj", cloud)
    with pytest.raises(InputError, match="is no file"):
        read_splats(tmp_path)


# ---- PLY


def test_ply_of_any_number_type_byte_order_and_with_foreign_elements(tmp_path: Path) -> None:
    """Doubles, big-endian, an element with lists before the vertices, one after, a list in the vertices."""
    cloud = random_cloud(9, 1)
    write_ply(tmp_path / "s.ply", cloud)
    data = plyfile.PlyData.read(tmp_path / "s.ply")["vertex"].data
    kinds = [(name, "f8" if name.startswith("f_") else "f4") for name in data.dtype.names]
    vertex = np.empty(9, [*kinds, ("spare", "O")])
    for name in data.dtype.names:
        vertex[name] = data[name]
    vertex["spare"] = [np.arange(3, dtype=np.int32)] * 9
    camera = np.empty(2, [("views", "O"), ("zoom", "f4")])
    camera["views"], camera["zoom"] = [np.arange(5, dtype=np.uint8), np.arange(2, dtype=np.uint8)], 1
    extra = np.zeros(3, [("value", "i2")])
    plain = vertex[list(data.dtype.names)].astype(kinds)  # plyfile 1.1 forgets to swap numbers beside a list
    for order, rows in (("<", vertex), (">", plain)):
        tables = {"camera": camera, "vertex": rows, "extra": extra}
        elements = [plyfile.PlyElement.describe(table, name) for name, table in tables.items()]
        plyfile.PlyData(elements, byte_order=order).write(tmp_path / "t.ply")
        back = read_splats(tmp_path / "t.ply")
        for name in FIELDS:
            np.testing.assert_array_equal(getattr(back, name), getattr(cloud, name))


def test_text_ply_and_mesh_are_refused_in_words(tmp_path: Path) -> None:
    write_ply(tmp_path / "s.ply", random_cloud(3, 0))
    data = plyfile.PlyData.read(tmp_path / "s.ply")
    data.text = True
    data.write(tmp_path / "text.ply")
    with pytest.raises(InputError, match="is a text PLY. Save it as binary"):
        read_splats(tmp_path / "text.ply")
    points = np.zeros(3, [("x", "<f4"), ("y", "<f4"), ("z", "<f4")])
    faces = np.array([([0, 1, 2],)], [("vertex_indices", "i4", (3,))])
    plyfile.PlyData(
        [plyfile.PlyElement.describe(points, "vertex"), plyfile.PlyElement.describe(faces, "face")]
    ).write(tmp_path / "mesh.ply")
    with pytest.raises(InputError, match="is a mesh"):
        read_splats(tmp_path / "mesh.ply")


def test_compressed_ply_by_plyfile(tmp_path: Path) -> None:
    """An independent reader sees the tables, and a splat decoded by hand is the splat that was written."""
    cloud = random_cloud(300, 1, antialiased=True)
    data = plyfile.PlyData.read(written(tmp_path / "s.compressed.ply", cloud))
    assert "SplatRenderMode: mip" in data.comments
    assert [len(data[name].data) for name in ("chunk", "vertex", "sh")] == [2, 300, 300]
    chunk, vertex = data["chunk"].data[1], data["vertex"].data[299]  # the last splat lies in the second chunk
    share = (int(vertex["packed_position"]) >> 21) / 2047
    x = float(chunk["min_x"]) * (1 - share) + float(chunk["max_x"]) * share
    assert x == pytest.approx(read_splats(tmp_path / "s.compressed.ply").means[299, 0], abs=1e-6)
    assert (np.diff([chunk["min_x"], chunk["max_x"]]) < 0.6).all()


def test_older_compressed_ply_without_colour_ranges(tmp_path: Path) -> None:
    cloud = random_cloud(300, 0)
    cloud.sh[:, 0] = np.clip(cloud.sh[:, 0], -1.7, 1.7)
    data = plyfile.PlyData.read(written(tmp_path / "s.compressed.ply", cloud))
    vertex, names = data["vertex"].data.copy(), data["chunk"].data.dtype.names[:12]
    ordered = same_order(read_splats(tmp_path / "s.compressed.ply"), cloud)
    rgb = np.clip(np.rint((0.5 + SH_C0 * ordered.sh[:, 0]) * 255), 0, 255)
    vertex["packed_color"] = (rgb @ [1 << 24, 1 << 16, 1 << 8]).astype(np.uint32) | (vertex["packed_color"] & 255)
    chunk = np.array(data["chunk"].data[list(names)].tolist(), [(name, "<f4") for name in names])
    plyfile.PlyData(
        [plyfile.PlyElement.describe(chunk, "chunk"), plyfile.PlyElement.describe(vertex, "vertex")], byte_order="<"
    ).write(tmp_path / "old.ply")
    assert differences(cloud, read_splats(tmp_path / "old.ply"))["base"] < 0.5 / 255 / SH_C0 + 1e-3


def test_compressed_ply_with_an_empty_sh_element(tmp_path: Path) -> None:
    """gsplat 1.5.3 writes the element without properties at SH degree 0."""
    content = written(tmp_path / "s.compressed.ply", random_cloud(300, 0)).read_bytes()
    (tmp_path / "t.ply").write_bytes(content.replace(b"end_header", b"element sh 300\nend_header"))
    assert len(read_splats(tmp_path / "t.ply")) == 300


# ---- SPZ


def spz_version_2(cloud: SplatCloud) -> bytes:
    """A file of the older version, written here number by number from its description."""
    stored = flipped_yz(cloud)
    packed = struct.pack("<4sIIBBBB", b"NGSP", 2, len(cloud), cloud.degree, 12, 0, 0)
    for value in stored.means.ravel():
        packed += round(float(value) * 4096).to_bytes(3, "little", signed=True)
    packed += bytes(round(float(o) * 255) for o in cloud.opacities)
    packed += bytes(round((float(c) * 0.15 + 0.5) * 255) for c in stored.sh[:, 0].ravel())
    packed += bytes(round((float(s) + 10) * 16) for s in stored.log_scales.ravel())
    for quat in stored.quats_wxyz.astype(np.float64):
        w, *xyz = quat / np.linalg.norm(quat) * np.sign(quat[0])
        packed += bytes(round(v * 127.5 + 127.5) for v in xyz)
    packed += bytes(round(float(c) * 128 + 128) for c in stored.sh[:, 1:].ravel())
    return zlib.compress(packed, wbits=31)


def test_spz_version_2_is_read(tmp_path: Path) -> None:
    cloud = random_cloud(100, 2)
    (tmp_path / "s.spz").write_bytes(spz_version_2(cloud))
    found = differences(cloud, read_splats(tmp_path / "s.spz"))
    assert found["means"] <= 0.5 / 4096 + 1e-6 and found["log_scales"] <= 1 / 32 + 1e-6
    assert found["shape"] < 0.16 and found["base"] < 0.0131 and found["higher"] <= 0.5 / 128 + 1e-6


def test_spz_version_4_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "s.spz").write_bytes(b"NGSP" + struct.pack("<I", 4) + bytes(100))
    with pytest.raises(InputError, match="SPZ file of version 4; 2 and 3 are read. Export it as SPZ version 3"):
        read_splats(tmp_path / "s.spz")


def test_spz_extensions_at_the_end_are_passed_over(tmp_path: Path) -> None:
    packed = bytearray(zlib.decompress(written(tmp_path / "s.spz", random_cloud(20, 1)).read_bytes(), 31))
    packed[14] |= 2
    (tmp_path / "s.spz").write_bytes(zlib.compress(bytes(packed) + bytes(64), wbits=31))
    assert len(read_splats(tmp_path / "s.spz")) == 20
    packed[14] = 0
    (tmp_path / "s.spz").write_bytes(zlib.compress(bytes(packed) + bytes(64), wbits=31))
    with pytest.raises(InputError, match="length"):
        read_splats(tmp_path / "s.spz")
