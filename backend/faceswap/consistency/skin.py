# SPDX-License-Identifier: Apache-2.0
"""Observations of many views to one skin: moved to one place, colours matched, views that disagree dropped, fused,
blended in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from interchange.colour import linear_from_srgb, srgb_from_linear
from interchange.mesh import Mesh

from ..atlas import Atlas
from ..cleaning import evened, without_glare
from ..completion import membrane
from ..regions import Regions
from .alignment import Moves, align
from .colours import solve_colours
from .fusion import geometric_median, total_weight, with_best_detail
from .observations import Observations
from .outliers import residuals, too_far
from .samples import Samples

Floats = npt.NDArray[Any]
_ROUNDS = 3  # of dropping views
_FULL = 0.15  # sum of weights from which on a texel is known
_DETAIL = 1.2  # pixels of a view: detail finer than this comes from the best one
_CARRIED = 10.0  # stiffness of the membrane that carries the face's tone to where no view shows it
_CHANGED = 200  # texels that a view must tell of


@attrs.frozen(eq=False)
class FusedSkin:
    """skin: (T, 3) encoded, the whole skin of the face's texels. seen: (T,) 0..1 how well each was seen. views: what
    became of each view, in order: used, residual in 8-bit levels, gain, or a reason why not."""

    skin: npt.NDArray[np.float32]
    seen: npt.NDArray[np.float32]
    views: list[dict[str, Any]]


def tells_enough(observed: Observations) -> bool:
    """Whether a view can take part."""
    return len(observed.texels) >= _CHANGED


def fuse_views(
    observed: Sequence[Observations], old: Floats, regions: Regions, mesh: Mesh, head: int, atlas: Atlas,
    evenness: float,
) -> FusedSkin:  # (T, 3) encoded
    """One skin out of all views' observations of the atlas's texels, whose old colours are `old`.

    A swapper that pastes a photo pastes its light too. Once fused, it is glare and a broad unevenness of the skin,
    which are taken off as from a photo (`evenness` 0..1, 0: left as they are).

    At least one view must tell enough. Raises InputError when too little plain skin was painted to tell its tone.
    """
    told = np.array([tells_enough(o) for o in observed])
    pixel = _texels_per_pixel(observed)
    moves = _moves(observed, told, atlas, pixel)
    everything = Samples.of([moves.applied(i, o) for i, o in enumerate(observed)], len(atlas.rows))
    used, distance, limit = told.copy(), np.full(len(observed), np.nan), float("inf")
    for _ in range(_ROUNDS):
        chosen = everything.only(used)
        gain, bias = solve_colours(chosen)
        matched = chosen.coloured(gain, bias)
        fused = geometric_median(matched)
        now = residuals(matched, fused)
        distance[used] = now[used]
        far, level = too_far(now)
        if not far.any():
            break
        used &= ~far
        limit = min(limit, level)
    else:
        matched = everything.only(used)
        gain, bias = solve_colours(matched)
        matched = matched.coloured(gain, bias)
        fused = geometric_median(matched)
    sharp = with_best_detail(matched, fused, atlas, _DETAIL * pixel)
    seen = np.clip(total_weight(matched) / _FULL, 0, 1)
    linear = linear_from_srgb(sharp)
    if evenness > 0:
        linear = without_glare(linear, seen, regions)
        linear = evened(linear, seen, mesh, head, atlas, regions, evenness)
    difference = (srgb_from_linear(linear) - old) * (seen > 0)[:, None]
    face = regions.face
    carried = membrane(difference, seen**3 * (face > 0), mesh, atlas, head, _CARRIED) * face[:, None]
    skin = old + carried + seen[:, None] * (difference - carried)
    notes = [_note(i, told, used, distance, limit, gain, moves.size(i) / pixel) for i in range(len(observed))]
    return FusedSkin(np.clip(skin, 0, 1).astype(np.float32), seen, notes)


def _moves(
    observed: Sequence[Observations], told: npt.NDArray[np.bool_], atlas: Atlas, pixel: float
) -> Moves:
    """By how much the views have to be moved to show one face; by nothing those that tell too little."""
    gain, bias = solve_colours(Samples.of(observed, len(atlas.rows)).only(told))
    matched = [
        attrs.evolve(o, colour=(o.colour * gain[i] + bias[i]).astype(np.float32), weight=o.weight * told[i])
        for i, o in enumerate(observed)
    ]
    return align(matched, atlas, pixel)


def _texels_per_pixel(observed: Sequence[Observations]) -> float:
    """Side of a view's pixel in texels, usual of the views, at least one texel."""
    sides = [np.sqrt(len(o.texels) / o.pixels) for o in observed if o.pixels]
    return max(1.0, float(np.median(sides)))


def _note(
    view: int, told: npt.NDArray, used: npt.NDArray, distance: Floats, limit: float, gain: Floats, moved: float
) -> dict[str, Any]:
    if not told[view]:
        return {"used": False, "reason": "the swapper changed too little of it"}
    note = {"used": bool(used[view]), "residual": round(float(distance[view]), 3)}
    if used[view]:
        return note | {"gain": [round(float(g), 4) for g in gain[view]], "moved_px": round(moved, 3)}
    return note | {"reason": f"{distance[view]:.1f} levels from the other views; up to {limit:.1f} are usual"}
