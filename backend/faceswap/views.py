# SPDX-License-Identifier: Apache-2.0
"""Putting a new skin into a rendered view: the picture keeps all that the skin's colour has no part in.

new = old + k * light * (new skin - old skin), the difference filtered over the pixel through the mesh's UVs. `light`
is the renderer's own diffuse light (direct and indirect, noisy, so it is smoothed along surfaces first); k is what part
of the base colour the renderer let through as diffuse (measured: its diffuse colour over the old skin's), below 1
because some light is reflected at the surface. Gloss, shadows, eyes, hair and alpha stay, and where both skins agree
every pixel stays bit by bit.
"""

from __future__ import annotations

from typing import Any

import attrs
import cv2
import numba
import numpy as np
import numpy.typing as npt

from backend.kernels.mesh_rasterization import rasterize
from interchange.cameras import Camera
from interchange.capture import ViewImages
from interchange.errors import InputError
from interchange.mesh import Mesh, Region

Floats = npt.NDArray[Any]
_LUMINANCE = np.array([0.2126, 0.7152, 0.0722], np.float32)
_PASSED = (0.5, 1.05)  # what k may be
PIXEL_FILTER = 1.5
"""Width in pixels of Cycles' default Blackman-Harris pixel filter."""
PASSED_BLUR = 1.5
"""Standard deviation in pixels of the blur under which k is measured."""
LIGHT_RADIUS = 4
"""Pixels around a pixel from which its light is smoothed."""
LAYERS, LAYERS_NOISY = ("albedo", "light", "mask"), ("albedo", "light", "mask", "normal", "depth")
"""Of a view that `exchange_skin` looks at, beside RGBA, without and with noise in its light."""
_ROOM, _VECTOR = 16, 32  # pixels
_IRIS_REACH = 3
"""Pixels a side: a few samples spill an iris over its pupil, which is too small to hide it."""
NO_PASSES = "The capture has no light and albedo passes, which a swap needs."


@attrs.frozen(eq=False)
class Skins:
    """Old and new skin, linear (h, w, 3), row 0 = top, and their difference."""

    old: npt.NDArray[np.float32]
    difference: npt.NDArray[np.float32]

    @staticmethod
    def of(old: Floats, new: Floats) -> Skins:
        """From two textures of one size."""
        return Skins(np.ascontiguousarray(old, np.float32), np.ascontiguousarray(new - old, np.float32))


def exchange_skin(
    images: ViewImages,
    mesh: Mesh,
    head: int,
    camera: Camera,
    skins: Skins,
    samples: int = 3,
    noisy_light: bool = True,
    mask: str = "skin",
) -> npt.NDArray[np.float32]:
    """The view's new rgb (H, W, 3), linear, premultiplied.

    samples: a side and pixel for the texture's filter. noisy_light: smooth the light pass first; not needed when the
    renderer has denoised it. `head`, `mask`: the object whose texture is exchanged, and the capture's mask of it; an
    eyes' object may stand for the head. Raises InputError when the view has no light or albedo pass.
    """
    if images.light is None or images.albedo is None:
        raise InputError(NO_PASSES, "Capture again with them.")
    difference, old, coverage = filtered_skin(mesh, head, camera, skins, samples)
    box = _box_of_skin(coverage, images.masks.get(mask))
    if box is None:
        return images.rgb
    part = _part_of(images, box)
    changed = _exchanged(part, difference[box], old[box], coverage[box], noisy_light, mask)
    if changed is part.rgb:
        return images.rgb
    result = images.rgb.copy()
    result[box] = changed
    return result


