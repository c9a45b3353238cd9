# SPDX-License-Identifier: Apache-2.0
"""Pictures for the report: crops, error maps, data URIs, the turntable and the strip for the README.

Arrays are (H, W, 3) float32, display-referred sRGB 0..1, over black, unless stated otherwise.
"""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont

Image = npt.NDArray[np.float32]
Box = tuple[int, int, int, int]
"""left, top, right, bottom in pixels; right and bottom exclusive."""

ERROR_COLOURS = "inferno"
ERROR_SCALES = (4, 8, 16, 32, 64, 128, 255)
"""8-bit levels that the end of an error map's colour bar may stand for."""
_QUALITY = 90


def to_bytes(image: Image) -> npt.NDArray[np.uint8]:
    """(H, W, 3) uint8: clipped and rounded."""
    return np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)


def data_uri(image: Image | npt.NDArray[np.uint8], lossless: bool = False, longest: int | None = None) -> str:
    """A WebP data URI of a picture, scaled down to `longest` pixels where it is larger."""
    pixels = image if image.dtype == np.uint8 else to_bytes(image.astype(np.float32))
    picture = PillowImage.fromarray(np.ascontiguousarray(pixels))
    if longest and max(picture.size) > longest:
        factor = longest / max(picture.size)
        size = (max(1, round(picture.width * factor)), max(1, round(picture.height * factor)))
        picture = picture.resize(size, PillowImage.Resampling.LANCZOS)
    buffer = io.BytesIO()
    picture.save(buffer, "WEBP", quality=_QUALITY, lossless=lossless, method=4)
    return bytes_uri(buffer.getvalue(), "image/webp")


def bytes_uri(data: bytes, mime: str) -> str:
    """A data URI of a file's bytes."""
    return f"data:{mime};base64,{base64.b64encode(data).decode()}"


def head_box(face: npt.NDArray[np.floating] | None, alpha: npt.NDArray[np.floating]) -> Box:  # (H, W), (H, W)
    """A square around the head: as high as the face mask and half of it again, centred on the silhouette beside it.

    Without a visible face it surrounds the whole silhouette; it always stays inside the frame.
    """
    height, width = alpha.shape
    seen = alpha if face is None or not (face > 0.5).any() else face
    rows = np.flatnonzero((seen > 0.5).any(axis=1))
    if len(rows) == 0:
        rows = np.array([0, height - 1])
    beside = np.flatnonzero((alpha[rows[0] : rows[-1] + 1] > 0.5).any(axis=0))
    columns = beside if len(beside) else np.array([0, width - 1])
    tall, wide = rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1
    side = int(min(round(max(1.55 * tall, 1.15 * wide)), height, width))
    cx, cy = (columns[0] + columns[-1] + 1) / 2, (rows[0] + rows[-1] + 1) / 2 - 0.08 * tall
    left = int(np.clip(round(cx - side / 2), 0, width - side))
    top = int(np.clip(round(cy - side / 2), 0, height - side))
    return left, top, left + side, top + side


def crop(image: npt.NDArray, box: Box) -> npt.NDArray:
    """The part of a picture (H, W, ...) inside a box."""
    left, top, right, bottom = box
    return image[top:bottom, left:right]


def error_scale(maps: Sequence[npt.NDArray[np.float32]]) -> int:
    """The smallest of `ERROR_SCALES` that 97 % of all pixels with an error of a level or more stay under."""
    values = np.concatenate([m[m >= 1].ravel() for m in maps]) if maps else np.zeros(0)
    peak = float(np.percentile(values, 97)) if len(values) else 0.0
    return next((s for s in ERROR_SCALES if peak <= s), ERROR_SCALES[-1])


def error_picture(levels: npt.NDArray[np.float32], scale: int) -> npt.NDArray[np.uint8]:  # (H, W)
    """(H, W, 3) uint8 error map in false colours; `scale` levels and more get the brightest."""
    coloured = matplotlib.colormaps[ERROR_COLOURS](np.clip(levels / scale, 0, 1), bytes=True)
    return np.ascontiguousarray(coloured[..., :3])


def error_gradient(steps: int = 12) -> str:
    """The error map's colours as a CSS gradient from left (no error) to right (the scale's end)."""
    colours = matplotlib.colormaps[ERROR_COLOURS](np.linspace(0, 1, steps), bytes=True)
    return "linear-gradient(90deg," + ",".join(f"#{r:02x}{g:02x}{b:02x}" for r, g, b, _ in colours) + ")"


def save_turntable(path: Path, frames: Sequence[Image], milliseconds: int = 83) -> Path:
    """Write an animated WebP that loops, beside `path` first, then renamed."""
    pictures = [PillowImage.fromarray(to_bytes(np.asarray(f, np.float32)[..., :3])) for f in frames]
    temporary = path.with_name(path.name + ".part")
    pictures[0].save(
        temporary, "WEBP", save_all=True, append_images=pictures[1:], duration=milliseconds, loop=0, quality=82
    )
    os.replace(temporary, path)
    return path


def fit_square(image: Image, side: int) -> PillowImage.Image:
    """The picture, centred and cropped to a square, at `side` pixels."""
    pixels = to_bytes(image)
    height, width = pixels.shape[:2]
    short = min(height, width)
    top, left = (height - short) // 2, (width - short) // 2
    square = PillowImage.fromarray(np.ascontiguousarray(pixels[top : top + short, left : left + short]))
    return square.resize((side, side), PillowImage.Resampling.LANCZOS)


def save_strip(path: Path, panels: Sequence[tuple[str, Image]], side: int = 320) -> Path:
    """Labelled square pictures side by side as one PNG, `side` pixels high, for a README."""
    gap = 2
    width = side * len(panels) + gap * (len(panels) - 1)
    sheet = PillowImage.new("RGB", (width, side), (24, 25, 28))
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSans.ttf"), 14)
    for index, (label, image) in enumerate(panels):
        x = index * (side + gap)
        sheet.paste(fit_square(image, side), (x, 0))
        place = (x + 12, side - 12)
        draw.text(place, label, font=font, fill=(240, 240, 242), anchor="ls", stroke_width=2, stroke_fill="black")
    temporary = path.with_name(path.name + ".part")
    sheet.save(temporary, "PNG", optimize=True)
    os.replace(temporary, path)
    return path
