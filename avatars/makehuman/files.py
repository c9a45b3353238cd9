# SPDX-License-Identifier: Apache-2.0
"""Readers of MakeHuman's files: OBJ, .target(.gz), .mhskel, .mhw, .mhclo. Written from the format notes, no bpy.

Lengths in the files are decimetres, y up; `blender_from_makehuman` turns them into metres, z up, face along -Y.
"""

from __future__ import annotations

import gzip
import json
import os
import zlib
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from interchange.errors import InputError

Float = npt.NDArray[np.floating]
Int = npt.NDArray[np.int64]

BASE_VERTICES = 19158
"""Vertices of the HM08 base mesh, helpers included; all targets and weights refer to it."""

_ENVIRONMENT = "DIGIDOUBLE_MAKEHUMAN"
_HINT = "Give the folder of MakeHuman's CC0 files that holds makehuman/ and mpfb2/ (docs/avatars.md lists them)."


@attrs.frozen(eq=False)
class Obj:
    """A Wavefront OBJ: vertices (V, 3), uvs (T, 2), and per face its group, vertex ids and uv ids (0-based)."""

    vertices: Float
    uvs: Float
    groups: list[str]
    faces: list[list[int]]
    face_uvs: list[list[int]]


@attrs.frozen(eq=False)
class Target:
    """A sparse morph: vertex ids (n,) and their displacements (n, 3) in the OBJ's own axes and units."""

    ids: Int
    offsets: Float


@attrs.frozen(eq=False)
class Skeleton:
    """Bones: name -> (head joint, tail joint, parent or None). joints: name -> vertex ids whose mean is the joint."""

    bones: dict[str, tuple[str, str, str | None]]
    joints: dict[str, list[int]]


@attrs.frozen(eq=False)
class Clothes:
    """How a child mesh hangs on the human: each vertex is sum(weights * human[ids]) + offset * scale.

    ids (n, 3), weights (n, 3), offsets (n, 3); references: axis -> (vertex, vertex, distance at scale 1).
    """

    ids: Int
    weights: Float
    offsets: Float
    references: dict[str, tuple[int, int, float]]

    def fit(self, human: Float) -> Float:  # (V, 3) in the files' axes
        """Positions (n, 3) on a morphed human, same axes and units."""
        scale = np.ones(3)
        for axis, name in enumerate("xyz"):
            if name in self.references:
                a, b, distance = self.references[name]
                scale[axis] = abs(human[a, axis] - human[b, axis]) / distance
        return (human[self.ids] * self.weights[..., None]).sum(axis=1) + self.offsets * scale


def blender_from_makehuman(points: Float) -> Float:  # (N, 3)
    """Decimetres, y up -> metres, z up: (x, y, z) -> 0.1 (x, -z, y)."""
    return np.stack([points[:, 0], -points[:, 2], points[:, 1]], axis=1) * 0.1


class DataFolder:
    """The folder with MakeHuman's files. Raises InputError if the base mesh is not there."""

    def __init__(self, folder: Path | str | None = None) -> None:
        self.root = Path(folder) if folder is not None else default_folder()
        self._mpfb = self.root / "mpfb2/src/mpfb/data"
        self._makehuman = self.root / "makehuman/makehuman/data"
        if not (self._mpfb / "3dobjs/base.obj").is_file():
            raise InputError(
                f"There is no MakeHuman base mesh (mpfb2/src/mpfb/data/3dobjs/base.obj) in {self.root}.", _HINT
            )

    def base(self) -> Obj:
        """The HM08 base mesh with its helpers."""
        path = self._mpfb / "3dobjs/base.obj"
        mesh = parse_obj(_read(path), str(path))
        if len(mesh.vertices) != BASE_VERTICES:
            raise InputError(f"{path} has {len(mesh.vertices)} vertices, not {BASE_VERTICES}.", "Fetch the file again.")
        return mesh

    def target(self, name: str) -> Target:
        """A morph by its path below targets/ without ending, e.g. "nose/nose-hump-incr"."""
        path = self._mpfb / "targets" / f"{name}.target.gz"
        if not path.is_file():
            path = path.with_suffix("")
        return parse_target(_read(path), str(path))

    def has_target(self, name: str) -> bool:
        """Whether such a morph is there."""
        path = self._mpfb / "targets" / f"{name}.target.gz"
        return path.is_file() or path.with_suffix("").is_file()

    def skeleton(self) -> Skeleton:
        """The default rig's bones and joints."""
        path = self._makehuman / "rigs/default.mhskel"
        return parse_skeleton(_read(path), str(path))

    def weights(self) -> dict[str, tuple[Int, Float]]:
        """The default rig's weights: bone -> (vertex ids, weights)."""
        path = self._makehuman / "rigs/default_weights.mhw"
        return parse_weights(_read(path), str(path))

    def eyes(self) -> tuple[Obj, Clothes]:
        """The high-poly eyes and how they are fitted."""
        folder = self._makehuman / "eyes/high-poly"
        mesh = parse_obj(_read(folder / "high-poly.obj"), str(folder / "high-poly.obj"))
        clothes = parse_clothes(_read(folder / "high-poly.mhclo"), str(folder / "high-poly.mhclo"))
        if len(clothes.ids) != len(mesh.vertices):
            raise InputError(f"{folder}: the .mhclo does not fit the .obj.", "Fetch both files again.")
        return mesh, clothes

    def scalp_faces(self) -> set[int]:
        """Indices of the base mesh's faces where hair grows."""
        path = self._mpfb / "uv_layers/scalp_solid.json.gz"
        return {int(key) for key in _json(_read(path), str(path))}


