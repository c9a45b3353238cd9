# SPDX-License-Identifier: Apache-2.0
"""Pictures with known cameras, whoever wrote the cameras down: a list of views, and how it becomes a `Dataset`.

A reader (`transforms_json`, `colmap`) makes a `PhotoSet` out of its files, without decoding a picture. What is common
to all of them is here: splits, names, decoding, masks, scaling, undistortion, digest.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath

import attrs
import cv2
import numpy as np
import numpy.typing as npt

from interchange.cameras import Camera
from interchange.errors import InputError, Progress

from ..dataset import Dataset, FitView, decode_all, never, views_that_show
from .lenses import Image, Lens

Array = npt.NDArray[np.floating]

HOLD_OUT_EVERY = 8
"""Without a split of its own every eighth view, by name, is held out, the first one among them (as in Mip-NeRF 360)."""
MAX_HELD_OUT = 40
"""Held-out views of a large test set that are measured; evenly spaced."""
_UNFIT = re.compile(r"[^A-Za-z0-9._-]+")


@attrs.frozen(eq=False)
class Photo:
    """One view as its files describe it; nothing is decoded yet."""

    name: str  # may be the name of a file
    lens: Lens
    world_to_camera: npt.NDArray[np.float64]  # (4, 4) OpenCV axes, from the splat frame
    picture: Path
    mask: Path | None = None  # white: subject; black: nothing is there

    @property
    def camera(self) -> Camera:
        """The camera of the undistorted picture, in the splat frame."""
        return Camera(self.lens.pinhole(), self.world_to_camera, self.lens.width, self.lens.height)


@attrs.frozen(eq=False)
class PhotoSet:
    """All views of a folder, in the splat frame, and its sparse points if it has any."""

    folder: Path
    train: list[Photo]
    held_out: list[Photo]
    notes: list[str]  # sentences for the user
    points: Array | None = None  # (N, 3) splat frame
    point_colours: Array | None = None  # (N, 3) sRGB 0..1
    point_file: Path | None = None  # that they were read from, where the folder's files name it


def load_photos(
    photos: PhotoSet, longest: int, progress: Progress | None = None, cancelled: Callable[[], bool] = never,
    threads: int | None = None,
) -> Dataset:  # fmt: skip
    """Decode all pictures in a thread pool; none is larger than `longest` pixels on its longer side.

    Colours are taken as they are, display-referred; straight alpha, or a mask, becomes coverage. Raises InputError,
    naming the file, for a picture that is missing, damaged or of another shape than its camera; Cancelled.
    """
    views = photos.train + photos.held_out
    loaded = decode_all(views, lambda photo: _load(photo, longest), progress, cancelled, threads)
    count = len(photos.train)
    train, held_out = [v for v, _, _ in loaded[:count]], [v for v, _, _ in loaded[count:]]
    shown, left_out = views_that_show(train, photos.folder, "Check the pictures' alpha or their masks.")
    notes = photos.notes + left_out
    shrunk = sum(smaller for _, _, smaller in loaded)
    if shrunk:
        notes.append(f"{shrunk} of {len(views)} pictures were scaled down to {longest} pixels on their longer side.")
    digest = hashlib.sha256(f"photos {longest} {count}\n".encode())
    for photo, (_, picture_hash, _) in zip(views, loaded, strict=True):
        digest.update(f"{photo.name} {picture_hash} {photo.lens}\n".encode())
        digest.update(photo.world_to_camera.tobytes())
    for array in (photos.points, photos.point_colours):
        digest.update(b"none" if array is None else np.ascontiguousarray(array, np.float64).tobytes())
    return Dataset(
        shown, held_out, "", digest.hexdigest(), notes, photos.folder,
        points=photos.points, point_colours=photos.point_colours,
    )  # fmt: skip


def split_by_rule(photos: Sequence[Photo]) -> tuple[list[Photo], list[Photo]]:
    """Training and held-out views where nobody has split them; with fewer than eight none is held out."""
    ordered = sorted(photos, key=lambda photo: photo.name)
    if len(ordered) < HOLD_OUT_EVERY:
        return ordered, []
    return [p for i, p in enumerate(ordered) if i % HOLD_OUT_EVERY], ordered[::HOLD_OUT_EVERY]


def thinned(held_out: list[Photo], notes: list[str]) -> list[Photo]:
    """At most `MAX_HELD_OUT` of them, evenly spaced, with a note."""
    if len(held_out) <= MAX_HELD_OUT:
        return held_out
    notes.append(f"{MAX_HELD_OUT} of {len(held_out)} held-out views are measured, evenly spaced.")
    return [held_out[i * len(held_out) // MAX_HELD_OUT] for i in range(MAX_HELD_OUT)]


def view_names(paths: Sequence[str]) -> list[str]:
    """A name for each picture, fit to be a file's, each once: its path without the folders that all share."""
    parts = [PurePosixPath(path.replace("\\", "/")).parts for path in paths]
    shared = 0
    while parts and all(len(p) > shared + 1 and p[shared] == parts[0][shared] for p in parts):
        shared += 1
    names, taken = [], set()
    for part in parts:
        own = list(part[shared:]) or ["view"]
        own[-1] = PurePosixPath(own[-1]).stem if "." in own[-1][1:] else own[-1]
        base = _UNFIT.sub("_", "_".join(own)).strip("._") or "view"
        name, number = base, 1
        while name.casefold() in taken:
            number += 1
            name = f"{base}_{number}"
        taken.add(name.casefold())
        names.append(name)
    return names


