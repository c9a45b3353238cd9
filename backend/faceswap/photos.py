# SPDX-License-Identifier: Apache-2.0
"""The photos that a swap works with: all of a source folder, or of a larger one those that are chosen.

Of many photos only one is in memory at a time: each is decoded, measured and let go, and those that are chosen are
decoded again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from interchange.errors import Cancelled, InputError, Progress
from interchange.mesh import Mesh

from .choosing import Choice, LeftOut, choose, distance
from .measuring import Measured, Patches, measure
from .registration import check_strays, find_pose
from .source import DecodedPhoto, PhotoFile, Source, SourceList, decode_photo

_SAME_SIDE = 8.0  # degrees from a good photo within which one with stray landmarks is not missed
_NAMED = 4  # photos named in a sentence


@attrs.frozen
class _Stray:
    """A photo with landmarks that do not form a face, and what was said of it."""

    path: Path
    yaw: float
    pitch: float
    error: InputError


@attrs.frozen(eq=False)
class _Looked:
    """What became of the photos of a folder, by index."""

    measured: dict[int, Measured]
    strays: dict[int, _Stray]
    refused: dict[int, InputError]


def used_photos(
    listed: SourceList,
    head_mesh: Callable[[], tuple[Mesh, int]],
    most: int,
    progress: Progress | None = None,
    cancelled: Callable[[], bool] = lambda: False,
    decode: Callable[[PhotoFile], DecodedPhoto] = decode_photo,
) -> tuple[Source, Choice | None]:
    """The source with the photos that a swap shall use, and how they were chosen; no choice, and every photo, if there
    are at most `most`.

    `head_mesh` gives the target's mesh and its head's object index; it is called if there is a choice. Raises
    InputError for a photo that cannot be read or whose landmarks do not form a face. With a choice the sentence names
    all such photos, and one with stray landmarks is left out instead if a good one shows the same side; the first photo
    never is. Raises Cancelled when told.
    """
    if len(listed.files) <= most:
        return listed.with_photos([decode(file).linear() for file in listed.files]), None
    mesh, head = head_mesh()
    patches = Patches.of(mesh, head, listed.mask)
    looked = _look(listed.files, mesh, patches, progress, cancelled, decode)
    missed = {i: s for i, s in looked.strays.items() if i == 0 or _stands_in(s, looked.measured) is None}
    refused = {**looked.refused, **{i: s.error for i, s in missed.items()}}
    if refused:
        raise _refusal(refused, listed.files)
    places = sorted(looked.measured)
    choice = choose([looked.measured[i] for i in places], patches.share, most)
    photos = [decode(listed.files[places[i]]).linear() for i in choice.kept]
    return listed.with_photos(photos), _with_strays(choice, looked)


def report_of(choice: Choice | None, most: int) -> dict[str, Any] | None:
    """For swap.json (docs/formats/swap.md)."""
    if choice is None:
        return None
    kept = [
        {"photo": choice.names[i], "quality": choice.qualities[i].whole, **attrs.asdict(choice.qualities[i])}
        for i in choice.kept
    ]
    left_out = [
        {"photo": p.name, "reason": p.reason, "yaw_degrees": p.yaw, "pitch_degrees": p.pitch, "quality": p.quality}
        for p in choice.left_out
    ]
    return {"most": most, "covered": choice.covered, "kept": kept, "left_out": left_out}


def sentences(choice: Choice | None) -> list[str]:
    """What a user is told of a choice: how many were left out, and which could not be used."""
    if choice is None or not choice.left_out:
        return []
    total = len(choice.kept) + len(choice.left_out)
    found = [f"{len(choice.kept)} of {total} photos are used; swap.json says why the others were left out."]
    return found + [f"{p.name} was left out. {p.reason}" for p in choice.left_out if p.quality is None]


def _look(
    files: Sequence[PhotoFile], mesh: Mesh, patches: Patches, progress: Progress | None, cancelled: Callable[[], bool],
    decode: Callable[[PhotoFile], DecodedPhoto],
) -> _Looked:  # fmt: skip
    looked = _Looked({}, {}, {})
    for index, file in enumerate(files):
        if cancelled():
            raise Cancelled
        if progress:
            progress("photos", index / len(files), f"Looking at {file.path.name}, {index + 1} of {len(files)}")
        found = _look_at(file, mesh, patches, decode)
        if isinstance(found, Measured):
            looked.measured[index] = found
        elif isinstance(found, _Stray):
            looked.strays[index] = found
        else:
            looked.refused[index] = found
    return looked


def _look_at(
    file: PhotoFile, mesh: Mesh, patches: Patches, decode: Callable[[PhotoFile], DecodedPhoto]
) -> Measured | _Stray | InputError:
    try:
        photo = decode(file)
        pose = find_pose(mesh, photo)
    except InputError as error:
        return _said(error)
    try:
        check_strays(pose, photo)
    except InputError as error:
        return _Stray(file.path, pose.yaw, pose.pitch, _said(error))
    return measure(photo, pose, mesh, patches)


def _said(error: InputError) -> InputError:
    """The error without its traceback, which would keep the photo in memory."""
    return InputError(error.message, error.hint, error.code)


def _stands_in(stray: _Stray, measured: Mapping[int, Measured]) -> Measured | None:
    """The good photo that shows what the stray one would have shown."""
    near = min(measured.values(), key=lambda photo: distance(photo, stray), default=None)
    return near if near is not None and distance(near, stray) <= _SAME_SIDE else None


def _with_strays(choice: Choice, looked: _Looked) -> Choice:
    added = []
    for stray in looked.strays.values():
        near = _stands_in(stray, looked.measured)
        assert near is not None
        said = stray.error.message.replace(str(stray.path), stray.path.name)
        reason = f"{said} {near.name} shows the face from the same side."
        added.append(LeftOut(stray.path.name, reason, stray.yaw, stray.pitch, None))
    return attrs.evolve(choice, left_out=(*choice.left_out, *added))


def _refusal(refused: Mapping[int, InputError], files: Sequence[PhotoFile]) -> InputError:
    """One sentence for all photos that cannot be used, so that nobody mends one after another."""
    first = refused[min(refused)]
    if len(refused) == 1:
        return first
    names = [files[i].path.name for i in sorted(refused)]
    listed = ", ".join(names[:_NAMED]) + (" and more" if len(names) > _NAMED else "")
    message = f"{len(names)} of {len(files)} photos cannot be used: {listed}. {first.message}"
    return InputError(message, f"{first.hint} Or take them out of the folder.".strip(), first.code)
