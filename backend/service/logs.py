# SPDX-License-Identifier: Apache-2.0
"""The service's log: lines for people, or JSON objects for programs, with the job's id where there is one."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime

PLAIN = "%(asctime)s %(levelname)s %(message)s"


class JsonLines(logging.Formatter):
    """{"at", "level", "event", "job", "attempt", "error"}; the last three where they apply."""

    def format(self, record: logging.LogRecord) -> str:
        """Called by logging."""
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line = {"at": at, "level": record.levelname.lower(), "event": record.getMessage()}
        line.update({name: getattr(record, name) for name in ("job", "attempt") if hasattr(record, name)})
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line)


def set_up(as_json: bool) -> None:
    """Log to standard error, from now on."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines() if as_json else logging.Formatter(PLAIN))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)


def of_job(job_id: str, attempt: int | None = None) -> dict[str, str | int]:
    """For `extra=` of a logging call."""
    return {"job": job_id} if attempt is None else {"job": job_id, "attempt": attempt}
