# SPDX-License-Identifier: Apache-2.0
"""Runs the Blender side in its own Python: the backend has no bpy, and the two sides meet only in folders and lines.

The child prints JSON lines {"stage", "fraction", "message"} on stdout; a sentence on stderr and exit code 2 mean that
the user's input is at fault.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from interchange.errors import Cancelled, InputError, Progress

INTERRUPTED = 130
PATIENCE_S = 30.0
ROOT = Path(__file__).resolve().parent.parent


def blender_python() -> Path:
    """The Python that has bpy: DIGIDOUBLE_BLENDER_PYTHON, or the environment that install.py made.

    Raises InputError if there is none.
    """
    chosen = os.environ.get("DIGIDOUBLE_BLENDER_PYTHON")
    name = "Scripts/python.exe" if platform.system() == "Windows" else "bin/python"
    python = Path(chosen) if chosen else ROOT / ".digidouble/blender" / name
    if not python.exists():
        raise InputError("Blender's environment is not installed.", "Run: python3 install.py install")
    return python


def run_blender(
    module: str,
    arguments: Sequence[str | Path],
    progress: Progress | None = None,
    cancelled: Callable[[], bool] = lambda: False,
    log: Path | None = None,
    echo: Callable[[str], None] | None = None,
) -> None:
    """Run `python -m module arguments` in Blender's environment until it ends.

    `echo` gets the lines that are no progress, for commands whose output is text. Raises InputError with the child's
    own sentence when it exits with 2, InputError that names the log when it fails otherwise, Cancelled when
    `cancelled()` turns true.
    """
    command = [str(blender_python()), "-m", module, *map(str, arguments)]
    environment = dict(os.environ, PYTHONPATH=str(ROOT), PYTHONUNBUFFERED="1")
    complaints: list[str] = []
    chatter: list[str] = []
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace", env=environment
    ) as child:
        reader = threading.Thread(target=lambda: complaints.extend(child.stderr or ()), daemon=True)
        reader.start()
        try:
            for line in child.stdout or ():
                if not _report(line, progress):
                    chatter.append(line)
                    if echo is not None:
                        echo(line.rstrip())
                if cancelled():
                    raise Cancelled
            code = child.wait()
        finally:
            _end(child)
            reader.join()
    if log is not None and (chatter or complaints):
        log.parent.mkdir(parents=True, exist_ok=True)
        with open(log, "a", encoding="utf-8") as file:
            file.writelines([" ".join(command) + "\n", *chatter, *complaints])
    if code == 0:
        return
    last = next((line.strip() for line in reversed(complaints) if line.strip()), "no reason given")
    if code == 2:
        raise InputError(last)
    if code == INTERRUPTED:
        raise Cancelled
    if code < 0:
        raise InputError(
            f"Blender crashed (signal {-code}).",
            "Most often the .blend file is damaged or memory ran out: try another file, or fewer and smaller pictures.",
        )
    raise InputError(f"Blender stopped with code {code} ({last}).", f"The log is {log}." if log else "")


def _end(child: subprocess.Popen[str]) -> None:
    """Ask a child that still runs to stop, so that it finishes its view; end it if it takes too long, or when Ctrl-C
    is pressed once more. Files are written whole or not at all, so nothing is lost but the view."""
    if child.poll() is not None:
        return
    child.terminate()
    try:
        child.wait(PATIENCE_S)
    except subprocess.TimeoutExpired:
        child.kill()
    except KeyboardInterrupt:
        child.kill()
        raise


def _report(line: str, progress: Progress | None) -> bool:
    """True if the line was a progress line."""
    if not line.startswith("{"):
        return False
    try:
        event = json.loads(line)
        stage, fraction, message = event["stage"], float(event["fraction"]), event.get("message", "")
    except (ValueError, KeyError, TypeError):
        return False
    if progress is not None:
        progress(stage, fraction, message)
    return True
