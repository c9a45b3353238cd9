# SPDX-License-Identifier: Apache-2.0
"""The source folder: photos of the performer, landmarks, the consent record. Its page is docs/formats/source.md."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import attrs
import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from interchange.colour import linear_from_srgb
from interchange.consent import ConsentRecord, check_consent, load_consent, sha256_of_file
from interchange.errors import Cancelled, InputError, Progress
from interchange.landmarks import (
    FEWEST_LANDMARKS,
    MASK,
    check_inside,
    check_size,
    read_landmark_file,
)

from .profiles import in_srgb

_EXIF_ORIENTATION = 274
_BAND = 64  # rows
# What each EXIF orientation needs to stand upright: transpose first, then flip rows, flip columns.
_UPRIGHT = {
    2: (False, False, True), 3: (False, True, True), 4: (False, True, False), 5: (True, False, False),
    6: (True, False, True), 7: (True, True, True), 8: (True, True, False),
}  # fmt: skip


@attrs.frozen(eq=False)
class Photo:
    """One photo, upright: image (h, w, 3) linear Rec.709 0..1; alpha (h, w) 0..1 or None; landmarks by 68-point id in
    pixels, centres at +0.5. `grey`: the file holds no colour. found_by: the networks that found the landmarks, as the
    landmark file names them."""

    path: Path
    image: npt.NDArray[np.float32]
    alpha: npt.NDArray[np.float32] | None
    landmarks: dict[int, tuple[float, float]]
    grey: bool
    found_by: tuple[dict[str, str], ...] = ()

    @property
    def origin(self) -> dict[str, Any]:
        """Of its landmarks, for reports: nothing unless networks found them."""
        return {"found_by": list(self.found_by)} if self.found_by else {}

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.image.shape[1], self.image.shape[0]


@attrs.frozen
class PhotoFile:
    """A photo that has not been decoded: its file, and its landmarks as `Photo` has them."""

    path: Path
    landmarks: dict[int, tuple[float, float]]
    found_by: tuple[dict[str, str], ...] = ()


@attrs.frozen(eq=False)
class DecodedPhoto:
    """One photo, upright, as its pixels are stored: colour (h, w, 3) sRGB 0..1, the rest as `Photo` has it. Light takes
    as long again to tell as decoding, so what looks at a part of a photo asks for that part's."""

    path: Path
    colour: npt.NDArray[np.float32]
    alpha: npt.NDArray[np.float32] | None
    landmarks: dict[int, tuple[float, float]]
    grey: bool
    found_by: tuple[dict[str, str], ...] = ()

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.colour.shape[1], self.colour.shape[0]

    def linear(self) -> Photo:
        """The photo in linear light."""
        image = linear_from_srgb(np.ascontiguousarray(self.colour))
        return Photo(self.path, image, self.alpha, self.landmarks, self.grey, self.found_by)


@attrs.frozen(eq=False)
class Source:
    """A checked source folder. `digests`: SHA-256 of every file read, by name. mask: (h, w) 0..1 in the layout of the
    head's texture, where the swap shall be, if an artist has painted one."""

    folder: Path
    photos: tuple[Photo, ...]
    consent: ConsentRecord
    digests: dict[str, str]
    mask: npt.NDArray[np.float32] | None = None


@attrs.frozen(eq=False)
class SourceList:
    """A checked source folder whose photos are still on the disk; otherwise as `Source`. A performer's turn may have
    hundreds, a quarter of a gigabyte each when decoded, so not all are held at once."""

    folder: Path
    files: tuple[PhotoFile, ...]
    consent: ConsentRecord
    digests: dict[str, str]
    mask: npt.NDArray[np.float32] | None = None

    def with_photos(self, photos: Sequence[Photo]) -> Source:
        """The source with these photos of it."""
        return Source(self.folder, tuple(photos), self.consent, self.digests, self.mask)


