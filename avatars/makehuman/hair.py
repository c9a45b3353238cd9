# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations
import attrs
import numpy as np


@attrs.frozen(eq=False)
class HairMesh:
    points: object
    faces: object
    uvs: object
    scalp: object
    shades: object
    shade_of_face: object


def hair_mesh(person, points, normals, faces, landmarks, regions):
    return None
