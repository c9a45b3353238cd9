# SPDX-License-Identifier: Apache-2.0
"""The performer's shape in 3D: outlines and surface against the performer's own mesh, expressions before and after."""

from __future__ import annotations

from pathlib import Path

import attrs
import numpy as np
import numpy.typing as npt

from backend.blender_process import run_blender
from backend.evaluation.silhouette import expression_error, keys_of, mesh_silhouette, performers_shape, silhouette_iou
from backend.faceswap.settings import SwapSettings
from backend.faceswap.shape import moved_mesh
from backend.faceswap.shape.files import OFFSET
from backend.faceswap.swap import swap
from backend.whole_job import ADDON
from interchange.capture import Capture, Pose
from interchange.errors import InputError
from interchange.mesh import Mesh

from .bars import Bar
from .swap_robustness import several_photos
from .swap_scene import EXPRESSION, Scene

_LEARNT, _JUDGED = 16, 8  # poses that tell how the shape keys move the mesh, and poses that are measured


@attrs.frozen
class ShapeRow:
    """iou, worst: outline of the head in all views against the performer's, mean and least. error_mm: distance of the
    face's vertices from the performer's, mean."""

    iou: float
    worst: float
    error_mm: float


def portraits(scene: Scene, root: Path) -> dict[str, Path]:
    """Source folders: the one portrait, and three with the head turned by 0, 45 and -45 degrees."""
    folders = {"photo_+0": scene.source}
    for yaw in (45, -45):
        folder = folders[f"photo_{yaw:+d}"] = root / f"source_{yaw:+d}"
        if not (folder / "consent.json").exists():
            print(f"  rendering {folder.name}", flush=True)
            run_blender(ADDON, ["portrait", "--blend", root / "source.blend", "--out", folder, "--expression",
                                EXPRESSION, "--pose", f"head=0,{yaw},0"], log=root / "blender.log")  # fmt: skip
    return {"one portrait": scene.source, "three portraits": several_photos(folders, root / "source_three")}


def shape_rows(scene: Scene, root: Path, sources: dict[str, Path]) -> dict[str, ShapeRow]:
    """The untouched target, and a swap with shape 1 from each source folder. The truth is the performer's own rest mesh
    in the target's place (backend/evaluation/silhouette.py)."""
    capture = Capture.load(scene.capture)
    target, performer = _head_of(capture), _head_of(Capture.load(scene.source_views))
    if target.faces.shape != performer.faces.shape:
        raise InputError("The two avatars' heads differ in topology.", "Choose a pair of one kind.")
    found: dict[str, ShapeRow] = {}
    for name, source in sources.items():
        print(f"  swapping with shape 1: {name}", flush=True)
        folder = root / "swapped" / f"shape_{name.replace(' ', '_')}"
        swap(scene.capture, source, folder, SwapSettings(shape=1.0))
        moved = _head_of(Capture.load(folder))
        truth = attrs.evolve(moved, vertices=_posed(target, performers_shape(target, performer, moved.rest_vertices)))
        if not found:
            still = attrs.evolve(
                target, vertices=_posed(target, performers_shape(target, performer, target.rest_vertices))
            )
            found["untouched target"] = _row(capture, target, still)
        found[f"uv, shape 1, {name}"] = _row(capture, moved, truth)
    return found


def _head_of(capture: Capture, pose: Pose | None = None) -> Mesh:
    """The head alone, whose vertices come first: hair and lashes differ from avatar to avatar."""
    head, _ = capture.object_of_part("head")
    mesh = capture.load_mesh(pose)
    mine = mesh.face_object == head
    count = int(mesh.faces[mine].max()) + 1
    per_vertex = ("vertices", "rest_vertices", "normals", "region_face", "region_lips", "region_brows", "bone_index",
                  "bone_weight")  # fmt: skip
    per_face = ("faces", "face_uvs", "face_object", "face_region")
    return attrs.evolve(
        mesh,
        **{name: getattr(mesh, name)[:count] for name in per_vertex},
        **{name: getattr(mesh, name)[mine] for name in per_face},
    )


def _posed(target: Mesh, rest: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """In the pose of a neutral capture, which is the rest pose."""
    return np.asarray(target.vertices + (rest - target.rest_vertices), np.float32)


def _row(capture: Capture, mesh: Mesh, truth: Mesh) -> ShapeRow:
    overlaps = [
        silhouette_iou(*(mesh_silhouette(m.vertices, m.faces, view.camera) for m in (mesh, truth)))
        for view in capture.views
    ]
    inside = mesh.region_face > 0.5
    error = 1e3 * np.linalg.norm(mesh.vertices - truth.vertices, axis=1)[inside].mean()
    return ShapeRow(round(float(np.mean(overlaps)), 4), round(float(np.min(overlaps)), 4), round(float(error), 3))


def expression_errors(scene: Scene, root: Path, swapped: Path) -> tuple[float, float]:
    """Shape-key error of the untouched target (the measure's own floor) and of the target with the performer's shape,
    by poses with random expressions; only their meshes count, so the pictures are tiny."""
    folder = root / "expressions"
    if not (folder / "capture.json").exists():
        print("  posing expressions", flush=True)
        count = str(_LEARNT + _JUDGED)
        run_blender(ADDON, ["capture", "--blend", root / "target.blend", "--out", folder, "--expressions", count,
                            "--spread", "--train", count, "--held-out", "0", "--size", "16", "--samples", "1"],
                    log=root / "blender.log")  # fmt: skip
    poses = Capture.load(folder)
    with np.load(swapped / OFFSET) as stored:
        offset = stored["offset"]
    capture = Capture.load(scene.capture)
    neutral, bones = _head_of(capture), capture.poses[0].bones
    offset = offset[: len(neutral.vertices)]
    names = sorted({key for pose in poses.poses for key in pose.shape_keys})
    values = np.array([[pose.shape_keys.get(name, 0.0) for name in names] for pose in poses.poses])
    before = np.stack([_head_of(poses, pose).vertices for pose in poses.poses])
    after = np.stack([moved_mesh(_head_of(poses, pose), offset, pose.bones).vertices for pose in poses.poses])
    keys = keys_of(neutral.vertices, before[:_LEARNT], values[:_LEARNT])
    still = expression_error(neutral.vertices, before[_LEARNT:], keys, values[_LEARNT:])
    moved = moved_mesh(neutral, offset, bones).vertices
    return still, expression_error(moved, after[_LEARNT:], keys, values[_LEARNT:])


def shape_bars(rows: dict[str, ShapeRow], errors: tuple[float, float]) -> list[Bar]:
    """Outlines of every source, expressions of the first."""
    return [
        Bar("untouched: silhouette IoU", rows["untouched target"].iou),
        *[Bar(f"{n}: silhouette IoU", r.iou, at_least=0.97) for n, r in rows.items() if n.startswith("uv")],
        Bar("untouched: shape-key error", 100 * errors[0], "%"),
        Bar("uv, shape 1: shape-key error", 100 * errors[1], "%", at_most=5),
    ]


def shape_lines(rows: dict[str, ShapeRow]) -> list[str]:
    """The table for the terminal."""
    head = f"{'shape against the performer':<40}{'IoU':>8}{'worst':>8}{'mm in the face':>16}"
    return [head, *(f"{name:<40}{r.iou:>8.4f}{r.worst:>8.4f}{r.error_mm:>16.2f}" for name, r in rows.items())]
