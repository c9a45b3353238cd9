# SPDX-License-Identifier: GPL-3.0-or-later
"""A job as the add-on remembers it, from the button to the double in the scene. No bpy."""

from __future__ import annotations

import dataclasses
from typing import Any

PREPARING, UPLOADING, QUEUED, RUNNING = "preparing", "uploading", "queued", "running"
FETCHING, IMPORTING = "fetching", "importing"
DONE, FAILED, CANCELLED = "done", "failed", "cancelled"

STATES = (PREPARING, UPLOADING, QUEUED, RUNNING, FETCHING, IMPORTING, DONE, FAILED, CANCELLED)
ENDED = (DONE, FAILED, CANCELLED)
ON_ITS_WAY = (PREPARING, UPLOADING)
AT_THE_BACKEND = (QUEUED, RUNNING)

TITLES = {
    PREPARING: "Preparing", UPLOADING: "Sending", QUEUED: "Waiting", RUNNING: "Computing", FETCHING: "Fetching",
    IMPORTING: "Importing", DONE: "Done", FAILED: "Failed", CANCELLED: "Cancelled",
}  # fmt: skip
STAGES = {"check": "Checking", "swap": "Swapping", "fit": "Fitting", "evaluate": "Measuring", "sign": "Signing"}
"""The backend's stages in an artist's words; others are shown as they are."""

RESULT = "double/splats.ply"
"""The double, below the results folder."""


@dataclasses.dataclass
class JobRecord:
    """Everything that outlives Blender about one job.

    `job_id` is ours for ever; `remote_id` is the backend's, another one once inputs have changed. `file` is the .blend
    file it belongs to, "" while that is not saved; `visit` tells one unsaved file from the next. Times: Unix seconds.
    """

    job_id: str
    name: str
    kind: str
    backend_id: str
    parameters: dict[str, Any]
    capture: str
    source: str
    results: str
    remote_id: str = ""
    file: str = ""
    visit: str = ""
    import_when_done: bool = True
    fetch_views: bool = False
    created_at: float = 0.0
    state: str = PREPARING
    stage: str = ""
    fraction: float = 0.0
    message: str = ""
    eta_s: float | None = None
    position: int | None = None
    problem: str = ""
    hint: str = ""
    fetched: bool = False
    cancelling: bool = False

    @property
    def ended(self) -> bool:
        """True if nothing more will happen by itself."""
        return self.state in ENDED

    @property
    def headline(self) -> str:
        """One short line: where it is, how far, how long yet."""
        if self.cancelling:
            return "Stopping"
        if self.state == QUEUED:
            return f"Waiting, {self.position} before it" if self.position else "Waiting for its turn"
        title = STAGES.get(self.stage, self.stage.capitalize()) if self.state == RUNNING and self.stage else ""
        title = title or TITLES[self.state]
        if self.state not in (PREPARING, UPLOADING, RUNNING, FETCHING):
            return title
        left = f", {duration(self.eta_s)} left" if self.eta_s is not None else ""
        return f"{title} {self.fraction:.0%}{left}"

    @property
    def sentence(self) -> str:
        """What went wrong and what to do, or what the job is doing."""
        return f"{self.problem} {self.hint}".strip() or self.message

    def move(self, state: str, *, fraction: float = 0.0, message: str = "", stage: str = "") -> None:
        """Begin a state; what belonged to the one before is forgotten."""
        self.state, self.fraction, self.message, self.stage = state, fraction, message, stage
        self.eta_s = self.position = None
        self.problem = self.hint = ""
        if state in ENDED:
            self.cancelling = False

    def fail(self, problem: str, hint: str) -> None:
        """End with a sentence."""
        self.move(FAILED)
        self.problem, self.hint = problem, hint


def duration(seconds: float) -> str:
    """45 s, 3 min, 2 h 10 min."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
