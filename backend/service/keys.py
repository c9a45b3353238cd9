# SPDX-License-Identifier: Apache-2.0
"""Keys of the service and the list of those who may talk to it (CURVE and ZAP, ZeroMQ RFC 26 and 27)."""

from __future__ import annotations

import json
import logging
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import cattrs
import zmq
from zmq.utils import z85

from interchange.connection import write_private
from interchange.errors import InputError
from interchange.handshake import REVOKED, UNPAIRED

LOG = logging.getLogger("digidouble.service")
ZAP_ENDPOINT = "inproc://zeromq.zap.01"
ZAP_DOMAIN = b"digidouble"
ALLOWED = 200
QUIET_S = 1.0


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
    """Answers libzmq's question, at each handshake, whether a key may come in; its answer names the peer by its key.

    `judges`: for each ZAP domain, that is each of the server's sockets, what gives a key's standing there: ALLOWED,
    UNPAIRED or REVOKED. Who is refused learns which; nothing that they send is decoded.
    """

    def __init__(self, context: zmq.Context[Any], clock: Callable[[], float] = time.monotonic) -> None:
        """Must exist before the first socket with a security mechanism is bound."""
        self.judges: dict[bytes, Callable[[str], int]] = {}
        self._clock, self._quiet_until = clock, float("-inf")
        self._told: deque[str] = deque(maxlen=16)  # refused lately
        self.socket = context.socket(zmq.REP)
        self.socket.linger = 0
        self.socket.bind(ZAP_ENDPOINT)

    def answer(self) -> None:
        """Take one request off the socket."""
        frames = self.socket.recv_multipart()
        request = frames[1] if len(frames) > 1 else b""
        key, standing = self._judge(frames)
        user = key.encode("ascii") if standing == ALLOWED else b""
        self.socket.send_multipart([b"1.0", request, str(standing).encode("ascii"), b"", user, b""])
        if standing != ALLOWED:
            self._note(key, standing, frames[3].decode("ascii", "replace") if len(frames) > 3 else "nowhere")

    def _note(self, key: str, standing: int, address: str) -> None:
        """For whoever looks after the service; neither a stubborn stranger nor a crowd of them may fill the log."""
        if key in self._told or self._clock() < self._quiet_until:
            return
        self._told.append(key)
        self._quiet_until = self._clock() + QUIET_S
        LOG.warning("refused a %s key from %s: %s", "revoked" if standing == REVOKED else "strange", address, key)

    def _judge(self, frames: list[bytes]) -> tuple[str, int]:
        """The peer's public key and its standing."""
        if len(frames) != 7 or frames[0] != b"1.0" or frames[5] != b"CURVE" or len(frames[6]) != 32:
            return "", UNPAIRED
        key = z85.encode(frames[6]).decode("ascii")
        judge = self.judges.get(frames[2])
        return key, UNPAIRED if judge is None else judge(key)
