# SPDX-License-Identifier: Apache-2.0
"""The same swap, slowly and by other means: float64, positions as pixel indices, nothing of backend.faceswap.onnx."""

from __future__ import annotations

import json
from pathlib import Path

import attrs
import numpy as np
from PIL import Image

from interchange.cameras import Camera
from interchange.capture import ViewImages
from interchange.mesh import Mesh

from . import networks

TEMPLATES = {  # x and y of both eyes, nose, both corners of the mouth
    "arcface_112_v1": ".35473214 .45658929 .64526786 .45658929 .5 .61154464 "
                      ".37913393 .776875 .62086607 .776875",
    "arcface_112_v2": ".34191607 .46157411 .65653393 .45983393 .500225 .64050536 "
                      ".37097589 .82469196 .63151696 .82325089",
    "arcface_128": ".36167656 .40387734 .63696719 .40235469 .50019687 .56044219 "
                   ".38710391 .72160547 .61507734 .72034453",
    "dfl_whole_face": ".35342266 .39285716 .62797622 .39285716 .48660713 .5401786 "
                      ".38839287 .68750011 .59821427 .68750011",
    "ffhq_512": ".37691676 .46864664 .62285697 .46912813 .50123859 .61331904 "
                ".39308822 .725411 .61150205 .72490465",
    "mtcnn_512": ".36562865 .46733799 .63305391 .46585885 .50019127 .61942959 "
                 ".39032951 .77598822 .61178945 .77476328",
}  # fmt: skip


@attrs.frozen
class Border:
    """How a kind sees pictures: crop's edge, template, mean and deviation, whether its output is undone."""

    size: int
    template: str
    mean: tuple = (0, 0, 0)
    std: tuple = (1, 1, 1)
    undo: bool = False


