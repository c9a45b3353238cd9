# SPDX-License-Identifier: Apache-2.0
"""The offset as a file, for the add-on's shape key: docs/formats/swap.md."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from interchange.capture import ObjectInfo
from interchange.mesh import Mesh
from interchange.whole_files import whole_file

OFFSET = "identity_offset.npz"


def write_offset(path: Path, offset: npt.NDArray[Any], mesh: Mesh, objects: list[ObjectInfo]) -> None:
    """offset (V, 3) float32 metres in the avatar's own axes; object (O,) names; first_vertex (O + 1,) of each part."""
    ends = [int(mesh.faces[mesh.face_object == i].max(initial=-1)) + 1 for i in range(len(objects))]
    packed = io.BytesIO()
    np.savez_compressed(
        packed,
        offset=np.asarray(offset, np.float32),
        object=np.array([item.name for item in objects]),
        first_vertex=np.array([0, *ends], np.int64),
    )
    with whole_file(path) as file:
        file.write(packed.getbuffer())
