# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the add-on keeps track of backends and jobs: orders go out from here, messages of threads come in. No bpy.

Belongs to Blender's main thread and never waits. What it holds is the truth; the panel's properties are its mirror.
"""

from __future__ import annotations

import dataclasses
import queue
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path

from .._interchange import errors
from . import messages, records
from .backends import Backend, BackendList
from .claim import Claim
from .control import AskStatus, Cancel, ControlLine, Unwatch, Watch
from .ledger import Ledger
from .line import has_connection
from .records import JobRecord
from .switchboard import Switchboard
from .transfer import Fetch, Send, TransferLine, copy_of
from .words import absent, in_own_words, problem_and_hint

_BAR = 200  # steps of a progress bar that can be told apart


@dataclasses.dataclass
class BackendState:
    """What is known of a backend at present. `waiting`: why its jobs wait, "" when they do not."""

    waiting: str = ""
    reached: bool | None = None
    lines: tuple[str, ...] = ()
    sentence: str = ""
    busy: str = ""
    answered: str = ""  # the last question to which `reached` and the rest are the answer


class Desk:
    """All that the add-on knows of backends and jobs."""

    def __init__(self, folder: Path, local_state: Callable[[], Path], clock: Callable[[], float] = time.time) -> None:
        """`folder`: the user's own. `local_state`: where this computer's backend keeps its things, or InputError."""
        self.folder = Path(folder)
        self.inbox: queue.SimpleQueue[messages.Message] = queue.SimpleQueue()
        self.ledger = Ledger(self.folder / "jobs")
        self.backends = BackendList(self.folder)
        self.records: dict[str, JobRecord] = {record.job_id: record for record in self.ledger.read()}
        self.states: dict[str, BackendState] = {}
        self.visit = uuid.uuid4().hex
        self.previews: dict[str, int] = {}  # job -> how many pictures have come
        self.surprises: list[messages.Surprise] = []
        self.news: list[messages.Told] = []
        self.changed = True  # something that the panel shows
        self.switchboard = Switchboard(self.backends, local_state, self.inbox.put)
        self._clock = clock
        self._claims: dict[str, Claim] = {}
        self._stops: dict[str, threading.Event] = {}

    # -- what the operators ask ---------------------------------------------------------------------------------------

    def submit(self, record: JobRecord) -> JobRecord:
        """Take on a new job. Raises InputError if its backend may not be reached."""
        self.switchboard.check(self.backends.find(record.backend_id))
        record.created_at, record.visit = self._clock(), self.visit
        self._claim(record)
        self.records[record.job_id] = record
        self._send(record)
        return record

    def retry(self, record: JobRecord) -> None:
        """Take up a job that failed or was cancelled, where it stopped. Raises InputError as `submit`."""
        self.switchboard.check(self.backends.find(record.backend_id))
        if not self._claim(record):
            raise errors.InputError("Another Blender looks after this job.", "Use that one, or close it.")
        record.fetched = False
        self._send(record)

    def cancel(self, record: JobRecord) -> None:
        """Stop it: at once while it is on its way or its backend is away, else as soon as the backend has done so."""
        record.cancelling = True
        if record.job_id in self._stops:
            self._stops[record.job_id].set()
        if not self._known(record):
            self._end(record, records.CANCELLED)
        elif record.state in records.AT_THE_BACKEND:
            self._control(record).give(Cancel(record.job_id, record.remote_id))
            if self.state_of(record.backend_id).waiting:
                self._end(record, records.CANCELLED)
        elif record.state == records.IMPORTING:
            self._end(record, records.DONE, "Fetched.")
        self._note(record)

    def remove(self, record: JobRecord) -> None:
        """Forget an ended job; its results stay where they are."""
        del self.records[record.job_id]
        self.previews.pop(record.job_id, None)
        self.ledger.remove(record)
        self.changed = True

    def imported(self, record: JobRecord, note: str = "", problem: str = "", hint: str = "") -> None:
        """The double is in the scene, or not, for a reason; either way the job is done."""
        self._end(record, records.DONE, note, problem, hint)

    def ask_status(self, backend: Backend) -> str:
        """Have a backend tell how it is; `state_of(...).answered` becomes what this returns. Raises InputError."""
        self.switchboard.check(backend)
        question = uuid.uuid4().hex
        self.switchboard.control(backend).give(AskStatus(question))
        return question

    def glance(self, backend_id: str) -> None:
        """As `ask_status`, but quietly, and without waking anything up where nothing runs."""
        state = self.state_of(backend_id)
        try:
            backend = self.backends.find(backend_id)
            if backend.is_local and not has_connection(self.switchboard.connection_of(backend)):
                raise errors.InputError(absent(backend.name, is_local=True))
            self.ask_status(backend)
        except errors.InputError as error:
            if state.reached is not False or state.sentence != str(error):
                state.reached, state.lines, state.sentence, self.changed = False, (), str(error), True

    def attach(self) -> None:
        """Go on with all jobs that had not ended when Blender was closed, unless another Blender looks after them."""
        for job_id in [r.job_id for r in self.records.values() if not self.is_ours(r)]:
            ours = self._claim(self.records[job_id])
            newer = self.ledger.read_one(job_id)  # the other Blender has moved on
            if newer is not None:
                self.records[job_id] = newer
            record = self.records[job_id]
            self.changed = True
            if ours:
                self._go_on(record)

    def errand(self, backend_id: str, busy: str, action: Callable[[], messages.Message]) -> None:
        """Do something that takes seconds (start, stop, pair) in a thread of its own; `busy` is shown meanwhile."""
        self.state_of(backend_id).busy = busy
        self.changed = True

        def work() -> None:
            try:
                self.inbox.put(action())
            except Exception as error:
                self.inbox.put(told_or_surprise(busy, error))
            finally:
                self.inbox.put(messages.ErrandOver(backend_id))

        threading.Thread(target=work, name=f"digidouble {busy}", daemon=True).start()

    def state_of(self, backend_id: str) -> BackendState:
        """What is known of it."""
        return self.states.setdefault(backend_id, BackendState())

    def is_ours(self, record: JobRecord) -> bool:
        """True unless another Blender looks after it."""
        return record.ended or record.job_id in self._claims

    def forget_backend(self, backend: Backend) -> None:
        """Remove a paired box. Raises InputError while jobs are at it."""
        if any(record.backend_id == backend.backend_id and not record.ended for record in self.records.values()):
            raise errors.InputError(f"{backend.name} still has jobs of yours.", "Cancel them or wait for their end.")
        self.switchboard.hang_up(backend)
        self.backends.remove(backend)
        self.states.pop(backend.backend_id, None)
        self.changed = True

    def close(self, timeout_s: float = 2.0) -> None:
        """End all threads; jobs go on at their backends."""
        self.switchboard.close(timeout_s)
        for claim in self._claims.values():
            claim.release()
        self._claims.clear()
        self.ledger.close()

    def file_opened(self) -> None:
        """Another .blend file: what was sent from the one before does not belong here, and the mirror is blank."""
        self.visit = uuid.uuid4().hex
        self.changed = True

    def file_saved(self, path: str) -> None:
        """The open file has this name (now): its jobs belong to it for ever."""
        for record in self.records.values():
            if record.visit == self.visit and record.file != path:
                record.file = path
                self._note(record)

    # -- what the threads tell ----------------------------------------------------------------------------------------

    def drain(self, budget_s: float, clock: Callable[[], float] = time.perf_counter) -> bool:
        """Take in messages for so long at most. True if any came."""
        until, any_came = clock() + budget_s, False
        while clock() < until:
            try:
                message = self.inbox.get_nowait()
            except queue.Empty:
                break
            self.take(message)
            any_came = True
        return any_came

    def take(self, message: messages.Message) -> None:
        """Apply one message; `changed` becomes true if the panel then reads otherwise."""
        before = self._shown_of(message)
        self._apply(message)
        self.changed |= self._shown_of(message) != before

    def _shown_of(self, message: messages.Message) -> object:
        """What the panel shows of the job or the backend that a message is about, if it is one of those that come all
        the time; else something that equals nothing.
        """
        if isinstance(message, messages.Progress | messages.Polled):
            record = self.records.get(message.job_id)
            return record and (record.state, record.headline, record.sentence, round(record.fraction * _BAR))
        if isinstance(message, messages.Lost | messages.Back | messages.Status):
            return dataclasses.replace(self.state_of(message.backend_id), answered="")
        return object()

    def _apply(self, message: messages.Message) -> None:
        if isinstance(message, messages.Lost):
            state = self.state_of(message.backend_id)
            state.waiting, state.reached, state.sentence = message.sentence, False, message.sentence
            state.lines = ()
        elif isinstance(message, messages.Back):
            state = self.state_of(message.backend_id)
            state.waiting, state.reached, state.sentence = "", True, ""
        elif isinstance(message, messages.Status):
            self._take_status(message)
        elif isinstance(message, messages.ErrandOver):
            self.state_of(message.backend_id).busy = ""
            self.glance(message.backend_id)
        elif isinstance(message, messages.Paired):
            self._take_paired(message)
        elif isinstance(message, messages.Told):
            self.news.append(message)
        elif isinstance(message, messages.Surprise):
            self.surprises.append(message)
        elif (record := self.records.get(message.job_id)) is not None:
            self._take_of_job(record, message)

    def _take_status(self, message: messages.Status) -> None:
        state = self.state_of(message.backend_id)
        state.reached, state.lines, state.sentence = message.reached, message.lines, message.sentence
        state.answered = message.question
        if message.reached:
            state.waiting = ""

    def _take_paired(self, message: messages.Paired) -> None:
        self.backends.add(Backend(message.backend_id, message.name, message.endpoint, message.fingerprint))
        self.news.append(messages.Told(f"Paired with {message.name}. It must show: {message.fingerprint}"))
        self.glance(message.backend_id)

    def _take_of_job(self, record: JobRecord, message: messages.Message) -> None:
        if isinstance(message, messages.Preview):
            self.previews[record.job_id] = self.previews.get(record.job_id, 0) + 1
        elif record.ended:
            return  # cancelled here while a thread was still speaking of it
        elif isinstance(message, messages.Progress):
            if record.state != message.state:
                record.move(message.state)
            record.fraction, record.message = message.fraction, message.message
        elif isinstance(message, messages.Sent):
            record.remote_id = message.remote_id
            record.move(records.QUEUED, message="In the queue")
            self._watch(record)
        elif isinstance(message, messages.Polled):
            self._take_polled(record, message)
        elif isinstance(message, messages.Fetched):
            record.fetched = True
            if record.import_when_done:
                record.move(records.IMPORTING)
                self._note(record)
            else:
                self._end(record, records.DONE, "Fetched")
        elif isinstance(message, messages.Failed):
            problem, hint = (in_own_words(text, record) for text in (message.problem, message.hint))
            self._end(record, records.FAILED, problem=problem, hint=hint)
        elif isinstance(message, messages.Stopped):
            self._end(record, records.CANCELLED)

    def _take_polled(self, record: JobRecord, message: messages.Polled) -> None:
        if message.state == "succeeded":
            record.move(records.FETCHING)
            self._fetch(record)
        elif message.state == "cancelled":
            self._end(record, records.CANCELLED)
        elif message.state in ("created", "uploading"):
            self._send(record)  # the backend lost our commit, or was restored from a copy
        else:
            before = record.state
            record.move(records.RUNNING if message.state == "running" else records.QUEUED, fraction=message.fraction)
            record.stage, record.message, record.eta_s = message.stage, message.message, message.eta_s
            record.position = message.position
            if record.state != before:
                self._note(record)

    # -- orders -------------------------------------------------------------------------------------------------------

    def _send(self, record: JobRecord) -> None:
        record.move(records.PREPARING)
        self._note(record)
        self._transfer(record).give(Send(copy_of(record), self._new_stop(record)))

    def _fetch(self, record: JobRecord) -> None:
        self._note(record)
        self._transfer(record).give(Fetch(copy_of(record), self._new_stop(record)))

    def _watch(self, record: JobRecord) -> None:
        self._note(record)
        preview = self.ledger.preview_path(record.job_id)
        self._control(record).give(Watch(record.job_id, record.remote_id, preview))
        if record.cancelling:
            self._control(record).give(Cancel(record.job_id, record.remote_id))

    def _go_on(self, record: JobRecord) -> None:
        try:
            self._take_up(record)
        except errors.InputError as error:  # its backend is not installed any more, or was removed
            self.state_of(record.backend_id).waiting = str(error)

    def _take_up(self, record: JobRecord) -> None:
        if record.state in records.ON_ITS_WAY:
            self._send(record)
        elif record.state in records.AT_THE_BACKEND:
            self._watch(record)
        elif record.state == records.FETCHING:
            self._fetch(record)

    def _end(self, record: JobRecord, state: str, message: str = "", problem: str = "", hint: str = "") -> None:
        record.move(state, message=message, fraction=1.0 if state == records.DONE else 0.0)
        record.problem, record.hint = problem, hint
        self._stops.pop(record.job_id, None)
        if self._known(record) and self.switchboard.is_open(self.backends.find(record.backend_id)):
            self._control(record).give(Unwatch(record.job_id))
        if (claim := self._claims.pop(record.job_id, None)) is not None:
            claim.release()
        self._note(record)

    def _note(self, record: JobRecord) -> None:
        self.changed = True
        self.ledger.save(record)

    def _new_stop(self, record: JobRecord) -> threading.Event:
        stop = self._stops[record.job_id] = threading.Event()
        if record.cancelling:
            stop.set()
        return stop

    def _claim(self, record: JobRecord) -> bool:
        claim = self._claims.get(record.job_id) or Claim(self.ledger.lock_path(record.job_id))
        try:
            ours = claim.take()
        except OSError:
            ours = True  # a folder where nothing can be locked: better looked after twice than not at all
        if ours:
            self._claims[record.job_id] = claim
        return ours

    def _known(self, record: JobRecord) -> bool:
        return self.backends.has(record.backend_id)

    def _control(self, record: JobRecord) -> ControlLine:
        return self.switchboard.control(self.backends.find(record.backend_id))

    def _transfer(self, record: JobRecord) -> TransferLine:
        return self.switchboard.transfer(self.backends.find(record.backend_id))


def told_or_surprise(where: str, error: Exception) -> messages.Message:
    """How a thread passes an exception on."""
    try:
        return messages.Told(" ".join(problem_and_hint(error)).strip(), failed=True)
    except TypeError:
        return messages.Surprise(where, error)
