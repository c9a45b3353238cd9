# SPDX-License-Identifier: Apache-2.0
"""Bytes that no client would send, to the codec and all that is behind it: refused in a sentence or answered, no more.

What is mutated is what the protocol's page records: one message of each type.
"""

from __future__ import annotations

import json
import random
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from backend.service.blobs import ContentStore
from backend.service.devices import Devices
from backend.service.handlers import Control, Handlers
from backend.service.machine import own_memory
from backend.service.queue import JobQueue
from backend.service.quota import Quota
from backend.service.reception import REVOKED_ERROR, Reception
from backend.service.retention import Retention
from backend.service.settings import Settings
from backend.service.store import JobStore
from backend.service.watchers import Watchers
from interchange import messages as wire
from interchange.codec import decode, encode
from interchange.service_errors import ProtocolError

from .test_any_order import flushless_folder

PAGE = Path(__file__).resolve().parents[2] / "docs/formats/protocol.md"
FRIEND, FOE = "F" * 40, "E" * 40
ODD = (
    None, True, 0, -1, 1, 2**53, 2**64, 1e308, -1e308, 0.5, "", "x", "\ud800", "\x00", "../x", "/etc/passwd", "C:\\x",
    "a" * 70, "ä" * 5000, [], {}, [[]], ["x"], [{}], {"path": "../x"}, {"path": "a", "size": -1, "digest": "0" * 64},
)  # fmt: skip
LIMIT_S = 0.005
"""To decode one message, of processor time: the bar of the issue."""


