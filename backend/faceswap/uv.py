# SPDX-License-Identifier: Apache-2.0
"""The new skin: photo(s) to the target's texture, lit neutrally, completed, in one tone with the rest, blended in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from interchange.colour import srgb_from_linear
from interchange.errors import Cancelled, InputError, Progress
from interchange.mesh import Mesh

from .agreement import laid_over
from .atlas import Atlas, build_atlas
from .blending import gradient_shift, laplacian_blend
from .cleaning import believable, evened, off_hair, without_glare
from .completion import complete_by_symmetry, membrane
from .delighting import Shading, fit_shading, remove_light, without_gloss
from .fusion import Layer, fuse
from .gloss import gloss_by_place
from .regions import Regions, face_regions, part_share
from .registration import Registration
from .settings import SwapSettings
from .source import Photo, Source
from .textures import as_bytes, as_linear, working_texture
from .tones import in_one_tone
from .unprojection import Unprojected, unproject

Floats = npt.NDArray[Any]
_FULL_TRUST = 0.25  # weight of an unprojected texel from which on it needs no help
_CARRIED = 10.0  # stiffness of the membrane that carries the face's tone to where no photo shows it
_MATCHED = 0.3  # of the face's mask: where several photos are matched
_TURNED = 25.0  # degrees of yaw beyond which a photo does not settle the tone if another is nearer to the front
_STEEP = 65.0  # degrees of yaw beyond which half of the face is guessed


@attrs.define(eq=False)
class MadeSkin:
    """old_linear, new_linear: (h, w, 3) as the views are changed by; skin: the new one as uint8 sRGB; mask: (h, w)
    uint8, where the performer's face is. registrations, shadings: by photo; no shading where light was left on."""

    old_linear: npt.NDArray[np.float32]
    new_linear: npt.NDArray[np.float32]
    skin: npt.NDArray[np.uint8]
    mask: npt.NDArray[np.uint8]
    pictures: dict[str, npt.NDArray[np.uint8]]
    report: dict[str, Any]
    warnings: list[str]
    registrations: list[Registration]
    shadings: list[Shading | None]


@attrs.frozen(eq=False)
class _FromPhoto:
    """One photo on the texels: raw (T, 3) linear as photographed, and without its light."""

    raw: npt.NDArray[np.float32]
    layer: Layer
    registration: Registration
    shading: Shading | None


def make_skin(
    mesh: Mesh,
    head: int,
    old_linear: Floats,  # (h, w, 3)
    source: Source,
    settings: SwapSettings,
    progress: Progress | None = None,
    cancelled: Callable[[], bool] = lambda: False,
) -> MadeSkin:
    """Make the target's new skin image from a source.

    `head` is the object index of the head in `mesh`; `old_linear` its base colour. Raises InputError when the source
    does not fit the mesh, Cancelled when told.
    """

    def step(fraction: float, message: str) -> None:
        if cancelled():
            raise Cancelled
        if progress:
            progress("skin", fraction, message)

    step(0.0, "Laying out the texture")
    old8 = working_texture(old_linear, settings.texture_size)
    atlas = build_atlas(mesh, head, *old8.shape[:2])
    regions = face_regions(mesh, atlas, source.mask)
    step(0.1, "Laying the photos over the face")
    fits = laid_over(mesh, head, source.photos, atlas, regions.face > _MATCHED, settings.smoothing)
    photos = []
    for index, (photo, fit) in enumerate(zip(source.photos, fits, strict=True)):
        step(0.2 + 0.3 * index / len(fits), f"Taking the face from {photo.path.name}")
        photos.append(_take_from_photo(photo, fit, mesh, head, atlas, regions, settings))
    leading = leading_photo([fit.yaw for fit in fits])
    albedo, trust = fuse([photo.layer for photo in photos], regions.core, atlas, leading)
    if settings.symmetry:
        step(0.5, "Completing the hidden side")
        wanted = regions.face > 0
        albedo, trust = complete_by_symmetry(albedo, trust, mesh, atlas, head, wanted)
    step(0.7, "Matching skin tones")
    tone = 0.0 if any(p.grey for p in source.photos) else settings.tone
    old = atlas.of_image(old8).astype(np.float32) / 255
    front, back = in_one_tone(srgb_from_linear(albedo), trust, old, regions, settings.harmonize, tone)
    step(0.8, "Filling the rest")
    difference = front - back
    # Only what is seen well may lead the rest: what is half seen is often half wrong (shadows, somebody else's hair).
    smooth = membrane(difference, trust**3 * (regions.face > 0), mesh, atlas, head, _CARRIED)
    front = back + smooth + trust[:, None] * (difference - smooth)
    step(0.9, "Blending")
    mask = settings.strength * atlas.to_image(regions.blend)
    whole_back = old8.astype(np.float32) / 255
    whole_back = np.where(atlas.to_image(_changed(back, old))[..., None], atlas.to_image(back), whole_back)
    if settings.blend == "gradient":
        front = gradient_shift(front, back, regions.blend, mesh, atlas, head)
    levels = settings.levels if settings.blend == "laplacian" else 0
    blended = laplacian_blend(atlas.to_image(np.clip(front, 0, 1)), whole_back, mask, levels)
    # After the pyramid, which would spread what a part keeps of the avatar's tone over its neighbours.
    share = atlas.to_image(part_share(regions, settings.parts()))
    blended = np.where(share[..., None] < 1, whole_back + share[..., None] * (blended - whole_back), blended)
    new8 = as_bytes(blended)
    return MadeSkin(
        old_linear=as_linear(old8),
        new_linear=as_linear(new8),
        skin=new8,
        mask=as_bytes(mask * share),
        pictures=_pictures(source.photos[0], photos[0], atlas, regions, old8, new8),
        report=_report(photos, source, tone, trust, regions),
        warnings=_warnings(photos, source, leading),
        registrations=[photo.registration for photo in photos],
        shadings=[photo.shading for photo in photos],
    )


