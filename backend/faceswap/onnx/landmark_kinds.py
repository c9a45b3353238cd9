# SPDX-License-Identifier: Apache-2.0
"""Which networks find the 68 facial points, and which finds faces: what is known of each, as data, and recognition by
the names and shapes at their border. Networks with other points are known too, in order to be refused in words.

FAN: Bulat and Tzimiropoulos, "How far are we from solving the 2D & 3D Face Alignment problem?", ICCV 2017.
1k3d68: InsightFace's model packs. YuNet: Wu et al., "YuNet: A Tiny Millisecond-level Face Detector", 2023.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from interchange.errors import InputError
from interchange.mesh import LANDMARK_COUNT

from .onnx_file import Border, Signature

HEATMAP = 64
"""Edge of FAN's heatmaps, in their pixels."""
VERTICES = 1103
"""Points of 1k3d68's face in space; the last 68 are the scheme's."""
FIRST_NODES = 8
DETECTOR_LICENCE = "MIT (OpenCV Zoo)"
_YUNET = frozenset(f"{what}_{stride}" for what in ("cls", "obj", "bbox", "kps") for stride in (8, 16, 32))
_OLD_YUNET = frozenset({"loc", "conf", "iou"})
_WANTED = (
    "Supported are 2DFAN4 (input [1, 3, 256, 256], heatmaps [1, 68, 64, 64]) and "
    "1k3d68 (input [1, 3, 192, 192], output [1, 3309])."
)


@attrs.frozen
class LandmarkKind:
    """One kind of landmarker.

    size: edge of its crop in pixels. mean, scale: its input is (x - mean) * scale of x in 0..1. least_score: of a point
    that is taken. heatmaps: it gives one a point, or coordinates with scores in their pixels; otherwise a face in
    space, without scores. licence: as its makers state it, for information.
    """

    id: str
    size: int
    licence: str
    heatmaps: bool
    least_score: float
    mean: float = 0.0
    scale: float = 1.0


FAN = LandmarkKind("2dfan4", 256, "BSD-3-Clause (Bulat and Tzimiropoulos)", heatmaps=True, least_score=0.2)
SPACE = LandmarkKind(
    "1k3d68", 192, "non-commercial (InsightFace)", heatmaps=False, least_score=0.5, mean=0.5, scale=255 / 128
)


def recognise_landmarker(signature: Signature, name: str, operations: Sequence[str] = ()) -> LandmarkKind:
    """The kind of the landmarker in file `name`. operations: of the graph's first nodes; a 1k3d68 that begins with Sub
    and Mul brings its own mean and scale, and takes 0..255.

    Raises InputError for any other network; for those of other points it says which they have.
    """
    kind = landmarker_of(signature)
    if kind is SPACE and {"Sub", "Mul"} <= set(operations[:FIRST_NODES]):
        return attrs.evolve(SPACE, mean=0.0, scale=255.0)
    if kind is not None:
        return kind
    if (other := other_points(signature)) is not None:
        raise InputError(f"The landmarker {name} gives {other}.", _WANTED)
    raise InputError(f"The model {name} is no landmarker that is known: it has {signature}.", _WANTED)


def landmarker_of(signature: Signature) -> LandmarkKind | None:
    """The kind, None for any other network."""
    if len(signature.inputs) != 1:
        return None
    entry, outputs = signature.inputs[0], signature.outputs
    if entry.takes((1, 3, FAN.size, FAN.size)) and any(is_heatmaps(o) or is_scored(o) for o in outputs):
        return FAN
    is_space = len(outputs) == 1 and _gives(outputs[0], 3 * VERTICES)
    return SPACE if is_space and entry.takes((1, 3, SPACE.size, SPACE.size)) else None


def is_detector(signature: Signature) -> bool:
    """True for YuNet of 2023, the face detector that OpenCV runs."""
    outputs = {output.name for output in signature.outputs}
    return len(signature.inputs) == 1 and len(signature.inputs[0].shape) == 4 and outputs == _YUNET


def is_old_detector(signature: Signature) -> bool:
    """True for YuNet before 2023."""
    return {output.name for output in signature.outputs} == _OLD_YUNET


def check_detector(signature: Signature, name: str) -> None:
    """InputError if the file is no face detector that OpenCV runs."""
    if is_detector(signature):
        return
    hint = "Take YuNet as OpenCV publishes it since 2023 (face_detection_yunet_2023mar.onnx)."
    if is_old_detector(signature):
        raise InputError(f"The detector {name} is a YuNet from before 2023, which OpenCV no longer runs.", hint)
    raise InputError(f"The model {name} is no face detector that is known: it has {signature}.", hint)


def is_heatmaps(output: Border) -> bool:
    """True for one heatmap a point."""
    return output.takes((1, LANDMARK_COUNT, HEATMAP, HEATMAP)) and output.shape[1] is not None


def is_scored(output: Border) -> bool:
    """True for x, y and score a point."""
    return output.takes((1, LANDMARK_COUNT, 3)) and output.shape[1] is not None


def other_points(signature: Signature) -> str | None:
    """What a network of other points gives, in words; None for what is no landmarker at all."""
    if len(signature.inputs) != 1 or not signature.inputs[0].takes((1, 3, None, None)):
        return None
    for output in signature.outputs:
        if _gives(output, 212) or output.takes((1, 106, 2)) and output.shape[1] == 106:
            return "106 points of another scheme, not the 68 of iBUG"
        if _gives(output, 196):
            return "98 points of another scheme, not the 68 of iBUG"
        if output.takes((1, None, HEATMAP, HEATMAP)) and (output.shape[1] or 68) not in (1, 3, 68):
            return f"{output.shape[1]} heatmaps, not one for each of 68 points"
        if _gives(output, 2 * LANDMARK_COUNT):
            return "136 numbers: files like that differ in what they take in and how they crop, and do not say which"
    return None


def _gives(output: Border, count: int) -> bool:
    return output.takes((1, count)) and output.shape[1] is not None
