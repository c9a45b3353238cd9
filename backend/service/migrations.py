# SPDX-License-Identifier: Apache-2.0
"""The job list's tables, as numbered steps: a list of any older version becomes one of today, or stays as it was."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from interchange.errors import InputError

MIGRATIONS = (
    """
    CREATE TABLE jobs (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        job_id TEXT NOT NULL UNIQUE,
        owner TEXT NOT NULL,
        kind TEXT NOT NULL,
        parameters TEXT NOT NULL,
        spec_digest TEXT NOT NULL,
        state TEXT NOT NULL,
        stage TEXT NOT NULL DEFAULT '',
        fraction REAL NOT NULL DEFAULT 0,
        message TEXT NOT NULL DEFAULT '',
        eta_s REAL,
        attempt INTEGER NOT NULL DEFAULT 0,
        crashes INTEGER NOT NULL DEFAULT 0,
        crash_fraction REAL NOT NULL DEFAULT 0,
        cancel_requested INTEGER NOT NULL DEFAULT 0,
        turn INTEGER,
        error TEXT,
        result TEXT,
        last_seq INTEGER NOT NULL DEFAULT 0,
        created_at REAL NOT NULL,
        updated_at REAL NOT NULL
    );
    CREATE INDEX jobs_by_state ON jobs (state, turn);
    CREATE INDEX jobs_by_owner ON jobs (owner, number);
    CREATE TABLE files (
        job INTEGER NOT NULL REFERENCES jobs (number) ON DELETE CASCADE,
        output INTEGER NOT NULL,
        path TEXT NOT NULL,
        size INTEGER NOT NULL,
        digest TEXT NOT NULL,
        PRIMARY KEY (job, output, path)
    ) WITHOUT ROWID;
    CREATE TABLE events (
        job INTEGER NOT NULL REFERENCES jobs (number) ON DELETE CASCADE,
        seq INTEGER NOT NULL,
        at REAL NOT NULL,
        kind TEXT NOT NULL,
        stage TEXT,
        body TEXT NOT NULL,
        PRIMARY KEY (job, seq)
    ) WITHOUT ROWID;
    """,
    """
    CREATE TABLE devices (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        key TEXT NOT NULL UNIQUE,
        name TEXT NOT NULL,
        paired_at REAL NOT NULL,
        last_seen REAL,
        revoked INTEGER NOT NULL DEFAULT 0
    );
    """,
    """
    ALTER TABLE jobs ADD COLUMN priority INTEGER NOT NULL DEFAULT 0;
    CREATE INDEX files_by_digest ON files (digest);
    """,
    """
    UPDATE files SET digest = '' WHERE output = 1; -- another digest than today's; see old_digests.py
    """,
)
"""Step n leads from version n to n + 1 (SQLite's user_version). A step that was released is never changed."""


def migrate(db: sqlite3.Connection, path: Path) -> None:
    """Bring a list to today's version; each step is one transaction. Raises InputError for one from a newer version."""
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if version > len(MIGRATIONS):
        raise InputError(f"The job list {path} is from a newer version.", "Install that version, or move it away.")
    for number in range(version, len(MIGRATIONS)):
        db.executescript(f"BEGIN; {MIGRATIONS[number]} PRAGMA user_version={number + 1}; COMMIT;")