def default_folder() -> Path:
    """DIGIDOUBLE_MAKEHUMAN, else shared/avatars/makehuman_cc0 beside the repository; InputError if neither is."""
    named = os.environ.get(_ENVIRONMENT)
    if named:
        return Path(named)
    beside = Path(__file__).resolve().parents[3] / "shared/avatars/makehuman_cc0"
    if beside.is_dir():
        return beside
    raise InputError("The folder of MakeHuman's files is not known.", f"{_HINT} Or set {_ENVIRONMENT}.")


def parse_obj(data: bytes, name: str) -> Obj:
    """Read a Wavefront OBJ (v, vt, g, f). Raises InputError that names `name` and the line."""
    vertices: list[list[float]] = []
    uvs: list[list[float]] = []
    groups: list[str] = []
    faces: list[list[int]] = []
    face_uvs: list[list[int]] = []
    group = ""
    for number, words in _lines(data, name):
        try:
            if words[0] == "v":
                vertices.append([float(w) for w in words[1:4]])
            elif words[0] == "vt":
                uvs.append([float(w) for w in words[1:3]])
            elif words[0] == "g":
                group = words[1] if len(words) > 1 else ""
            elif words[0] == "f":
                corners = [corner.split("/") for corner in words[1:]]
                groups.append(group)
                faces.append([int(c[0]) - 1 for c in corners])
                face_uvs.append([int(c[1]) - 1 if len(c) > 1 and c[1] else -1 for c in corners])
        except (ValueError, IndexError):
            raise _damaged(name, number) from None
    if not vertices or not faces:
        raise InputError(f"{name} holds no mesh.", "Fetch the file again.")
    largest = max(max(face) for face in faces)
    if largest >= len(vertices) or min(min(face) for face in faces) < 0 or {len(v) for v in vertices} != {3}:
        raise InputError(f"{name} is damaged: a face uses a vertex that is not there.", "Fetch the file again.")
    largest_uv = max(max(face) for face in face_uvs)
    if largest_uv >= len(uvs) or {len(t) for t in uvs} - {2}:
        raise InputError(f"{name} is damaged: a face uses a UV that is not there.", "Fetch the file again.")
    return Obj(np.array(vertices), np.array(uvs).reshape(-1, 2), groups, faces, face_uvs)


def parse_target(data: bytes, name: str) -> Target:
    """Read a .target: lines `index dx dy dz`, # comments. An empty one moves nothing. Raises InputError."""
    rows = []
    for number, words in _lines(data, name):
        try:
            rows.append((int(words[0]), float(words[1]), float(words[2]), float(words[3])))
        except (ValueError, IndexError):
            raise _damaged(name, number) from None
    table = np.array(rows, np.float64).reshape(-1, 4)
    ids = table[:, 0].astype(np.int64)
    if len(ids) and not (ids.min() >= 0 and ids.max() < BASE_VERTICES and np.isfinite(table).all()):
        raise InputError(f"{name} moves vertices that the base mesh does not have.", "Fetch the file again.")
    return Target(ids, table[:, 1:])


