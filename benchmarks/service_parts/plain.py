# SPDX-License-Identifier: Apache-2.0
"""The service and its client without encryption, which the product does not have, to see what encryption costs:
`python -m benchmarks.service_parts.plain STATE_FOLDER RUNNER`.
"""

from __future__ import annotations

import sys
from pathlib import Path

from zmq.utils import z85

from backend.service.keys import ZAP_DOMAIN, Gatekeeper, Keys
from backend.service.server import Server
from backend.service.settings import Settings
from interchange.connection import Connection, Link


class PlainServer(Server):
    """Takes everybody for the owner of the connection file."""

    def _secure(self, keys: Keys) -> None:
        self._router.zap_domain = ZAP_DOMAIN
        gate, key = self._gate, z85.decode(keys.client_public)

        def judge(frames: list[bytes]) -> tuple[str, int]:
            return Gatekeeper._judge(gate, [*frames[:5], b"CURVE", key])

        gate._judge = judge  # type: ignore[method-assign]


class PlainLink(Link):
    """Says hello in the clear."""

    def _configure(self, connection: Connection) -> None:
        self._socket.linger = 0


def main() -> int:
    """Serve until a client stops it."""
    server = PlainServer(Settings(Path(sys.argv[1]), runner=sys.argv[2]))
    try:
        server.run()
    finally:
        server.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
