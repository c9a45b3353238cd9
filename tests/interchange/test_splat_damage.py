# SPDX-License-Identifier: Apache-2.0
"""Splat files from hostile hands: an InputError that names the file, or a cloud; never anything else."""

from __future__ import annotations

import json
import os
import re
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from interchange.errors import InputError
from interchange.splats import SUFFIXES, SplatCloud, read_splats, write_splats
from tests.interchange.clouds import random_cloud, written

SOME = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def read_or_refuse(path: Path) -> SplatCloud | None:
    """The cloud, or None after an InputError in words that names the file and says what to do."""
    try:
        cloud = read_splats(path)
    except InputError as error:
        assert str(path) in error.message and error.hint, error
        return None
    assert len(cloud) and cloud.finite().any()
    return cloud


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_cut_file_is_refused(tmp_path: Path, suffix: str) -> None:
    whole = written(tmp_path / f"s{suffix}", random_cloud(60, 2)).read_bytes()
    for cut in [*range(0, 40), *np.random.default_rng(0).integers(40, len(whole) - 1, 60).tolist(), len(whole) - 1]:
        if suffix == ".splat" and cut and cut % 32 == 0:
            continue  # a format without a count cannot tell
        (tmp_path / f"s{suffix}").write_bytes(whole[:cut])
        assert read_or_refuse(tmp_path / f"s{suffix}") is None, cut


@pytest.mark.parametrize("suffix", SUFFIXES)
@SOME
@given(data=st.data())
def test_changed_bytes(tmp_path: Path, suffix: str, data: st.DataObject) -> None:
    """Bytes changed, taken out and put in, mostly in the head where the counts are; inside the gzip too."""
    content = bytearray(written(tmp_path / f"s{suffix}", random_cloud(5, 1)).read_bytes())
    packed = suffix == ".spz" and data.draw(st.booleans())
    if packed:
        content = bytearray(zlib.decompress(content, 31))
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(content) - 1) | st.integers(0, min(700, len(content) - 1)))
        change = data.draw(st.sampled_from(["set", "cut", "put"]))
        known = st.sampled_from([b"\xff\xff\xff\xff", b"-1", b"1e9", b"\n"])
        some = data.draw(st.binary(min_size=1, max_size=4) | known)
        if change == "set":
            content[place : place + len(some)] = some
        elif change == "cut":
            del content[place : place + len(some)]
        else:
            content[place:place] = some
    (tmp_path / f"s{suffix}").write_bytes(zlib.compress(bytes(content), wbits=31) if packed else bytes(content))
    read_or_refuse(tmp_path / f"s{suffix}")


@pytest.mark.parametrize("suffix", [*SUFFIXES, ".unknown"])
@SOME
@given(head=st.sampled_from([b"", b"ply\n", b"ply\nformat binary_little_endian 1.0\n", b"\x1f\x8b", b"NGSP", b"glTF",
                             b"{", b'{"asset":{"version":"2.0"},'])
       , tail=st.binary(max_size=200))  # fmt: skip
def test_noise(tmp_path: Path, suffix: str, head: bytes, tail: bytes) -> None:
    (tmp_path / f"s{suffix}").write_bytes(head + tail)
    read_or_refuse(tmp_path / f"s{suffix}")


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 2**40) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@SOME
@given(data=st.data())
def test_gltf_with_anything_in_any_place(tmp_path: Path, data: st.DataObject) -> None:
    """One value somewhere in a good document is replaced by any other JSON."""
    document = json.loads(written(tmp_path / "s.gltf", random_cloud(2, 1)).read_text())
    place = document
    while True:
        key = data.draw(st.sampled_from(sorted(place) if isinstance(place, dict) else list(range(len(place)))))
        if not isinstance(place[key], dict | list) or not place[key] or data.draw(st.integers(0, 5)) == 0:
            break
        place = place[key]
    place[key] = data.draw(_JSON)
    (tmp_path / "s.gltf").write_text(json.dumps(document))
    read_or_refuse(tmp_path / "s.gltf")


@SOME
@given(values=st.lists(st.floats(width=32), min_size=14, max_size=14), degree=st.just(0))
def test_any_numbers_are_written_or_left_out(tmp_path: Path, values: list[float], degree: int) -> None:
    """Every format takes every float32, and what it reads again is finite."""
    numbers = np.array(values, np.float32)
    good = random_cloud(2, degree)
    cloud = SplatCloud(
        np.stack([*good.means, numbers[:3]]), np.stack([*good.log_scales, numbers[3:6]]),
        np.stack([*good.quats_wxyz, numbers[6:10]]), np.append(good.opacity_logits, numbers[10]),
        np.concatenate([good.sh, numbers[None, None, 11:]]),
    )  # fmt: skip
    for suffix in SUFFIXES:
        write_splats(tmp_path / f"s{suffix}", cloud)
        assert read_splats(tmp_path / f"s{suffix}").finite().all(), suffix


