# SPDX-License-Identifier: Apache-2.0
"""The capture folder: manifest, views with their passes, meshes, textures. Its page is docs/formats/capture.md.

A *swapped* folder has the same form: a swap reads a capture and writes one, so that whatever reads captures (the fit,
the evaluation, a viewer of transforms.json) reads swapped ones too.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

import attrs
import cattrs
import numpy as np
import numpy.typing as npt

from .cameras import SPLAT_FROM_BLENDER, Camera
from .capture_checks import check_manifest
from .colmap import write_colmap
from .colour import linear_from_srgb, srgb_from_linear
from .errors import InputError
from .exr import Blocks, read_planes, write_exr
from .mesh import Mesh
from .png import read_png, write_png
from .whole_files import whole_file

FORMAT, VERSION = "digidouble-capture", 1
MANIFEST = "capture.json"
MASKS = ("face", "skin", "eye", "hair")
MAX_POINTS = 20_000
"""Vertices that the COLMAP model is given."""
Image = npt.NDArray[np.float32]


@attrs.frozen
class Bone:
    """A bone of the armature: armature-space axes put into the world, Blender's convention (bone along +y)."""

    name: str
    parent: str | None
    rest: list[list[float]]  # (4, 4) bone to world at rest
    posed: list[list[float]]  # (4, 4) bone to world in this pose


@attrs.frozen
class Pose:
    """One pose and expression of the avatar."""

    name: str
    mesh: str  # path in the folder
    frame: int = 1
    shape_keys: dict[str, float] = attrs.field(factory=dict)
    bones: list[Bone] = attrs.field(factory=list)


@attrs.frozen
class ObjectInfo:
    """One part of the avatar; its faces are `first_face .. first_face + face_count` of every pose's mesh."""

    name: str
    part: str  # head, eyes, hair, mouth, lashes or other
    first_face: int
    face_count: int
    texture: str | None = None  # path in the folder, 8-bit sRGB base colour
    base_color: list[float] = attrs.field(factory=lambda: [0.8, 0.8, 0.8])  # linear; used without a texture


@attrs.frozen(eq=False)
class View:
    """One camera's picture of one pose."""

    name: str
    split: str  # train or held_out
    pose: str
    camera: Camera
    exr: str
    preview: str


@attrs.define(eq=False)
class ViewImages:
    """What one EXR holds; float32, rows top-down, colours linear and premultiplied by coverage. None where absent."""

    rgb: Image  # (H, W, 3)
    alpha: Image  # (H, W)
    albedo: Image | None = None  # (H, W, 3) diffuse colour
    light: Image | None = None  # (H, W, 3) diffuse light, direct and indirect, without the surface's colour
    depth: Image | None = None  # (H, W) planar z in metres, 0 where nothing is
    normal: Image | None = None  # (H, W, 3) world
    uv: Image | None = None  # (H, W, 2) v up
    masks: dict[str, Image] = attrs.field(factory=dict)  # (H, W) coverage 0..1 by name

    def display(self) -> Image:
        """(H, W, 3) display-referred sRGB 0..1 over black, as the fit and the viewers see it."""
        result = np.zeros(self.rgb.shape, np.float32)
        seen = _box_of(self.alpha)
        result[seen] = self._straight(seen) * np.clip(self.alpha[seen], 0, 1)[..., None]
        return result

    def _straight(self, part: tuple[slice, slice]) -> Image:
        """Encoded colours without their premultiplication."""
        return srgb_from_linear(np.clip(self.rgb[part] / np.maximum(self.alpha[part], 1e-6)[..., None], 0, 1))


def _box_of(alpha: Image) -> tuple[slice, slice]:
    """Rows and columns outside of which nothing is covered; half of a capture's frames is empty."""
    covered = alpha > 0
    rows, columns = np.flatnonzero(covered.any(axis=1)), np.flatnonzero(covered.any(axis=0))
    if not len(rows):
        return slice(0, 0), slice(0, 0)
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


_HALF_TRIPLES = {"albedo": "RGB", "light": "RGB", "normal": "XYZ"}
_MOST = float(np.finfo(np.float16).max)  # 65504: what is brighter would be written as infinite, and refused when read


