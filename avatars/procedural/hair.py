# SPDX-License-Identifier: Apache-2.0
"""Hair as a mesh of its own: a cap that grows from a hairline, shaped by style."""

from __future__ import annotations

import numpy as np

from .graph import Faces, Float, design_normals, triangulate
from .identities import Person, field
from .parts import Part
from .surface import PlainHead

# Height z (mm) of the hairline over signed surface parameter |u| (0 = midline of the face, 11 = of the back).
_LINE_U = [0.0, 1.5, 2.8, 3.7, 4.6, 5.3, 5.9, 6.35, 6.7, 7.3, 8.2, 8.8, 9.4, 10.2, 11.0]
_LINE_Z = {
    "bob": [73, 72, 68, 60, 46, 30, 10, -14, -10, 16, 14, -10, -40, -62, -70],
    "crop": [71, 70, 69, 64, 52, 42, 26, 0, 6, 25, 22, -4, -34, -60, -66],
    "buzz": [71, 70.5, 69, 64, 55, 45, 25, 2, 6, 25, 22, -4, -34, -58, -64],
}
_THICK = {"bob": 13.0, "crop": 10.0, "buzz": 4.5}


def hairline_v(head: PlainHead, style: str, u: Float) -> Float:
    """Surface parameter v of the hairline at signed u (N,)."""
    target = np.interp(np.abs(u), _LINE_U, _LINE_Z[style])
    fine = np.linspace(1.5, head.rows - 8.0, 500)
    grid_u = np.repeat(u[:, None], len(fine), axis=1)
    z = head.evaluate(grid_u, np.broadcast_to(fine, grid_u.shape))[..., 2]
    first = np.argmax(z < target[:, None], axis=1)
    return fine[first]


def cap(person: Person, style: str) -> Part:
    """The style's cap of hair on the person's head."""
    head = PlainHead()
    columns, rows = 96, 26
    u = np.linspace(-11, 11, columns, endpoint=False)
    line = hairline_v(head, style, u)
    share = np.linspace(0, 1, rows) ** 0.8
    v = line[:, None] * (1 - share)[None, :] + 0.02
    uu = np.broadcast_to(u[:, None], v.shape)
    points = head.evaluate(uu % 22.0, v).reshape(-1, 3)
    points = points + field(person.shape, points)
    faces: Faces = []
    for i in range(columns):
        k = (i + 1) % columns
        faces += [(i * rows + j, k * rows + j, k * rows + j + 1, i * rows + j + 1) for j in range(rows - 1)]
    normals = design_normals(points, triangulate(faces))
    t = np.tile(share, columns)
    lift = _THICK[style] * (1 - np.exp(-t / 0.16)) - 0.8 * np.exp(-t / 0.02)
    points = points + normals * lift[:, None]
    uv = np.stack([(uu.reshape(-1) + 11) / 22, t], axis=1)
    return Part(points, faces, [uv[list(f)] for f in faces], {"head": np.ones(len(points))})
