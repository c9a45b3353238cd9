# SPDX-License-Identifier: Apache-2.0
"""The pairing endpoint: a socket of its own, there for five minutes, that lets in whoever knows the one-time code.

Any key may connect to it, so it says and takes as little as possible: one type of message, small, one device. The
connection is encrypted and the client has the server's key from the pairing line, so the code travels unread.
"""

from __future__ import annotations

import contextlib
import hmac
import logging
import secrets
import sqlite3
import time
import uuid
from collections.abc import Callable
from typing import Any

import attrs
import zmq

from interchange.codec import decode, encode
from interchange.errors import InputError
from interchange.messages import Error, Message, PairAsk, PairDone, PairOffer
from interchange.pairing import CODE_ALPHABET, CODE_LENGTH
from interchange.service_errors import ErrorInfo, ProtocolError

from .devices import Devices
from .handlers import explain
from .keys import ALLOWED, Gatekeeper, Keys
from .settings import Settings

LOG = logging.getLogger("digidouble.service")
DOMAIN = b"digidouble-pairing"
VALID_S = 300.0
LINGER_S = 5.0  # after success, so that a device that lost the answer can ask again
MAX_MESSAGE = 4096
MAX_WRONG = 20
BIND_TRIES = 25

Bind = Callable[[Any, int], int]
"""`bind(socket, port)`: bind to the service's address at a port, 0 = any, and tell which."""


@attrs.define(eq=False)
class _Offer:
    socket: zmq.Socket[bytes]
    code: str = attrs.field(repr=False)
    name: str
    until: float
    winner: str = ""  # the key that was let in
    wrong: int = 0


class PairingDesk:
    """At most one offer at a time. Belongs to the server's thread."""

    def __init__(
        self, context: zmq.Context[Any], keys: Keys, gate: Gatekeeper, devices: Devices, bind: Bind, service_port: int,
        settings: Settings, clock: Callable[[], float],
    ) -> None:  # fmt: skip
        self._context, self._keys, self._gate, self._devices = context, keys, gate, devices
        self._bind, self._service_port, self._clock = bind, service_port, clock
        self._address, self._port = settings.bind, settings.pair_port
        self._offer: _Offer | None = None

    @property
    def socket(self) -> zmq.Socket[bytes] | None:
        """To be polled while there is one."""
        return self._offer.socket if self._offer else None

    @property
    def is_open(self) -> bool:
        """True while a device may still be paired."""
        return self._offer is not None and not self._offer.winner

    def open(self, name: str = "") -> PairOffer:
        """Begin a new offer; `name` is what the device will be called, whatever it calls itself. Raises InputError."""
        self.close()
        router = self._context.socket(zmq.ROUTER)
        try:
            options = {zmq.LINGER: 500, zmq.MAXMSGSIZE: MAX_MESSAGE, zmq.ZAP_ENFORCE_DOMAIN: 1, zmq.HANDSHAKE_IVL: 5000,
                       zmq.RCVHWM: 50, zmq.SNDHWM: 50}  # fmt: skip
            for option, value in options.items():
                router.setsockopt(option, value)
            router.curve_server = True
            router.curve_secretkey = self._keys.server_secret.encode("ascii")
            router.curve_publickey = self._keys.server_public.encode("ascii")
            router.zap_domain = DOMAIN
            port = self._bind_soon(router)
        except BaseException:
            router.close(0)
            raise
        code = "".join(secrets.choice(CODE_ALPHABET) for _ in range(CODE_LENGTH))
        self._gate.judges[DOMAIN] = lambda _: ALLOWED
        self._offer = _Offer(router, code, name, self._clock() + VALID_S)
        LOG.info("pairing at port %d for %.0f s", port, VALID_S)
        return PairOffer(port, code, VALID_S, self._address)

    def _bind_soon(self, router: zmq.Socket[bytes]) -> int:
        """A port that was closed just now is free a moment later: libzmq closes in the background."""
        for _ in range(BIND_TRIES):
            with contextlib.suppress(InputError):
                return self._bind(router, self._port)
            time.sleep(0.02)
        return self._bind(router, self._port)

    def close(self) -> None:
        """End the offer, if there is one."""
        if self._offer is not None:
            self._gate.judges.pop(DOMAIN, None)
            self._offer.socket.close()
            self._offer = None

    def step(self) -> None:
        """To be called now and then: what is over is closed."""
        if self._offer is not None and self._clock() >= self._offer.until:
            self.close()

    def hear(self) -> None:
        """Take one message off the socket and answer it."""
        offer = self._offer
        if offer is None:
            return
        try:
            frames = offer.socket.recv_multipart(zmq.DONTWAIT, copy=False)
        except zmq.Again:
            return
        key = str(frames[-1].get("User-Id"))
        try:
            envelope = decode([frame.buffer for frame in frames[1:]])
            answer, re = self._answer(offer, key, envelope.message), envelope.id
        except ProtocolError as error:
            answer, re = Error(ErrorInfo(error.code, error.message)), error.request_id
        except sqlite3.Error as error:
            answer, re = Error(explain(error)), ""
        with contextlib.suppress(zmq.ZMQError):
            offer.socket.send_multipart([frames[0].bytes, *encode(answer, uuid.uuid4().hex, re)], zmq.DONTWAIT)
        if offer.wrong >= MAX_WRONG:
            LOG.warning("pairing given up after %d wrong codes", offer.wrong)
            self.close()

    def _answer(self, offer: _Offer, key: str, message: Message) -> Message:
        if not isinstance(message, PairAsk):
            return Error(ErrorInfo("PROTO_UNKNOWN_TYPE", f"{message.TYPE} is not for a pairing endpoint."))
        is_right = hmac.compare_digest(message.code.encode("utf-8"), offer.code.encode("utf-8"))
        if not is_right or offer.winner not in ("", key) or key == self._devices.own_key:
            offer.wrong += 1
            hint = "Make a new pairing line: digidouble pair."
            return Error(ErrorInfo("AUTH_CODE", "This pairing line is not valid, or was used before.", hint))
        if not offer.winner:
            device = self._devices.add(key, offer.name or message.name)
            offer.winner, offer.name, offer.until = key, device.name, self._clock() + LINGER_S
            LOG.info("paired with %s", device.name)
        return PairDone(self._service_port, offer.name)
