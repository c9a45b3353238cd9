# SPDX-License-Identifier: Apache-2.0
"""What the service answers to those who look after it: pairing, and the list of devices. For this computer's own
clients only, that is for whoever may read the connection file in its folder.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from interchange import messages as wire
from interchange.service_errors import ServiceError

from .devices import Devices
from .pairing import PairingDesk

RESERVED = (
    wire.ServerStop, wire.ServerGc, wire.PairOpen, wire.PairClose, wire.DeviceList, wire.DeviceRename,
    wire.DeviceRevoke,
)  # fmt: skip


class Administration:
    """Requests in, answers out. `expel` drops the connections that a key has."""

    def __init__(self, devices: Devices, desk: PairingDesk, expel: Callable[[str], None]) -> None:
        self._devices, self._desk, self._expel = devices, desk, expel
        self.table: Mapping[type, Callable[[Any], wire.Message]] = {
            wire.PairOpen: self._open, wire.PairClose: self._close, wire.DeviceList: self._list,
            wire.DeviceRename: self._rename, wire.DeviceRevoke: self._revoke,
        }  # fmt: skip

    def check(self, message: wire.Message, owner: str) -> None:
        """Raises ServiceError (AUTH_LOCAL_ONLY) if a paired device asks for what is not for it."""
        is_reserved = isinstance(message, RESERVED) or (isinstance(message, wire.JobList) and message.everybody)
        if is_reserved and not self.looks_after(owner):
            text = f"{message.TYPE} is for the computer that the service runs on."
            raise ServiceError("AUTH_LOCAL_ONLY", text, "Do it there, with the digidouble command.")

    def looks_after(self, owner: str) -> bool:
        """True for the server's own computer, which may stop everybody's jobs: nobody else can stop a lost device's."""
        return owner == self._devices.own_key

    def name_of(self, owner: str) -> str:
        """Whose job it is, in words."""
        return self._devices.name_of(owner)

    def _open(self, message: wire.PairOpen) -> wire.Message:
        return self._desk.open(message.name)

    def _close(self, _: wire.PairClose) -> wire.Message:
        self._desk.close()
        return wire.Pong()

    def _list(self, _: wire.DeviceList) -> wire.Message:
        return wire.DevicePage(self._desk.is_open, self._devices.page())

    def _rename(self, message: wire.DeviceRename) -> wire.Message:
        self._devices.rename(message.key, message.name)
        return wire.DevicePage(self._desk.is_open, self._devices.page())

    def _revoke(self, message: wire.DeviceRevoke) -> wire.Message:
        self._devices.revoke(message.key)
        self._expel(message.key)
        return wire.DevicePage(self._desk.is_open, self._devices.page())
