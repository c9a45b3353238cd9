# SPDX-License-Identifier: GPL-3.0-or-later
"""What Blender gets to know of the extension, and in which order; taken back in reverse.

`properties` first, since panels and operators draw them. Every module in `operators/` and `panels/` whose name does not
begin with an underscore is registered: one operator a file, one panel a file. A Python module that is missing (a zip
for another platform, say) leaves a panel that says so instead of a traceback.
"""

from __future__ import annotations

import atexit
import importlib
import pkgutil
from typing import Any

import bpy

_registered: list[Any] = []  # Blender calls unregister() without arguments, so somebody has to remember


def register() -> None:
    """Register everything, or the panel that tells which module is missing."""
    try:
        modules = _modules()
    except ImportError as error:
        modules = [_MissingModule(error.name or str(error))]
    for module in modules:
        module.register()
        _registered.append(module)
    if getattr(bpy.app, "module", False):  # Blender does so itself before it ends; the bpy module would hang or crash
        atexit.register(unregister)


def unregister() -> None:
    """Take everything back."""
    atexit.unregister(unregister)
    while _registered:
        _registered.pop().unregister()


def _modules() -> list[Any]:
    """Everything with a register() and an unregister(), in order."""
    from . import preferences, properties
    from .jobs import inbox

    return [preferences, properties, *_rooms_modules("operators"), *_rooms_modules("panels"), inbox]


def _rooms_modules(room: str) -> list[Any]:
    """All public modules of a package, by name."""
    package = importlib.import_module(f".{room}", __package__)
    names = sorted(item.name for item in pkgutil.iter_modules(package.__path__) if not item.name.startswith("_"))
    return [importlib.import_module(f".{name}", package.__name__) for name in names]


class _MissingModule:
    """Stands for all modules when one of their imports is not there."""

    def __init__(self, name: str) -> None:
        def draw(panel: Any, _: Any) -> None:
            column = panel.layout.column(align=True)
            column.alert = True
            column.label(text=f"The Python module {name} is missing.", icon="ERROR")
            column.label(text="Install the extension's zip again:")
            column.label(text="Preferences > Get Extensions > Install from Disk.")

        members = {
            "bl_idname": "DIGIDOUBLE_PT_missing", "bl_label": "Digidouble", "bl_space_type": "VIEW_3D",
            "bl_region_type": "UI", "bl_category": "Digidouble", "draw": draw,
        }  # fmt: skip
        self._panel = type("DIGIDOUBLE_PT_missing", (bpy.types.Panel,), members)

    def register(self) -> None:
        bpy.utils.register_class(self._panel)

    def unregister(self) -> None:
        bpy.utils.unregister_class(self._panel)
