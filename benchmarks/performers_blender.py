# SPDX-License-Identifier: GPL-3.0-or-later
"""The half of `performers` that runs in Blender's environment: builds and photographs everybody, captures the target,
renders each performer's own skin on it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from mathutils import Vector

from avatars import AvatarSpec, build
from avatars.materials import node_tree
from avatars.studio import light_face, new_studio
from blender_addon.capture.capture import capture_avatar
from blender_addon.capture.portrait import take_portrait
from blender_addon.capture.rigs import LightStage
from blender_addon.capture.settings import CaptureSettings, PoseSettings, RenderSettings
from blender_addon.capture.textures import save_skin
from blender_addon.capture.truth import true_swap
from interchange.capture import Capture
from interchange.errors import InputError

TARGET = "target"
_BEHIND_EYES = Vector((0.0, 0.055, -0.02))  # about the middle of the head
_LAMP = (0.9, 0.45)  # distance from the head and diameter, metres
_STRENGTH = 3.0  # emission of a lamp that is as strong as the studio's key light, roughly


def main(arguments: list[str]) -> int:
    """Exit code 2 with one sentence for unusable input."""
    path = Path(arguments[0])
    asked = json.loads(path.read_text())
    try:
        _render(asked, path.parent)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def _render(asked: dict[str, Any], root: Path) -> None:
    people = asked["performers"]
    for index, person in enumerate(people):
        _tell(0.5 * index / len(people), f"photographing {person['name']}")
        _photograph(asked, person, root / "performers" / person["name"])
    light_face(_build(asked, asked["target"], 0, False).eye_centre)
    _tell(0.5, "capturing the target")
    quality = RenderSettings(size=asked["size"], samples=asked["samples"])
    rig = LightStage(rows=1, columns=asked["views"], azimuth=asked["side"], low=5, high=5, held_out=0)
    capture_avatar(root / "capture", CaptureSettings(rig=rig, render=quality), None, lambda: False, bpy.context)
    capture = Capture.load(root / "capture")
    for index, person in enumerate(people):
        _tell(0.55 + 0.45 * index / len(people), f"true swap of {person['name']}")
        folder = root / "performers" / person["name"]
        for skin, out in asked["truths"].items():
            if (folder / skin).exists() and not all((folder / out / v.exr).exists() for v in capture.views):
                true_swap(capture, folder / skin, folder / out, None, None, lambda: False, bpy.context)


def _photograph(asked: dict[str, Any], person: dict[str, Any], folder: Path) -> None:
    missing = {k: v for k, v in person["sittings"].items() if not (folder / k / "consent.json").exists()}
    if not missing and (folder / "skin.png").exists():
        return
    avatar = _build(asked, person["identity"], person["seed"], person["one_sided"])
    save_skin(avatar.head, folder / "skin.png")
    quality = RenderSettings(size=asked["portrait_size"], samples=asked["samples"])
    for where, sitting in missing.items():
        lamp = _lamp(Vector(avatar.eye_centre) + _BEHIND_EYES, sitting["lamp"], sitting["tint"])
        pose = PoseSettings(sitting["expression"], {"head": sitting["turn"]})
        take_portrait(folder / where, None, quality, pose, None, bpy.context)
        bpy.data.objects.remove(lamp)


def _build(asked: dict[str, Any], identity: str, seed: int, one_sided: bool) -> Any:
    """An avatar in an otherwise empty file."""
    new_studio()
    folder = asked["makehuman"]
    data_dir = Path(folder) if folder else None
    return build(AvatarSpec(asked["kind"], identity, TARGET, seed, data_dir=data_dir, one_sided=one_sided))


def _lamp(middle: Vector, place: list[float], tint: list[float]) -> Any:
    """A glowing disk: a portrait puts the scene's lamps out, but what glows goes on lighting."""
    azimuth, elevation = np.radians(place[:2])
    direction = Vector(
        (np.sin(azimuth) * np.cos(elevation), -np.cos(azimuth) * np.cos(elevation), np.sin(elevation))
    )
    bpy.ops.mesh.primitive_circle_add(
        radius=_LAMP[1] / 2, fill_type="NGON", location=middle + _LAMP[0] * direction,
        rotation=(-direction).to_track_quat("Z", "Y").to_euler(),
    )  # fmt: skip
    disk = bpy.context.object
    material = bpy.data.materials.new("lamp")
    tree = node_tree(material)
    nodes = tree.nodes
    nodes.clear()
    glow, out = nodes.new("ShaderNodeEmission"), nodes.new("ShaderNodeOutputMaterial")
    glow.inputs["Color"].default_value = (*tint, 1.0)
    glow.inputs["Strength"].default_value = place[2] * _STRENGTH
    tree.links.new(glow.outputs[0], out.inputs["Surface"])
    disk.data.materials.append(material)
    return disk


def _tell(fraction: float, message: str) -> None:
    print(json.dumps({"stage": "performers", "fraction": round(fraction, 3), "message": message}), flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