def list_source(folder: Path | str, operation: str = "swap", today: date | None = None) -> SourceList:
    """Read and check all of a source folder but the pixels: every `landmarks*.json` names one photo.

    Raises InputError for a missing photo or an unusable landmark file, with code CONSENT for a missing, expired or
    unfitting consent record.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"The source folder {folder} does not exist.", "Check the folder's name.")
    files = sorted(folder.glob("landmarks*.json"))
    if not files:
        raise InputError(
            f"The source {folder} has no face landmarks (landmarks.json).",
            f"Place at least {FEWEST_LANDMARKS} of the 68 points; docs/formats/source.md shows how.",
        )
    named = [read_landmark_file(path) for path in files]
    record = load_consent(folder)
    paths = [folder / file.image for file in named]
    for path in paths:
        if not path.is_file():
            raise InputError(f"The photo {path} is missing.", "Its name is in the landmark file.")
    check_consent(record, paths, operation, today or date.today())
    digests = {p.name: sha256_of_file(p) for p in (*paths, *files)} | {"consent.json": record.digest}
    mask = folder / MASK
    painted = None
    if mask.is_file() and mask not in paths:
        painted = _load_mask(mask)
        digests[MASK] = sha256_of_file(mask)
    photos = tuple(PhotoFile(path, file.points, file.found_by) for path, file in zip(paths, named, strict=True))
    return SourceList(folder, photos, record, digests, painted)


def load_source(folder: Path | str, operation: str = "swap", today: date | None = None) -> Source:
    """A checked source folder with all its photos in memory. Raises InputError as `list_source` and `load_photo` do."""
    listed = list_source(folder, operation, today)
    return listed.with_photos([load_photo(file) for file in listed.files])


def check_source(
    folder: Path | str, progress: Progress | None = None, cancelled: Callable[[], bool] = lambda: False
) -> None:
    """All that `load_source` checks, with one photo in memory at a time. Raises Cancelled when told, too."""
    files = list_source(folder).files
    for index, file in enumerate(files):
        if cancelled():
            raise Cancelled
        if progress:
            progress("photos", index / len(files), f"Reading {file.path.name}")
        decode_photo(file)


def read_photo(path: Path) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32] | None]:
    """A photo as the swap sees it, upright and in sRGB whatever its file says: encoded (h, w, 3) 0..1, and its alpha
    (h, w) if it has one. Raises InputError for a photo that cannot be read."""
    pixels, profile = _decode(path)
    colour, alpha = pixels[..., :3], pixels[..., 3] if pixels.shape[2] == 4 else None
    if profile is not None:
        try:
            colour = in_srgb(colour, profile)
        except ValueError as error:
            raise InputError(
                f"The colour profile of the photo {path} cannot be read ({error}).", "Export it as sRGB."
            ) from error
    return colour, alpha


def load_photo(file: PhotoFile) -> Photo:
    """One photo of a folder, as `decode_photo`, in linear light."""
    return decode_photo(file).linear()


def decode_photo(file: PhotoFile) -> DecodedPhoto:
    """Decode one photo. Raises InputError for one that cannot be read, is too small or shows nothing, and for landmarks
    outside it."""
    path, landmarks = file.path, file.landmarks
    colour, alpha = read_photo(path)
    height, width = colour.shape[:2]
    check_size(path, width, height)
    check_inside(path, landmarks, width, height)
    if alpha is not None and alpha.max() <= 0:
        raise InputError(f"The photo {path} is fully transparent.", "Export it with the person visible.")
    if max(float(np.ptp(colour[..., channel])) for channel in range(3)) < 2 / 255:
        raise InputError(f"The photo {path} is of one flat colour.", "Use a photo that shows the face.")
    return DecodedPhoto(path, colour, alpha, landmarks, _is_grey(colour), file.found_by)


def _is_grey(colour: npt.NDArray[np.float32]) -> bool:
    """By bands of rows: the first tells that a photo has colour, and they take a second on a large one."""
    bands = (colour[row : row + _BAND] for row in range(0, len(colour), _BAND))
    return all(np.abs(band - band.mean(-1, keepdims=True)).max() < 2 / 255 for band in bands)


def _load_mask(path: Path) -> npt.NDArray[np.float32]:
    """(h, w) brightness as stored, 0..1; what is transparent counts as black."""
    pixels, _ = _decode(path, "painted mask")
    mask: npt.NDArray[np.float32] = pixels[..., :3].mean(-1)
    mask = mask * pixels[..., 3] if pixels.shape[2] == 4 else mask
    if mask.max() < 2 / 255:
        raise InputError(f"The painted mask {path} is black.", "Paint white what shall be swapped, or remove it.")
    return mask


def _decode(path: Path, what: str = "photo") -> tuple[npt.NDArray[np.float32], bytes | None]:
    """(h, w, 3 or 4) encoded RGB(A) 0..1, upright, from any 8- or 16-bit file that OpenCV reads, and the file's colour
    profile if it has one."""
    try:
        with Image.open(path) as opened:  # reads the header only
            orientation = opened.getexif().get(_EXIF_ORIENTATION, 1)
            profile = opened.info.get("icc_profile")
            if opened.format == "TIFF":  # the one kind that OpenCV turns itself, whatever it is told
                orientation = 1
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise InputError(f"The {what} {path} cannot be read ({error}).", "Save it as PNG or JPEG again.") from error
    pixels = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.dtype not in (np.uint8, np.uint16):
        raise InputError(f"The {what} {path} cannot be decoded.", "Save it as an 8- or 16-bit PNG.")
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    if pixels.shape[2] <= 2:  # grey, grey with alpha
        pixels = np.concatenate([np.repeat(pixels[..., :1], 3, -1), pixels[..., 1:]], -1)
    else:
        pixels = cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB if pixels.shape[2] == 3 else cv2.COLOR_BGRA2RGBA)
    scaled: npt.NDArray[np.float32] = pixels.astype(np.float32)
    scaled /= np.float32(255 if pixels.dtype == np.uint8 else 65535)
    return _upright(scaled, orientation), profile or None


def _upright(pixels: npt.NDArray[np.float32], orientation: int) -> npt.NDArray[np.float32]:
    transpose, rows, columns = _UPRIGHT.get(orientation, (False, False, False))
    if transpose:
        pixels = pixels.transpose(1, 0, 2)
    if rows:
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels[:, ::-1] if columns else pixels)
