# SPDX-License-Identifier: GPL-3.0-or-later
"""Every difference between Blender 4.2, 4.5, 5.0 and 5.2 that the add-on meets, and nowhere else.

Where a feature can be asked for, it is asked for; version numbers are compared only where it cannot.
"""

from __future__ import annotations

import os
from typing import Any

import bpy
import numpy as np
import numpy.typing as npt

MINIMUM = (4, 2, 0)

_PASS_NAMES = {  # our word -> Blender's, newest first (5.0 wrote them out)
    "combined": ("Combined",),
    "albedo": ("Diffuse Color", "DiffCol"),
    "diffuse_direct": ("Diffuse Direct", "DiffDir"),
    "diffuse_indirect": ("Diffuse Indirect", "DiffInd"),
    "depth": ("Depth",),
    "normal": ("Normal",),
}
_REFUSALS = ("Writing to ID classes in this context is not allowed", "modify blend data in this state")


def changes_refused(error: BaseException) -> bool:
    """Whether Blender has refused a change because it is drawing, or believes that it is. Trying again soon helps.

    Its mark for that is one for all threads. A panel that is drawn while a render's thread asks an add-on for the items
    of a property can leave it set until Blender next calls Python; seen in a window of 4.3 once in seven long runs.
    """
    return isinstance(error, AttributeError | RuntimeError) and any(words in str(error) for words in _REFUSALS)


def eevee_engine() -> str:
    """The identifier of EEVEE: 5.0 dropped the suffix that 4.2 had brought."""
    return "BLENDER_EEVEE" if bpy.app.version >= (5, 0, 0) else "BLENDER_EEVEE_NEXT"


def beside_the_file() -> set[str]:
    """Options of a path property that may begin with "//" (beside the .blend file): 4.5 warns unless it was told."""
    return {"PATH_SUPPORTS_BLEND_RELATIVE"} if bpy.app.version >= (4, 5, 0) else set()


def find_pass(grabbed: dict[str, npt.NDArray[np.float32]], name: str) -> npt.NDArray[np.float32]:
    """The pass that we call `name` among those that Blender delivered. KeyError names both if it is not there."""
    for candidate in _PASS_NAMES[name]:
        if candidate in grabbed:
            return grabbed[candidate]
    raise KeyError(f"no pass {' or '.join(_PASS_NAMES[name])} among {', '.join(grabbed)}")


def has_pass(grabbed: dict[str, npt.NDArray[np.float32]], name: str) -> bool:
    """Whether Blender delivered the pass that we call `name`."""
    return any(candidate in grabbed for candidate in _PASS_NAMES[name])


def persistent_data_in_window() -> bool:
    """Whether renders beside the window may keep their data: 4.3 crashed at the second one (GLXBadContext), 5.2 not."""
    return bpy.app.version >= (5, 0, 0)


def eevee_beside_window() -> bool:
    """Whether EEVEE can render in a thread beside the window: 4.3 hung at the first view of a capture (GLXBadContext on
    software OpenGL), 5.2 did not."""
    return bpy.app.version >= (5, 0, 0)


def hide_cycles_display(hide: bool) -> bool:
    """Before 5.0, let Cycles render without drawing what it renders; whether that was done.

    Measured on 4.3 in a window: one render after another crashes in every second capture (GLXBadContext), as each
    makes a context for drawing in its own thread; without the drawing in none. 5.2 does not. The price: ESC ends a view
    only after its present batch of samples. Not done while a 3D view shows a Cycles render, which would stand still.
    """
    if bpy.app.version >= (5, 0, 0) or bpy.app.background or (hide and _cycles_is_on_screen()):
        return False
    try:
        import _cycles
        import cycles
    except ImportError:
        return False
    user = os.path.dirname(os.path.abspath(bpy.utils.user_resource("CONFIG", path="")))
    _cycles.init(os.path.dirname(cycles.__file__), user, hide)  # as the bundled add-on does when it is turned on
    return True


