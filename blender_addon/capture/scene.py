# SPDX-License-Identifier: GPL-3.0-or-later
"""Changes to the artist's scene that are always taken back: after success, a cancel or an exception."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import TracebackType
from typing import Any

import bpy
import numpy as np
import numpy.typing as npt
from mathutils import Euler, Matrix, Vector

from .. import compat
from .._interchange import cameras, errors
from .rigs import SENSOR_MM
from .settings import PoseSettings, RenderSettings


class Restore:
    """Remembers what it changes and undoes it in reverse order, all of it even if one step fails.

    Use as a context manager, or call `close()`; closing twice is harmless.
    """

    def __init__(self) -> None:
        self._undo: list[Callable[[], None]] = []

    def set(self, owner: Any, name: str, value: Any) -> None:
        """`owner.name = value`, to be taken back."""
        old = getattr(owner, name)
        old = tuple(old) if type(old).__name__ in ("bpy_prop_array", "Vector", "Euler", "Quaternion", "Color") else old
        self.later(lambda: setattr(owner, name, old))
        setattr(owner, name, value)

    def keep(self, owner: Any, *names: str) -> None:
        """Remember attributes that something else is about to change."""
        for name in names:
            self.set(owner, name, getattr(owner, name))

    def later(self, undo: Callable[[], None]) -> None:
        """Call `undo` when closing."""
        self._undo.append(undo)

    def new(self, blocks: Any, *args: Any) -> Any:
        """A new data-block of `bpy.data.<blocks>` that is removed when closing."""
        block = blocks.new(*args)
        self.later(lambda: blocks.remove(block))
        return block

    def close(self) -> None:
        """Undo everything. Raises the first failure after having tried the rest."""
        failure: Exception | None = None
        while self._undo:
            try:
                self._undo.pop()()
            except Exception as error:  # the rest of the scene must come back all the same
                failure = failure or error
        if failure is not None:
            raise failure

    def __enter__(self) -> Restore:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


_PASSES = (
    "use_pass_combined", "use_pass_z", "use_pass_normal", "use_pass_diffuse_color", "use_pass_diffuse_direct",
    "use_pass_diffuse_indirect", "use_pass_cryptomatte_object",
)  # fmt: skip


def set_up_render(restore: Restore, scene: Any, view_layer: Any, settings: RenderSettings) -> None:
    """Cycles with our passes and quality; nothing of the artist's compositing, borders, stereo or motion blur."""
    render, cycles = scene.render, scene.cycles
    restore.set(render, "use_persistent_data", False)  # off frees what an earlier quality left behind, see below
    for name, value in {
        "engine": "CYCLES", "resolution_x": settings.size, "resolution_y": settings.size, "resolution_percentage": 100,
        "pixel_aspect_x": 1.0, "pixel_aspect_y": 1.0, "film_transparent": True, "use_border": False,
        "use_crop_to_border": False, "use_compositing": False, "use_sequencer": False, "use_motion_blur": False,
        "use_multiview": False, "use_simplify": False, "use_freestyle": False, "use_single_layer": False,
    }.items():  # fmt: skip
        restore.set(render, name, value)
    for name, value in {
        "samples": settings.samples, "use_adaptive_sampling": False, "time_limit": 0.0, "seed": 0,
        "use_animated_seed": False, "use_denoising": settings.denoise, "denoiser": "OPENIMAGEDENOISE",
        "denoising_input_passes": "RGB_ALBEDO_NORMAL", "denoising_prefilter": "FAST", "denoising_quality": "FAST",
        "max_bounces": settings.bounces + 1, "diffuse_bounces": settings.bounces, "glossy_bounces": settings.bounces,
        "transmission_bounces": max(settings.bounces, 4), "caustics_reflective": False, "caustics_refractive": False,
        "pixel_filter_type": "BLACKMAN_HARRIS", "filter_width": 1.5, "film_transparent_glass": False,
    }.items():  # fmt: skip
        if name in cycles.bl_rna.properties:
            restore.set(cycles, name, value)
    for layer in scene.view_layers:
        restore.set(layer, "use", layer == view_layer)
    for name in _PASSES:
        restore.set(view_layer, name, True)
    restore.set(view_layer, "pass_cryptomatte_depth", 6)
    restore.set(view_layer, "samples", 0)
    for marker in scene.timeline_markers:
        restore.set(marker, "camera", None)  # a marker would switch the camera while rendering
    # Measured: with persistent data kept from an earlier render, a change of samples is ignored; hence off, then on.
    render.use_persistent_data = True


class CameraMan:
    """A camera of our own in the scene, put exactly where an interchange camera is."""

    def __init__(self, restore: Restore, scene: Any) -> None:
        self._data = restore.new(bpy.data.cameras, "digidouble capture")
        self._item = restore.new(bpy.data.objects, "digidouble capture", self._data)
        restore.set(scene, "camera", scene.camera)
        scene.collection.objects.link(self._item)
        scene.camera = self._item

    def place(self, camera: cameras.Camera) -> None:
        """Take the position, lens and shift of `camera`."""
        set_blender_camera(self._item, camera)


def set_blender_camera(item: Any, camera: cameras.Camera) -> None:
    """Give a camera object the pose and lens of an interchange camera (equal focal lengths in x and y)."""
    span = max(camera.width, camera.height)
    K, data = camera.K, item.data
    data.type, data.sensor_fit, data.sensor_width = "PERSP", "AUTO", SENSOR_MM
    data.lens = K[0, 0] / span * SENSOR_MM
    data.shift_x = (camera.width / 2 - K[0, 2]) / span
    data.shift_y = (K[1, 2] - camera.height / 2) / span
    distance = float(np.linalg.norm(camera.position))
    data.clip_start, data.clip_end = 1e-3, max(100.0, 10 * distance)
    data.dof.use_dof = False
    item.matrix_world = Matrix(cameras.blender_matrix_from_world_to_camera(camera.world_to_camera).tolist())


