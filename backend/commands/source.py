# SPDX-License-Identifier: Apache-2.0
"""Make a source folder out of a photo, its landmarks and a consent record.

Nothing is swapped without a record of who allowed it, by what authority, for what use and until when. The record names
the photo by its SHA-256, so it covers this photo and no other.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from datetime import date
from pathlib import Path

from backend.faceswap.source import check_source
from backend.terminal import Terminal
from interchange.capture import read_json, write_json
from interchange.consent import AUTHORITIES, KINDS, consent_content, sha256_of_file
from interchange.errors import InputError
from interchange.whole_files import whole_file

from . import _arguments


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this command."""
    parser.add_argument("--photo", type=Path, required=True, metavar="FILE", help="a sharp frontal photo, evenly lit")
    parser.add_argument("--landmarks", type=Path, required=True, metavar="FILE", help="landmarks.json of the photo")
    parser.add_argument("--subject", required=True, help="whose face it is (a name or a pseudonym)")
    parser.add_argument("--granted-by", required=True, metavar="NAME", help="who allows the use")
    parser.add_argument("--authority", choices=AUTHORITIES, default="self", help="by what right (default: self)")
    parser.add_argument(
        "--kind", choices=KINDS, default="independent", help="what the consent is (default: independent)"
    )
    parser.add_argument("--use", required=True, metavar="TEXT", help="what exactly it may be used for")
    parser.add_argument("--expires", metavar="YYYY-MM-DD", help="until when; without, it does not expire")
    _arguments.add_out(parser, "the source folder to write")


def run(options: argparse.Namespace, terminal: Terminal) -> int:
    """Write a draft and read it back with the job's own checks; only a good one takes the place of an earlier one."""
    for path in (options.photo, options.landmarks):
        if not path.is_file():
            raise InputError(f"{path} is missing.", "Check the file's name.")
    if options.expires:
        try:
            date.fromisoformat(options.expires)
        except ValueError:
            raise InputError(f"{options.expires} is not a date.", "Write it as YYYY-MM-DD.") from None
    with tempfile.TemporaryDirectory() as scratch:
        draft = Path(scratch)
        names = write_source(options, draft)
        try:
            check_source(draft)
        except InputError as error:
            raise _about_the_users_files(error, options, draft) from error
        options.out.mkdir(parents=True, exist_ok=True)
        for name in names:
            with whole_file(options.out / name) as file:
                file.write((draft / name).read_bytes())
    terminal.say(f"Wrote {options.out}")
    return 0


def write_source(options: argparse.Namespace, folder: Path) -> list[str]:
    """Photo, landmarks, consent record; their names."""
    photo = folder / ("portrait" + options.photo.suffix.lower())
    shutil.copyfile(options.photo, photo)
    landmarks = read_json(options.landmarks, "digidouble-landmarks", 1)
    write_json(folder / "landmarks.json", landmarks | {"image": photo.name})
    record = consent_content(
        kind=options.kind,
        subject=options.subject,
        granted_by=options.granted_by,
        authority=options.authority,
        use=options.use,
        operations=["swap"],
        expires=date.fromisoformat(options.expires) if options.expires else None,
        source_sha256={photo.name: sha256_of_file(photo)},
    )
    write_json(folder / "consent.json", record)
    return [photo.name, "landmarks.json", "consent.json"]


def _about_the_users_files(error: InputError, options: argparse.Namespace, draft: Path) -> InputError:
    message = error.message.replace(str(draft / ("portrait" + options.photo.suffix.lower())), str(options.photo))
    message = message.replace(str(draft / "landmarks.json"), str(options.landmarks))
    return InputError(message.replace(str(draft), str(options.out)), error.hint, error.code)