def _cycles_is_on_screen() -> bool:
    """Whether a 3D view shows a scene rendered by Cycles."""
    spaces = [
        (window.scene, area.spaces.active)
        for window in bpy.context.window_manager.windows
        for area in window.screen.areas
        if area.type == "VIEW_3D"
    ]
    return any(scene.render.engine == "CYCLES" and space.shading.type == "RENDERED" for scene, space in spaces)


def has_denoiser() -> bool:
    """Whether this Blender was built with OpenImageDenoise; Debian's are not."""
    try:
        import _cycles
    except ImportError:
        return False
    return bool(getattr(_cycles, "with_openimagedenoise", True))


def assign_action(block: Any, action: Any) -> None:
    """Put an action on a data-block that has animation data; from 4.4 on with a slot that suits it."""
    data = block.animation_data
    data.action = action
    slot = _suitable_slot(action, block)
    if slot is not None and data.action_slot != slot:
        data.action_slot = slot


def action_suits(action: Any, block: Any) -> bool:
    """Whether an action holds something for this kind of data-block."""
    if hasattr(action, "slots"):
        return _suitable_slot(action, block) is not None
    return action.id_root in ("", block.id_type)


def _suitable_slot(action: Any, block: Any) -> Any | None:
    """The action's slot of the block's name, or the first of its kind; None before 4.4 or if there is none."""
    slots = [s for s in getattr(action, "slots", ()) if s.target_id_type in ("UNSPECIFIED", block.id_type)]
    named = [s for s in slots if s.name_display == block.name]
    return next(iter(named or slots), None)


def animated_paths(data: Any) -> list[str]:
    """Data paths of everything that animation data sets: by its action, its NLA strips and its drivers."""
    actions = [data.action] + [strip.action for track in data.nla_tracks for strip in track.strips]
    paths = [driver.data_path for driver in data.drivers]
    for action in actions:
        if action is not None:
            paths += action_paths(action)
    return paths


def action_paths(action: Any) -> list[str]:
    """Data paths of all curves of an action, of all its slots; 5.0 has them in channel bags alone."""
    if hasattr(action, "layers"):
        strips = [strip for layer in action.layers for strip in layer.strips]
        bags = [bag for strip in strips for bag in getattr(strip, "channelbags", ())]
        if bags or not hasattr(action, "fcurves"):
            return [curve.data_path for bag in bags for curve in bag.fcurves]
    return [curve.data_path for curve in action.fcurves]


def action_slot_name(data: Any) -> str | None:
    """The identifier of the slot that animation data plays, None before 4.4 or without one."""
    slot = getattr(data, "action_slot", None)
    return None if slot is None else slot.identifier


def choose_slot(data: Any, identifier: str | None) -> None:
    """Give animation data its slot back, by `action_slot_name`."""
    if data.action is not None and hasattr(data, "action_slot"):
        data.action_slot = None if identifier is None else data.action.slots.get(identifier)


def use_nodes(block: Any) -> Any:
    """Give a material or world its node tree, and return it; from 5.0 on it always has one, and asking warns."""
    if bpy.app.version < (5, 0, 0):
        block.use_nodes = True
    return block.node_tree


def use_hashed_transparency(material: Any) -> None:
    """Have EEVEE draw half-transparent surfaces in any order, by chance."""
    if hasattr(material, "surface_render_method"):
        material.surface_render_method = "DITHERED"
    if hasattr(material, "use_transparent_shadow"):
        material.use_transparent_shadow = True


def use_multilayer_exr(image_settings: Any) -> None:
    """Choose multilayer EXR as output; 5.0 wants the media type first, else it refuses the format."""
    if "media_type" in image_settings.bl_rna.properties:
        image_settings.media_type = "MULTI_LAYER_IMAGE"
    image_settings.file_format = "OPEN_EXR_MULTILAYER"


def add_shape_key(item: Any, name: str, value: float = 0.0) -> Any:
    """A new shape key with this value: 5.0 makes it with 1.0, older ones with 0.0."""
    key = item.shape_key_add(name=name, from_mix=False)
    key.value = value
    return key


