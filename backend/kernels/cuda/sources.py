# SPDX-License-Identifier: Apache-2.0
"""The CUDA sources as programs, and the constants that they share with the CPU kernels.

The kernels lie beside their CPU counterparts (`backend/kernels/*/cuda/`). `kernels.cu` here includes those of a step;
they are compiled together, once for each number of SH coefficients, so that loops over coefficients are unrolled. Those
between steps, which few fits ask for, and the swap's are programs of their own, so that none waits for another's
compilation.
"""

from __future__ import annotations

from pathlib import Path

import attrs
import numpy as np

from .. import layout, parameters
from ..adam.cpu import BETA1, BETA2, EPSILON
from ..loss.cpu import C1, C2, gaussian_window
from ..regularization import cpu as regularization

ROOT = Path(__file__).parents[1]
CONSTANTS = "constants.h"

TILE = 8
"""Pixels along a tile's side: one warp, two pixels a lane."""
LOSS_TILE = 32
SORT_THREADS, SORT_ITEMS = 256, 8
SPLAT_THREADS = 128
RASTER_WARPS = 2
SEGMENT_SIZE = 64
"""Entries of a backward warp, a multiple of the rasterizer's batch of 32."""
MESH_THREADS = 128
SMALL_FACE = 128
"""Samples in the box around a face up to which one thread does it alone."""
STRIP_ROWS = 16
"""Rows of samples of a larger face that a block does at a time."""
HUGE = 1e15
KERNELS = (
    "project", "depth_keys", "radix_pass", "emit_entries", "tile_spans", "rasterize", "compare", "differentiate",
    "rasterize_backward", "project_backward", "finish_step",
)  # fmt: skip


@attrs.frozen
class Program:
    """Sources that are compiled together. main: the one that includes the others. rooms: whose `cuda` folders they lie
    in. options: NVRTC's, beside the architecture. kernels: the names of all."""

    main: str
    rooms: tuple[str, ...]
    options: tuple[str, ...]
    kernels: tuple[str, ...]


TRAINING = Program(
    "cuda/kernels.cu",
    ("adam", "binning", "loss", "projection", "rasterization", "spherical_harmonics"),
    ("--std=c++17", "--ftz=true", "--fmad=true"),
    KERNELS,
)
SWAP = Program(
    "mesh_rasterization/cuda/kernels.cu",
    ("mesh_rasterization",),
    ("--std=c++17", "--fmad=false"),
    ("prepare_faces", "nearest_small", "nearest_large", "look_up", "gather", "guide_light", "smooth_light",
     "as_rendered", "blur_rows", "passed_share", "exchange_skin"),
)  # fmt: skip
"""Without fused multiply-adds it rounds as the CPU does: the same faces under the same samples, bit by bit."""

CHANGES = Program(
    "regularization/cuda/kernels.cu",
    ("regularization", "rearrangement"),
    ("--std=c++17", "--ftz=true", "--fmad=true"),
    ("decay", "align", "wander", "rearrange"),
)
"""What happens to splats between steps; one variant for all of them."""


def include_files(program: Program = TRAINING) -> dict[str, str]:
    """Every source by the name under which the others include it, `constants.h` excepted."""
    names = [program.main]
    for room in (*program.rooms, "cuda"):
        pattern = "*.cuh" if room == "cuda" else "cuda/*.cu*"
        names += [path.relative_to(ROOT).as_posix() for path in sorted((ROOT / room).glob(pattern))]
    return {name: (ROOT / name).read_text(encoding="utf-8") for name in names}


@attrs.frozen
class Variant:
    """What the kernels are compiled for."""

    sh_degree: int = 0
    antialiased: bool = False
    program: Program = TRAINING
    depth: bool = False  # a loss with a depth term


