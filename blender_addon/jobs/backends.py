# SPDX-License-Identifier: GPL-3.0-or-later
"""Where jobs can be computed: on this computer, or on boxes that have been paired. No bpy.

The list is one JSON file of the user, each box's keys a file with mode 0600 in a folder beside it. The format is in
docs/formats/addon_files.md.
"""

from __future__ import annotations

import ipaddress
import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

from .._interchange import errors, whole_files

LOCAL_ID = "local"


@dataclass(frozen=True)
class Backend:
    """A place to compute. `endpoint` and `fingerprint` are empty for this computer's own."""

    backend_id: str
    name: str
    endpoint: str = ""
    fingerprint: str = ""

    @property
    def is_local(self) -> bool:
        """True for the backend that the panel can start and stop."""
        return self.backend_id == LOCAL_ID


LOCAL = Backend(LOCAL_ID, "This Computer")


class BackendList:
    """This computer and the paired boxes. Belongs to the main thread."""

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        self._file = self.folder / "backends.json"
        self.active = LOCAL_ID
        self.items = [LOCAL]
        self._read()

    def find(self, backend_id: str) -> Backend:
        """InputError if it has been removed."""
        for item in self.items:
            if item.backend_id == backend_id:
                return item
        raise errors.InputError("The backend of this job has been removed.", "Pair with it again, or retry elsewhere.")

    def has(self, backend_id: str) -> bool:
        """False if it has been removed."""
        return any(item.backend_id == backend_id for item in self.items)

    def add(self, backend: Backend) -> None:
        """Remember a paired box, whose keys are in its `connection_folder`. It becomes the active one."""
        self.items.append(backend)
        self.choose(backend.backend_id)

    def remove(self, backend: Backend) -> None:
        """Forget a box and its keys."""
        self.items.remove(backend)
        shutil.rmtree(self.connection_folder(backend.backend_id), ignore_errors=True)
        self.choose(LOCAL_ID if self.active == backend.backend_id else self.active)

    def choose(self, backend_id: str) -> None:
        """New jobs go there."""
        self.active = backend_id
        boxes = [asdict(item) for item in self.items if not item.is_local]
        self.folder.mkdir(parents=True, exist_ok=True)
        with whole_files.whole_file(self._file) as file:
            text = {"format": "digidouble-backends", "version": 1, "active": backend_id, "backends": boxes}
            file.write(json.dumps(text, indent=1).encode("utf-8"))

    def connection_folder(self, backend_id: str) -> Path:
        """Where a box's connection.json (endpoint and keys, mode 0600) is."""
        return self.folder / "backends" / backend_id

    def _read(self) -> None:
        try:
            stored = json.loads(self._file.read_text(encoding="utf-8"))
            boxes = [Backend(**{k: str(item[k]) for k in asdict(LOCAL)}) for item in stored["backends"]]
            active = str(stored["active"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return  # nothing paired yet, or damaged: pairing again mends it
        self.items += [box for box in boxes if not box.is_local]
        if any(item.backend_id == active for item in self.items):
            self.active = active


def is_loopback(endpoint: str) -> bool:
    """True if an endpoint ("tcp://127.0.0.1:5555") is on this computer, so that nothing leaves it."""
    if endpoint.startswith("ipc://"):
        return True
    host = endpoint.removeprefix("tcp://").rpartition(":")[0].strip("[]")
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def offline(name: str) -> errors.InputError:
    """Blender's own switch forbids it."""
    return errors.InputError(
        f"Blender's online access is off, so {name} may not be reached.",
        "Turn it on: Preferences > System > Network > Allow Online Access.",
    )
