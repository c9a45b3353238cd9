# SPDX-License-Identifier: Apache-2.0
"""A cloud of 3D Gaussians and its PLY file, in the exact layout of 3D Gaussian Splatting (docs/formats/splats.md)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from .errors import InputError
from .whole_files import whole_file

SH_C0 = 0.28209479177387814
"""The constant band of spherical harmonics: colour = 0.5 + SH_C0 * f_dc."""

Array = npt.NDArray[Any]


def _array(*shape: int | None) -> Any:
    def convert(value: Any) -> Array:
        array = np.ascontiguousarray(value, dtype=np.float32)
        if array.ndim != len(shape) or any(s is not None and s != n for s, n in zip(shape, array.shape, strict=True)):
            raise InputError(f"A splat array has shape {array.shape} where {shape} is expected.")
        return array

    return attrs.field(converter=convert)


@attrs.define(eq=False)
class SplatCloud:
    """N Gaussians in the splat frame (y down, metres). Colours are display-referred sRGB, as viewers expect.

    Raises InputError if the arrays do not belong together.
    """

    means: Array = _array(None, 3)  # (N, 3)
    log_scales: Array = _array(None, 3)  # (N, 3) natural log of the standard deviation along each own axis
    quats_wxyz: Array = _array(None, 4)  # (N, 4) not necessarily normalised
    opacity_logits: Array = _array(None)  # (N,)
    sh: Array = _array(None, None, 3)  # (N, K, 3), K = (degree + 1)^2, sh[:, 0] is f_dc
    antialiased: bool = False  # rendered with the screen-space compensation of Mip-Splatting

    def __attrs_post_init__(self) -> None:
        lengths = {len(a) for a in (self.means, self.log_scales, self.quats_wxyz, self.opacity_logits, self.sh)}
        if len(lengths) != 1:
            raise InputError("The arrays of a splat cloud have different lengths.")
        if self.sh.shape[1] not in (1, 4, 9, 16):
            raise InputError(f"A splat cloud has {self.sh.shape[1]} SH coefficients; 1, 4, 9 or 16 are possible.")

    def __len__(self) -> int:
        return len(self.means)

    @property
    def degree(self) -> int:
        """SH degree 0..3."""
        return int(np.sqrt(self.sh.shape[1])) - 1

    @property
    def opacities(self) -> Array:
        """(N,) 0..1."""
        return 1 / (1 + np.exp(-self.opacity_logits))

    @property
    def scales(self) -> Array:
        """(N, 3) linear, metres."""
        return np.exp(self.log_scales)

    def subset(self, keep: npt.NDArray) -> SplatCloud:  # (N,) bool or indices
        """The splats chosen by a mask or by indices."""
        return SplatCloud(
            self.means[keep], self.log_scales[keep], self.quats_wxyz[keep], self.opacity_logits[keep], self.sh[keep],
            self.antialiased,
        )  # fmt: skip

    def finite(self) -> npt.NDArray[np.bool_]:
        """(N,) True where no number of the splat is NaN or infinite."""
        sh = self.sh.reshape(len(self), -1)
        blocks = (self.means, self.log_scales, self.quats_wxyz, self.opacity_logits[:, None], sh)
        return np.asarray(np.isfinite(np.concatenate(blocks, axis=1)).all(axis=1))


def ply_properties(degree: int) -> list[str]:
    """Property names in the order of the original files; f_rest is channel-major: all red, then green, then blue."""
    rest = 3 * ((degree + 1) ** 2 - 1)
    return (
        ["x", "y", "z", "nx", "ny", "nz", "f_dc_0", "f_dc_1", "f_dc_2"]
        + [f"f_rest_{i}" for i in range(rest)]
        + ["opacity", "scale_0", "scale_1", "scale_2", "rot_0", "rot_1", "rot_2", "rot_3"]
    )


def write_ply(path: Path | str, cloud: SplatCloud) -> None:
    """Write a binary little-endian PLY; written beside `path`, then renamed."""
    names = ply_properties(cloud.degree)
    rest = cloud.sh[:, 1:].transpose(0, 2, 1).reshape(len(cloud), -1)
    columns = (
        cloud.means, np.zeros((len(cloud), 3), np.float32), cloud.sh[:, 0], rest, cloud.opacity_logits[:, None],
        cloud.log_scales, cloud.quats_wxyz,
    )  # fmt: skip
    mode = "mip" if cloud.antialiased else "default"
    header = ["ply", "format binary_little_endian 1.0", f"comment SplatRenderMode: {mode}"]
    header += [f"element vertex {len(cloud)}"]
    header += [f"property float {name}" for name in names] + ["end_header"]
    with whole_file(path) as file:
        file.write(("\n".join(header) + "\n").encode("ascii"))
        file.write(np.concatenate(columns, axis=1).astype("<f4").tobytes())


_PLY_TYPES = {
    "float": "f4", "float32": "f4", "double": "f8", "float64": "f8", "char": "i1", "int8": "i1", "uchar": "u1",
    "uint8": "u1", "short": "i2", "int16": "i2", "ushort": "u2", "uint16": "u2", "int": "i4", "int32": "i4",
    "uint": "u4", "uint32": "u4",
}  # fmt: skip


def read_ply(path: Path | str) -> SplatCloud:
    """Read a 3DGS PLY by property name, whatever their order, any SH degree 0..3.

    Raises InputError that names the missing properties, or says that the file is damaged or empty.
    """
    path = Path(path)
    try:
        with open(path, "rb") as file:
            kind, count, antialiased = _read_header(file, path)
            room = path.stat().st_size - file.tell()
            table = np.frombuffer(file.read(min(kind.itemsize * count, room // kind.itemsize * kind.itemsize)), kind)
    except FileNotFoundError:
        raise InputError(f"The splat file {path} is missing.", "Check its name.") from None
    except OSError as error:
        raise InputError(f"The splat file {path} cannot be read ({error.strerror}).", "Check its name.") from error
    except (ValueError, TypeError, IndexError, ZeroDivisionError) as error:
        raise InputError(f"The splat file {path} is damaged ({error}).", "Export it again.") from error
    if len(table) != count:
        raise InputError(f"The splat file {path} ends after {len(table)} of {count} splats.", "Copy it again.")
    if not count:
        raise InputError(f"The splat file {path} holds no splats.", "Export it again.")
    return _cloud_from_table(table, path, antialiased)


def _read_header(file: Any, path: Path) -> tuple[np.dtype, int, bool]:
    if file.readline(64).strip() != b"ply":
        raise InputError(f"{path} is not a PLY file.", "Give the .ply of a splat cloud.")
    fields: list[tuple[str, str]] = []
    count, element, order, antialiased = 0, "", "", False
    for _ in range(1000):
        words = file.readline(4096).decode("ascii").split()
        if words == ["end_header"]:
            break
        if words[:1] == ["format"]:
            order = {"binary_little_endian": "<", "binary_big_endian": ">"}.get(words[1], "")
        elif words[:2] == ["comment", "SplatRenderMode:"]:
            antialiased = words[2:] == ["mip"]
        elif words[:1] == ["element"]:
            if not element and words[1] != "vertex":
                raise InputError(f"The first element of {path} is {words[1]}, not vertex.", "Give a plain splat PLY.")
            element = words[1]
            count = int(words[2]) if element == "vertex" else count
            if count < 0:
                raise ValueError(f"{count} splats")
        elif words[:1] == ["property"] and element == "vertex":
            if words[1] == "list":
                raise InputError(f"{path} is a mesh, not a splat cloud.", "Give the .ply of a splat cloud.")
            fields.append((words[2], _PLY_TYPES[words[1]]) if words[1] in _PLY_TYPES else ("", ""))
    else:
        raise ValueError("no end of header")
    if not order:
        raise InputError(f"{path} is a text PLY.", "Save it as binary.")
    return np.dtype([(name, order + kind) for name, kind in fields]), count, antialiased


def _cloud_from_table(table: npt.NDArray, path: Path, antialiased: bool) -> SplatCloud:
    names = set(table.dtype.names or ())
    rest = sum(name.startswith("f_rest_") for name in names)
    degree = {0: 0, 9: 1, 24: 2, 45: 3}.get(rest)
    if degree is None:
        raise InputError(f"{path} has {rest} f_rest properties.", "0, 9, 24 or 45 make SH degree 0 to 3.")
    missing = [n for n in ply_properties(degree) if n not in names and n not in ("nx", "ny", "nz")]
    if missing:
        lacks = ", ".join(missing[:4])
        raise InputError(f"{path} is not a splat cloud: it lacks {lacks}.", "Is it a plain point cloud?")

    def columns(prefix: str, indices: Any) -> npt.NDArray:
        return np.stack([table[f"{prefix}{i}"] for i in indices], axis=1)

    dc = columns("f_dc_", range(3))[:, None]
    if rest:
        higher = columns("f_rest_", range(rest)).reshape(len(table), 3, -1).transpose(0, 2, 1)
        dc = np.concatenate([dc, higher], axis=1)
    return SplatCloud(
        np.stack([table["x"], table["y"], table["z"]], axis=1), columns("scale_", range(3)), columns("rot_", range(4)),
        table["opacity"], dc, antialiased,
    )  # fmt: skip
