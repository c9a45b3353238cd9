# SPDX-License-Identifier: Apache-2.0
"""All swappers under one interface: what the command line, the wire and the panel list and call."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Protocol

import attrs
import numpy as np
import numpy.typing as npt

from interchange.cameras import Camera
from interchange.capture import Capture, ViewImages
from interchange.errors import InputError, Progress
from interchange.mesh import Mesh

from .engines import OpenDevice, choose_device, open_gpu, open_view_engine
from .onnx.models import ModelFolder, models_folder
from .onnx.preparation import prepare as prepare_onnx
from .onnx.session import find_runtime
from .settings import SwapSettings
from .shape import identity_shape
from .source import Source
from .uv import make_skin
from .views import Skins


@attrs.frozen
class SwapperInfo:
    """A swapper as a user sees it. needs: beside the capture and a source with landmarks. guarantees: what holds for
    every result."""

    name: str
    title: str
    needs: tuple[str, ...]
    licence: str
    guarantees: tuple[str, ...]


@attrs.define(eq=False)
class PreparedSwap:
    """A swap that has looked at its source and can change view after view, from any thread.

    change: (view's images, its mesh, its camera) -> new rgb (H, W, 3) linear, premultiplied. skin: the head's new
    texture (h, w, 3) uint8 sRGB, for swappers that make one. pictures: (h, w, 3 or 1) uint8 to look at, by name.
    report: what goes into swap.json. warnings: sentences for the user. close: gives back what the swap holds. digest:
    of what the pictures depend on beside capture, source, settings and skin; "" for nothing. offset: (V, 3) metres by
    which the rest mesh moves, in the avatar's own axes; `change` then gets views and meshes that have moved already
    (shape/reshape.py).
    """

    change: Callable[[ViewImages, Mesh, Camera], npt.NDArray[np.float32]]
    skin: npt.NDArray[np.uint8] | None
    skin_mask: npt.NDArray[np.uint8] | None = None
    pictures: dict[str, npt.NDArray[np.uint8]] = attrs.field(factory=dict)
    report: dict[str, Any] = attrs.field(factory=dict)
    warnings: list[str] = attrs.field(factory=list)
    close: Callable[[], None] = lambda: None
    digest: str = ""
    offset: npt.NDArray[np.float32] | None = None


class Swapper(Protocol):
    """What every swapper is."""

    info: SwapperInfo

    def prepare(
        self,
        capture: Capture,
        source: Source,
        settings: SwapSettings,
        progress: Progress | None,
        cancelled: Callable[[], bool],
    ) -> PreparedSwap:
        """Do all that does not depend on a view. Raises InputError when capture and source do not fit."""


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
            "alpha, eyes, hair and every pixel whose skin does not change stay bit by bit (unless the shape moves)",
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
        engine = open_view_engine(choice, required, head, skins, settings.samples, noisy, cameras)
        report = {**made.report, "engine": engine.name, "engine_reason": engine.reason}
        report["shape"] = None if shape is None else shape.report()
        offset = None if shape is None else settings.shape * shape.offset
        return PreparedSwap(
            engine.change, made.skin, made.mask, made.pictures, report, made.warnings, engine.close, offset=offset
        )


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


_SWAPPERS: dict[str, Swapper] = {swapper.info.name: swapper for swapper in (UvSwapper(), OnnxSwapper())}


def swappers() -> list[SwapperInfo]:
    """All swappers that can be asked for."""
    return [swapper.info for swapper in _SWAPPERS.values()]


def swapper_named(name: str) -> Swapper:
    """The swapper of that name; InputError if there is none."""
    if name not in _SWAPPERS:
        raise InputError(f'There is no swapper called "{name}".', f"Choose one of {', '.join(_SWAPPERS)}.")
    return _SWAPPERS[name]
