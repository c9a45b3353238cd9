# SPDX-License-Identifier: GPL-3.0-or-later
"""From the desk to the properties that panels draw. Only what has changed is written."""

from __future__ import annotations

import dataclasses
from typing import Any

from .backends import LOCAL_ID, Backend
from .desk import Desk
from .records import JobRecord
from .words import STARTING, with_advice

PANEL_REGIONS = ("UI",)


def show(desk: Desk, compute: Any) -> None:
    """Bring `WindowManager.digidouble.compute` up to date; the desk's marks are taken off."""
    _show_backends(desk, compute)
    _show_jobs(desk, compute)
    desk.changed = False
    desk.dirty.clear()


def redraw(window_manager: Any) -> None:
    """Draw the sidebars again, not the views beside them, which may be slow."""
    for window in window_manager.windows:
        for area in window.screen.areas:
            if area.type == "VIEW_3D":
                for region in area.regions:
                    if region.type in PANEL_REGIONS:
                        region.tag_redraw()


def _show_backends(desk: Desk, compute: Any) -> None:
    items = desk.backends.items
    if [item.backend_id for item in compute.backends] != [item.backend_id for item in items]:
        compute.backends.clear()
        for item in items:
            compute.backends.add().backend_id = item.backend_id
    for shown, item in zip(compute.backends, items, strict=True):
        _show_backend(desk, shown, item)
    index = next(i for i, item in enumerate(items) if item.backend_id == desk.backends.active)
    if compute.active_backend != index:
        compute.active_backend = index


def _show_backend(desk: Desk, shown: Any, item: Backend) -> None:
    state = desk.state_of(item.backend_id)
    starting = state.busy == STARTING
    values = {
        "name": item.name, "endpoint": item.endpoint.removeprefix("tcp://"), "fingerprint": item.fingerprint,
        "is_local": item.is_local, "reached": bool(state.reached), "waiting": state.waiting,
        "sentence": with_advice(state.sentence, is_local=item.is_local, is_starting=starting),
        "lines": "\n".join(state.lines), "busy": state.busy,
    }  # fmt: skip
    _write(shown, values)


def _show_jobs(desk: Desk, compute: Any) -> None:
    newest = sorted(desk.records.values(), key=lambda record: record.created_at, reverse=True)
    order = [record.job_id for record in newest]
    fresh = [job.job_id for job in compute.jobs] != order
    if fresh:
        chosen = compute.job()
        keep = chosen.job_id if chosen is not None and not (set(order) - {job.job_id for job in compute.jobs}) else ""
        compute.jobs.clear()
        for record in newest:
            compute.jobs.add().job_id = record.job_id
        compute.active_job = order.index(keep) if keep in order else 0
    waiting = {
        backend_id: with_advice(
            state.waiting, is_local=backend_id == LOCAL_ID, is_starting=state.busy == STARTING
        )
        for backend_id, state in desk.states.items()
    }
    for shown, record in zip(compute.jobs, newest, strict=True):
        text = waiting.get(record.backend_id, "") if not record.ended else ""
        if fresh or record.job_id in desk.dirty or shown.waiting != text:
            _show_job(desk, shown, record, text)


def _show_job(desk: Desk, shown: Any, record: JobRecord, waiting: str) -> None:
    values = {
        "name": record.name, "kind": record.kind, "backend_id": record.backend_id, "state": record.state.upper(),
        "headline": (dataclasses.replace(record, eta_s=None) if waiting else record).headline,
        "sentence": record.sentence, "is_problem": bool(record.problem),
        "fraction": min(max(record.fraction, 0.0), 1.0), "results": record.results, "waiting": waiting,
        "preview": desk.previews.get(record.job_id, 0), "is_ours": desk.is_ours(record),
    }  # fmt: skip
    _write(shown, values)


def _write(shown: Any, values: dict[str, Any]) -> None:
    for name, value in values.items():
        if getattr(shown, name) != value:
            setattr(shown, name, value)
