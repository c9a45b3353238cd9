# SPDX-License-Identifier: Apache-2.0
"""Make a source folder out of photos, their landmarks and a consent record.

Nothing is swapped without a record of who allowed it, by what authority, for what use and until when. The record names
the photos by their SHA-256, so it covers these and no others.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import attrs

from backend.faceswap.source import check_source
from backend.terminal import Terminal
from interchange.capture import read_json, write_json
from interchange.consent import AUTHORITIES, FILE_NAME, KINDS, consent_content, sha256_of_file
from interchange.errors import InputError
from interchange.landmarks import MASK
from interchange.whole_files import whole_file

from . import _arguments, _landmark_arguments
from .landmarks import find_and_write

FIRST = "portrait"
"""The first photo's name in the folder; the others keep theirs."""


@attrs.frozen
class Pair:
    """A photo and its landmark file: where the user has them (None: to be found), and their names in the folder."""

    photo: Path
    landmarks: Path | None
    photo_name: str
    landmarks_name: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this command."""
    _arguments.add_photos(parser)
    parser.add_argument(
        "--landmarks", type=Path, nargs="+", action="extend", default=[], metavar="FILE",
        help="landmarks.json of each photo, in the same order; or --landmarker",
    )  # fmt: skip
    _landmark_arguments.add_networks(parser, landmarker=None)
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
    if bool(options.landmarks) == (options.landmarker is not None):
        raise InputError("The photos' points are to be given once.", "Give --landmarks FILE, or --landmarker auto.")
    if options.landmarks and len(options.landmarks) != len(options.photo):
        raise InputError(
            f"There are {len(options.photo)} photos and {len(options.landmarks)} landmark files.",
            "Give one file for each photo, in the same order.",
        )
    for path in (*options.photo, *options.landmarks):
        if not path.is_file():
            raise InputError(f"{path} is missing.", "Check the file's name.")
    if options.expires:
        try:
            date.fromisoformat(options.expires)
        except ValueError:
            raise InputError(f"{options.expires} is not a date.", "Write it as YYYY-MM-DD.") from None
    pairs = pairs_of(options.photo, options.landmarks)
    _check_free(options.out, pairs)
    with tempfile.TemporaryDirectory() as scratch:
        draft = Path(scratch)
        names = write_source(options, draft, pairs, terminal)
        try:
            check_source(draft)
        except InputError as error:
            raise _about_the_users_files(error, options, draft, pairs) from error
        options.out.mkdir(parents=True, exist_ok=True)
        for name in names:
            with whole_file(options.out / name) as file:
                file.write((draft / name).read_bytes())
    terminal.say(f"Wrote {options.out}")
    return 0


def pairs_of(photos: Sequence[Path], landmarks: Sequence[Path]) -> list[Pair]:
    """The photos with their landmark files and the names that they get; the first one's come first in the alphabet."""
    pairs: list[Pair] = []
    for index, photo in enumerate(photos):
        suffix = photo.suffix.lower()
        taken = [MASK, *(pair.photo_name for pair in pairs)]
        name = _arguments.free_name(photo.stem, suffix, taken) if pairs else FIRST + suffix
        marks = f"landmarks_{Path(name).stem}" if pairs else "landmarks"
        marks = _arguments.free_name(marks, ".json", [pair.landmarks_name for pair in pairs])
        pairs.append(Pair(photo, landmarks[index] if landmarks else None, name, marks))
    return pairs


def _check_free(folder: Path, pairs: Sequence[Pair]) -> None:
    """InputError if a swap of this folder would read more photos than these."""
    ours = {pair.landmarks_name for pair in pairs}
    strange = [path for path in sorted(folder.glob("landmarks*.json")) if path.name not in ours]
    if strange:
        raise InputError(
            f"{strange[0]} belongs to another photo, which would be swapped too.",
            "Name all photos, choose another --out, or delete that file.",
        )


def write_source(
    options: argparse.Namespace, folder: Path, pairs: Sequence[Pair], terminal: Terminal
) -> list[str]:
    """Photos, landmarks, consent record; their names."""
    networks = None if options.landmarks else _landmark_arguments.open_networks(options, terminal)
    for pair in pairs:
        copy, marks = folder / pair.photo_name, folder / pair.landmarks_name
        shutil.copyfile(pair.photo, copy)
        if networks is not None:
            count = find_and_write(pair.photo, networks, marks, None, terminal)
            terminal.say(f"{pair.photo.name}: {count} points")
        source = marks if pair.landmarks is None else pair.landmarks
        write_json(marks, read_json(source, "digidouble-landmarks", 1) | {"image": pair.photo_name})
    record = consent_content(
        kind=options.kind,
        subject=options.subject,
        granted_by=options.granted_by,
        authority=options.authority,
        use=options.use,
        operations=["swap"],
        expires=date.fromisoformat(options.expires) if options.expires else None,
        source_sha256={pair.photo_name: sha256_of_file(folder / pair.photo_name) for pair in pairs},
    )
    write_json(folder / FILE_NAME, record)
    return [*(pair.photo_name for pair in pairs), *(pair.landmarks_name for pair in pairs), FILE_NAME]


def _about_the_users_files(
    error: InputError, options: argparse.Namespace, draft: Path, pairs: Sequence[Pair]
) -> InputError:
    message = error.message
    for pair in pairs:
        message = message.replace(str(draft / pair.photo_name), str(pair.photo))
        message = message.replace(str(draft / pair.landmarks_name), str(pair.landmarks or pair.photo))
    return InputError(message.replace(str(draft), str(options.out)), error.hint, error.code)
