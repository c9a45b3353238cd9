# SPDX-License-Identifier: Apache-2.0
"""Make a source folder out of a photo, its landmarks and a consent record.

Nothing is swapped without a record of who allowed it, by what authority, for what use and until when. The record names
the photo by its SHA-256, so it covers this photo and no other.
"""

from __future__ import annotations

import argparse
import shutil
from datetime import date
from pathlib import Path

from backend.faceswap.consent import AUTHORITIES, KINDS, sha256_of_file
from backend.faceswap.source import load_source
from backend.terminal import Terminal
from interchange.capture import read_json, write_json
from interchange.errors import InputError

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
    """Copy photo and landmarks, write the record, and read all of it back with the job's own checks."""
    for path in (options.photo, options.landmarks):
        if not path.is_file():
            raise InputError(f"{path} is missing.", "Check the file's name.")
    if options.expires:
        try:
            date.fromisoformat(options.expires)
        except ValueError:
            raise InputError(f"{options.expires} is not a date.", "Write it as YYYY-MM-DD.") from None
    options.out.mkdir(parents=True, exist_ok=True)
    photo = options.out / ("portrait" + options.photo.suffix.lower())
    shutil.copyfile(options.photo, photo)
    landmarks = read_json(options.landmarks, "digidouble-landmarks", 1)
    write_json(options.out / "landmarks.json", landmarks | {"image": photo.name})
    write_json(
        options.out / "consent.json",
        {
            "format": "digidouble-consent",
            "version": 1,
            "kind": options.kind,
            "subject": options.subject,
            "granted_by": options.granted_by,
            "authority": options.authority,
            "use": options.use,
            "operations": ["swap"],
            "expires": options.expires,
            "source_sha256": {photo.name: sha256_of_file(photo)},
        },
    )
    load_source(options.out)
    terminal.say(f"Wrote {options.out}")
    return 0