def constants(variant: Variant) -> str:
    """The header `constants.h` for such splats."""
    coefficients = (variant.sh_degree + 1) ** 2
    window = ", ".join(_float(v) for v in gaussian_window())
    values = {
        "SH_COEFFICIENTS": coefficients,
        "ANTIALIASED": int(variant.antialiased),
        "DEPTH": int(variant.depth),
        "PARAMETER_ROWS": parameters.ROW_SH + 3 * coefficients,
        "ROW_MEAN": parameters.ROW_MEAN,
        "ROW_QUAT": parameters.ROW_QUAT,
        "ROW_LOG_SCALE": parameters.ROW_LOG_SCALE,
        "ROW_OPACITY": parameters.ROW_OPACITY,
        "ROW_SH": parameters.ROW_SH,
        "CAMERA_SIZE": layout.CAMERA_SIZE,
        "CAMERA_ROTATION": layout.ROTATION,
        "CAMERA_TRANSLATION": layout.TRANSLATION,
        "CAMERA_FOCAL_X": layout.FOCAL_X,
        "CAMERA_FOCAL_Y": layout.FOCAL_Y,
        "CAMERA_CENTRE_X": layout.CENTRE_X,
        "CAMERA_CENTRE_Y": layout.CENTRE_Y,
        "CAMERA_POSITION": layout.POSITION,
        "CAMERA_SLOPE_X_LOW": layout.SLOPE_X_LOW,
        "CAMERA_SLOPE_X_HIGH": layout.SLOPE_X_HIGH,
        "CAMERA_SLOPE_Y_LOW": layout.SLOPE_Y_LOW,
        "CAMERA_SLOPE_Y_HIGH": layout.SLOPE_Y_HIGH,
        "TILE_SIZE": TILE,
        "LOSS_TILE": LOSS_TILE,
        "SORT_THREADS": SORT_THREADS,
        "SORT_ITEMS": SORT_ITEMS,
        "SPLAT_THREADS": SPLAT_THREADS,
        "RASTER_WARPS": RASTER_WARPS,
        "SEGMENT_SIZE": SEGMENT_SIZE,
        "MESH_THREADS": MESH_THREADS,
        "SMALL_FACE": SMALL_FACE,
        "STRIP_ROWS": STRIP_ROWS,
        "EPS2D": _float(layout.EPS2D),
        "MIN_COMPENSATION": _float(layout.MIN_COMPENSATION),
        "NEAR_PLANE": _float(layout.NEAR),
        "MAX_ALPHA": _float(layout.MAX_ALPHA),
        "LOG2_CUTOFF": _float(layout.LOG2_CUTOFF),
        "MIN_TRANSMITTANCE": _float(layout.MIN_TRANSMITTANCE),
        "LOG2_E": _float(layout.LOG2_E),
        "LN_2": _float(np.float32(np.log(2))),
        "HUGE_NUMBER": _float(np.float32(HUGE)),
        "ADAM_BETA1": _float(BETA1),
        "ADAM_BETA2": _float(BETA2),
        "ADAM_EPSILON": _float(EPSILON),
        "SSIM_C1": _float(C1),
        "SSIM_C2": _float(C2),
        "GAUSSIAN_WINDOW": window,
        "LEAST_OPACITY": regularization.LEAST_OPACITY,
        "DEAD_OPACITY": regularization.DEAD_OPACITY,
        "WANDER_SHARPNESS": regularization.SHARPNESS,
        "LEAST_GATE": regularization.LEAST_GATE,
        "LARGEST_LOG_SCALE": regularization.LARGEST_LOG_SCALE,
        "PHILOX_M0": f"{regularization.MULTIPLIERS[0]}u",
        "PHILOX_M1": f"{regularization.MULTIPLIERS[1]}u",
        "PHILOX_W0": f"{regularization.KEY_STEPS[0]}u",
        "PHILOX_W1": f"{regularization.KEY_STEPS[1]}u",
        "PHILOX_ROUNDS": regularization.ROUNDS,
    }
    return "#pragma once\n" + "".join(f"#define {name} {value}\n" for name, value in values.items())


def _float(value: np.floating) -> str:
    """A C literal that reads back to the very same float32."""
    return f"{float(np.float32(value))!r}f".replace("inff", "INFINITY")