def show_only(restore: Restore, scene: Any, parts: list[Any]) -> None:
    """Only the avatar is seen; all else still lights it, shades it and mirrors in it."""
    for item in scene.objects:
        if item not in parts:
            restore.set(item, "visible_camera", False)


def apply_pose(restore: Restore, parts: list[Any], armature: Any | None, settings: PoseSettings) -> None:
    """Set shape keys on all parts together and turn bones.

    Raises InputError if the avatar has no such expression or bone, or the expression does not go that far.
    """
    known: set[str] = set()
    for part in parts:
        blocks = part.data.shape_keys.key_blocks if part.data.shape_keys else ()
        known |= {block.name for block in blocks}
        asked = [block for block in blocks if block.name in settings.expression]
        if asked:
            _stop_animation(restore, part.data.shape_keys)
        for block in asked:
            _check_slider(block, settings.expression[block.name])
            restore.set(block, "value", settings.expression[block.name])
    for name in settings.expression:
        if name not in known:
            raise errors.InputError(
                f"The avatar has no expression {name!r}.", f"It has {', '.join(sorted(known - {'Basis'})) or 'none'}."
            )
    if settings.bones and armature is not None:
        _stop_animation(restore, armature)
    for name, degrees in settings.bones.items():
        bone = armature.pose.bones.get(name) if armature is not None else None
        if bone is None:
            raise errors.InputError(f"The avatar has no bone {name!r}.", "Look up its name in the armature.")
        restore.keep(bone, "location", "scale", "rotation_quaternion", "rotation_euler", "rotation_axis_angle")
        turn = Euler([math.radians(d) for d in degrees], "XYZ").to_matrix().to_4x4()
        bone.matrix_basis = Matrix.Translation(bone.location) @ turn


def _check_slider(block: Any, value: float) -> None:
    """Blender would cut the value off silently."""
    if not block.slider_min <= value <= block.slider_max:  # also true for NaN
        raise errors.InputError(
            f"The expression {block.name!r} cannot be {value:g}.",
            f"It goes from {block.slider_min:g} to {block.slider_max:g}.",
        )


def _stop_animation(restore: Restore, block: Any) -> None:
    """Let actions and drivers leave a data-block alone, or rendering would set their values again."""
    data = block.animation_data
    if data is None:
        return
    if getattr(data, "action_slot", None) is not None:
        restore.keep(data, "action_slot")  # undone after the action is back
    restore.set(data, "action", None)
    restore.set(data, "use_nla", False)
    for driver in data.drivers:
        restore.set(driver, "mute", True)


def has_lights(scene: Any) -> bool:
    """True if the artist lit the scene: a light that renders, or an environment picture."""
    if any(item.type == "LIGHT" and not item.hide_render for item in scene.objects):
        return True
    tree = scene.world.node_tree if scene.world is not None else None
    return tree is not None and any(node.type in ("TEX_ENVIRONMENT", "TEX_SKY") for node in tree.nodes)


_STOCK = (  # from the target in the avatar's axes: place, size (in radii), light on a white surface, colour
    ((-2.6, -4.2, 2.4), 2.4, 0.6, (1.0, 0.97, 0.93)),  # key
    ((3.6, -3.2, 0.6), 3.0, 0.3, (0.93, 0.97, 1.0)),  # fill
    ((0.8, 4.2, 2.8), 2.4, 0.5, (1.0, 1.0, 1.0)),  # rim
)
_PORTRAIT = (
    ((0.5, -4.6, 1.6), 5.0, 0.85, (1.0, 0.98, 0.95)),
    ((-3.6, -2.4, 0.2), 5.0, 0.25, (1.0, 0.95, 0.9)),
)


def light_studio(
    restore: Restore, scene: Any, target: npt.NDArray, radius: float, turn: npt.NDArray, *, portrait: bool = False
) -> None:
    """Stock lights around the avatar and an even sky; for a portrait other, softer ones, the scene's own put out.

    target (3,), radius: of what is lit, metres. turn (3, 3): avatar's axes to world.
    """
    if portrait:
        for item in scene.objects:
            if item.type == "LIGHT":
                restore.set(item, "hide_render", True)
    for place, size, light, colour in _PORTRAIT if portrait else _STOCK:
        data = restore.new(bpy.data.lights, "digidouble light", "AREA")
        item = restore.new(bpy.data.objects, "digidouble light", data)
        offset = Vector((turn @ np.array(place)) * radius)
        data.shape, data.size, data.color = "DISK", size * radius, colour
        data.energy = light * (math.pi * offset.length) ** 2  # a far disk: E = P / (pi d^2), seen on white as E / pi
        item.location = Vector(target) + offset
        item.rotation_euler = (-offset).to_track_quat("-Z", "Y").to_euler()
        item.visible_camera = False
        scene.collection.objects.link(item)
    world = restore.new(bpy.data.worlds, "digidouble sky")
    sky = next(node for node in compat.use_nodes(world).nodes if node.type == "BACKGROUND")
    sky.inputs["Color"].default_value = (0.25, 0.25, 0.25, 1.0) if not portrait else (0.35, 0.34, 0.33, 1.0)
    restore.set(scene, "world", world)
