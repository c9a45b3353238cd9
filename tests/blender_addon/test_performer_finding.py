# SPDX-License-Identifier: GPL-3.0-or-later
"""Find Points: grey with a reason, beside Blender's work, stopped, failing in words, and with the real backend."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import bpy
import numpy as np
import pytest

import blender_addon
from blender_addon import api
from blender_addon import performer as performers
from blender_addon.jobs import inbox, local_backend
from blender_addon.jobs.local_backend import Installation
from blender_addon.operators.performer_landmarks_find import DIGIDOUBLE_OT_performer_landmarks_find as Find
from blender_addon.operators.performer_landmarks_place import DIGIDOUBLE_OT_performer_landmarks_place as Place
from blender_addon.performer.finding import Finding
from interchange.errors import InputError
from interchange.landmarks import read_landmark_file, write_landmarks
from tests.blender_addon.layout import drawn
from tests.blender_addon.performers import face, photo

ROOT = Path(__file__).resolve().parents[2]
FOUND_BY = [{"role": "landmarker", "file": "2dfan4.onnx", "sha256": "ab" * 32, "kind": "2dfan4"}]
posix = pytest.mark.skipif(os.name == "nt", reason="the stand-in is a shell script")


@pytest.fixture
def performer(empty: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A performer with one photo, in a saved file; no backend and no networks yet."""
    monkeypatch.setenv("DIGIDOUBLE_HOME", str(tmp_path / "nowhere"))
    monkeypatch.delenv("DIGIDOUBLE_MODELS", raising=False)
    blender_addon.register()
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "film.blend"))
    bpy.ops.digidouble.performer_add()
    bpy.ops.digidouble.performer_add_photos(filepath=str(photo(tmp_path / "Größe.png")))
    yield performers.active_performer(bpy.context)
    blender_addon.unregister()


@pytest.fixture
def networks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "networks"
    folder.mkdir()
    (folder / "2dfan4.onnx").touch()
    monkeypatch.setenv("DIGIDOUBLE_MODELS", str(folder))
    return folder


def backend(monkeypatch: pytest.MonkeyPatch, home: Path, script: str) -> None:
    """A backend whose interpreter is a shell script; `$OUT` is the folder for the points."""
    python = Installation(home).python
    python.parent.mkdir(parents=True)
    (home / "backend/service").mkdir(parents=True)
    begin = f'#!/bin/sh\necho "$@" >"{home}/words"\nwhile [ "$1" != "--out" ]; do shift; done; OUT="$2"\n'
    python.write_text(f"{begin}{script}\n")
    python.chmod(0o755)
    monkeypatch.setenv("DIGIDOUBLE_HOME", str(home))


def good(tmp_path: Path, points: dict[int, tuple[float, float]]) -> str:
    """The script of a backend that finds these points."""
    write_landmarks(tmp_path / "answer.json", "Größe.png", points, FOUND_BY)
    return f'echo "Note: {tmp_path} two faces"; mkdir -p "$OUT"; cp "{tmp_path}/answer.json" "$OUT/landmarks.json"'


def refusal(**arguments: Any) -> str:
    with pytest.raises(RuntimeError) as caught:
        bpy.ops.digidouble.performer_landmarks_find(**arguments)
    return str(caught.value)


@posix
def test_the_button_is_grey_until_backend_and_networks_are_there(
    performer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "holds no complete installation" in str(Find.why_not(bpy.context))
    backend(monkeypatch, tmp_path / "home", "exit 0")
    assert "No models folder is chosen" in str(Find.why_not(bpy.context))
    assert "No models folder is chosen" in refusal(photo="Größe.png")
    monkeypatch.setenv("DIGIDOUBLE_MODELS", str(tmp_path / "gone"))
    assert "cannot be read" in str(Find.why_not(bpy.context))
    (tmp_path / "networks").mkdir()
    monkeypatch.setenv("DIGIDOUBLE_MODELS", str(tmp_path / "networks"))
    assert "holds no networks" in str(Find.why_not(bpy.context))
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "2dfan4.onnx").touch()
    monkeypatch.setenv("DIGIDOUBLE_MODELS", str(tmp_path / "full"))
    assert Find.why_not(bpy.context) is None
    bpy.context.window_manager.digidouble.activity.begin("Capture")
    assert "Wait until" in str(Find.why_not(bpy.context))
    bpy.context.window_manager.digidouble.activity.end()
    monkeypatch.setattr(Place, "at_work", True)
    assert "being placed" in str(Find.why_not(bpy.context))


