# SPDX-License-Identifier: Apache-2.0
"""What is measured of swapped views: nearness to the true swap, agreement between views, sharpness, seam.

Agreement is measured three ways, because the untouched avatar's views do not agree either. *rmse*: whole pictures.
*diffuse*: without the gloss, which moves with the camera and is none of a swap's business (the captured picture less
albedo x light). *change*: swapped less untouched picture, which is all that the swap has done; 0 for one that does
nothing, and for the true swap what noise and resampling leave.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs
import cv2
import numpy as np
import numpy.typing as npt

from backend.evaluation import consistency
from backend.evaluation.controls import pasted_rigidly
from backend.evaluation.tables import MIN_FACE, RIGID, TRUE_SWAP, UNTOUCHED, Goal, Row, score
from backend.faceswap.source import Source
from backend.faceswap.views import smooth_light
from backend.kernels.mesh_rasterization import interpolate, rasterize
from interchange.capture import Capture, ViewImages
from interchange.mesh import Region

from .swap_scene import Scene

Image = npt.NDArray[np.float32]
_INNER = (Region.EYE, Region.LASHES, Region.MOUTH)
_ROUNDING = 12**-0.5  # levels
_MASK_REACH = 2  # pixels by which the renderer's pixel filter carries a change past the mask


@attrs.frozen
class Agreement:
    """Cross-view error in 8-bit levels, None where no two views share a pixel; see the module."""

    rmse: float | None
    diffuse: float | None
    change: float | None


@attrs.frozen
class MethodRow:
    """truth: against the rendered true swap, in the face of all views that show it. painted: the same where the
    classical swap paints, in the views that it swaps. source: against the source's own views (table 2). floor: the
    agreement of the untouched avatar."""

    truth: Row
    painted: Row
    source: Row
    agreement: Agreement
    floor: Agreement

    @property
    def ratio(self) -> float | None:
        """Cross-view error over the floor's."""
        return None if self.agreement.rmse is None or not self.floor.rmse else self.agreement.rmse / self.floor.rmse

    @property
    def added(self) -> float | None:
        """Levels that the swap adds to the floor, 0 where it disagrees less than the avatar itself."""
        if self.agreement.rmse is None or self.floor.rmse is None:
            return None
        return beyond(self.agreement.rmse, self.floor.rmse)


def beyond(rmse: float, floor: float) -> float:
    """Levels: sqrt(rmse^2 - floor^2), or 0."""
    return float(np.sqrt(max(rmse**2 - floor**2, 0.0)))


def over(a: float | None, b: float | None) -> float | None:
    """a / b of two errors in levels; b counts as what rounding to 8 bits makes if it is less."""
    return None if a is None or b is None else a / max(b, _ROUNDING)


@attrs.frozen(eq=False)
class Views:
    """All views of the target, with what they are compared to. gloss: what of each is no skin's colour times light,
    linear (H, W, 3)."""

    capture: Capture
    images: list[ViewImages]
    truth: list[Goal]
    source: list[Goal]
    gloss: list[Image]
    surfaces: list[consistency.ViewSurface]

    @staticmethod
    def of(capture: Capture, scene: Scene) -> Views:
        """Load everything."""
        images = [capture.load_view(v) for v in capture.views]
        truth = _goals(capture, images, Capture.load(scene.truth), False)
        source = _goals(capture, images, Capture.load(scene.source_views), True)
        surfaces = [
            consistency.surface(view.camera, _depth(i), i.masks["face"], i.alpha)
            for view, i in zip(capture.views, images, strict=True)
        ]
        return Views(capture, images, truth, source, [gloss_of(i) for i in images], surfaces)

    @property
    def faces(self) -> list[Image]:
        """Masks (H, W)."""
        return [i.masks["face"] for i in self.images]

    def of_result(self, result: Capture) -> list[Image]:
        """A swapped capture's linear rgb, view by view."""
        return [result.load_view(result.view(v.name), ()).rgb for v in self.capture.views]

    def displayed(self, rgbs: Sequence[Image]) -> list[Image]:
        """Linear rgb as it is seen (sRGB 0..1)."""
        return [attrs.evolve(i, rgb=rgb).display() for i, rgb in zip(self.images, rgbs, strict=True)]

    def truth_psnr(self, result: Capture) -> float:
        """dB in the face against the true swap, mean over views."""
        value = score(self.displayed(self.of_result(result)), self.truth).psnr_face
        assert value is not None  # some view shows the face, or there would be no swap
        return value

    def painted_goals(self, result: Capture) -> list[Goal]:
        """The truth where a result differs from the untouched views; views that it leaves alone have no face."""
        found = []
        for goal, images, rgb in zip(self.truth, self.images, self.of_result(result), strict=True):
            face = None if goal.face is None else goal.face * (rgb != images.rgb).any(-1)
            shown = face is not None and face.sum() >= MIN_FACE * face.size
            found.append(attrs.evolve(goal, face=face if shown else None))
        return found


def gloss_of(images: ViewImages) -> Image:
    """What a view shows beside albedo x light, linear (H, W, 3), premultiplied; noise of the light pass smoothed."""
    assert images.albedo is not None
    return (images.rgb - images.albedo * smooth_light(images)).astype(np.float32)


def _depth(images: ViewImages) -> Image:
    assert images.depth is not None
    return images.depth


