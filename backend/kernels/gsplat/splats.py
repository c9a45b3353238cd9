# SPDX-License-Identifier: Apache-2.0
"""Splats, Adam's moments, cameras and targets on the GPU, in the layouts that gsplat reads.

A `Group` is a block of rows of `SplatParameters` turned into one tensor (P, rows), a splat a row; together the groups
hold every row. P counts the padding columns too: they are invisible, and gsplat cannot take an empty list.
`torch` is handed in, so that importing this module does not import it.
"""

from __future__ import annotations

from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from interchange.cameras import Camera

from ..layout import camera_numbers
from ..parameters import ROW_LOG_SCALE, ROW_MEAN, ROW_OPACITY, ROW_QUAT, ROW_SH, AdamState, SplatParameters
from ..rasterizer import Target, finite_for_camera

Array = npt.NDArray[np.float32]
Tensor = Any

MEANS, QUATS, LOG_SCALES, OPACITY, SH_BASE, SH_REST = range(6)
_BOUNDS = (ROW_MEAN, ROW_QUAT, ROW_LOG_SCALE, ROW_OPACITY, ROW_SH, ROW_SH + 3, None)
HUGE = 1e15
_LARGEST_LOG_SCALE = 30.0
_DEAD_LOGIT = -100.0


@attrs.define(eq=False)
class Group:
    """One parameter of every splat, with its moments; all (P, rows) contiguous float32."""

    values: Tensor  # a leaf that asks for its gradient
    first: Tensor
    second: Tensor


@attrs.define(eq=False)
class DeviceSplats:
    """The groups MEANS .. SH_REST, the last only above SH degree 0."""

    groups: list[Group]
    sh_degree: int
    antialiased: bool
    sound: npt.NDArray[np.bool_]  # (P,) False: held NaN or absurd numbers when it came in, is not drawn and not changed


@attrs.frozen(eq=False)
class DeviceCamera:
    """A camera as gsplat wants it, on the GPU; float32."""

    view: Tensor  # (1, 4, 4) world to camera
    K: Tensor  # (1, 3, 3)
    position: Tensor  # (3,) in the world
    width: int
    height: int


@attrs.frozen(eq=False)
class DeviceTarget:
    """A picture to fit, on the GPU; float32."""

    rgb: Tensor  # (H, W, 3) premultiplied
    alpha: Tensor  # (H, W)
    weights: Tensor | None  # (H, W) factor of every loss term; None: 1


def row_slices(rows: int) -> list[slice]:
    """The rows of each group that a block of `rows` rows has."""
    count = SH_REST if rows == ROW_SH + 3 else SH_REST + 1
    return [slice(_BOUNDS[i], _BOUNDS[i + 1] if i < count - 1 else rows) for i in range(count)]


def _sound_columns(block: Array) -> npt.NDArray[np.bool_]:
    with np.errstate(invalid="ignore"):
        usable = (np.abs(block) < HUGE).all(axis=0)
        usable &= (block[ROW_LOG_SCALE:ROW_OPACITY] < _LARGEST_LOG_SCALE).all(axis=0)
    return np.asarray(usable & (block[ROW_QUAT:ROW_LOG_SCALE] != 0).any(axis=0))


def _without_broken(block: Array, sound: npt.NDArray[np.bool_]) -> Array:
    if sound.all():
        return block
    result = np.where(sound, block, np.float32(0))
    result[ROW_QUAT, ~sound], result[ROW_OPACITY, ~sound] = 1, _DEAD_LOGIT
    return result


def upload_splats(torch: Any, parameters: SplatParameters, adam: AdamState | None, device: Any) -> DeviceSplats:
    """Copy everything to the GPU; without `adam` the moments are empty, for rendering only."""
    sound = _sound_columns(parameters.block)
    values = torch.from_numpy(_without_broken(parameters.block, sound)).to(device)
    moments = [torch.from_numpy(block).to(device) for block in (adam.first, adam.second)] if adam else []
    groups = []
    for rows in row_slices(len(parameters.block)):
        leaf = _transposed(torch, values[rows]).requires_grad_(adam is not None)
        empty = torch.empty(0, device=device)
        first, second = (_transposed(torch, block[rows]) for block in moments) if moments else (empty, empty)
        groups.append(Group(leaf, first, second))
    return DeviceSplats(groups, parameters.sh_degree, parameters.antialiased, sound)


def _transposed(torch: Any, rows: Tensor) -> Tensor:
    """A copy, also of a single row, for which contiguous() would keep the whole block alive."""
    return rows.T.clone(memory_format=torch.contiguous_format)


def download_splats(torch: Any, splats: DeviceSplats, parameters: SplatParameters, adam: AdamState) -> None:
    """Copy everything back, except for columns that were broken when they came in."""
    pairs = [
        (parameters.block, [group.values.detach() for group in splats.groups]),
        (adam.first, [group.first for group in splats.groups]),
        (adam.second, [group.second for group in splats.groups]),
    ]
    for block, tensors in pairs:
        np.copyto(block, joined(torch, tensors), where=splats.sound)


def download_shape(torch: Any, splats: DeviceSplats) -> Array:
    """(11, P) the rows up to the opacity, those of broken columns as they are drawn: not at all."""
    return joined(torch, [group.values.detach() for group in splats.groups[: OPACITY + 1]])


def upload_shape(torch: Any, splats: DeviceSplats, rows: Array) -> None:
    """Take over the rows of `download_shape`; broken columns stay as they are."""
    rows = _without_broken(rows, splats.sound)
    with torch.no_grad():
        for group, own in zip(splats.groups, row_slices(ROW_SH + 3)[: OPACITY + 1], strict=False):
            group.values.copy_(torch.from_numpy(rows[own].T))


def joined(torch: Any, tensors: list[Tensor]) -> Array:
    """(rows, P) on the CPU from one tensor a group."""
    result: Array = torch.cat(tensors, dim=1).T.contiguous().cpu().numpy()
    return result


def upload_camera(torch: Any, camera: Camera, device: Any) -> DeviceCamera:
    """InputError if the camera holds NaN, has skew or no focal length."""
    camera_numbers(camera)

    def tensor(values: Any) -> Tensor:
        return torch.tensor(np.asarray(values, np.float32), device=device)

    view, K = tensor(camera.world_to_camera)[None], tensor(camera.K)[None]
    return DeviceCamera(view, K, tensor(camera.position), camera.width, camera.height)


def upload_target(torch: Any, target: Target, device: Any) -> DeviceTarget:
    """InputError if an array does not fit the camera or holds NaN."""
    shape = (target.camera.height, target.camera.width)
    rgb = _for_torch("image", target.rgb, (*shape, 3))
    alpha = np.ones(shape, np.float32) if target.alpha is None else _for_torch("alpha", target.alpha, shape)
    weights = None
    if target.pixel_weights is not None:
        weights = torch.from_numpy(_for_torch("weights", target.pixel_weights, shape)).to(device)
    return DeviceTarget(torch.from_numpy(rgb).to(device), torch.from_numpy(alpha).to(device), weights)


def _for_torch(name: str, array: Any, shape: tuple[int, ...]) -> Array:
    result = np.ascontiguousarray(finite_for_camera(name, array, shape))
    return result if result.flags.writeable else result.copy()  # torch shares the memory only of writeable arrays
