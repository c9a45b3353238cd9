# SPDX-License-Identifier: GPL-3.0-or-later
"""What a capture sets up: render settings and camera on a stage, pose, light and visibility of what stands on it."""

from __future__ import annotations

import math
from typing import Any

import attrs
import bpy
import numpy as np
import numpy.typing as npt
from mathutils import Euler, Matrix, Vector

from .. import compat
from .._interchange import cameras, errors
from .animation import play_action, stop_animation
from .framing import SENSOR_MM
from .restore import Restore, finder
from .settings import PoseSettings, RenderSettings
from .stage import Stage


def possible_render(render: RenderSettings) -> tuple[RenderSettings, str | None]:
    """The quality without what this Blender cannot do, and a remark if something is lost."""
    if render.engine == "EEVEE":
        return attrs.evolve(render, denoise=False), None
    if render.denoise and not compat.has_denoiser():
        return attrs.evolve(render, denoise=False), (
            "This Blender was built without OpenImageDenoise: the pictures are noisy. Use more samples."
        )
    return render, None


_PASSES = (
    "use_pass_combined", "use_pass_z", "use_pass_normal", "use_pass_diffuse_color", "use_pass_diffuse_direct",
    "use_pass_diffuse_indirect", "use_pass_cryptomatte_object",
)  # fmt: skip


def set_up_render(stage: Stage, settings: RenderSettings, *, waits: bool) -> None:
    """Our passes and quality; nothing of the artist's compositing, borders, stereo or motion blur.

    waits: the renders block, and nobody draws beside them.
    """
    scene = stage.scene
    render, view_layer = scene.render, stage.view_layer
    render.use_persistent_data = False  # off frees what an earlier capture left behind, see below
    width, height = settings.pixels
    for name, value in {
        "resolution_x": width, "resolution_y": height, "resolution_percentage": 100,
        "pixel_aspect_x": 1.0, "pixel_aspect_y": 1.0, "film_transparent": True, "use_border": False,
        "use_crop_to_border": False, "use_compositing": False, "use_sequencer": False, "use_motion_blur": False,
        "use_multiview": False, "use_simplify": False, "use_freestyle": False, "use_single_layer": False,
        "use_stamp": False, "use_file_extension": True, "use_overwrite": True, "use_placeholder": False,
        "use_lock_interface": False,
    }.items():  # fmt: skip
        setattr(render, name, value)
    (_set_up_cycles if settings.engine == "CYCLES" else _set_up_eevee)(scene, settings)
    view_layer.use = True
    for name in _PASSES:
        setattr(view_layer, name, True)
    view_layer.pass_cryptomatte_depth = 6
    view_layer.samples = 0
    view_layer.material_override = None
    # Measured: with persistent data kept from an earlier render, a change of samples is ignored; hence off, then on.
    render.use_persistent_data = settings.engine == "CYCLES" and (waits or compat.persistent_data_in_window())


def _set_up_cycles(scene: Any, settings: RenderSettings) -> None:
    scene.render.engine = "CYCLES"
    cycles = scene.cycles
    for name, value in {
        "samples": settings.samples, "use_adaptive_sampling": False, "time_limit": 0.0, "seed": 0,
        "use_animated_seed": False, "use_denoising": settings.denoise,
        "max_bounces": settings.bounces + 1, "diffuse_bounces": settings.bounces, "glossy_bounces": settings.bounces,
        "transmission_bounces": max(settings.bounces, 4), "caustics_reflective": False, "caustics_refractive": False,
        "pixel_filter_type": "BLACKMAN_HARRIS", "filter_width": 1.5, "film_transparent_glass": False,
    }.items():  # fmt: skip
        if name in cycles.bl_rna.properties:
            setattr(cycles, name, value)
    if settings.denoise:
        for name, value in {
            "denoiser": "OPENIMAGEDENOISE", "denoising_input_passes": "RGB_ALBEDO_NORMAL",
            "denoising_prefilter": "FAST", "denoising_quality": "FAST",
        }.items():  # fmt: skip
            if name in cycles.bl_rna.properties:
                setattr(cycles, name, value)


def _set_up_eevee(scene: Any, settings: RenderSettings) -> None:
    scene.render.engine = compat.eevee_engine()
    scene.eevee.taa_render_samples = settings.samples
    scene.render.filter_size = 1.5
    if "use_raytracing" in scene.eevee.bl_rna.properties:
        scene.eevee.use_raytracing = False  # screen-space light differs from view to view


_LIGHT_SETTINGS = (
    "film_exposure", "sample_clamp_direct", "sample_clamp_indirect", "blur_glossy", "transparent_max_bounces",
    "volume_bounces", "use_fast_gi", "fast_gi_method", "ao_bounces_render", "use_light_tree",
)  # fmt: skip


def light_settings(scene: Any) -> dict[str, Any]:
    """What a capture leaves of the artist's render settings that the pictures depend on."""
    cycles = getattr(scene, "cycles", None)
    return {name: getattr(cycles, name, None) for name in _LIGHT_SETTINGS}


class CameraMan:
    """A camera of our own on the stage, put exactly where an interchange camera is."""

    def __init__(self, restore: Restore, stage: Stage) -> None:
        scene = stage.scene
        data = restore.new(bpy.data.cameras, "digidouble capture")
        item = restore.new(bpy.data.objects, "digidouble capture", data)
        scene.collection.objects.link(item)
        scene.camera = item
        self._find = finder(item)

    def place(self, camera: cameras.Camera) -> None:
        """Take the position, lens and shift of `camera`."""
        set_blender_camera(self._find(), camera)


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
    """Only the avatar is seen; all else still lights it, shades it and mirrors in it, but for doubles: they glow."""
    shown = set(parts)
    for item in scene.objects:
        if item.get("digidouble_splats") is not None:
            restore.set(item, "hide_render", True)
        elif item.visible_camera and item not in shown:
            restore.set(item, "visible_camera", False)


def apply_pose(restore: Restore, parts: list[Any], armature: Any | None, settings: PoseSettings) -> None:
    """Play the action, set shape keys on all parts together and turn bones; the frame is the stage's matter.

    Raises InputError if the avatar has no such action, expression or bone, or the expression does not go that far.
    """
    known: set[str] = set()
    if settings.action is not None:
        keys = [part.data.shape_keys for part in parts if part.data.shape_keys is not None]
        play_action(restore, [*([] if armature is None else [armature]), *keys], settings.action)
    for part in parts:
        blocks = part.data.shape_keys.key_blocks if part.data.shape_keys else ()
        known |= {block.name for block in blocks}
        asked = [block for block in blocks if block.name in settings.expression]
        if asked:
            stop_animation(restore, part.data.shape_keys)
        for block in asked:
            _check_slider(block, settings.expression[block.name])
            restore.set(block, "value", settings.expression[block.name])
    for name in settings.expression:
        if name not in known:
            raise errors.InputError(
                f"The avatar has no expression {name!r}.", f"It has {', '.join(sorted(known - {'Basis'})) or 'none'}."
            )
    if settings.bones and armature is not None:
        stop_animation(restore, armature)
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
