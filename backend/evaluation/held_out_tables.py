# SPDX-License-Identifier: Apache-2.0
"""Tables 1 and 2 of a double: its pictures and the controls, at the held-out views, against swap and source."""

from __future__ import annotations

from collections.abc import Mapping

import attrs
import numpy as np
import numpy.typing as npt

from backend.faceswap.source import Photo
from interchange.capture import Capture
from interchange.errors import InputError

from .controls import pasted_rigidly
from .tables import MIN_FACE, RIGID, TABLE_1, TABLE_2, TRUE_SWAP, TRUTH, UNTOUCHED, Goal, Row, table

Image = npt.NDArray[np.float32]
FIT, SWAPPED = "fit", "swapped views"


def held_out_tables(
    capture: Capture,
    swapped: Capture,
    truth: Capture | None,
    source_views: Capture | None,
    photo: Photo | None,
    fitted: Mapping[str, Image],
) -> dict[str, dict[str, Row]]:
    """Table 1 (against `swapped`), with `truth` the same against the true swap, with `source_views` Table 2.

    fitted: the fit's pictures by view name. photo: for the rigid control. Raises InputError when the source's avatar
    was not seen by the capture's cameras.
    """
    rows = _pictures(capture, truth, photo, fitted)
    goals = goals_of(capture, swapped)
    found = {TABLE_1: table(rows, goals)}
    rows = {SWAPPED: [g.picture for g in goals], **rows}
    if truth is not None:
        found[TRUTH] = table({k: v for k, v in rows.items() if k != TRUE_SWAP}, goals_of(capture, truth))
    if source_views is not None:
        _check_cameras(capture, source_views)
        found[TABLE_2] = table(rows, goals_of(capture, source_views, shared_face=True))
    return found


def _pictures(
    capture: Capture, truth: Capture | None, photo: Photo | None, fitted: Mapping[str, Image]
) -> dict[str, list[Image]]:
    views = capture.held_out_views
    rows = {FIT: [fitted[v.name] for v in views], UNTOUCHED: [capture.load_view(v, ()).display() for v in views]}
    if photo is not None:
        meshes = {pose.name: capture.load_mesh(pose) for pose in capture.poses}
        rows[RIGID] = []
        for view in views:
            images = capture.load_view(view)
            rgb = pasted_rigidly(photo, images, meshes[capture.pose_of(view).name], view.camera)
            rows[RIGID].append(attrs.evolve(images, rgb=rgb).display())
    if truth is not None:
        rows[TRUE_SWAP] = [truth.load_view(truth.view(v.name), ()).display() for v in views]
    return rows


def goals_of(capture: Capture, goal: Capture, shared_face: bool = False) -> list[Goal]:
    """A capture's held-out pictures, with the target's masks. shared_face: only where both show a face: over the
    target's cheek the source's avatar may have hair."""
    result = []
    for view in capture.held_out_views:
        images = capture.load_view(view, ("mask",))
        masks = images.masks
        picture = goal.load_view(goal.view(view.name), ("mask",))
        face = masks.get("face")
        if shared_face and face is not None and "face" in picture.masks:
            face = np.minimum(face, picture.masks["face"])
        if face is not None and face.sum() < MIN_FACE * face.size:
            face = None
        result.append(Goal(picture.display(), face, masks.get("skin"), images.display()))
    return result


def _check_cameras(capture: Capture, source_views: Capture) -> None:
    for view in capture.held_out_views:
        other = source_views.view(view.name).camera
        if (other.width, other.height) != (view.camera.width, view.camera.height) or not np.allclose(
            other.rotation, view.camera.rotation, atol=1e-4
        ):
            raise InputError(
                f"The views in {source_views.folder} were not taken by the capture's cameras ({view.name}).",
                "Capture the source's avatar with --cameras-of.",
            )
