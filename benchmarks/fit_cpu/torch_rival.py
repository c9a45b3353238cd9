# SPDX-License-Identifier: Apache-2.0
"""torch's autograd on the same work: the kernels' references, a tile against its own list of splats at a time.

Imported only when it is wanted: torch brings a second OpenMP, whose idle threads would disturb the other parts.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
import torch

from backend.kernels.adam.reference import adam_steps
from backend.kernels.engine import CpuEngine, SplatParameters
from backend.kernels.layout import TILE, padded
from backend.kernels.loss.reference import compare
from backend.kernels.projection.reference import project
from backend.kernels.rasterization.reference import rasterize
from interchange.cameras import Camera

from ..bars import Bar
from .scenes import VIEWS, Picture, Work
from .timing import take_turns

TORCH_SCENE = (20_000, 256, 60.0)
TORCH_TURNS = 3


def tile_lists(engine: CpuEngine, camera: Camera) -> list[list[int]]:
    """The splats of each tile, nearest first, as the engine has binned them for its last frame."""
    starts = engine._frame.tile_start
    tiles = padded(camera.width) // TILE * (padded(camera.height) // TILE)
    return [engine._entries.splat[starts[t] : starts[t + 1]].tolist() for t in range(tiles)]


def render_by_tiles(
    block: torch.Tensor, coefficients: int, camera: Camera, lists: list[list[int]]
) -> tuple[torch.Tensor, torch.Tensor]:
    """The dense reference, tile by tile: every pixel of a tile against the splats of its list."""
    projected = project(block, coefficients, camera)
    across, down = padded(camera.width) // TILE, padded(camera.height) // TILE
    colours, transmittances = [], []
    for tile, splats in enumerate(lists):
        origin = torch.tensor([tile % across * TILE, tile // across * TILE], dtype=block.dtype)
        chosen = projected._replace(**{
            name: getattr(projected, name)[splats]
            for name in ("covariances", "opacities", "colours", "depths", "drawn")
        }, means=projected.means[splats] - origin)  # fmt: skip
        colour, transmittance = rasterize(chosen, list(range(len(splats))), TILE, TILE)
        colours.append(colour)
        transmittances.append(transmittance)
    colour = torch.stack(colours).reshape(down, across, TILE, TILE, 3).transpose(1, 2).reshape(down * TILE, -1, 3)
    through = torch.stack(transmittances).reshape(down, across, TILE, TILE).transpose(1, 2).reshape(down * TILE, -1)
    return colour[: camera.height, : camera.width], through[: camera.height, : camera.width]


def torch_step(
    parameters: SplatParameters, camera: Camera, picture: Picture, lists: list[list[int]], dtype: torch.dtype
) -> tuple[float, torch.Tensor]:
    """Loss and gradient by autograd; then Adam, with all rates zero as in `Work`."""
    block = torch.tensor(parameters.block, dtype=dtype, requires_grad=True)
    colour, transmittance = render_by_tiles(block, (parameters.sh_degree + 1) ** 2, camera, lists)
    shape = (camera.height, camera.width)
    alpha = np.ones(shape) if picture.alpha is None else picture.alpha
    l1, dssim, alpha_l1 = compare(
        colour, transmittance, torch.tensor(picture.rgb, dtype=dtype), torch.tensor(alpha, dtype=dtype),
        torch.zeros(3, dtype=dtype), torch.ones(shape, dtype=dtype),
    )  # fmt: skip
    loss = 0.8 * l1 + 0.2 * dssim + 0.1 * alpha_l1
    loss.backward()
    gradient = block.grad
    assert gradient is not None
    adam_steps(block.detach(), [gradient], torch.zeros(len(block), dtype=dtype))
    return float(loss.detach()), gradient


def run(options: argparse.Namespace) -> tuple[list[Bar], dict[str, Any]]:
    """One step of torch, in float32 with all its threads, in turns with one of ours on the same view."""
    count, size, limit = TORCH_SCENE
    work = Work.of(count, size)
    camera, picture = work.cameras[0], work.pictures[0]
    work.engine.gradients(work.parameters, work.views[0])
    lists = tile_lists(work.engine, camera)
    losses: list[float] = []

    def theirs() -> None:
        losses.append(torch_step(work.parameters, camera, picture, lists, torch.float32)[0])

    def ours() -> None:
        for _ in range(VIEWS):
            work.step()

    mine, torchs = take_turns([ours, theirs], TORCH_TURNS, warm_up=1)
    loss = work.engine.gradients(work.parameters, work.views[0])[0].loss
    wall, cpu = torchs.wall / (mine.wall / VIEWS), torchs.cpu / (mine.cpu / VIEWS)
    name = f"step {count // 1000}k at {size}^2"
    bars = [
        Bar(f"{name}: faster than torch, wall", wall, "x", at_least=limit),
        Bar(f"{name}: faster than torch, CPU", cpu, "x"),
        Bar(f"{name}: torch's loss over ours, less one", abs(losses[-1] / loss - 1), "", at_most=1e-4),
    ]
    table = {
        "torch_wall_ms": torchs.wall, "torch_cpu_ms": torchs.cpu, "ours_wall_ms": mine.wall / VIEWS,
        "ours_cpu_ms": mine.cpu / VIEWS, "torch_threads": torch.get_num_threads(),
    }  # fmt: skip
    return bars, table
