# SPDX-License-Identifier: Apache-2.0
"""All swappers under one interface: what the command line, the wire and the panel list and call."""

from __future__ import annotations

import os
from collections.abc import Callable

from interchange.cameras import Camera
from interchange.capture import Capture, ViewImages
from interchange.errors import InputError, Progress
from interchange.mesh import Mesh

from .classical.swapper import ClassicalSwapper
from .engines import OpenDevice, choose_device, open_gpu, open_view_engine
from .eyes import EyeExchange, make_eyes
from .onnx.models import ModelFolder, models_folder
from .onnx.preparation import prepare as prepare_onnx
from .onnx.session import find_runtime
from .settings import SwapSettings
from .shape import identity_shape
from .source import Source
from .swapper import PreparedSwap, Swapper, SwapperInfo
from .uv import make_skin
from .views import LAYERS, LAYERS_NOISY, Floats, Skins

__all__ = ["OnnxSwapper", "PreparedSwap", "Swapper", "SwapperInfo", "UvSwapper", "swapper_named", "swappers"]


class UvSwapper:
    """The default: one new skin image, made in UV space, put into every view by the renderer's own passes."""

    info = SwapperInfo(
        name="uv",
        title="UV skin swap",
        needs=(),
        licence="Apache-2.0",
        guarantees=(
            "all views agree: they show one skin",
            "the scene's light, gloss and shadows stay",
            "alpha, hair and every pixel whose skin or iris does not change stay bit by bit (unless the shape moves)",
        ),
    )

    def __init__(self, open_device: OpenDevice = open_gpu) -> None:
        """`open_device` gives the GPU for the views, if there is one."""
        self._open_device = open_device

    def prepare(
        self,
        capture: Capture,
        source: Source,
        settings: SwapSettings,
        progress: Progress | None,
        cancelled: Callable[[], bool],
    ) -> PreparedSwap:
        """See Swapper."""
        choice = choose_device(settings.engine, self._open_device, progress)
        head, item = capture.object_of_part("head")
        mesh = capture.load_mesh()
        made = make_skin(mesh, head, capture.load_texture(item), source, settings, progress, cancelled)
        shape = identity_shape(mesh, source.photos, made.registrations) if settings.shape else None
        noisy = not capture.renderer.get("denoise", False)
        skins = Skins.of(made.old_linear, made.new_linear)
        cameras = [view.camera for view in capture.views]
        required = settings.engine == "cuda"
        eyes = make_eyes(capture, mesh, source.photos, made.registrations, made.shadings, settings)
        irises = EyeExchange(eyes, settings.samples, noisy)
        engine = open_view_engine(choice, required, head, skins, settings.samples, noisy, cameras)

        def change(images: ViewImages, posed: Mesh, camera: Camera) -> Floats:
            return irises.change(engine.change(images, posed, camera), images, posed, camera)

        report = {**made.report, "engine": engine.name, "engine_reason": engine.reason, "eyes": eyes.report}
        report["shape"] = None if shape is None else shape.report()
        offset = None if shape is None else settings.shape * shape.offset
        return PreparedSwap(
            change, made.skin, made.mask, made.pictures, report, made.warnings + eyes.warnings, engine.close,
            digest=eyes.digest(), offset=offset, layers=LAYERS_NOISY if noisy else LAYERS, textures=eyes.textures,
        )  # fmt: skip


class OnnxSwapper:
    """The user's own network, view by view."""

    info = SwapperInfo(
        name="onnx",
        title="Your own ONNX network",
        needs=("a network of a known kind in the models folder", "onnxruntime", "most kinds: a face recogniser"),
        licence="the network's: as stated by the user",
        guarantees=(
            "crops are aligned by the mesh, so that profiles work",
            "views that do not show the face, and every pixel outside the face, stay bit by bit",
            "the network's digest and the provider that computed it are reported",
        ),
        per_view=True,
    )

    def __init__(self, folder: Callable[[], ModelFolder] = lambda: models_folder(os.environ)) -> None:
        """`folder` gives the models folder, the only place that networks are taken from."""
        self._folder = folder

    def prepare(
        self,
        capture: Capture,
        source: Source,
        settings: SwapSettings,
        progress: Progress | None,
        cancelled: Callable[[], bool],
    ) -> PreparedSwap:
        """See Swapper."""
        made = prepare_onnx(capture, source, settings, self._folder, find_runtime, progress, cancelled)
        return PreparedSwap(
            made.change, None, pictures=made.pictures, report=made.report, warnings=made.warnings,
            close=made.network.close, digest=made.digest,
        )  # fmt: skip


_SWAPPERS: dict[str, Swapper] = {
    swapper.info.name: swapper for swapper in (UvSwapper(), ClassicalSwapper(), OnnxSwapper())
}


def swappers() -> list[SwapperInfo]:
    """All swappers that can be asked for."""
    return [swapper.info for swapper in _SWAPPERS.values()]


def swapper_named(name: str) -> Swapper:
    """The swapper of that name; InputError if there is none."""
    if name not in _SWAPPERS:
        raise InputError(f'There is no swapper called "{name}".', f"Choose one of {', '.join(_SWAPPERS)}.")
    return _SWAPPERS[name]
