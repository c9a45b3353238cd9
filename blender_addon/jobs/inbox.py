# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender's end of the queue: a timer that takes in what the threads have to tell, for 3 ms a tick at most.

The desk is made at the first tick in a window, or with the first operator that needs it without one (where timers do
not fire, so that whoever waits calls `tick` himself). It lives until the extension is turned off.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bpy

from .._interchange import errors
from ..compat import changes_refused
from ..folders import user_folder
from ..lately import Lately
from ..preferences import preferences
from ..redrawing import redraw_sidebars
from ..reporting import describe
from . import local_backend, messages, mirror
from .arrival import Arrivals
from .backends import LOCAL_ID
from .desk import Desk
from .line import has_connection
from .pictures import Pictures
from .rescue import Rescue
from .words import STARTING

BUDGET_S = 0.003
ARRIVING_S, BUSY_S, IDLE_S = 0.02, 0.1, 0.5
REDRAW_S = 0.25  # an upload moves with each tick, but nobody reads that fast
LOOK_S = 10.0
NOTICE_S = 60.0


class Reception:
    """All that lasts from register() to unregister()."""

    def __init__(self) -> None:
        self.pictures = Pictures()
        self.arrivals = Arrivals(waits=bpy.app.background)
        self.forget()

    def forget(self) -> None:
        """As at first."""
        self.desk: Desk | None = None
        self.rescue = Rescue()
        self.installations: Lately[local_backend.Installation] = Lately(time.monotonic)
        self.models: Lately[Path] = Lately(time.monotonic)
        self.looked_at = False  # a panel was drawn since the last tick
        self.has_news = False  # that no panel shows yet
        self.asked_at = self.adopted_at = self.noticed_at = self.drawn_at = -LOOK_S


_reception = Reception()  # Blender calls timers and handlers without arguments, so somebody has to remember


def desk() -> Desk:
    """The one desk. Raises InputError if Blender's user folder cannot be written."""
    if _reception.desk is None:
        _reception.desk = Desk(user_folder(), local_state)
        _reception.desk.switchboard.online = bpy.app.online_access
    return _reception.desk


def desk_if_any() -> Desk | None:
    """For panels, which only look. Tells the timer that somebody does."""
    _reception.looked_at = True
    return _reception.desk


def desk_or_none() -> Desk | None:
    """For properties, which only look."""
    return _reception.desk


def picture_of(job: Any) -> int:
    """The icon of a job's newest picture, 0 if there is none."""
    if _reception.desk is None:
        return 0
    path = _reception.desk.ledger.preview_path(job.job_id)
    return _reception.pictures.icon(job.job_id, job.preview, path)


def tick() -> float:
    """Take in messages, show them, do what they ask for. Returns seconds until the next tick."""
    office = desk()
    office.switchboard.online = bpy.app.online_access
    office.drain(BUDGET_S)
    _look_after_local(office)
    window_manager = bpy.context.window_manager
    _tell(office, window_manager.digidouble)
    arriving = _reception.arrivals.step(bpy.context, office)
    if _reception.looked_at and time.monotonic() - _reception.asked_at > LOOK_S:
        _reception.asked_at = time.monotonic()
        office.glance(office.backends.active)
    _reception.looked_at = False
    if office.changed:
        mirror.show(office, window_manager.digidouble.compute)
        _reception.has_news = True
    if _reception.has_news and time.monotonic() - _reception.drawn_at >= REDRAW_S:
        _reception.has_news, _reception.drawn_at = False, time.monotonic()
        redraw_sidebars()
    if arriving:
        return ARRIVING_S
    return BUSY_S if any(not record.ended for record in office.records.values()) else IDLE_S


def wait_for(is_so: Callable[[], bool], timeout_s: float | None = None, pause_s: float = 0.05) -> bool:
    """Tick until it is so: for scripts and Blenders without a window. False if it took too long."""
    until = None if timeout_s is None else time.monotonic() + timeout_s
    while True:
        tick()
        if is_so():
            return True
        if until is not None and time.monotonic() > until:
            return False
        time.sleep(pause_s)


def choose_backend(compute: Any) -> None:
    """The artist clicked another one in the list."""
    office, chosen = desk(), compute.backend()
    if chosen is not None and chosen.backend_id != office.backends.active:
        office.backends.choose(chosen.backend_id)
        _reception.asked_at = -LOOK_S


def installation() -> local_backend.Installation:
    """This computer's backend, as it was a second ago. Raises InputError saying where it was looked for."""
    chosen = preferences(bpy.context)
    named = bpy.path.abspath(chosen.backend_home) if chosen is not None and chosen.backend_home else ""
    key = named, os.environ.get(local_backend.HOME_VARIABLE)
    return _reception.installations.ask(key, lambda: local_backend.find_installation(named))


def models_folder() -> Path:
    """The folder of the artist's own networks, as it was a second ago. Raises InputError if there is none."""
    named = _models_preference()
    key = named, os.environ.get(local_backend.MODELS_VARIABLE)
    return _reception.models.ask(key, lambda: local_backend.find_models(named))


