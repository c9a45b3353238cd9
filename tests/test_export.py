# SPDX-License-Identifier: Apache-2.0
"""`digidouble export`: every format by its name, what is thinned out and what is lost in words."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from backend import cli
from interchange.splats import SUFFIXES, read_splats, write_ply
from tests.interchange.clouds import differences, random_cloud


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_double_becomes_any_file_and_back(tmp_path: Path, capsys: pytest.CaptureFixture[str], suffix: str) -> None:
    cloud = random_cloud(80, 1, antialiased=True)
    (tmp_path / "double").mkdir()
    write_ply(tmp_path / "double/splats.ply", cloud)
    out = tmp_path / f"new/double{suffix.upper()}"  # a name's case does not matter; folders are made
    assert cli.main(["export", str(tmp_path / "double"), "--out", str(out)]) == 0
    said = capsys.readouterr().out
    degree = 0 if suffix == ".splat" else 1
    assert f"Wrote {out}: 80 splats, SH degree {degree}" in said
    assert ("cannot say" in said and "is lost" in said) == (suffix == ".splat")
    assert cli.main(["export", str(out), "--out", str(tmp_path / "back.ply")]) == 0
    assert differences(cloud, read_splats(tmp_path / "back.ply"))["means"] < 1e-3


def test_faint_and_broken_splats_are_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cloud = random_cloud(80, 2)
    cloud.means[:3] = np.nan
    write_ply(tmp_path / "s.ply", cloud)
    arguments = ["export", str(tmp_path / "s.ply"), "--out", str(tmp_path / "t.spz"), "--min-opacity", "0.5"]
    assert cli.main([*arguments, "--sh-degree", "1"]) == 0
    bright = int((cloud.opacities[3:] >= 0.5).sum())
    said = capsys.readouterr().out
    assert "3 splats with NaN or infinite numbers were left out." in said and f": {bright} splats, SH degree 1" in said
    back = read_splats(tmp_path / "t.spz")
    assert len(back) == bright and back.degree == 1
    assert cli.main([*arguments[:-1], "1.0"]) == 2
    assert "No splat of" in capsys.readouterr().err


def test_an_unknown_name_lists_the_known_ones(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_ply(tmp_path / "s.ply", random_cloud(3, 0))
    assert cli.main(["export", str(tmp_path / "s.ply"), "--out", str(tmp_path / "s.obj")]) == 2
    assert "Splats are written as .compressed.ply, .ply, .spz, .splat, .glb or .gltf." in capsys.readouterr().err
    assert not (tmp_path / "s.obj").exists()


def test_a_name_that_the_terminal_cannot_print_is_no_failure(tmp_path: Path) -> None:
    """As on Windows, where what goes into a file or a pipe has one code page."""
    write_ply(tmp_path / "頭.ply", random_cloud(5, 0))
    done = subprocess.run(
        [sys.executable, "-m", "backend.cli", "export", tmp_path / "頭.ply", "--out", tmp_path / "頭.spz"],
        env=os.environ | {"PYTHONIOENCODING": "cp1252"}, cwd=Path(cli.__file__).parents[1], capture_output=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert b"\\u982d.spz: 5 splats" in done.stdout
