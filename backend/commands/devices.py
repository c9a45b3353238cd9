# SPDX-License-Identifier: Apache-2.0
"""The devices that may use the service that runs here: list them, rename or revoke one.

A revoked device is refused at its next word, also on the connections that it has; its jobs go on.
"""

from __future__ import annotations

import argparse

from backend.terminal import Terminal
from interchange.connection import Connection
from interchange.errors import InputError
from interchange.fingerprint import fingerprint
from interchange.server_messages import DeviceInfo, DevicePage

from . import _arguments, _service


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this command."""
    parser.add_argument(
        "--state", type=_arguments.new_path, required=True, metavar="DIR", help="the folder of the running service"
    )
    actions = parser.add_subparsers(dest="action", metavar="list | rename NAME NEW-NAME | revoke NAME")
    actions.add_parser("list", help="all devices (what happens without a word, too)")
    rename = actions.add_parser("rename", help="call a device something else")
    rename.add_argument("name", help="its name, or the beginning of its key")
    rename.add_argument("new_name", metavar="NEW-NAME")
    revoke = actions.add_parser("revoke", help="let a device in no more")
    revoke.add_argument("name", help="its name, or the beginning of its key")


def run(options: argparse.Namespace, terminal: Terminal) -> int:
    """Do it, and say how things stand."""
    connection = Connection.load(options.state)
    with _service.connect_as_owner(options.state) as client:
        page = client.devices()
        if options.action == "rename":
            page = client.rename_device(find_device(page, options.name).key, options.new_name)
        elif options.action == "revoke":
            page = client.revoke_device(find_device(page, options.name).key)
    if not page.devices:
        terminal.say("No device is paired. digidouble pair lets one in.")
    for device in page.devices:
        terminal.say(describe(device, connection.server_key))
    return 0


def find_device(page: DevicePage, name: str) -> DeviceInfo:
    """By name, or by the beginning of its key. InputError if there is none, or more than one."""
    found = [device for device in page.devices if device.name == name]
    found = found or [d for d in page.devices if d.name.casefold() == name.casefold() or d.key.startswith(name)]
    if len(found) == 1:
        return found[0]
    known = ", ".join(device.name for device in page.devices) or "none is paired"
    what = "There is no device" if not found else "There are several devices"
    raise InputError(f"{what} called {name}.", f"Known devices: {known}.")


def describe(device: DeviceInfo, server_key: str) -> str:
    """A device in a line, with its six words."""
    seen = f"last seen {_service.local_time(device.last_seen)}"
    state = "REVOKED, " if device.revoked else ""
    words = fingerprint(server_key, device.key)
    return f"{device.name}: {state}paired {_service.local_time(device.paired_at)}, {seen} [{words}] {device.key[:10]}"
