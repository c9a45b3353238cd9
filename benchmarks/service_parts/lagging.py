# SPDX-License-Identifier: Apache-2.0
"""The service on a machine that is busy with something else, so that chunks wait in its queues:
`python -m benchmarks.service_parts.lagging STATE_FOLDER RUNNER`.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from backend.service.blobs import ContentStore
from backend.service.flushing import Later
from backend.service.server import serve
from interchange.messages import PutAck, PutChunk

LAG_S = 0.02
"""For each chunk, which makes 50 MB/s at most."""


class LaggingStore(ContentStore):
    """Takes its time."""

    def receive(self, chunk: PutChunk) -> PutAck | Later:
        """As any store, later."""
        time.sleep(LAG_S)
        return super().receive(chunk)


def main() -> int:
    """Serve until a client stops it."""
    import backend.service.server as module

    module.ContentStore = LaggingStore  # type: ignore[misc]
    serve(Path(sys.argv[1]), runner=sys.argv[2])
    return 0


if __name__ == "__main__":
    sys.exit(main())
