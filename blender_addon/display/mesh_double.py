# SPDX-License-Identifier: GPL-3.0-or-later
"""The double as a mesh: the performer's shape as a shape key, the skin as an image (docs/formats/swap.md).

Splats that follow the avatar hang on its mesh, so they follow this shape key too: use the mesh or the splats.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from .. import compat
from .._interchange import capture, errors
from ..capture.avatar import find_avatar
from ..capture.textures import load_skin, surface_of
from .binding import find_part

SHAPE_KEY = "Digidouble Shape"
OFFSET, TEXTURE, REPORT = "identity_offset.npz", "texture.png", "swap.json"


@attrs.frozen
class Taken:
    """What the avatar got. parts: names of the meshes with the shape key; skin: whether the head has the new skin;
    eyes: names of the meshes with new irises."""

    parts: tuple[str, ...]
    skin: bool
    eyes: tuple[str, ...] = ()


def take_over(swapped: Path, context: Any) -> Taken:
    """Give the avatar of a swapped folder the performer's shape, skin and eye colour, as far as the folder has them.

    The shape is a shape key at 1, so that it can be dialled back; skin and irises go into copies of the materials. A
    second time replaces all. Raises InputError if the folder holds neither, or the avatar is not in the file or has
    changed since.
    """
    captured = capture.Capture.load(swapped)
    has_shape, has_skin = (swapped / OFFSET).is_file(), (swapped / TEXTURE).is_file()
    if not has_shape and not has_skin:
        raise errors.InputError(f"{swapped} has no skin and no shape to take over.", "Swap with the UV skin.")
    avatar = find_avatar(context.scene, context.view_layer, captured.name)
    parts = _take_shape(swapped / OFFSET, captured.name, avatar.frame) if has_shape else ()
    if has_skin:
        _take_skin(swapped / TEXTURE, avatar.head)
    return Taken(parts, has_skin, _take_eyes(swapped, captured.name))


def _take_eyes(swapped: Path, avatar: str) -> tuple[str, ...]:
    try:
        report = json.loads((swapped / REPORT).read_text(encoding="utf-8"))
        textures = dict((report.get("eyes") or {}).get("textures") or {})
    except FileNotFoundError:
        return ()
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise errors.InputError(f"The report {swapped / REPORT} is damaged.", "Fetch the results again.") from error
    changed = []
    for name, path in textures.items():
        part = find_part(avatar, name)
        if part is not None and surface_of(part).node is not None:
            _take_skin(swapped / "textures" / Path(str(path)).name, part)
            changed.append(name)
    return tuple(changed)


def _take_shape(path: Path, avatar: str, frame: npt.NDArray[np.float64]) -> tuple[str, ...]:
    changed = []
    for name, offset in _offsets(path).items():
        part = find_part(avatar, name)
        if part is None:
            continue
        count = len(part.data.vertices)
        if count > len(offset):
            raise errors.InputError(
                f"The mesh {name!r} has changed since the capture.", "Capture and swap again, then take over the shape."
            )
        turn = np.linalg.inv(np.array(part.matrix_world)[:3, :3]) @ frame[:3, :3]
        _set_key(part, offset[:count] @ turn.T)
        changed.append(name)
    return tuple(changed)


def _offsets(path: Path) -> dict[str, npt.NDArray[np.float64]]:
    """Part's name -> (V, 3) of its captured vertices, the base mesh's first; parts that do not move are left out."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            offset, names, first = stored["offset"], stored["object"], stored["first_vertex"]
            pieces = [offset[first[i] : first[i + 1]].astype(np.float64) for i in range(len(names))]
    except (OSError, ValueError, KeyError, IndexError) as error:
        raise errors.InputError(f"The shape {path} is damaged.", "Fetch the results again.") from error
    return {str(name): piece for name, piece in zip(names, pieces, strict=True) if np.abs(piece).max(initial=0) > 1e-7}


def _set_key(part: Any, delta: npt.NDArray[np.float64]) -> None:  # (V, 3) in the object's own axes
    keys = part.data.shape_keys
    if keys is None:
        part.shape_key_add(name="Basis", from_mix=False)
        keys = part.data.shape_keys
    key = keys.key_blocks.get(SHAPE_KEY) or compat.add_shape_key(part, SHAPE_KEY)
    basis = np.empty(delta.size, np.float32)
    keys.reference_key.data.foreach_get("co", basis)
    key.data.foreach_set("co", (basis + delta.ravel()).astype(np.float32))
    key.value = 1.0
    part.data.update()


def _take_skin(path: Path, head: Any) -> None:
    node = surface_of(head).node
    if node is None:
        raise errors.InputError(f"The head {head.name!r} has no skin image.", "Wire one into Base Color.")
    tree = node.id_data
    slot = next(s for s in head.material_slots if s.material is not None and s.material.node_tree == tree)
    image = load_skin(path)
    image.name = f"{head.name} double"
    image.pack()
    if not slot.material.name.endswith(" double"):
        name = slot.material.name
        slot.material = slot.material.copy()
        slot.material.name = f"{name} double"
    copied = surface_of(head).node
    assert copied is not None
    copied.image = image