def _models_preference() -> str:
    chosen = preferences(bpy.context)
    return bpy.path.abspath(chosen.models_folder) if chosen is not None and chosen.models_folder else ""


def local_state() -> Path:
    """The state folder of this computer's backend. Raises InputError if none is installed."""
    return local_backend.state_folder(installation(), user_folder())


def start_local(office: Desk) -> None:
    """Have this computer's backend started, unless that is going on. Raises InputError if none is installed."""
    if office.state_of(LOCAL_ID).busy:
        return
    found, state, models = installation(), local_state(), _models_preference()

    def start() -> messages.Message:
        local_backend.start(found, state, models=models)
        return messages.Told("The backend on this computer is running.")

    office.errand(LOCAL_ID, STARTING, start)


def stop_local(office: Desk) -> None:
    """Have this computer's backend stopped, unless something is going on. Raises InputError if none is installed."""
    if office.state_of(LOCAL_ID).busy:
        return
    state = local_state()

    def stop() -> messages.Message:
        was_there = local_backend.stop(state)
        return messages.Told("The backend has stopped." if was_there else "The backend was not running.")

    office.errand(LOCAL_ID, "Stopping", stop)


def finish_errand(office: Desk, backend_id: str) -> None:
    """Wait for starting, stopping or pairing, where there is no window. Raises InputError with what went wrong."""
    wait_for(lambda: not office.state_of(backend_id).busy)
    problem = bpy.context.window_manager.digidouble.problem  # blank when the operator began
    if problem:
        raise errors.InputError(problem)


def _look_after_local(office: Desk) -> None:
    """Start this computer's backend again if it died while jobs wait for it; one that was stopped stays stopped."""
    state = office.state_of(LOCAL_ID)
    if not state.waiting or state.busy:
        return
    if not any(r.backend_id == LOCAL_ID and not r.ended and office.is_ours(r) for r in office.records.values()):
        return
    try:
        if has_connection(local_state()) and _reception.rescue.is_due(time.monotonic()):
            start_local(office)
    except errors.InputError:
        return  # the panel says already why its jobs wait


def _tell(office: Desk, session: Any) -> None:
    """Words of the threads onto the panel; good news are taken off after a while."""
    if session.compute.notice and time.monotonic() - _reception.noticed_at > NOTICE_S:
        session.compute.notice = ""
        office.changed = True
    while office.news:
        news = office.news.pop(0)
        if news.failed:
            session.problem = news.text
        else:
            session.compute.notice = news.text
            _reception.noticed_at = time.monotonic()
    while office.surprises:
        surprise = office.surprises.pop(0)
        session.problem = "Something went wrong inside Digidouble. Copy the error report from the panel."
        session.error_report = describe(surprise.where, surprise.error)
    if (error := office.ledger.problem) is not None:
        office.ledger.problem = None
        session.problem = f"The job list cannot be saved: {errors.describe_os_error(error)}"


def _timer() -> float:
    try:
        if time.monotonic() - _reception.adopted_at > LOOK_S:
            _reception.adopted_at = time.monotonic()
            desk().attach()
        return tick()
    except errors.InputError as error:
        bpy.context.window_manager.digidouble.problem = str(error)
        return 60.0
    except Exception as error:  # a timer that raises is never called again
        if changes_refused(error):
            return BUSY_S
        session = bpy.context.window_manager.digidouble
        session.problem = "Something went wrong inside Digidouble. Copy the error report from the panel."
        session.error_report = describe("the inbox", error)
        return 5.0


@bpy.app.handlers.persistent
def _file_opened(*_: Any) -> None:
    """Another file: the window manager's properties are new, the jobs are not."""
    _reception.arrivals.drop()
    if _reception.desk is not None:
        _reception.desk.file_opened()


@bpy.app.handlers.persistent
def _blocks_changed(*_: Any) -> None:
    """An undo or a redo: what is half done holds nodes that may be others now."""
    _reception.arrivals.drop()


@bpy.app.handlers.persistent
def _file_saved(*_: Any) -> None:
    if _reception.desk is not None:
        _reception.desk.file_saved(bpy.data.filepath)


def register() -> None:
    """Called by registration."""
    bpy.app.handlers.load_post.append(_file_opened)
    bpy.app.handlers.save_post.append(_file_saved)
    for handlers in (bpy.app.handlers.undo_pre, bpy.app.handlers.redo_pre):
        handlers.append(_blocks_changed)
    if not bpy.app.background:
        bpy.app.timers.register(_timer, first_interval=IDLE_S, persistent=True)


def unregister() -> None:
    """Called by registration: threads end within two seconds, jobs go on at their backends."""
    if bpy.app.timers.is_registered(_timer):
        bpy.app.timers.unregister(_timer)
    _reception.arrivals.drop()
    for handlers in (bpy.app.handlers.redo_pre, bpy.app.handlers.undo_pre):
        handlers.remove(_blocks_changed)
    bpy.app.handlers.save_post.remove(_file_saved)
    bpy.app.handlers.load_post.remove(_file_opened)
    if _reception.desk is not None:
        _reception.desk.close()
    _reception.pictures.close()
    _reception.forget()
