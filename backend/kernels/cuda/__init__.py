# SPDX-License-Identifier: Apache-2.0
"""The CUDA engine. Nothing heavy is imported before `availability` or `open_engine` is called."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from typing import TYPE_CHECKING

from interchange.cameras import Camera
from interchange.errors import InputError, Progress

NO_DRIVER = "There is no NVIDIA driver here."

if TYPE_CHECKING:
    from .device import CudaDevice
    from .engine import CudaEngine


def availability() -> tuple[bool, str]:
    """Whether the CUDA engine can run here, and one sentence that says on what or why not."""
    try:
        from .device import CudaDevice

        device = CudaDevice()
    except ImportError:
        if shutil.which("nvidia-smi") is None:  # then install.py has left the package out, and rightly
            return False, NO_DRIVER
        return False, "There is an NVIDIA driver, but not the package cuda-bindings: run python3 install.py install."
    except Exception as error:  # cuda-bindings has its own exceptions for a missing driver library
        if "NVIDIA driver library" in str(error):
            return False, NO_DRIVER
        return False, _first_sentence(error)
    try:
        return _verdict(device)
    finally:
        device.close()


def _verdict(device: CudaDevice) -> tuple[bool, str]:
    from .compiler import OLDEST_ARCHITECTURE, compiler_version

    if device.architecture < OLDEST_ARCHITECTURE:
        return False, (
            f"{device.name} has compute capability {device.architecture / 10:.1f}, "
            f"and the kernels need {OLDEST_ARCHITECTURE / 10:.1f} or newer."
        )
    try:
        major, minor = compiler_version()
    except Exception as error:  # as above
        return False, f"CUDA's run-time compiler NVRTC is not installed ({_first_sentence(error).rstrip('.')})."
    return True, f"CUDA runs on {device.describe()}, kernels compiled by NVRTC {major}.{minor}."


def open_engine(
    count: int = 0, cameras: Sequence[Camera] = (), sh_degree: int = 0, progress: Progress | None = None
) -> CudaEngine:
    """The engine on the first GPU. Raises InputError with the reason where there is none.

    RES_GPU_MEMORY if the splats and the frames of `cameras` alone leave no room; the session looks again when it knows
    its targets.
    """
    fine, sentence = availability()
    if not fine:
        raise InputError(sentence, "Choose the engine cpu, or run `digidouble doctor`.", "RES_NO_GPU")
    from .device import CudaDevice
    from .engine import CudaEngine

    device = CudaDevice(progress=progress)
    engine = CudaEngine(device)
    try:
        engine.check_memory(count, cameras, sh_degree)
    except BaseException:
        device.close()
        raise
    return engine


def _first_sentence(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if text.endswith(".") else text + "."
