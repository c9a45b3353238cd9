# SPDX-License-Identifier: Apache-2.0
"""The captured mesh: all parts of an avatar in one pose, as the render saw them."""

from __future__ import annotations

import enum
import io
import zipfile
import zlib
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from .errors import InputError
from .whole_files import whole_file

_DAMAGE = (KeyError, ValueError, TypeError, OSError, EOFError, NotImplementedError, zipfile.BadZipFile, zlib.error)

LANDMARK_COUNT = 68
"""iBUG / Multi-PIE order; point 0 lies on the jaw at the character's right ear, which is the picture's left."""


class Region(enum.IntEnum):
    """What a face of the mesh belongs to."""

    OTHER = 0
    FACE = 1
    SKIN = 2
    EYE = 3
    HAIR = 4
    MOUTH = 5
    LASHES = 6


def _array(kind: Any, *shape: int | None) -> Any:
    def convert(value: Any) -> npt.NDArray:
        array = np.ascontiguousarray(value, dtype=kind)
        if array.ndim != len(shape) or any(s is not None and s != n for s, n in zip(shape, array.shape, strict=True)):
            raise InputError(f"A mesh array has shape {array.shape} where {shape} is expected.", "Capture again.")
        return array

    return attrs.field(converter=convert)


@attrs.define(eq=False)
class Mesh:
    """Triangles with UVs, regions, skinning and landmarks. World is Blender's: z up, metres."""

    vertices: npt.NDArray[np.float32] = _array(np.float32, None, 3)  # (V, 3) posed
    rest_vertices: npt.NDArray[np.float32] = _array(np.float32, None, 3)  # (V, 3) no pose, no expression; mirror x = 0
    normals: npt.NDArray[np.float32] = _array(np.float32, None, 3)  # (V, 3) posed, smooth, unit
    faces: npt.NDArray[np.int32] = _array(np.int32, None, 3)  # (F, 3)
    face_uvs: npt.NDArray[np.float32] = _array(np.float32, None, 3, 2)  # (F, 3, 2) v up, origin bottom-left
    face_object: npt.NDArray[np.int32] = _array(np.int32, None)  # (F,) index into Capture.objects
    face_region: npt.NDArray[np.uint8] = _array(np.uint8, None)  # (F,) Region
    region_face: npt.NDArray[np.float32] = _array(np.float32, None)  # (V,) soft mask of the face 0..1
    region_lips: npt.NDArray[np.float32] = _array(np.float32, None)  # (V,)
    region_brows: npt.NDArray[np.float32] = _array(np.float32, None)  # (V,)
    bone_index: npt.NDArray[np.int16] = _array(np.int16, None, 4)  # (V, 4) into Pose.bones
    bone_weight: npt.NDArray[np.float32] = _array(np.float32, None, 4)  # (V, 4) sums to 1, or 0 where static
    landmarks: npt.NDArray[np.int32] = _array(np.int32, LANDMARK_COUNT)  # (68,) vertex ids, -1 where missing

    def __attrs_post_init__(self) -> None:
        count, faces = len(self.vertices), len(self.faces)
        per_vertex = (self.rest_vertices, self.normals, self.region_face, self.region_lips, self.region_brows,
                      self.bone_index, self.bone_weight)  # fmt: skip
        if any(len(a) != count for a in per_vertex):
            raise InputError("The captured mesh has vertex arrays of different lengths.", "Capture again.")
        if any(len(a) != faces for a in (self.face_uvs, self.face_object, self.face_region)):
            raise InputError("The captured mesh has face arrays of different lengths.", "Capture again.")
        if faces and (self.faces.min() < 0 or self.faces.max() >= count) or self.landmarks.max(initial=-1) >= count:
            raise InputError("The captured mesh refers to vertices that it does not have.", "Capture again.")
        for field in attrs.fields(Mesh):
            if not np.isfinite(getattr(self, field.name)).all():
                raise InputError(f"The captured mesh holds {field.name} that are NaN or infinite.", "Capture again.")

    @property
    def has_landmarks(self) -> bool:
        """True if at least five of the 68 landmarks are known, which is what registration needs."""
        return int((self.landmarks >= 0).sum()) >= 5

    def save(self, path: Path | str) -> None:
        """Write as .npz (no pickled objects), beside `path` first, then renamed."""
        packed = io.BytesIO()  # on a full disk, an archive that was being written complains once more when it goes
        # as np.savez_compressed, but packed less hard: measured a third of the time, a twelfth more bytes
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            for name, array in attrs.asdict(self, recurse=False).items():
                with archive.open(f"{name}.npy", "w", force_zip64=True) as part:
                    np.lib.format.write_array(part, array, allow_pickle=False)
        with whole_file(path) as file:
            file.write(packed.getbuffer())

    @staticmethod
    def load(path: Path | str) -> Mesh:
        """Read what `save` wrote. Raises InputError when the file is missing, damaged or inconsistent."""
        try:
            if not zipfile.is_zipfile(path) and Path(path).exists():
                raise ValueError("not an .npz archive")
            with np.load(path, allow_pickle=False) as archive:
                return Mesh(**{field.name: archive[field.name] for field in attrs.fields(Mesh)})
        except FileNotFoundError:
            raise InputError(f"The mesh {path} is missing.", "Capture again.") from None
        except InputError as error:
            raise InputError(f"The mesh {path} is damaged: {error.message}", "Capture again.") from error
        except _DAMAGE as error:
            raise InputError(f"The mesh {path} is damaged ({error}).", "Capture again.") from error