def _memory_of_reading(path: Path) -> tuple[int, str]:
    """Growth of the peak memory in bytes while another process reads the file, and what it said."""
    script = (
        "import resource, sys, numpy\nfrom interchange.splats import read_splats\n"
        "from interchange.errors import InputError\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try:\n    print('read', len(read_splats(sys.argv[1])))\nexcept InputError as error:\n    print(error)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)], capture_output=True, text=True, cwd=Path(__file__).parents[2]
    )
    assert done.returncode == 0, done.stderr
    *said, grown = done.stdout.strip().splitlines()
    return int(grown) * 1024, " ".join(said)


def _huge_ply(kind: bytes) -> bytes:
    head = b"ply\nformat binary_little_endian 1.0\n"
    names = [b"x", b"y", b"z", b"f_dc_0", b"f_dc_1", b"f_dc_2", b"opacity", b"scale_0", b"scale_1", b"scale_2"]
    names += [b"rot_0", b"rot_1", b"rot_2", b"rot_3"]
    vertex = b"".join(b"property float " + name + b"\n" for name in names)
    if kind == b"count":
        return head + b"element vertex 4000000000\n" + vertex + b"end_header\n" + bytes(560)
    if kind == b"list":
        return head + b"element vertex 9\nproperty list uint double a\n" + vertex + b"end_header\n" + b"\xf0" * 560
    return head + b"element a 99999999999\nproperty list uchar char b\nelement vertex 9\n" + vertex + b"end_header\n"


def _spz_bomb(count: int, size: int) -> bytes:
    packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    parts = [packer.compress(struct.pack("<4sIIBBBB", b"NGSP", 3, count, 3, 12, 0, 0))]
    parts += [packer.compress(bytes(1 << 20)) for _ in range(size >> 20)]
    return b"".join([*parts, packer.flush()])


def _glb_of_copies() -> dict:
    """A few splats, shown by thousands of nodes."""
    return {"scenes": [{"nodes": list(range(9000))}], "nodes": [{"mesh": 0, "translation": [1, 0, 0]}] * 9000}


_CLAIMS: dict[str, tuple[Callable[[], bytes], str]] = {
    "count.ply": (lambda: _huge_ply(b"count"), "ends after 10 of 4000000000"),
    "list.ply": (lambda: _huge_ply(b"list"), "damaged"),
    "rows.ply": (lambda: _huge_ply(b"rows"), "damaged"),
    "header.ply": (lambda: b"ply\n" + b"comment x\n" * 5000, "no end of header"),
    "claims.spz": (lambda: _spz_bomb(4_000_000_000, 1 << 20), "claims 4000000000 splats"),
    "bomb.spz": (lambda: _spz_bomb(9_000_000, 1 << 20), "would unpack to 557 MiB"),
    "longer.spz": (lambda: _spz_bomb(10, 200 << 20), "length"),
    "deep.gltf": (lambda: b"[" * 200_000, "damaged|not a glTF"),
}


@pytest.mark.parametrize("name", _CLAIMS)
def test_claims_and_bombs_take_no_memory(tmp_path: Path, name: str) -> None:
    content, sentence = _CLAIMS[name]
    (tmp_path / name).write_bytes(content())
    grown, said = _memory_of_reading(tmp_path / name)
    assert re.search(sentence, said) and name in said
    assert grown < 64 << 20


def test_a_mesh_shown_in_thousands_of_places(tmp_path: Path) -> None:
    document = json.loads(written(tmp_path / "s.gltf", random_cloud(20_000, 0)).read_text()) | _glb_of_copies()
    (tmp_path / "s.gltf").write_text(json.dumps(document))
    with pytest.raises(InputError, match="more than 10000000 splats in several places"):
        read_splats(tmp_path / "s.gltf")
    document["nodes"] = [{"children": [0]}]
    document["scenes"] = [{"nodes": [0]}]
    (tmp_path / "s.gltf").write_text(json.dumps(document))
    with pytest.raises(InputError, match="contain themselves"):
        read_splats(tmp_path / "s.gltf")


def test_a_file_of_nothing_but_nan(tmp_path: Path) -> None:
    (tmp_path / "s.splat").write_bytes(b"\xff" * 320)
    with pytest.raises(InputError, match="no usable splats"):
        read_splats(tmp_path / "s.splat")
    (tmp_path / "s.splat").write_bytes(b"")
    with pytest.raises(InputError, match="is empty"):
        read_splats(tmp_path / "s.splat")


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "s.ply")
    with pytest.raises(InputError, match="is no file"):
        read_splats(tmp_path / "s.ply")


def test_a_file_that_may_not_be_written(tmp_path: Path) -> None:
    (tmp_path / "s.spz").mkdir()
    with pytest.raises(OSError):
        write_splats(tmp_path / "s.spz", random_cloud(3, 0))
    assert not (tmp_path / "s.spz.part").exists()
