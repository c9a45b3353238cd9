# SPDX-License-Identifier: Apache-2.0
"""Results of jobs that were done before the digest was what it is today (version 4 of the job list).

Clients compare what they fetch with the digest in the list, so it is made anew, from the files. The digests of inputs
stay: they are the names that these contents have, and no client asks for them again.
"""

from __future__ import annotations

import logging

from interchange.digests import digest_file
from interchange.paths import join_inside

from .settings import Settings
from .store import JobStore

LOG = logging.getLogger("digidouble.service")
GONE = "0" * 64
"""In place of the digest of a result that is not there any more."""


def renew_digests(store: JobStore, settings: Settings) -> int:
    """Digest the results that a step of migrations.py has left without a digest; returns how many.

    One after the other, each in a transaction of its own: what is interrupted is gone on with. Raises OSError.
    """
    query = (
        "SELECT files.job, jobs.job_id, files.path FROM files JOIN jobs ON jobs.number = files.job"
        " WHERE files.digest = '' AND files.output = 1"
    )
    rows = store.database.execute(query).fetchall()
    if rows:
        LOG.info("digesting %d results of earlier versions", len(rows))
    for number, job_id, path in rows:
        try:
            digest = digest_file(join_inside(settings.job_folder(job_id).outputs, path))
        except FileNotFoundError:
            digest = GONE
        change = "UPDATE files SET digest = ? WHERE job = ? AND output = 1 AND path = ?"
        store.database.execute(change, (digest, number, path))
    return len(rows)
