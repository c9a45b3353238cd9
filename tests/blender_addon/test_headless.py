# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line as a subprocess: progress lines, exit codes, going on after a kill."""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import bpy
import numpy as np
import pytest

from interchange.capture import Capture
from interchange.png import read_png
from tests.blender_addon.standin import build_standin

pytestmark = pytest.mark.skipif(bool(bpy.app.binary_path), reason="the command line is for a Python with bpy")
ROOT = Path(__file__).resolve().parents[2]
QUICK = ["--train", "3", "--held-out", "1", "--size", "32", "--samples", "1"]


def command(*arguments: Any) -> list[str]:
    return [sys.executable, "-m", "blender_addon.headless", *map(str, arguments)]


def run(*arguments: Any) -> subprocess.CompletedProcess:
    return subprocess.run(command(*arguments), capture_output=True, text=True, cwd=ROOT, timeout=120)


@pytest.fixture(scope="module")
def blend(tmp_path_factory: pytest.TempPathFactory) -> Path:
    bpy.ops.wm.read_factory_settings(use_empty=True)
    build_standin("A")
    path = tmp_path_factory.mktemp("blend") / "a.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(path), copy=True)
    return path


def test_capture_killed_and_resumed_then_truth_and_import(blend: Path, tmp_path: Path) -> None:
    before = hashlib.sha256(blend.read_bytes()).hexdigest()
    out = tmp_path / "capture"
    arguments = ("capture", "--blend", blend, "--out", out, *QUICK, "--expression", "smile=.3", "--json-progress")
    with subprocess.Popen(command(*arguments), stdout=subprocess.PIPE, text=True, cwd=ROOT) as child:
        for line in child.stdout:
            if json.loads(line)["fraction"] >= 0.5:
                child.send_signal(signal.SIGKILL)
                break
    kept = {p.name: p.stat().st_mtime_ns for p in (out / "views").glob("*.exr")}
    assert len(kept) >= 2 and not (out / "capture.json").exists()
    done = run(*arguments)
    assert done.returncode == 0, done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]  # nothing but JSON lines
    assert events[1]["fraction"] >= 0.5 and events[-1]["fraction"] == 1 and set(events[0]) >= {"stage", "message"}
    assert all((out / "views" / name).stat().st_mtime_ns == when for name, when in kept.items())
    captured = Capture.load(out)
    assert captured.poses[0].shape_keys == pytest.approx({"smile": 0.3})

    assert run("truth", "--capture", out, "--blend", blend, "--skin-of", blend, "--out", tmp_path / "t").returncode == 0
    view = captured.held_out_views[0]
    same = Capture.load(tmp_path / "t").load_view(view)
    np.testing.assert_allclose(same.rgb, captured.load_view(view).rgb, atol=2e-3)  # its own skin: the same picture
    assert hashlib.sha256(blend.read_bytes()).hexdigest() == before


def test_rigs_and_poses_by_option(blend: Path, tmp_path: Path) -> None:
    out = tmp_path / "c"
    options = ["--rig", "turntable", "--frames", "1:3:2", "--train", "3", "--held-out", "1", "--size", "32"]
    done = run("capture", "--blend", blend, "--out", out, *options, "--height", "48", "--samples", "1")
    assert done.returncode == 0, done.stderr
    captured = Capture.load(out)
    assert [p.name for p in captured.poses] == ["frame_0001", "frame_0003"] and len(captured.views) == 8
    assert all(abs(v.camera.forward[2]) < 1e-9 and v.camera.height == 48 for v in captured.views)  # all level


def test_two_avatars_share_cameras(blend: Path, tmp_path: Path) -> None:
    """The second avatar stands elsewhere; its face is where the first one's is in every picture."""
    bpy.ops.wm.open_mainfile(filepath=str(blend))
    for item in [o for o in bpy.data.objects if o.parent is None and o.type in ("MESH", "ARMATURE")]:
        item.location.x += 0.3
    other = tmp_path / "b.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(other), copy=True)
    assert run("capture", "--blend", blend, "--out", tmp_path / "a", *QUICK).returncode == 0
    arguments = ("capture", "--blend", other, "--out", tmp_path / "b", "--cameras-of", tmp_path / "a")
    done = run(*arguments, "--size", "32", "--samples", "1")
    assert done.returncode == 0, done.stderr
    first, second = Capture.load(tmp_path / "a"), Capture.load(tmp_path / "b")
    assert [(v.name, v.split) for v in first.views] == [(v.name, v.split) for v in second.views]
    marks = [c.load_mesh().vertices[c.load_mesh().landmarks] for c in (first, second)]
    assert abs(marks[1].mean(0) - marks[0].mean(0))[0] > 0.25
    for a, b in zip(first.views, second.views, strict=True):
        np.testing.assert_allclose(a.camera.project(marks[0])[0], b.camera.project(marks[1])[0], atol=0.05)
        np.testing.assert_array_equal(first.load_view(a).alpha > 0.5, second.load_view(b).alpha > 0.5)
    wrong = run(*arguments, "--size", "64", "--samples", "1")
    assert wrong.returncode == 2 and "--size 32" in wrong.stderr




def test_portrait_is_a_source_folder(blend: Path, tmp_path: Path) -> None:
    done = run("portrait", "--blend", blend, "--out", tmp_path / "s", "--size", "64", "--samples", "2")
    assert done.returncode == 0, done.stderr
    picture = read_png(tmp_path / "s/portrait.png")
    assert picture.shape == (64, 64, 3) and picture.std() > 10
    marks = json.loads((tmp_path / "s/landmarks.json").read_text())
    points = np.array([marks["points"][str(i)] for i in range(68)])
    assert marks["image"] == "portrait.png" and (points > 0).all() and (points < 64).all()
    assert points[0, 0] < points[16, 0]  # the character's right ear is on the picture's left
    consent = json.loads((tmp_path / "s/consent.json").read_text())
    assert consent["kind"] == "synthetic" and consent["operations"] == ["swap"]
    digest = hashlib.sha256((tmp_path / "s/portrait.png").read_bytes()).hexdigest()
    assert consent["source_sha256"] == {"portrait.png": digest}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["capture", "--blend", "none.blend", "--out", "x"], "none.blend is missing"),
        (["capture", "--blend", "BLEND", "--out", "OUT", "--avatar", "Z"], "no avatar called 'Z'"),
        (["capture", "--blend", "BLEND", "--out", "OUT", "--expression", "smile"], "Write it like smile=0.3"),
        (["capture", "--blend", "BLEND"], "required: --out"),
        (["capture", "--blend", "BLEND", "--out", "OUT", "--frames", "x"], "Write them like 1:48"),
        (["capture", "--blend", "BLEND", "--out", "OUT", "--rig", "scene"], "no cameras to take"),
        (["truth", "--capture", "x", "--blend", "BLEND", "--skin", "y.png", "--out", "OUT"], "is missing"),
        (["import", "--splats", "BLEND", "--out", "OUT.blend"], "is no splat file"),
        (["import", "--splats", "BLEND", "--out", "OUT"], "not a .blend file name"),
        (["import", "--splats", "BLEND", "--blend", "BLEND", "--out", "BLEND"], "would overwrite the avatar's file"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(
    blend: Path, tmp_path: Path, arguments: list[str], sentence: str
) -> None:
    given = [{"BLEND": str(blend), "OUT": str(tmp_path / "out")}.get(a, a) for a in arguments]
    done = run(*given)
    assert done.returncode == 2 and sentence in done.stderr
    assert "Traceback" not in done.stderr and len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()
