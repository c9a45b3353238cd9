# SPDX-License-Identifier: Apache-2.0
"""Between the socket and the handlers: who may speak at all, what is no message, what goes out unasked.

No sockets in here: frames come in, addressed messages go out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import attrs

from interchange.codec import Buffer, decode
from interchange.handshake import revoked
from interchange.messages import Envelope, Error, Event, JobCreate, Message, Preview
from interchange.service_errors import ErrorInfo, ProtocolError

from .devices import Devices
from .flushing import Later
from .handlers import Handlers, explain
from .keys import ALLOWED
from .watchers import Watchers

REVOKED_ERROR = Error(explain(revoked()))
SAME_VERSION = "Install the same version on both sides."


@attrs.frozen
class Outgoing:
    """A message for a connection; `re` is the request that it answers."""

    address: bytes
    message: Message
    re: str = ""


Deferred = list[tuple[bytes, Callable[[], Outgoing | None]]]
"""Who is to be answered when the rest has been heard, and how."""
@attrs.frozen(eq=False)
class _Waiting:
    """A request whose answer is still being made."""

    address: bytes
    re: str
    answer: Later


class Reception:
    """`read_events` and `read_preview`: see `Watchers`."""

    def __init__(
        self, handlers: Handlers, devices: Devices, watchers: Watchers,
        read_events: Callable[[str, int, int], list[Event]], read_preview: Callable[[str], Preview],
        count: Callable[[str], None] = lambda what: None,
    ) -> None:  # fmt: skip
        self._count = count  # called with each message's type and each refusal's code
        self.handlers, self._devices, self._watchers = handlers, devices, watchers
        self._read_events, self._read_preview = read_events, read_preview
        self._waiting: list[_Waiting] = []

    def hear(
        self, address: bytes, owner: str, frames: Sequence[Buffer], deferred: Deferred | None = None
    ) -> Outgoing | None:
        """The answer to a message of the key `owner`, which the handshake has let in; `due` has those that take time.

        Raises nothing.

        What a key sends that was revoked since is not looked at. `deferred` takes what is better answered once all is
        heard that has arrived already: which contents a job lacks, when chunks of them are still waiting here from a
        line that broke. (And whatever the same connection says after that, to keep its order.)
        """
        refusal = self._refuse(address, owner)
        if refusal is not None:
            return refusal
        self._devices.saw(owner)
        try:
            envelope = decode(frames)
        except ProtocolError as error:
            self._count(error.code)
            return Outgoing(address, Error(ErrorInfo(error.code, error.message, SAME_VERSION)), error.request_id)
        self._count(envelope.message.TYPE)
        if deferred is not None and (isinstance(envelope.message, JobCreate) or address in dict(deferred)):
            deferred.append((address, lambda: self._refuse(address, owner) or self._answer(address, owner, envelope)))
            return None
        return self._answer(address, owner, envelope)

    def _refuse(self, address: bytes, owner: str) -> Outgoing | None:
        if self._devices.standing(owner) == ALLOWED:
            return None
        self.handlers.forget(address)
        self._count(REVOKED_ERROR.error.code)
        return Outgoing(address, REVOKED_ERROR)

    def _answer(self, address: bytes, owner: str, envelope: Envelope) -> Outgoing | None:
        answer = self.handlers.handle(address, owner, envelope.message)
        if isinstance(answer, Later):
            self._waiting.append(_Waiting(address, envelope.id, answer))
            return None
        if isinstance(answer, Error):
            self._count(answer.error.code)
        return None if answer is None else Outgoing(address, answer, envelope.id)

    def expel(self, owner: str) -> Iterator[Outgoing]:
        """What to tell the connections of a key that was revoked, some of which may only be listening."""
        for address in self.handlers.addresses(owner):
            self.handlers.forget(address)
            yield Outgoing(address, REVOKED_ERROR)

    def due(self) -> Iterator[Outgoing]:
        """Answers that took time, and previews and events that those who watch are to get now."""
        yield from self._late_answers()
        for address, preview in self._watchers.due_previews(self._read_preview):
            yield Outgoing(address, preview)
        for address, event in self._watchers.due(self._read_events):
            yield Outgoing(address, event)

    def _late_answers(self) -> Iterator[Outgoing]:
        due = [waiting for waiting in self._waiting if waiting.answer.is_due()]
        self._waiting = [waiting for waiting in self._waiting if waiting not in due]
        for waiting in due:
            answer: Message
            try:
                answer = waiting.answer.take()
            except Exception as error:
                answer = Error(explain(error))
                self._count(answer.error.code)
            if self.handlers.knows(waiting.address):
                yield Outgoing(waiting.address, answer, waiting.re)
