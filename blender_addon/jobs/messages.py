# SPDX-License-Identifier: GPL-3.0-or-later
"""What threads tell Blender. They put these into one queue; the inbox's timer takes them out. No bpy."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Progress:
    """Digests, upload or download: how far. `state` is one of records.STATES."""

    job_id: str
    state: str
    fraction: float
    message: str


@dataclass(frozen=True)
class Sent:
    """The backend has the job, under this id."""

    job_id: str
    remote_id: str


@dataclass(frozen=True)
class Polled:
    """What the backend says about the job; `state` is the protocol's."""

    job_id: str
    state: str
    stage: str
    fraction: float
    message: str
    eta_s: float | None
    position: int | None


@dataclass(frozen=True)
class Fetched:
    """All results are on this disk, verified."""

    job_id: str


@dataclass(frozen=True)
class Failed:
    """It cannot go on."""

    job_id: str
    problem: str
    hint: str


@dataclass(frozen=True)
class Stopped:
    """Cancelled, by us or somebody else."""

    job_id: str


@dataclass(frozen=True)
class Preview:
    """There is a newer picture of the job in the ledger's `preview_path`."""

    job_id: str


@dataclass(frozen=True)
class Lost:
    """The backend cannot be reached at present; its jobs wait."""

    backend_id: str
    sentence: str


@dataclass(frozen=True)
class Back:
    """It answers (again)."""

    backend_id: str


@dataclass(frozen=True)
class Status:
    """The backend's account of itself: lines for the panel; `sentence` says what is wrong if it was not reached.

    `question` is that of control.AskStatus, "" if nobody asked.
    """

    backend_id: str
    reached: bool
    lines: tuple[str, ...] = ()
    sentence: str = ""
    question: str = ""


@dataclass(frozen=True)
class Paired:
    """A remote backend let us in; its keys are in its folder. `fingerprint`: six words that it shows as well."""

    backend_id: str
    name: str
    endpoint: str
    fingerprint: str


@dataclass(frozen=True)
class Told:
    """The end of an errand, in words. `failed`: it is a problem."""

    text: str
    failed: bool = False


@dataclass(frozen=True)
class ErrandOver:
    """What took seconds (starting, stopping, pairing) is over, one way or another."""

    backend_id: str


@dataclass(frozen=True)
class Surprise:
    """A fault in our program, for the error report."""

    where: str
    error: BaseException = field(compare=False)


Message = (
    Progress | Sent | Polled | Fetched | Failed | Stopped | Preview
    | Lost | Back | Status | Paired | Told | ErrandOver | Surprise
)  # fmt: skip
