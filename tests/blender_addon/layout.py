# SPDX-License-Identifier: GPL-3.0-or-later
"""A layout that writes down what a panel draws, since no window is there to draw in."""

from __future__ import annotations

from inspect import signature
from types import SimpleNamespace
from typing import Any

import attrs
import bpy


@attrs.define
class Layout:
    """Takes the calls of bpy.types.UILayout. Rows and boxes write into their parent's lists. labels: texts; buttons:
    (operator, text, given properties); props: (owner, name).
    """

    labels: list[str] = attrs.field(factory=list)
    buttons: list[tuple[str, str, Any]] = attrs.field(factory=list)
    props: list[tuple[Any, str]] = attrs.field(factory=list)
    alert: bool = False
    enabled: bool = True
    scale_y: float = 1.0
    use_property_split: bool = False
    use_property_decorate: bool = True

    def row(self, **_: Any) -> Layout:
        """Also column, box and split: the same lists."""
        return Layout(self.labels, self.buttons, self.props)

    column = box = split = row

    def label(self, *, text: str = "", icon: str = "NONE", **_: Any) -> None:
        """Icons must exist."""
        check_icon(icon)
        self.labels.append(text)

    def operator(self, idname: str, *, text: str | None = None, icon: str = "NONE", **_: Any) -> Any:
        """The operator must be registered, and have the properties that are set on it."""
        check_icon(icon)
        module, name = idname.split(".")
        kind = getattr(getattr(bpy.ops, module), name).get_rna_type()
        given = _Properties(kind)
        self.buttons.append((idname, kind.name if text is None else text, given))
        return given

    def prop(self, owner: Any, name: str, *, icon: str = "NONE", **_: Any) -> None:
        """The property must exist."""
        check_icon(icon)
        assert name in owner.bl_rna.properties, f"{owner} has no property {name}"
        self.props.append((owner, name))

    def template_list(self, kind: str, _: str, owner: Any, name: str, active: Any, index: str, **__: Any) -> None:
        """Draws each row through the registered UIList."""
        assert index in active.bl_rna.properties
        draw = getattr(bpy.types, kind).draw_item
        for number, item in enumerate(getattr(owner, name)):
            arguments = (SimpleNamespace(), bpy.context, self, owner, item, 0, active, index, number, 0)
            draw(*arguments[: len(signature(draw).parameters)])  # Blender allows to leave out the last two

    def menu(self, name: str, *, icon: str = "NONE", text: str | None = None, **_: Any) -> None:
        """The menu must be registered."""
        check_icon(icon)
        self.buttons.append((name, getattr(bpy.types, name).bl_label if text is None else text, None))

    def operator_menu_enum(self, idname: str, name: str, *, icon: str = "NONE", text: str | None = None) -> None:
        """The operator must have this choice."""
        setattr(self.operator(idname, text=text, icon=icon), name, "")

    def panel(self, _: str, **__: Any) -> tuple[Layout, Layout]:
        """Always open."""
        return self.row(), self.row()

    def template_icon(self, **_: Any) -> None:
        """A picture."""

    def separator(self, **_: Any) -> None:
        """Nothing to see."""

    def progress(self, *, factor: float, text: str = "", **_: Any) -> None:
        """0..1 with a text."""
        assert 0 <= factor <= 1
        self.labels.append(text)

    def texts(self) -> str:
        """All labels and button texts in one string."""
        return " ".join([*self.labels, *(text for _, text, _ in self.buttons)])


class _Properties:
    def __init__(self, kind: Any) -> None:
        object.__setattr__(self, "_kind", kind)

    def __setattr__(self, name: str, value: Any) -> None:
        assert name in self._kind.properties, f"{self._kind.identifier} has no property {name}"
        object.__setattr__(self, name, value)


def check_icon(icon: str) -> None:
    """Fails if this Blender has no such icon."""
    known = bpy.types.UILayout.bl_rna.functions["label"].parameters["icon"].enum_items
    assert icon in known, f"Blender {bpy.app.version_string} has no icon {icon}"


class _Context:
    """bpy.context in a sidebar of a 3D view."""

    def __init__(self, width: int) -> None:
        self.region = SimpleNamespace(width=width)
        views = [a for screen in bpy.data.screens for a in screen.areas if a.type == "VIEW_3D"]
        self.space_data = views[0].spaces.active if views else None

    def __getattr__(self, name: str) -> Any:
        return getattr(bpy.context, name)


class _Panel:
    """An instance as Blender makes it: it has a layout and the class's own functions."""

    def __init__(self, kind: Any, layout: Layout) -> None:
        self._kind, self.layout = kind, layout

    def __getattr__(self, name: str) -> Any:
        return getattr(self._kind, name).__get__(self)


def drawn(panel: str, width: int = 300) -> Layout:
    """What a registered panel (or menu) draws in a sidebar of `width` pixels; nothing where its poll says no."""
    layout, context, kind = Layout(), _Context(width), getattr(bpy.types, panel)
    if not hasattr(kind, "poll") or kind.poll(context):
        _Panel(kind, layout).draw(context)
    return layout
