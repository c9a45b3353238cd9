# SPDX-License-Identifier: Apache-2.0
"""Whether the CPU or a GPU changes a swap's views, and why."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs

from backend.kernels import cuda
from backend.kernels.cuda.device import Device
from interchange.cameras import Camera
from interchange.capture import ViewImages
from interchange.errors import InputError, Progress, messages_only
from interchange.mesh import Mesh

from .gpu import GpuExchange
from .views import Floats, Skins, exchange_skin

OpenDevice = Callable[[Progress | None], tuple[Device | None, str]]
"""A GPU, or None, and one sentence that says which or why not."""


@attrs.frozen(eq=False)
class ViewEngine:
    """change: a view's images, its mesh and camera to its new rgb, from any thread. name: cpu or cuda. reason: why it
    was taken, one sentence. close: gives back what it holds."""

    change: Callable[[ViewImages, Mesh, Camera], Floats]
    name: str
    reason: str
    close: Callable[[], None] = lambda: None


def open_gpu(progress: Progress | None) -> tuple[Device | None, str]:
    """The first NVIDIA GPU; `progress` hears what is compiled for it."""
    works, sentence = cuda.availability()
    if not works:
        return None, sentence
    from backend.kernels.cuda.device import CudaDevice

    return CudaDevice(progress=messages_only(progress, "compile")), sentence


def choose_device(engine: str, open_device: OpenDevice, progress: Progress | None) -> tuple[Device | None, str]:
    """The device that `engine` comes to on this machine, None for the CPU, and why.

    Raises InputError (RES_NO_GPU) if a GPU was asked for that cannot be used.
    """
    if engine == "cpu":
        return None, "The CPU was asked for."
    device, sentence = open_device(progress)
    if device is not None:
        return device, sentence
    if engine == "auto":
        return None, f"{sentence} The CPU swaps."
    raise InputError(f"The swap's engine cuda cannot be used: {sentence}", "Leave the engine at auto.", "RES_NO_GPU")


def open_view_engine(
    choice: tuple[Device | None, str], required: bool, head: int, skins: Skins, samples: int, noisy_light: bool,
    cameras: Sequence[Camera],
) -> ViewEngine:  # fmt: skip
    """What changes the views on the chosen device; other arguments as in `views.exchange_skin`.

    A GPU with too little memory leaves the views to the CPU, and the reason says so; InputError (RES_GPU_MEMORY) if it
    is `required`.
    """
    device, reason = choice

    def on_cpu(images: ViewImages, mesh: Mesh, camera: Camera) -> Floats:
        return exchange_skin(images, mesh, head, camera, skins, samples, noisy_light)

    if device is None:
        return ViewEngine(on_cpu, "cpu", reason)
    try:
        exchange = GpuExchange(device, head, skins, samples, noisy_light, cameras)
    except InputError as error:
        if required or error.code != "RES_GPU_MEMORY":
            raise
        return ViewEngine(on_cpu, "cpu", f"{error.message} The CPU swaps.")
    return ViewEngine(exchange.change, "cuda", reason, exchange.close)
