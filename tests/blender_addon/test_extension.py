# SPDX-License-Identifier: GPL-3.0-or-later
"""The extension as its zip has it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import bpy

from tests.blender_addon.conftest import another_blender

ROOT = Path(__file__).resolve().parents[2]


def test_extension_is_valid_and_works_from_its_own_package(tmp_path: Path) -> None:
    """Staged as the zip has it, with interchange inside, Blender's own tool builds it and the operator runs."""
    folder = tmp_path / "digidouble"
    shutil.copytree(ROOT / "blender_addon", folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "interchange", folder / "interchange", ignore=shutil.ignore_patterns("__pycache__"))
    tool = next(path for place in bpy.utils.script_paths() for path in Path(place).rglob("bl_pkg/cli/blender_ext.py"))
    for arguments in (["validate", folder], ["build", "--source-dir", folder, "--output-dir", tmp_path]):
        done = subprocess.run([sys.executable, str(tool), *map(str, arguments)], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    script = """
import os, sys, bpy, numpy as np
sys.path.insert(0, os.getcwd())
import digidouble
from digidouble.interchange.splats import SplatCloud, write_splats
digidouble.register()
assert "interchange" not in sys.modules
rng = np.random.default_rng(0)
cloud = SplatCloud(*(rng.normal(size=s) for s in ((5, 3), (5, 3), (5, 4), (5,), (5, 1, 3))))
for suffix in (".ply", ".compressed.ply", ".spz", ".splat", ".glb", ".gltf"):
    write_splats("s" + suffix, cloud)
    assert bpy.ops.digidouble.import_splats(filepath="s" + suffix) == {"FINISHED"}
    assert bpy.context.object.type == "POINTCLOUD" and len(bpy.context.object.data.points) == 5
try:
    bpy.ops.digidouble.import_splats(filepath="none.ply")
except RuntimeError as error:
    assert "missing" in str(error)
else:
    raise AssertionError
digidouble.unregister()
assert not hasattr(bpy.types, "DIGIDOUBLE_OT_import_splats")
print("all is well", flush=True)
os._exit(0)  # see inside_blender.py
"""
    (tmp_path / "script.py").write_text(script)
    done = subprocess.run([*another_blender(), "script.py"], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0 and "all is well" in done.stdout, done.stdout + done.stderr
