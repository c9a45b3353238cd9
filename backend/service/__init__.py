# SPDX-License-Identifier: Apache-2.0
"""The backend service: jobs over ZeroMQ, kept in SQLite, done in worker processes. See docs/formats/protocol.md."""