HALF = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5), "undo": True}
BORDERS = {
    "inswapper_128": Border(128, "arcface_128"),
    "simswap_256": Border(256, "arcface_112_v1", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "simswap_unofficial_512": Border(512, "arcface_112_v1"),
    "ghost_256": Border(256, "arcface_112_v1", **HALF),
    "hififace_unofficial_256": Border(256, "mtcnn_512", **HALF),
    "hyperswap_256": Border(256, "arcface_128", **HALF),
    "uniface_256": Border(256, "ffhq_512", **HALF),
    "blendswap_256": Border(256, "ffhq_512"),
    "dfm": Border(networks.DFM_SIZE, "dfl_whole_face"),
}


def five(points: np.ndarray) -> np.ndarray:  # (68, 2) centres at +0.5
    """(5, 2) pixel indices."""
    eyes = [sum(points[i] for i in range(start, start + 6)) / 6 for start in (36, 42)]
    return np.array([*eyes, points[30], points[48], points[54]]) - 0.5


def similarity(points: np.ndarray, template: str, size: int) -> np.ndarray:
    """(2, 3): a x - b y + c, b x + a y + d with the smallest sum of squares."""
    goals = np.array([float(v) for v in TEMPLATES[template].split()]).reshape(5, 2) * size
    rows, values = [], []
    for (x, y), (u, v) in zip(points, goals, strict=True):
        rows += [[x, -y, 1, 0], [y, x, 0, 1]]
        values += [u, v]
    a, b, c, d = np.linalg.lstsq(np.array(rows), np.array(values), rcond=None)[0]
    return np.array([[a, -b, c], [b, a, d]])


def linear_at(image: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Bilinear at pixel indices, the edge going on."""
    height, width = image.shape[:2]
    total = np.zeros((*x.shape, image.shape[2]))
    for j in (0, 1):
        for i in (0, 1):
            column, row = np.floor(x).astype(int) + i, np.floor(y).astype(int) + j
            weight = (1 - np.abs(x - column)) * (1 - np.abs(y - row))
            total += weight[..., None] * image[row.clip(0, height - 1), column.clip(0, width - 1)]
    return total


def _keys(distance: np.ndarray) -> np.ndarray:
    """The cubic convolution kernel of Keys with a = -1/2."""
    d = np.abs(distance)
    near, far = 1.5 * d**3 - 2.5 * d**2 + 1, -0.5 * d**3 + 2.5 * d**2 - 4 * d + 2
    return np.where(d <= 1, near, np.where(d < 2, far, 0))


def cubic_at(image: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    height, width = image.shape[:2]
    total = np.zeros((*x.shape, image.shape[2]))
    for j in range(-1, 3):
        for i in range(-1, 3):
            column, row = np.floor(x).astype(int) + i, np.floor(y).astype(int) + j
            weight = _keys(x - column) * _keys(y - row)
            total += weight[..., None] * image[row.clip(0, height - 1), column.clip(0, width - 1)]
    return total


def warp(image: np.ndarray, matrix: np.ndarray, height: int, width: int, look_up=linear_at) -> np.ndarray:
    """(height, width, C); `matrix` leads from the output's indices to the image's; a box of samples a pixel when the
    output is coarser."""
    count = max(1, int(np.ceil(np.hypot(matrix[0, 0], matrix[1, 0]) - 1e-6)))
    total = np.zeros((height, width, image.shape[2]))
    columns, rows = np.meshgrid(np.arange(width, dtype=float), np.arange(height, dtype=float))
    for j in range(count):
        for i in range(count):
            u, v = columns + (2 * i + 1 - count) / (2 * count), rows + (2 * j + 1 - count) / (2 * count)
            x = matrix[0, 0] * u + matrix[0, 1] * v + matrix[0, 2]
            y = matrix[1, 0] * u + matrix[1, 1] * v + matrix[1, 2]
            total += look_up(image.astype(np.float64), x, y)
    return total / count**2


def undo(matrix: np.ndarray) -> np.ndarray:
    return np.linalg.inv(np.vstack([matrix, [0, 0, 1]]))[:2]


def project(mesh: Mesh, camera: Camera) -> np.ndarray:
    """(68, 2) pixels, centres at +0.5."""
    points = []
    for vertex in mesh.vertices[mesh.landmarks].astype(np.float64):
        x, y, z = camera.K @ (camera.world_to_camera[:3] @ [*vertex, 1.0])
        points.append([x / z, y / z])
    return np.array(points)


def encode(linear: np.ndarray) -> np.ndarray:
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * np.maximum(linear, 1e-12) ** (1 / 2.4) - 0.055)


def decode(encoded: np.ndarray) -> np.ndarray:
    return np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)


def photo_crop(folder: Path, template: str, size: int) -> np.ndarray:
    photo = np.asarray(Image.open(folder / "portrait.png"), np.float64) / 255
    listed = json.loads((folder / "landmarks.json").read_text())["points"]
    points = np.array([listed[str(i)] for i in range(68)])
    return warp(photo, undo(similarity(five(points), template, size)), size, size)


def source_tensor(kind: str, folder: Path, renormalize: bool = True) -> np.ndarray | None:
    """As section by section of the networks' descriptions: emap, converter, picture, or nothing."""
    if kind == "dfm":
        return None
    if kind in ("uniface_256", "blendswap_256"):
        size, template = {"uniface_256": (256, "ffhq_512"), "blendswap_256": (112, "arcface_112_v2")}[kind]
        return photo_crop(folder, template, size).transpose(2, 0, 1)[None]
    crop = photo_crop(folder, "arcface_112_v2", 112)
    vector = networks.recognise((crop * 255 / 127.5 - 1).transpose(2, 0, 1)[None])
    vector = vector / np.sqrt((vector**2).sum())
    if kind == "inswapper_128":
        vector = vector @ networks.emap().astype(np.float64)
    if kind in ("simswap_256", "simswap_unofficial_512", "ghost_256", "hififace_unofficial_256"):
        vector = networks.convert(vector)
    if kind != "ghost_256" and (renormalize or kind != "inswapper_128"):
        vector = vector / np.sqrt((vector**2).sum())
    return vector[None]


def target_tensor(kind: str, crop: np.ndarray) -> np.ndarray:
    if kind == "dfm":
        return crop[None, :, :, ::-1]
    border = BORDERS[kind]
    planes = [(crop[..., c] - border.mean[c]) / border.std[c] for c in range(3)]
    return np.stack(planes)[None]


def soft_box(size: int, feather: float) -> np.ndarray:
    blur = int(size * 0.5 * feather)
    sigma = 0.25 * blur
    line = np.array([1.0 if max(blur // 2, 1) <= i < size - max(blur // 2, 1) else 0.0 for i in range(size)])
    if sigma > 0:
        reach = int(np.ceil(4 * sigma))
        soft = np.zeros(size)
        taps = {k: np.exp(-(k**2) / (2 * sigma**2)) for k in range(-reach, reach + 1)}
        for i in range(1, size - 1):
            soft[i] = sum(w * line[i + k] for k, w in taps.items() if 0 <= i + k < size) / sum(taps.values())
        line = soft
    return line[:, None] * line[None]


def shrunk(mask: np.ndarray) -> np.ndarray:
    """Twice the minimum of 3 x 3 neighbours, then a Gaussian of 6.25 pixels whose border mirrors without the edge."""
    for _ in range(2):
        padded = np.pad(mask, 1, constant_values=np.inf)
        mask = np.min([padded[j : j + len(mask), i : i + len(mask)] for j in range(3) for i in range(3)], axis=0)
    reach = (int(round(6.25 * 4 * 2 + 1)) | 1) // 2
    taps = np.exp(-0.5 * (np.arange(-reach, reach + 1) / 6.25) ** 2)
    taps /= taps.sum()
    for axis in (0, 1):
        padded = np.pad(mask, [(reach, reach) if a == axis else (0, 0) for a in (0, 1)], mode="reflect")
        mask = np.apply_along_axis(lambda line: np.convolve(line, taps, "valid"), axis, padded)
    return mask


def swap_crop(
    kind: str, crop: np.ndarray, source: np.ndarray | None, morph: float
) -> tuple[np.ndarray, np.ndarray | None, dict[str, np.ndarray]]:
    """Picture, mask, and what went into the network."""
    inputs = {"in_face:0" if kind == "dfm" else "target": target_tensor(kind, crop)}
    if source is not None:
        inputs["source"] = source
    if kind == "dfm":
        inputs["morph_value:0"] = np.array([morph])
    outputs = networks.evaluate(kind, inputs)
    if kind == "dfm":
        masks = [np.clip(outputs[name][0], 0, 1) for name in ("out_face_mask:0", "out_celeb_face_mask:0")]
        return np.clip(outputs["out_celeb_face:0"][0][..., ::-1], 0, 1), shrunk(np.minimum(*masks)), inputs
    picture = outputs["output"][0].transpose(1, 2, 0)
    if BORDERS[kind].undo:
        picture = picture * BORDERS[kind].std + BORDERS[kind].mean
    mask = np.clip(outputs["mask"][0], 0, 1) if "mask" in outputs else None
    return np.clip(picture, 0, 1), mask, inputs


@attrs.frozen(eq=False)
class Expected:
    rgb: np.ndarray  # (H, W, 3) linear, premultiplied
    inputs: list[dict[str, np.ndarray]]  # of each run of the swap network
    mask: np.ndarray  # (H, W)


def swap_view(
    kind: str, images: ViewImages, mesh: Mesh, camera: Camera, source: np.ndarray | None, boost: int = 1,
    feather: float = 0.3, morph: float = 1.0, strength: float = 1.0, use_mask: bool = True,
) -> Expected:  # fmt: skip
    """A view with its face swapped, its region being skin of the face and eyes."""
    size = BORDERS[kind].size * boost
    to_crop = similarity(five(project(mesh, camera)), BORDERS[kind].template, size)
    rgb, alpha = images.rgb.astype(np.float64), images.alpha.astype(np.float64)
    straight = rgb / np.clip(alpha, 1e-6, 1)[..., None]
    display = encode(np.clip(straight, 0, 1))
    over_black = display * np.clip(alpha, 0, 1)[..., None]
    crop = np.clip(warp(over_black, undo(to_crop), size, size, cubic_at), 0, 1)
    picture, mask, inputs = np.zeros_like(crop), soft_box(size, feather), []
    for row in range(boost):
        for column in range(boost):
            grid = np.s_[row::boost, column::boost]
            picture[grid], own, given = swap_crop(kind, crop[grid], source, morph)
            inputs.append(given)
            if own is not None and use_mask:
                mask[grid] = np.minimum(mask[grid], own)
    height, width = alpha.shape
    region = np.clip(images.masks["face"].astype(np.float64) + images.masks["eye"], 0, np.clip(alpha, 0, 1))
    inside = _inside(to_crop, size, height, width)
    amount = strength * np.minimum(warp(mask[..., None], to_crop, height, width)[..., 0] * inside, region)
    new = np.clip(warp(picture, to_crop, height, width, cubic_at), 0, 1)
    share = amount[..., None]
    blended = (1 - share) * over_black + share * new
    mixed = np.clip(blended / np.clip(alpha, 1e-6, 1)[..., None], 0, 1)
    excess = (1 - share) * (straight - np.clip(straight, 0, 1))
    result = np.where(share > 0, (decode(mixed) + excess) * alpha[..., None], rgb)
    return Expected(result, inputs, amount)


def _inside(to_crop: np.ndarray, size: int, height: int, width: int) -> np.ndarray:
    """(H, W) True where a pixel's centre lies within a pixel of the crop."""
    columns, rows = np.meshgrid(np.arange(width), np.arange(height))
    x, y = (m[0] * columns + m[1] * rows + m[2] for m in to_crop)
    margin = np.hypot(*to_crop[:, 0])
    return (x > -margin) & (y > -margin) & (x < size - 1 + margin) & (y < size - 1 + margin)
