# SPDX-License-Identifier: GPL-3.0-or-later
"""What panels and scripts see of the desk.

Properties are read from the desk, never written by the timer, so that both can never differ, and nothing has to be
drawn but the sidebar (redrawing.py): a job reports progress twice a second. Only the lists' lengths and order are kept.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from .backends import LOCAL_ID
from .desk import BackendState, Desk
from .records import JobRecord
from .words import STARTING, with_advice


def show(desk: Desk, compute: Any) -> None:
    """Bring the lists of `WindowManager.digidouble.compute` up to date."""
    _show_backends(desk, compute)
    _show_jobs(desk, compute)
    desk.changed = False


def waiting_of(desk: Desk, record: JobRecord) -> str:
    """Why a job waits for its backend, and what to do; "" if it does not."""
    state = desk.states.get(record.backend_id)
    return "" if state is None or record.ended else _advised(state, record.backend_id, state.waiting)


def sentence_of(desk: Desk, backend_id: str) -> str:
    """What is wrong with a backend, and what to do; "" if nothing is known to be."""
    state = desk.state_of(backend_id)
    return _advised(state, backend_id, state.sentence)


def headline_of(desk: Desk, record: JobRecord) -> str:
    """Where the job is; nobody knows how long yet while its backend is away."""
    return (dataclasses.replace(record, eta_s=None) if waiting_of(desk, record) else record).headline


def _advised(state: BackendState, backend_id: str, sentence: str) -> str:
    return with_advice(sentence, is_local=backend_id == LOCAL_ID, is_starting=state.busy == STARTING)


def _show_backends(desk: Desk, compute: Any) -> None:
    order = [item.backend_id for item in desk.backends.items]
    if [item.backend_id for item in compute.backends] != order:
        compute.backends.clear()
        for backend_id in order:
            compute.backends.add().backend_id = backend_id
    if compute.active_backend != order.index(desk.backends.active):
        compute.active_backend = order.index(desk.backends.active)


def _show_jobs(desk: Desk, compute: Any) -> None:
    newest = sorted(desk.records.values(), key=lambda record: record.created_at, reverse=True)
    order, shown = [record.job_id for record in newest], [job.job_id for job in compute.jobs]
    if shown == order:
        return
    chosen = compute.job()
    keep = chosen.job_id if chosen is not None and set(order) <= set(shown) else ""  # a new job is chosen at once
    compute.jobs.clear()
    for job_id in order:
        compute.jobs.add().job_id = job_id
    compute.active_job = order.index(keep) if keep in order else 0
