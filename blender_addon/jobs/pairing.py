# SPDX-License-Identifier: GPL-3.0-or-later
"""Pairing with a remote backend from its pairing line; the protocol's part is interchange.pairing. No bpy."""

from __future__ import annotations

import contextlib
import importlib
import uuid
from typing import Any

from .._interchange import errors
from . import messages
from .backends import is_loopback, offline
from .desk import Desk

PREFIX = "dd://"
ERRAND = "pairing"
"""In place of a backend's id, which there is not yet."""


def parse(line: str) -> Any:
    """The offer that a pairing line holds. Raises InputError if it is none."""
    return _module().parse_pairing_line(line.strip())


def begin(desk: Desk, offer: Any, label: str, device_name: str) -> None:
    """Let the other side know us; it becomes the chosen backend. Raises InputError if it may not be reached."""
    address = offer.endpoint
    name = label or address.removeprefix("tcp://").rpartition(":")[0]
    if not (desk.switchboard.online or is_loopback(address)):
        raise offline(name)
    module = _module()

    backend_id = uuid.uuid4().hex[:12]
    folder = desk.backends.connection_folder(backend_id)

    def pair() -> messages.Message:
        connection = module.pair(offer, device_name, folder)
        return messages.Paired(backend_id, name, connection.endpoint, module.pairing_fingerprint(connection))

    desk.errand(ERRAND, "Pairing", pair)


def _module() -> Any:
    with contextlib.suppress(ModuleNotFoundError):
        return importlib.import_module(f"{errors.__name__.rpartition('.')[0]}.pairing")
    raise errors.InputError("This build cannot pair with remote backends.", "Update the add-on.")
