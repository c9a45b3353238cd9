# SPDX-License-Identifier: GPL-3.0-or-later
"""The add-on registered with a user folder of its own, and a real service that does toy jobs."""

from __future__ import annotations

import os
import signal
import time
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import bpy
import pytest

import blender_addon
from blender_addon import folders
from blender_addon.jobs import arrival, inbox, local_backend
from blender_addon.jobs.desk import Desk
from blender_addon.jobs.records import JobRecord
from interchange.connection import Connection
from interchange.local_server import stop_local_server

REPOSITORY = Path(__file__).resolve().parents[2]
RUNNER = "tests.blender_addon.jobs_runner:run"


class Office:
    """What a test works with."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.user, self.state = root / "user", root / "service"
        self.shown: list[tuple[Path, str]] = []
        self.ticks: list[float] = []
        self.capture, self.source = root / "scene" / "capture", root / "scene" / "source"
        for folder, name in ((self.capture, "capture.json"), (self.source, "consent.json")):
            folder.mkdir(parents=True)
            (folder / name).write_text(f"{name} of the test")
        (self.capture / "previews").mkdir()
        (self.capture / "previews" / "train_000.png").write_bytes(b"for people")
        (self.capture / "resume.json").write_text("{}")

    @property
    def desk(self) -> Desk:
        """The add-on's own."""
        return inbox.desk()

    @property
    def compute(self) -> Any:
        """What the panels draw."""
        return bpy.context.window_manager.digidouble.compute

    @property
    def problem(self) -> str:
        """What the first panel shows."""
        return str(bpy.context.window_manager.digidouble.problem)

    def record(self, name: str = "job", **toy: Any) -> JobRecord:
        """A job of the toy kind."""
        return JobRecord(
            job_id=f"toy-{time.monotonic_ns():x}", name=name, kind="double", backend_id="local",
            parameters={"toy": toy}, capture=str(self.capture), source=str(self.source),
            results=str(self.root / "results" / name),
        )  # fmt: skip

    def until(self, is_so: Callable[[], bool], timeout_s: float = 30.0) -> None:
        """Tick as Blender's timer would, measuring, until it is so."""
        deadline = time.monotonic() + timeout_s
        while not is_so():
            assert time.monotonic() < deadline, (self.desk.records, self.desk.states, self.problem)
            before = time.perf_counter()
            inbox.tick()
            self.ticks.append(time.perf_counter() - before)
            time.sleep(0.02)

    def kill_server(self) -> None:
        """kill -9, as the kernel does when memory runs out."""
        pid = Connection.load(self.state).pid
        os.kill(pid, signal.SIGKILL)
        while Path(f"/proc/{pid}").exists() and "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2][:3]:
            time.sleep(0.01)

    def close_blender(self) -> None:
        """As much of it as the add-on notices."""
        blender_addon.unregister()

    def open_blender(self) -> None:
        """A new session of the same user, with an empty file; the timer's first call."""
        bpy.ops.wm.read_factory_settings(use_empty=True)
        blender_addon.register()
        self.desk.attach()


@pytest.fixture
def office(empty: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Office]:
    """The add-on, registered; its local backend would run toy jobs. No service is started yet."""
    office = Office(tmp_path)
    monkeypatch.setenv(local_backend.HOME_VARIABLE, str(REPOSITORY))
    monkeypatch.setenv(local_backend.RUNNER_VARIABLE, RUNNER)
    monkeypatch.setattr(local_backend, "state_folder", lambda *_: office.state)
    for module in (inbox, folders):
        monkeypatch.setattr(module, "user_folder", lambda: office.user)
    monkeypatch.setattr(
        arrival, "put_into_scene",
        lambda _, record: office.shown.append((Path(record.results) / "double" / "splats.ply", record.capture)),
    )  # fmt: skip
    blender_addon.register()
    yield office
    blender_addon.unregister()
    stop_local_server(office.state)


@pytest.fixture
def rooms(office: Office, monkeypatch: pytest.MonkeyPatch) -> Office:
    """Stand-ins for the rooms that capture and performer: both are complete."""
    import sys

    place = types.ModuleType("place")
    place.capture_folder = lambda context: office.capture  # type: ignore[attr-defined]
    place.is_complete = lambda folder: (folder / "capture.json").exists()  # type: ignore[attr-defined]
    performer = types.ModuleType("performer")
    performer.active_source_folder = lambda context, anew=True: office.source  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "blender_addon.capture.place", place)
    monkeypatch.setitem(sys.modules, "blender_addon.performer", performer)
    return office