def _half(values: Image) -> npt.NDArray[np.float16]:
    """What is infinite or NaN already stays so: that is a fault, which the reader is to tell."""
    return np.where(np.isinf(values), values, np.clip(values, -_MOST, _MOST)).astype(np.float16)


def write_view(path: Path | str, images: ViewImages, coder: Blocks | None = None) -> None:
    """Write one view's EXR: half floats, up to 65504, except depth and UV, which need single precision.

    `coder`: see `exr.Blocks`.
    """
    channels: dict[str, npt.NDArray] = {"A": images.alpha.astype(np.float16)}
    for i, name in enumerate("RGB"):
        channels[name] = _half(images.rgb[..., i])
    for layer, axes in _HALF_TRIPLES.items():
        image = getattr(images, layer)
        if image is not None:
            channels |= {f"{layer}.{axis}": _half(image[..., i]) for i, axis in enumerate(axes)}
    if images.depth is not None:
        channels["depth.Z"] = images.depth.astype(np.float32)
    if images.uv is not None:
        channels |= {f"uv.{axis}": images.uv[..., i].astype(np.float32) for i, axis in enumerate("UV")}
    channels |= {f"mask.{name}": mask.astype(np.float16) for name, mask in images.masks.items()}
    write_exr(path, channels, coder)


def read_view(
    path: Path | str, layers: Collection[str] | None = None, coder: Blocks | None = None
) -> ViewImages:
    """Read one view's EXR; `layers` (albedo, light, depth, normal, uv, mask) limits what is decoded beside RGBA.

    `coder`: see `exr.Blocks`. Raises InputError if the file is damaged or has no RGBA.
    """
    planes = read_planes(path, None if layers is None else {*"RGBA", *layers}, coder)

    def stack(names: list[str]) -> Image | None:
        if not all(name in planes for name in names):
            return None
        image = np.empty((*planes[names[0]].shape, len(names)), np.float32)
        for i, name in enumerate(names):
            image[..., i] = planes[name]
        return image

    rgb = stack(list("RGB"))
    if rgb is None or "A" not in planes:
        raise InputError(f"The picture {path} has no RGBA channels.", "Delete it and capture again.")
    masks = {n.removeprefix("mask."): c.astype(np.float32) for n, c in planes.items() if n.startswith("mask.")}
    depth = planes.get("depth.Z")
    return ViewImages(
        rgb=rgb,
        alpha=planes["A"].astype(np.float32),
        depth=None if depth is None else depth.astype(np.float32),
        uv=stack(["uv.U", "uv.V"]),
        masks=masks,
        **{layer: stack([f"{layer}.{axis}" for axis in axes]) for layer, axes in _HALF_TRIPLES.items()},
    )


