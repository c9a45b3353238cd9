# SPDX-License-Identifier: Apache-2.0
"""How the 68 landmarks of faces vary: a mean face and its main modes, from the sample avatars of both kinds.

python -m avatars.landmark_shapes [--makehuman DIR] > blender_addon/avatar_setup/face_shape.py

The add-on fills in the landmarks that an artist has not placed with this table. Four people are left out of it, so
that tests can measure on faces that it has never seen.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import attrs
import numpy as np
import numpy.typing as npt

Float = npt.NDArray[np.floating]

HELD_OUT = ("chidi", "african-male-old", "asian-female-young", "caucasian-female-old")
MODES = 8
HALF = (*range(9), *range(17, 22), *range(27, 34), *range(36, 42), *range(48, 52), 57, 58, 59, 60, 61, 62, 66, 67)
"""Landmarks on the character's right and on the midline; the others are their mirror images."""
PARTNER = np.array(
    [*range(16, -1, -1), *range(26, 16, -1), 27, 28, 29, 30, 35, 34, 33, 32, 31, 45, 44, 43, 42, 47, 46, 39, 38, 37, 36,
     41, 40, *range(54, 47, -1), *range(59, 54, -1), *range(64, 59, -1), 67, 66, 65]
)  # fmt: skip
"""(68,) the landmark on the other side of the face, itself on the midline."""

_HEAD = '''# SPDX-License-Identifier: GPL-3.0-or-later
"""A mean face of 68 landmarks and its main modes of variation. Written by `python -m avatars.landmark_shapes`.

Rows are landmarks on the character's right and on the midline (`HALF`), columns x y z: face along -Y, z up, in
thousandths of the distance between the outer corners of the eyes. The other half is the mirror image. Each mode is
scaled to one standard deviation of the sample avatars.
"""

from __future__ import annotations

# fmt: off
'''


def faces(folder: Path | None, seeds: int = 6) -> Iterator[tuple[float, Float]]:
    """(weight, (68, 3) metres) of the people that the table is made of: every identity and `seeds` variations."""
    from .makehuman.files import DataFolder, blender_from_makehuman
    from .makehuman.human import morph
    from .makehuman.identities import MODIFIERS, identity, identity_names
    from .makehuman.landmarks import BASE_LANDMARKS
    from .procedural.anatomy import build_anatomy
    from .procedural.identities import IDENTITIES, Shape, personify
    from .procedural.surface import blender_from_design

    rng = np.random.default_rng(0)
    anatomy = build_anatomy()
    for name in sorted(set(IDENTITIES) - set(HELD_OUT)):
        for seed in range(2 * seeds):
            shape = IDENTITIES[name].shape
            change = {field.name: getattr(shape, field.name) * (1 + 0.3 * rng.normal()) + 1.2 * rng.normal()
                      for field in attrs.fields(Shape) if field.name not in ("eye_size", "lid_open")}  # fmt: skip
            points: npt.NDArray = personify(anatomy, attrs.evolve(shape, **change) if seed else shape).points
            yield 2.0, blender_from_design(points[anatomy.landmarks])
    data = DataFolder(folder)
    base = data.base()
    for name in sorted(set(identity_names()) - set(HELD_OUT)):
        for seed in range(seeds):
            extra = rng.choice(sorted(MODIFIERS), 3 if seed else 0, replace=False)
            points = morph(data, base, identity("+".join([name, *extra])))
            yield 1.0, blender_from_makehuman(points[list(BASE_LANDMARKS)])


def similarity(points: Float, goal: Float) -> Float:
    """`points` (n, 3) moved, turned and scaled to lie on `goal` (n, 3) as well as possible (Umeyama 1991)."""
    a, b = points - points.mean(axis=0), goal - goal.mean(axis=0)
    left, size, right = np.linalg.svd(b.T @ a)
    sign = np.array([1.0, 1.0, np.sign(np.linalg.det(left @ right))])
    scale = (size * sign).sum() / (a * a).sum()
    return scale * a @ (left * sign @ right).T + goal.mean(axis=0)


def symmetric(face: Float) -> Float:  # (68, 3)
    """The mean of a face and its mirror image."""
    return (face + face[PARTNER] * np.array([-1.0, 1.0, 1.0])) / 2


def analyse(people: list[tuple[float, Float]]) -> tuple[Float, Float]:
    """Mean (68, 3) with unit distance between the outer eye corners, and modes (MODES, 68, 3)."""
    weights = np.array([w for w, _ in people]) / sum(w for w, _ in people)
    mean: npt.NDArray = people[0][1]
    for _ in range(8):
        mean = mean - mean.mean(axis=0)
        mean = mean / np.linalg.norm(mean[45] - mean[36])
        aligned = np.array([symmetric(similarity(face, mean)) for _, face in people])
        mean = symmetric(np.tensordot(weights, aligned, 1))
    spread = (aligned - mean).reshape(len(people), -1) * np.sqrt(weights)[:, None]
    _, size, modes = np.linalg.svd(spread, full_matrices=False)
    return mean, (size[:MODES, None] * modes[:MODES]).reshape(MODES, -1, 3)


def table(name: str, rows: Float) -> str:
    """Python source of integers in thousandths, as many in a line as fit."""
    lines, line = [], "   "
    for number in np.rint(rows.ravel() * 1000).astype(int).tolist():
        if len(line) + len(f" {number},") > 118:
            lines.append(line)
            line = "   "
        line += f" {number},"
    return f"{name} = (\n" + "\n".join([*lines, line]) + "\n)\n"


def main() -> int:
    """Print the module."""
    parser = argparse.ArgumentParser(prog="python -m avatars.landmark_shapes", description=__doc__)
    parser.add_argument("--makehuman", type=Path, metavar="DIR", help="folder of MakeHuman's CC0 files")
    mean, modes = analyse(list(faces(parser.parse_args().makehuman)))
    half = list(HALF)
    rows = "".join(f"    {', '.join(map(str, row))},\n" for row in (HALF[:26], HALF[26:]))
    sys.stdout.write(f"{_HEAD}HALF = (\n{rows})\n{table('MEAN', mean[half])}{table('MODES', modes[:, half])}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
