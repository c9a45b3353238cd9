# SPDX-License-Identifier: Apache-2.0
"""The avatar's eyes with the performer's iris colour, or why they keep their own; nothing here stops a swap."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from interchange.capture import Capture
from interchange.mesh import Mesh

from ..delighting import Shading
from ..registration import Registration
from ..settings import SwapSettings
from ..source import Photo
from ..textures import as_linear, encoded_bytes
from ..views import Skins
from .avatar import EyeTexture, face_scale, find_irises
from .colours import encoded_of, joined_colour, recoloured, usual_white
from .photo import MeasuredIris, measure
from .window import cut_out

_SMALLEST_TEXTURE = 16  # texels: a constant colour has fewer


@attrs.frozen(eq=False)
class MadeEyes:
    """textures: (h, w, 3) uint8 sRGB by object index; skins: the same as the views are changed by; vertices: ids of the
    eyeballs by object index. report: for swap.json. warnings: sentences for the user."""

    textures: dict[int, npt.NDArray[np.uint8]]
    skins: dict[int, Skins]
    vertices: dict[int, npt.NDArray[np.intp]]
    report: dict[str, Any] | None
    warnings: list[str]

    def digest(self) -> str:
        """SHA-256 of the textures; empty if there are none."""
        if not self.textures:
            return ""
        content = b"".join(self.textures[index].tobytes() for index in sorted(self.textures))
        return hashlib.sha256(content).hexdigest()


def make_eyes(
    capture: Capture,
    mesh: Mesh,
    photos: Sequence[Photo],
    registrations: Sequence[Registration],
    shadings: Sequence[Shading | None],
    settings: SwapSettings,
) -> MadeEyes:
    """New textures for the avatar's eyes, as far as avatar and photos allow."""
    if settings.eye_colour == 0:
        return MadeEyes({}, {}, {}, None, [])
    scale = face_scale(mesh)
    if scale is None:
        return _kept("the avatar has no landmarks around its eyes", [])
    avatar = _avatar_eyes(capture, mesh, scale)
    if isinstance(avatar, str):
        return _kept(avatar, [])
    measured, notes = _measure(photos, registrations, shadings, mesh, avatar, scale, settings.gloss)
    if not measured:
        return _kept(notes[0]["reason"], notes)
    goal = joined_colour(measured)
    textures, skins, vertices = {}, {}, {}
    for texture in avatar:
        index = texture.object_index
        textures[index] = recoloured(texture, goal, settings.eye_colour)
        skins[index] = Skins.of(as_linear(texture.pixels), as_linear(textures[index]))
        vertices[index] = np.concatenate([eye.vertices for eye in texture.eyes])
    names = {capture.objects[index].name: capture.objects[index].texture for index in textures}
    colour = [float(c) for c in encoded_of(goal)]
    report = {"colour": colour, "measured": notes, "textures": names, "reason": None}
    return MadeEyes(textures, skins, vertices, report, [])


def _kept(reason: str, notes: list[dict[str, Any]]) -> MadeEyes:
    report: dict[str, Any] = {"colour": None, "measured": notes, "textures": {}, "reason": reason}
    return MadeEyes({}, {}, {}, report, [f"The eyes keep the avatar's colour: {reason}."])


def _avatar_eyes(capture: Capture, mesh: Mesh, scale: float) -> list[EyeTexture] | str:
    """The avatar's irises, or why there are none."""
    own = [(i, item) for i, item in enumerate(capture.objects) if item.part == "eyes"]
    if not own:
        return "the avatar has no eyes that are a part of their own"
    found, textured = [], False
    for index, item in own:
        pixels = encoded_bytes(capture.load_texture(item))
        if min(pixels.shape[:2]) < _SMALLEST_TEXTURE:
            continue
        textured = True
        texture = find_irises(mesh, index, pixels, scale)
        if texture is not None:
            found.append(texture)
    if found:
        return found
    return "no iris is found on the avatar's eyes" if textured else "the avatar's eyes have no texture"


def _measure(
    photos: Sequence[Photo], registrations: Sequence[Registration], shadings: Sequence[Shading | None], mesh: Mesh,
    avatar: Sequence[EyeTexture], scale: float, gloss: float,
) -> tuple[list[MeasuredIris], list[dict[str, Any]]]:  # fmt: skip
    """What could be measured, and a note on each eye of each photo."""
    measured, notes = [], []
    for photo, registration, shading in zip(photos, registrations, shadings, strict=True):
        for texture in avatar:
            white = usual_white(texture)
            for eye in texture.eyes:
                iris: MeasuredIris | str = "are in a photo without colour"
                if not photo.grey:
                    window = cut_out(photo, registration, mesh, eye, scale)
                    iris = window if isinstance(window, str) else measure(window, eye, shading, white, gloss)
                notes.append(_note(photo.path.name, eye.left, iris))
                if isinstance(iris, MeasuredIris):
                    measured.append(iris)
    return measured, notes


def _note(photo: str, left: bool, iris: MeasuredIris | str) -> dict[str, Any]:
    place: dict[str, Any] = {"photo": photo, "eye": "left" if left else "right"}
    if isinstance(iris, str):
        return place | {"reason": f"the eyes in {photo} {iris}"}
    return place | {
        "iris_px": float(iris.radius_px),
        "gaze": [float(o) for o in iris.offset],
        "weight": float(iris.weight),
        "light": iris.light,
        "reason": None,
    }


