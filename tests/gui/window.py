# SPDX-License-Identifier: GPL-3.0-or-later
"""A Blender in a window on a virtual screen, with a mouse: Xvfb, xdotool and ImageMagick's import."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

HANDS = Path(__file__).with_name("hands.py")
TOOLS = ("Xvfb", "xdotool", "import")
SIZE = (1280, 1000)


def missing_tools() -> list[str]:
    """What this machine lacks for tests in windows."""
    return [tool for tool in TOOLS if shutil.which(tool) is None]


class Window:
    """One Blender. `folder` must be visible to it under the same path; `display` a free screen number."""

    def __init__(self, blender: Path, folder: Path, display: int, arguments: tuple[str, ...] = ()) -> None:
        self.folder, self._display, self._asked = folder, f":{display}", 0
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("ask.json", "answer.json"):
            (folder / name).unlink(missing_ok=True)
        screen = f"{SIZE[0]}x{SIZE[1]}x24"
        self._screen = subprocess.Popen(
            ["Xvfb", self._display, "-screen", "0", screen, "-nolisten", "tcp"], stderr=subprocess.DEVNULL
        )
        time.sleep(1.0)
        environment = os.environ | {"DISPLAY": self._display, "LIBGL_ALWAYS_SOFTWARE": "1"}
        command = [str(blender), "--gpu-backend", "opengl", "--window-geometry", "0", "0", str(SIZE[0]), str(SIZE[1])]
        command += [*arguments, "--python", str(HANDS), "--", str(folder)]
        self._log = open(folder / "blender.log", "w")  # noqa: SIM115 (closed with the window)
        self._blender = subprocess.Popen(command, env=environment, stdout=self._log, stderr=subprocess.STDOUT)
        self.wait(lambda: self.ask("answer = len(bpy.context.window_manager.windows)", 5) >= 1, 60, "Blender's window")

    def __enter__(self) -> Window:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for process in (self._blender, self._screen):
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._log.close()

    def ask(self, code: str, timeout_s: float = 60.0) -> Any:
        """Run a line or more in Blender's timer and return what it put into `answer`."""
        self._asked += 1
        part = self.folder / "ask.part"
        part.write_text(json.dumps({"id": self._asked, "code": code}))
        part.replace(self.folder / "ask.json")
        end = time.monotonic() + timeout_s
        while time.monotonic() < end:
            if self._blender.poll() is not None:
                raise AssertionError(f"Blender has ended:\n{(self.folder / 'blender.log').read_text()[-3000:]}")
            try:
                reply = json.loads((self.folder / "answer.json").read_text())
            except (OSError, ValueError):
                reply = {"id": 0}
            if reply["id"] == self._asked:
                assert "error" not in reply, reply.get("error")
                return reply.get("answer")
            time.sleep(0.03)
        raise AssertionError(f"Blender did not answer within {timeout_s:g} s: {code}")

    def wait(self, condition: Callable[[], Any], timeout_s: float, what: str) -> Any:
        """Until the condition holds; its value. AssertionError with `what` otherwise."""
        end = time.monotonic() + timeout_s
        while True:
            try:
                if value := condition():
                    return value
            except AssertionError:
                if self._blender.poll() is not None or time.monotonic() > end:
                    raise
            assert time.monotonic() < end, f"{what} did not come within {timeout_s:g} s"
            time.sleep(0.2)

    def picture(self, path: Path) -> Path:
        """A screenshot."""
        path.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["import", "-display", self._display, "-window", "root", str(path)], check=True)
        return path

    def mouse(self, x: int, y: int, *actions: str) -> None:
        """Move to a point of the screen (from the top left), then xdotool's actions ("click", "1")."""
        environment = os.environ | {"DISPLAY": self._display}
        subprocess.run(["xdotool", "mousemove", str(x), str(y), *actions], env=environment, check=True)

    def key(self, *keys: str) -> None:
        """Press keys where the mouse is."""
        subprocess.run(["xdotool", "key", *keys], env=os.environ | {"DISPLAY": self._display}, check=True)

    def type(self, text: str) -> None:
        """Type text where the mouse is."""
        command = ["xdotool", "type", "--delay", "30", text]
        subprocess.run(command, env=os.environ | {"DISPLAY": self._display}, check=True)

    def buttons(self, step: int = 10) -> dict[str, tuple[int, int]]:
        """Every button of the sidebar that a mouse finds on its way down: command or data path -> point on the screen.

        Three columns are tried, since rows hold several buttons.
        """
        found: dict[str, tuple[int, int]] = {}
        bar = self.ask("answer = sidebar()")
        top = SIZE[1] - bar["y"] - bar["height"]
        for share in (0.25, 0.55, 0.9):
            x = bar["x"] + int(bar["width"] * share) - 10
            for y in range(top + 6, top + bar["height"] - 6, step):
                self.mouse(x, y)
                time.sleep(0.06)
                name = self.ask("answer = button_under_mouse()")
                if name and name not in found:
                    found[name] = (x, y)
        return found

    def find(self, text: str, columns: tuple[float, ...] = (0.5, 0.25, 0.85), step: int = 9) -> tuple[int, int]:
        """The point of the first button whose command or data path contains `text`. AssertionError if there is none."""
        bar = self.ask("answer = sidebar()")
        top = SIZE[1] - bar["y"] - bar["height"]
        for share in columns:
            x = bar["x"] + int((bar["width"] - 20) * share)
            for y in range(top + 6, top + bar["height"] - 6, step):
                self.mouse(x, y)
                time.sleep(0.05)
                if text in self.ask("answer = button_under_mouse()"):
                    self.mouse(x, y + 4)
                    time.sleep(0.08)
                    return (x, y + 4) if text in self.ask("answer = button_under_mouse()") else (x, y)
        raise AssertionError(f"no button with {text!r} can be seen in the sidebar")

    def click(self, text: str, **how: Any) -> None:
        """Press the button whose command or data path contains `text`, with the mouse."""
        x, y = self.find(text, **how)
        self.mouse(x, y)
        time.sleep(0.15)
        self.mouse(x, y, "click", "1")
        time.sleep(0.3)
