# SPDX-License-Identifier: Apache-2.0
"""Stills and turntables of any splat file, by the CPU engine.

Cameras and splats are in the splat frame (y down). Pictures are 8-bit sRGB with straight alpha, or over a background.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import attrs
import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage

from backend.kernels.engine import CpuEngine
from backend.kernels.parameters import SplatParameters
from interchange.cameras import Camera, look_at
from interchange.errors import Cancelled, InputError, Progress
from interchange.png import write_png
from interchange.splats import SplatCloud, read_splats
from interchange.whole_files import whole_file

Picture = npt.NDArray[np.uint8]  # (H, W, 3 or 4)
Array = npt.NDArray[np.floating]

UP: Array = np.array([0.0, -1.0, 0.0])
FIELD_OF_VIEW = np.radians(35)
INVISIBLE = 1 / 255
"""Splats with less opacity never pass the renderer's cutoff."""
_OUTLIERS = 0.02  # share of the opacity that may lie outside the turntable's bounds
_MARGIN = 1.1
ANIMATIONS = {"webp": "WEBP", "gif": "GIF"}


@attrs.frozen(eq=False)
class Bounds:
    """Where a cloud is: centre (3,) and radius of a sphere that holds nearly all of its opacity."""

    centre: Array
    radius: float


def load_visible(path: Path) -> SplatCloud:
    """The splats of a file that can be seen. InputError if it is no splat file, or shows nothing."""
    cloud = read_splats(path)
    seen = cloud.finite() & (cloud.opacities >= INVISIBLE)
    if not seen.any():
        raise InputError(f"No splat of {path} can be seen.", "Fit or export it again.")
    return cloud.subset(seen)


def bounds_of(cloud: SplatCloud) -> Bounds:
    """Of a cloud of visible splats; a few far away, as photos of a place leave them, do not count."""
    points, weights = cloud.means.astype(np.float64), cloud.opacities.astype(np.float64)
    low = np.array([_quantile(axis, weights, _OUTLIERS / 2) for axis in points.T])
    high = np.array([_quantile(axis, weights, 1 - _OUTLIERS / 2) for axis in points.T])
    centre = (low + high) / 2
    reach = np.linalg.norm(points - centre, axis=1) + cloud.scales.max(axis=1)
    return Bounds(centre, max(_quantile(reach, weights, 1 - _OUTLIERS), 1e-6))


def turntable(bounds: Bounds, frames: int, size: int, elevation: float = 10.0) -> list[tuple[str, Camera]]:
    """`frames` named cameras once around, from the front (-z, where an avatar's face is) towards +x.

    size: pixels of both sides. elevation: degrees above the horizon, less than 90.
    """
    focal = size / 2 / np.tan(FIELD_OF_VIEW / 2)
    K = np.array([[focal, 0, size / 2], [0, focal, size / 2], [0, 0, 1]])
    distance = _MARGIN * bounds.radius / np.sin(FIELD_OF_VIEW / 2)
    rise, digits = np.radians(elevation), max(3, len(str(frames - 1)))
    found = []
    for i in range(frames):
        angle = 2 * np.pi * i / frames
        towards = np.array([np.sin(angle) * np.cos(rise), -np.sin(rise), -np.cos(angle) * np.cos(rise)])
        camera = look_at(bounds.centre + distance * towards, bounds.centre, UP, K, size, size)
        found.append((f"turntable_{i:0{digits}d}", camera))
    return found


def resized(camera: Camera, longest: int) -> Camera:
    """The same view with `longest` pixels on its longer side."""
    return camera.scaled(longest / max(camera.width, camera.height))


def render_views(
    cloud: SplatCloud, cameras: Sequence[tuple[str, Camera]], background: tuple[int, int, int] | None = None,
    progress: Progress | None = None, cancelled: Callable[[], bool] = lambda: False, threads: int | None = None,
) -> Iterator[tuple[str, Picture]]:  # fmt: skip
    """Name and picture of each camera, one after the other: (H, W, 4) straight alpha, or (H, W, 3) over `background`.

    background: 0..255. Raises InputError for a camera that cannot be used, Cancelled when told to stop.
    """
    if not cameras:
        raise InputError("There is no camera to render at.", "Give a folder that has views.")
    width = max(camera.width for _, camera in cameras)
    height = max(camera.height for _, camera in cameras)
    parameters = SplatParameters.from_cloud(cloud)
    engine = CpuEngine(len(cloud), width, height, cloud.degree, threads)
    for index, (name, camera) in enumerate(cameras):
        if cancelled():
            raise Cancelled
        if not camera.is_finite() or not min(camera.K[0, 0], camera.K[1, 1]) > 0:
            raise InputError(f"The camera of {name} is not usable (NaN or no focal length).", "Remove that view.")
        if progress:
            progress("render", index / len(cameras), f"view {index + 1} of {len(cameras)} ({name})")
        yield name, composed(*engine.render(parameters, camera), background)
    if progress:
        progress("render", 1.0, f"{len(cameras)} views")


def composed(image: Array, alpha: Array, background: tuple[int, int, int] | None) -> Picture:
    """8 bits of a premultiplied image (H, W, 3) and alpha (H, W): straight (H, W, 4), or (H, W, 3) over 0..255."""
    coverage = np.clip(alpha, 0, 1)[..., None]
    if background is None:
        straight = np.clip(image / np.maximum(coverage, 1e-6), 0, 1)
        rgba = np.concatenate([straight, coverage], axis=2)
        rgba[coverage[..., 0] < 0.5 / 255] = 0
        return np.rint(rgba * 255).astype(np.uint8)
    over = np.clip(image, 0, 1) + (1 - coverage) * np.array(background) / 255
    return np.rint(np.clip(over, 0, 1) * 255).astype(np.uint8)


def write_stills(folder: Path, pictures: Iterator[tuple[str, Picture]]) -> list[Path]:
    """One PNG a view, each whole or not there, as they come."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, picture in pictures:
        written.append(folder / f"{name}.png")
        write_png(written[-1], picture)
    return written


def write_animation(path: Path, pictures: Iterator[tuple[str, Picture]], frames_per_second: float) -> Path:
    """All views as one looping WebP or GIF (by suffix), whole or not there.

    A GIF has 256 colours and no half-transparent pixels. Raises InputError for views of different sizes.
    """

    def others(size: tuple[int, int]) -> Iterator[PillowImage.Image]:
        for name, picture in pictures:
            frame = PillowImage.fromarray(picture)
            if frame.size != size:
                raise InputError(f"The view {name} has another size than the first one.", "Write PNG files instead.")
            yield frame

    path.parent.mkdir(parents=True, exist_ok=True)
    kind = ANIMATIONS[path.suffix[1:]]
    options = {"quality": 85, "method": 4} if kind == "WEBP" else {"disposal": 2}
    with whole_file(path) as file:
        first = PillowImage.fromarray(next(pictures)[1])
        duration = round(1000 / frames_per_second)
        first.save(
            file, kind, save_all=True, append_images=others(first.size), duration=duration, loop=0, **options
        )
    return path


def _quantile(values: Array, weights: Array, share: float) -> float:
    """The value that `share` of the weight lies under."""
    order = np.argsort(values)
    cumulative = np.cumsum(weights[order])
    return float(values[order][min(np.searchsorted(cumulative, share * cumulative[-1]), len(values) - 1)])