def leading_photo(yaws: Sequence[float]) -> int:
    """Which photo settles tone and exposure, by degrees of yaw: the first, as the artist has chosen, unless it is
    turned away and another is less so. A face at 45 degrees shows more gloss and reads up to a tenth too bright."""
    return 0 if abs(yaws[0]) <= _TURNED else int(np.argmin(np.abs(yaws)))


def _changed(back: Floats, old: Floats) -> npt.NDArray[np.bool_]:
    return (back != old).any(-1)


def _take_from_photo(
    photo: Photo, registration: Registration, mesh: Mesh, head: int, atlas: Atlas, regions: Regions,
    settings: SwapSettings,
) -> _FromPhoto:  # fmt: skip
    seen = unproject(photo, registration, mesh, atlas, regions.face > 0)
    weight = seen.weight * (regions.face > 0)
    shading = None
    albedo = np.clip(seen.colour, 0, 1)
    if settings.delight:
        shading = _shading(seen, weight * regions.core, photo)
        visible = weight > 0
        albedo[visible] = remove_light(seen.colour[visible], seen.normals[visible], shading)
    trust = np.clip(weight / _FULL_TRUST, 0, 1).astype(np.float32)
    if settings.delight:
        gloss = gloss_by_place(albedo, trust, mesh, head, atlas, regions, settings.gloss)
        albedo = without_gloss(albedo, gloss)
        albedo = without_glare(albedo, trust, regions)
    trust *= off_hair(albedo, trust, regions, atlas) * believable(albedo, trust, regions)
    if settings.delight:
        albedo = evened(albedo, trust, mesh, head, atlas, regions, settings.evenness)
    layer = Layer(albedo, trust, seen.weight)
    return _FromPhoto(np.clip(seen.colour, 0, 1), layer, registration, shading)


def _shading(seen: Unprojected, weight: Floats, photo: Photo) -> Shading:
    try:
        return fit_shading(seen.colour, seen.normals, weight)
    except ValueError:
        raise InputError(
            f"Too little of the face can be seen in {photo.path}.", "Use a photo that shows it from the front."
        ) from None


def _warnings(photos: list[_FromPhoto], source: Source, leading: int) -> list[str]:
    found = []
    if leading:
        first, other = source.photos[0].path.name, source.photos[leading].path.name
        found.append(f"{other} settles the skin's tone, since {first} shows the face from the side.")
    for photo, taken in zip(source.photos, photos, strict=True):
        name = photo.path.name
        if photo.grey:
            found.append(f"{name} has no colour: the avatar's own skin tone is used.")
        if abs(taken.registration.yaw) > _STEEP:
            found.append(f"{name} shows the face {abs(taken.registration.yaw):.0f}° from the side: half is guessed.")
        if taken.registration.rigid_rms > 0.06 * taken.registration.face_size:
            found.append(f"The landmarks of {name} fit a face badly; check them.")
    return found


def _report(
    photos: list[_FromPhoto], source: Source, tone: float, trust: Floats, regions: Regions
) -> dict[str, Any]:
    listed = []
    for photo, taken in zip(source.photos, photos, strict=True):
        fit = taken.registration
        listed.append(
            {
                "photo": photo.path.name,
                **photo.origin,
                "landmarks": len(fit.ids),
                "landmark_rms_px": {"camera": fit.rigid_rms, "warped": fit.final_rms},
                "smoothing": fit.smoothing,
                "face_size_px": fit.face_size,
                "focal_px": float(fit.camera.K[0, 0]),
                "yaw_degrees": fit.yaw,
                "light": None
                if taken.shading is None
                else {
                    "coefficients": taken.shading.coefficients.tolist(),
                    "exposure": taken.shading.exposure.tolist(),
                    "outliers": taken.shading.outliers,
                },
            }
        )
    inside = regions.face > 0.5
    return {"photos": listed, "tone": tone, "face_seen": float(trust[inside].mean())}


def _pictures(
    photo: Photo, taken: _FromPhoto, atlas: Atlas, regions: Regions, old8: npt.NDArray, new8: npt.NDArray
) -> dict[str, npt.NDArray[np.uint8]]:
    """For strip.png, each cut to the face: source, unprojected UV, texture before, texture after."""
    raw = np.zeros((atlas.height, atlas.width, 3), np.float32)
    raw[atlas.rows, atlas.columns] = srgb_from_linear(taken.raw) * (taken.layer.trust > 0)[:, None]
    inside = regions.face > 0.02
    rows, columns = atlas.rows[inside], atlas.columns[inside]
    window = np.s_[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    return {
        "source": as_bytes(srgb_from_linear(photo.image)),
        "unprojected": as_bytes(raw)[window],
        "before": old8[window],
        "after": new8[window],
    }
