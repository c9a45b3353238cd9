# SPDX-License-Identifier: GPL-3.0-or-later
"""A Blender in a window on a virtual screen, with a mouse: Xvfb, xdotool and ImageMagick's import."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

import cv2
import numpy as np

HANDS = Path(__file__).with_name("hands.py")
SIZE = (1280, 1000)


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

    def headers(self) -> list[tuple[int, int]]:
        """The panels' headers in the sidebar, top to bottom: each ends in a grip of four dots, nothing else does."""
        bar = self.ask("answer = sidebar()")
        picture = cv2.imread(str(self.picture(self.folder / "headers.png")), cv2.IMREAD_GRAYSCALE).astype(int)
        right = bar["x"] + bar["width"]
        strip = picture[SIZE[1] - bar["y"] - bar["height"] : SIZE[1] - bar["y"], right - 60 : right - 30]
        bright = strip > np.median(strip, axis=1, keepdims=True) + 18
        dots = (bright[:, 1:] & ~bright[:, :-1]).sum(axis=1) == 4
        rows = np.flatnonzero(dots) + SIZE[1] - bar["y"] - bar["height"]
        first = [row for row in rows if row - 1 not in rows and row - 2 not in rows and row - 3 not in rows]
        return [(bar["x"] + bar["width"] // 3, int(row) + 2) for row in first]

    def open_only(self, number: int, count: int) -> None:
        """Open the panel of that number beside the first one, and close the others, by clicks on their headers."""
        x, y = self.headers()[0]
        self.mouse(x, y, "click", "--repeat", "30", "4")  # to the top
        time.sleep(0.3)
        self.mouse(*self.headers()[0], "keydown", "ctrl", "click", "1", "keyup", "ctrl")

        def only_these() -> list[tuple[int, int]]:
            found = self.headers()
            assert len(found) == count, f"{len(found)} panels can be seen instead of {count}"
            return found

        time.sleep(0.6)
        found = self.wait(only_these, 15, "the other panels' closing")  # a busy Blender draws it late
        if number:
            self.mouse(*found[number], "click", "1")
            time.sleep(0.6)

    def buttons(self, columns: tuple[float, ...] = (0.5, 0.2, 0.85), step: int = 8) -> dict[str, tuple[int, int]]:
        """Every button that can be seen in the sidebar: its command or data path, and a point on it (screen pixels).

        `columns`: where in the width to look, 0..1, since a row may hold several.
        """
        bar = self.ask("answer = sidebar()")
        across = [bar["x"] + int((bar["width"] - 25) * share) for share in columns]
        down = list(range(bar["y"] + bar["height"] - 8, bar["y"] + 8, -step))
        self.ask(f"scan({across}, {down})")
        found = self.wait(lambda: self.ask("answer = [scanned()]")[0], 120, "the scan of the sidebar")
        return {name: (x, SIZE[1] - y) for name, (x, y) in found.items()}

    def find(self, text: str, **how: Any) -> tuple[int, int]:
        """A point on the first button whose command or data path contains `text`, scrolling down if need be."""
        bar = self.ask("answer = sidebar()")
        top = (bar["x"] + bar["width"] // 3, SIZE[1] - bar["y"] - bar["height"] + 14)  # on a panel, or the view zooms
        self.mouse(*top, "click", "--repeat", "40", "4")
        for _ in range(4):
            time.sleep(0.3)
            for name, point in self.buttons(**how).items():
                if text in name:
                    return point
            self.mouse(*top, "click", "--repeat", "8", "5")
        raise AssertionError(f"no button with {text!r} can be found in the sidebar")

    def click(self, text: str, **how: Any) -> None:
        """Press the button whose command or data path contains `text`, with the mouse."""
        x, y = self.find(text, **how)
        self.mouse(x, y)
        time.sleep(0.15)
        self.mouse(x, y, "click", "1")
        time.sleep(0.3)
