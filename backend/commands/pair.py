# SPDX-License-Identifier: Apache-2.0
"""Let another computer use the service that runs here.

Prints one line to paste there (Blender's panel takes it), good for five minutes and one device, and waits. Compare the
six words that both computers show then.
"""

from __future__ import annotations

import argparse
import shlex
import socket
import time

from backend.terminal import Terminal
from interchange.connection import Connection
from interchange.fingerprint import fingerprint
from interchange.messages import PairOffer
from interchange.owner import OwnerClient
from interchange.pairing import PairingOffer
from interchange.server_messages import DeviceInfo

from . import _arguments, _service

POLL_S = 0.3
EVERYWHERE = ("0.0.0.0", "::", "*")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this command."""
    parser.add_argument(
        "--state", type=_arguments.new_path, required=True, metavar="DIR", help="the folder of the running service"
    )
    parser.add_argument("--name", default="", help="what to call the device (default: what it calls itself)")
    parser.add_argument("--host", default="", help="this computer's name or address, as the other one reaches it")


def run(options: argparse.Namespace, terminal: Terminal) -> int:
    """0 if a device was paired, 1 if nobody came."""
    connection = Connection.load(options.state)
    with _service.connect_as_owner(options.state) as client:
        before = {device.key: device.paired_at for device in client.devices().devices}
        offer = client.open_pairing(options.name)
        host = options.host or host_to_print(offer.address)
        terminal.say(PairingOffer(_bracketed(host), offer.port, connection.server_key, offer.code).line)
        if offer.address.startswith(_service.ONLY_HERE) and not options.host:
            terminal.say("The service listens on this computer only; start it with --bind ADDRESS for others.")
        terminal.say(f"Paste this line there within {offer.valid_s / 60:.0f} minutes. Ctrl-C withdraws it.")
        try:
            device = wait_for_device(client, before, offer)
        finally:
            client.close_pairing()
    if device is None:
        terminal.say("No device has come in time. Run the command again for a new line.")
        return 1
    terminal.say(f"Paired with {device.name}. Both computers show: {fingerprint(connection.server_key, device.key)}")
    undo = shlex.join(["digidouble", "devices", "--state", str(options.state), "revoke", device.name])
    terminal.say(f"If the other one shows other words: {undo}")
    return 0


def wait_for_device(client: OwnerClient, before: dict[str, float], offer: PairOffer) -> DeviceInfo | None:
    """The device that came in, or None once the offer has ended."""
    deadline = time.monotonic() + offer.valid_s + 2 * POLL_S
    while time.monotonic() < deadline:
        page = client.devices()
        for device in page.devices:
            if device.paired_at > before.get(device.key, 0.0):
                return device
        if not page.pairing:
            return None
        time.sleep(POLL_S)
    return None


def host_to_print(address: str) -> str:
    """What the service is bound to; if that is everything, the address that this computer has in its network."""
    if address not in EVERYWHERE:
        return address
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing; the address is reserved for documentation
            return str(probe.getsockname()[0])
        except OSError:
            return socket.gethostname().lower()


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host and not host.startswith("[") else host
