# SPDX-License-Identifier: Apache-2.0
"""The codec: every message survives the way to bytes and back, and no bytes raise anything but ProtocolError."""

from __future__ import annotations

import json
import typing
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interchange import messages
from interchange.codec import MAX_HEADER, MAX_PAYLOAD, decode, encode
from interchange.errors import Cancelled, InputError
from interchange.messages import MESSAGES, Envelope
from interchange.service_errors import ErrorInfo, ProtocolError, ServiceError, raise_error

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
ZERO = "0" * 64
DIGEST = st.binary(min_size=32, max_size=32).map(bytes.hex)
SIZE = st.integers(0, 2**53 - 1)
NUMBER = st.floats(-1e15, 1e15)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | NUMBER | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
NAMED = {
    "job_id": st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True),
    "kind": st.from_regex(r"[a-z]{1,20}", fullmatch=True),
    "code": st.from_regex(r"[A-Z][A-Z0-9_]{1,20}", fullmatch=True),
    "retry": st.sampled_from(["never", "same", "later"]),
    "digest": DIGEST,
    "chunk_digest": DIGEST,
    "role": st.sampled_from(["control", "data"]),
    "state": st.sampled_from(messages.STATES),
    "fraction": st.floats(0, 1),
    "priority": st.integers(-100, 100),
    "older_s": st.floats(0, 1e9),
    "port": st.integers(1, 65535),
    "valid_s": st.floats(0, 1e6),
    "key": st.from_regex(r"[!-~]{40}", fullmatch=True),
    "name": st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20),
    "seq": st.integers(1, 2**53 - 1),
    "limit": st.integers(1, 1000),
    "data": st.binary(max_size=50),
    "parameters": st.dictionaries(TEXT, JSON, max_size=3),
    "result": st.dictionaries(TEXT, JSON, max_size=3),
    **{name: st.integers(1, 2**40) for name in ("chunk", "files", "file_size", "length")},
}


def values(kind: Any, name: str = "") -> st.SearchStrategy[Any]:
    """Values of a type; some names have rules of their own."""
    if attrs.has(kind):
        hints = typing.get_type_hints(kind, include_extras=False)
        event = {"kind": st.sampled_from(["state", "progress", "log"])} if kind is messages.Event else {}
        return st.builds(
            kind, **({f.name: values(hints[f.name], f.name) for f in attrs.fields(kind)} | event)
        )
    arguments = typing.get_args(kind)
    if type(None) in arguments:
        return st.none() | values(arguments[0], name)
    if typing.get_origin(kind) is list:
        return st.lists(values(arguments[0]), max_size=3)
    if name in NAMED:
        return NAMED[name]
    if typing.get_origin(kind) is dict:
        return st.dictionaries(TEXT, values(arguments[1]), max_size=3)
    return {str: TEXT, int: SIZE, float: NUMBER, bool: st.booleans()}[kind]


ANY_MESSAGE = st.one_of([values(kind) for kind in MESSAGES.values()])


@settings(max_examples=300, deadline=None)
@given(ANY_MESSAGE, st.from_regex(r"[a-f0-9]{1,32}", fullmatch=True), st.from_regex(r"[a-f0-9]{0,32}", fullmatch=True))
def test_every_message_survives_the_wire(message: Any, request_id: str, answered: str) -> None:
    assert decode(encode(message, request_id, answered)) == Envelope(message, request_id, answered)


def test_all_types_are_covered() -> None:
    assert len(MESSAGES) == 43
    assert all(name == kind.TYPE and kind.__doc__ for name, kind in MESSAGES.items())


@settings(max_examples=500, deadline=None)
@given(st.lists(st.binary(max_size=200), max_size=4))
def test_random_bytes_are_refused(frames: list[bytes]) -> None:
    with pytest.raises(ProtocolError):
        decode(frames)


@settings(max_examples=500, deadline=None)
@given(
    st.dictionaries(TEXT | st.sampled_from(["id", "re", "job_id", "job", "digest", "size", "offset"]), JSON),
    st.sampled_from(sorted(MESSAGES)),
    st.none() | st.binary(max_size=60) | JSON.map(lambda value: json.dumps(value).encode()),
)
def test_random_headers_decode_or_are_refused(header: dict[str, Any], kind: str, payload: bytes | None) -> None:
    frames = [b"DD/2", json.dumps({**header, "t": kind}).encode(), *([] if payload is None else [payload])]
    decode_or_refuse(frames)


@settings(max_examples=1500, deadline=None)
@given(ANY_MESSAGE, st.data())
def test_damaged_messages_decode_or_are_refused(message: Any, data: st.DataObject) -> None:
    frames = [bytearray(frame) for frame in encode(message, "id", "re")]
    victim = data.draw(st.sampled_from([frame for frame in frames if frame] or [bytearray(b"x")]))
    at = data.draw(st.integers(0, len(victim) - 1))
    match data.draw(st.sampled_from(["flip", "cut", "double", "drop"])):
        case "flip":
            victim[at] ^= 1 << data.draw(st.integers(0, 7))
        case "cut":
            del victim[at:]
        case "double":
            victim[at:at] = victim[: at + 1]
        case "drop":
            del frames[data.draw(st.integers(0, len(frames) - 1))]
    decode_or_refuse([bytes(frame) for frame in frames])


