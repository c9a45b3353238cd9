# SPDX-License-Identifier: Apache-2.0
"""docs/formats/protocol.md against the code: every message has its table and an example that decodes."""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path

import attrs
import pytest

from backend.service import pairing
from interchange import codec, connection, messages, server_messages, service_errors
from interchange.digests import LEAF, digest_bytes
from interchange.messages import MESSAGES

PAGE = (Path(__file__).resolve().parents[2] / "docs/formats/protocol.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^#### `([a-z.]+)`\n(.*?)(?=^#|\Z)", PAGE, re.MULTILINE | re.DOTALL))
PARTS = dict(re.findall(r"^\| `([A-Z][a-z]\w+)` \| (.*) \|$", PAGE, re.MULTILINE))


def test_each_message_has_one_section() -> None:
    assert sorted(SECTIONS) == sorted(MESSAGES)
    assert len(re.findall(r"^#### ", PAGE, re.MULTILINE)) == len(MESSAGES)


@pytest.mark.parametrize("name", sorted(MESSAGES))
def test_tables_name_the_fields(name: str) -> None:
    rows = re.findall(r"^\| `(\w+)` \| ([^|]+) \| [^|]+ \|$", SECTIONS[name], re.MULTILINE)
    fields = attrs.fields(MESSAGES[name])
    assert [row[0] for row in rows] == [field.name for field in fields]
    assert [", optional" in row[1] for row in rows] == [field.default is not attrs.NOTHING for field in fields]
    assert [", payload" in row[1] for row in rows] == ["payload" in field.metadata for field in fields]


@pytest.mark.parametrize("name", sorted(MESSAGES))
def test_examples_decode_and_are_what_we_would_send(name: str) -> None:
    blocks = re.findall(r"^```\w+ (header|payload)\n(.*?)\n```$", SECTIONS[name], re.MULTILINE | re.DOTALL)
    assert [block[0] for block in blocks] in (["header"], ["header", "payload"])
    frames = [b"DD/2", *(text.encode() for _, text in blocks)]
    envelope = codec.decode(frames)
    assert name == envelope.message.TYPE
    assert [bytes(frame) for frame in codec.encode(envelope.message, envelope.id, envelope.re)] == frames
    assert set(json.loads(blocks[0][1])) <= {"t", "id", "re"} | {field.name for field in attrs.fields(MESSAGES[name])}


def test_parts_name_their_fields() -> None:
    kinds = [messages.FileEntry, messages.JobSpec, messages.MissingFile, messages.Limits, messages.JobInfo]
    kinds += [server_messages.Gpu, server_messages.Machine, server_messages.DeviceInfo]
    for kind in (*kinds, service_errors.ErrorInfo):
        assert re.findall(r"`(\w+)`", PARTS[kind.__name__]) == [field.name for field in attrs.fields(kind)]
    assert len(PARTS) == 9


def test_limits_and_codes_on_the_page_are_the_real_ones() -> None:
    for fact in (messages.PROTOCOL.decode(), f"{codec.MAX_HEADER:,} bytes", f"{codec.MAX_PAYLOAD:,} bytes",
                 f"{messages.MAX_PREVIEW:,} bytes", f"{messages.PREVIEW_EDGE} pixels", f"{pairing.MAX_MESSAGE:,} bytes",
                 f"after {pairing.VALID_S:.0f} s", f"after {pairing.MAX_WRONG} wrong", f"and {pairing.LINGER_S:.0f} s"):
        assert fact in " ".join(PAGE.split())
    for field in attrs.fields(connection.Connection):
        assert f"`{field.name}`" in PAGE
    root = Path(inspect.getfile(codec)).parents[1]
    sources = [*root.glob("interchange/*.py"), *root.glob("backend/service/*.py")]
    used = {code for path in sources for code in re.findall(r'"((?:PROTO|AUTH|RES|JOB)_[A-Z_]+)"', path.read_text())}
    assert len(used) > 15 and not {code for code in used if f"`{code}`" not in PAGE}


def test_the_pages_digests_are_ours() -> None:
    contents = [b"", b"The quick brown fox", b"d" * 2_500_000]
    assert re.findall(r"^\| .* \| `([0-9a-f]{64})` \|$", PAGE, re.MULTILINE) == [digest_bytes(c) for c in contents]
    assert f"1 MiB ({LEAF:,} bytes)" in PAGE
