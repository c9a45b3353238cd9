# SPDX-License-Identifier: Apache-2.0
import json
from datetime import date
from pathlib import Path

import pytest

from interchange.consent import check_consent, consent_content, load_consent, sha256_of_file, uncovered
from interchange.errors import InputError

TODAY = date(2026, 1, 1)


def write_consent(folder: Path, **changes: object) -> None:
    content = consent_content(
        kind="synthetic", subject="avatar B", granted_by="nobody: made by code", authority="synthetic", use="tests",
        operations=("swap",), expires=None, source_sha256={"portrait.png": sha256_of_file(folder / "portrait.png")},
    )  # fmt: skip
    (folder / "consent.json").write_text(json.dumps(content | changes))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "portrait.png").write_bytes(b"a photo")
    write_consent(tmp_path)
    return tmp_path


def check(folder: Path, operation: str = "swap") -> None:
    check_consent(load_consent(folder), [folder / "portrait.png"], operation, TODAY)


def refused(folder: Path, words: str, operation: str = "swap") -> None:
    with pytest.raises(InputError, match=words) as caught:
        check(folder, operation)
    assert caught.value.code == "CONSENT"
    assert caught.value.message.count(". ") == 0 and caught.value.hint


def test_a_fitting_record_lets_the_swap_through(folder: Path) -> None:
    check(folder)
    record = load_consent(folder)
    assert record.operations == ("swap",) and record.expires is None and len(record.digest) == 64


def test_no_record_is_refused(folder: Path) -> None:
    (folder / "consent.json").unlink()
    refused(folder, "no consent record")


def test_another_photo_than_the_agreed_one_is_refused(folder: Path) -> None:
    (folder / "portrait.png").write_bytes(b"another photo")
    refused(folder, "is not the one")


def test_a_photo_that_the_record_does_not_name_is_refused(folder: Path) -> None:
    write_consent(folder, source_sha256={})
    refused(folder, "does not name")


def test_the_last_day_still_counts_and_the_next_does_not(folder: Path) -> None:
    write_consent(folder, expires="2026-01-01")
    check(folder)
    write_consent(folder, expires="2025-12-31")
    refused(folder, "expired on 2025-12-31")


def test_another_operation_is_refused(folder: Path) -> None:
    refused(folder, 'allows swap, not "train"', "train")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"kind": "stolen"}, "kind"),
        ({"authority": None}, "authority"),
        ({"subject": " "}, "subject"),
        ({"use": 3}, "use"),
        ({"operations": "swap"}, "operations"),
        ({"expires": "next year"}, "next year"),
        ({"source_sha256": []}, "source_sha256"),
        ({"version": 2}, "version 1"),
        ({"format": "something"}, "consent record"),
    ],
)
def test_an_incomplete_record_is_refused(folder: Path, change: dict, words: str) -> None:
    write_consent(folder, **change)
    refused(folder, words)


def test_a_record_without_an_expiry_is_refused(folder: Path) -> None:
    record = json.loads((folder / "consent.json").read_text())
    del record["expires"]
    (folder / "consent.json").write_text(json.dumps(record))
    refused(folder, "expires")


@pytest.mark.parametrize("content", [b"{", b"\xff\xfe\x00", b"[]", b"[" * 100_000], ids=range(4))
def test_a_damaged_record_is_refused(folder: Path, content: bytes) -> None:
    (folder / "consent.json").write_bytes(content)
    refused(folder, "consent record")


def test_photos_that_are_not_covered_are_named(folder: Path) -> None:
    record = load_consent(folder)
    agreed = sha256_of_file(folder / "portrait.png")
    assert uncovered(record, {"portrait.png": agreed}) == []
    assert uncovered(record, {"portrait.png": "0" * 64, "left.png": agreed}) == ["left.png", "portrait.png"]
