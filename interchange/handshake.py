# SPDX-License-Identifier: Apache-2.0
"""Why a connection did not come about: what a socket's monitor tells, in words.

libzmq reports a handshake that the other side broke off without a word in the same way whether the other side could
not decrypt it (it has other keys) or just died; `mechanism_at` tells the two apart.
"""

from __future__ import annotations

import socket
import time

import zmq

from .service_errors import ConnectionLost, ServiceError

UNPAIRED, REVOKED = 400, 500
"""Status codes of our servers' ZAP handlers; ZeroMQ carries no others to the client than these two."""
_PROBE_S = 0.5
_GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x01"  # ZMTP 3.1, RFC 37: so much is enough to be greeted in full
_GREETING_SIZE = 64
_MECHANISM = slice(12, 32)


class KeysDiffer(ConnectionLost):
    """A service answers there, but not with the key that we know. Once may be a line that broke at a bad moment."""


MONITORED = int(
    zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_HANDSHAKE_FAILED_AUTH | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL | zmq.EVENT_DISCONNECTED | zmq.EVENT_CONNECT_RETRIED
)  # fmt: skip


def check_event(event: int, value: int, endpoint: str, ours: str = "CURVE") -> None:
    """Returns if a monitor's event is no bad news.

    Raises ConnectionLost where trying again may help, else ServiceError (AUTH_UNPAIRED, AUTH_REVOKED, AUTH_PLAINTEXT).
    """
    if event == zmq.EVENT_HANDSHAKE_FAILED_AUTH:
        raise revoked() if value == REVOKED else unpaired()
    if event == zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL and value == zmq.PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH:
        raise plaintext(endpoint)
    if event == zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL:
        mechanism = mechanism_at(endpoint)
        if mechanism == ours:
            raise KeysDiffer("it has other keys than the connection file says")
        if mechanism:
            raise plaintext(endpoint)
    if event in (zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL, zmq.EVENT_DISCONNECTED):
        raise ConnectionLost("the connection was closed")
    if event == zmq.EVENT_CONNECT_RETRIED:
        raise ConnectionLost("nobody listens there")
    if event == zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL:
        raise ConnectionLost("something else listens there")


def mechanism_at(endpoint: str) -> str:
    """How the ZeroMQ socket at tcp://HOST:PORT wants to be spoken to: CURVE, NULL (plainly) ...; "" if none greets.

    Takes half a second at most.
    """
    host, _, port = endpoint.removeprefix("tcp://").rpartition(":")
    deadline = time.monotonic() + _PROBE_S
    greeting = b""
    try:
        with socket.create_connection((host.strip("[]"), int(port)), _PROBE_S) as probe:
            probe.sendall(_GREETING)
            while len(greeting) < _GREETING_SIZE:
                probe.settimeout(max(0.01, deadline - time.monotonic()))
                data = probe.recv(_GREETING_SIZE - len(greeting))
                if not data:
                    return ""
                greeting += data
    except (OSError, ValueError):
        return ""
    return greeting[_MECHANISM].rstrip(b"\0").decode("ascii", "replace") if greeting[0] == 0xFF else ""


def unpaired() -> ServiceError:
    """The key is not on the list."""
    hint = "Pair it: digidouble pair on that computer, or use the connection file there."
    return ServiceError("AUTH_UNPAIRED", "The service does not know this computer's key.", hint)


def revoked() -> ServiceError:
    """The key was on the list."""
    hint = "Ask whoever looks after it, and pair again if that was a mistake."
    return ServiceError("AUTH_REVOKED", "The service does not let this computer in any more.", hint)


def keys_changed(endpoint: str) -> ServiceError:
    """As SSH says it: a question for a person."""
    text = f"The service at {endpoint.removeprefix('tcp://')} has other keys than this computer knows."
    hint = "If it was set up anew, pair again; if nobody did that, somebody else answers in its place: do not go on."
    return ServiceError("AUTH_SERVER_KEY_CHANGED", text, hint)


def plaintext(endpoint: str) -> ServiceError:
    """One of the two sides has no encryption; ours always has."""
    place = endpoint.removeprefix("tcp://")
    text = f"What listens at {place} and this program do not use the same encryption: one of the two is not Digidouble."
    return ServiceError("AUTH_PLAINTEXT", text, "Check address and port, or pair again.")


def other_version(ours: str, theirs: str) -> ServiceError:
    """The major versions differ."""
    text = f"This program speaks {ours}, the service {theirs}."
    return ServiceError("PROTO_VERSION", text, "Install the same version of Digidouble on both computers.")
