# SPDX-License-Identifier: Apache-2.0
"""A pair of sample avatars rendered for the swap's benchmark: target from all sides, the source's portrait in another
light and with another expression, the true swap, and the source's own views. What is there already is not made again.
"""

from __future__ import annotations

import json
from pathlib import Path

import attrs
import numpy as np
import numpy.typing as npt

from backend.blender_process import run_blender
from backend.commands.avatar import build_arguments
from backend.commands.demo import MAKEHUMAN, PROCEDURAL
from backend.faceswap.atlas import build_atlas
from backend.faceswap.cleaning import statistics_of
from backend.faceswap.regions import face_regions
from backend.faceswap.textures import as_bytes
from backend.whole_job import ADDON
from interchange.capture import Capture, write_json
from interchange.colour import linear_from_srgb, srgb_from_linear
from interchange.errors import InputError
from interchange.png import read_png, write_png

Floats = npt.NDArray[np.floating]
EXPRESSION = "smile=0.3"
_SETTINGS = "scene.json"


@attrs.frozen
class SceneSettings:
    """Which heads, how many views of what size. makehuman: folder of its files, None for procedural heads."""

    target: str
    source: str
    makehuman: Path | None
    train: int
    held_out: int
    size: int
    samples: int = 12

    @staticmethod
    def of(target: str | None, source: str | None, makehuman: Path | None, quick: bool) -> SceneSettings:
        """The usual pair; `quick` is a small scene that shows what the full one measures."""
        usual = MAKEHUMAN if makehuman else PROCEDURAL
        views = (12, 4, 192) if quick else (40, 8, 384)
        return SceneSettings(target or usual[0], source or usual[1], makehuman, *views)

    @property
    def name(self) -> str:
        """A folder's name that tells them apart."""
        kind = "makehuman" if self.makehuman else "procedural"
        return f"{kind}-{self.source}-on-{self.target}-{self.train}+{self.held_out}-{self.size}"


@attrs.frozen
class Scene:
    """Folders: capture of the target, the source's portrait, the true swap in the target's tone (all views), and the
    source's own avatar by the same cameras."""

    capture: Path
    source: Path
    truth: Path
    source_views: Path


def render_scene(settings: SceneSettings, root: Path) -> Scene:
    """Render what is missing in `root`. Raises InputError if it holds another scene, or Blender's environment is not
    there."""
    root.mkdir(parents=True, exist_ok=True)
    _claim(root, settings)
    scene = Scene(root / "capture", root / "source", root / "truth", root / "source_views")
    blends = {"target": root / "target.blend", "source": root / "source.blend"}
    log = root / "blender.log"

    def blender(what: Path, module: str, *arguments: str | Path) -> None:
        if not what.exists():
            print(f"  rendering {what.name}", flush=True)
            run_blender(module, arguments, log=log)

    for role, identity in (("target", settings.target), ("source", settings.source)):
        blender(
            blends[role], "avatars", *build_arguments(identity, blends[role], settings.makehuman, 0, identity)
        )
    quality: tuple[str | Path, ...] = ("--size", str(settings.size), "--samples", str(settings.samples))
    views = ("--train", str(settings.train), "--held-out", str(settings.held_out))
    blender(scene.source / "consent.json", ADDON, "portrait", "--blend", blends["source"], "--out", scene.source,
            "--expression", EXPRESSION)  # fmt: skip
    blender(scene.capture / "capture.json", ADDON, "capture", "--blend", blends["target"], "--out", scene.capture,
            *views, *quality)  # fmt: skip
    blender(scene.source_views / "capture.json", ADDON, "capture", "--blend", blends["source"], "--cameras-of",
            scene.capture, "--out", scene.source_views, *quality)  # fmt: skip
    skin = root / "true_skin.png"
    if not skin.exists():
        write_png(skin, true_skin(Capture.load(scene.capture), Capture.load(scene.source_views)))
    blender(scene.truth / "capture.json", ADDON, "truth", "--capture", scene.capture, "--blend", blends["target"],
            "--skin", skin, "--out", scene.truth, "--views", "all")  # fmt: skip
    return scene


def _claim(root: Path, settings: SceneSettings) -> None:
    wanted = json.loads(json.dumps(attrs.asdict(settings), default=str))
    path = root / _SETTINGS
    if path.exists() and json.loads(path.read_text()) != wanted:
        raise InputError(f"{root} holds another scene.", "Choose another --folder.")
    write_json(path, wanted)


def true_skin(target: Capture, source: Capture) -> npt.NDArray[np.uint8]:
    """The target's skin image (h, w, 3) with the source's face in it, in the target's tone: one factor a channel in
    linear light, which no swapper uses alone, so that none is measured by its own rule."""
    _, other = source.object_of_part("head")
    return in_targets_tone(target, srgb_from_linear(source.load_texture(other)))


def in_targets_tone(target: Capture, new: Floats) -> npt.NDArray[np.uint8]:
    """The same of any skin (h, w, 3) sRGB 0..1 of the target's layout."""
    head, item = target.object_of_part("head")
    mesh = target.load_mesh()
    if item.texture is None:
        raise InputError("The target's head has no skin image.", "Choose another avatar.")
    old = read_png(target.folder / item.texture)[..., :3].astype(np.float32) / 255
    if new.shape != old.shape:
        raise InputError("The two avatars' skin images differ in size.", "Choose a pair of one kind.")
    atlas = build_atlas(mesh, head, *old.shape[:2])
    regions = face_regions(mesh, atlas)
    before, after = atlas.of_image(old), atlas.of_image(new)
    means = [linear_from_srgb(statistics_of(skin, regions.core).mean) for skin in (before, after)]
    toned = srgb_from_linear(linear_from_srgb(after) * (means[0] / means[1]).astype(np.float32))
    return as_bytes(old + atlas.to_image(regions.face[:, None] * (np.clip(toned, 0, 1) - before)))
