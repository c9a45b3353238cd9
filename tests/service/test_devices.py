# SPDX-License-Identifier: Apache-2.0
"""The list of devices, what each may do, and how it is put out again."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from backend import cli
from backend.service.devices import Devices, clean_name
from backend.service.keys import ALLOWED
from backend.service.migrations import MIGRATIONS
from interchange import messages as wire
from interchange.client import JobClient
from interchange.connection import Link
from interchange.errors import InputError
from interchange.handshake import REVOKED, UNPAIRED
from interchange.owner import OwnerClient
from interchange.service_errors import ServiceError

from .harness import IMPATIENT, Service, make_files, new_device, wait_until


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with Service(tmp_path_factory.mktemp("devices") / "state", "--cancel-grace", "0.5") as running:
        yield running


@pytest.fixture
def owner(service: Service) -> Iterator[OwnerClient]:
    """The client of the computer that the service runs on."""
    with service.owner() as made:
        yield made
        made.close_pairing()


# -- the list ---------------------------------------------------------------------------------------------------------


class DevicesMachine(RuleBasedStateMachine):
    """The list of devices against a plain dict: name and whether revoked, by key; with restarts at any time."""

    keys = [digit * 40 for digit in "12345"]
    names = st.sampled_from(["a", "b", "a 2", "  ", "x" * 70])

    def __init__(self) -> None:
        super().__init__()
        self.database = sqlite3.connect(":memory:", isolation_level=None)
        self.database.executescript(MIGRATIONS[1])
        self.devices = Devices(self.database, "own")
        self.model: dict[str, list[Any]] = {}

    @rule(key=st.sampled_from(keys), name=names)
    def add(self, key: str, name: str) -> None:
        self.model[key] = [self.devices.add(key, name).name, False]

    @rule(key=st.sampled_from(keys), name=names)
    def rename(self, key: str, name: str) -> None:
        others = {known for other, (known, _) in self.model.items() if other != key}
        try:
            self.devices.rename(key, name)
            self.model[key][0] = clean_name(name)
            assert name.strip() and clean_name(name) not in others
        except InputError:
            assert key not in self.model or not name.strip() or clean_name(name) in others

    @rule(key=st.sampled_from(keys))
    def revoke(self, key: str) -> None:
        try:
            self.devices.revoke(key)
            self.model[key][1] = True
        except InputError:
            assert key not in self.model

    @rule(key=st.sampled_from(keys))
    def see(self, key: str) -> None:
        self.devices.saw(key)

    @rule(written=st.booleans())
    def restart(self, written: bool) -> None:
        if written:
            self.devices.write_down()
        self.devices = Devices(self.database, "own")

    @invariant()
    def agree(self) -> None:
        page = self.devices.page()
        assert {device.key: [device.name, device.revoked] for device in page} == self.model
        assert len({device.name for device in page}) == len(page) and all(1 <= len(d.name) <= 60 for d in page)
        for key in self.keys:
            known = self.model.get(key)
            assert self.devices.standing(key) == (UNPAIRED if known is None else REVOKED if known[1] else ALLOWED)
        assert self.devices.standing("own") == ALLOWED

    def teardown(self) -> None:
        self.database.close()


def test_the_list_of_devices_in_any_order() -> None:
    quick = settings(max_examples=60, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck))
    run_state_machine_as_test(DevicesMachine, settings=quick)


# -- what devices may do ----------------------------------------------------------------------------------------------


def test_devices_do_not_see_each_others_jobs(service: Service, owner: OwnerClient, tmp_path: Path) -> None:
    new_device(service, owner, tmp_path / "a", "A")
    new_device(service, owner, tmp_path / "b", "B")
    with JobClient(tmp_path / "a", IMPATIENT) as a, JobClient(tmp_path / "b", IMPATIENT) as b:
        done = a.submit("double", {}, make_files(tmp_path / "in", {"f": 1000}))
        a.wait(done)
        running = a.submit("double", {"steps": 2000, "pause": 0.01}, {})
        wait_until(lambda: a.get(running).state == "running")
        assert not {job.job_id for job in b.jobs()} & {done, running}
        for job_id in (done, running):
            for act in (b.get, b.cancel, b.result, b.files, b.preview, lambda j: next(b.watch(j)),
                        lambda j: b.download(j, tmp_path / "out")):  # fmt: skip
                with pytest.raises(ServiceError) as caught:
                    act(job_id)
                assert caught.value.code == "JOB_UNKNOWN"
        with pytest.raises(ServiceError) as conflict:
            b.submit("double", {}, {}, job_id=running)
        assert conflict.value.code == "JOB_CONFLICT"
        with pytest.raises(ServiceError) as curious:
            b.jobs(everybody=True)
        assert curious.value.code == "AUTH_LOCAL_ONLY"
        assert a.get(running).state == "running" and not (tmp_path / "out").exists()
        a.cancel(running)


def test_who_looks_after_the_service_can_stop_every_job(
    service: Service, owner: OwnerClient, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A lost device's job would run on otherwise. Its files stay its own."""
    connection = new_device(service, owner, tmp_path, "A")
    with JobClient(tmp_path, IMPATIENT) as lost:
        done = lost.submit("double", {}, make_files(tmp_path / "in", {"f": 1000}))
        lost.wait(done)
        running = lost.submit("double", {"steps": 3000, "pause": 0.01}, {})
        wait_until(lambda: lost.get(running).state == "running")
    owner.revoke_device(connection.client_public_key)
    assert running not in {job.job_id for job in owner.jobs()}
    name = next(d.name for d in owner.devices().devices if d.key == connection.client_public_key)
    assert {job.job_id: job.device for job in owner.jobs(everybody=True)}[running] == name
    assert cli.main(["jobs", "--all", "--state", str(service.state)]) == 0
    assert f"{running}  running    double  {name}" in capsys.readouterr().out
    for fetch in (owner.files, lambda job_id: owner.download(job_id, tmp_path / "out")):
        with pytest.raises(ServiceError) as caught:
            fetch(done)
        assert caught.value.code == "JOB_UNKNOWN"
    assert cli.main(["cancel", running, "--state", str(service.state)]) == 0
    assert owner.get(running).state == "cancelled"


