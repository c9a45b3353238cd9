# SPDX-License-Identifier: GPL-3.0-or-later
"""The threads of all backends, started when they are first needed. No bpy; belongs to the main thread."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from . import messages
from .backends import Backend, BackendList, is_loopback, offline
from .control import ControlLine
from .line import Line
from .transfer import TransferLine


class Switchboard:
    """Two lines a backend: one asks, one carries."""

    def __init__(
        self, backends: BackendList, local_state: Callable[[], Path], post: Callable[[messages.Message], None]
    ) -> None:
        """`local_state`: the state folder of this computer's backend; raises InputError if none is installed."""
        self.online = False  # Blender's switch, copied here by the main thread
        self._backends, self._local_state, self._post = backends, local_state, post
        self._controls: dict[str, ControlLine] = {}
        self._transfers: dict[str, TransferLine] = {}

    def control(self, backend: Backend) -> ControlLine:
        """Raises InputError if there is nothing to connect to."""
        self._open(backend)
        return self._controls[backend.backend_id]

    def transfer(self, backend: Backend) -> TransferLine:
        """Raises InputError if there is nothing to connect to."""
        self._open(backend)
        return self._transfers[backend.backend_id]

    def is_open(self, backend: Backend) -> bool:
        """True if its threads are at work."""
        return backend.backend_id in self._controls

    def check(self, backend: Backend) -> None:
        """Raises InputError if it may not be reached, or is not installed."""
        self.connection_of(backend)
        if not self.may_reach(backend):
            raise offline(backend.name)

    def may_reach(self, backend: Backend) -> bool:
        """This computer always; others as Blender's online access says."""
        return backend.is_local or self.online or is_loopback(backend.endpoint)

    def connection_of(self, backend: Backend) -> Path:
        """The folder with its connection.json. Raises InputError if nothing is installed here."""
        return self._local_state() if backend.is_local else self._backends.connection_folder(backend.backend_id)

    def hang_up(self, backend: Backend) -> None:
        """End a backend's threads without waiting for them."""
        for table in (self._controls, self._transfers):
            line: Line | None = table.pop(backend.backend_id, None)  # type: ignore[attr-defined]
            if line is not None:
                line.ask_to_stop()

    def close(self, timeout_s: float) -> None:
        """End all threads, waiting so long at most; jobs go on at their backends."""
        lines: list[Line] = [*self._controls.values(), *self._transfers.values()]
        for line in lines:
            line.ask_to_stop()
        deadline = time.monotonic() + timeout_s
        for line in lines:
            line.join(max(0.0, deadline - time.monotonic()))
        self._controls.clear()
        self._transfers.clear()

    def _open(self, backend: Backend) -> None:
        if self.is_open(backend):
            return
        place = self.connection_of(backend)
        arguments = (backend.backend_id, backend.name, place, self._post, lambda: self.may_reach(backend))
        control = self._controls[backend.backend_id] = ControlLine(*arguments, is_local=backend.is_local)
        transfer = self._transfers[backend.backend_id] = TransferLine(*arguments, is_local=backend.is_local)
        control.start()
        transfer.start()
