# SPDX-License-Identifier: Apache-2.0
"""Our splat files read by PlayCanvas' splat-transform (MIT), and its files read by us: every degree, both ways.

It holds the SPZ reference's own WebAssembly build. Install it anywhere with `npm install @playcanvas/splat-transform`
and name that folder in DIGIDOUBLE_SPLAT_TRANSFORM; without it these tests are skipped.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from interchange.splats import SplatCloud, read_splats, write_splats
from interchange.splats.axes import moved
from tests.interchange.clouds import differences, random_cloud, written

_PACKAGE = "node_modules/@playcanvas/splat-transform"


def _folder() -> Path | None:
    """Where the package was installed: the named folder, or a node_modules in or above the repository."""
    named = os.environ.get("DIGIDOUBLE_SPLAT_TRANSFORM")
    for folder in [Path(named)] if named else Path(__file__).resolve().parents:
        if (folder / _PACKAGE / "bin/cli.mjs").is_file() and shutil.which("node"):
            return folder
    return None


FOLDER = _folder()
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(FOLDER is None, reason="splat-transform or node is missing (DIGIDOUBLE_SPLAT_TRANSFORM)"),
]


def _node(*arguments: object) -> str:
    done = subprocess.run(["node", *map(str, arguments)], capture_output=True, text=True, cwd=FOLDER, timeout=120)
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


def _convert(source: Path, target: Path, *options: str) -> Path:
    assert FOLDER is not None
    _node(FOLDER / _PACKAGE / "bin/cli.mjs", "-w", "-q", source, target, *options)
    return target


def assert_same(cloud: SplatCloud, other: SplatCloud, **looser: float) -> None:
    """Equal but for rounding in the last bits: two readers of the same bytes."""
    limits = {"means": 0.0, "log_scales": 1e-6, "shape": 1e-6, "opacities": 2e-6, "base": 0.0, "higher": 0.0} | looser
    for name, difference in differences(cloud, other).items():
        assert difference <= limits[name], f"{name}: {difference}"


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
@pytest.mark.parametrize("suffix", [".ply", ".compressed.ply", ".spz", ".splat"])
def test_it_reads_ours_as_we_do(tmp_path: Path, suffix: str, degree: int) -> None:
    ours = written(tmp_path / f"ours{suffix}", random_cloud(700, degree))
    theirs = read_splats(_convert(ours, tmp_path / "theirs.ply"))
    back = read_splats(ours)
    assert theirs.degree == back.degree
    # In .splat it takes byte / 255 * 2 - 1 for a quaternion's numbers, antimatter15 and we (byte - 128) / 128.
    assert_same(back, theirs, shape=0.03 if suffix == ".splat" else 1e-6)


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
@pytest.mark.parametrize("suffix", [".ply", ".compressed.ply", ".spz"])
def test_we_read_its_files_as_it_does(tmp_path: Path, suffix: str, degree: int) -> None:
    source = written(tmp_path / "source.ply", random_cloud(700, degree))
    theirs = _convert(source, tmp_path / f"theirs{suffix}", *(("--spz-version", "3") if suffix == ".spz" else ()))
    assert_same(read_splats(_convert(theirs, tmp_path / "again.ply")), read_splats(theirs))


@pytest.mark.parametrize("degree", [0, 3])
def test_we_read_its_glb(tmp_path: Path, degree: int) -> None:
    """It turns a PLY by half a turn about z, so that its front looks to -z; ours looks to +z, as glTF has it."""
    cloud = random_cloud(700, degree)
    theirs = read_splats(_convert(written(tmp_path / "source.ply", cloud), tmp_path / "theirs.glb"))
    assert_same(cloud, moved(theirs, np.diag([-1.0, 1, -1])))


def test_its_turn_of_the_colour_bands_is_ours(tmp_path: Path) -> None:
    """Any rotation: means, shapes and SH bands, by its own code for them."""
    cloud = random_cloud(300, 3)
    source = written(tmp_path / "source.ply", cloud)
    _convert(source, tmp_path / "turned.ply", "-r", "20,30,40")
    turned = read_splats(tmp_path / "turned.ply")
    rotation = np.linalg.lstsq(cloud.means.astype(np.float64), turned.means, rcond=None)[0].T
    assert np.abs(rotation - np.eye(3)).max() > 0.1
    assert_same(turned, moved(cloud, rotation), means=1e-6, shape=1e-5, base=1e-6, higher=3e-6)


def test_the_reference_build_sees_our_antialiasing_and_gives_version_2(tmp_path: Path) -> None:
    cloud = random_cloud(300, 2, antialiased=True)
    write_splats(tmp_path / "ours.spz", cloud)
    assert FOLDER is not None
    script = f"""
import create from {json.dumps(str(FOLDER / "node_modules/@adobe/spz/dist/spz.js"))};
import fs from 'fs';
const spz = await create({{print: () => {{}}}});
const axes = spz.CoordinateSystem.RDF;
const ours = new Uint8Array(fs.readFileSync({json.dumps(str(tmp_path / "ours.spz"))}));
const cloud = spz.loadSpzFromBuffer(ours, {{to: axes}});
const old = spz.saveSpzToBuffer(cloud, {{version: 2, from: axes, sh1Bits: 5, shRestBits: 4}});
fs.writeFileSync({json.dumps(str(tmp_path / "old.spz"))}, old);
console.log('found', JSON.stringify([cloud.numPoints, cloud.shDegree, cloud.antialiased]));
"""
    (tmp_path / "ask.mjs").write_text(script)
    assert "found [300,2,true]" in _node(tmp_path / "ask.mjs")
    old = read_splats(tmp_path / "old.spz")
    assert old.antialiased
    assert_same(read_splats(tmp_path / "ours.spz"), old, means=1.3e-4, shape=0.2, higher=0.07)
