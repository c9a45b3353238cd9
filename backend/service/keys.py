# SPDX-License-Identifier: Apache-2.0
"""Keys of the service and the list of those who may talk to it (CURVE and ZAP, ZeroMQ RFC 26 and 27)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import attrs
import cattrs
import zmq
from zmq.utils import z85

from interchange.connection import write_private
from interchange.errors import InputError

ZAP_ENDPOINT = "inproc://zeromq.zap.01"
ZAP_DOMAIN = b"digidouble"


@attrs.frozen
class Keys:
    """Z85 text. The client pair is for programs of this user on this computer; pairing adds others."""

    server_public: str
    server_secret: str = attrs.field(repr=False)
    client_public: str
    client_secret: str = attrs.field(repr=False)

    @classmethod
    def load_or_create(cls, path: Path) -> Keys:
        """The same keys at each start, so that jobs keep their owner. Raises InputError for a damaged file."""
        if path.exists():
            try:
                return cattrs.structure(json.loads(path.read_text(encoding="utf-8")), cls)
            except (ValueError, KeyError, TypeError, cattrs.BaseValidationError) as error:
                hint = "Delete it; the service makes new keys, and jobs of before belong to nobody."
                raise InputError(f"The key file {path} is damaged.", hint) from error
        pairs = (*zmq.curve_keypair(), *zmq.curve_keypair())
        keys = cls(*(key.decode("ascii") for key in pairs))
        write_private(path, json.dumps(attrs.asdict(keys), indent=2) + "\n")
        return keys


class Gatekeeper:
    """Answers libzmq's question, at each handshake, whether a key may come in; its answer names the peer by its key."""

    def __init__(self, context: zmq.Context[Any], allowed: frozenset[str]) -> None:
        """Must exist before the first socket with a security mechanism is bound."""
        self.allowed = allowed
        self.socket = context.socket(zmq.REP)
        self.socket.linger = 0
        self.socket.bind(ZAP_ENDPOINT)

    def answer(self) -> None:
        """Take one request off the socket."""
        frames = self.socket.recv_multipart()
        request = frames[1] if len(frames) > 1 else b""
        key = self._judge(frames)
        status = [b"200", b"OK", key.encode("ascii")] if key else [b"400", b"not paired", b""]
        self.socket.send_multipart([b"1.0", request, *status, b""])

    def _judge(self, frames: list[bytes]) -> str:
        """The peer's public key, or "" if it may not come in."""
        if len(frames) != 7 or frames[0] != b"1.0" or frames[2] != ZAP_DOMAIN or frames[5] != b"CURVE":
            return ""
        key = z85.encode(frames[6]).decode("ascii") if len(frames[6]) == 32 else ""
        return key if self.may_enter(key) else ""

    def may_enter(self, key: str) -> bool:
        """True for a key on the list. To be asked for each message too: a handshake outlives a revocation."""
        return key in self.allowed
