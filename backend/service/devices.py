# SPDX-License-Identifier: Apache-2.0
"""The paired devices: whose keys may come in, what they are called, when they were here last."""

from __future__ import annotations

import sqlite3
import time
import unicodedata
from collections.abc import Callable

import attrs

from interchange.errors import InputError
from interchange.handshake import REVOKED, UNPAIRED
from interchange.message_fields import MAX_NAME
from interchange.server_messages import DeviceInfo

from .keys import ALLOWED

UNNAMED = "a device without a name"


class Devices:
    """On top of the service's database. `own_key` is that of this computer's own clients: always in, never listed."""

    def __init__(self, database: sqlite3.Connection, own_key: str, clock: Callable[[], float] = time.time) -> None:
        self._db, self.own_key, self._clock = database, own_key, clock
        columns = "key, name, paired_at, last_seen, revoked"
        rows = database.execute(f"SELECT {columns} FROM devices ORDER BY number")
        self._known = {row[0]: DeviceInfo(row[0], row[1], row[2], row[3], bool(row[4])) for row in rows}
        self._seen: dict[str, float] = {}  # not written down yet

    def standing(self, key: str) -> int:
        """ALLOWED, UNPAIRED or REVOKED. To be asked for each message too: a handshake outlives a revocation."""
        if key == self.own_key:
            return ALLOWED
        device = self._known.get(key)
        return UNPAIRED if device is None else REVOKED if device.revoked else ALLOWED

    def saw(self, key: str) -> None:
        """A message came from this key."""
        if key in self._known:
            self._seen[key] = self._clock()

    def write_down(self) -> None:
        """Put the times at which devices were last seen into the database; not at each message, for the disk's sake."""
        for key, at in self._seen.items():
            self._db.execute("UPDATE devices SET last_seen = ? WHERE key = ?", (at, key))
            self._known[key] = attrs.evolve(self._known[key], last_seen=at)
        self._seen.clear()

    def page(self) -> list[DeviceInfo]:
        """All of them, oldest first."""
        return [attrs.evolve(d, last_seen=self._seen.get(d.key, d.last_seen)) for d in self._known.values()]

    def name_of(self, key: str) -> str:
        """A device's name, for a list of jobs."""
        device = self._known.get(key)
        return device.name if device is not None else "this computer" if key == self.own_key else UNNAMED

    def add(self, key: str, name: str) -> DeviceInfo:
        """A new device, or one again that had been revoked."""
        device = DeviceInfo(key, self._free_name(clean_name(name) or UNNAMED, key), self._clock())
        self._db.execute(
            "INSERT INTO devices (key, name, paired_at) VALUES (?, ?, ?)"
            " ON CONFLICT (key) DO UPDATE SET name = excluded.name, paired_at = excluded.paired_at, revoked = 0",
            (device.key, device.name, device.paired_at),
        )
        self._known[key] = device
        return device

    def rename(self, key: str, name: str) -> None:
        """Raises InputError for an unknown device, a name without letters or one that another device has."""
        device, name = self._find(key), clean_name(name)
        if not name:
            raise InputError("A device needs a name.", "Give it one that people know it by.", "INPUT_NAME")
        if self._free_name(name, key) != name:
            raise InputError(f"Another device is called {name}.", "Choose another name.", "INPUT_NAME")
        self._db.execute("UPDATE devices SET name = ? WHERE key = ?", (name, key))
        self._known[key] = attrs.evolve(device, name=name)

    def revoke(self, key: str) -> None:
        """From now on its key is refused. Its jobs go on. Raises InputError for an unknown device."""
        device = self._find(key)
        self._db.execute("UPDATE devices SET revoked = 1 WHERE key = ?", (key,))
        self._known[key] = attrs.evolve(device, revoked=True)

    def _find(self, key: str) -> DeviceInfo:
        if key not in self._known:
            raise InputError("There is no such device.", "List them: digidouble devices.", "INPUT_DEVICE")
        return self._known[key]

    def _free_name(self, name: str, key: str) -> str:
        """The name, or with a number behind it, so that people can tell two devices apart."""
        taken = {device.name for device in self._known.values() if device.key != key}
        number, free = 2, name
        while free in taken:
            ending = f" {number}"
            free, number = name[: MAX_NAME - len(ending)] + ending, number + 1
        return free


def clean_name(text: str) -> str:
    """One line of printable characters, at most MAX_NAME: names are shown in terminals and came from elsewhere."""
    kept = "".join(" " if c.isspace() else c for c in text if c.isspace() or unicodedata.category(c)[0] != "C")
    return " ".join(kept.split())[:MAX_NAME].strip()
