# SPDX-License-Identifier: Apache-2.0
"""Programs of other versions, out of this repository's history: the old client with today's service, today's client
with the old service, and the old service's folder in the hands of today's.
"""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from interchange import messages as wire
from interchange.client import JobClient
from interchange.service_errors import ServiceError

from .harness import IMPATIENT, REPOSITORY, TOY, Service, assert_reversed, make_files, wait_until

SIZES = {"capture/a.exr": 2_500_000, "source/b.png": 1000, "source/empty": 0}
OLD_CLIENT = """
import json, sys
from pathlib import Path
from interchange.client import JobClient
from interchange.errors import Cancelled
from interchange.paths import scan_folder
from interchange.service_errors import ServiceError

state, inputs, out = map(Path, sys.argv[1:])
with JobClient(state) as client:
    try:
        job_id = client.submit("double", {"steps": 5}, scan_folder(inputs), job_id="old")
        states = [event.state for event in client.watch(job_id) if event.kind == "state"]
        result = client.result(job_id)
        client.download(job_id, out)
        long = client.submit("double", {"steps": 5000}, {})
        client.cancel(long)
        try:
            client.wait(long)
        except Cancelled:
            states.append(client.get(long).state)
        print(json.dumps({"states": states, "steps": result["steps"], "jobs": len(client.jobs())}))
    except ServiceError as error:
        print(json.dumps({"code": error.code, "message": error.message}))
"""


def commits_that_changed_the_version() -> list[str]:
    command = ["git", "log", "--format=%H", "-G", r"^(MINOR|PROTOCOL) = ", "--", "interchange/messages.py"]
    try:
        listed = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return []
    return listed.stdout.split()[:-1]  # before the oldest there was no protocol


@pytest.fixture(params=[1, 2])
def older(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A folder with the program as it was so many versions ago."""
    commits = commits_that_changed_the_version()
    if len(commits) < request.param:
        pytest.skip("the history here does not go back so far")
    folders = ["backend", "interchange", "tests", "pyproject.toml"]
    command = ["git", "archive", f"{commits[request.param - 1]}~1", *folders]
    archive = subprocess.run(command, cwd=REPOSITORY, capture_output=True, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        tar.extractall(tmp_path / "older", filter="data")
    return tmp_path / "older"


def version_of(program: Path) -> tuple[bytes, int]:
    """Protocol with its major version, and the minor one."""
    text = (program / "interchange/messages.py").read_text(encoding="utf-8")
    protocol, minor = (re.search(rf"^{name} = (.*)$", text, re.MULTILINE) for name in ("PROTOCOL", "MINOR"))
    assert protocol is not None
    return protocol[1].strip('b"').encode(), int(minor[1]) if minor is not None else 0


class OlderService(Service):
    """The service of another version, in a folder of its own."""

    def __init__(self, program: Path, state: Path) -> None:
        super().__init__(state)
        self.program = program

    def start(self) -> OlderService:
        """Start, and wait until it has written where it is."""
        self.state.mkdir(exist_ok=True)
        command = [sys.executable, "-m", "backend.service", "--state", str(self.state), "--runner", TOY]
        with open(self.state / "server.log", "ab") as log:
            self.process = subprocess.Popen(command, cwd=self.program, stdout=log, stderr=log)
        wait_until((self.state / "connection.json").exists, 20.0)
        return self


def refusal(older: Path) -> str:
    """The sentence between programs that do not speak the same; "" if they do."""
    theirs = version_of(older)[0]
    if theirs == wire.PROTOCOL:
        return ""
    return f"This program speaks {wire.PROTOCOL.decode()}, the service {theirs.decode()}."


@pytest.mark.slow
def test_an_old_service(older: Path, tmp_path: Path) -> None:
    """What it can, works; what it does not know is refused; afterwards today's service goes on in its folder."""
    assert version_of(older) != (wire.PROTOCOL, wire.MINOR)
    files = make_files(tmp_path / "in", SIZES)
    state = tmp_path / "state"
    with OlderService(older, state), JobClient(state, IMPATIENT) as client:
        if sentence := refusal(older):
            with pytest.raises(ServiceError) as caught:
                client.ping()
            assert (caught.value.code, caught.value.message) == ("PROTO_VERSION", sentence)
        else:
            client.submit("double", {"steps": 5, "pictures": 64, "pause": 0.05}, files, job_id="there")
            states = [news.state for news in client.watch("there", previews=True) if isinstance(news, wire.Event)]
            assert [state for state in states if state][-2:] == ["running", "succeeded"]
            client.download("there", tmp_path / "out")
            assert_reversed(files, tmp_path / "out")
            assert client.stats().version != "" and [job.job_id for job in client.jobs()] == ["there"]
            if version_of(older)[1] < 2:
                with pytest.raises(ServiceError, match="job.delete"):
                    client.delete("there")
    if not refusal(older):
        with Service(state) as service, service.client() as client:
            assert client.get("there").state == "succeeded"
            client.download("there", tmp_path / "again")
            assert_reversed(files, tmp_path / "again")
            client.submit("double", {}, {}, job_id="new")
            client.wait("new")


@pytest.mark.slow
def test_an_old_client(older: Path, tmp_path: Path) -> None:
    files = make_files(tmp_path / "in", SIZES)
    with Service(tmp_path / "state") as service:
        words = [str(service.state), str(tmp_path / "in"), str(tmp_path / "out")]
        command = [sys.executable, "-c", OLD_CLIENT, *words]
        run = subprocess.run(command, cwd=older, capture_output=True, text=True, timeout=60.0)
    assert run.returncode == 0, run.stderr
    said = json.loads(run.stdout)
    if refusal(older):
        assert said["code"] == "PROTO_VERSION" and wire.PROTOCOL.decode() in said["message"]
    else:
        assert said["states"][-3:] == ["running", "succeeded", "cancelled"]
        assert said["steps"] == [str(i) for i in range(5)] and said["jobs"] == 2
        assert_reversed(files, tmp_path / "out")
