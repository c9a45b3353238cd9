# SPDX-License-Identifier: Apache-2.0
"""Pairing with a service on another computer, the client's side: one pasted line, once.

    offer = parse_pairing_line(pasted)
    connection = pair(offer, "Maria's laptop", folder)
    show(pairing_fingerprint(connection))  # the box shows the same six words
    with JobClient(folder) as client: ...

The line comes from `digidouble pair` on that computer and is good for five minutes and one device:

    dd://HOST:PORT/KEY#CODE

HOST is a name, an IPv4 address, or an IPv6 address in brackets. KEY is the service's public key and CODE the one-time
code, both in base32 (RFC 4648) with small letters, which survives mail and chat programs. The key makes sure that the
code reaches that service and nobody else, so nothing else needs to be secret on the way than the line itself.
"""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import zmq
from zmq.utils import z85

from .connection import CONNECTION_FILE, PAIRING, Connection, Link, Timing, end_context
from .errors import Cancelled, InputError
from .fingerprint import fingerprint
from .handshake import KeysDiffer, keys_changed
from .message_fields import MAX_NAME
from .messages import PairAsk, PairDone
from .service_errors import ConnectionLost, ServiceError

CODE_ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"
CODE_LENGTH = 24  # 120 bits
_LINE = re.compile(
    r"dd://(?P<host>[a-z0-9]([a-z0-9._-]{0,251}[a-z0-9])?|\[[0-9a-f:.]{2,45}\]):(?P<port>[0-9]{1,5})"
    rf"/(?P<key>[{CODE_ALPHABET}]{{52}})#(?P<code>[{CODE_ALPHABET}]{{{CODE_LENGTH}}})\Z"
)
_AROUND = "\"'`<>\u201c\u201d\u2018\u2019"
_INVISIBLE = str.maketrans("", "", "\u200b\u200e\u2060\u00ad\ufeff")  # marks that come along with what is copied
_ATTEMPTS = 3


@attrs.frozen
class PairingOffer:
    """What a pairing line says. `server_key` is Z85 text."""

    host: str
    port: int
    server_key: str
    code: str = attrs.field(repr=False)

    @property
    def endpoint(self) -> str:
        """Where the code is to be sent."""
        return f"tcp://{self.host}:{self.port}"

    @property
    def line(self) -> str:
        """The line to paste."""
        key = base64.b32encode(z85.decode(self.server_key)).decode("ascii").rstrip("=").lower()
        return f"dd://{self.host}:{self.port}/{key}#{self.code}"


def parse_pairing_line(text: str) -> PairingOffer:
    """The offer in a pasted line; blanks, line breaks, capitals and quotes around it do not matter.

    Raises InputError (INPUT_PAIRING) for anything else.
    """
    line = "".join(text.translate(_INVISIBLE).split()).strip(_AROUND).lower()
    found = _LINE.match(line)
    if found is None or not 1 <= int(found["port"]) <= 65535:
        raise InputError(_what_is_wrong(line), "Copy the whole line that digidouble pair printed.", "INPUT_PAIRING")
    key = base64.b32decode(found["key"].upper() + "====")
    return PairingOffer(found["host"], int(found["port"]), z85.encode(key).decode("ascii"), found["code"])


def _what_is_wrong(line: str) -> str:
    if not line:
        return "There is no pairing line."
    if not line.startswith("dd://"):
        return "This is no pairing line: it does not begin with dd://."
    return "This pairing line is incomplete or damaged."


def pair(
    offer: PairingOffer,
    device_name: str,
    folder: Path | str,
    cancelled: Callable[[], bool] = lambda: False,
    timing: Timing | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Connection:
    """Become a device of the service that made the offer, under a key pair of its own, and keep the way to it.

    Writes connection.json into `folder` (made if need be), readable by this user only; `JobClient(folder)` uses it. One
    that is there from an earlier pairing is replaced. May take ten seconds: not for Blender's main thread.

    Raises ServiceError (UNAVAILABLE: nobody there, so the line has probably expired; AUTH_CODE: used or wrong;
    AUTH_SERVER_KEY_CHANGED: another service than the line says), InputError (a folder that cannot be written, or that
    belongs to a service on this computer), Cancelled.
    """
    folder = Path(folder)
    _check_folder(folder)
    public, secret = (key.decode("ascii") for key in zmq.curve_keypair())
    door = Connection(offer.endpoint, offer.server_key, public, secret)
    name = " ".join(device_name.split())[:MAX_NAME]
    done = _ask(door, PairAsk(offer.code, name), timing or Timing(), cancelled, clock)
    connection = attrs.evolve(door, endpoint=f"tcp://{offer.host}:{done.port}")
    connection.save(folder / CONNECTION_FILE)
    return connection


def pairing_fingerprint(connection: Connection) -> str:
    """The six words of this device's pairing; `digidouble devices` on the other computer shows the same."""
    return fingerprint(connection.server_key, connection.client_public_key)


def _check_folder(folder: Path) -> None:
    """Before the code is used up."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{CONNECTION_FILE}.try").touch()
        (folder / f"{CONNECTION_FILE}.try").unlink()
        is_own = (folder / "keys.json").exists()  # it may not be running
        is_own = is_own or ((folder / CONNECTION_FILE).exists() and Connection.load(folder).pid != 0)
    except OSError as error:
        text = f"The folder {folder} cannot be written ({error.strerror})."
        raise InputError(text, "Choose another folder.") from error
    except InputError:
        is_own = False  # a damaged file may be replaced
    if is_own:
        text = f"{folder} belongs to a service on this computer."
        raise InputError(text, "Choose another folder for the pairing.")


def _ask(
    door: Connection, message: PairAsk, timing: Timing, cancelled: Callable[[], bool], clock: Callable[[], float]
) -> PairDone:
    """Again if the line breaks: the same key and code get the same answer."""
    context: zmq.Context[Any] = zmq.Context()
    lost: ConnectionLost | None = None
    try:
        for _ in range(_ATTEMPTS):
            if cancelled():
                raise Cancelled
            try:
                return _ask_once(context, door, message, timing, cancelled, clock)
            except ConnectionLost as error:
                lost = error
    finally:
        end_context(context)
    if isinstance(lost, KeysDiffer):
        raise keys_changed(door.endpoint) from lost
    place = door.endpoint.removeprefix("tcp://")
    hint = "A line is good for five minutes: make a new one with digidouble pair. A firewall may be in the way, too."
    raise ServiceError("UNAVAILABLE", f"Nobody answers the pairing at {place}: {lost}.", hint, "later") from lost


def _ask_once(
    context: zmq.Context[Any], door: Connection, message: PairAsk, timing: Timing, cancelled: Callable[[], bool],
    clock: Callable[[], float],
) -> PairDone:  # fmt: skip
    link = Link(context, door, PAIRING, timing, cancelled, clock)
    try:
        answer = link.request(message, timing.hello_s)
    finally:
        link.close()
    if not isinstance(answer, PairDone):
        raise ServiceError("PROTO_BAD_HEADER", f"The service answered {answer.TYPE} to {message.TYPE}.")
    return answer