def new_point_cloud(name: str, count: int) -> Any:
    """A point cloud of `count` points at the origin with a `position` attribute.

    `PointCloud.resize` came with 5.2; before, the only way to points is to apply a Points node.
    """
    if "resize" in bpy.types.PointCloud.bl_rna.functions:
        cloud = bpy.data.pointclouds.new(name)
        cloud.resize(count)
        return cloud
    return _point_cloud_by_nodes(name, count)


def has_native_splats() -> bool:
    """True from 5.3 on, where a point cloud can be of the type "3D Gaussian Splats"."""
    return bpy.app.version >= (5, 3, 0)


def show_native_splats(data: Any, native: bool) -> None:
    """Have Blender itself draw a point cloud as splats, or as points (5.3 on; by the word "splat" in the type's name).

    Raises RuntimeError if this Blender has splats but not where they are looked for.
    """
    kind = data.bl_rna.properties.get("type")
    names = [item.identifier for item in kind.enum_items] if kind is not None and kind.type == "ENUM" else []
    splats = next((name for name in names if "SPLAT" in name.upper()), None)
    if splats is None:
        raise RuntimeError("this Blender's point clouds have no type for splats")
    data.type = splats if native else next(name for name in names if name != splats)


def modifier_input(modifier: Any, name: str) -> Any:
    """The value of a geometry nodes modifier's input."""
    identifier = _input_id(modifier, name)
    if hasattr(modifier, "properties"):  # 5.2: typed properties; before, custom properties of the modifier
        return getattr(modifier.properties.inputs, identifier).value
    return modifier[identifier]


def set_modifier_input(modifier: Any, name: str, value: Any) -> None:
    """Set an input of a geometry nodes modifier, and have it evaluated again (which the assignment alone does not)."""
    identifier = _input_id(modifier, name)
    if hasattr(modifier, "properties"):
        getattr(modifier.properties.inputs, identifier).value = value
    else:
        modifier[identifier] = value
    modifier.id_data.update_tag()


def modifier_input_path(modifier: Any, name: str) -> str:
    """The path from the object to an input's value, for a driver."""
    identifier = _input_id(modifier, name)
    if hasattr(modifier, "properties"):
        return f'modifiers["{modifier.name}"].properties.inputs.{identifier}.value'
    return f'modifiers["{modifier.name}"]["{identifier}"]'


def _input_id(modifier: Any, name: str) -> str:
    """The identifier of a node group's input. KeyError if it has none of this name."""
    for item in modifier.node_group.interface.items_tree:
        if item.item_type == "SOCKET" and item.in_out == "INPUT" and item.name == name:
            return str(item.identifier)
    raise KeyError(f"the node group {modifier.node_group.name!r} has no input {name!r}")


def _point_cloud_by_nodes(name: str, count: int) -> Any:
    cloud = bpy.data.pointclouds.new(name)
    item = bpy.data.objects.new(name, cloud)
    bpy.context.scene.collection.objects.link(item)
    tree = bpy.data.node_groups.new("digidouble points", "GeometryNodeTree")
    try:
        tree.interface.new_socket("Geometry", in_out="OUTPUT", socket_type="NodeSocketGeometry")
        points, output = tree.nodes.new("GeometryNodePoints"), tree.nodes.new("NodeGroupOutput")
        points.inputs["Count"].default_value = count
        tree.links.new(points.outputs[0], output.inputs[0])
        modifier = item.modifiers.new("points", "NODES")
        modifier.node_group = tree
        with bpy.context.temp_override(object=item, active_object=item, selected_objects=[item]):
            bpy.ops.object.modifier_apply(modifier=modifier.name)
        result = item.data
    finally:
        bpy.data.objects.remove(item)
        bpy.data.node_groups.remove(tree)
    if result is not cloud and cloud.users == 0:
        bpy.data.pointclouds.remove(cloud)
    if "radius" in result.attributes:
        result.attributes.remove(result.attributes["radius"])
    return result