def picture_size(path: Path) -> tuple[int, int]:
    """(width, height) as stored, without decoding the pixels. InputError if the picture is missing or damaged."""
    from PIL import Image as PillowImage

    try:
        with PillowImage.open(path) as picture:
            return picture.size
    except FileNotFoundError:
        raise _missing(path) from None
    except (OSError, ValueError, SyntaxError, PillowImage.DecompressionBombError) as error:
        raise _damaged(path) from error


def read_picture(path: Path) -> Image:
    """(H, W, 4) premultiplied sRGB 0..1 and coverage, of any PNG or JPEG of 8 or 16 bits, grey or colour.

    Pixels are taken as they are stored: the orientation tag of a photo is ignored, as those who found the cameras do.
    """
    pixels = _decode(path)
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[..., None], 3, axis=2)
    alpha = pixels[..., 3:4] if pixels.shape[2] == 4 else np.ones((*pixels.shape[:2], 1), np.float32)
    return np.concatenate([pixels[..., 2::-1] * alpha, alpha], axis=2)


def read_mask(path: Path) -> Image:
    """(H, W) 0..1: a mask's grey, or its alpha where it is a picture with one."""
    pixels = _decode(path)
    if pixels.ndim == 2:
        return pixels
    return np.ascontiguousarray(pixels[..., 3]) if pixels.shape[2] == 4 else pixels.mean(axis=2, dtype=np.float32)


def _decode(path: Path) -> Image:
    """(H, W) or (H, W, 3 or 4) 0..1 in OpenCV's order of channels."""
    try:
        data = np.frombuffer(path.read_bytes(), np.uint8)
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError, ValueError):  # ValueError: a zero byte in it
        raise _missing(path) from None
    try:
        pixels = cv2.imdecode(data, cv2.IMREAD_UNCHANGED) if len(data) else None
    except cv2.error:
        pixels = None
    if pixels is None or pixels.dtype not in (np.uint8, np.uint16):
        raise _damaged(path)
    if pixels.ndim == 3 and pixels.shape[2] == 2:  # grey and alpha
        pixels = pixels[..., [0, 0, 0, 1]]
    pixels = pixels[..., 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels
    return np.asarray(pixels, np.float32) / np.float32(65535 if pixels.dtype == np.uint16 else 255)


def _missing(path: Path) -> InputError:
    return InputError(f"The picture {path} is missing.", "Put it there, or remove its camera.")


def _damaged(path: Path) -> InputError:
    return InputError(f"The picture {path} is damaged or no PNG or JPEG.", "Save it again.")


def _load(photo: Photo, longest: int) -> tuple[FitView, str, bool]:
    """The view, SHA-256 of its files, and whether it was scaled down."""
    image = read_picture(photo.picture)
    height, width = image.shape[:2]
    hasher = hashlib.sha256(photo.picture.read_bytes())
    if not photo.lens.fits(width, height):
        raise InputError(
            f"The picture {photo.picture} has {width} x {height} pixels; its camera has "
            f"{photo.lens.width} x {photo.lens.height}.",
            "Give the pictures that the cameras were found with.",
        )
    if photo.mask is not None:
        mask = read_mask(photo.mask)
        hasher.update(photo.mask.read_bytes())
        if mask.shape != (height, width):
            raise InputError(f"The mask {photo.mask} is not as large as its picture.", "Scale it to the same size.")
        image *= mask[..., None]
    lens = photo.lens.scaled_to(width, height)
    image = lens.undistort(image)
    camera = attrs.evolve(photo, lens=lens).camera
    factor = longest / max(width, height)
    if factor < 1:
        camera = camera.scaled(factor)
        smaller = cv2.resize(image, (camera.width, camera.height), interpolation=cv2.INTER_AREA)
        image = np.asarray(smaller, np.float32)
    alpha = np.ascontiguousarray(np.clip(image[..., 3], 0, 1))
    rgb = np.minimum(np.ascontiguousarray(image[..., :3]), alpha[..., None])
    return FitView(photo.name, camera, rgb, alpha, None, None), hasher.hexdigest(), factor < 1
