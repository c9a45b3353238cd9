# SPDX-License-Identifier: Apache-2.0
"""What a swapper is: how it describes itself, and what it gives once it has looked at capture and source."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import attrs
import numpy as np
import numpy.typing as npt

from interchange.cameras import Camera
from interchange.capture import Capture, ViewImages
from interchange.errors import Progress
from interchange.mesh import Mesh

from .settings import SwapSettings
from .source import Source


@attrs.frozen
class SwapperInfo:
    """A swapper as a user sees it. needs: beside the capture and a source with landmarks. guarantees: what holds for
    every result. per_view: it paints each view by itself, so views disagree until the consistency stage has made one
    skin of them."""

    name: str
    title: str
    needs: tuple[str, ...]
    licence: str
    guarantees: tuple[str, ...]
    per_view: bool = False


@attrs.define(eq=False)
class PreparedSwap:
    """A swap that has looked at its source and can change view after view, from any thread.

    change: (view's images, its mesh, its camera) -> new rgb (H, W, 3) linear, premultiplied. skin: the head's new
    texture (h, w, 3) uint8 sRGB, for swappers that make one. pictures: (h, w, 3 or 1) uint8 to look at, by name.
    report: what goes into swap.json. warnings: sentences for the user. close: gives back what the swap holds.
    look: what `change` does with a view, for swap.json; {"taken": "nothing", "reason": ...} where it leaves one alone.
    digest: of what the pictures depend on beside capture, source, settings and skin; "" for nothing. offset: (V, 3)
    metres by which the rest mesh moves, in the avatar's own axes; `change` then gets views and meshes that have moved
    already (shape/reshape.py). layers: of the views, beside RGBA, that `change` and `look` need; None for all.
    textures: new ones (h, w, 3) uint8 sRGB of other parts, by object index.
    """

    change: Callable[[ViewImages, Mesh, Camera], npt.NDArray[np.float32]]
    skin: npt.NDArray[np.uint8] | None
    skin_mask: npt.NDArray[np.uint8] | None = None
    pictures: dict[str, npt.NDArray[np.uint8]] = attrs.field(factory=dict)
    report: dict[str, Any] = attrs.field(factory=dict)
    warnings: list[str] = attrs.field(factory=list)
    close: Callable[[], None] = lambda: None
    look: Callable[[ViewImages, Mesh, Camera], dict[str, Any]] | None = None
    digest: str = ""
    offset: npt.NDArray[np.float32] | None = None
    layers: tuple[str, ...] | None = None
    textures: dict[int, npt.NDArray[np.uint8]] = attrs.field(factory=dict)


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
