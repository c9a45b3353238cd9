# SPDX-License-Identifier: Apache-2.0
"""The extension's zip, built, checked and installed by Blender's own tool, as an artist would."""

from __future__ import annotations

import argparse
import io
import os
import subprocess
import zipfile
from pathlib import Path

import pytest

from backend.blender_process import blender_python
from backend.commands import addon
from backend.terminal import Terminal
from interchange.errors import InputError

INSTALL = """
import sys
import bpy

bpy.ops.extensions.package_install_files(filepath=sys.argv[1], repo="user_default", enable_on_install=True)
import zmq

print("INSTALLED", hasattr(bpy.types.Scene, "digidouble"), hasattr(bpy.ops.digidouble, "import_splats"))
print("ZMQ", zmq.__file__)
from bl_ext.user_default.digidouble import api

print("API", api.avatars())
bpy.ops.preferences.addon_disable(module="bl_ext.user_default.digidouble")
print("LEFT", [name for name in dir(bpy.types) if name.startswith("DIGIDOUBLE_")])
"""


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The zip; it needs Blender's environment and the network, as the command does."""
    try:
        blender_python()
    except InputError as error:
        pytest.skip(str(error))
    out = tmp_path_factory.mktemp("dist")
    parser = argparse.ArgumentParser()
    addon.add_arguments(parser)
    try:
        addon.run(parser.parse_args(["--out", str(out), "--no-install"]), Terminal(io.StringIO()))
    except InputError as error:
        if "fetched" not in str(error):
            raise
        pytest.skip(str(error))
    return next(out.glob("*.zip"))


def test_wheels_for_every_platform_and_python(package: Path) -> None:
    with zipfile.ZipFile(package) as archive:
        names = archive.namelist()
        manifest = archive.read("blender_manifest.toml").decode()
    for platform in ("win_amd64", "manylinux", "macosx"):
        for abi in ("cp311-cp311", "cp312-abi3"):
            found = [n for n in names if n.startswith("wheels/pyzmq") and platform in n and abi in n]
            assert found and f'"./{found[0]}"' in manifest, (platform, abi)
    assert "interchange/client.py" in names and "api.py" in names
    assert not [n for n in names if n.endswith(".pyc") or "tests" in n or Path(n).name.startswith("test_")]


def test_the_marker_names_every_python(package: Path) -> None:
    """Blender 5.1 and newer refuse the zip without it: see write_marker_wheel."""
    with zipfile.ZipFile(package) as archive:
        marker = next(n for n in archive.namelist() if n.startswith("wheels/digidouble_pythons"))
    assert all(python in marker for python in ("py311", "py313", "py314"))


def test_blender_installs_and_enables_it(package: Path, tmp_path: Path) -> None:
    environment = os.environ | {"BLENDER_USER_RESOURCES": str(tmp_path), "PYTHONPATH": ""}
    command = [str(blender_python()), "-c", INSTALL, str(package)]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "INSTALLED True True" in done.stdout, done.stdout + done.stderr
    assert "API []" in done.stdout
    assert "LEFT []" in done.stdout
