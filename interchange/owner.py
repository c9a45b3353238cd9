# SPDX-License-Identifier: Apache-2.0
"""What only the computer that the service runs on may do: let devices in and put them out. For the command line."""

from __future__ import annotations

from . import messages as wire
from .client import JobClient


class OwnerClient(JobClient):
    """A client with the connection file out of the service's own folder; others are told AUTH_LOCAL_ONLY."""

    def open_pairing(self, name: str = "") -> wire.PairOffer:
        """Let one device in, for five minutes; `name` is what it will be called."""
        return self._ask(wire.PairOpen(name), wire.PairOffer)

    def close_pairing(self) -> None:
        """Let nobody in any more."""
        self._ask(wire.PairClose(), wire.Pong)

    def devices(self) -> wire.DevicePage:
        """The paired devices, oldest first, and whether a pairing is open."""
        return self._ask(wire.DeviceList(), wire.DevicePage)

    def rename_device(self, key: str, name: str) -> wire.DevicePage:
        """Call a device something else."""
        return self._ask(wire.DeviceRename(key, name), wire.DevicePage)

    def revoke_device(self, key: str) -> wire.DevicePage:
        """Let a device in no more, at once."""
        return self._ask(wire.DeviceRevoke(key), wire.DevicePage)

    def collect_garbage(self, dry_run: bool, older_s: float | None = None) -> wire.GcReport:
        """Delete what nobody needs, or only say what that would be: see wire.ServerGc."""
        return self._ask(wire.ServerGc(dry_run, older_s), wire.GcReport)
