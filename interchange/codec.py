# SPDX-License-Identifier: Apache-2.0
"""Messages to frames and back, without sockets. The byte layout is in docs/formats/protocol.md.

A message is two or three frames: protocol name and major version, a JSON header, and (some types) one payload.
Types are strict (no "5" for 5), unknown fields are ignored, unknown message types are refused. Whatever the bytes are,
`decode` returns an Envelope or raises ProtocolError.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn, get_origin

import attrs
import cattrs
from cattrs.cols import list_structure_factory, mapping_structure_factory
from cattrs.gen import make_dict_structure_fn

from .messages import MESSAGES, PROTOCOL, Envelope, Message
from .service_errors import ProtocolError

MAX_HEADER = 64 * 1024
MAX_PAYLOAD = 4 * 1024 * 1024
MAX_INTEGER = 2**53 - 1  # what every JSON reader keeps exactly
MAX_ID = 64

Buffer = bytes | bytearray | memoryview


def encode(message: Message, request_id: str, re: str = "") -> list[Buffer]:
    """Frames of a message. Raises ProtocolError (PROTO_TOO_LARGE) if it exceeds the limits."""
    header: dict[str, Any] = {"t": message.TYPE, "id": request_id}
    if re:
        header["re"] = re
    frames: list[Buffer] = [PROTOCOL]
    payload: Buffer | None = None
    for field in attrs.fields(type(message)):
        value = getattr(message, field.name)
        if value is None:
            continue
        if "payload" not in field.metadata:
            header[field.name] = _plain(value)
        elif field.metadata["payload"] == "bytes":
            payload = value
        else:
            payload = _dump(_plain(value))
    text = _dump(header)
    if len(text) > MAX_HEADER:
        raise _too_large(f"header of {message.TYPE}", len(text), MAX_HEADER)
    frames.append(text)
    if payload is not None:
        if len(payload) > MAX_PAYLOAD:
            raise _too_large(f"payload of {message.TYPE}", len(payload), MAX_PAYLOAD)
        frames.append(payload)
    return frames


def _too_large(what: str, size: int, limit: int) -> ProtocolError:
    return ProtocolError("PROTO_TOO_LARGE", f"The {what} has {size} bytes, {limit} are allowed.")


def decode(frames: Sequence[Buffer]) -> Envelope:
    """The message that these frames hold. Raises ProtocolError, and nothing else, for anything that is none."""
    header = _check_frames(frames)
    fields = _parse(frames[1], "header")
    if not isinstance(fields, dict):
        raise ProtocolError("PROTO_BAD_HEADER", "The header is no JSON object.")
    request_id, re = _identifier(fields, "id"), _identifier(fields, "re")
    try:
        kind = MESSAGES.get(_string(fields.get("t"), str))
        if kind is None:
            raise ProtocolError("PROTO_UNKNOWN_TYPE", f"There is no message of type {str(fields['t'])[:60]!r}.")
        values = {key: value for key, value in fields.items() if key not in ("t", "id", "re")}
        _take_payload(kind, values, header)
        return Envelope(_CONVERTER.structure(values, kind), request_id, re)
    except ProtocolError as error:
        raise ProtocolError(error.code, error.message, request_id) from error
    except _STRUCTURE_ERRORS as error:
        reason = f"{type(error).__name__}: {error}".replace("\n", " ")[:200]
        raise ProtocolError("PROTO_BAD_HEADER", f"A message is malformed ({reason}).", request_id) from error


def _check_frames(frames: Sequence[Buffer]) -> Buffer | None:
    """Returns the payload frame, if there is one."""
    if not frames or bytes(frames[0][:32]) != PROTOCOL:
        raise ProtocolError("PROTO_VERSION", f"The other side does not speak {PROTOCOL.decode()}.")
    if len(frames) not in (2, 3):
        raise ProtocolError("PROTO_BAD_HEADER", f"A message has 2 or 3 frames, not {len(frames)}.")
    if len(frames[1]) > MAX_HEADER or (len(frames) == 3 and len(frames[2]) > MAX_PAYLOAD):
        raise ProtocolError("PROTO_TOO_LARGE", "A message is larger than the protocol allows.")
    return frames[2] if len(frames) == 3 else None


def _take_payload(kind: Any, values: dict[str, Any], payload: Buffer | None) -> None:
    """Put the payload frame into the field that it belongs to; a header field of that name does not count."""
    field = next((f for f in attrs.fields(kind) if "payload" in f.metadata), None)
    if field is None:
        if payload is not None:
            raise ProtocolError("PROTO_BAD_HEADER", f"{kind.TYPE} has no payload.")
        return
    values.pop(field.name, None)
    if payload is not None:
        is_bytes = field.metadata["payload"] == "bytes"
        values[field.name] = payload if is_bytes else _parse(payload, "payload")


def _identifier(fields: Mapping[str, Any], name: str) -> str:
    value = fields.get(name, "")
    if not isinstance(value, str) or len(value) > MAX_ID or not value.isascii() or not value.isprintable():
        raise ProtocolError("PROTO_BAD_HEADER", f"The field {name} is no identifier.")
    return value


# -- JSON -------------------------------------------------------------------------------------------------------------


def _dump(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), allow_nan=False).encode("ascii")


def _plain(value: Any) -> Any:
    """attrs classes to dicts without their None fields, through lists and dicts."""
    if attrs.has(type(value)):
        pairs = ((f.name, getattr(value, f.name)) for f in attrs.fields(type(value)))
        return {name: _plain(item) for name, item in pairs if item is not None}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


def _parse(data: Buffer, what: str) -> Any:
    try:
        return json.loads(bytes(data), parse_constant=_refuse_constant, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise ProtocolError("PROTO_BAD_HEADER", f"The {what} is no JSON: {str(error)[:100]}") from error


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:40]} is too large a number")
    return value


# -- strict types -----------------------------------------------------------------------------------------------------

_STRUCTURE_ERRORS = (cattrs.BaseValidationError, cattrs.StructureHandlerNotFoundError, TypeError, ValueError, KeyError,
                     RecursionError)  # fmt: skip


def _string(value: Any, _: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{str(value)[:40]!r} is no text")
    value.encode("utf-8")  # a lone surrogate would break the store later; UnicodeEncodeError is a ValueError
    return value


def _integer(value: Any, _: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or abs(value) > MAX_INTEGER:
        raise TypeError(f"{str(value)[:40]!r} is no integer")
    return value


def _number(value: Any, _: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or abs(value) > 1e300:
        raise TypeError(f"{str(value)[:40]!r} is no number")
    return float(value)


def _boolean(value: Any, _: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{str(value)[:40]!r} is no true or false")
    return value


def _bytes(value: Any, _: Any) -> Buffer:
    if not isinstance(value, (bytes, bytearray, memoryview)):
        raise TypeError("the payload is missing")
    return value


def _converter() -> cattrs.Converter:
    converter = cattrs.Converter(detailed_validation=False)
    for kind, hook in {str: _string, int: _integer, float: _number, bool: _boolean, bytes: _bytes}.items():
        converter.register_structure_hook(kind, hook)
    factories = (
        (attrs.has, dict, make_dict_structure_fn),
        (lambda kind: get_origin(kind) is list, list, list_structure_factory),
        (lambda kind: get_origin(kind) is dict, dict, mapping_structure_factory),
    )
    for applies, container, factory in factories:
        converter.register_structure_hook_factory(applies, _guarded(converter, container, factory))
    return converter


def _guarded(converter: cattrs.Converter, container: type, factory: Any) -> Callable[[Any], Callable[[Any, Any], Any]]:
    """A hook factory that first checks that the JSON value is a `container`; cattrs alone takes "abc" for a list."""

    def make(kind: Any) -> Callable[[Any, Any], Any]:
        inner = factory(kind, converter)

        def structure(value: Any, _: Any) -> Any:
            if not isinstance(value, container):
                raise TypeError(f"{str(value)[:40]!r} is no {'list' if container is list else 'object'}")
            return inner(value, kind)

        return structure

    return make


_CONVERTER = _converter()
