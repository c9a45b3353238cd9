# SPDX-License-Identifier: Apache-2.0
"""Build the Blender extension as one zip for all platforms, check it with Blender's own tool, and install it in the
Blender on PATH if there is one.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from backend.blender_process import ROOT, blender_python
from backend.terminal import Terminal
from interchange.errors import InputError

# Blender 4.2 to 5.0 carry Python 3.11 (official builds), newer ones 3.13 and up take the wheels of the stable ABI.
PLATFORMS = ("manylinux_2_28_x86_64", "win_amd64", "macosx_11_0_arm64", "macosx_10_15_universal2")
BINARY_PACKAGES = ("pyzmq",)
PURE_PACKAGES = ("attrs", "cattrs", "typing_extensions")
PYTHONS = ("py311", "py312", "py313", "py314", "py315")
LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.pyc", "wheels")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this command."""
    parser.add_argument(
        "--out", type=Path, default=ROOT / "dist", metavar="DIR", help="where the zip goes (default: dist/)"
    )
    parser.add_argument("--no-install", action="store_true", help="only build, even where a Blender is found")


def run(options: argparse.Namespace, terminal: Terminal) -> int:
    """Stage, build, validate, install."""
    options.out.mkdir(parents=True, exist_ok=True)
    wheels = fetch_wheels(options.out / "wheels")
    wheels.append(write_marker_wheel(options.out / "wheels"))
    with tempfile.TemporaryDirectory() as folder:
        stage(Path(folder) / "digidouble", wheels)
        extension_tool("build", "--source-dir", Path(folder) / "digidouble", "--output-dir", options.out)
    package = max(options.out.glob("*.zip"), key=lambda p: p.stat().st_mtime)
    extension_tool("validate", package)
    terminal.say(f"Built {package} ({package.stat().st_size / 1e6:.1f} MB, {len(wheels)} wheels)")
    blender = shutil.which("blender")
    if blender is None or options.no_install:
        terminal.say(
            "To install it: in Blender, Preferences > Get Extensions > Install from Disk, and choose that file."
        )
        return 0
    command = [blender, "--command", "extension", "install-file", "--repo", "user_default", "--enable", package]
    if subprocess.run(command).returncode:
        raise InputError(
            f"{blender} did not take the extension.", "Install the zip by hand: Preferences > Get Extensions."
        )
    terminal.say(f"Installed in {blender}")
    return 0


def pinned(package: str) -> str:
    """`name==version`, as requirements/blender.txt has it."""
    lines = (ROOT / "requirements" / "blender.txt").read_text().splitlines()
    return next(line for line in lines if line.split("==")[0].lower() == package)


def fetch_wheels(folder: Path) -> list[Path]:
    """Wheels for every platform and Python that supported Blenders use; kept in `folder` between runs."""
    folder.mkdir(parents=True, exist_ok=True)
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    pip += ["--only-binary=:all:", "--dest", str(folder)]
    jobs = [[*pip, pinned(name)] for name in PURE_PACKAGES]
    for name in BINARY_PACKAGES:
        for platform in PLATFORMS:
            for python, abi in (("3.11", "cp311"), ("3.12", "abi3")):
                jobs.append([*pip, "--platform", platform, "--python-version", python, "--abi", abi, pinned(name)])
    for job in jobs:
        result = subprocess.run(job, capture_output=True, text=True)
        if result.returncode and "No matching distribution" not in result.stderr:
            raise InputError(f"The wheel {job[-1]} could not be fetched.", "Is the network there?")
    wheels = sorted(path for path in folder.glob("*.whl") if not path.name.startswith("digidouble_"))
    for name in BINARY_PACKAGES + PURE_PACKAGES:
        if not any(w.name.lower().startswith(name) for w in wheels):
            raise InputError(f"There is no wheel of {pinned(name)}.", "Is the network there?")
    return wheels


def write_marker_wheel(folder: Path) -> Path:
    """A wheel without code whose name lists every Python that the extension runs on.

    Blender from 5.1 on refuses an extension if none of its wheels names the running Python, and a wheel of the stable
    ABI counts for nothing beside one for a certain Python (measured on 4.3.2 with Python 3.13 and 5.2.2 with 3.14).
    """
    name, version = "digidouble_pythons", "1"
    path = folder / f"{name}-{version}-{'.'.join(PYTHONS)}-none-any.whl"
    info = f"{name}-{version}.dist-info"
    tags = "".join(f"Tag: {python}-none-any\n" for python in PYTHONS)
    files = {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nSummary: Names Pythons\n",
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nGenerator: digidouble\nRoot-Is-Purelib: true\n{tags}",
        f"{name}.py": '"""Only names the Pythons that Digidouble runs on."""\n',
    }
    record = "".join(f"{file},,\n" for file in (*files, f"{info}/RECORD"))
    with zipfile.ZipFile(path, "w") as wheel:
        for file, text in (files | {f"{info}/RECORD": record}).items():
            wheel.writestr(zipfile.ZipInfo(file), text)  # ZipInfo's fixed date: the same zip each time
    return path


def stage(folder: Path, wheels: list[Path]) -> None:
    """The extension's folder as Blender wants it: the add-on, a copy of interchange inside, wheels in the manifest."""
    shutil.copytree(ROOT / "blender_addon", folder, ignore=LEFT_OUT)
    shutil.copytree(ROOT / "interchange", folder / "interchange", ignore=LEFT_OUT)
    (folder / "wheels").mkdir()
    for wheel in wheels:
        shutil.copy(wheel, folder / "wheels" / wheel.name)
    manifest = folder / "blender_manifest.toml"
    lines = [line for line in manifest.read_text().splitlines() if not line.startswith("wheels")]
    first_table = next((i for i, line in enumerate(lines) if line.startswith("[")), len(lines))
    listed = ", ".join(f'"./wheels/{wheel.name}"' for wheel in wheels)
    lines.insert(first_table, f"wheels = [{listed}]")
    manifest.write_text("\n".join(lines) + "\n")


def extension_tool(*arguments: str | Path) -> None:
    """Run Blender's own extension tool, which comes with its module. Raises InputError with its complaint."""
    python = blender_python()
    found = sorted(python.parent.parent.rglob("bl_pkg/cli/blender_ext.py"))
    if not found:
        raise InputError("Blender's extension tool is not in its module.", "Run: python3 install.py install")
    result = subprocess.run([str(a) for a in (python, found[0], *arguments)], capture_output=True, text=True)
    if result.returncode:
        complaint = (result.stderr or result.stdout).strip().splitlines()[-1:]
        raise InputError(f"Blender's extension tool refuses the extension: {' '.join(complaint)}")