def _box_of_skin(coverage: Floats, skin: Floats | None) -> tuple[slice, slice] | None:
    """Rows and columns that hold all skin, with room around it for all that looks at neighbours; None without any."""
    seen = coverage > 0 if skin is None else (coverage > 0) | (skin > 0)
    box = []
    for axis in (1, 0):
        found = np.flatnonzero(seen.any(axis=axis))
        if not len(found):
            return None
        # Whole vectors of pixels: the last digits of OpenCV's blurs depend on that.
        first = max(0, int(found[0]) - _ROOM) // _VECTOR * _VECTOR
        last = -(-(int(found[-1]) + 1 + _ROOM) // _VECTOR) * _VECTOR
        box.append(slice(first, min(last, seen.shape[1 - axis])))
    return box[0], box[1]


def _part_of(images: ViewImages, box: tuple[slice, slice]) -> ViewImages:
    def cut(image: Floats | None) -> Any:
        return None if image is None else np.ascontiguousarray(image[box])

    return ViewImages(
        rgb=cut(images.rgb), alpha=cut(images.alpha), albedo=cut(images.albedo), light=cut(images.light),
        depth=cut(images.depth), normal=cut(images.normal), masks={k: cut(v) for k, v in images.masks.items()},
    )  # fmt: skip


def _exchanged(
    images: ViewImages, difference: Floats, old: Floats, coverage: Floats, noisy_light: bool, mask: str
) -> npt.NDArray[np.float32]:
    """`exchange_skin` once the skins are filtered; `images.rgb` itself where nothing changes."""
    assert images.albedo is not None
    difference, old = as_rendered(difference, old, coverage, images, mask)
    changed = (difference != 0).any(-1)
    if not changed.any():
        return images.rgb
    light = smooth_light(images, changed) if noisy_light else straight_light(images)
    skin_share = images.masks.get(mask, coverage)
    passed = passed_share(images.albedo, old, skin_share)[..., None]
    reach = _IRIS_REACH if mask == "eye" else 1
    seen = _old_as_seen(images.albedo / passed, old, difference, skin_share, reach)
    new = old + difference
    result = images.rgb + (new - seen) * passed * light
    # Whatever else a pixel holds (hair, gloss, background), its skin can have changed no more than the skin has.
    ratio = new / np.maximum(seen, 1e-4)
    result = np.clip(result, images.rgb * np.minimum(ratio, 1), images.rgb * np.maximum(ratio, 1))
    return np.where(changed[..., None], np.maximum(result, 0), images.rgb).astype(np.float32)


def _old_as_seen(rendered: Floats, old: Floats, difference: Floats, skin_share: Floats, reach: int) -> Floats:
    """The old skin as the picture shows it: where skin fills a pixel and has changed, or has within `reach` pixels, the
    renderer's own albedo, which has the same samples and the same denoising as the picture (a thin brow would leave
    dots otherwise)."""
    change = cv2.dilate(np.abs(difference).max(-1), np.ones((reach, reach), np.uint8))
    amount = np.clip(change / 0.05, 0, 1) * np.clip((skin_share - 0.9) / 0.1, 0, 1)
    return old + amount[..., None] * (rendered - old)


def straight_light(images: ViewImages) -> npt.NDArray[np.float32]:
    """The light pass (H, W, 3) without its premultiplication."""
    assert images.light is not None
    return (images.light / np.maximum(images.alpha, 1e-3)[..., None]).astype(np.float32)


def filtered_skin(
    mesh: Mesh, head: int, camera: Camera, skins: Skins, samples: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Skin in a view under the renderer's pixel filter, premultiplied by the skin's coverage: difference (H, W, 3), old
    (H, W, 3), coverage (H, W). Lashes are too thin and too clear to hide skin, so they are looked through."""
    solid = np.flatnonzero(mesh.face_region != Region.LASHES)
    raster = rasterize(mesh.vertices, mesh.faces[solid], camera, samples)
    on_head = (mesh.face_object[solid] == head).astype(np.uint8)
    looked_up = np.zeros((*raster.face.shape, 7), np.float32)
    _look_up(raster.face, raster.weights, on_head, mesh.face_uvs[solid], skins.old, skins.difference, looked_up)
    result = np.zeros((camera.height, camera.width, 7), np.float32)
    _gather(looked_up, filter_taps(samples), samples, result)
    return result[..., :3], result[..., 3:6], result[..., 6]


def as_rendered(
    difference: Floats, old: Floats, coverage: Floats, images: ViewImages, mask: str = "skin"
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Both skins (H, W, 3) as the render covered its pixels. A few samples a pixel put an edge a little off its exact
    place; what is taken out of a pixel must be what the render put in, or edges get dark and bright dots. Needs the
    skin's mask in the capture; without it the exact coverage stays, limited by alpha."""
    stacked = np.concatenate([difference, old, coverage[..., None]], axis=-1)
    around = cv2.blur(stacked, (3, 3), borderType=cv2.BORDER_REPLICATE)
    stacked = np.where(coverage[..., None] > 0.02, stacked, around)  # pixels that the render covers and we just miss
    share = stacked[..., 6:]
    straight = np.where(share > 1e-4, stacked[..., :6] / np.maximum(share, 1e-4), 0)
    rendered = images.masks.get(mask)
    if rendered is None:
        rendered = np.minimum(coverage, images.alpha)
    result = (straight * rendered[..., None]).astype(np.float32)
    return result[..., :3], result[..., 3:]


def passed_share(albedo: Floats, old: Floats, coverage: Floats) -> npt.NDArray[np.float32]:
    """k (H, W): diffuse colour over skin colour, taken where skin fills the pixel and continued smoothly from there."""
    trust = (coverage > 0.98).astype(np.float32)
    rendered, skin = albedo @ _LUMINANCE * trust, old @ _LUMINANCE * trust

    def near(image: Floats) -> Floats:
        return cv2.GaussianBlur(image.astype(np.float32), (0, 0), PASSED_BLUR)

    skin_near = near(skin)
    known = skin_near > 1e-4
    ratio = np.where(known, near(rendered) / np.maximum(skin_near, 1e-4), 0)
    usual = float(np.median(ratio[trust > 0])) if (trust > 0).any() else 1.0
    return np.clip(np.where(known, ratio, usual), *_PASSED).astype(np.float32)


def smooth_light(
    images: ViewImages, where: npt.NDArray[np.bool_] | None = None, radius: int = LIGHT_RADIUS
) -> npt.NDArray[np.float32]:
    """The light pass (H, W, 3) without its premultiplication and its noise: a joint bilateral filter (Petschnigg et al.
    2004) that averages only along one surface, by the normal and depth passes, and not across shadows' edges, by the
    picture itself, which the renderer has denoised. Only pixels of `where` (H, W) are computed, the others are 0."""
    assert images.light is not None and images.albedo is not None
    alpha = np.clip(images.alpha, 0, 1)
    light = straight_light(images)
    normal = images.normal if images.normal is not None else np.zeros_like(images.rgb)
    depth = images.depth if images.depth is not None else np.zeros_like(alpha)
    skin = images.albedo @ _LUMINANCE
    guide = np.where(skin > 0.02 * alpha, images.rgb @ _LUMINANCE / np.maximum(skin, 1e-3), 0)
    result = np.zeros_like(light, np.float32)
    where = alpha > 0 if where is None else where & (alpha > 0)
    _joint_bilateral(
        np.ascontiguousarray(light, np.float32),
        np.ascontiguousarray(alpha, np.float32),
        np.ascontiguousarray(normal, np.float32),
        np.ascontiguousarray(depth, np.float32),
        np.ascontiguousarray(guide, np.float32),
        where,
        radius,
        result,
    )
    return result


def filter_taps(samples: int) -> Floats:
    """Weights of a Blackman-Harris window over the samples around a pixel's centre, along one axis."""
    reach = int(np.floor(PIXEL_FILTER / 2 * samples + (samples - 1) / 2))
    offset = np.arange(-reach, samples + reach)
    at = ((offset + 0.5) / samples - 0.5) / PIXEL_FILTER + 0.5  # 0..1 across the window
    turn = 2 * np.pi * at
    window = 0.35875 - 0.48829 * np.cos(turn) + 0.14128 * np.cos(2 * turn) - 0.01168 * np.cos(3 * turn)
    window[(at <= 0) | (at >= 1)] = 0
    keep = np.flatnonzero(window)
    margin = min(keep[0], len(window) - 1 - keep[-1])
    window = window[margin : len(window) - margin]
    return (window / window.sum()).astype(np.float32)


@numba.njit(cache=True, nogil=True)
def _look_up(face, weights, on_head, face_uvs, old, difference, result):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    height, width = old.shape[:2]
    for row in range(face.shape[0]):
        for column in range(face.shape[1]):
            f = face[row, column]
            if f < 0 or on_head[f] == 0:
                continue
            u, v = 0.0, 0.0
            for c in range(3):
                u += weights[row, column, c] * face_uvs[f, c, 0]
                v += weights[row, column, c] * face_uvs[f, c, 1]
            x = min(max(u * width - 0.5, 0.0), width - 1.0)
            y = min(max((1 - v) * height - 0.5, 0.0), height - 1.0)
            x0, y0 = int(x), int(y)
            x1, y1 = min(x0 + 1, width - 1), min(y0 + 1, height - 1)
            a, b = x - x0, y - y0
            for c in range(3):
                upper = difference[y0, x0, c] * (1 - a) + difference[y0, x1, c] * a
                lower = difference[y1, x0, c] * (1 - a) + difference[y1, x1, c] * a
                result[row, column, c] = upper * (1 - b) + lower * b
                upper = old[y0, x0, c] * (1 - a) + old[y0, x1, c] * a
                lower = old[y1, x0, c] * (1 - a) + old[y1, x1, c] * a
                result[row, column, 3 + c] = upper * (1 - b) + lower * b
            result[row, column, 6] = 1.0


@numba.njit(cache=True, nogil=True)
def _gather(values, taps, samples, result):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Weighted sums over the samples around each pixel; beyond the picture there is nothing, as at a film's edge."""
    height, width, channels = values.shape
    before = (len(taps) - samples) // 2
    for row in range(result.shape[0]):
        for column in range(result.shape[1]):
            total = 0.0
            for j in range(len(taps)):
                y = min(max(row * samples - before + j, 0), height - 1)
                for i in range(len(taps)):
                    x = min(max(column * samples - before + i, 0), width - 1)
                    if values[y, x, 6] == 0.0:
                        continue
                    weight = taps[j] * taps[i]
                    total += weight
                    for c in range(channels - 1):
                        result[row, column, c] += weight * values[y, x, c]
            result[row, column, 6] = total


@numba.njit(cache=True, nogil=True)
def _joint_bilateral(light, alpha, normal, depth, guide, where, radius, result):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    height, width = alpha.shape
    for row in range(height):
        for column in range(width):
            if not where[row, column]:
                continue
            z, g = depth[row, column], guide[row, column]
            total, r, gr, b = 0.0, 0.0, 0.0, 0.0
            for y in range(max(0, row - radius), min(height, row + radius + 1)):
                for x in range(max(0, column - radius), min(width, column + radius + 1)):
                    if alpha[y, x] <= 0.0:
                        continue
                    d = (y - row) ** 2 + (x - column) ** 2
                    turn = 0.0
                    for c in range(3):
                        turn += (normal[y, x, c] - normal[row, column, c]) ** 2
                    far = (depth[y, x] - z) / 0.01
                    shade = (guide[y, x] - g) / (0.12 * max(g, 0.1))
                    unlike = d / (0.5 * radius * radius) + turn / 0.08 + far * far + shade * shade
                    weight = alpha[y, x] * np.exp(-unlike)
                    total += weight
                    r += weight * light[y, x, 0]
                    gr += weight * light[y, x, 1]
                    b += weight * light[y, x, 2]
            result[row, column, 0] = r / total  # at least the pixel itself is in it
            result[row, column, 1] = gr / total
            result[row, column, 2] = b / total