def test_devices_do_not_look_after_the_service(service: Service, owner: OwnerClient, tmp_path: Path) -> None:
    connection = new_device(service, owner, tmp_path, "curious")
    with OwnerClient(tmp_path, IMPATIENT) as client:
        for act in (client.stop_server, client.devices, client.open_pairing, client.close_pairing,
                    lambda: client.rename_device(connection.client_public_key, "boss"),
                    lambda: client.revoke_device(connection.client_public_key)):  # fmt: skip
            with pytest.raises(ServiceError) as caught:
                act()
            assert caught.value.code == "AUTH_LOCAL_ONLY"
        client.ping()


# -- how they are put out ---------------------------------------------------------------------------------------------


def test_a_revoked_device_is_refused_at_once(service: Service, owner: OwnerClient, tmp_path: Path) -> None:
    """One connection that only listens, one that asks, one that comes anew: each is told so within a second."""
    connection = new_device(service, owner, tmp_path, "lost laptop")
    told: dict[str, tuple[str, float]] = {}
    asking = JobClient(tmp_path, IMPATIENT)
    job_id = asking.submit("double", {"steps": 300, "pause": 0.01}, {})

    def listen() -> None:
        with JobClient(tmp_path, IMPATIENT) as client:
            try:
                for _ in client.watch(job_id):
                    watching.set()
            except ServiceError as error:
                told["listening"] = error.code, time.perf_counter()

    watching = threading.Event()
    thread = threading.Thread(target=listen)
    thread.start()
    assert watching.wait(5.0)
    revoked_at = time.perf_counter()
    owner.revoke_device(connection.client_public_key)
    for name, client in (("asking", asking), ("new", JobClient(tmp_path, IMPATIENT))):
        with client, pytest.raises(ServiceError, match="does not let this computer in any more") as caught:
            client.jobs()
        told[name] = caught.value.code, time.perf_counter()
    thread.join()
    assert {code for code, _ in told.values()} == {"AUTH_REVOKED"} and len(told) == 3
    latency = {name: round(at - revoked_at, 4) for name, (_, at) in told.items()}
    print(f"told after (s): {latency}")
    assert max(latency.values()) < 1.0
    assert next(d for d in owner.devices().devices if d.key == connection.client_public_key).revoked
    with service.client() as other:
        other.ping()


def test_a_device_revoked_while_it_sends_and_fetches(service: Service, owner: OwnerClient, tmp_path: Path) -> None:
    connection = new_device(service, owner, tmp_path, "sender")
    files = make_files(tmp_path / "in", {f"{i}": 8_000_000 for i in range(4)}, seed=12)
    revoked_at: list[float] = []

    def progress(stage: str, fraction: float, _: str) -> None:
        if stage in ("upload", "download") and fraction > 0.2 and not revoked_at:
            owner.revoke_device(connection.client_public_key)
            revoked_at.append(time.perf_counter())

    with JobClient(tmp_path, IMPATIENT) as client, pytest.raises(ServiceError) as sending:
        client.submit("double", {}, files, progress=progress)
    assert sending.value.code == "AUTH_REVOKED" and time.perf_counter() - revoked_at[0] < 1.0
    connection = new_device(service, owner, tmp_path, "fetcher")
    with JobClient(tmp_path, IMPATIENT) as client:
        job_id = client.submit("double", {}, files)
        client.wait(job_id)
        revoked_at.clear()
        with pytest.raises(ServiceError) as fetching:
            client.download(job_id, tmp_path / "out", progress)
    assert fetching.value.code == "AUTH_REVOKED" and time.perf_counter() - revoked_at[0] < 1.0


def test_nothing_more_is_sent_to_a_revoked_device(service: Service, owner: OwnerClient, tmp_path: Path) -> None:
    """It may stay connected; it is told so, and gets no event any more."""
    connection = new_device(service, owner, tmp_path, "stubborn")
    context: zmq.Context[Any] = zmq.Context()
    link = Link(context, connection, "control", IMPATIENT)
    job = wire.JobCreate("stubborn", "double", wire.JobSpec({"steps": 200, "pause": 0.01}, []))
    for message in (job, wire.JobCommit("stubborn"), wire.JobWatch("stubborn")):
        link.request(message)
    owner.revoke_device(connection.client_public_key)
    link.inbox.clear()
    kinds: list[wire.Message] = []
    deadline = time.monotonic() + 1.0
    while time.monotonic() < deadline:
        link.send(wire.JobWatch("stubborn"))
        envelope = link.receive(0.2)
        if envelope is not None:
            kinds.append(envelope.message)
    while kinds and isinstance(kinds[0], wire.Event):  # were on their way
        kinds.pop(0)
    assert len(kinds) >= 5 and {message.error.code for message in kinds} == {"AUTH_REVOKED"}  # type: ignore[union-attr]
    link.close()
    context.term()
