# SPDX-License-Identifier: Apache-2.0
"""The wire to the Blender side: progress lines, sentences, exit codes. Any Python can play Blender here."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from backend import blender_process
from interchange.errors import Cancelled, InputError


@pytest.fixture(autouse=True)
def any_python(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DIGIDOUBLE_BLENDER_PYTHON", sys.executable)
    monkeypatch.setattr(blender_process, "ROOT", tmp_path)


def play(tmp_path: Path, text: str) -> None:
    (tmp_path / "actor.py").write_text("import sys, time\n" + text)


def test_progress_lines_and_chatter(tmp_path: Path) -> None:
    play(tmp_path, 'print(\'{"stage": "capture", "fraction": 0.5, "message": "view 3"}\'); print("Fra:1 Mem:3M")')
    seen: list[tuple[str, float, str]] = []
    blender_process.run_blender("actor", [], lambda *a: seen.append(a), log=tmp_path / "log.txt")
    assert seen == [("capture", 0.5, "view 3")]
    assert "Fra:1" in (tmp_path / "log.txt").read_text()


def test_exit_code_two_carries_the_sentence(tmp_path: Path) -> None:
    play(tmp_path, 'print("The mesh head has no UVs.", file=sys.stderr); sys.exit(2)')
    with pytest.raises(InputError, match="^The mesh head has no UVs.$"):
        blender_process.run_blender("actor", [])


def test_a_crash_names_the_log(tmp_path: Path) -> None:
    play(tmp_path, 'raise RuntimeError("boom")')
    with pytest.raises(InputError, match=r"code 1 \(RuntimeError: boom\).*log.txt"):
        blender_process.run_blender("actor", [], log=tmp_path / "log.txt")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signal")
def test_a_crash_of_blender_itself_suspects_the_file(tmp_path: Path) -> None:
    play(tmp_path, "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
    with pytest.raises(InputError, match=r"crashed \(signal 11\).*damaged"):
        blender_process.run_blender("actor", [])


def test_an_interrupted_child_is_an_interruption(tmp_path: Path) -> None:
    play(tmp_path, "sys.exit(130)")
    with pytest.raises(Cancelled):
        blender_process.run_blender("actor", [])


def test_cancel_ends_the_child(tmp_path: Path) -> None:
    play(tmp_path, 'print("hello", flush=True); time.sleep(60)')
    with pytest.raises(Cancelled):
        blender_process.run_blender("actor", [], cancelled=lambda: True)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot ignore termination")
def test_a_child_that_does_not_stop_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blender_process, "PATIENCE_S", 0.2)
    deaf = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)"
    play(tmp_path, f'{deaf}; print("hello", flush=True); time.sleep(60)')
    started = time.monotonic()
    with pytest.raises(Cancelled):
        blender_process.run_blender("actor", [], cancelled=lambda: True)
    assert time.monotonic() - started < 20


def test_no_environment_says_what_to_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DIGIDOUBLE_BLENDER_PYTHON", str(tmp_path / "nowhere"))
    with pytest.raises(InputError, match="install.py install"):
        blender_process.run_blender("actor", [])
