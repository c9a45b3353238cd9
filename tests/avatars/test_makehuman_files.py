# SPDX-License-Identifier: Apache-2.0
"""Readers of MakeHuman's formats, on tiny files written here."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from avatars.makehuman.files import (
    DataFolder,
    blender_from_makehuman,
    parse_clothes,
    parse_obj,
    parse_skeleton,
    parse_target,
    parse_weights,
)
from avatars.makehuman.identities import MODIFIERS, identity, identity_names
from interchange.errors import InputError

OBJ = b"""# a comment
v 0 0 0
v 1 0 0
v 1 2 0
v 0 2 0.5
vt 0 0
vt 1 0
vt 1 1
g body
f 1/1 2/2 3/3
g helper-x
f 1/1 3/3 4/2
"""


def test_obj() -> None:
    mesh = parse_obj(OBJ, "m.obj")
    assert mesh.vertices.shape == (4, 3) and mesh.vertices[3].tolist() == [0, 2, 0.5]
    assert mesh.groups == ["body", "helper-x"]
    assert mesh.faces == [[0, 1, 2], [0, 2, 3]]
    assert mesh.face_uvs == [[0, 1, 2], [0, 2, 1]]


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"v 0 0 zero\nf 1 1 1", "line 1"),
        (b"v 0 0 0\nvt 0 0\nf 1/1 2/1 3/1", "vertex that is not there"),
        (b"v 0 0 0\nf 1/5 1/1 1/1", "UV that is not there"),
        (b"v 0 0\nf 1 1 1", "vertex that is not there"),
        (b"# nothing", "no mesh"),
        (b"\xff\xfe\x00v", "not text"),
    ],
)
def test_damaged_obj(data: bytes, what: str) -> None:
    with pytest.raises(InputError, match=what) as caught:
        parse_obj(data, "m.obj")
    assert "m.obj" in caught.value.message and "\n" not in str(caught.value)


def test_target() -> None:
    target = parse_target(b"# header\n5 0.1 -0.2 0.3\n\n17 1 0 0\n", "t")
    assert target.ids.tolist() == [5, 17]
    assert target.offsets.tolist() == [[0.1, -0.2, 0.3], [1, 0, 0]]
    assert parse_target(b"", "t").offsets.shape == (0, 3)


@pytest.mark.parametrize("data", [b"5 0.1 0.2", b"x 0 0 0", b"999999 0 0 0", b"5 nan 0 0"])
def test_damaged_target(data: bytes) -> None:
    with pytest.raises(InputError):
        parse_target(data, "t")


def test_skeleton_and_weights() -> None:
    skeleton = {
        "bones": {"a": {"head": "j", "tail": "k", "parent": None}, "b": {"head": "k", "tail": "j", "parent": "a"}},
        "joints": {"j": [1, 2], "k": [3]},
    }
    read = parse_skeleton(json.dumps(skeleton).encode(), "s")
    assert read.bones == {"a": ("j", "k", None), "b": ("k", "j", "a")} and read.joints["j"] == [1, 2]
    weights = parse_weights(b'{"weights": {"a": [[4, 0.5], [9, 1]], "b": []}}', "w")
    assert weights["a"][0].tolist() == [4, 9] and weights["a"][1].tolist() == [0.5, 1.0]
    assert len(weights["b"][0]) == 0
    skeleton["bones"]["b"]["parent"] = "nobody"
    for damaged in (json.dumps(skeleton).encode(), b"{", b"{}", b"[1]", b'{"bones": {}, "joints": {"j": []}}'):
        with pytest.raises(InputError):
            parse_skeleton(damaged, "s")
    for damaged in (b"nonsense", b'{"weights": 3}', b'{"weights": {"a": [[1]]}}', b'{"weights": {"a": [[1, -2]]}}'):
        with pytest.raises(InputError):
            parse_weights(damaged, "w")


def test_clothes_scale_their_offsets() -> None:
    text = b"x_scale 0 1 2.0\ny_scale 0 2 1.0\nverts 0\n3\n0 1 2 0.5 0.25 0.25 0.1 0.2 0\n\nmaterial x\n"
    clothes = parse_clothes(text, "c")
    human = np.array([[0, 0, 0], [4.0, 0, 0], [0, 3.0, 0], [7, 8, 9]])
    fitted = clothes.fit(human)
    assert fitted[0].tolist() == [7, 8, 9]  # hung on one vertex
    assert np.allclose(fitted[1], [1.0 + 0.1 * 2, 0.75 + 0.2 * 3, 0])
    for damaged in (b"verts 0\n1 2 x", b"", b"x_scale 0 1\nverts 0\n1", b"verts 0\n1 2 3 4"):
        with pytest.raises(InputError):
            parse_clothes(damaged, "c")


def test_axes() -> None:
    assert blender_from_makehuman(np.array([[1.0, 2.0, 3.0]])).tolist() == [pytest.approx([0.1, -0.3, 0.2])]


def test_a_folder_without_the_base_mesh(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no MakeHuman base mesh"):
        DataFolder(tmp_path)


def test_a_wrong_base_mesh_and_a_broken_gzip(tmp_path: Path) -> None:
    data = tmp_path / "mpfb2/src/mpfb/data"
    (data / "3dobjs").mkdir(parents=True)
    (data / "3dobjs/base.obj").write_bytes(OBJ)
    (data / "targets").mkdir()
    (data / "targets/bad.target.gz").write_bytes(gzip.compress(b"1 2 3 4")[:-9])
    folder = DataFolder(tmp_path)
    with pytest.raises(InputError, match="4 vertices"):
        folder.base()
    with pytest.raises(InputError, match="cannot be read"):
        folder.target("bad")
    with pytest.raises(InputError, match="missing"):
        folder.target("absent")
    (data / "targets/plain.target").write_text("3 1 0 0\n")
    assert folder.has_target("plain") and folder.target("plain").ids.tolist() == [3]


def test_identities() -> None:
    names = identity_names()
    assert len(names) == 12 and "asian-female-old" in names
    plain, changed = identity("asian-female-old"), identity("asian-female-old+nose-wide")
    assert set(changed.targets) - set(plain.targets) == set(MODIFIERS["nose-wide"])
    assert plain.look.wrinkles > 0.5 and identity("asian-female-young").look.wrinkles == 0
    assert identity("asian-female-old", 1).look.seed != plain.look.seed
    for wrong in ("nobody", "asian-female-old+wings", ""):
        with pytest.raises(InputError):
            identity(wrong)