def recorded() -> list[list[bytes]]:
    """The messages of the page, as frames."""
    sections = re.findall(r"^#### .*?\n(.*?)(?=^#|\Z)", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    blocks = [re.findall(r"^```\w+ (?:header|payload)\n(.*?)\n```$", text, re.M | re.S) for text in sections]
    return [[b"DD/2", *(text.encode() for text in found)] for found in blocks if found]


class Mutator:
    """Damages recorded messages, each time in another way. The same seed gives the same messages."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.recorded = recorded()
        self.ways = (self.noise, self.cut, self.flip, self.splice, self.frames, self.deep, self.odd, *3 * [self.near])

    def __call__(self) -> list[bytes]:
        frames = list(self.random.choice(self.recorded))
        for _ in range(self.random.choice((0, 1, 1, 1, 2, 5))):
            frames = self.random.choice(self.ways)(frames)
        return frames

    def noise(self, _: list[bytes]) -> list[bytes]:
        lengths = [self.random.choice((0, 1, 4, 50, 2000)) for _ in range(self.random.randrange(5))]
        return [b"DD/2", *(self.random.randbytes(length) for length in lengths)][self.random.randrange(2) :]

    def cut(self, frames: list[bytes]) -> list[bytes]:
        return self.on_one(frames, lambda frame: frame[: self.random.randrange(len(frame) + 1)])

    def flip(self, frames: list[bytes]) -> list[bytes]:
        def flipped(frame: bytes) -> bytes:
            data = bytearray(frame or b"x")
            for _ in range(self.random.choice((1, 1, 3, 20))):
                data[self.random.randrange(len(data))] ^= 1 << self.random.randrange(8)
            return bytes(data)

        return self.on_one(frames, flipped)

    def splice(self, frames: list[bytes]) -> list[bytes]:
        other = self.random.choice(self.random.choice(self.recorded))
        at = self.random.randrange(len(other) + 1)
        return self.on_one(frames, lambda frame: frame[: self.random.randrange(len(frame) + 1)] + other[at:])

    def frames(self, frames: list[bytes]) -> list[bytes]:
        kept = [frame for frame in frames if self.random.random() < 0.8]
        return kept + [self.random.choice(self.random.choice(self.recorded))] * self.random.randrange(2)

    def odd(self, frames: list[bytes]) -> list[bytes]:
        """Any other value at a place of the header or the payload that holds one."""
        return self.replace(frames, lambda value: self.random.choice((*ODD, self.random.choice(sorted(wire.MESSAGES)))))

    def near(self, frames: list[bytes]) -> list[bytes]:
        """A value of the same type, which the codec may well let through."""

        def close(value: Any) -> Any:
            if isinstance(value, str) and len(value) == 64:
                return self.random.choice(("0" * 64, self.random.randbytes(32).hex(), value.upper(), value))
            if isinstance(value, (bool, int, float)):
                return value + self.random.choice((-1, 1, 1000, 1 << 40)) if not isinstance(value, bool) else not value
            same = [odd for odd in ODD if type(odd) is type(value)]
            return self.random.choice(same) if same else value

        return self.replace(frames, close)

    def replace(self, frames: list[bytes], other: Callable[[Any], Any]) -> list[bytes]:
        def replaced(frame: bytes) -> bytes:
            try:
                document = json.loads(frame)
            except (ValueError, RecursionError):
                return frame
            places = list(_places(document))
            if places:
                container, key = self.random.choice(places)
                container[key] = other(container[key])
            return json.dumps(document).encode()

        return self.on_one(frames, replaced)

    def deep(self, frames: list[bytes]) -> list[bytes]:
        nest = b"[" * self.random.choice((10, 1000, 30_000)) if self.random.random() < 0.1 else b'{"a":'
        return self.on_one(frames, lambda frame: nest + frame)

    def on_one(self, frames: list[bytes], change: Any) -> list[bytes]:
        if not frames:
            return [self.random.randbytes(3)]
        which = 0 if len(frames) == 1 or self.random.random() < 0.1 else self.random.randrange(1, len(frames))
        return [*frames[:which], change(frames[which]), *frames[which + 1 :]]


def _places(document: Any) -> Iterator[tuple[Any, Any]]:
    pairs: Any = document.items() if isinstance(document, dict) else ()
    for key, value in enumerate(document) if isinstance(document, list) else pairs:
        yield document, key
        yield from _places(value)


@pytest.fixture
def reception() -> Iterator[Reception]:
    """Everything behind the socket, with a friend and somebody who was revoked."""
    with flushless_folder() as folder:
        options = Settings(folder / "state")
        options.store.mkdir(parents=True)
        store = JobStore(options.database)
        contents, watchers = ContentStore(options.store), Watchers()
        devices = Devices(store.database, "own")
        devices.add(FRIEND, "friend")
        devices.add(FOE, "foe")
        devices.revoke(FOE)
        retention = Retention(options, store, contents, lambda _: False)
        control = Control(lambda _: None, lambda: None, lambda: wire.Stats("s", 1, 0.0, {}), retention)
        queue = JobQueue(store, quota=Quota(waiting=100))
        handlers = Handlers(options, queue, contents, watchers, "server", control, lambda: 0.0)
        yield Reception(handlers, devices, watchers, store.events, lambda job_id: wire.Preview(job_id))
        contents.close()
        store.close()
        names = {path.relative_to(folder).parts[0] for path in folder.rglob("*")}
        assert names == {"state"}  # nothing was written anywhere else


def fuzz(reception: Reception, count: int, seed: int) -> Counter[str]:
    """How many messages were answered how. Growth of memory is measured after a tenth, when all caches are warm."""
    mutate, answered, slow = Mutator(seed), Counter[str](), 0
    before = None
    for number in range(count):
        if number == count // 10:
            before = own_memory()
        frames = mutate()
        begun = time.thread_time()
        kind = decode_or_refuse(frames)
        slow += time.thread_time() - begun > LIMIT_S
        answered[kind] += 1
        if kind != "refused" or number % 10 == 0:
            answer = reception.hear(b"friend", FRIEND, frames)
            if answer is not None:
                encode(answer.message, "1", answer.re)
                answered[code(answer.message) or answer.message.TYPE] += 1
            shut = reception.hear(b"foe", FOE, frames)
            assert shut is not None and shut.message is REVOKED_ERROR and not shut.re
        if number % 100 == 0:
            reception.hear(b"friend", FRIEND, encode(wire.Hello("data" if number % 200 else "control"), "1"))
            for outgoing in reception.due():
                encode(outgoing.message, "1")
    after = own_memory()
    if before is not None and after is not None:
        assert after - before < 20 << 20, f"grew by {(after - before) >> 20} MiB"
    assert slow <= count / 1000, f"{slow} of {count} took more than {LIMIT_S} s"  # others take turns on the processor
    return answered


def decode_or_refuse(frames: list[bytes]) -> str:
    """ "refused" or "decoded"; what is decoded can be sent again and means the same."""
    try:
        envelope = decode(frames)
    except ProtocolError as error:
        assert error.code.startswith("PROTO_") and 0 < len(error.message) < 400
        return "refused"
    assert decode(encode(envelope.message, envelope.id, envelope.re)) == envelope
    return "decoded"


def code(message: wire.Message) -> str:
    return message.error.code if isinstance(message, wire.Error) else ""


def test_twenty_thousand_messages(reception: Reception) -> None:
    answered = fuzz(reception, 20_000, seed=1)
    print(answered)  # pytest -rP shows it
    assert answered["INTERNAL"] == 0
    for kind in ("refused", "decoded", "job.created", "JOB_UNKNOWN", "INPUT_PATH", "PROTO_BAD_HEADER", "welcome"):
        assert answered[kind] > 3, kind  # the messages get far enough to mean something


@pytest.mark.soak
@pytest.mark.timeout(0)
def test_five_million_messages(reception: Reception) -> None:
    total = fuzz(reception, 20_000, 2)
    before = own_memory() or 0
    for seed in range(3, 252):
        total += fuzz(reception, 20_000, seed)
    growth = (own_memory() or 0) - before
    print(f"{total}, grew by {growth / 2**20:.1f} MiB")
    assert total["INTERNAL"] == 0 and growth < 20 << 20
