# SPDX-License-Identifier: Apache-2.0
"""Which engine computes a fit, and why: the CPU's kernels, our CUDA kernels, or gsplat.

A GPU engine is a package `backend.kernels.<name>` with two functions. `availability()` tells whether it works on this
machine, and why or why not in one sentence. `open_engine(count, cameras, sh_degree, progress)` gives a `Rasterizer` for
up to `count` splats, which tells `progress` what it compiles, or raises InputError with the code RES_GPU_MEMORY, the
estimate and the setting to lower, before it takes any memory. The packages are imported only here and only when they
are asked for.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from types import ModuleType

import attrs

from backend.kernels.engine import CpuEngine, compile_kernels
from backend.kernels.rasterizer import Rasterizer
from interchange.cameras import Camera
from interchange.errors import InputError, Progress, messages_only

from .settings import FitSettings

NAMES = {"cuda": "CUDA", "gsplat": "gsplat"}


@attrs.frozen
class EngineChoice:
    """An engine's name and the sentence for the user that says why it was taken."""

    name: str
    reason: str


def choose_engine(settings: FitSettings) -> EngineChoice:
    """What `settings.engine` comes to on this machine. InputError (RES_NO_GPU) if what was asked for does not work."""
    if settings.engine == "cpu":
        return EngineChoice("cpu", "The CPU was asked for.")
    name = "cuda" if settings.engine == "auto" else settings.engine
    works, sentence = _availability(name)
    if works:
        return EngineChoice(name, sentence)
    if settings.engine == "auto":
        return EngineChoice("cpu", f"{sentence} The CPU fits.")
    raise InputError(f"The engine {name} cannot be used: {sentence}", "Leave the engine at auto.", "RES_NO_GPU")


def open_engine(
    choice: EngineChoice, settings: FitSettings, cameras: Sequence[Camera], progress: Progress | None = None
) -> Rasterizer:
    """The engine, with room for `settings.most_splats` and the cameras' frames; InputError if memory is short.

    `progress` hears what is compiled, as the beginning of the stage "fit".
    """
    if choice.name == "cpu":
        compile_kernels(messages_only(progress, "fit"))  # a first start takes half a minute, which must not look dead
        width, height = max(c.width for c in cameras), max(c.height for c in cameras)
        return CpuEngine(settings.most_splats, width, height, settings.sh_degree, settings.threads)
    engine: Rasterizer = _package(choice.name).open_engine(
        settings.most_splats, cameras, settings.sh_degree, messages_only(progress, "fit")
    )
    return engine


def _package(name: str) -> ModuleType:
    return importlib.import_module(f"backend.kernels.{name}")


def _availability(name: str) -> tuple[bool, str]:
    try:
        works, sentence = _package(name).availability()
    except ImportError as error:
        return False, f"{NAMES[name]} is not installed ({error})."
    return bool(works), str(sentence)
