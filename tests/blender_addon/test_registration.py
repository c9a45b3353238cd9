# SPDX-License-Identifier: GPL-3.0-or-later
"""The extension comes and goes without traces."""

from __future__ import annotations

import sys
from typing import Any

import bpy
import pytest

import blender_addon
from blender_addon import registration


def _ours() -> set[str]:
    return {name for name in dir(bpy.types) if name.startswith("DIGIDOUBLE_") or name.startswith("Digidouble")}


def test_everything_is_registered_and_taken_back(empty: Any) -> None:
    before = _ours()
    blender_addon.register()
    try:
        assert _ours() > before
        assert bpy.context.scene.digidouble is not None
        assert bpy.context.window_manager.digidouble.activity.running is False
        assert hasattr(bpy.ops.digidouble, "stop")
    finally:
        blender_addon.unregister()
    assert _ours() == before
    assert not hasattr(bpy.types.Scene, "digidouble")


def test_a_missing_module_becomes_a_panel(monkeypatch: pytest.MonkeyPatch, empty: Any) -> None:
    def fail() -> list:
        raise ModuleNotFoundError("No module named 'attrs'", name="attrs")

    monkeypatch.setattr(registration, "_modules", fail)
    blender_addon.register()
    try:
        assert "DIGIDOUBLE_PT_missing" in _ours()
    finally:
        blender_addon.unregister()
    assert "DIGIDOUBLE_PT_missing" not in _ours()


def test_operators_and_panels_describe_themselves() -> None:
    for room in ("operators", "panels"):
        for module in registration._rooms_modules(room):
            for name, item in vars(module).items():
                if name.startswith("DIGIDOUBLE_") and isinstance(item, type) and "_UL_" not in name:
                    assert item.bl_label, name
                    assert item.__doc__ or getattr(item, "bl_description", ""), f"{name} has no tooltip"
                    if "_OT_" in name:
                        assert item.bl_idname.startswith("digidouble."), name
    assert "torch" not in sys.modules
