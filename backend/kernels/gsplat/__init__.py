# SPDX-License-Identifier: Apache-2.0
"""The engine `gsplat`: a public rasterizer on an NVIDIA GPU, the cross-check of the project's own kernels.

Its kernels are compiled where they are not yet (build.py, patches.py) and verified against the references (check.py)
before the engine (engine.py) is handed out. torch and gsplat are not imported before a function is called.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from interchange.cameras import Camera
from interchange.errors import InputError, Progress

if TYPE_CHECKING:
    from .engine import GsplatEngine


def availability() -> tuple[bool, str]:
    """Whether gsplat can run here, and one sentence that says on what or why not. Nothing is compiled."""
    from .build import MODULE, SOURCES, find_extension, require_torch

    try:
        extension, toolchain = find_extension()
    except InputError as error:
        return False, f"gsplat is not used: {error.message}"
    torch = require_torch()
    sentence = f"gsplat runs on {torch.cuda.get_device_name()} with torch {torch.__version__}"
    if toolchain is not None and not extension.is_file():
        return True, f"{sentence}; its {MODULE} module is compiled first, {len(SOURCES)} files."
    return True, sentence + "."


def open_engine(
    count: int = 0, cameras: Sequence[Camera] = (), sh_degree: int = 0, progress: Progress | None = None
) -> GsplatEngine:
    """The engine on torch's present GPU, compiled and verified first where that was not done yet.

    Raises InputError: RES_NO_GPU with the reason if it cannot run, RES_GPU_MEMORY if the splats and the frames of
    `cameras` leave no room.
    """
    fine, sentence = availability()
    if not fine:
        raise InputError(sentence, "Choose the engine auto, cuda or cpu.", "RES_NO_GPU")
    from . import check

    engine = check.open_engine(progress=progress)
    engine.check_memory(count, cameras, sh_degree)
    return engine
