# SPDX-License-Identifier: Apache-2.0
"""What the client's side of a whole job remembers; the job itself is in test_demo."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from backend.ledger import Ledger
from backend.terminal import Terminal
from backend.whole_job import JobPlan, alone_in, fetch_step, files_to_send, in_own_words, is_fetched, service, take_in
from interchange.errors import InputError
from interchange.landmarks import write_landmarks
from interchange.service_errors import ServiceError


class Shelf:
    """Plays the client: "downloads" fixed files."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def download(self, *_: Any, **__: Any) -> list[Path]:
        paths = [self.root / name for name in ("double/splats.ply", "double/metrics.json", "swapped/views/a.exr")]
        for path in paths:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("whole")
        return paths


@pytest.fixture
def plan(tmp_path: Path) -> JobPlan:
    return JobPlan(tmp_path, tmp_path / "a.blend", "a", 4, 1, 64, 1, (), {})


def fetch(plan: JobPlan) -> Ledger:
    ledger = Ledger(plan.root / "ledger.json", {})
    fetch_step(plan, ledger, Shelf(plan.root), "id", Terminal())  # type: ignore[arg-type]
    return Ledger(plan.root / "ledger.json", {})


def test_what_was_fetched_is_not_fetched_again(plan: JobPlan) -> None:
    assert not is_fetched(plan, Ledger(plan.root / "ledger.json", {}))
    ledger = fetch(plan)
    assert is_fetched(plan, ledger)
    (plan.double / "metrics.json").write_text("completed on this side")
    assert is_fetched(plan, ledger)


@pytest.mark.parametrize("name", ["double/splats.ply", "swapped/views/a.exr"])
def test_a_result_that_was_damaged_or_deleted_is_fetched_again(plan: JobPlan, name: str) -> None:
    ledger = fetch(plan)
    (plan.root / name).write_text("cut")
    assert not is_fetched(plan, ledger)
    ledger = fetch(plan)
    assert is_fetched(plan, ledger)
    (plan.root / name).unlink()
    assert not is_fetched(plan, ledger)


def test_one_command_at_a_time_in_a_folder(tmp_path: Path) -> None:
    job, refused = tmp_path / "job", pytest.raises(InputError, match="Another digidouble is at work")
    with alone_in(job), refused, alone_in(job):
        raise AssertionError("never entered")
    with alone_in(tmp_path / "job"):
        pass


STEPS = ("capture", "send", "compute", "fetch", "import", "report")


def done_job(plan: JobPlan, source: Path) -> Ledger:
    plan.blend.write_text("blend")
    source.mkdir()
    (source / "photo.png").write_text("photo")
    (source / "landmarks_2.json").write_text("second")
    ledger = Ledger(plan.root / "ledger.json", {})
    take_in(plan, ledger, source)
    for name in STEPS:
        with ledger.step(name):
            pass
    return Ledger(plan.root / "ledger.json", {})


def test_unchanged_inputs_leave_a_job_done(plan: JobPlan) -> None:
    source = plan.root / "given"
    ledger = done_job(plan, source)
    take_in(plan, ledger, source)
    assert all(ledger.is_done(name) for name in STEPS)
    assert (plan.source / "photo.png").read_text() == "photo"


def test_another_photo_is_swapped_again_but_not_captured_again(plan: JobPlan) -> None:
    source = plan.root / "given"
    ledger = done_job(plan, source)
    (source / "photo.png").write_text("another")
    (source / "landmarks_2.json").unlink()
    take_in(plan, ledger, source)
    assert [name for name in STEPS if ledger.is_done(name)] == ["capture"]
    assert [p.name for p in plan.source.iterdir()] == ["photo.png"]
    assert (plan.source / "photo.png").read_text() == "another"


def test_another_avatar_is_captured_again(plan: JobPlan) -> None:
    ledger = done_job(plan, plan.root / "given")
    plan.blend.write_text("another")
    take_in(plan, ledger, plan.root / "given")
    assert not any(ledger.is_done(name) for name in STEPS)


def test_only_what_was_agreed_to_travels(plan: JobPlan) -> None:
    plan.capture.mkdir(parents=True)
    (plan.capture / "capture.json").write_text("{}")
    plan.source.mkdir(parents=True)
    for name in ("photo.png", "private.png", "contract.pdf", "consent.json"):
        (plan.source / name).write_text("{}")
    write_landmarks(plan.source / "landmarks.json", "photo.png", {30: (1.0, 2.0)})
    expected = {"capture/capture.json", "source/photo.png", "source/landmarks.json", "source/consent.json"}
    assert set(files_to_send(plan)) == expected


def test_the_jobs_own_source_folder_may_be_given_but_not_one_around_the_job(plan: JobPlan) -> None:
    ledger = done_job(plan, plan.source)
    take_in(plan, ledger, plan.source)
    assert (plan.source / "photo.png").read_text() == "photo"
    with pytest.raises(InputError, match="lies in the source folder"):
        take_in(plan, ledger, plan.root)


def test_a_service_that_died_is_started_by_the_next_run(plan: JobPlan, monkeypatch: pytest.MonkeyPatch) -> None:
    connection = type("Found", (), {"endpoint": "tcp://127.0.0.1:1"})
    monkeypatch.setattr("backend.whole_job.start_local_server", lambda *_, **__: connection)
    monkeypatch.setattr("backend.whole_job.stop_local_server", lambda *_: False)
    with pytest.raises(ServiceError, match="Run the same command again"), service(plan, Terminal()):
        raise ServiceError("UNAVAILABLE", "The service cannot be reached.", "Start it: digidouble serve.")
    with pytest.raises(ServiceError, match="full"), service(plan, Terminal()):
        raise ServiceError("DISK_FULL", "The service's disk is full.")


def test_errors_name_the_users_own_files(plan: JobPlan) -> None:
    theirs = plan.root / "service/jobs/abc/inputs/source/portrait.png"
    error = in_own_words(plan, "abc", InputError(f"The landmarks of {theirs} lie mirrored.", "Flip it.", "INPUT_X"))
    assert error.message == f"The landmarks of {plan.root / 'source/portrait.png'} lie mirrored."
    assert (error.hint, error.code) == ("Flip it.", "INPUT_X")