def decode_or_refuse(frames: list[bytes]) -> None:
    """Whatever is decoded can be encoded again; whatever is not is a ProtocolError with a code and a short sentence."""
    try:
        envelope = decode(frames)
    except ProtocolError as error:
        assert error.code.startswith("PROTO_") and 0 < len(error.message) < 400
    else:
        assert decode(encode(envelope.message, envelope.id, envelope.re)) == envelope


def frames_of(**header: Any) -> list[bytes]:
    return [b"DD/2", json.dumps({"id": "1", **header}).encode()]


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        ([b"DD/1", b"{}"], "PROTO_VERSION"),
        ([], "PROTO_VERSION"),
        ([b"DD/2"], "PROTO_BAD_HEADER"),
        ([b"DD/2", b"{}", b"", b""], "PROTO_BAD_HEADER"),
        ([b"DD/2", b"[1]"], "PROTO_BAD_HEADER"),
        ([b"DD/2", b"[" * 60_000], "PROTO_BAD_HEADER"),
        ([b"DD/2", b'{"a":' * 10_000], "PROTO_BAD_HEADER"),
        ([b"DD/2", b'{"t":"ping","x":NaN}'], "PROTO_BAD_HEADER"),
        ([b"DD/2", b'{"t":"ping","x":1e999}'], "PROTO_BAD_HEADER"),
        ([b"DD/2", b'{"t":"ping","x":' + b"9" * 5000 + b"}"], "PROTO_BAD_HEADER"),
        ([b"DD/2", b" " * (MAX_HEADER + 1)], "PROTO_TOO_LARGE"),
        ([b"DD/2", b"{}", bytes(MAX_PAYLOAD + 1)], "PROTO_TOO_LARGE"),
        (frames_of(t="launch.missiles"), "PROTO_UNKNOWN_TYPE"),
        (frames_of(t=5), "PROTO_BAD_HEADER"),
        (frames_of(), "PROTO_BAD_HEADER"),
        ([*frames_of(t="ping"), b"payload"], "PROTO_BAD_HEADER"),
        (frames_of(t="put.chunk", digest=ZERO, size=1, offset=0, chunk_digest=ZERO), "PROTO_BAD_HEADER"),
        (frames_of(t="put.chunk", digest=ZERO, size=1, offset=0, chunk_digest=ZERO, data="x"), "PROTO_BAD_HEADER"),
        (frames_of(t="job.get", job_id="../../etc"), "PROTO_BAD_HEADER"),
        (frames_of(t="job.get", job_id="a\n"), "PROTO_BAD_HEADER"),
        (frames_of(t="job.get", job_id=7), "PROTO_BAD_HEADER"),
        (frames_of(t="job.watch", job_id="a", after_seq="5"), "PROTO_BAD_HEADER"),
        (frames_of(t="job.watch", job_id="a", after_seq=True), "PROTO_BAD_HEADER"),
        (frames_of(t="job.watch", job_id="a", after_seq=-1), "PROTO_BAD_HEADER"),
        (frames_of(t="job.watch", job_id="a", after_seq=2**63), "PROTO_BAD_HEADER"),
        (frames_of(t="hello", role="control", features="abc"), "PROTO_BAD_HEADER"),
        (frames_of(t="hello", role="control", client="\ud800"), "PROTO_BAD_HEADER"),
        ([*frames_of(t="job.create", job_id="a", kind="k"), b'{"parameters":[],"files":[]}'], "PROTO_BAD_HEADER"),
        ([*frames_of(t="job.create", job_id="a", kind="k"), b'{"parameters":{},"files":{}}'], "PROTO_BAD_HEADER"),
    ],
)  # fmt: skip
def test_each_fault_has_its_code(frames: list[bytes], code: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        decode(frames)
    assert caught.value.code == code


def test_the_asker_is_known_even_if_the_rest_is_wrong() -> None:
    with pytest.raises(ProtocolError) as caught:
        decode([b"DD/2", b'{"id":"abc","t":"job.get"}'])
    assert caught.value.request_id == "abc"


def test_unknown_fields_are_ignored() -> None:
    assert decode(frames_of(t="job.get", job_id="a", colour="red")).message == messages.JobGet("a")


def test_what_is_too_large_is_not_sent() -> None:
    digest = "0" * 64
    with pytest.raises(ProtocolError, match="payload"):
        encode(messages.PutChunk(digest, 1, 0, digest, bytes(MAX_PAYLOAD + 1)), "1")
    with pytest.raises(ProtocolError, match="header"):
        encode(messages.Error(ErrorInfo("INTERNAL", "x" * MAX_HEADER)), "1")


def test_errors_become_the_right_exceptions() -> None:
    with pytest.raises(InputError, match="No consent. Ask.") as caught:
        raise_error(ErrorInfo("INPUT_CONSENT", "No consent.", "Ask."))
    assert caught.value.code == "INPUT_CONSENT"
    with pytest.raises(Cancelled):
        raise_error(ErrorInfo("JOB_CANCELLED", "Stopped."))
    with pytest.raises(ServiceError) as other:
        raise_error(ErrorInfo("RES_DISK_FULL", "Full.", "Make room.", "later"))
    assert (other.value.code, other.value.retry, str(other.value)) == ("RES_DISK_FULL", "later", "Full. Make room.")
