# SPDX-License-Identifier: Apache-2.0
"""Paint the skin of a head into its UV map, from its rest surface, its landmarks and a description of the looks.

Pure numpy, no bpy. Everything is a function of the 3D surface, so the texture has no seams, and every identity of an
avatar kind can wear every other one's skin.
"""

from __future__ import annotations

import attrs
import numpy as np
import numpy.typing as npt

from .painting.canvas import Canvas
from .painting.chart import Chart
from .painting.eyes import paint_iris_disc, paint_lids
from .painting.features import paint_base, paint_marks, paint_mouth, paint_scalp
from .painting.hairs import paint_beard, paint_brows
from .painting.noise import Noise
from .painting.onesided import paint_one_sided
from .painting.raster import fill_gaps, rasterize_uv
from .painting.wrinkles import paint_wrinkles

Float = npt.NDArray[np.floating]
Colour = tuple[float, float, float]

IRIS_RADIUS = 0.18
"""Radius of the iris in the image of `paint_iris`, in UV units; the pupil is at (0.5, 0.5)."""


@attrs.frozen(eq=False)
class SkinSurface:
    """The head's rest surface, face looking along -Y, z up, metres.

    vertices: (V, 3). normals: (V, 3) smooth, unit. faces: (F, 3). face_uvs: (F, 3, 2), v up, islands must not overlap.
    landmarks: (68,) vertex ids, iBUG order. regions: (V,) values 0..1 by name: "lips" and, where a builder has them,
    "face", "brows", "mouth" (inside of the mouth), "nostrils" (inside of them), "ears", "scalp" (where hair grows),
    "lid_rims" (edge of the lids).
    """

    vertices: npt.NDArray
    normals: npt.NDArray
    faces: npt.NDArray
    face_uvs: npt.NDArray
    landmarks: npt.NDArray
    regions: dict[str, npt.NDArray] = attrs.field(factory=dict)


@attrs.frozen
class Look:
    """What a person looks like. Colours are sRGB 0..1, amounts 0..1, lengths factors around 1.

    tone: skin. lips: colour of the lips. hair, brows: hair colours; iris: eye colour. brow_thickness, brow_density and
    brow_arch (0 straight .. 1 arched) shape the brows. freckles, blush, stubble (shadow to short beard), wrinkles,
    makeup (lids, lashes, lips): amounts. moles: how many. one_sided: amount of what one half of the face has alone
    (painting/onesided.py). seed: places all that is random.
    """

    tone: Colour = (0.80, 0.62, 0.53)
    lips: Colour = (0.66, 0.38, 0.36)
    hair: Colour = (0.16, 0.10, 0.07)
    brows: Colour = (0.17, 0.11, 0.08)
    iris: Colour = (0.33, 0.21, 0.12)
    brow_thickness: float = 1.0
    brow_density: float = 0.8
    brow_arch: float = 0.4
    freckles: float = 0.0
    moles: int = 2
    stubble: float = 0.0
    blush: float = 0.2
    makeup: float = 0.0
    wrinkles: float = 0.0
    one_sided: float = 0.0
    seed: int = 0


def paint_skin(surface: SkinSurface, look: Look, size: int) -> Float:
    """The skin as (size, size, 3) float32 sRGB 0..1, row 0 = top (v = 1); gaps between islands are filled."""
    texels = rasterize_uv(surface.face_uvs, size)
    points = texels.interpolate(surface.vertices, surface.faces)
    normals = texels.interpolate(surface.normals, surface.faces)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-6)
    regions = {name: texels.interpolate(values, surface.faces) for name, values in surface.regions.items()}
    landmarks = np.asarray(surface.vertices, np.float32)[np.asarray(surface.landmarks)]
    chart = Chart(points, normals, landmarks, size, texels.index)
    canvas = Canvas(points, chart, Noise(look.seed), np.random.default_rng([look.seed, 77]))
    paint_base(canvas, look, regions)
    paint_wrinkles(canvas, look)
    paint_marks(canvas, look, regions)
    paint_one_sided(canvas, look)
    paint_beard(canvas, look)
    paint_mouth(canvas, look, regions)
    paint_lids(canvas, look, regions)
    paint_scalp(canvas, look, regions)
    paint_brows(canvas, look)
    image = np.zeros((size * size, 3), np.float32)
    covered = np.zeros(size * size, bool)
    image[texels.index], covered[texels.index] = canvas.finish(np.asarray(look.tone)), True
    return fill_gaps(image.reshape(size, size, 3), covered.reshape(size, size))


def paint_iris(look: Look, size: int) -> Float:
    """An eyeball seen from the front, (size, size, 3) float32 sRGB 0..1: pupil at the centre, iris out to a radius of
    IRIS_RADIUS in UV units, sclera with fine veins beyond. Map eyeballs to it by angle from the gaze axis.
    """
    return paint_iris_disc(np.asarray(look.iris, np.float32), size, IRIS_RADIUS, look.wrinkles, look.seed)