@attrs.define(eq=False)
class Capture:
    """A capture (or swapped) folder's manifest, with methods that read what it names."""

    folder: Path = attrs.field(converter=Path)
    name: str = "capture"
    views: list[View] = attrs.field(factory=list)
    poses: list[Pose] = attrs.field(factory=list)
    objects: list[ObjectInfo] = attrs.field(factory=list)
    avatar: dict[str, Any] = attrs.field(factory=dict)
    renderer: dict[str, Any] = attrs.field(factory=dict)
    colour_space: str = "linear Rec.709"
    provenance: dict[str, Any] = attrs.field(factory=dict)

    @property
    def train_views(self) -> list[View]:
        """The views that a fit may see."""
        return [v for v in self.views if v.split == "train"]

    @property
    def held_out_views(self) -> list[View]:
        """The views that only the evaluation may see."""
        return [v for v in self.views if v.split == "held_out"]

    def of_first_pose(self) -> Capture:
        """The same capture with the views of one pose alone, that of the first training view: what a fit takes."""
        if not self.train_views:
            return self
        pose = self.train_views[0].pose
        return attrs.evolve(self, views=[view for view in self.views if view.pose == pose])

    def view(self, name: str) -> View:
        """The view of that name; InputError if there is none."""
        return self._named(self.views, name, "view")

    def pose_of(self, view: View) -> Pose:
        """The pose that a view shows; InputError if the manifest lacks it."""
        return self._named(self.poses, view.pose, "pose")

    def object_of_part(self, part: str) -> tuple[int, ObjectInfo]:
        """Index and description of the first object that is this part (head, eyes, ...); InputError if none is."""
        for index, item in enumerate(self.objects):
            if item.part == part:
                return index, item
        raise InputError(f"The capture {self.folder} has no object marked as {part}.", "Mark one in the avatar.")

    def _named(self, items: list[Any], name: str, kind: str) -> Any:
        for item in items:
            if item.name == name:
                return item
        raise InputError(f"The capture {self.folder} has no {kind} called {name}.", "Capture again.")

    def load_view(
        self, view: View, layers: Collection[str] | None = None, coder: Blocks | None = None
    ) -> ViewImages:
        """Decode one view; InputError if its file is missing, damaged, not finite or not of the camera's size.

        layers, coder: see `read_view`.
        """
        images = read_view(self.folder / view.exr, layers, coder)
        if images.alpha.shape != (view.camera.height, view.camera.width):
            height, width = images.alpha.shape
            raise InputError(
                f"The picture {view.exr} is {width} x {height}, its camera {view.camera.width} x {view.camera.height}.",
                "Delete it and capture again.",
            )
        colours = (images.rgb, images.alpha, images.albedo, images.light)
        if not all(np.isfinite(image).all() for image in colours if image is not None):
            raise InputError(
                f"The picture {self.folder / view.exr} holds NaN or infinite pixels.",
                "Delete it and capture again: only this view is rendered.",
            )
        return images

    def load_mesh(self, pose: Pose | None = None) -> Mesh:
        """The mesh of a pose (the first by default)."""
        if not self.poses:
            raise InputError(f"The capture {self.folder} has no mesh.", "Capture again.")
        chosen = pose or self.poses[0]
        mesh = Mesh.load(self.folder / chosen.mesh)
        if not len(mesh.faces):
            raise InputError(f"The mesh {self.folder / chosen.mesh} is empty.", "Capture again.")
        if mesh.bone_index.min(initial=0) < 0 or mesh.bone_index.max(initial=0) >= max(len(chosen.bones), 1):
            raise InputError(f"The mesh {self.folder / chosen.mesh} hangs on unlisted bones.", "Capture again.")
        if mesh.face_object.max(initial=-1) >= max(len(self.objects), 1):
            raise InputError(f"The mesh {self.folder / chosen.mesh} has faces of unlisted objects.", "Capture again.")
        return mesh

    def load_texture(self, item: ObjectInfo) -> Image:
        """(h, w, 3) linear base colour of an object, row 0 = top (v = 1); a constant becomes 1 x 1."""
        if item.texture is None:
            return np.array(item.base_color, np.float32).reshape(1, 1, 3)
        texture = read_png(self.folder / item.texture).astype(np.float32) / 255
        grey = texture.shape[-1] <= 2  # with alpha or without
        return linear_from_srgb(np.repeat(texture[..., :1], 3, axis=-1) if grey else texture[..., :3])

    def save_manifest(self) -> None:
        """Write capture.json, transforms.json and a COLMAP model, each beside its place first, then renamed."""
        self.folder.mkdir(parents=True, exist_ok=True)
        manifest = {"format": FORMAT, "version": VERSION} | _CONVERTER.unstructure(self)
        write_json(self.folder / MANIFEST, manifest)
        write_json(self.folder / "transforms.json", self.nerfstudio_transforms())
        views = [(Path(view.preview).name, view.camera.in_splat_frame()) for view in self.views]
        write_colmap(self.folder / "sparse/0", views, self._some_vertices())

    def _some_vertices(self) -> npt.NDArray | None:
        """(N, 3) vertices of the first mesh in the splat frame, thinned, as a start for other trainers."""
        if not self.poses or not (self.folder / self.poses[0].mesh).is_file():
            return None
        vertices = Mesh.load(self.folder / self.poses[0].mesh).vertices
        return vertices[:: 1 + len(vertices) // MAX_POINTS] @ SPLAT_FROM_BLENDER.T

    @staticmethod
    def load(folder: Path | str) -> Capture:
        """Read a folder's manifest. Raises InputError if it is missing, damaged, unusable or of a newer version."""
        path = Path(folder) / MANIFEST
        manifest = read_json(path, FORMAT, VERSION)
        try:
            capture = _CONVERTER.structure({**manifest, "folder": str(folder)}, Capture)
        except (cattrs.BaseValidationError, KeyError, TypeError, ValueError) as error:
            reason = "; ".join(cattrs.transform_error(error)[:2]) if isinstance(error, Exception) else str(error)
            raise InputError(f"The manifest {path} is damaged ({reason}).", "Capture again.") from error
        try:
            check_manifest(capture)
        except InputError as error:
            raise InputError(f"{path}: {error.message}", "Mend that entry, or capture again.") from error
        return capture

    def nerfstudio_transforms(self) -> dict[str, Any]:
        """The same views as nerfstudio's transforms.json (OpenGL cameras, PNG previews with alpha)."""
        frames = []
        order = {pose.name: number for number, pose in enumerate(self.poses)}
        for view in self.views:
            camera = view.camera
            # for trainers of moving scenes; others take a capture of one pose
            moment = {"pose": view.pose, "time": order[view.pose] / (len(order) - 1)} if len(order) > 1 else {}
            frames.append(
                moment
                | {
                    "file_path": view.preview,
                    "w": camera.width,
                    "h": camera.height,
                    "fl_x": camera.K[0, 0],
                    "fl_y": camera.K[1, 1],
                    "cx": camera.K[0, 2],
                    "cy": camera.K[1, 2],
                    "transform_matrix": camera.opengl_camera_to_world().tolist(),
                }
            )
        held_out = [v.preview for v in self.held_out_views]
        return {
            "camera_model": "PINHOLE",
            "frames": frames,
            "train_filenames": [v.preview for v in self.train_views],
            "val_filenames": held_out,
            "test_filenames": held_out,
        }


def write_preview(path: Path | str, images: ViewImages, coder: Blocks | None = None) -> None:
    """8-bit sRGB PNG with straight alpha of one view. coder: see `exr.Blocks`."""
    result = np.zeros((*images.alpha.shape, 4), np.uint8)
    seen = _box_of(images.alpha)
    alpha = images.alpha[seen]
    result[seen] = np.rint(np.dstack([images._straight(seen), np.clip(alpha, 0, 1)]) * 255)
    result[seen][alpha <= 0] = 0
    write_png(path, result, coder.deflate if coder else None)


def write_json(path: Path | str, value: Any) -> None:
    """Write JSON, beside `path` first, then renamed, so that a kill leaves the old file or the new one."""
    text = json.dumps(value, indent=1, allow_nan=False) + "\n"
    with whole_file(path) as file:
        file.write(text.encode())


def read_json(path: Path | str, format_name: str, newest: int) -> dict[str, Any]:
    """Read one of our JSON files and check its `format` and `version`; InputError if it is not what it should be."""
    try:
        value = json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path} is missing.", "Check the folder's name.") from None
    except RecursionError:
        raise InputError(f"{path} cannot be read as JSON (nested too deep).", "Write it again.") from None
    except (json.JSONDecodeError, UnicodeDecodeError, OSError) as error:
        raise InputError(f"{path} cannot be read as JSON ({error}).", "Write it again.") from error
    if not isinstance(value, dict) or value.get("format") != format_name:
        raise InputError(f"{path} is not a {format_name} file.", "Check the folder's name.")
    if not isinstance(value.get("version"), int) or not 1 <= value["version"] <= newest:
        raise InputError(f"{path} has version {value.get('version')}.", f"This program reads up to version {newest}.")
    return value


def _unstructure_camera(camera: Camera) -> dict[str, Any]:
    return {
        "K": camera.K.tolist(),
        "world_to_camera": camera.world_to_camera.tolist(),
        "width": camera.width,
        "height": camera.height,
    }


_MANIFEST_FIELDS = [field.name for field in attrs.fields(Capture) if field.name != "folder"]


def _make_converter() -> cattrs.Converter:
    converter = cattrs.Converter()
    converter.register_unstructure_hook(Camera, _unstructure_camera)
    converter.register_structure_hook(
        Camera, lambda v, _: Camera(v["K"], v["world_to_camera"], v["width"], v["height"])
    )
    converter.register_unstructure_hook(
        Capture,
        lambda c: {name: converter.unstructure(getattr(c, name)) for name in _MANIFEST_FIELDS},
    )
    converter.register_structure_hook(Path, lambda v, _: Path(v))
    return converter


_CONVERTER = _make_converter()