def parse_skeleton(data: bytes, name: str) -> Skeleton:
    """Read a .mhskel. Raises InputError."""
    content = _json(data, name)
    try:
        bones = {k: (str(b["head"]), str(b["tail"]), b["parent"] or None) for k, b in content["bones"].items()}
        joints = {k: [int(i) for i in ids] for k, ids in content["joints"].items()}
        for head, tail, parent in bones.values():
            if head not in joints or tail not in joints or (parent is not None and parent not in bones):
                raise KeyError(head)
        if any(not ids or max(ids) >= BASE_VERTICES or min(ids) < 0 for ids in joints.values()):
            raise ValueError("joint")
    except (KeyError, TypeError, ValueError, AttributeError):
        raise InputError(f"{name} is damaged: bones and joints do not fit together.", "Fetch the file again.") from None
    return Skeleton(bones, joints)


def parse_weights(data: bytes, name: str) -> dict[str, tuple[Int, Float]]:
    """Read a .mhw: bone -> (vertex ids (n,), weights (n,)). Raises InputError."""
    content = _json(data, name)
    result: dict[str, tuple[Int, Float]] = {}
    try:
        for bone, pairs in content["weights"].items():
            table = np.array(pairs, np.float64).reshape(-1, 2)
            ids = table[:, 0].astype(np.int64)
            if len(ids) and (ids.max() >= BASE_VERTICES or ids.min() < 0 or table[:, 1].min() < 0):
                raise ValueError(bone)
            result[bone] = (ids, table[:, 1])
    except (KeyError, TypeError, ValueError, AttributeError):
        raise InputError(f"{name} is damaged: its weights cannot be read.", "Fetch the file again.") from None
    return result


def parse_clothes(data: bytes, name: str) -> Clothes:
    """Read a .mhclo: x_scale/y_scale/z_scale references and, after `verts 0`, one line a vertex. Raises InputError."""
    references: dict[str, tuple[int, int, float]] = {}
    rows: list[list[float]] = []
    reading = False
    for number, words in _lines(data, name):
        try:
            if words[0] in ("x_scale", "y_scale", "z_scale"):
                references[words[0][0]] = (int(words[1]), int(words[2]), float(words[3]))
            elif words[0] == "verts":
                reading = True
            elif reading and words[0].isdigit():
                values = [float(w) for w in words]
                exact = [values[0], values[0], values[0], 1, 0, 0, 0, 0, 0]
                rows.append(exact if len(values) == 1 else values[:9])
                if len(rows[-1]) != 9:
                    raise ValueError("row")
            elif reading and rows:
                break
        except (ValueError, IndexError):
            raise _damaged(name, number) from None
    table = np.array(rows, np.float64).reshape(-1, 9)
    ids = table[:, :3].astype(np.int64)
    if not len(ids) or ids.max() >= BASE_VERTICES or any(r[2] == 0 for r in references.values()):
        raise InputError(f"{name} is damaged: it does not say how its mesh is fitted.", "Fetch the file again.")
    return Clothes(ids, table[:, 3:6], table[:, 6:9], references)


def _read(path: Path) -> bytes:
    try:
        data = path.read_bytes()
        return gzip.decompress(data) if path.suffix == ".gz" else data
    except FileNotFoundError:
        raise InputError(f"The MakeHuman file {path} is missing.", _HINT) from None
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"The MakeHuman file {path} cannot be read ({error}).", "Fetch the file again.") from error


def _lines(data: bytes, name: str) -> list[tuple[int, list[str]]]:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise InputError(f"{name} is damaged: it is not text.", "Fetch the file again.") from None
    split = ((number, line.split()) for number, line in enumerate(text.splitlines(), 1))
    return [(number, words) for number, words in split if words and words[0][0] != "#"]


def _json(data: bytes, name: str) -> Any:
    try:
        return json.loads(data)
    except ValueError as error:
        raise InputError(f"{name} is damaged: it is not JSON ({error}).", "Fetch the file again.") from error


def _damaged(name: str, line: int) -> InputError:
    return InputError(f"{name} is damaged in line {line}.", "Fetch the file again.")
