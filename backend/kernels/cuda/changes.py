# SPDX-License-Identifier: Apache-2.0
"""Changes of splats between steps, on the device: decay, alignment, noise. Nothing waits, and hardly a byte is copied.

The mesh's normals lie on the device once; the splats' faces, in the order of the columns, as long as the splats do.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..parameters import SplatParameters
from ..rasterizer import Array
from ..regularization import columns_on
from .device import Device
from .launches import change
from .memory import Buffers
from .records import CHANGE
from .sources import CHANGES, Variant

VARIANT = Variant(program=CHANGES)


class Changes:
    """Of one session. `block` is the address of the splats that `parameters` describes, on the host or no longer."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._record, self._mesh, self._splats = Buffers(device), Buffers(device), Buffers(device)
        # What lies there: the arrays themselves, so that no other one can be taken for them.
        self._normals: npt.NDArray[Any] | None = None
        self._faces: tuple[npt.NDArray[Any], npt.NDArray[np.int64]] | None = None

    def decay(self, block: int, parameters: SplatParameters, opacity: float, log_scale: float) -> None:
        """See `Session.decay`."""
        self._launch("decay", block, parameters, {"opacity": opacity, "log_scale": log_scale})

    def align(
        self, block: int, parameters: SplatParameters, part: float, normals: Array, face: npt.NDArray[np.int32]
    ) -> None:
        """See `Session.align`."""
        if self._normals is not normals:
            self._normals = self._faces = None
            self._mesh.free()
            self._mesh.put("normals", np.asarray(normals, np.float32))
            self._normals = normals
        if self._faces is None or self._faces[0] is not face or self._faces[1] is not parameters.order:
            columns = columns_on(normals, face, parameters.order)
            self._faces = None
            self._splats.free()
            self._splats.put("columns", columns)
            self._faces = face, parameters.order
        self._launch("align", block, parameters, {"part": part})

    def wander(
        self, block: int, parameters: SplatParameters, length: float, reach: float, seed: int, iteration: int
    ) -> None:
        """See `Session.wander`."""
        keys = seed % 2**32, (seed >> 32) % 2**32
        told = {"length": length, "reach": reach, "key": keys, "iteration": iteration}
        self._launch("wander", block, parameters, told)

    def _launch(self, kernel: str, block: int, parameters: SplatParameters, told: dict[str, Any]) -> None:
        record = np.zeros((), CHANGE)
        for name, value in told.items():
            record[name] = value
        if not self._record.at:
            self._record.add({"change": CHANGE.itemsize})
        self._device.upload(self._record.at["change"], record)
        at = {"block": block, **self._record.at, **self._mesh.at, **self._splats.at}
        operations = change(kernel, parameters.block.shape[1], parameters.count, at)
        self._device.execute(self._device.load(VARIANT), operations)

    def free(self) -> None:
        """Give memory back."""
        self._normals = self._faces = None
        for buffers in (self._record, self._mesh, self._splats):
            buffers.free()
