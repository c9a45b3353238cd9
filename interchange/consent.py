# SPDX-License-Identifier: Apache-2.0
"""The consent gate: no source without a record that names it, allows the operation and has not run out.

The backend refuses by these rules; the add-on tells by them beforehand. It is an honest gate, not a lock: it makes the
question of consent part of the job and puts the answer's digest into every result. The record's form is
docs/formats/source.md.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import attrs

from .errors import InputError

FORMAT, VERSION = "digidouble-consent", 1
FILE_NAME = "consent.json"
KINDS = ("synthetic", "employment", "independent", "licensed", "public-domain")
AUTHORITIES = ("self", "guardian", "estate", "rights-holder", "synthetic")
CODE = "CONSENT"
_HINT = "docs/formats/source.md shows what a record holds."


@attrs.frozen
class ConsentRecord:
    """Who allowed what. `digest` is the SHA-256 of the file; `source_sha256` names the photos it covers."""

    kind: str
    subject: str
    granted_by: str
    authority: str
    use: str
    operations: tuple[str, ...]
    expires: date | None
    source_sha256: dict[str, str]
    digest: str


def refusal(message: str, hint: str = _HINT) -> InputError:
    """The error of a job that has no consent."""
    return InputError(message, hint, CODE)


def sha256_of_file(path: Path | str) -> str:
    """Hexadecimal SHA-256 of a file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def consent_content(
    *,
    kind: str,
    subject: str,
    granted_by: str,
    authority: str,
    use: str,
    operations: Sequence[str],
    expires: date | None,
    source_sha256: Mapping[str, str],
) -> dict[str, Any]:
    """What a `consent.json` with these fields holds, ready to be written as JSON."""
    return {
        "format": FORMAT,
        "version": VERSION,
        "kind": kind,
        "subject": subject,
        "granted_by": granted_by,
        "authority": authority,
        "use": use,
        "operations": list(operations),
        "expires": None if expires is None else expires.isoformat(),
        "source_sha256": dict(source_sha256),
    }


def load_consent(folder: Path | str) -> ConsentRecord:
    """Read `consent.json` of a source folder; InputError with code CONSENT when there is none or it is not complete."""
    path = Path(folder) / FILE_NAME
    try:
        data = path.read_bytes()
        record = json.loads(data)
    except FileNotFoundError:
        raise refusal(
            f"The source {folder} has no consent record ({FILE_NAME}).",
            "`digidouble source` and the panel Performer write one, once the person has agreed.",
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        raise refusal(f"The consent record {path} cannot be read ({error}).") from error
    if not isinstance(record, dict) or record.get("format") != FORMAT or record.get("version") != VERSION:
        raise refusal(f"{path} is not a consent record of version {VERSION}.")
    for name, allowed in (("kind", KINDS), ("authority", AUTHORITIES)):
        if record.get(name) not in allowed:
            listed = ", ".join(allowed)
            raise refusal(f'The consent record {path} has {name} "{record.get(name)}", not one of {listed}.')
    for name in ("subject", "granted_by", "use"):
        if not isinstance(record.get(name), str) or not record[name].strip():
            raise refusal(f'The consent record {path} does not say "{name}".')
    return ConsentRecord(
        kind=record["kind"],
        subject=record["subject"],
        granted_by=record["granted_by"],
        authority=record["authority"],
        use=record["use"],
        operations=_operations(record, path),
        expires=_expiry(record, path),
        source_sha256=_digests(record, path),
        digest=hashlib.sha256(data).hexdigest(),
    )


def check_consent(record: ConsentRecord, photos: Iterable[Path], operation: str, today: date) -> None:
    """Refuse (InputError, code CONSENT) unless `record` covers every photo and `operation`, and has not expired."""
    check_terms(record, operation, today)
    for photo in photos:
        expected = record.source_sha256.get(photo.name)
        if expected is None:
            raise refusal(f"The consent record of {record.subject} does not name the photo {photo.name}.")
        if expected.lower() != sha256_of_file(photo):
            raise refusal(
                f"The photo {photo} is not the one that the consent record of {record.subject} names (other SHA-256).",
                "Put the agreed photo back, or ask for a new record.",
            )


def check_terms(record: ConsentRecord, operation: str, today: date) -> None:
    """Refuse (InputError, code CONSENT) unless `record` allows `operation` and has not expired."""
    if operation not in record.operations:
        allowed = ", ".join(record.operations) or "nothing"
        raise refusal(f'The consent record of {record.subject} allows {allowed}, not "{operation}".')
    if record.expires is not None and today > record.expires:
        raise refusal(f"The consent of {record.subject} expired on {record.expires}.", "Ask for a new one.")


def uncovered(record: ConsentRecord, digests: Mapping[str, str]) -> list[str]:
    """Names of the photos (given with their SHA-256) that `record` does not name, or knows by other bytes; sorted."""
    agreed = {name: digest.lower() for name, digest in record.source_sha256.items()}
    return sorted(name for name, digest in digests.items() if agreed.get(name) != digest)


def _operations(record: dict[str, Any], path: Path) -> tuple[str, ...]:
    operations = record.get("operations")
    if not isinstance(operations, list) or not all(isinstance(o, str) for o in operations):
        raise refusal(f'The consent record {path} does not list its "operations".')
    return tuple(operations)


def _expiry(record: dict[str, Any], path: Path) -> date | None:
    if "expires" not in record:
        raise refusal(f'The consent record {path} does not say when it "expires" (a date, or null for never).')
    if record["expires"] is None:
        return None
    try:
        return date.fromisoformat(record["expires"])
    except (TypeError, ValueError):
        raise refusal(f'The consent record {path} "expires" on "{record["expires"]}", not on a YYYY-MM-DD.') from None


def _digests(record: dict[str, Any], path: Path) -> dict[str, str]:
    digests = record.get("source_sha256")
    if not isinstance(digests, dict) or not all(isinstance(v, str) for v in digests.values()):
        raise refusal(f'The consent record {path} does not list the photos it covers ("source_sha256").')
    return dict(digests)