@posix
def test_the_preferences_come_before_the_environment(
    performer: Any, networks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The local backend gets the same folder when it is started; a path of the .blend file's is understood."""
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "1k3d68.onnx").touch()
    chosen = SimpleNamespace(backend_home="", models_folder="//own")
    monkeypatch.setattr(inbox, "preferences", lambda _: chosen)
    assert inbox.models_folder() == tmp_path / "own"
    told: list[str] = []
    monkeypatch.setattr(local_backend, "start", lambda *_, models: told.append(models))
    backend(monkeypatch, tmp_path / "home", "exit 0")
    monkeypatch.setattr(inbox, "local_state", lambda: tmp_path / "state")
    idle = SimpleNamespace(state_of=lambda _: SimpleNamespace(busy=False), errand=lambda _, __, work: work())
    inbox.start_local(idle)
    chosen.models_folder = ""
    assert inbox.models_folder() == networks
    inbox.start_local(idle)
    assert told == [str(tmp_path / "own"), ""]


@posix
def test_points_are_taken_over_as_from_a_file(
    performer: Any, networks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend(monkeypatch, tmp_path / "home", good(tmp_path, face()))
    find = [b for b in drawn("DIGIDOUBLE_PT_performer_photos").buttons if b[0] == Find.bl_idname]
    assert len(find) == 1 and find[0][1] == "Find Points"
    assert bpy.ops.digidouble.performer_landmarks_find(photo="Größe.png") == {"FINISHED"}
    words = (tmp_path / "home/words").read_text()
    folder = performers.folder_of(performer)
    assert f"--photo {folder / 'Größe.png'} --models {networks} --out" in words
    file = read_landmark_file(folder / "landmarks.json")
    assert file.image == "Größe.png" and file.found_by == tuple(FOUND_BY) and len(file.points) == 68
    np.testing.assert_allclose([file.points[i] for i in range(68)], [face()[i] for i in range(68)], atol=1e-3)
    assert not [b for b in drawn("DIGIDOUBLE_PT_performer_photos").buttons if b[0] == Find.bl_idname]
    assert "has 68 points already" in refusal(photo="Größe.png")  # no work is lost
    assert "no photo called 'x.png'" in refusal(photo="x.png")
    bpy.ops.digidouble.performer_landmark_set(photo="Größe.png", index=30, x=100, y=80)
    assert read_landmark_file(folder / "landmarks.json").found_by == tuple(FOUND_BY)
    bpy.ops.digidouble.performer_landmarks_clear(photo="Größe.png")
    api.find_points("Größe.png")
    assert len(performers.state_of(performer).photos[0].points) == 68


@posix
def test_what_fails_is_one_sentence_and_writes_nothing(
    performer: Any, networks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = performers.folder_of(performer)
    sentence = "No face was found in me.png. Use a photo that shows the face large."
    backend(monkeypatch, tmp_path / "a", f'echo >&2; echo "digidouble landmarks: {sentence}" >&2; exit 2')
    assert refusal(photo="Größe.png").strip() == f"Error: {sentence}"
    backend(monkeypatch, tmp_path / "b", "exit 3")
    assert "The backend failed (exit code 3)" in refusal(photo="Größe.png")
    backend(monkeypatch, tmp_path / "c", good(tmp_path, {**face(), 3: (900.0, 5.0)}))
    assert "Landmark 3 lies outside the photo" in refusal(photo="Größe.png")
    backend(monkeypatch, tmp_path / "d", 'mkdir -p "$OUT"; echo "{}" >"$OUT/landmarks.json"')
    assert "is not a digidouble-landmarks file" in refusal(photo="Größe.png")
    assert not list(folder.glob("landmarks*.json"))
    with pytest.raises(InputError, match="No face|is not a digidouble-landmarks"):
        api.find_points("Größe.png")


@posix
def test_it_works_beside_blender_and_is_stopped_at_once(
    performer: Any, networks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend(monkeypatch, tmp_path / "slow", "exec sleep 60")
    start = time.monotonic()
    picture = performers.folder_of(performer) / "Größe.png"
    finding = Finding(Installation(tmp_path / "slow"), networks, picture, time.monotonic, waits=False)
    assert finding.step() and finding.step() and finding.fraction == 0.5 and "Größe.png" in finding.message
    process = finding._command.process
    assert process is not None and process.poll() is None
    finding.close()
    finding.close()
    assert process.poll() is not None and time.monotonic() - start < 5 and not finding._folder.exists()


@posix
def test_points_placed_meanwhile_stay(
    performer: Any, networks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As from a button: the machine is stepped by a timer, and the artist goes on."""
    backend(monkeypatch, tmp_path / "home", good(tmp_path, face()))
    told: list[tuple] = []
    operator = SimpleNamespace(photo="Größe.png", report=lambda *words: told.append(words), _folder=None, _shows=False)
    machine = Find.start(operator, bpy.context, waits=False)
    while machine.step():
        time.sleep(0.02)
    machine.close()
    assert operator._shows and machine.found is not None and machine.notes == [f"{tmp_path} two faces"]
    bpy.ops.digidouble.performer_landmark_set(photo="Größe.png", index=30, x=50, y=60)
    with pytest.raises(InputError, match="has 1 points already"):
        Find.finish(operator, bpy.context, machine)
    assert performers.state_of(performer).photos[0].points == {30: (50.0, 60.0)}
    bpy.ops.digidouble.performer_landmarks_clear(photo="Größe.png")
    operator._shows = False
    Find.finish(operator, bpy.context, machine)
    assert len(performers.state_of(performer).photos[0].points) == 68
    assert [level for level, _ in told] == [{"INFO"}, {"WARNING"}] and "2dfan4.onnx" in told[0][1]


MAKE = """
import json, sys
from pathlib import Path
import numpy as np
from PIL import Image
from tests.faceswap.onnx import landmark_networks as nets
folder = Path(sys.argv[1])
nets.write_fan(folder / nets.FAN)
points = nets.face_points(210, 250, 230, 14)
Image.fromarray(np.rint(nets.paint(400, 500, points) * 255).astype(np.uint8)).save(folder / "me.png")
(folder / "points.json").write_text(json.dumps(points.tolist()))
"""


@pytest.mark.slow
@pytest.mark.skipif(not Installation(ROOT).is_complete, reason="the backend is not installed here")
def test_the_real_backend_finds_them(performer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "real"
    folder.mkdir()
    made = subprocess.run(
        [str(Installation(ROOT).python), "-c", MAKE, str(folder)], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    if "is not installed" in made.stderr:
        pytest.skip("the backend has no onnx or no onnxruntime")
    assert made.returncode == 0, made.stderr
    monkeypatch.setenv("DIGIDOUBLE_HOME", str(ROOT))
    monkeypatch.setenv("DIGIDOUBLE_MODELS", str(folder))
    bpy.ops.digidouble.performer_add_photos(filepath=str(folder / "me.png"))
    assert bpy.ops.digidouble.performer_landmarks_find(photo="me.png") == {"FINISHED"}
    state = performers.state_of(performer).photo("me.png")
    wanted = json.loads((folder / "points.json").read_text())
    assert len(state.points) == 68
    assert max(np.hypot(x - wanted[i][0], y - wanted[i][1]) for i, (x, y) in state.points.items()) < 1
    assert state.found_by[0]["file"] == "2dfan4.onnx" and state.problem is None
    assert "No face was found in Größe.png" in refusal(photo="Größe.png")