def _goals(capture: Capture, images: list[ViewImages], goal: Capture, shared: bool) -> list[Goal]:
    """shared: measured only where the goal shows a face too, not its hair."""
    result = []
    for view, seen in zip(capture.views, images, strict=True):
        other = goal.load_view(goal.view(view.name), ("mask",))
        face = np.minimum(seen.masks["face"], other.masks["face"]) if shared else seen.masks["face"]
        visible = face.sum() >= MIN_FACE * face.size
        result.append(Goal(other.display(), face if visible else None, seen.masks["skin"], seen.display()))
    return result


def controls(views: Views, truth: Capture, source: Source) -> dict[str, list[Image]]:
    """Linear rgb of what every table begins with: untouched, photo pasted rigidly, true swap."""
    meshes = {pose.name: views.capture.load_mesh(pose) for pose in views.capture.poses}
    rigid = [
        pasted_rigidly(source.photos[0], images, meshes[view.pose], view.camera)
        for view, images in zip(views.capture.views, views.images, strict=True)
    ]
    untouched = [i.rgb for i in views.images]
    return {UNTOUCHED: untouched, RIGID: rigid, TRUE_SWAP: views.of_result(truth)}


def measure(views: Views, rgbs: Mapping[str, list[Image]], painted: Sequence[Goal]) -> dict[str, MethodRow]:
    """A row for each set of views' linear rgb; the face's figures over the views that show it."""
    floor = agreement_of(views, [i.rgb for i in views.images])
    rows = {}
    for name, rgb in rgbs.items():
        pictures = views.displayed(rgb)
        truth, there, source = (score(pictures, goals) for goals in (views.truth, painted, views.source))
        rows[name] = MethodRow(truth, there, source, agreement_of(views, rgb), floor)
    return rows


def agreement_of(views: Views, rgbs: Sequence[Image]) -> Agreement:
    """How far views disagree about the same points of the face."""
    cameras = [v.camera for v in views.capture.views]
    pairs = consistency.select_pairs(cameras, [v.pose for v in views.capture.views])
    whole = views.displayed(rgbs)
    without_gloss = views.displayed([np.maximum(rgb - g, 0) for rgb, g in zip(rgbs, views.gloss, strict=True)])
    change = [picture - i.display() for picture, i in zip(whole, views.images, strict=True)]
    return Agreement(*consistency.reprojection(views.surfaces, [whole, without_gloss, change], pairs).rmse)


def changed_outside(views: Views, result: Capture, inner: bool = False) -> int:
    """Pixels that a method has changed though no part of the face region comes near them, of all views. The region is
    taken from the mesh without its hair: the rendered mask misses slivers of skin between strands. inner: of a method
    that paints eyes, lashes and mouth too, so that these belong to the face."""
    total = 0
    meshes = {pose.name: views.capture.load_mesh(pose) for pose in views.capture.poses}
    reach = np.ones((2 * _MASK_REACH + 1,) * 2, np.uint8)
    for view, before in zip(views.capture.views, views.images, strict=True):
        mesh = meshes[view.pose]
        bare = np.flatnonzero(~np.isin(mesh.face_region, (Region.HAIR,) if inner else (Region.HAIR, Region.LASHES)))
        raster = rasterize(mesh.vertices, mesh.faces[bare], view.camera)
        near = interpolate(raster, mesh.region_face[mesh.faces[bare]][..., None])[..., 0] > 0
        near |= before.masks["face"] > 0
        if inner:
            near |= raster.covered & np.isin(mesh.face_region[bare][raster.face], _INNER)
        outside = cv2.dilate(near.astype(np.uint8), reach) == 0
        after = result.load_view(result.view(view.name), ())
        total += int(((before.rgb != after.rgb).any(-1) & outside).sum())
    return total


def figures(row: MethodRow) -> dict[str, float | None]:
    """What the tables show, by title."""
    truth, agreement = row.truth, row.agreement
    return {
        "truth dB": truth.psnr_face, "SSIM": truth.ssim_face, "painted dB": row.painted.psnr_face,
        "RMSE": agreement.rmse, "/ floor": row.ratio, "added": row.added, "no gloss": agreement.diffuse,
        "change": agreement.change, "sharp": truth.sharpness, "jump": truth.seam_jump,
        "ring dE": truth.seam_difference, "table 2 dB": row.source.psnr_face,
    }  # fmt: skip


def lines_of(rows: Mapping[str, MethodRow], own_tone: str = "") -> list[str]:
    """The table for the terminal. `own_tone`: the row that is right to differ from a truth in the avatar's tone."""
    lines = [table_head(next(iter(rows.values())))]
    for name, row in rows.items():
        if name == own_tone:
            row = attrs.evolve(row, truth=Row(psnr=0, ssim=0), painted=Row(psnr=0, ssim=0))
        lines.append(table_line(name, {title: cell(value) for title, value in figures(row).items()}))
    return lines


_TITLES = 42  # characters


def table_head(row: MethodRow) -> str:
    """Titles over the lines."""
    return " " * _TITLES + "".join(f"{title:>{_width(title)}}" for title in figures(row))


def table_line(name: str, cells: Mapping[str, str]) -> str:
    """One row."""
    return f"{name:<{_TITLES}}" + "".join(f"{text:>{_width(title)}}" for title, text in cells.items())


def _width(title: str) -> int:
    return max(13, len(title) + 2)


def cell(value: float | None, digits: int = 3) -> str:
    """A figure, or a dash."""
    return "-" if value is None else f"{value:.{digits}f}"
