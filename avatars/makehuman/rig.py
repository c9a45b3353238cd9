# SPDX-License-Identifier: Apache-2.0
"""The compact rig: chest, three neck bones, head, jaw, eyes. Weights of finer bones go to their nearest kept ancestor.

MakeHuman's muscle bones are left out because shape keys make the expressions; without them posed, the deformation
of the kept bones is the same.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..rigging import BoneSpec
from .files import Skeleton, blender_from_makehuman

Float = npt.NDArray[np.floating]

_KEPT = {
    "spine01": ("chest", None), "neck01": ("neck", "chest"),
    "neck02": ("neck02", "neck"), "neck03": ("neck03", "neck02"),
    "head": ("head", "neck03"), "jaw": ("jaw", "head"), "eye.L": ("eye.L", "head"), "eye.R": ("eye.R", "head"),
}  # fmt: skip
"""MakeHuman's bone -> our name and parent."""

BONE_NAMES = [name for name, _ in _KEPT.values()]


def rest_bones(skeleton: Skeleton, human: Float) -> dict[str, BoneSpec]:
    """Bones at the joints of a morphed human (V, 3) in the files' axes; metres, Blender axes."""
    points = blender_from_makehuman(human)

    def joint(name: str) -> Float:
        return points[skeleton.joints[name]].mean(axis=0)

    result = {}
    for source, (name, parent) in _KEPT.items():
        head, tail, _ = skeleton.bones[source]
        result[name] = BoneSpec(joint(head), joint(tail), parent)
    return result


def bone_weights(skeleton: Skeleton, weights: dict[str, tuple[npt.NDArray, Float]], count: int) -> Float:
    """(count, B) weights of the kept bones, columns as BONE_NAMES, rows sum to 1 (whatever has none: chest)."""
    column = {source: i for i, source in enumerate(_KEPT)}
    total = np.zeros((count, len(_KEPT)))
    for bone, (ids, values) in weights.items():
        np.add.at(total[:, column[_kept_ancestor(skeleton, bone)]], ids, values)
    total[total.sum(axis=1) < 1e-6, 0] = 1
    return total / total.sum(axis=1, keepdims=True)


def _kept_ancestor(skeleton: Skeleton, bone: str) -> str:
    current: str | None = bone
    while current is not None and current not in _KEPT:
        current = skeleton.bones[current][2] if current in skeleton.bones else None
    return current or "spine01"
